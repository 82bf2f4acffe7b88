"""Membership inference: can an attacker who holds the synthetic table tell rows it was made from, from rows it was not?

Each attack scores as many training rows (members) as held-out rows (the control group). Its advantage is the true less the false
positive rate at a threshold that is chosen on one half of the rows and counted on the other, so that luck is not called leakage.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synth_assets.audit.findings import MEMBERSHIP, number, span, verdict
from synth_assets.audit.intervals import newcombe
from synth_assets.audit.marginals import Clique, Grid, quantile_grid
from synth_assets.audit.neighbours import Encoded, Encoder, nearest_distances
from synth_assets.audit.prepare import Floats, Integers, Part, Prepared
from synth_assets.audit.records import Finding
from synth_assets.config.thresholds import AuditLevels
from synth_assets.seeds import child_seed

MINIMUM_ROWS = 100
NEIGHBOURS = 5
MARGINAL_PAIRS = 100
REFERENCE_SHARE = 0.25  # of the held-out units, at least; the others can be targets
_SMOOTHING = 1e-3
Flags = npt.NDArray[np.bool_]

ATTACKS: Mapping[str, str] = {
    "nearest": "by the distance to the nearest synthetic row",
    "density": "by how much closer synthetic rows are than other unseen rows (density ratio)",
    "marginals": "by how much more often pairs of values occur in the synthetic table than in other unseen rows",
    "classifier": "with a classifier over all distances, trained on rows whose membership is known",
}


@dataclass(frozen=True)
class Targets:
    """The rows under attack, in random order; the first half of each side is fold 0, the rest fold 1.

    Args:
        members: Rows of the train table.
        others: As many rows of the holdout.
        reference: Other rows of the holdout, which the attacker knows. None of them is a target, or of the same unit as one: a row that
            meets itself, or its sibling, in the reference would be told from a member by that alone.
    """

    members: Part
    others: Part
    reference: Part

    @property
    def each(self) -> int:
        """Members, and as many non-members."""
        return self.members.held

    @property
    def folds(self) -> tuple[slice, slice]:
        """Rows of each fold, on either side."""
        return slice(0, self.each // 2), slice(self.each // 2, self.each)


@dataclass(frozen=True)
class Advantage:
    """Counts of one attack, over rows whose threshold was chosen on other rows."""

    true_positives: int
    false_positives: int
    each: int

    @property
    def value(self) -> float:
        """True less false positive rate, in [-1, 1]."""
        return (self.true_positives - self.false_positives) / self.each

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval (Newcombe)."""
        return newcombe((self.true_positives, self.each), (self.false_positives, self.each))


def draw_targets(train: Part, holdout: Part, *, rows: int, reference_rows: int, seed: int) -> Targets | None:
    """Equal numbers of members and non-members, one row per unit of privacy; None for fewer than 100 of either."""
    rng = np.random.default_rng(child_seed(seed, "membership"))
    members, others = _one_per_unit(train, rng), _one_per_unit(holdout, rng)
    each = min(len(members), int(len(others) * (1 - REFERENCE_SHARE)), rows)
    if each < MINIMUM_ROWS:
        return None
    others = others[:each]
    reference = rng.permutation(np.flatnonzero(~_same_units(holdout, others)))[:reference_rows]
    return Targets(train.take(members[:each]), holdout.take(others), holdout.take(reference))


def _same_units(part: Part, rows: Integers) -> Flags:
    """Which rows belong to the units of some rows."""
    if part.units is not None:
        return np.isin(part.units, part.units[rows])
    flags = np.zeros(part.held, dtype=np.bool_)
    flags[rows] = True
    return flags


def _one_per_unit(part: Part, rng: np.random.Generator) -> Integers:
    """Row numbers in random order, one per unit of privacy."""
    order = rng.permutation(part.held)
    if part.units is None:
        return order
    _, first = np.unique(part.units[order], return_index=True)
    return order[np.sort(first)]


def best_threshold(members: Floats, others: Floats) -> float:
    """The threshold t at which `score >= t` has the largest true less false positive rate."""
    candidates = np.unique(np.concatenate([members, others]))
    hits = 1 - np.searchsorted(np.sort(members), candidates, side="left") / len(members)
    misses = 1 - np.searchsorted(np.sort(others), candidates, side="left") / len(others)
    return float(candidates[np.argmax(hits - misses)])


def advantage(members: Floats, others: Floats, folds: tuple[slice, slice]) -> Advantage:
    """The advantage of a score (larger: more likely a member), with each fold's threshold chosen on the other fold.

    Args:
        members: Scores of members, shape (n,).
        others: Scores of non-members, shape (n,).
        folds: The two halves.
    """
    hits = misses = 0
    for chosen, counted in (folds, folds[::-1]):
        threshold = best_threshold(members[chosen], others[chosen])
        hits += int((members[counted] >= threshold).sum())
        misses += int((others[counted] >= threshold).sum())
    return Advantage(hits, misses, len(members))


