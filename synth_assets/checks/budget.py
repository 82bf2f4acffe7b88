"""The gate of a DP release: what ran against what was asked for, and a second accountant against the first."""

from __future__ import annotations

from synth_assets.assets.stage import CheckOutcome
from synth_assets.privacy.report import PrivacyReport

ROUNDING = 1e-6
LOWER_SHARE = 0.99


def budget_outcomes(report: PrivacyReport) -> tuple[CheckOutcome, ...]:
    """The outcomes of the checks `budget` and `accountant`."""
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
    )
