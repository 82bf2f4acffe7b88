"""Numbers of training: sizes, shares of the budget, steps. All public; the defaults are the same for every table.

What belongs here: constants. What does not: anything learned from data. Where they come from: docs/mechanisms/dp_sgd.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, cast, get_args

from pydantic import Field

from synth_assets.config.dataset import TrainingConfig
from synth_assets.errors import InputError
from synth_assets.privacy.records import Record

Method = Literal["dp_tvae", "dp_ctgan"]
SHARE_WARM, SHARE_COLD = 0.1, 0.97


class GanOptions(Record):
    """Numbers of the game between generator and critic.

    Attributes:
        critic: Width of the critic's hidden layers: noise falls on each of its weights.
        generator_rate: Step size of the generator's Adam under DP-SGD; `TrainingOptions.rate` is the critic's.
        critic_steps: Steps of the critic for each of the generator under DP-SGD.
        fakes: Rows that the generator makes in each.
        penalty: Weight of the squared slope of the critic at made-up rows.
        average: Memory of the running average of the generator's weights, per step.
    """

    critic: int = Field(default=32, ge=1)
    generator_rate: float = Field(default=1e-3, gt=0)
    critic_steps: int = Field(default=1, ge=1)
    fakes: int = Field(default=1000, ge=1)
    penalty: float = Field(default=0.5, ge=0)
    average: float = Field(default=0.99, ge=0, lt=1)


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
        beta: Weight of the latent term of dp_tvae.
        warm_rows: Rows that are sampled from the marginal model.
        warm_epochs: Passes over them.
        warm_batch: Rows of one step on them.
        warm_rate: Step size of Adam on them, falling to 0.
        tilt_rounds: Rounds in which the decoder's shares are brought to the noisy ones.
        tilt_rows: Rows that are drawn in each.
        gan: Of dp_ctgan alone.
    """

    warm_start: bool = True
    share: float = Field(default=SHARE_WARM, gt=0, lt=1)
    steps: int = Field(default=60, ge=1, le=100_000)
    sampling_rate: float = Field(default=0.1, gt=0, le=1)
    clip: float = Field(default=1.0, gt=0)
    rate: float = Field(default=3e-4, gt=0)
    hidden: int = Field(default=128, ge=1)
    latent: int = Field(default=32, ge=1)
    beta: float = Field(default=1.0, gt=0)
    warm_rows: int = Field(default=100_000, ge=1)
    warm_epochs: int = Field(default=6, ge=1)
    warm_batch: int = Field(default=500, ge=1)
    warm_rate: float = Field(default=2e-3, gt=0)
    tilt_rounds: int = Field(default=4, ge=0)
    tilt_rows: int = Field(default=30_000, ge=1)
    gan: GanOptions | None = None


DEFAULTS: Mapping[tuple[Method, bool], TrainingOptions] = {  # by method and warm start
    ("dp_tvae", True): TrainingOptions(),
    ("dp_tvae", False): TrainingOptions(warm_start=False, share=SHARE_COLD, steps=200, rate=1e-2),
    ("dp_ctgan", True): TrainingOptions(
        rate=1e-4,
        latent=64,
        warm_epochs=12,
        tilt_rounds=12,
        gan=GanOptions(critic=128, penalty=0.2, generator_rate=5e-5),
    ),
    ("dp_ctgan", False): TrainingOptions(
        warm_start=False,
        share=SHARE_COLD,
        steps=1000,
        rate=2e-3,
        latent=64,
        gan=GanOptions(critic_steps=5, generator_rate=2e-3, average=0.98),
    ),
}


def method_of(name: str) -> Method:
    """The name of a method, checked.

    Raises:
        InputError: there is no such network.
    """
    for method in get_args(Method):
        if method == name:
            return cast("Method", method)
    raise InputError(f"{name!r} is not trained by DP-SGD.", key="synthesizer")


def training_options(method: Method, config: TrainingConfig | None) -> TrainingOptions:
    """The numbers for what a person declared; the defaults of the method for the rest."""
    config = config or TrainingConfig()
    usual = DEFAULTS[method, config.warm_start]
    return usual.model_copy(
        update={
            "share": usual.share if config.share is None else config.share,
            "steps": usual.steps if config.steps is None else config.steps,
            "sampling_rate": config.sampling_rate,
            "clip": config.clip,
        }
    )
