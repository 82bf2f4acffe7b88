"""The base of all configuration models; a module of its own, so that they can be imported in any order."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """Base of all configuration models: immutable, unknown keys are errors, input values stay out of error texts."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
