"""From figures to findings, levels, module scores and the overall score; the words of the messages.

What belongs here: everything that turns numbers into a verdict. What does not: how a number is measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from synth_assets.audit.glossary import definition, family
from synth_assets.audit.records import (
    MODULES,
    WEIGHTED,
    AuditFigures,
    AuditInputs,
    AuditResult,
    Finding,
    Module,
    ModuleFindings,
    ModuleScores,
    WeightsUsed,
    rank_of,
    worst_level,
)
from synth_assets.config.thresholds import AuditLevels, AuditWeights, Cutoffs, Level

if TYPE_CHECKING:
    from synth_assets.audit.intervals import Pair

MEMBERSHIP = "membership_inference"
LOW_FALSE_ALARMS = "membership_low_false_alarms"
COPIES = ("exact_copies", "near_copies")
EXPOSED_ROWS = "exposed_rows"
OF_PEOPLE = (MEMBERSHIP, LOW_FALSE_ALARMS, EXPOSED_ROWS, *COPIES)  # who was in the data: what the gate compares
BY_LOWER_BOUND = (LOW_FALSE_ALARMS, EXPOSED_ROWS)  # about few rows: what is shown, not what cannot be excluded
MEAN_TVD = "tvd_2way"
VALIDITY = "domain_validity"
HEADLINE = "predictive_score"
FEWEST_COMPARED = 100  # rows, units or parents; a level of fewer goes by the distance itself


def number(value: float) -> str:
    """A figure as messages quote it: two digits, no minus zero."""
    return f"{round(value, 2) + 0.0:.2f}"


def span(interval: Pair) -> str:
    """An interval as messages quote it."""
    return f"{number(interval[0])} to {number(interval[1])}"


def verdict(level: Level, cutoffs: Cutoffs) -> str:
    """A level with the cut-off that made it, as messages quote it."""
    return f"{level} risk ({cutoffs.met(level)})"


def told_apart(excess: float, interval: Pair, rows: int) -> tuple[float, Pair] | None:
    """What a distance adds to that of unseen real rows; None where so few rows are compared that both are far from anything."""
    return (excess, interval) if rows >= FEWEST_COMPARED else None


def added_level(cutoffs: Cutoffs, value: float, added: tuple[float, Pair] | None) -> Level:
    """The level of what a distance adds to that of unseen real rows; low where chance explains it.

    Args:
        cutoffs: Cut-offs of the distance.
        value: The distance; its own level without `added`.
        added: How far it lies above theirs, at equal numbers of rows, and the 95 % interval of that.
    """
    if added is None:
        return cutoffs.level(value)
    excess, interval = added
    return cutoffs.level(max(min(value, excess), 0.0)) if interval[0] > 0 else "low"


def added_words(level: Level, cutoffs: Cutoffs, added: tuple[float, Pair] | None, distance: str = "") -> str:
    """Why a distance has its level, as a sentence: by what it adds to that of unseen real rows, or by itself."""
    what = distance if added is None else "What is added"
    return f"{what}: {verdict(level, cutoffs)}." if what else f"{capital(verdict(level, cutoffs))}."


def share(value: float) -> str:
    """A share of people or rows as messages quote it: none is told from very few."""
    return "under 0.01" if value < 0.005 else number(value)


def capital(text: str) -> str:
    """A sentence that begins with a figure or a name as sentences do."""
    return text[:1].upper() + text[1:]


def spread(interval: Pair | None) -> str:
    """An interval in brackets, after a figure; "" without one."""
    return f" (95 % interval {span(interval)})" if interval else ""


def above_control(apart: float, interval: Pair, level: Level, cutoffs: Cutoffs) -> str:
    """How far a rate lies above its control, and the level of the upper end, as a sentence."""
    return f"The difference is {number(apart)}{spread(interval)}; by its upper end, {verdict(level, cutoffs)}."


def clip(value: float) -> float:
    """Into [0, 1]."""
    return min(max(value, 0.0), 1.0)


def privacy_score(findings: Sequence[Finding], levels: AuditLevels) -> float | None:
    """1 - the largest upper bound of a rate above its baseline, no better than its level; None where no attack ran.

    A few people who are shown to be exposed make a level high and hardly move a rate: the score is then at most 1 - the cut-off of
    that level.
    """
    attacks = [f for f in findings if f.decides and f.excess_interval is not None]
    if not attacks:
        return None
    worst = worst_level(tuple(f.risk_level for f in attacks)) or "low"
    cap = {"low": 1.0, "medium": 1 - levels.disclosure.medium, "high": 1 - levels.disclosure.high}[worst]
    upper = [f.excess_interval[1] for f in attacks if f.excess_interval and not f.metric.startswith(BY_LOWER_BOUND)]
    return clip(min(1 - max(upper, default=0.0), cap))


def fidelity_score(findings: Sequence[Finding]) -> float | None:
    """1 - the mean TVD over all 2-way marginals (1-way for a table with one column)."""
    values = [f.value for f in findings if f.decides and f.metric.startswith("tvd_") and f.value is not None]
    return clip(1 - sum(values) / len(values)) if values else None


def fairness_score(findings: Sequence[Finding]) -> float | None:
    """1 - the largest difference between groups that the synthetic table surely adds to those of the real one."""
    gap = fairness_gap(findings)
    return None if gap is None else clip(1 - gap)


def fairness_gap(findings: Sequence[Finding]) -> float | None:
    """The largest difference between groups that the synthetic table adds, at least 0; None where none was measured.

    A difference whose interval reaches 0 counts 0: a sample of the real table may show it too.
    """
    gaps = [
        0.0 if f.excess_interval and f.excess_interval[0] <= 0 else f.excess
        for f in findings
        if f.decides and f.excess is not None
    ]
    return max(0.0, *gaps) if gaps else None


def utility_score(findings: Sequence[Finding]) -> float | None:
    """What a model trained on the synthetic table keeps of the score above chance, in [0, 1]."""
    for finding in findings:
        if finding.metric == HEADLINE and finding.value is not None and finding.baseline:
            chance = float(finding.naive or 0.0)
            return clip((finding.value - chance) / (finding.baseline - chance)) if finding.baseline > chance else None
    return None


def overall(scores: ModuleScores, weights: AuditWeights) -> tuple[float | None, WeightsUsed, str | None]:
    """The overall score, the weights it used, and a sentence where weights were shared.

    Args:
        scores: Score per module; utility has no weight.
        weights: As configured.
    """
    known = {name: getattr(weights, name) for name in WEIGHTED if getattr(scores, name) is not None}
    total = sum(known.values())
    missing = [name for name in WEIGHTED if getattr(scores, name) is None]
    if total <= 0:
        return None, WeightsUsed(), "No module with a weight has a score, so there is no overall score."
    used = {name: weight / total for name, weight in known.items()}
    score = sum(weight * getattr(scores, name) for name, weight in used.items())
    shares = ", ".join(f"{name} {number(used[name])}" for name in used)
    note = f"No score for {' and '.join(missing)}: its weight is shared among the rest ({shares})." if missing else None
    return score, WeightsUsed(**used), note


def figures(findings: Mapping[Module, Sequence[Finding]], scores: ModuleScores) -> AuditFigures:
    """The few numbers that gates and plots use."""
    deciding = [f for f in findings["privacy"] if f.decides and f.excess_interval]
    attacks = [f for f in deciding if f.metric.startswith(MEMBERSHIP)]
    of_people = [f for f in deciding if f.metric.startswith(OF_PEOPLE)]
    validity = [f.value for f in findings["fidelity"] if f.metric == VALIDITY and f.value is not None]
    headline = [
        f for f in findings["utility"] if f.metric == HEADLINE and f.value is not None and f.baseline is not None
    ]
    return AuditFigures(
        privacy_risk=max((f.excess_interval[1] for f in attacks if f.excess_interval), default=None),
        privacy_risk_level=worst_level(tuple(f.risk_level for f in of_people)),
        utility_gap=max(((f.baseline or 0.0) - (f.value or 0.0) for f in headline), default=None),
        fairness_gap=fairness_gap(findings["fairness"]),
        quality_score=scores.fidelity,
        domain_validity=min(validity, default=None),
    )


def judged(findings: Sequence[Finding], reason: str | None = None, *, surest: bool = False) -> ModuleFindings:
    """The level of a module, and its verdict in words.

    Args:
        findings: All findings of the module.
        reason: Why the module, or a part of it, could not run.
        surest: Of equal levels the finding speaks that lies above its baseline most surely (lower bound), as levels of fairness go.

    Returns:
        Level and words of the worst deciding finding; of equal levels, of the one that may lie farthest above its baseline.
    """
    deciding = [f for f in findings if f.decides]
    rest = [f for f in findings if not f.decides]
    if not deciding:
        return ModuleFindings(message=reason or "Not measured.", findings=tuple(rest))
    worst = max(deciding, key=_sureness if surest else _weight)
    where = f"Table {worst.table!r}: " if worst.table else ""
    many = f" It is the worst of {len(deciding)} figures that decide." if len(deciding) > 1 else ""
    lacking = f" {reason}" if reason else ""
    return ModuleFindings(
        risk_level=worst.risk_level,
        message=f"{where}{worst.message}{many}{lacking}",
        findings=(*deciding, *rest),
    )


def _sureness(finding: Finding) -> tuple[int, float]:
    least = finding.excess_interval[0] if finding.excess_interval else finding.value
    return rank_of(finding.risk_level), -1.0 if least is None else least


def _weight(finding: Finding) -> tuple[int, float]:
    above = finding.excess_interval[1] if finding.excess_interval else finding.excess
    return rank_of(finding.risk_level), next((v for v in (above, finding.value) if v is not None), 0.0)


def conclude(
    findings: Mapping[Module, Sequence[Finding]],
    reasons: Mapping[str, str],
    *,
    inputs: AuditInputs,
    levels: AuditLevels,
    weights: AuditWeights,
    scores: ModuleScores | None = None,
    seconds: Mapping[str, float] | None = None,
) -> AuditResult:
    """Put findings together into one result.

    Args:
        findings: Findings per module.
        reasons: Why a module, or a part of one, could not run.
        inputs: What was audited.
        levels: The cut-offs that the findings used.
        weights: Weights of the overall score.
        scores: Module scores where they are not computed from these findings (several tables).
        seconds: Wall time per part.
    """
    every = {module: tuple(findings.get(module, ())) for module in MODULES}
    scores = scores or ModuleScores(
        privacy=privacy_score(every["privacy"], levels),
        fairness=fairness_score(every["fairness"]),
        fidelity=fidelity_score(every["fidelity"]),
        utility=utility_score(every["utility"]),
    )
    score, used, note = overall(scores, weights)
    told = dict(reasons)
    for module in MODULES:
        if getattr(scores, module) is None:
            told.setdefault(module, "Not measured.")
    if note:
        told["overall_score"] = note
    return AuditResult(
        overall_score=score,
        module_scores=scores,
        detailed_findings={m: judged(every[m], told.get(m), surest=m == "fairness") for m in MODULES},
        definitions={name: definition(name) for name in sorted({family(f.metric) for m in MODULES for f in every[m]})},
        weights=weights,
        weights_used=used,
        levels=levels,
        inputs=inputs,
        reasons=told,
        figures=figures(every, scores),
        seconds=seconds or {},
    )
