"""Scores of predictions, for many weightings of the same rows at once: the figure itself and its bootstrap draws are one computation.

Weights have shape (rows, 1 + draws): the first column is all ones and gives the figure, each further one says how often a resample
drew the row. Models that are tested on the same rows share their weights, so their differences are paired. What does not belong here:
models, and what a score means for a release.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from synth_assets.audit.intervals import Pair
from synth_assets.audit.prepare import Floats, Integers
from synth_assets.audit.utility.models import Task
from synth_assets.config.thresholds import Cutoffs, Level

Flags = npt.NDArray[np.bool_]
Weights = npt.NDArray[np.float32]
TITLES: Mapping[str, str] = {
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "accuracy": "accuracy",
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
    "r2": "R2",
    "mae": "mean absolute error as a fraction of the outcome's spread",
    "rmse": "root mean squared error as a fraction of the outcome's spread",
}
FEWEST_OF_A_CLASS = 10  # one row of a class would weigh as much in a mean over classes as a thousand of another
ERRORS = frozenset({"mae", "rmse"})  # smaller is better


def resamples(rows: int, draws: int, seed: int, units: Integers | None = None) -> Weights:
    """Ones, and the weights of bootstrap resamples.

    Args:
        rows: Number of rows.
        draws: Number of resamples.
        seed: Seed of the draws.
        units: Unit of every row; whole units are drawn where several rows belong to one.

    Returns:
        Shape (rows, 1 + draws).

    Source:
        Efron, Tibshirani, "An Introduction to the Bootstrap" (1993), chapters 6 and 8.
    """
    members = np.arange(rows) if units is None else np.unique(units, return_inverse=True)[1]
    count = int(members.max()) + 1 if rows else 0
    rng = np.random.default_rng(seed)
    made = np.ones((count, 1 + draws), dtype=np.float32)
    for draw in range(draws):
        made[:, 1 + draw] = np.bincount(rng.integers(0, count, count), minlength=count)
    return made if units is None else made[members]


def percentiles(draws: Floats, confidence: float = 0.95) -> Pair | None:
    """Percentile interval of a figure, of its draws without the first entry; None where no draw could be used.

    Args:
        draws: The figure, then its draws; NaN for a draw that has no such figure.
        confidence: Coverage in (0, 1).
    """
    usable = draws[1:][np.isfinite(draws[1:])]
    if not len(usable):
        return None
    low, high = np.quantile(usable, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def evident(cutoffs: Cutoffs, gap: float, interval: Pair | None, figures: int = 1) -> Level:
    """The level of a gap; low where resampling explains it, that is where its interval reaches 0 or there is none.

    Args:
        cutoffs: Cut-offs of the gap.
        gap: The gap.
        interval: Its 95 % interval.
        figures: How many gaps are looked at side by side: the interval is widened as Bonferroni's inequality asks, for a normal gap.
    """
    if interval is None:
        return "low"
    wider = NormalDist().inv_cdf(1 - 0.025 / figures) / NormalDist().inv_cdf(0.975)
    return cutoffs.level(gap) if gap - wider * (gap - interval[0]) > 0 else "low"


def ranking(truth: Flags, score: Floats, weights: Weights) -> tuple[Floats, Floats]:
    """ROC AUC and average precision per column of the weights.

    Args:
        truth: Which rows are positive, shape (rows,).
        score: Larger is more likely positive, shape (rows,); ties count half in the AUC.
        weights: Shape (rows, columns).

    Returns:
        Both of shape (columns,); NaN where a column has no positive, and for the AUC no negative, row.

    Source:
        Hanley, McNeil, "The meaning and use of the area under a ROC curve", Radiology 143 (1982), 29-36; average precision as the sum
        of precisions weighted by the step in recall.
    """
    order = np.argsort(-score, kind="stable")
    starts = np.flatnonzero(np.concatenate(([True], np.diff(score[order]) != 0)))
    ordered = weights[order]
    hits = np.add.reduceat(ordered * truth[order][:, None], starts, axis=0)
    found = np.add.reduceat(ordered, starts, axis=0)
    misses = found - hits
    above_misses = np.cumsum(misses, axis=0)
    above_found = np.cumsum(found, axis=0)
    above_hits = above_found - above_misses
    positives, negatives = above_hits[-1].astype(np.float64), above_misses[-1].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        wins = (hits * (above_misses[-1] - above_misses + misses / 2)).sum(axis=0, dtype=np.float64)
        precision = np.where(above_found > 0, above_hits / above_found, 0.0)
        steps = (hits * precision).sum(axis=0, dtype=np.float64)
        return wins / positives / negatives, steps / positives


def area_under_curve(truth: Flags, score: Floats) -> float:
    """ROC AUC of one set of rows; NaN without a positive or a negative one."""
    return float(ranking(truth, score, np.ones((len(truth), 1), dtype=np.float32))[0][0])


def headline(task: Task, truth: Floats, predicted: Floats, weights: Weights) -> Floats:
    """The score that counts (ROC AUC or R2), per column of the weights; arguments as for `measure`."""
    if task.regression:
        return _regression(task, truth, predicted, weights)["r2"]
    return _means([ranking(truth == i, predicted[:, i], weights)[0] for i in counted(task, truth)], weights)


def counted(task: Task, truth: Floats) -> list[int]:
    """Classes that scores are of: the last of two, else those with 10 rows or more (all that occur where fewer than two have them)."""
    if len(task.classes) == 2:
        return [1]
    rows = np.bincount(truth[truth >= 0].astype(int), minlength=len(task.classes))
    common = np.flatnonzero(rows >= FEWEST_OF_A_CLASS)
    return [int(i) for i in (common if len(common) > 1 else np.flatnonzero(rows))]


def measure(task: Task, truth: Floats, predicted: Floats, weights: Weights) -> dict[str, Floats]:
    """All scores of predictions.

    Args:
        task: The task.
        truth: Numbers or class positions, shape (rows,); -1 is a class no model knows.
        predicted: Numbers, shape (rows,), or probabilities, shape (rows, classes).
        weights: Shape (rows, columns).

    Returns:
        Per score, shape (columns,): R2, MAE and RMSE (as fractions of the outcome's spread), or ROC AUC, average precision, accuracy,
        F1, precision and recall. With two classes, of the last one; with more, the mean over the counted classes. A precision over no
        rows is 0.
    """
    if task.regression:
        return _regression(task, truth, predicted, weights)
    guess, wanted = predicted.argmax(axis=1), counted(task, truth)
    ranked = [ranking(truth == i, predicted[:, i], weights) for i in wanted]
    rates = [_precision_recall(truth == i, guess == i, weights) for i in wanted]
    return {
        "roc_auc": _means([area for area, _ in ranked], weights),
        "average_precision": _means([steps for _, steps in ranked], weights),
        "accuracy": _sums(guess == truth, weights) / _sums(np.ones(len(truth), dtype=np.bool_), weights),
        "f1": _means([r[2] for r in rates], weights),
        "precision": _means([r[0] for r in rates], weights),
        "recall": _means([r[1] for r in rates], weights),
    }


def naive(task: Task, truth: Floats) -> dict[str, float]:
    """What a guess that ignores every column reaches: the usual class, random ranks, or the mean."""
    if task.regression:
        return {"r2": 0.0}
    shares = np.bincount(truth[truth >= 0].astype(int), minlength=len(task.classes)) / max(len(truth), 1)
    wanted = counted(task, truth)
    precision = float(np.mean([shares[i] for i in wanted])) if wanted else 0.0
    return {"roc_auc": 0.5, "accuracy": float(shares.max()), "average_precision": precision}


def _sums(flags: Flags, weights: Weights) -> Floats:
    return np.asarray(flags.astype(np.float32) @ weights, dtype=np.float64)  # whole numbers below 2**24 are exact


def _means(per_class: list[Floats], weights: Weights) -> Floats:
    """Mean over classes; a class that a resample lost does not count in it."""
    if not per_class:
        return np.full(weights.shape[1], np.nan)
    stacked = np.stack(per_class)
    known = np.isfinite(stacked)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, stacked, 0.0).sum(axis=0) / known.sum(axis=0), dtype=np.float64)


def _precision_recall(truth: Flags, guess: Flags, weights: Weights) -> tuple[Floats, Floats, Floats]:
    hits, guessed, real = (_sums(flags, weights) for flags in (truth & guess, guess, truth))
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(guessed > 0, hits / guessed, 0.0)
        recall = np.where(real > 0, hits / real, 0.0)
        f1 = np.where(guessed + real > 0, 2 * hits / (guessed + real), 0.0)
    return precision, recall, f1


def _regression(task: Task, truth: Floats, predicted: Floats, weights: Weights) -> dict[str, Floats]:
    centred, wide = truth - truth.mean(), weights.astype(np.float64)
    rows = wide.sum(axis=0)
    mean = centred @ wide / rows
    spread = np.maximum(centred**2 @ wide - rows * mean**2, 0.0)
    squared, scale = (truth - predicted) ** 2 @ wide, task.scale or 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = np.where(spread > 0, 1 - squared / spread, np.nan)
    return {
        "r2": r2,
        "mae": np.abs(truth - predicted) @ wide / rows / scale,
        "rmse": np.sqrt(squared / rows) / scale,
    }
