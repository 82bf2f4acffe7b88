"""JSON Schemas of the jobs for any file: what they are asked (run config), and what they answer (metadata of their output)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from synth_assets.api.file_requests import REPLIES, REQUESTS

Maker = Callable[[], dict[str, Any]]


def makers() -> dict[str, Maker]:
    """Name to maker: `mask-request`, `mask-reply`, ..."""
    found: dict[str, Maker] = {}
    for request in REQUESTS:
        name = request.job.partition("_")[0]
        found[f"{name}-request"] = _maker(request, f"Request for the job {request.job}")
        found[f"{name}-reply"] = _maker(REPLIES[request.job], f"Reply of the job {request.job}")
    return found


def _maker(model: type[BaseModel], title: str) -> Maker:
    def make() -> dict[str, Any]:
        made = model.model_json_schema()
        for field in made["properties"].values():
            field.pop("title", None)
        made["description"] = made["description"].partition("\n")[0]
        return {**made, "title": title}

    return make
