"""The privacy budget of a population, as a dataset's YAML declares it."""

from __future__ import annotations

from pydantic import Field, model_validator

from synth_assets.config.base import Config


class BudgetConfig(Config):
    """Privacy budget of the population, over all releases."""

    epsilon: float = Field(default=10.0, gt=0, le=1000)
    delta: float = Field(default=1e-5, gt=0, lt=1e-2)
    per_release: float | None = Field(
        default=None, gt=0, le=1000, description="Largest epsilon of one release, at this delta."
    )
    per_dataset: float | None = Field(
        default=None, gt=0, le=1000, description="Largest epsilon of all releases of one dataset of the population."
    )

    @model_validator(mode="after")
    def _limits_within(self) -> BudgetConfig:
        for name, limit in (("per_release", self.per_release), ("per_dataset", self.per_dataset)):
            if limit is not None and limit > self.epsilon:
                raise ValueError(f"`{name}` must not be above the `epsilon` of the budget")
        return self
