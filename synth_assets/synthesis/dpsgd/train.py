"""Train a network: noisy tables, warm start on samples of their model, steps of DP-SGD. The order of one training, and nothing else.

What belongs here: who is handed what. Only `PrivateSteps` holds rows; the warm start and the tilt see noisy tables and the network.
What does not: the plan (plan.py), the ledger (charged_training.py). No loss is shown and none decides when to stop: it is not private.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synth_assets.errors import ReleaseRefusedError
from synth_assets.privacy.accounting import epsilon_spent
from synth_assets.privacy.empirical.step_canaries import StepCanaries
from synth_assets.privacy.mechanisms import StepNoise
from synth_assets.privacy.records import Event
from synth_assets.seeds import child_seed
from synth_assets.synthesis.dpsgd.model import TrainedModel, make_network, values_of
from synth_assets.synthesis.dpsgd.network import Network
from synth_assets.synthesis.dpsgd.plan import TrainingPlan
from synth_assets.synthesis.dpsgd.steps import PrivateRows, PrivateSteps
from synth_assets.synthesis.marginals.fit import fit
from synth_assets.synthesis.marginals.measurements import ColumnCells
from synth_assets.synthesis.marginals.model import MarginalModel
from synth_assets.synthesis.marginals.sample import sample_bins
from synth_assets.synthesis.release_measure import ReleaseMeasurements, measure_release, open_sources
from synth_assets.tables.cells import ColumnDomain, TableDomain
from synth_assets.tables.engine import Engine

REPORTS = 20  # lines of progress per stage
Report = Callable[[str, float], None]


@dataclass(frozen=True)
class Training:
    """What a training leaves behind.

    Attributes:
        model: The network.
        measured: The noisy tables that it started from.
        events: What ran.
        canaries: What the steps showed of made-up units.
    """

    model: TrainedModel
    measured: ReleaseMeasurements
    events: tuple[Event, ...]
    canaries: StepCanaries

    def save(self, folder: Path) -> None:
        """Write the model; the noisy tables are not kept."""
        self.model.save(folder)


def train(
    plan: TrainingPlan,
    *,
    engine: Engine,
    noise: StepNoise,
    gate: Callable[[], None],
    seed: int,
    device: str = "auto",
    progress: Report | None = None,
    allow_insecure: bool = False,
) -> Training:
    """Measure and train one table under a plan.

    Args:
        plan: From `plan_training`.
        engine: The table engine.
        noise: `SystemNoise` for a release.
        gate: Called before every read; raises where no reservation of budget is open.
        seed: Of initial weights and of the warm start; neither noise nor the samples of DP-SGD take one.
        device: "auto" (a GPU where there is one), "cpu" or "cuda".
        progress: Called with what is being done and the fraction done.
        allow_insecure: Accept repeatable noise; for tests of plumbing only.

    Raises:
        ReleaseRefusedError: the noise is not secure.
    """
    if not noise.secure and not allow_insecure:
        raise ReleaseRefusedError(
            "the noise of a release must come from the operating system.", remedy="Use SystemNoise."
        )
    report = progress or (lambda _what, _fraction: None)
    measured = measure_release(
        plan.tables, engine=engine, noise=noise, gate=gate, seed=seed, device=device, allow_insecure=allow_insecure
    )
    report("fitting noisy tables", 0.0)
    marginal = fit(measured.tables[plan.table.name], seed=child_seed(seed, "fit"), device=device)
    network = make_network(
        values_of(marginal), plan.target, plan.options, seed=child_seed(seed, "weights"), device=device
    )
    if plan.options.warm_start:
        warm_up(network, marginal, plan, seed=child_seed(seed, "warm"), report=report)
    canaries = StepCanaries(plan.steps)
    steps = PrivateSteps(
        network.private,
        _rows(plan, marginal, network, engine, gate),
        plan.steps,
        clip=plan.options.clip,
        expected=max(1.0, plan.steps.sampling_rate * marginal.rows / plan.table.max_per_unit),
        noise=noise,
        inside=network.inside,
        canaries=canaries,
    )
    descend(network, steps, plan, measured.events, seed=child_seed(seed, "descent"), report=report)
    network.tilt(plan.options.tilt_rounds, plan.options.tilt_rows, np.random.default_rng(child_seed(seed, "tilt")))
    model = TrainedModel(plan.method, measured.links, values_of(marginal), network, plan.target, plan.options)
    return Training(model, measured, (*measured.events, *steps.events), canaries)


def warm_up(network: Network, marginal: MarginalModel, plan: TrainingPlan, *, seed: int, report: Report) -> None:
    """Train on samples of the model of noisy tables: post-processing, which needs no noise and costs nothing."""
    o, rng = plan.options, np.random.default_rng(child_seed(seed, "rows"))
    drawn = sample_bins(marginal, o.warm_rows, rng)
    codes = network.put(np.stack([drawn[n] for n in network.layout.order], axis=1))
    total = max(1, o.warm_epochs * o.warm_rows // o.warm_batch)
    learn, clock = network.warm(o, total, rng), _Clock(total)
    for step in range(total):
        learn(codes[network.put(rng.integers(0, o.warm_rows, o.warm_batch))])
        if clock.due(step):
            epoch = 1 + step * o.warm_batch // o.warm_rows
            report(f"warm start, epoch {epoch} of {o.warm_epochs}, {clock.left(step)}", (step + 1) / total)


def descend(
    network: Network, steps: PrivateSteps, plan: TrainingPlan, before: tuple[Event, ...], *, seed: int, report: Report
) -> None:
    """All steps of DP-SGD, always: nothing that is seen on the way ends them. The seed is of what follows on a step."""
    total, rate = plan.steps.count, plan.steps.sampling_rate
    learn, clock = network.descent(plan.options, np.random.default_rng(seed)), _Clock(total)
    for step in range(total):
        learn(steps)
        if clock.due(step):
            epsilon = epsilon_spent((*before, *steps.events), plan.delta)
            report(
                f"DP-SGD, step {step + 1} of {total}, epoch {(step + 1) * rate:.3g} of {total * rate:.3g}, "
                f"epsilon so far {epsilon:.3f}, {clock.left(step)}",
                (step + 1) / total,
            )


class _Clock:
    """When to speak, and how long the rest will take."""

    def __init__(self, total: int) -> None:
        self.total, self.started = total, time.monotonic()

    def due(self, step: int) -> bool:
        every = max(1, self.total // REPORTS)
        return (step + 1) % every == 0 or step + 1 == self.total

    def left(self, step: int) -> str:
        seconds = (time.monotonic() - self.started) / (step + 1) * (self.total - step - 1)
        return f"about {seconds:.0f} s left"


def _rows(
    plan: TrainingPlan, marginal: MarginalModel, network: Network, engine: Engine, gate: Callable[[], None]
) -> PrivateRows:
    """The private rows as bins, in the order of the network's blocks: what each becomes depends on itself and public facts alone."""
    domain = TableDomain(columns=tuple(_domain(c) for c in marginal.columns))
    with engine.session() as session:
        cells, units = open_sources(plan.tables, session, gate)[plan.table.name].rows(domain)
    at = {name: i for i, name in enumerate(domain.names)}
    bins = [marginal.group[n].astype(np.uint16)[cells[:, at[n]]] for n in network.layout.order]
    return PrivateRows(np.stack(bins, axis=1), units)


def _domain(cells: ColumnCells) -> ColumnDomain:
    return ColumnDomain.model_validate(cells.model_dump(exclude={"given"}))
