"""Fairness: do the synthetic rows, and models trained on them, treat the groups of a protected attribute as the real ones do?

Demographic parity is counted on the outcomes in the tables; equalised odds and predictive parity on the predictions, for the same
held-out real rows, of a model trained on synthetic and of one trained on real rows. Groups below 30 rows are left out, and named.
Sources: Hardt, Price, Srebro, "Equality of Opportunity in Supervised Learning" (2016); Chouldechova, "Fair prediction with disparate
impact" (2017). A group's name is a value of the data: it stands in `groups`, never in a message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synth_assets.audit.findings import number, span, verdict
from synth_assets.audit.intervals import Pair, newcombe
from synth_assets.audit.models import Outcome, Task, outcome_values
from synth_assets.audit.prepare import Array, Floats, Integers, Part, Prepared
from synth_assets.audit.records import Finding, GroupFigure
from synth_assets.audit.utility import Fitted
from synth_assets.config.thresholds import AuditLevels

SMALLEST_GROUP = 30
GROUP_LIMIT = 20
QUARTERS = 4
Flags = npt.NDArray[np.bool_]
Counts = tuple[int, int]  # (successes, rows) of one group


@dataclass(frozen=True)
class Attribute:
    """A protected column in groups: its categories, or quarters of the real distribution for numbers and dates."""

    name: str
    labels: tuple[str, ...]
    edges: Floats | None = None

    def groups(self, part: Part) -> Integers:
        """Group number per row; -1 for a missing value."""
        values: Array = part.values[self.name]
        if self.edges is None:
            return values
        return np.where(np.isnan(values), -1, np.searchsorted(self.edges, values, side="right"))


def attribute(prepared: Prepared, name: str) -> Attribute:
    """Groups of a protected column; bins come from the real table, or the synthetic one where there is no real one."""
    if not prepared.numeric(name):
        return Attribute(name, prepared.labels[name])
    values = prepared.parts["train" if "train" in prepared.parts else "synthetic"].values[name]
    known = values[~np.isnan(values)]
    distinct = np.unique(known)
    if len(distinct) <= QUARTERS:  # 0/1 and the like: every value is a group
        return Attribute(name, tuple(f"value {i + 1}" for i in range(max(len(distinct), 1))), distinct[1:])
    edges = np.unique(np.quantile(known, np.linspace(0, 1, QUARTERS + 1)[1:-1]))
    return Attribute(name, tuple(f"quarter {i + 1}" for i in range(len(edges) + 1)), edges)


def rates(groups: Integers, success: Flags, count: int) -> list[Counts]:
    """(successes, rows) per group number; rows with a missing group do not count."""
    known = groups >= 0
    rows = np.bincount(groups[known], minlength=count)
    hits = np.bincount(groups[known & success], minlength=count)
    return [(int(h), int(n)) for h, n in zip(hits, rows, strict=True)]


@dataclass(frozen=True)
class Gap:
    """Difference between the highest and the lowest rate of the groups that are large enough."""

    value: float
    interval: Pair
    left_out: int


def gap(counts: Sequence[Counts], usable: Sequence[bool]) -> Gap | None:
    """The difference between groups, with Newcombe's interval for the two extreme groups.

    Args:
        counts: (successes, rows) per group.
        usable: Which groups count, per group.

    Returns:
        None where fewer than two groups are usable.
    """
    large = [c for c, use in zip(counts, usable, strict=True) if use]
    small = sum(c[1] > 0 and not use for c, use in zip(counts, usable, strict=True))
    if len(large) < 2:
        return None
    high, low = max(large, key=lambda c: c[0] / c[1]), min(large, key=lambda c: c[0] / c[1])
    interval = newcombe(high, low)
    return Gap(high[0] / high[1] - low[0] / low[1], (max(interval[0], 0.0), interval[1]), small)


def large_enough(*sides: Sequence[Counts] | None) -> list[bool]:
    """Which groups have 30 rows or more on every side."""
    given = [side for side in sides if side is not None]
    return [all(side[i][1] >= SMALLEST_GROUP for side in given) for i in range(len(given[0]))]


@dataclass(frozen=True)
class _Side:
    """Figures of one attribute on one side (synthetic or real): counts per group, per metric part."""

    shares: list[Counts]
    outcomes: list[Counts] | None = None
    odds: tuple[list[Counts], list[Counts]] | None = None
    precision: list[Counts] | None = None


def fairness_findings(
    prepared: Prepared, protected: Sequence[str], target: str | None, fitted: Fitted | None, levels: AuditLevels
) -> tuple[list[Finding], dict[str, str]]:
    """Findings per protected attribute, and the reasons for what could not be measured.

    Args:
        prepared: The prepared tables; the real one may be absent.
        protected: Protected columns, all compared.
        target: Outcome column, or None.
        fitted: Predictions for the held-out rows, or None.
        levels: Cut-offs.
    """
    if not protected:
        return [], {"fairness": "No protected column is named."}
    task = _task(prepared, target)
    found: list[Finding] = []
    for name in protected:
        groups = attribute(prepared, name)
        sides = {
            side: _side(prepared, groups, task, fitted, side)
            for side in ("synthetic", "train")
            if side in prepared.parts
        }
        found += _attribute_findings(groups, sides["synthetic"], sides.get("train"), levels)
    return found, _reasons(prepared, protected, task, fitted, found)


def _reasons(
    prepared: Prepared, protected: Sequence[str], task: Task | str, fitted: Fitted | None, found: Sequence[Finding]
) -> dict[str, str]:
    """Why parts of the module, or all of it, could not run."""
    if "train" not in prepared.parts:
        return {"fairness": "No real table to compare with; differences in the synthetic table are shown alone."}
    if isinstance(task, str):
        return {"fairness": f"{task} The shares of the groups are compared; differences in outcome are not."}
    reasons = {}
    for name in protected:
        if not any(f.column == name and f.excess is not None for f in found):
            reasons[f"fairness.{name}"] = f"Fewer than two groups of {SMALLEST_GROUP} rows or more."
    if len(reasons) == len(protected):
        reasons["fairness"] = f"No protected column has two groups of {SMALLEST_GROUP} rows or more."
    if fitted is None:
        needs = "Needs a model trained on real and one trained on synthetic rows, tested on held-out rows."
        reasons |= {"fairness.equalised_odds": needs, "fairness.predictive_parity": needs}
    return reasons


def _task(prepared: Prepared, target: str | None) -> Task | str:
    if target is None:
        return "No outcome column is named."
    if "train" in prepared.parts:
        return Outcome(prepared, target).task()
    alone = Prepared(prepared.columns, prepared.labels, {"train": prepared.parts["synthetic"]}, prepared.left_out)
    return Outcome(alone, target).task()


def _positive(task: Task, outcome: Floats) -> Flags:
    """The outcome whose rate is compared: the positive class, or above the real median."""
    return np.asarray(outcome > task.center) if task.regression else np.asarray(outcome == task.positive)


def _side(prepared: Prepared, groups: Attribute, task: Task | str, fitted: Fitted | None, side: str) -> _Side:
    part, count = prepared.parts[side], len(groups.labels)
    members = groups.groups(part)
    shares = [(n, len(members)) for _, n in rates(members, np.ones(len(members), dtype=np.bool_), count)]
    if isinstance(task, str):
        return _Side(shares)
    outcome = outcome_values(task, part)
    known = ~np.isnan(outcome)
    outcomes = rates(members[known], _positive(task, outcome[known]), count)
    if fitted is None:
        return _Side(shares, outcomes)
    predicted = fitted.synthetic if side == "synthetic" else fitted.real
    guess = _positive(task, predicted if task.regression else predicted.argmax(axis=1).astype(np.float64))
    truth, tested = _positive(task, fitted.truth), groups.groups(fitted.test)
    odds = rates(tested[truth], guess[truth], count), rates(tested[~truth], guess[~truth], count)
    return _Side(shares, outcomes, odds, rates(tested[guess], truth[guess], count))


def _attribute_findings(groups: Attribute, synthetic: _Side, real: _Side | None, levels: AuditLevels) -> list[Finding]:
    found = [] if real is None else [_shares(groups, synthetic, real, levels)]
    if synthetic.outcomes is not None:
        pairs = [(synthetic.outcomes, real.outcomes if real else None)]
        found += _difference(groups, "demographic_parity", "Demographic parity difference", pairs, levels)
    if synthetic.odds is not None and real is not None and real.odds is not None:
        pairs = [(synthetic.odds[i], real.odds[i]) for i in (0, 1)]
        title = "Equalised odds difference (the larger of true and false positive rates)"
        found += _difference(groups, "equalised_odds", title, pairs, levels)
    if synthetic.precision is not None and real is not None:
        title = "Predictive parity difference (precision)"
        found += _difference(groups, "predictive_parity", title, [(synthetic.precision, real.precision)], levels)
    return found


def _shares(groups: Attribute, synthetic: _Side, real: _Side, levels: AuditLevels) -> Finding:
    """The largest difference of a group's share of rows; shown beside the gaps, since it is no difference in treatment."""
    apart = [abs(s[0] / max(s[1], 1) - r[0] / max(r[1], 1)) for s, r in zip(synthetic.shares, real.shares, strict=True)]
    level = levels.fairness.level(max(apart))
    return Finding(
        metric="group_shares",
        message=(
            f"Group shares of {groups.name!r}: the largest difference between the synthetic and the real share of a group is "
            f"{number(max(apart))}, {verdict(level, levels.fairness)}."
        ),
        risk_level=level,
        value=max(apart),
        baseline=0.0,
        decides=False,
        column=groups.name,
        groups=_figures(
            groups, [(s[0], s[1], s[0]) for s in synthetic.shares], [(r[0], r[1], r[0]) for r in real.shares]
        ),
    )


