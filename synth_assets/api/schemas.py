"""JSON Schemas of what programs exchange with us: audits in both forms, requests for them, and those of the file jobs.

Generated from the records, so that they cannot drift; `docs/schemas` holds the published files. Within one format version keys are only
added: readers must pass over those that they do not know.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from pydantic import BaseModel

from synth_assets.api import file_schemas
from synth_assets.errors import InputError

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ATTRIBUTE = re.compile(r"^ {4}(\w+): ", re.MULTILINE)


def schema(name: str) -> dict[str, Any]:
    """One schema by its name.

    Args:
        name: "audit" for either form of a result, "audit-public" for the public form, "audit-request"; "mask-request", "mask-reply" ...

    Raises:
        InputError: there is no such schema.
    """
    makers = _makers()
    if name not in makers:
        raise InputError(f"there is no schema {name!r}.", key="NAME", remedy=f"Schemas: {', '.join(makers)}.")
    return {"$schema": DIALECT, **makers[name]()}


def names() -> tuple[str, ...]:
    """All of them."""
    return tuple(_makers())


def file_name(name: str) -> str:
    """The published file of a schema; it carries the version of its format."""
    version = schema(name).get("properties", {}).get("format_version", {}).get("const", 1)
    return f"{name}-{version}.json"


def _makers() -> dict[str, Callable[[], dict[str, Any]]]:
    return {"audit": _result, "audit-public": _public, "audit-request": _request, **file_schemas.makers()}


def _request() -> dict[str, Any]:
    from synth_assets.api import requests
    from synth_assets.config import dataset, thresholds

    made = requests.AuditRequest.model_json_schema()
    for part in _parts(made):
        part.pop("title", None)
    for name, part in made["$defs"].items():
        _explain(part, _model(name, thresholds, requests, dataset))
    return {**made, "title": "Request for an audit"}


def _result() -> dict[str, Any]:
    from synth_assets.audit import records
    from synth_assets.config import thresholds

    made = records.AuditResult.model_json_schema(mode="serialization")
    _describe(made, records.AuditResult)
    for name, part in made["$defs"].items():
        _describe(part, _model(name, records, thresholds))
    made["properties"]["format_version"]["description"] = "Version of this form of a result."
    found = made["properties"]["detailed_findings"]
    found |= {
        "properties": {m: {"$ref": "#/$defs/ModuleFindings"} for m in records.MODULES}, "required": list(records.MODULES)
    }  # fmt: skip
    found.pop("additionalProperties")
    found.pop("propertyNames")
    return {**made, "title": "Result of an audit"}


def _public() -> dict[str, Any]:
    """The public form: rounded figures, and no details."""
    made = _result()
    made["properties"]["form"] = {"const": "public", "description": made["properties"]["form"]["description"]}
    made["$defs"]["Finding"]["properties"]["details"] = {"type": "object", "maxProperties": 0}
    return {**made, "title": "Result of an audit, public form"}


def _model(name: str, *homes: ModuleType) -> type[BaseModel]:
    found: type[BaseModel] = next(getattr(home, name) for home in homes if hasattr(home, name))
    return found


def _describe(part: dict[str, Any], model: type[BaseModel]) -> None:
    """A part of a result: every field is written, and unknown ones may come."""
    _explain(part, model)
    for field in part["properties"].values():
        field.pop("default", None)
    part["required"] = list(part["properties"])
    part.pop("additionalProperties", None)


def _explain(part: dict[str, Any], model: type[BaseModel]) -> None:
    """Sentences of the docstring to their fields."""
    text, _, rest = part.pop("description", "").partition("\n\nAttributes:\n")
    told = _attributes(rest)
    for name, field in part["properties"].items():
        field.pop("title", None)
        said = told.get(name) or model.model_fields[name].description
        if said:
            field["description"] = said
    part["description"] = " ".join(text.split())


def _attributes(text: str) -> dict[str, str]:
    """`name: sentence` of a docstring's section, with lines that go on joined."""
    pieces = _ATTRIBUTE.split(text)[1:]
    return {name: " ".join(said.split()) for name, said in zip(pieces[::2], pieces[1::2], strict=True)}


def _parts(node: Any) -> Iterator[dict[str, Any]]:
    """Every property of a schema."""
    for part in node.get("properties", {}).values():
        yield part
        yield from _parts(part)
