"""Fairness: do the synthetic rows, and models trained on them, treat the groups of a protected attribute as the real ones do?

Demographic parity is counted on the outcomes in the tables, and on the predictions for the same held-out real rows of a model trained
on synthetic and of one trained on real rows; equalised odds and predictive parity on the predictions. A group's name is a value of the
data: it stands in `groups`, never in a message. What does not belong here: groups (`groups.py`) and differences (`parity.py`).
Sources: Hardt, Price, Srebro, "Equality of Opportunity in Supervised Learning" (2016); Chouldechova, "Fair prediction with disparate
impact" (2017); Foulds et al., "An Intersectional Definition of Fairness" (2020).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from synth_assets.audit.fairness.groups import Grouping, groupings
from synth_assets.audit.fairness.parity import (
    CONFIDENCE,
    MOST_GROUPS,
    Comparison,
    Flags,
    Gap,
    Rates,
    largest_gap,
    rates,
)
from synth_assets.audit.findings import number, spread, verdict
from synth_assets.audit.intervals import newcombe
from synth_assets.audit.prepare import Floats, Prepared
from synth_assets.audit.records import Finding, GroupFigure
from synth_assets.audit.utility.models import Outcome, Task, outcome_values
from synth_assets.audit.utility.module import Fitted
from synth_assets.audit.utility.scores import evident
from synth_assets.config.thresholds import AuditLevels, Cutoffs

GROUP_LIMIT = 20
TITLES: Mapping[str, str] = {
    "demographic_parity": "Demographic parity difference",
    "demographic_parity.predicted": "Demographic parity difference of predictions",
    "equalised_odds": "Equalised odds difference (the larger of true and false positive rates)",
    "predictive_parity": "Predictive parity difference (precision)",
}


@dataclass(frozen=True)
class _Setting:
    """What all figures share.

    Args:
        minimum: Rows that a group needs on both sides.
        cutoffs: Cut-offs of an added gap, and of a gap where there is no real table.
        groupings: Groupings; the intervals of their shares hold together.
        findings: Figures whose intervals hold together.
    """

    minimum: int
    cutoffs: Cutoffs
    groupings: int
    findings: int


def fairness_findings(
    prepared: Prepared,
    protected: Sequence[str],
    target: str | None,
    fitted: Fitted | None,
    *,
    minimum: int,
    levels: AuditLevels,
) -> tuple[list[Finding], dict[str, str]]:
    """Findings per protected attribute and per pair of them, and the reasons for what could not be measured.

    Args:
        prepared: The prepared tables; the real one may be absent.
        protected: Protected columns, all compared.
        target: Outcome column, or None.
        fitted: Predictions for the held-out rows, or None.
        minimum: Rows that a group needs on both sides to be compared.
        levels: Cut-offs.
    """
    if not protected:
        return [], {"fairness": "No protected column is named."}
    task = _task(prepared, target)
    made, beyond = groupings(prepared, protected)
    setting = _Setting(minimum, levels.fairness, len(made), len(made) * (len(TITLES) if fitted else 1))
    found: list[Finding] = []
    for grouping in made:
        if "train" in prepared.parts:
            found.append(_shares(prepared, grouping, setting))
        if isinstance(task, Task):
            found += _figures(prepared, grouping, task, fitted, setting)
    reasons = _reasons(prepared, protected, task, fitted, found, minimum)
    if beyond:
        reasons["fairness.intersections"] = (
            f"{beyond} pairs of protected columns beyond the first ones are not compared."
        )
    return found, reasons


def _reasons(
    prepared: Prepared,
    protected: Sequence[str],
    task: Task | str,
    fitted: Fitted | None,
    found: Sequence[Finding],
    minimum: int,
) -> dict[str, str]:
    """Why parts of the module, or all of it, could not run."""
    if "train" not in prepared.parts:
        return {"fairness": "No real table to compare with; differences in the synthetic table are shown alone."}
    if isinstance(task, str):
        return {"fairness": f"{task} The shares of the groups are compared; differences in outcome are not."}
    reasons = {}
    for name in protected:
        if not any(f.column == name and f.excess is not None for f in found):
            reasons[f"fairness.{name}"] = f"Fewer than two groups of {minimum} rows or more."
    if len(reasons) == len(protected):
        reasons["fairness"] = f"No protected column has two groups of {minimum} rows or more."
    if fitted is None:
        needs = "Needs a model trained on real and one trained on synthetic rows, tested on held-out rows."
        reasons |= dict.fromkeys((f"fairness.{metric}" for metric in list(TITLES)[1:]), needs)
    return reasons


def _task(prepared: Prepared, target: str | None) -> Task | str:
    if target is None:
        return "No outcome column is named."
    if "train" in prepared.parts:
        return Outcome(prepared, target).task()
    alone = Prepared(prepared.columns, prepared.labels, {"train": prepared.parts["synthetic"]}, prepared.left_out)
    return Outcome(alone, target).task()


def _events(task: Task, outcome: Floats) -> list[Flags]:
    """The outcomes whose rates are compared: the last of two classes, each of several, or above the real median."""
    if task.regression:
        return [np.asarray(outcome > task.center)]
    wanted = [1] if len(task.classes) == 2 else range(len(task.classes))
    return [np.asarray(outcome == i) for i in wanted]


def _figures(
    prepared: Prepared, grouping: Grouping, task: Task, fitted: Fitted | None, setting: _Setting
) -> list[Finding]:
    """All differences between the groups of one grouping; none where fewer than two are large enough."""
    tables = _outcomes(prepared, grouping, task)
    compared = {"demographic_parity": _paired(tables["synthetic"], tables.get("train"))}
    if fitted is not None and "train" in prepared.parts:
        compared |= _predictions(grouping, fitted)
    found = []
    for metric, comparisons in compared.items():
        gap = largest_gap(comparisons, setting.minimum, setting.findings)
        if gap is not None:
            unseen = None
            if metric == "demographic_parity" and "holdout" in tables and "train" in tables:
                unseen = largest_gap(_paired(tables["holdout"], tables["train"]), setting.minimum)
            found.append(_difference(grouping, metric, gap, comparisons[gap.worst], unseen, setting))
    return found


def _outcomes(prepared: Prepared, grouping: Grouping, task: Task) -> dict[str, list[Rates]]:
    """Per table, the rate of every event in every group."""
    made = {}
    for side, part in prepared.parts.items():
        members, outcome = grouping.groups(part), outcome_values(task, part)
        known = ~np.isnan(outcome) if prepared.numeric(task.target) else part.values[task.target] >= 0
        made[side] = [rates(members[known], event, grouping.count) for event in _events(task, outcome[known])]
    return made


def _paired(synthetic: Sequence[Rates], real: Sequence[Rates] | None) -> list[Comparison]:
    if real is None:
        return [Comparison(rate) for rate in synthetic]
    return [Comparison(*both) for both in zip(synthetic, real, strict=True)]


def _predictions(grouping: Grouping, fitted: Fitted) -> dict[str, list[Comparison]]:
    """Rates of both models' predictions for the held-out rows.

    Training on other rows of the same table moves a rate too: its variance is taken as that of the rows tested on plus that of the rows
    learnt from, and the two models' rates as if they met different rows.
    """
    task, members, count = fitted.task, grouping.groups(fitted.test), grouping.count
    weight = fitted.trained / (fitted.trained + len(members))
    truths = _events(task, fitted.truth)
    sides = []
    for predicted in (fitted.synthetic, fitted.real):
        guess = predicted if task.regression else predicted.argmax(axis=1).astype(np.float64)
        chosen: list[Rates] = []
        odds: list[Rates] = []
        right: list[Rates] = []
        for truth, event in zip(truths, _events(task, guess), strict=True):
            chosen.append(rates(members, event, count, weight))
            odds += [rates(members[rows], event[rows], count, weight) for rows in (truth, ~truth)]
            right.append(rates(members[event], truth[event], count, weight))
        sides.append({"demographic_parity.predicted": chosen, "equalised_odds": odds, "predictive_parity": right})
    return {metric: _paired(sides[0][metric], sides[1][metric]) for metric in sides[0]}


def _difference(
    grouping: Grouping, metric: str, gap: Gap, comparison: Comparison, unseen: Gap | None, setting: _Setting
) -> Finding:
    """One finding; its level goes by the added gap where chance does not explain it, without a real table by the gap itself."""
    cutoffs, added = setting.cutoffs, gap.excess
    level = cutoffs.level(gap.value) if added is None else evident(cutoffs, added, gap.excess_interval)
    text = f"{TITLES[metric]} of {grouping.name!r}: {number(gap.value)} between the extreme groups"
    judged = verdict(level, cutoffs)
    if gap.excess is None or gap.excess_interval is None or gap.baseline is None:
        text += f"{spread(gap.interval)}, {judged}."
    else:
        where = "in the real table" if metric == "demographic_parity" else "for the model of real rows"
        text += f", {number(gap.baseline)} {where}. The synthetic rows add {number(max(gap.excess, 0.0))} at most"
        text += spread(gap.excess_interval)
        if unseen is not None and unseen.excess is not None:
            text += f", unseen real rows {number(max(unseen.excess, 0.0))}"
        text += f"; {'more than' if gap.excess_interval[0] > 0 else 'no more than'} chance explains: {judged}."
        if level == "low" and gap.excess_interval[1] >= setting.cutoffs.high:
            text += f" The groups are too small to exclude {number(gap.excess_interval[1])}."
    if gap.left_out:
        text += f" Left out: {gap.left_out} group{'s' if gap.left_out > 1 else ''} below {setting.minimum} rows."
    return Finding(
        metric=metric,
        message=text,
        risk_level=level,
        value=gap.value,
        interval=gap.interval,
        baseline=gap.baseline,
        excess=gap.excess,
        excess_interval=gap.excess_interval,
        sample_size=gap.rows[0],
        control_size=gap.rows[1],
        column=grouping.name,
        groups=_groups(grouping, comparison),
        details={
            "groups": gap.groups,
            "small_groups": gap.left_out,
            "holdout_excess": unseen.excess if unseen else None,
        },
    )


def _groups(grouping: Grouping, comparison: Comparison) -> tuple[GroupFigure, ...]:
    """The figures of the largest groups."""
    mine, real = comparison.synthetic, comparison.real
    rows = mine.rows if real is None else mine.rows + real.rows
    figures = []
    for i in np.argsort(-rows, kind="stable")[:GROUP_LIMIT]:
        if not rows[i]:
            break
        figures.append(
            GroupFigure(
                name=grouping.label(int(i)),
                synthetic_rows=int(mine.rows[i]),
                real_rows=None if real is None else int(real.rows[i]),
                synthetic=float(mine.hits[i] / mine.rows[i]) if mine.rows[i] else None,
                real=float(real.hits[i] / real.rows[i]) if real is not None and real.rows[i] else None,
            )
        )
    return tuple(figures)


def _shares(prepared: Prepared, grouping: Grouping, setting: _Setting) -> Finding:
    """The largest difference of a group's share of rows; shown beside the gaps, since it is no difference in treatment."""
    sizes = {}
    for side, part in prepared.parts.items():
        members = grouping.groups(part)
        count = np.bincount(members[members >= 0], minlength=grouping.count)
        sizes[side] = Rates(count, np.full(grouping.count, len(members)))
    mine, real = sizes["synthetic"], sizes["train"]
    value, low, high = _farthest(mine, real, setting.groupings)
    baseline = _farthest(sizes["holdout"], real, setting.groupings)[0] if "holdout" in sizes else None
    level = evident(setting.cutoffs, value, (low, high))
    beside = "" if baseline is None else f", those of unseen real rows by {number(baseline)}"
    text = (
        f"Shares of the groups of {grouping.name!r} differ from the real ones by up to {number(value)}{spread((low, high))}{beside}. "
        f"That is {'more than' if low > 0 else 'no more than'} chance explains: {verdict(level, setting.cutoffs)}."
    )
    shown = Comparison(Rates(mine.hits, mine.hits), Rates(real.hits, real.hits))
    shares = {grouping.label(i): i for i in range(grouping.count)}
    figures = tuple(
        f.model_copy(
            update={
                "synthetic": float(mine.hits[shares[f.name]] / mine.rows[0]),
                "real": float(real.hits[shares[f.name]] / real.rows[0]),
            }
        )
        for f in _groups(grouping, shown)
    )
    return Finding(
        metric="group_shares",
        message=text,
        risk_level=level,
        value=value,
        interval=(low, high),
        baseline=baseline,
        decides=False,
        column=grouping.name,
        sample_size=int(mine.rows[0]),
        control_size=int(real.rows[0]),
        groups=figures,
    )


def _farthest(mine: Rates, real: Rates, groupings: int) -> tuple[float, float, float]:
    """The largest difference of a share, with bounds that hold for all groups of all groupings; of more than 100 groups the largest."""
    total = mine.hits + real.hits
    used = [i for i in np.argsort(-total, kind="stable")[:MOST_GROUPS] if total[i]]
    if not used:
        return 0.0, 0.0, 0.0
    apart = np.abs(mine.hits[used] / mine.rows[used] - real.hits[used] / real.rows[used])
    ends = [
        newcombe(
            (mine.hits[i], mine.rows[i]), (real.hits[i], real.rows[i]), 1 - (1 - CONFIDENCE) / len(used) / groupings
        )
        for i in used
    ]
    low = max(max(a, -b, 0.0) for a, b in ends)
    return float(apart.max()), float(low), float(max(max(abs(a), abs(b)) for a, b in ends))
