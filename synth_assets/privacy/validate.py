"""Is a DP configuration sound, before anything is trained or spent? Errors, warnings, recommended values, predicted epsilon.

What belongs here: judgements of numbers that a person declared. What does not: data (the number of rows is declared or measured under
DP, never counted here) and the ledger, whose status is handed in.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from synth_assets.errors import InputError
from synth_assets.privacy.accounting import spent
from synth_assets.privacy.levels import level_of
from synth_assets.privacy.records import BudgetStatus, Event, Finding, Validation

RECOMMENDED_EPSILON = (0.1, 10.0)
DEFAULT_EPSILON = 1.0
DEFAULT_DELTA = 1e-6  # a constant: it must not depend on the data


def validate(
    *,
    epsilon: float,
    delta: float,
    rows: int | None = None,
    plan: Iterable[Event] | None = None,
    budget: BudgetStatus | None = None,
) -> Validation:
    """Judge a configuration. Nothing is read, trained or spent.

    Args:
        epsilon: Target.
        delta: Target.
        rows: Units of privacy, as declared or as measured under DP; None where neither is known.
        plan: The events that the run would make, for the predicted epsilon.
        budget: Where the population stands.
    """
    findings = [*_epsilon_findings(epsilon), *_delta_findings(delta, rows)]
    predicted = None
    if plan is not None and 0 < delta < 1:
        plan = tuple(plan)
        findings += _plan_findings(plan, epsilon, delta)
        predicted = _predicted(plan, delta)
    if budget is not None:
        findings += _budget_findings(epsilon, delta, budget)
    recommended = {"epsilon": _recommended_epsilon(epsilon, budget), "delta": _recommended_delta(delta, rows)}
    errors = tuple(f for f in findings if f.severity == "error")
    return Validation(
        valid=not errors,
        errors=errors,
        warnings=tuple(f for f in findings if f.severity == "warning"),
        recommended=recommended,
        predicted_epsilon=predicted,
        level=level_of(epsilon).name if epsilon > 0 else None,
    )


def _finding(severity: str, key: str, message: str) -> Finding:
    return Finding.model_validate({"severity": severity, "key": key, "message": message})


def _epsilon_findings(epsilon: float) -> list[Finding]:
    low, high = RECOMMENDED_EPSILON
    if not (math.isfinite(epsilon) and epsilon > 0):
        return [
            _finding(
                "error",
                "epsilon",
                "epsilon must be a number greater than 0: at 0 nothing of the data may be used at all.",
            )
        ]
    if epsilon < low:
        message = f"epsilon {epsilon:g} is below {low:g}: the noise hides nearly everything on tables of fewer than a million rows."
        return [_finding("warning", "epsilon", message)]
    if epsilon > high:
        message = f"epsilon {epsilon:g} is above {high:g}: the guarantee alone protects little (level {level_of(epsilon).name})."
        return [_finding("warning", "epsilon", message)]
    return []


def _delta_findings(delta: float, rows: int | None) -> list[Finding]:
    if not (math.isfinite(delta) and 0 < delta < 1):
        return [_finding("error", "delta", "delta must lie between 0 and 1.")]
    if rows is not None and rows < 1:
        return [_finding("error", "rows", "the declared number of units of privacy must be at least 1.")]
    if rows is not None and delta >= 1 / rows:
        message = f"delta {delta:g} is not below 1/n = {1 / rows:.3g}: publishing one whole record at random would satisfy it."
        return [_finding("error", "delta", message)]
    if rows is not None and delta > 0.1 / rows:
        message = f"delta {delta:g} is within a factor of 10 of 1/n = {1 / rows:.3g}; a tenth of that or less is usual."
        return [_finding("warning", "delta", message)]
    if rows is None and delta > DEFAULT_DELTA * 10:
        message = (
            f"delta {delta:g} is safe only for fewer than {1 / delta:,.0f} people, and their number is not declared."
        )
        return [_finding("warning", "delta", message)]
    return []


def _plan_findings(plan: tuple[Event, ...], epsilon: float, delta: float) -> list[Finding]:
    try:
        cost = spent(plan, delta).epsilon
    except InputError as error:
        return [_finding("error", "delta", error.message)]
    if cost > epsilon * (1 + 1e-9):
        return [
            _finding(
                "error",
                "epsilon",
                f"the planned mechanisms cost epsilon {cost:.4g}, which is above the target {epsilon:g}.",
            )
        ]
    if cost < 0.9 * epsilon:
        message = f"the planned mechanisms cost epsilon {cost:.4g} of {epsilon:g}: less noise would be possible."
        return [_finding("warning", "epsilon", message)]
    return []


def _predicted(plan: tuple[Event, ...], delta: float) -> float | None:
    try:
        return spent(plan, delta).epsilon
    except InputError:
        return None


def _budget_findings(epsilon: float, delta: float, budget: BudgetStatus) -> list[Finding]:
    found = []
    if delta > budget.delta:
        message = (
            f"delta {delta:g} is above the delta {budget.delta:g} of the budget of population {budget.population!r}."
        )
        found.append(_finding("warning", "delta", message))
    if epsilon > budget.epsilon:
        message = (
            f"epsilon {epsilon:g} is above the whole budget {budget.epsilon:g} of population {budget.population!r}."
        )
        found.append(_finding("error", "epsilon", message))
    elif epsilon > budget.left:
        message = (
            f"epsilon {epsilon:g} is above the {budget.left:.4g} left of {budget.epsilon:g} of population {budget.population!r}; "
            "composition may still let it through, the reservation decides."
        )
        found.append(_finding("warning", "epsilon", message))
    return found


def _recommended_epsilon(epsilon: float, budget: BudgetStatus | None) -> float:
    """The default where the asked one is unusable or out of the recommended range, and never above the budget."""
    low, high = RECOMMENDED_EPSILON
    wanted = epsilon if low <= epsilon <= high else DEFAULT_EPSILON
    return min(wanted, budget.epsilon) if budget is not None else wanted


def _recommended_delta(delta: float, rows: int | None) -> float:
    """The asked delta where it is at most 0.1 / n, else the default, made smaller by powers of ten where n asks for it."""
    limit = 0.1 / rows if rows is not None and rows >= 1 else DEFAULT_DELTA * 10
    if 0 < delta <= limit:
        return delta
    value = DEFAULT_DELTA
    while value > limit:
        value /= 10
    return value