def _figures(
    groups: Attribute, synthetic: Sequence[tuple[int, int, int]], real: Sequence[tuple[int, int, int]] | None
) -> tuple[GroupFigure, ...]:
    """(successes, rows, rows of the group) per group and side, largest groups first."""
    figures = []
    for i, label in enumerate(groups.labels):
        hits, rows, size = synthetic[i]
        other = real[i] if real else None
        if not size and not (other and other[2]):
            continue
        figures.append(
            GroupFigure(
                name=label,
                synthetic_rows=size,
                real_rows=other[2] if other else None,
                synthetic=hits / rows if rows else None,
                real=other[0] / other[1] if other and other[1] else None,
            )
        )
    return tuple(sorted(figures, key=lambda f: -f.synthetic_rows)[:GROUP_LIMIT])


def _difference(
    groups: Attribute,
    metric: str,
    title: str,
    pairs: Sequence[tuple[list[Counts], list[Counts] | None]],
    levels: AuditLevels,
) -> list[Finding]:
    """One finding from the largest of some gaps; none where fewer than two groups are large enough."""
    usable = [large_enough(*pair) for pair in pairs]
    gaps = [g for (mine, _), use in zip(pairs, usable, strict=True) if (g := gap(mine, use)) is not None]
    others = [
        g
        for (_, real), use in zip(pairs, usable, strict=True)
        if real is not None and (g := gap(real, use)) is not None
    ]
    if not gaps:
        return []
    worst = max(gaps, key=lambda g: g.value)
    real = max((g.value for g in others), default=None)
    level = levels.fairness.level(worst.value)
    return [
        Finding(
            metric=metric,
            message=_words(groups, title, worst, real, f"{verdict(level, levels.fairness)}"),
            risk_level=level,
            value=worst.value,
            interval=worst.interval,
            baseline=real,
            excess=None if real is None else worst.value - real,
            column=groups.name,
            groups=_rate_figures(groups, *pairs[0]),
            details={"small_groups": worst.left_out},
        )
    ]


def _rate_figures(groups: Attribute, synthetic: list[Counts], real: list[Counts] | None) -> tuple[GroupFigure, ...]:
    first = [(h, n, n) for h, n in synthetic]
    return _figures(groups, first, None if real is None else [(h, n, n) for h, n in real])


def _words(groups: Attribute, title: str, worst: Gap, real: float | None, level: str) -> str:
    text = f"{title} of {groups.name!r}: {number(worst.value)} between the extreme groups (95 % interval {span(worst.interval)}), "
    text += f"{level}."
    if real is not None:
        added = max(worst.value - real, 0.0)
        text += f" On real rows it is {number(real)}, so the synthetic rows add {number(added)}."
    if worst.left_out:
        text += f" Left out: {worst.left_out} group{'s' if worst.left_out > 1 else ''} below {SMALLEST_GROUP} rows."
    return text
