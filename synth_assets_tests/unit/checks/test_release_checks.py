"""Outcomes of the attacks and of the scan, as checks: what blocks, what is shown, and that words hold numbers only."""

from __future__ import annotations

from typing import Any

import pytest

from synth_assets.checks.budget import canary_outcome, refused_outcomes, scan_outcome
from synth_assets.privacy.empirical.records import (
    CanaryAttack,
    DomainAttack,
    EmpiricalCheck,
    NoiseAttack,
    StepAttack,
)
from synth_assets.privacy.empirical.words import bound_words, failed_words


def noise(lower: float, *, step: float = 0.05, fault: float | None = 1.06) -> NoiseAttack:
    steps = (
        StepAttack(kind="gaussian", scale=40.0, calls=9, mu_claimed=0.1, mu_lower=step, passed=step <= 0.1),
        StepAttack(kind="exponential", scale=0.02, calls=9, mu_claimed=0.1, mu_lower=step, passed=step <= 0.1),
    )
    return NoiseAttack(
        repetitions=1_000_000, correct=550_000, confidence=0.9996, mu_claimed=0.27, mu_lower=lower, mu_ceiling=8.0, least_fault=fault,
        steps=steps, passed=lower <= 0.27 and step <= 0.1,
    )  # fmt: skip


def check(attack: NoiseAttack, domain: bool = True) -> EmpiricalCheck:
    cells = DomainAttack(
        neighbour="extreme", repetitions=20, correct=20, confidence=0.9999, mu_claimed=0.27, mu_lower=0.5, passed=domain
    )
    return EmpiricalCheck(
        epsilon_claimed=1.0, epsilon_lower=0.95, delta=1e-5, mu_claimed=0.27, mu_lower=attack.mu_lower, false_alarm=1e-6,
        repetitions=1_000_000, noise=(attack,), domain=(cells,), seconds=3.0, passed=attack.passed and domain,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (check(noise(0.4)), "an attack on the release shows a mu of at least 0.4, but 0.27 is claimed"),
        (check(noise(0.2, step=0.3)), "sigma 40"),
        (check(noise(0.2), domain=False), "tells neighbours apart in 20 of 20"),
    ],
)
def test_a_broken_claim_blocks_and_says_which_attack_broke_it(broken: EmpiricalCheck, words: str) -> None:
    outcomes = {o.name: o for o in refused_outcomes(broken)}
    assert set(outcomes) == {"budget", "accountant", "empirical", "scan"}
    assert not outcomes["empirical"].passed
    assert outcomes["empirical"].blocking
    assert words in outcomes["empirical"].description
    assert outcomes["empirical"].metadata["mu_claimed"] == 0.27
    assert words in failed_words(broken)


def test_the_verdict_says_claim_bound_confidence_repetitions_and_power() -> None:
    words = bound_words(check(noise(0.256)))
    for part in (
        "at least 0.95 of the 1 ",
        "mu 0.256 of 0.27",
        "99.96%",
        "1,000,000 repetitions",
        "1.06 times too small",
    ):
        assert part in words
    assert "no smaller noise would be caught" in bound_words(check(noise(0.256, fault=None)))


def canary(**more: Any) -> CanaryAttack:
    fields = {
        "scored_on": "noisy tables", "canaries": 1000, "guesses": 500, "correct": 499, "confidence": 0.999,
        "epsilon_claimed": 1.0, "delta": 1e-7, "epsilon_lower": 4.0, "epsilon_ceiling": 4.6, "gates": True, "passed": False,
    }  # fmt: skip
    return CanaryAttack.model_validate(fields | more)


def test_canaries_on_noisy_tables_block_and_those_on_a_sample_do_not() -> None:
    assert not canary_outcome([canary()]).passed
    sample = canary(scored_on="sample", gates=False, passed=True)
    assert canary_outcome([sample]).passed
    shown = canary_outcome([canary(), sample])
    assert shown.metadata["epsilon_lower_noisy_tables"] == 4.0
    assert "for information" in shown.description
    assert canary_outcome([]).passed


def test_a_finding_of_the_scan_blocks() -> None:
    found = scan_outcome(("model.json: has keys that the format does not have.",), "fine")
    assert (found.passed, found.blocking) == (False, True)
    assert "model.json" in found.description
    assert scan_outcome((), "fine").passed
