"""The verdict of the attacks in words, the same in the command line, in Dagster and in the report."""

from __future__ import annotations

from collections.abc import Sequence

from synth_assets.privacy.empirical.records import CanaryAttack, EmpiricalCheck


def bound_words(check: EmpiricalCheck) -> str:
    """Claim and lower bound side by side, with confidence, repetitions and power."""
    strongest = max(check.noise, key=lambda n: n.mu_lower)
    what = "" if strongest.steps else " of the steps of DP-SGD"
    return (
        f"at least {check.epsilon_lower:.3g} of the {check.epsilon_claimed:.4g} that are claimed (mu {check.mu_lower:.3g} of "
        f"{check.mu_claimed:.3g}), confidence {strongest.confidence:.2%}, {strongest.repetitions:,} repetitions{what}; "
        f"{_fault_words(strongest.least_fault)}"
    )


def _fault_words(factor: float | None) -> str:
    fault = "no smaller noise would be" if factor is None else f"noise {factor:.3g} times too small is"
    return f"{fault} caught in 95 of 100 checks"


def canary_words(attacks: Sequence[CanaryAttack]) -> str:
    """Lower bounds of attacks with canaries beside the claim, and the most that they could have shown."""
    return "; ".join(_canary_words(a) for a in attacks)


def _canary_words(attack: CanaryAttack) -> str:
    where = "a sample" if attack.scored_on == "sample" else f"the {attack.scored_on}"
    told = "" if attack.gates else "; for information"
    if attack.mu_lower is not None:
        told = f"; mu is at least {attack.mu_lower:.3g} of {attack.mu_claimed:.3g}; {_fault_words(attack.least_fault)}"
    return (
        f"{attack.canaries:,} canaries scored on {where}: epsilon is at least {attack.epsilon_lower:.3g} of "
        f"{attack.epsilon_claimed:.4g} claimed at delta {attack.delta:.0e} ({attack.correct} of {attack.guesses} guesses right, "
        f"confidence {attack.confidence:.1%}, at most {attack.epsilon_ceiling:.3g} could have been shown{told})"
    )


def failed_words(check: EmpiricalCheck) -> str:
    """Which attack broke which claim."""
    for attack in check.noise:
        for step in attack.steps:
            if not step.passed:
                what = f"sigma {step.scale:.4g}" if step.kind == "gaussian" else f"choices of epsilon {step.scale:.3g}"
                return f"an attack on the noise ({what}) {_shows(step.mu_lower, step.mu_claimed)}"
        if not attack.passed:
            return f"an attack on the release {_shows(attack.mu_lower, attack.mu_claimed)}"
    for domain in check.domain:
        if not domain.passed:
            return (
                f"an attack on the public domain tells neighbours apart in {domain.correct} of {domain.repetitions} trials: "
                "bounds or categories depend on single rows."
            )
    return "the attacks found nothing."


def _shows(lower: float, claimed: float) -> str:
    return f"shows a mu of at least {lower:.3g}, but {claimed:.3g} is claimed."
