"""The most exposed people: rows that stand far from all others, attacked by themselves.

An average over all rows hides them: a model that keeps only its rare records leaks nothing of most people and all of these.
Who is exposed is read off real rows that are neither in the training nor in the control group, so it favours neither.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from synth_assets.audit.findings import EXPOSED_ROWS, capital, number, share, spread
from synth_assets.audit.intervals import wilson
from synth_assets.audit.prepare import Floats, Part
from synth_assets.audit.privacy.copies import Exposed
from synth_assets.audit.privacy.membership import Advantage, advantage, one_per_unit, same_units, shown_words
from synth_assets.audit.privacy.neighbours import Encoded, Encoder, nearest_distances
from synth_assets.audit.records import Finding
from synth_assets.config.thresholds import AuditLevels
from synth_assets.seeds import child_seed

SHARE = 0.1  # the most exposed of the rows that were looked at
LEAST_EXPOSED = 50  # of each group
MOST_SHARE = 0.25
LOOKED_AT = 0.6  # of the held-out units; the rest are the reference
LEAST_HELD_OUT = math.ceil(LEAST_EXPOSED / MOST_SHARE / LOOKED_AT)  # units
NEIGHBOURS = 5
CLOSE = (
    0.1  # a near copy stands within this fraction of the distance to the nearest real row that the attacker may know
)
_SMOOTHING = 1e-3


@dataclass(frozen=True)
class Pool:
    """Rows to look for exposed ones among, one per unit of privacy, as many on either side.

    Args:
        members: Training rows.
        others: Held-out rows.
        reference: Held-out rows of other units, from which exposure is measured.
    """

    members: Part
    others: Part
    reference: Part


def draw_pool(train: Part, holdout: Part, *, rows: int, reference_rows: int, seed: int) -> Pool | None:
    """Rows to look among; None where their most exposed ones would be too few.

    Args:
        train: Training rows.
        holdout: Held-out rows; six tenths of their units are looked at, the rest are the reference.
        rows: Rows on either side, at most.
        reference_rows: Rows of the reference, at most.
        seed: Seed of the draws.
    """
    rng = np.random.default_rng(child_seed(seed, "exposed rows"))
    members, others = one_per_unit(train, rng), one_per_unit(holdout, rng)
    each = min(len(members), int(LOOKED_AT * len(others)), rows)
    if each * MOST_SHARE < LEAST_EXPOSED:
        return None
    others = others[:each]
    reference = rng.permutation(np.flatnonzero(~same_units(holdout, others)))[:reference_rows]
    return Pool(train.take(members[:each]), holdout.take(others), holdout.take(reference))


def exposed_findings(pool: Pool, encoder: Encoder, base: Encoded, levels: AuditLevels) -> list[Finding]:
    """Membership inference and near copies, on the most exposed rows alone.

    Args:
        pool: Rows to look among.
        encoder: How rows are encoded.
        base: Synthetic rows the attacker uses.
        levels: Cut-offs.
    """
    reference = encoder.encode(pool.reference)
    sides = [encoder.encode(part) for part in (pool.members, pool.others)]
    far = [nearest_distances(side, reference, k=min(NEIGHBOURS, reference.rows)) for side in sides]
    limit = _cutoff([distances.mean(axis=1) for distances in far])
    near, alone = [], []
    for side, distances in zip(sides, far, strict=True):
        chosen = np.flatnonzero(distances.mean(axis=1) >= limit)
        near.append(nearest_distances(side.take(chosen), base, k=1)[:, 0])
        alone.append(distances[chosen, 0])
    return [_membership(near, alone, levels), _near_copies(near, alone, levels)]


def _cutoff(exposure: list[Floats]) -> float:
    """The exposure from which a row counts as exposed, the same for both sides."""
    share = min(max(SHARE, LEAST_EXPOSED / len(exposure[0])), MOST_SHARE)
    return float(np.quantile(np.concatenate(exposure), 1 - share))


def _membership(near: list[Floats], alone: list[Floats], levels: AuditLevels) -> Finding:
    """How much closer a synthetic row is than any real row the attacker may know; members against non-members."""
    each = min(len(distances) for distances in near)
    scores = [np.log(a[:each] + _SMOOTHING) - np.log(n[:each] + _SMOOTHING) for n, a in zip(near, alone, strict=True)]
    made: Advantage = advantage(scores[0], scores[1], (slice(0, each // 2), slice(each // 2, each)))
    interval = made.interval
    level = levels.shown.level(made.shown)
    text = (
        f"Of the rows that stand apart, an attacker finds training rows with a true less false positive rate of {number(made.value)}"
        f"{spread(interval)}; 0 is chance. {shown_words(made.shown, level, levels.shown)}"
    )
    return Finding(
        metric=f"{EXPOSED_ROWS}.membership",
        message=text,
        risk_level=level,
        value=made.value,
        interval=interval,
        baseline=0.0,
        excess=made.value,
        excess_interval=interval,
        sample_size=each,
        control_size=each,
        details={"true_positive_rate": made.true_positives / each, "false_positive_rate": made.false_positives / each},
    )


def _near_copies(near: list[Floats], alone: list[Floats], levels: AuditLevels) -> Finding:
    hits = [int((n <= CLOSE * a).sum()) for n, a in zip(near, alone, strict=True)]
    people = Exposed(hits[0], len(near[0]), hits[1], len(near[1]))
    interval = people.interval
    level = levels.copied.level(people.shown)
    first, second = (share(rate) for rate in people.rates)
    told = "Chance explains the difference" if level == "low" else "Chance does not explain the difference"
    text = (
        f"{capital(first)} of the training rows that stand apart have a synthetic row very close by; of unseen ones {second}. {told}: "
        f"{level} risk."
    )
    return Finding(
        metric=f"{EXPOSED_ROWS}.near_copies",
        message=text,
        risk_level=level,
        value=people.rates[0],
        interval=wilson(people.members, people.of_members),
        baseline=people.rates[1],
        excess=people.excess,
        excess_interval=interval,
        sample_size=people.of_members,
        control_size=people.of_others,
    )
