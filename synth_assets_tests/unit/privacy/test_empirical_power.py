"""The attacks at their full length, and every fault twenty times; minutes long."""

from __future__ import annotations

import pytest

from synth_assets.privacy.empirical.noise import attack_noise
from synth_assets.privacy.mechanisms import SystemNoise
from synth_assets_tests.unit.privacy.faults import BROKEN, HONEST, Redrawing

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("fault", BROKEN)
def test_a_fault_is_rejected_in_twenty_of_twenty(fault: str) -> None:
    assert not any(attack_noise(HONEST, BROKEN[fault], repetitions=20_000).passed for _ in range(20))


def test_a_retry_with_fresh_noise_is_rejected_in_twenty_of_twenty() -> None:
    assert not any(attack_noise(HONEST, SystemNoise(), repetitions=20_000, steps=Redrawing).passed for _ in range(20))


def test_of_three_hundred_honest_releases_hardly_one_alarms() -> None:
    """The chance of an alarm is below 1 in 1,000 each; six alarms among 300 would be 1 chance in a million."""
    assert sum(not attack_noise(HONEST, SystemNoise(), repetitions=10_000).passed for _ in range(300)) <= 5


def test_a_million_repetitions_show_nine_tenths_of_the_claim() -> None:
    found = attack_noise(HONEST, SystemNoise(), repetitions=1_000_000, alpha=1e-3)
    assert found.mu_lower < 1.02 * found.mu_claimed
    assert found.mu_lower >= 0.90 * found.mu_claimed
