"""The gates of a release: each configured threshold against the audit's figures, both numbers in words."""

from __future__ import annotations

from collections.abc import Iterator

from synth_assets.assets.stage import CheckOutcome
from synth_assets.audit.records import AuditResult, accepted
from synth_assets.config.dataset import ThresholdConfig

INTEGRITY = "referential_integrity"


def threshold_names(thresholds: ThresholdConfig) -> dict[str, str]:
    """Check name to description, for every gate that is set."""
    texts = {
        "privacy_risk": f"The worst membership attack is at most at level {thresholds.privacy_risk}.",
        "utility_gap": f"Models trained on synthetic rows lose at most {thresholds.utility_gap} of their score.",
        "fairness_gap": f"Differences between groups grow by at most {thresholds.fairness_gap}.",
        "fidelity": f"The fidelity score is at least {thresholds.fidelity}.",
    }
    named = {name: text for name, text in texts.items() if getattr(thresholds, name) is not None}
    return {**named, INTEGRITY: "Every foreign key of the synthetic tables points at a synthetic parent."}


def threshold_outcomes(thresholds: ThresholdConfig, audit: AuditResult) -> tuple[CheckOutcome, ...]:
    """The outcome of every gate; a figure that could not be computed fails its gate and says why."""
    return tuple(_outcomes(thresholds, audit))


def _outcomes(thresholds: ThresholdConfig, audit: AuditResult) -> Iterator[CheckOutcome]:
    figures = audit.figures
    if thresholds.privacy_risk is not None:
        level, limit = figures.privacy_risk_level, thresholds.privacy_risk
        passed = level is not None and accepted(level, limit)
        words = (
            _missing(audit, "privacy")
            if level is None
            else f"privacy risk {level} ({figures.privacy_risk:.2f}), accepted up to {limit}"
        )
        yield CheckOutcome("privacy_risk", passed, words, metadata=_numbers(figures.privacy_risk))
    for name, module in (("utility_gap", "utility"), ("fairness_gap", "fairness")):
        limit = getattr(thresholds, name)
        if limit is not None:
            yield _at_most(name, getattr(figures, name), limit, _missing(audit, module))
    if thresholds.fidelity is not None:
        score, least = audit.module_scores.fidelity, thresholds.fidelity
        passed = score is not None and score >= least
        words = (
            _missing(audit, "fidelity")
            if score is None
            else f"fidelity {_told(score, least, 'below', passed=passed)}, configured minimum {least:.2f}"
        )
        yield CheckOutcome("fidelity", passed, words, metadata=_numbers(score))
    yield _integrity(audit)


def _at_most(name: str, value: float | None, limit: float, missing: str) -> CheckOutcome:
    passed = value is not None and value <= limit
    words = missing
    if value is not None:
        told = _told(value, limit, "above", passed=passed)
        words = f"{name.replace('_', ' ')} {told}, configured maximum {limit:.2f}"
    return CheckOutcome(name, passed, words, metadata=_numbers(value))


def _told(value: float, limit: float, side: str, *, passed: bool) -> str:
    """A figure with two digits; where these hide on which side of its limit it is, the side in words."""
    hidden = not passed and f"{value:.2f}" == f"{limit:.2f}"
    return f"{value:.2f} (rounded, just {side})" if hidden else f"{value:.2f}"


def _integrity(audit: AuditResult) -> CheckOutcome:
    broken = [f for f in audit.findings("fidelity", "relations.integrity") if f.value is not None and f.value < 1]
    words = (
        "every foreign key points at a parent"
        if not broken
        else f"{len(broken)} foreign keys have rows without a parent"
    )
    return CheckOutcome(INTEGRITY, not broken, words)


def _missing(audit: AuditResult, module: str) -> str:
    return f"{module} could not be computed: {audit.reasons.get(module, 'no reason recorded')}"


def _numbers(value: float | None) -> dict[str, float]:
    return {} if value is None else {"value": round(value, 2)}
