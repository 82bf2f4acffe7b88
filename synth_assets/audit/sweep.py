"""Scores of the trials of a sweep over epsilon, as records. They are computed on real rows without noise: restricted.

What belongs here: which figures of an audit a sweep keeps. What does not: training (synthesis), drawing (reports/sweep_plot.py).
"""

from __future__ import annotations

from statistics import fmean

from pydantic import Field

from synth_assets.audit.records import AuditResult
from synth_assets.tables.schema import Frozen

SCORES = ("fidelity", "utility", "attack")


class SweepTrial(Frozen):
    """One trial.

    Attributes:
        epsilon: That was asked for.
        release: Number of the trial at this epsilon, from 1.
        spent: Epsilon by the primary accountant, at `delta`.
        fidelity: 1 - mean distance of the compared marginals; None where nothing could be compared.
        utility: Of a model trained on synthetic rows, relative to one trained on real ones; None without a target.
        attack: Worst membership attack, upper end of the 95 % interval of its advantage; None where the table is too small.
    """

    epsilon: float
    release: int
    spent: float
    fidelity: float | None
    utility: float | None
    attack: float | None


class SweepResult(Frozen):
    """All trials of a sweep.

    Attributes:
        dataset: Its name.
        delta: Of every trial.
        population: Whose budget paid.
        charged: Epsilon of all trials together, at the delta of the budget.
        trials: In order of epsilon.
    """

    dataset: str
    delta: float
    population: str
    charged: float = Field(ge=0)
    trials: tuple[SweepTrial, ...]

    def means(self, score: str) -> dict[float, tuple[float, float, float]]:
        """Epsilon to mean, lowest and highest value of a score; epsilons without one are left out."""
        values: dict[float, list[float]] = {}
        for trial in self.trials:
            value = getattr(trial, score)
            if value is not None:
                values.setdefault(trial.epsilon, []).append(value)
        return {e: (fmean(v), min(v), max(v)) for e, v in values.items()}


def scored(audit: AuditResult, *, epsilon: float, release: int, spent: float) -> SweepTrial:
    """The figures of a trial's audit that a sweep compares."""
    return SweepTrial(
        epsilon=epsilon,
        release=release,
        spent=spent,
        fidelity=audit.module_scores.fidelity,
        utility=audit.module_scores.utility,
        attack=audit.figures.privacy_risk,
    )
