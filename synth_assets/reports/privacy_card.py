"""The privacy report of a DP release: the claim and everything that gives it a meaning, as rows of a table.

What belongs here: wording the record of a release. What does not: accounting.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from markupsafe import Markup

from synth_assets.privacy.empirical.words import bound_words
from synth_assets.privacy.levels import LEVELS
from synth_assets.privacy.records import Event
from synth_assets.privacy.report import PrivacyReport
from synth_assets.reports.narrative import (
    REVIEW,
    claim_words,
    delta_text,
    epsilon_text,
    left_text,
    rounded_up,
    unit_words,
)
from synth_assets.reports.svg import gauge

ACCOUNTANTS = {
    "pld": "privacy loss distributions (PLD)",
    "zcdp": "zero-concentrated DP (zCDP)",
    "rdp": "Rényi DP",
    "none": "none",
    "dp_accounting.rdp": "Google dp-accounting, Renyi DP",
    "opacus.prv": "Opacus, privacy random variables",
}


@dataclass(frozen=True)
class Step:
    """Noisy steps of one kind."""

    what: str
    noise: str
    sensitivity: str
    calls: int


@dataclass(frozen=True)
class LevelRow:
    """One privacy level of the scale."""

    name: str
    span: str
    use_case: str
    mine: bool


@dataclass(frozen=True)
class PrivacyCard:
    """The privacy report as the template shows it."""

    mechanism: str
    calls: int
    claim: str
    budget: str
    gauge: Markup
    facts: tuple[tuple[str, str], ...]
    levels: tuple[LevelRow, ...]
    steps: tuple[Step, ...]
    non_dp_inputs: tuple[str, ...]
    notes: tuple[str, ...]


def privacy_card(privacy: PrivacyReport) -> PrivacyCard:
    """What the report shows of a release under differential privacy."""
    used = privacy.budget_epsilon - privacy.budget_left
    budget = (
        f"Population {privacy.population}: {epsilon_text(used)} of {privacy.budget_epsilon:g} is used by all releases together "
        f"(composed at the budget's own delta), {left_text(privacy.budget_left)} is left."
    )
    picture = gauge(used, privacy.budget_epsilon, privacy.spent.epsilon, label=budget)
    return PrivacyCard(
        mechanism=privacy.mechanism,
        calls=privacy.steps,
        claim=claim_words(privacy),
        budget=budget,
        gauge=picture,
        facts=tuple(_facts(privacy).items()),
        levels=level_rows({privacy.level}),
        steps=tuple(_step(event) for event in privacy.events),
        non_dp_inputs=privacy.non_dp_inputs,
        notes=privacy.notes,
    )


def level_rows(mine: Collection[str]) -> tuple[LevelRow, ...]:
    """The scale of privacy levels, with those of the releases marked."""
    return tuple(
        LevelRow(
            level.name,
            f"{level.lower:g} up to {level.upper:g}" if level.upper < float("inf") else f"{level.lower:g} and more",
            level.use_case,
            level.name in mine,
        )
        for level in LEVELS
    )


def _facts(privacy: PrivacyReport) -> dict[str, str]:
    """Every field of the privacy report, in the order in which a reviewer reads them."""
    spent = privacy.spent
    asked = f"{privacy.target_epsilon:g} was asked for"
    thresholds = f", {delta_text(spent.delta_thresholds)} of it for thresholds" if spent.delta_thresholds else ""
    bounds = ", ".join(f"{table} {rows}" for table, rows in privacy.contribution_bounds.items())
    undeclared = "" if privacy.unit_is_declared else " (not declared: one row is protected, not one person)"
    rate = privacy.sampling_rate
    sampling = (
        "1 (every row within the bounds is counted)"
        if rate is None
        else f"{rate:g}: the chance of a unit to be in a step of DP-SGD"
    )
    clipped = {} if privacy.clipping is None else {"Gradient clipping": f"L2 norm {privacy.clipping:g} per unit"}
    return {
        "Epsilon": f"{epsilon_text(spent.epsilon)} spent, computed from the noise that was added; {asked}",
        "Delta": f"{delta_text(spent.delta)}{thresholds}; {delta_text(privacy.target_delta)} was asked for",
        "Level": f"{privacy.level}: {privacy.use_case}",
        "Unit of privacy": f"{privacy.unit}{undeclared}",
        "Neighbours": f"two datasets that differ by {unit_words(privacy)}, added or removed",
        "Contribution bounds (clipping)": f"rows of one unit that are read, at most: {bounds}",
        "Sampling rate": sampling,
        **clipped,
        "Noisy steps": f"{privacy.steps:,}, listed below with their noise",
        **_accounting(privacy),
        "Review of the mechanisms": REVIEW,
        "Budget": f"{privacy.budget_epsilon:g} for population {privacy.population}; {left_text(privacy.budget_left)} is left",
        "Time": f"{privacy.seconds:.0f} s for planning and measuring",
    }


def _accounting(privacy: PrivacyReport) -> dict[str, str]:
    """Both accountants, the simple bound, and the lower bound that was measured."""
    spent, check = privacy.spent, privacy.crosscheck
    rho = f" (rho {rounded_up(spent.rho_zcdp)})" if spent.rho_zcdp else ""
    between = f"between {check.epsilon_lower:.3f} and {epsilon_text(check.epsilon_upper)}"
    agrees = ", and does" if check.epsilon_lower <= spent.epsilon <= check.epsilon_upper else ", and does NOT"
    simple = "Rényi DP" if any(e.kind == "sampled_gaussian" for e in privacy.events) else "zCDP"
    reason = privacy.lower_bound_reason or "no reason was recorded"
    attacked = f"not measured: {reason}" if privacy.empirical is None else bound_words(privacy.empirical)
    return {
        "Primary accountant": f"{ACCOUNTANTS.get(spent.accountant, spent.accountant)}: {epsilon_text(spent.epsilon)}",
        "Simple bound": f"{simple}, conversion of Canonne, Kamath and Steinke: {epsilon_text(spent.epsilon_simple)}{rho}",
        "Second accountant": f"{ACCOUNTANTS.get(check.accountant, check.accountant)}: the claim must lie {between}{agrees}",
        "Empirical lower bound": attacked,
    }


def _step(event: Event) -> Step:
    if event.kind == "gaussian":
        return Step(
            "discrete Gaussian noise on counts",
            f"sigma {event.sigma:.4g} rows",
            f"{event.l2_sensitivity:g}",
            event.count,
        )
    if event.kind == "sampled_gaussian":
        rate = f"sampling rate {event.sampling_rate:.4g}"
        return Step(
            "Gaussian noise on a sum of clipped gradients",
            f"sigma {event.noise_multiplier:.4g} times the clipping bound, {rate}",
            "1",
            event.count,
        )
    if event.kind == "exponential":
        return Step("choice by the exponential mechanism", f"epsilon {event.epsilon:.3g} each", "", event.count)
    return Step("categories shown only above a noisy threshold", f"delta {event.delta:.2g} each", "", event.count)
