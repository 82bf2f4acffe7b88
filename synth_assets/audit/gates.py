"""The gates of a release: each configured threshold against the audit's figures, both numbers in words.

What belongs here: the judgement, for Dagster's asset checks and the command line alike. What does not: levels and scores
(`findings.py`), and what a failed gate stops.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from synth_assets.audit.findings import MEMBERSHIP, OF_PEOPLE
from synth_assets.audit.records import AuditResult, Finding, accepted, worst_level
from synth_assets.config.gates import CountGate, LevelGate, Severity, ShareGate, ThresholdConfig
from synth_assets.config.thresholds import Level

INTEGRITY = "referential_integrity"
DISCRIMINATOR = "discriminator"


@dataclass(frozen=True)
class GateOutcome:
    """What one gate says.

    Args:
        name: Name of the gate.
        passed: Whether the figure is within its limit; False where there is no figure.
        message: Figure and limit in words, or why there is no figure.
        severity: Whether a failure stops the release, or warns.
        value: The figure.
    """

    name: str
    passed: bool
    message: str
    severity: Severity = "error"
    value: float | None = None

    @property
    def blocks(self) -> bool:
        """Whether it stops the release."""
        return self.severity == "error" and not self.passed


def gate_texts(thresholds: ThresholdConfig) -> dict[str, tuple[str, Severity]]:
    """Gate to its description and severity, for every gate that is set; computable without an audit."""
    texts = {
        "privacy_risk": "Membership attacks, copies and attacks on the most exposed rows are at most at level {}.",
        "disclosure_risk": "Singling out, linkability and attribute inference are at most at level {}.",
        "utility_gap": "Models trained on synthetic rows lose at most {} of their score.",
        "fairness_gap": "Differences between groups grow by at most {}.",
        "fidelity": "The fidelity score is at least {}.",
        "domain_validity": "At least {} of the synthetic values are inside the domain.",
        "discriminator": "A classifier tells synthetic from real rows with a ROC AUC of at most {}.",
        "holdout_forms": "At most {} public forms were made against this hold-out.",
    }
    named: dict[str, tuple[str, Severity]] = {}
    for name, text in texts.items():
        gate: LevelGate | ShareGate | CountGate | None = getattr(thresholds, name)
        if gate is not None:
            named[name] = (text.format(gate.limit), gate.severity)
    return {**named, INTEGRITY: ("Every foreign key of the synthetic tables points at a synthetic parent.", "error")}


def gate_outcomes(thresholds: ThresholdConfig, audit: AuditResult) -> tuple[GateOutcome, ...]:
    """The outcome of every gate that is set; a figure that could not be computed fails its gate and says why.

    Args:
        thresholds: The gates.
        audit: The full form: a rounded figure may stand on the wrong side of a limit.
    """
    return tuple(_outcomes(thresholds, audit))


def _outcomes(thresholds: ThresholdConfig, audit: AuditResult) -> Iterator[GateOutcome]:
    figures = audit.figures
    if thresholds.privacy_risk is not None:
        level, risk = figures.privacy_risk_level, figures.privacy_risk
        yield _level("privacy_risk", thresholds.privacy_risk, level, risk, audit, by=_beside_membership(audit))
    if thresholds.disclosure_risk is not None:
        others = _other_attacks(audit)
        yield _level("disclosure_risk", thresholds.disclosure_risk, *_worst(others), audit)
    apart = [f.value for f in audit.findings("fidelity", DISCRIMINATOR) if f.value is not None]
    for name, module, value, word in (
        ("utility_gap", "utility", figures.utility_gap, "maximum"),
        ("fairness_gap", "fairness", figures.fairness_gap, "maximum"),
        ("fidelity", "fidelity", audit.module_scores.fidelity, "minimum"),
        ("domain_validity", "fidelity", figures.domain_validity, "minimum"),
        (DISCRIMINATOR, f"fidelity.{DISCRIMINATOR}", max(apart, default=None), "maximum"),
    ):
        gate: ShareGate | None = getattr(thresholds, name)
        if gate is not None:
            yield _share(name, gate, value, word, _missing(audit, module))
    if thresholds.holdout_forms is not None:
        yield _forms(thresholds.holdout_forms, audit)
    yield _integrity(audit)


def _forms(gate: CountGate, audit: AuditResult) -> GateOutcome:
    """How often the hold-out was looked at."""
    number, held_out = audit.inputs.holdout_forms, audit.inputs.holdout_rows is not None
    if number is None:
        words = "public forms against this hold-out are not counted here" if held_out else "no hold-out was looked at"
        return GateOutcome("holdout_forms", not held_out, words, gate.severity)
    words = f"public form {number} against this hold-out, accepted up to {gate.limit}"
    more = "" if number <= gate.limit else ": choosing by these figures fits the hold-out; hold other people out"
    return GateOutcome("holdout_forms", number <= gate.limit, words + more, gate.severity, float(number))


def _other_attacks(audit: AuditResult) -> list[Finding]:
    """What decides about privacy besides who was in the data, which has a gate of its own."""
    return [f for f in audit.findings("privacy") if f.decides and not f.metric.startswith(OF_PEOPLE)]


def _beside_membership(audit: AuditResult) -> str:
    """The figures that make the level of the gate `privacy_risk`, where membership attacks by themselves would not; as words."""
    found = [f for f in audit.findings("privacy") if f.decides and f.metric.startswith(OF_PEOPLE)]
    level = audit.figures.privacy_risk_level
    names = [f.metric for f in found if f.risk_level == level]
    alone = level == "low" or any(name.startswith(MEMBERSHIP) for name in names)
    return "" if alone else f" by {', '.join(dict.fromkeys(names))}"


def _worst(findings: list[Finding]) -> tuple[Level | None, float | None]:
    upper = [f.excess_interval[1] for f in findings if f.excess_interval is not None]
    return worst_level(tuple(f.risk_level for f in findings)), max(upper, default=None)


def _level(
    name: str, gate: LevelGate, level: Level | None, risk: float | None, audit: AuditResult, *, by: str = ""
) -> GateOutcome:
    if level is None:
        return GateOutcome(name, False, _missing(audit, "privacy"), gate.severity, risk)
    figure = "" if risk is None else f" ({risk:.2f})"
    words = f"{name.replace('_', ' ')} {level}{figure}{by}, accepted up to {gate.limit}"
    return GateOutcome(name, accepted(level, gate.limit), words, gate.severity, risk)


def _share(name: str, gate: ShareGate, value: float | None, word: str, missing: str) -> GateOutcome:
    if value is None:
        return GateOutcome(name, False, missing, gate.severity)
    passed = value <= gate.limit if word == "maximum" else value >= gate.limit
    told = _told(value, gate.limit, "above" if word == "maximum" else "below", passed=passed)
    words = f"{name.replace('_', ' ')} {told}, configured {word} {gate.limit:.2f}"
    return GateOutcome(name, passed, words, gate.severity, value)


def _told(value: float, limit: float, side: str, *, passed: bool) -> str:
    """A figure with two digits; where these hide on which side of its limit it is, the side in words."""
    hidden = not passed and f"{value:.2f}" == f"{limit:.2f}"
    return f"{value:.2f} (rounded, just {side})" if hidden else f"{value:.2f}"


def _integrity(audit: AuditResult) -> GateOutcome:
    broken = [f for f in audit.findings("fidelity", "relations.integrity") if f.value is not None and f.value < 1]
    words = (
        "every foreign key points at a parent"
        if not broken
        else f"{len(broken)} foreign keys have rows without a parent"
    )
    return GateOutcome(INTEGRITY, not broken, words)


def _missing(audit: AuditResult, part: str) -> str:
    """Why a module, or a part of one in any of the tables, has no figure."""
    told = [text for key, text in audit.reasons.items() if key == part or key.startswith(f"{part}.")]
    whole = audit.reasons.get(part.partition(".")[0], "no reason recorded")
    return f"{part.rpartition('.')[2]} could not be computed: {told[0] if told else whole}"