def classifier_advantage(members: Floats, others: Floats, folds: tuple[slice, slice]) -> Advantage:
    """The advantage of a classifier trained on one fold and counted on the other, both ways round.

    Args:
        members: Features of members, shape (n, f).
        others: Features of non-members, shape (n, f).
        folds: The two halves.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    hits = misses = 0
    for fit_on, counted in (folds, folds[::-1]):
        matrix = np.concatenate([members[fit_on], others[fit_on]])
        member = np.arange(len(matrix)) < len(members[fit_on])
        model = HistGradientBoostingClassifier(max_iter=50, max_leaf_nodes=8, min_samples_leaf=20, random_state=0)
        model.fit(matrix, member)
        hits += int(model.predict(members[counted]).sum())
        misses += int(model.predict(others[counted]).sum())
    return Advantage(hits, misses, len(members))


def attack_scores(
    prepared: Prepared, targets: Targets, encoder: Encoder, base: Encoded
) -> dict[str, tuple[Floats, Floats]]:
    """Scores per attack for members and for non-members, each of shape (n,); and "features" of shape (n, f) for the classifier.

    Args:
        prepared: The prepared tables.
        targets: Rows under attack.
        encoder: How rows are encoded.
        base: Synthetic rows the attacker uses.
    """
    reference = encoder.encode(targets.reference)
    marginals = marginal_scores(prepared, targets)
    sides = []
    for part, frequent in zip((targets.members, targets.others), marginals, strict=True):
        queries = encoder.encode(part)
        close = nearest_distances(queries, base, k=min(NEIGHBOURS, base.rows))
        far = nearest_distances(queries, reference, k=min(NEIGHBOURS, reference.rows))
        ratio = np.log(far[:, 0] + _SMOOTHING) - np.log(close[:, 0] + _SMOOTHING)
        density = np.log(far + _SMOOTHING).mean(axis=1) - np.log(close + _SMOOTHING).mean(axis=1)
        features = np.column_stack([close, far, ratio, density, frequent])
        sides.append(
            {"nearest": -close[:, 0], "density": (ratio + density) / 2, "marginals": frequent, "features": features}
        )
    return {name: (sides[0][name], sides[1][name]) for name in sides[0]}


def marginal_scores(prepared: Prepared, targets: Targets) -> tuple[Floats, Floats]:
    """Mean log ratio of how often a row's pairs of values occur in the synthetic table and in the reference; members, non-members."""
    grid = quantile_grid(prepared)
    known = [grid.codes(part) for part in (prepared.parts["synthetic"], targets.reference)]
    asked = [grid.codes(targets.members), grid.codes(targets.others)]
    pairs: list[Clique] = [(prepared.names[0],)]
    if len(prepared.names) > 1:
        pairs = list(itertools.islice(itertools.combinations(prepared.names, 2), MARGINAL_PAIRS))
    totals = np.zeros(targets.each), np.zeros(targets.each)
    for pair in pairs:
        cells = int(np.prod([grid.sizes[name] for name in pair]))
        made, reference = (_log_shares(_cells(codes, pair, grid), cells) for codes in known)
        for total, codes in zip(totals, asked, strict=True):
            keys = _cells(codes, pair, grid)
            np.add(total, made[keys] - reference[keys], out=total)
    return totals[0] / len(pairs), totals[1] / len(pairs)


def _log_shares(keys: Integers, cells: int) -> Floats:
    """Log of every cell's share of rows, with one row added to each."""
    return np.log((np.bincount(keys, minlength=cells) + 1) / (len(keys) + 1))


def _cells(codes: Mapping[str, Integers], clique: Clique, grid: Grid) -> Integers:
    key = np.zeros(len(codes[clique[0]]), dtype=np.int64)
    for name in clique:
        key = key * grid.sizes[name] + codes[name]
    return key


def membership_findings(
    prepared: Prepared, targets: Targets, encoder: Encoder, base: Encoded, levels: AuditLevels
) -> list[Finding]:
    """One finding per attack; the control group is the holdout, so the baseline of an advantage is 0."""
    scores = attack_scores(prepared, targets, encoder, base)
    features = scores.pop("features")
    results = {name: advantage(*pair, targets.folds) for name, pair in scores.items()}
    results["classifier"] = classifier_advantage(*features, targets.folds)
    return [_finding(name, result, levels) for name, result in results.items()]


def _finding(name: str, result: Advantage, levels: AuditLevels) -> Finding:
    interval = result.interval
    level = levels.membership.level(interval[1])
    text = (
        f"Membership inference {ATTACKS[name]}: true less false positive rate {number(result.value)} "
        f"(95 % interval {span(interval)}, 0 is chance). By the upper bound {number(interval[1])}, "
        f"{verdict(level, levels.membership)}."
    )
    return Finding(
        metric=f"{MEMBERSHIP}.{name}",
        message=text,
        risk_level=level,
        value=result.value,
        interval=interval,
        baseline=0.0,
        excess=result.value,
        excess_interval=interval,
        details={
            "true_positive_rate": result.true_positives / result.each,
            "false_positive_rate": result.false_positives / result.each,
            "members": result.each,
            "non_members": result.each,
        },
    )
