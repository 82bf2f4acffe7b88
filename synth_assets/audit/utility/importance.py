"""Feature importance: do a model trained on synthetic rows and one trained on real rows lean on the same columns?

The control are models of disjoint halves of the real rows: two models of one population do not agree fully either.
What does not belong here: training (`models.py`), and the scores of the models (`scores.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from synth_assets.audit.findings import number, spread, verdict
from synth_assets.audit.prepare import Floats
from synth_assets.audit.records import Finding
from synth_assets.audit.utility.models import Model, Task
from synth_assets.audit.utility.scores import Weights, evident, headline, percentiles
from synth_assets.config.thresholds import AuditLevels

FEWEST_COLUMNS = 6  # a rank correlation of fewer moves by a third when two neighbours change places


def permutation_importance(
    task: Task, model: Model, matrix: Floats, truth: Floats, weights: Weights, seed: int
) -> Floats:
    """Loss of the headline score when one column of the matrix is shuffled.

    Args:
        task: The task.
        model: The model.
        matrix: Features of the test rows, shape (rows, features).
        truth: Their outcome, shape (rows,).
        weights: Resamples of the test rows, shape (rows, columns).
        seed: Seed of the shuffles; the same one gives every model the same shuffles.

    Returns:
        Shape (features, columns).

    Source:
        Breiman, "Random Forests", Machine Learning 45 (2001), section 10.
    """
    whole = headline(task, truth, model.predict(matrix), weights)
    losses = []
    for column in range(matrix.shape[1]):
        shuffled = matrix.copy()
        order = np.random.default_rng([seed, column]).permutation(len(matrix))
        shuffled[:, column] = matrix[order, column]
        losses.append(whole - headline(task, truth, model.predict(shuffled), weights))
    return np.stack(losses)


def spearman(first: Floats, second: Floats) -> Floats:
    """Rank correlation of every column of two matrices, shape (features, columns) each; 0 where one side has no order."""
    from scipy.stats import rankdata

    x, y = (rankdata(side, axis=0) for side in (first, second))
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    spread = np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(spread > 0, (x * y).sum(axis=0) / spread, 0.0), dtype=np.float64)


def importance_finding(
    real: Floats, synthetic: Floats, halves: Sequence[tuple[Floats, Floats]], rows: int, levels: AuditLevels
) -> Finding | None:
    """The agreement, beside that of models of two real halves.

    Args:
        real: Importances of the real model and their draws, shape (features, 1 + draws).
        synthetic: Of the synthetic model.
        halves: Of the models of both halves, per split of the real rows; the lowest agreement counts.
        rows: Test rows that the importances are of.
        levels: Cut-offs.

    Returns:
        None where an importance is not a number.
    """
    every = np.stack([real, synthetic, *(half for pair in halves for half in pair)])
    if not np.isfinite(every[:, :, 0]).all():
        return None
    usable = np.isfinite(every).all(axis=(0, 1))
    models = [_told_from_none(losses[:, usable]) for losses in every]
    agreement = spearman(models[0], models[1])
    control = np.min([spearman(*models[i : i + 2]) for i in range(2, len(models), 2)], axis=0)
    apart = control - agreement
    interval, added = (_around(draws) for draws in (agreement, apart))
    few = len(real) < FEWEST_COLUMNS
    level = "low" if few else evident(levels.tvd, float(apart[0]), added)
    text = (
        f"The models of real and of synthetic rows agree to {number(agreement[0])}{spread(interval)} on which columns matter; 1 is "
        f"full agreement. Models of two real halves agree to {number(control[0])}: for the difference, {verdict(level, levels.tvd)}."
    )
    text += f" Ranks of {len(real)} columns are too few to tell more." if few else ""
    return Finding(
        metric="feature_importance",
        message=text,
        risk_level=level,
        value=float(agreement[0]),
        interval=interval,
        baseline=float(control[0]),
        excess=float(apart[0]),
        excess_interval=added,
        sample_size=rows,
        control_size=rows,
        decides=False,
        details={"features": len(real)},
    )


def _told_from_none(losses: Floats) -> Floats:
    """Importances with those set to 0 that resampling does not tell from none: their order is chance."""
    lows = [interval[0] if (interval := percentiles(draws)) else draws[0] for draws in losses]
    return np.where(np.array(lows)[:, None] > 0, losses, 0.0)


def _around(draws: Floats) -> tuple[float, float] | None:
    """The percentile interval, widened to hold the figure: noise in the ranks of unimportant columns pulls draws to one side."""
    interval = percentiles(draws)
    return None if interval is None else (min(interval[0], float(draws[0])), max(interval[1], float(draws[0])))
