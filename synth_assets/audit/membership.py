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
    """The rows under attack: members first, then as many non-members.

    Args:
        members: Rows of the train table.
        others: Rows of the holdout.
        reference: Rows of the holdout that the attacker knows; may hold the non-members.
        skip: Per target the row of the reference that does not count: itself, and for members a random one.
    """

    members: Part
    others: Part
    reference: Part
    skip: Integers

    @property
    def each(self) -> int:
        """Members, and as many non-members."""
        return self.members.held


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
    each = min(len(members), len(others), rows)
    if each < MINIMUM_ROWS:
        return None
    others = others[:each]
    rest = np.setdiff1d(np.arange(holdout.held), others)
    reference = np.concatenate([others, rng.permutation(rest)])[: max(reference_rows, each)]
    skip = np.concatenate([rng.integers(0, len(reference), each), np.arange(each)])
    return Targets(train.take(members[:each]), holdout.take(others), holdout.take(reference), skip)


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


def advantage(members: Floats, others: Floats, seed: int) -> Advantage:
    """The advantage of a score (larger: more likely a member), with each half's threshold chosen on the other half.

    Args:
        members: Scores of members, shape (n,).
        others: Scores of non-members, shape (n,).
        seed: Seed of the halves.
    """
    rng = np.random.default_rng(child_seed(seed, "halves"))
    hits = misses = 0
    half_in, half_out = _half(len(members), rng), _half(len(others), rng)
    for chosen_in, chosen_out in ((half_in, half_out), (~half_in, ~half_out)):
        threshold = best_threshold(members[chosen_in], others[chosen_out])
        hits += int((members[~chosen_in] >= threshold).sum())
        misses += int((others[~chosen_out] >= threshold).sum())
    return Advantage(hits, misses, len(members))


def _half(rows: int, rng: np.random.Generator) -> Flags:
    flags = np.zeros(rows, dtype=np.bool_)
    flags[rng.permutation(rows)[: rows // 2]] = True
    return flags


def classifier_advantage(features: Floats, seed: int) -> Advantage:
    """The advantage of a classifier trained on one half and counted on the other, both ways round.

    Args:
        features: Shape (2n, f): members first, then as many non-members.
        seed: Seed of the halves and of the classifier.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    rng = np.random.default_rng(child_seed(seed, "classifier"))
    each = len(features) // 2
    member = np.arange(len(features)) < each
    half = np.concatenate([_half(each, rng), _half(each, rng)])
    hits = misses = 0
    for fit_on in (half, ~half):
        model = HistGradientBoostingClassifier(max_iter=50, max_leaf_nodes=8, min_samples_leaf=20, random_state=0)
        guess = model.fit(features[fit_on], member[fit_on]).predict(features[~fit_on])
        hits += int((guess & member[~fit_on]).sum())
        misses += int((guess & ~member[~fit_on]).sum())
    return Advantage(hits, misses, each)


def attack_scores(
    prepared: Prepared, targets: Targets, encoder: Encoder, base: Encoded
) -> tuple[dict[str, Floats], Floats]:
    """Scores per attack, and the features of the classifier, for members and then non-members.

    Args:
        prepared: The prepared tables.
        targets: Rows under attack.
        encoder: How rows are encoded.
        base: Synthetic rows the attacker uses.
    """
    reference = encoder.encode(targets.reference)
    near, control = [], []
    for part, skip in ((targets.members, targets.skip[: targets.each]), (targets.others, targets.skip[targets.each :])):
        queries = encoder.encode(part)
        near.append(nearest_distances(queries, base, k=min(NEIGHBOURS, base.rows)))
        control.append(nearest_distances(queries, reference, k=min(NEIGHBOURS, reference.rows - 1), exclude=skip))
    close, far = np.concatenate(near), np.concatenate(control)
    ratio = np.log(far[:, 0] + _SMOOTHING) - np.log(close[:, 0] + _SMOOTHING)
    density = np.log(far + _SMOOTHING).mean(axis=1) - np.log(close + _SMOOTHING).mean(axis=1)
    marginals = marginal_scores(prepared, targets)
    scores = {"nearest": -close[:, 0], "density": (ratio + density) / 2, "marginals": marginals}
    return scores, np.column_stack([close, far, ratio, density, marginals])


def marginal_scores(prepared: Prepared, targets: Targets) -> Floats:
    """Mean log ratio of how often a row's pairs of values occur in the synthetic table and in the holdout."""
    grid = quantile_grid(prepared)
    parts = {"synthetic": prepared.parts["synthetic"], "reference": targets.reference}
    codes = {side: grid.codes(part) for side, part in parts.items()}
    asked = [grid.codes(targets.members), grid.codes(targets.others)]
    pairs: list[Clique] = [(prepared.names[0],)]
    if len(prepared.names) > 1:
        pairs = list(itertools.islice(itertools.combinations(prepared.names, 2), MARGINAL_PAIRS))
    total = np.zeros(2 * targets.each)
    for pair in pairs:
        keys = np.concatenate([_cells(one, pair, grid) for one in asked])
        cells = int(np.prod([grid.sizes[name] for name in pair]))
        here = {side: _cells(one, pair, grid) for side, one in codes.items()}
        counts = {side: np.bincount(key, minlength=cells)[keys] for side, key in here.items()}
        others = counts["reference"] - (here["reference"][targets.skip] == keys)
        total += np.log((counts["synthetic"] + 1) / (len(here["synthetic"]) + 1))
        total -= np.log((others + 1) / len(here["reference"]))
    return total / len(pairs)


def _cells(codes: Mapping[str, Integers], clique: Clique, grid: Grid) -> Integers:
    key = np.zeros(len(codes[clique[0]]), dtype=np.int64)
    for name in clique:
        key = key * grid.sizes[name] + codes[name]
    return key


def membership_findings(
    prepared: Prepared, targets: Targets, encoder: Encoder, base: Encoded, levels: AuditLevels, seed: int
) -> list[Finding]:
    """One finding per attack; the control group is the holdout, so the baseline of an advantage is 0."""
    scores, features = attack_scores(prepared, targets, encoder, base)
    results = {name: advantage(score[: targets.each], score[targets.each :], seed) for name, score in scores.items()}
    results["classifier"] = classifier_advantage(features, seed)
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
