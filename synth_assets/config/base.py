"""The base of all configuration models; a module of its own, so that they can be imported in any order."""

from __future__ import annotations

from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict

LocaleName = Literal["en_US", "en_GB", "en_IE", "en_CA", "en_AU", "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL", "pt_PT"]


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("this is no IANA time zone, such as UTC or Europe/Berlin") from None
    return name


TimeZone = Annotated[str, AfterValidator(_zone)]
"""Name of an IANA time zone."""


class Config(BaseModel):
    """Base of all configuration models: immutable, unknown keys are errors, input values stay out of error texts.

    A validator is built when it is first used, since a command that needs none starts in half the time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)
