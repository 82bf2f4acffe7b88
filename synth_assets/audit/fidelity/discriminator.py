"""Can a classifier tell synthetic rows from real ones? Its cross-validated ROC AUC, beside the one for held-out rows.

0.5 is the best: no row gives itself away. Equal rows are always in the same fold, so that a copied row is not told by its twin.

Source: Lopez-Paz, Oquab, "Revisiting classifier two-sample tests" (2017); DeLong, DeLong, Clarke-Pearson, "Comparing the areas under
two or more correlated receiver operating characteristic curves", Biometrics 44 (1988), 837-845 (interval).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from synth_assets.audit.findings import number, spread, verdict
from synth_assets.audit.intervals import Pair, mover
from synth_assets.audit.marginals import Z
from synth_assets.audit.prepare import Array, Floats, Integers, Part, Prepared
from synth_assets.audit.records import Finding
from synth_assets.config.thresholds import AuditLevels
from synth_assets.seeds import child_seed

ROWS = 10_000  # of each side
FEWEST_ROWS = 100
FOLDS = 4
CATEGORIES = 250
TREES, LEAVES, SMALLEST_LEAF, RATE = 60, 31, 20, 0.15


@dataclass(frozen=True)
class Area:
    """A cross-validated ROC AUC, its 95 % interval, and how many rows of each side it was counted on."""

    value: float
    interval: Pair
    each: int


def discriminator_finding(prepared: Prepared, levels: AuditLevels, seed: int) -> tuple[Finding | None, str | None]:
    """The finding, or the reason why there is none.

    Args:
        prepared: With a train table; with a holdout the figure has its baseline, of equally many rows.
        levels: Cut-offs.
        seed: Seed of samples, folds and models.
    """
    sizes = {side: part.held for side, part in prepared.parts.items()}
    each = min(*sizes.values(), ROWS)
    if each < FEWEST_ROWS:
        return None, f"Fewer than {FEWEST_ROWS} rows on a side: too few to train a classifier."
    made = tell_apart(prepared, "synthetic", each, seed)
    control = tell_apart(prepared, "holdout", each, seed) if "holdout" in prepared.parts else None
    cutoffs = levels.discriminator
    level = cutoffs.level(made.value)
    text = (
        f"A classifier tells synthetic from training rows with a ROC AUC of {number(made.value)}{spread(made.interval)}, "
        f"{verdict(level, cutoffs)}; 0.50 is a guess."
    )
    if control is not None:
        text += f" It tells unseen real rows with {number(control.value)}."
    return Finding(
        metric="discriminator",
        message=text,
        risk_level=level,
        value=made.value,
        interval=made.interval,
        baseline=control.value if control else None,
        naive=0.5,
        excess=made.value - control.value if control else None,
        excess_interval=mover(made.value, made.interval, control.value, control.interval) if control else None,
        sample_size=made.each,
        control_size=control.each if control else None,
        decides=False,
    ), None


def tell_apart(prepared: Prepared, side: str, each: int, seed: int) -> Area:
    """How well a classifier tells the rows of one table from those of the train table.

    Args:
        prepared: The tables.
        side: The table.
        each: Rows of each; no more than the smaller table has.
        seed: Seed of samples, folds and models.
    """
    parts = [_some(prepared.parts[name], each, child_seed(seed, "discriminator", name)) for name in ("train", side)]
    features, categories = _features(prepared, parts)
    labels = np.repeat([0, 1], each)
    folds = _folds(features, child_seed(seed, "discriminator", "folds"))
    areas = []
    for fold in range(FOLDS):
        held, rest = folds == fold, folds != fold
        if len(np.unique(labels[held])) == 2 and len(np.unique(labels[rest])) == 2:
            scores = _scores(features[rest], labels[rest], features[held], categories, child_seed(seed, str(fold)))
            areas.append(_area(scores[labels[held] == 1], scores[labels[held] == 0]))
    if not areas:  # every row is the same
        return Area(0.5, (0.0, 1.0), each)
    value = float(np.mean([area for area, _ in areas]))
    half = Z * math.sqrt(sum(variance for _, variance in areas)) / len(areas)
    return Area(value, (max(value - half, 0.0), min(value + half, 1.0)), each)


def _some(part: Part, rows: int, seed: int) -> Part:
    return part.take(np.sort(np.random.default_rng(seed).choice(part.held, rows, replace=False)))


def _features(prepared: Prepared, parts: list[Part]) -> tuple[Floats, list[bool]]:
    """All columns as numbers, shape (rows, columns), and which of them are categories; missing is NaN."""
    columns = []
    for name in prepared.names:
        values = np.concatenate([part.values[name] for part in parts])
        if not prepared.numeric(name):
            values = _ranks(values, len(prepared.labels[name]))
        columns.append(values.astype(np.float64))
    return np.column_stack(columns), [not prepared.numeric(name) for name in prepared.names]


def _ranks(values: Array, size: int) -> Floats:
    """Category numbers by frequency; the rarest of more than 250 share one; missing is NaN."""
    counts = np.bincount(values[values >= 0], minlength=max(size, 1))
    rank = np.empty(len(counts))
    rank[np.argsort(-counts, kind="stable")] = np.minimum(np.arange(len(counts)), CATEGORIES)
    return np.where(values < 0, np.nan, rank[values])


def _folds(features: Floats, seed: int) -> Integers:
    """A fold per row, the same for equal rows."""
    distinct, place = np.unique(np.nan_to_num(features, nan=-1e308), axis=0, return_inverse=True)
    drawn = np.random.default_rng(seed).permutation(len(distinct)) % FOLDS
    return np.asarray(drawn[place.ravel()], dtype=np.int64)


def _scores(features: Floats, labels: Integers, asked: Floats, categories: list[bool], seed: int) -> Floats:
    from sklearn.ensemble import HistGradientBoostingClassifier

    told = np.flatnonzero((~np.isnan(features)).any(axis=0))  # a column that is missing everywhere tells nothing
    if not len(told):
        return np.zeros(len(asked))
    model = HistGradientBoostingClassifier(
        max_iter=TREES,
        max_leaf_nodes=LEAVES,
        min_samples_leaf=SMALLEST_LEAF,
        learning_rate=RATE,
        categorical_features=[categories[i] for i in told],
        early_stopping=False,
        random_state=seed % 2**32,
    )
    made: Floats = model.fit(features[:, told], labels).decision_function(asked[:, told])
    return made


def _area(high: Floats, low: Floats) -> tuple[float, float]:
    """The chance that a score of the first kind is above one of the second, ties half; and its variance."""
    ranked = np.sort(low)
    above = (np.searchsorted(ranked, high, "left") + np.searchsorted(ranked, high, "right")) / (2 * len(low))
    other = np.sort(high)
    below = 1 - (np.searchsorted(other, low, "left") + np.searchsorted(other, low, "right")) / (2 * len(high))
    variance = sum(float(each.var(ddof=1)) / len(each) for each in (above, below) if len(each) > 1)
    return float(above.mean()), variance
