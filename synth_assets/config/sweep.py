"""Which epsilons a dataset's sweep tries, and how often; and whether deltas are below one in the number of units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator

from synth_assets.config.base import Config


class SweepConfig(Config):
    """Trials of dp_marginals over epsilon. `sweep: [0.5, 1, 3]` is short for `sweep: {epsilons: [0.5, 1, 3]}`."""

    epsilons: tuple[Annotated[float, Field(gt=0, le=100)], ...] = Field(
        min_length=1, max_length=20, description="Epsilon of each trial."
    )
    releases: int = Field(default=1, ge=1, le=20, description="Trials of each epsilon, with fresh noise each.")

    @field_validator("epsilons")
    @classmethod
    def _ascending(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(value)) < len(value):
            raise ValueError("`epsilons` names one epsilon twice; ask for several trials of each with `releases`")
        return tuple(sorted(value))


def _short(value: Any) -> Any:
    return {"epsilons": value} if isinstance(value, list | tuple) else value


Sweep = Annotated[SweepConfig, BeforeValidator(_short)]


def check_deltas(units: int | None, deltas: Mapping[str, float]) -> None:
    """Judge every delta by the public number of units.

    Args:
        units: None where it is not public.
        deltas: Of each private synthesizer.

    Raises:
        ValueError: one of them is not below 1 / units.
    """
    for name, delta in deltas.items():
        if units is not None and delta * units >= 1:
            raise ValueError(
                f"the delta {delta:g} of {name} is not below 1/n = {1 / units:.3g} (`unit_count`): publishing one whole record at "
                "random would satisfy it; a tenth of that or less is usual"
            )
