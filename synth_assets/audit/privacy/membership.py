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

from synth_assets.audit.findings import LOW_FALSE_ALARMS, MEMBERSHIP, number, share, spread, verdict
from synth_assets.audit.intervals import newcombe, shown_difference, wilson
from synth_assets.audit.marginals import Clique, Grid, quantile_grid
from synth_assets.audit.prepare import Floats, Integers, Part, Prepared
from synth_assets.audit.privacy.neighbours import Encoded, Encoder, nearest_distances
from synth_assets.audit.records import Finding
from synth_assets.config.thresholds import AuditLevels, Cutoffs, Level
from synth_assets.seeds import child_seed

MINIMUM_ROWS = 10
CLASSIFIER_ROWS = 100  # per side: a classifier learns nothing from fewer
LOW_RATES = (0.01, 0.001)  # false positive rates at which the true positive rate is shown; the first decides
_FALSE_ALARMS = 5  # expected among the rows that choose a threshold, at least
NEIGHBOURS = 5
MARGINAL_PAIRS = 100
REFERENCE_SHARE = 0.25  # of the held-out units, at least; the others can be targets
_SMOOTHING = 1e-3
Flags = npt.NDArray[np.bool_]

ATTACKS: Mapping[str, str] = {
    "nearest": "by the distance to the nearest synthetic row",
    "density": "by how much closer synthetic rows are than other unseen rows (density ratio)",
    "marginals": "by how much more often pairs of values occur in the synthetic table than in other unseen rows",
    "classifier": "by a classifier over all distances, trained on rows whose membership is known",
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

    @property
    def shown(self) -> float:
        """What is shown at least; 0 where it could be coincidence."""
        return shown_difference((self.true_positives, self.each), (self.false_positives, self.each))


def draw_targets(train: Part, holdout: Part, *, rows: int, reference_rows: int, seed: int) -> Targets | None:
    """Equal numbers of members and non-members, one row per unit of privacy; None for fewer than 10 of either."""
    rng = np.random.default_rng(child_seed(seed, "membership"))
    members, others = one_per_unit(train, rng), one_per_unit(holdout, rng)
    each = min(len(members), int(len(others) * (1 - REFERENCE_SHARE)), rows)
    if each < MINIMUM_ROWS:
        return None
    others = others[:each]
    reference = rng.permutation(np.flatnonzero(~same_units(holdout, others)))[:reference_rows]
    return Targets(train.take(members[:each]), holdout.take(others), holdout.take(reference))


def same_units(part: Part, rows: Integers) -> Flags:
    """Which rows belong to the units of some rows."""
    if part.units is not None:
        return np.isin(part.units, part.units[rows])
    flags = np.zeros(part.held, dtype=np.bool_)
    flags[rows] = True
    return flags


def one_per_unit(part: Part, rng: np.random.Generator) -> Integers:
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


def at_low_rate(members: Floats, others: Floats, folds: tuple[slice, slice], rate: float) -> Advantage | None:
    """Hits at few false alarms: each fold's threshold lets at most `rate` of the other fold's non-members through.

    Args:
        members: Scores of members, shape (n,).
        others: Scores of non-members, shape (n,).
        folds: The two halves.
        rate: False positive rate.

    Returns:
        The counts; None where a fold has too few rows to find such a threshold.
    """
    if min(len(others[fold]) for fold in folds) * rate < _FALSE_ALARMS:
        return None
    hits = misses = 0
    for chosen, counted in (folds, folds[::-1]):
        allowed = int(len(others[chosen]) * rate)
        threshold = np.sort(others[chosen])[::-1][allowed]  # strictly above it stand `allowed` rows at most
        hits += int((members[counted] > threshold).sum())
        misses += int((others[counted] > threshold).sum())
    return Advantage(hits, misses, len(members))


def classifier_scores(members: Floats, others: Floats, folds: tuple[slice, slice]) -> tuple[Floats, Floats]:
    """Chance to be a member, by a classifier that is trained on the other fold; members, non-members.

    Args:
        members: Features of members, shape (n, f).
        others: Features of non-members, shape (n, f).
        folds: The two halves.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    scores = np.empty(len(members)), np.empty(len(others))
    for fit_on, counted in (folds, folds[::-1]):
        matrix = np.concatenate([members[fit_on], others[fit_on]])
        member = np.arange(len(matrix)) < len(members[fit_on])
        model = HistGradientBoostingClassifier(max_iter=50, max_leaf_nodes=8, min_samples_leaf=20, random_state=0)
        model.fit(matrix, member)
        for side, features in zip(scores, (members, others), strict=True):
            side[counted] = model.predict_proba(features[counted])[:, 1]
    return scores


def above_half(members: Floats, others: Floats) -> Advantage:
    """The advantage of calling a member whoever has a chance above one half."""
    return Advantage(int((members > 0.5).sum()), int((others > 0.5).sum()), len(members))


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
    """Per attack its advantage, whose baseline is 0 since the holdout is the control, and its hits at few false alarms."""
    scores = attack_scores(prepared, targets, encoder, base)
    features = scores.pop("features")
    results = {name: advantage(*pair, targets.folds) for name, pair in scores.items()}
    if targets.each >= CLASSIFIER_ROWS:
        scores["classifier"] = classifier_scores(*features, targets.folds)
        results["classifier"] = above_half(*scores["classifier"])
    found = [advantage_finding(f"{MEMBERSHIP}.{name}", ATTACKS[name], made, levels) for name, made in results.items()]
    few = [_low_rate_finding(name, pair, targets.folds, levels) for name, pair in scores.items()]
    return [*found, *(finding for finding in few if finding is not None)]


def advantage_finding(metric: str, how: str, result: Advantage, levels: AuditLevels) -> Finding:
    """The finding of one attack's advantage.

    Args:
        metric: Its name.
        how: What the attacker goes by, as the message says it.
        result: Counts.
        levels: Cut-offs.
    """
    interval = result.interval
    level = levels.membership.level(interval[1])
    text = (
        f"An attack {how}: true less false positive rate {number(result.value)}{spread(interval)}; 0 is chance. "
        f"By its upper end, {verdict(level, levels.membership)}."
    )
    return Finding(
        metric=metric,
        message=text,
        risk_level=level,
        value=result.value,
        interval=interval,
        baseline=0.0,
        excess=result.value,
        excess_interval=interval,
        sample_size=result.each,
        control_size=result.each,
        details={
            "true_positive_rate": result.true_positives / result.each,
            "false_positive_rate": result.false_positives / result.each,
        },
    )


def shown_words(shown: float, level: Level, cutoffs: Cutoffs) -> str:
    """Why a level by the lower bound is what it is, as a sentence."""
    if not shown:
        return f"Chance explains the difference: {level} risk."
    return f"At least {number(shown)} of it is no chance: {verdict(level, cutoffs)}."


def _low_rate_finding(
    name: str, scores: tuple[Floats, Floats], folds: tuple[slice, slice], levels: AuditLevels
) -> Finding | None:
    """True positive rate at false positive rates of 1 % (which decides) and, where there are rows enough, of 0.1 %."""
    made = {rate: at_low_rate(*scores, folds, rate) for rate in LOW_RATES}
    first = made[LOW_RATES[0]]
    if first is None:
        return None
    interval, hits = first.interval, first.true_positives / first.each
    level = levels.shown.level(first.shown)
    text = (
        f"An attack {ATTACKS[name]}, with few false alarms, finds {share(hits)} of the training rows and "
        f"{share(first.false_positives / first.each)} of the unseen ones. {shown_words(first.shown, level, levels.shown)}"
    )
    details: dict[str, float | int] = {}
    for rate, result in made.items():
        if result is not None:
            low, high = wilson(result.true_positives, result.each)
            key = f"true_positive_rate_at_{rate:g}"
            details |= {key: result.true_positives / result.each, f"{key}_low": low, f"{key}_high": high}
    return Finding(
        metric=f"{LOW_FALSE_ALARMS}.{name}",
        message=text,
        risk_level=level,
        value=hits,
        interval=wilson(first.true_positives, first.each),
        baseline=first.false_positives / first.each,
        excess=first.value,
        excess_interval=interval,
        sample_size=first.each,
        control_size=first.each,
        details=details,
    )
