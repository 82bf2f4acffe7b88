"""The plan of a training under DP-SGD: noisy tables first, then steps, calibrated together. Reads nothing.

What belongs here: what is refused before data are read, the division of the budget, the events to reserve. What does not: data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from synth_assets.errors import ConfigError
from synth_assets.privacy.calibration import calibrate_noise
from synth_assets.privacy.records import Event, SampledGaussianEvent
from synth_assets.synthesis.dpsgd.options import Method, TrainingOptions
from synth_assets.synthesis.marginals.options import MarginalOptions
from synth_assets.synthesis.protocol import ReleaseSpec
from synth_assets.synthesis.release_plan import ReleasePlan, TablePlan, plan_release
from synth_assets.tables.schema import Frozen


class TrainingPlan(Frozen):
    """The plan of one training.

    Attributes:
        method: Name of the synthesizer.
        tables: The noisy tables that give domain, bins and, for a warm start, the marginal model.
        steps: The steps of DP-SGD.
        epsilon: Target of both together.
        delta: Target.
        options: Numbers of the training.
        target: Column that conditions the network, or None.
    """

    method: Method
    tables: ReleasePlan
    steps: SampledGaussianEvent
    epsilon: float
    delta: float
    options: TrainingOptions
    target: str | None

    @property
    def events(self) -> tuple[Event, ...]:
        """To be reserved: everything that may run."""
        return (*self.tables.events, self.steps)

    @property
    def table(self) -> TablePlan:
        """The one table."""
        return self.tables.tables[0]

    @property
    def contribution_bounds(self) -> Mapping[str, int]:
        """Rows of one unit that are read."""
        return self.tables.contribution_bounds

    @property
    def non_dp_inputs(self) -> tuple[str, ...]:
        """What was taken from the data without noise."""
        return self.tables.non_dp_inputs

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the privacy report must know."""
        o, steps = self.options, self.steps
        start = "a network trained on samples of those tables' model" if o.warm_start else "random weights"
        return (
            *self.tables.notes,
            f"DP-SGD: {steps.count} steps from {start}; a unit is in each with probability {steps.sampling_rate:g}.",
            f"DP-SGD: gradients are clipped to {o.clip:g} per unit, noise is {steps.noise_multiplier:.4g} times that.",
            f"Noisy tables have {1 - o.share:.0%} of the budget (square of mu), DP-SGD the rest.",
        )


def plan_training(
    spec: ReleaseSpec,
    *,
    method: Method,
    epsilon: float,
    delta: float,
    options: TrainingOptions | None = None,
    marginals: MarginalOptions | None = None,
) -> TrainingPlan:
    """Plan a training; nothing is read.

    Args:
        spec: One table, its unit of privacy and its target.
        method: Name of the synthesizer.
        epsilon: Total epsilon, > 0.
        delta: Its delta, in (0, 1).
        options: Numbers of the training.
        marginals: Numbers of the noisy tables.

    Raises:
        ConfigError: several tables, or no column to learn.
        InputError: epsilon or delta is out of range, or no noise meets the target.
    """
    options = options or TrainingOptions()
    require_one_table(spec, method)
    table = spec.tables[0]
    target = spec.target[1] if spec.target and spec.target[1] in table.columns and len(table.columns) > 1 else None
    marginals = marginals or MarginalOptions()
    if not options.warm_start:  # bins and shares only: no table of two columns
        spec = spec.model_copy(update={"target": None})
        marginals = marginals.model_copy(update={"pairs_cap": 0.0})
    tables = plan_release(spec, epsilon=epsilon * math.sqrt(1 - options.share), delta=delta, options=marginals)

    def events(noise: float) -> tuple[Event, ...]:
        return (*tables.events, _steps(noise, options))

    noise = calibrate_noise(events, epsilon=epsilon, delta=delta)
    return TrainingPlan(
        method=method,
        tables=tables,
        steps=_steps(noise, options),
        epsilon=epsilon,
        delta=delta,
        options=options,
        target=target,
    )


def _steps(noise: float, options: TrainingOptions) -> SampledGaussianEvent:
    return SampledGaussianEvent(noise_multiplier=noise, sampling_rate=options.sampling_rate, count=options.steps)


def require_one_table(spec: ReleaseSpec, method: str) -> None:
    """Related tables are for dp_marginals.

    Raises:
        ConfigError: several tables, or a table without a column to learn.
    """
    if len(spec.tables) != 1:
        raise ConfigError(
            f"{method} models one table, this release has {len(spec.tables)}.",
            key="synthesizers",
            remedy="Use dp_marginals for related tables.",
        )
    if not spec.tables[0].columns:
        raise ConfigError(
            f"{method} has no column to learn: all are keys or identifiers.",
            key="synthesizers",
            remedy="Use dp_marginals.",
        )
