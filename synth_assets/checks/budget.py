"""The gate of a DP release: what ran against what was asked for, a second accountant and attacks against the claim."""

from __future__ import annotations

from collections.abc import Sequence

from synth_assets.assets.stage import CheckOutcome
from synth_assets.privacy.empirical.records import CanaryAttack, EmpiricalCheck
from synth_assets.privacy.empirical.words import bound_words, canary_words, failed_words
from synth_assets.privacy.report import PrivacyReport

ROUNDING = 1e-6
LOWER_SHARE = 0.99


def budget_outcomes(report: PrivacyReport) -> tuple[CheckOutcome, ...]:
    """The outcomes of the checks `budget`, `accountant` and `empirical`."""
    spent, asked = report.spent, report.target_epsilon
    within = spent.epsilon <= asked * (1 + ROUNDING) and report.budget_left >= 0
    left = f"{report.budget_left:.4g} of {report.budget_epsilon:.4g} is left for population {report.population}"
    numbers = {"epsilon_spent": spent.epsilon, "epsilon_asked": asked, "budget_left": report.budget_left}
    check = report.crosscheck
    agrees = check.epsilon_lower * LOWER_SHARE <= spent.epsilon <= check.epsilon_upper * (1 + ROUNDING)
    words = f"{spent.accountant} says {spent.epsilon:.4f}; the independent bound is {check.epsilon_upper:.4f}"
    return (
        CheckOutcome(
            "budget", within, f"epsilon {spent.epsilon:.4f} spent, {asked:.4g} asked for; {left}", metadata=numbers
        ),
        CheckOutcome("accountant", agrees, words, metadata={"epsilon_crosscheck": check.epsilon_upper}),
        _attacked(report.empirical),
    )


def refused_outcomes(check: EmpiricalCheck) -> tuple[CheckOutcome, ...]:
    """The outcomes where the attacks broke the claim, so that nothing was measured."""
    return (
        CheckOutcome("budget", True, "nothing was measured and nothing spent"),
        CheckOutcome("accountant", True, "nothing was measured; the plan was accepted"),
        _attacked(check),
        scan_outcome((), "nothing was measured"),
    )


def scan_outcome(findings: Sequence[str], holds: str) -> CheckOutcome:
    """The outcome of the check `scan`: what a stored release holds beyond the public domain and noisy numbers."""
    words = f"{len(findings)} places hold what they must not, the first: {findings[0]}" if findings else holds
    return CheckOutcome("scan", not findings, words, metadata={"places": len(findings)})


def canary_outcome(
    attacks: Sequence[CanaryAttack], none: str = "no table has a column of its own, so there is nothing to attack"
) -> CheckOutcome:
    """The outcome of the check `canaries`: white-box scores gate, those of a sample are shown; `none` says why there are none."""
    numbers: dict[str, float] = {}
    for attack in attacks:
        name = attack.scored_on.replace(" ", "_")
        numbers |= {f"epsilon_lower_{name}": attack.epsilon_lower, f"epsilon_ceiling_{name}": attack.epsilon_ceiling}
        if attack.mu_lower is not None and attack.mu_claimed is not None:
            numbers |= {f"mu_claimed_{name}": attack.mu_claimed, f"mu_lower_{name}": attack.mu_lower}
    words = canary_words(attacks) if attacks else none
    return CheckOutcome("canaries", all(a.passed for a in attacks), words, metadata=numbers)


def _attacked(check: EmpiricalCheck | None) -> CheckOutcome:
    if check is None:
        words = "was measured by an earlier version, which did not attack it"
        return CheckOutcome("empirical", False, words, blocking=False)
    strongest = max(check.noise, key=lambda n: n.mu_lower)
    numbers = {
        "epsilon_claimed": check.epsilon_claimed, "epsilon_lower_bound": check.epsilon_lower,
        "mu_claimed": check.mu_claimed, "mu_lower_bound": check.mu_lower,
        "confidence": strongest.confidence, "repetitions": check.repetitions,
        "least_fault": "none" if strongest.least_fault is None else strongest.least_fault,
    }  # fmt: skip
    words = bound_words(check) if check.passed else failed_words(check)
    return CheckOutcome("empirical", check.passed, words, metadata=numbers)
