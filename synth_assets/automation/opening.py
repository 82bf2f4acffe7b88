"""Opens Dagster's instance of the home that this process stands in: the one way to do it, so that every command tells alike of a fault.

What belongs here: what stands in the way of opening. What does not: the choice of the storage (instance_storage.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from synth_assets.errors import ConfigError, SynthAssetsError
from synth_assets.instance_storage import storage_answers

FILE = "dagster.yaml"
_REMEDY = "Correct it; the file that this package ships is the example. Keys: https://docs.dagster.io/deployment/oss/dagster-yaml"
_NO_OPTION = {"FIELD_NOT_DEFINED", "FIELDS_NOT_DEFINED"}
_MISSING = {"MISSING_REQUIRED_FIELD", "MISSING_REQUIRED_FIELDS"}


@contextmanager
def open_instance() -> Iterator[dg.DagsterInstance]:
    """Runs, events and partitions of the home that DAGSTER_HOME names.

    Raises:
        ConfigError: its dagster.yaml, or a variable, cannot be used.
        ServiceUnavailableError: Dagster's PostgreSQL server does not answer, now or while the block runs.
    """
    with storage_answers(), _opened() as instance:
        yield instance


def _opened() -> dg.DagsterInstance:
    file = Path(os.environ["DAGSTER_HOME"]) / FILE
    try:
        return dg.DagsterInstance.get()
    except SynthAssetsError:
        raise
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        row = None if mark is None else mark.line + 1
        raise ConfigError("this is no YAML.", file=str(file), row=row, remedy=_REMEDY) from None
    except dg.DagsterInvalidConfigError as error:
        raise _wrong_key(error, file) from None
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in {"dagster", "dagster_shared"}:
            raise
        raise ConfigError(
            f"Dagster cannot start with it ({type(error).__name__}).", file=str(file), remedy=_REMEDY
        ) from None


def _wrong_key(error: dg.DagsterInvalidConfigError, file: Path) -> ConfigError:
    """The first thing that is wrong, by the path of its key; Dagster's own text quotes values, and one may be a password."""
    section = _path_of(yaml.safe_load(file.read_text(encoding="utf-8")), error.config_value) or ()
    if not error.errors:  # keys that exclude each other
        return ConfigError("Dagster refuses its keys.", file=str(file), key=".".join(section) or None, remedy=_REMEDY)
    first = error.errors[0]
    names = getattr(first.error_data, "field_names", None) or (getattr(first.error_data, "field_name", None),)
    reason = first.reason.value
    if reason in _NO_OPTION:
        said, last = "Dagster knows no such key.", names[:1]
    elif reason in _MISSING:
        said, last = "this key is missing.", names[:1]
    else:
        said, last = "the value is not what Dagster expects, or names with `env` a variable that is not set.", ()
    path = (*section, *first.stack.levels, *(n for n in last if n))
    return ConfigError(said, file=str(file), key=".".join(path) or None, remedy=_REMEDY)


def _path_of(tree: Any, part: Any) -> tuple[str, ...] | None:
    """Where a section stands in the file: Dagster checks some by themselves, and names keys from there on."""
    if tree == part:
        return ()
    for key, value in tree.items() if isinstance(tree, Mapping) else ():
        found = _path_of(value, part) if isinstance(value, Mapping) else None
        if found is not None:
            return (str(key), *found)
    return None
