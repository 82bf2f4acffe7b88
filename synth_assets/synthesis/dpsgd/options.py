"""Numbers of training: sizes, shares of the budget, steps. All public; the defaults are the same for every table.

What belongs here: constants. What does not: anything learned from data. Where they come from: docs/mechanisms/dp_sgd.md.
"""

from __future__ import annotations

from typing import Literal, cast, get_args

from pydantic import Field

from synth_assets.config.dataset import TrainingConfig
from synth_assets.errors import InputError
from synth_assets.privacy.records import Record

Method = Literal["dp_tvae"]
STEPS_WARM, STEPS_COLD = 60, 200
RATE_WARM, RATE_COLD = 3e-4, 1e-2
SHARE_WARM, SHARE_COLD = 0.1, 0.97


class TrainingOptions(Record):
    """How a network is trained.

    Attributes:
        warm_start: Train it first on samples of a marginal model, which costs nothing beyond the noisy tables of that model.
        share: Share of the budget, as the square of mu, for the steps of DP-SGD; the rest is for noisy tables.
        steps: Steps of DP-SGD.
        sampling_rate: Chance of a unit to be in a step.
        clip: Bound of a unit's contribution to a step, in L2 norm.
        rate: Step size of Adam under DP-SGD.
        hidden: Width of hidden layers.
        latent: Width of the latent vector.
        beta: Weight of the latent term.
        warm_rows: Rows that are sampled from the marginal model.
        warm_epochs: Passes over them.
        warm_batch: Rows of one step on them.
        warm_rate: Step size of Adam on them, falling to 0.
        tilt_rounds: Rounds in which the decoder's shares are brought to the noisy ones.
        tilt_rows: Rows that are drawn in each.
    """

    warm_start: bool = True
    share: float = Field(default=SHARE_WARM, gt=0, lt=1)
    steps: int = Field(default=STEPS_WARM, ge=1, le=100_000)
    sampling_rate: float = Field(default=0.1, gt=0, le=1)
    clip: float = Field(default=1.0, gt=0)
    rate: float = Field(default=RATE_WARM, gt=0)
    hidden: int = Field(default=128, ge=1)
    latent: int = Field(default=32, ge=1)
    beta: float = Field(default=1.0, gt=0)
    warm_rows: int = Field(default=100_000, ge=1)
    warm_epochs: int = Field(default=6, ge=1)
    warm_batch: int = Field(default=500, ge=1)
    warm_rate: float = Field(default=2e-3, gt=0)
    tilt_rounds: int = Field(default=4, ge=0)
    tilt_rows: int = Field(default=30_000, ge=1)


def method_of(name: str) -> Method:
    """The name of a method, checked.

    Raises:
        InputError: there is no such network.
    """
    for method in get_args(Method):
        if method == name:
            return cast("Method", method)
    raise InputError(f"{name!r} is not trained by DP-SGD.", key="synthesizer")


def training_options(config: TrainingConfig | None) -> TrainingOptions:
    """The numbers for what a person declared."""
    config = config or TrainingConfig()
    warm = config.warm_start
    return TrainingOptions(
        warm_start=warm,
        share=config.share if config.share is not None else SHARE_WARM if warm else SHARE_COLD,
        steps=config.steps if config.steps is not None else STEPS_WARM if warm else STEPS_COLD,
        sampling_rate=config.sampling_rate,
        clip=config.clip,
        rate=RATE_WARM if warm else RATE_COLD,
    )
