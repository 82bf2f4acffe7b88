"""Nightly: how often canaries in a run reject broken steps, and honest ones. Each fault once, and quickly: test_dpsgd_canaries.py."""

from __future__ import annotations

import pytest

from synth_assets.privacy.mechanisms import SystemNoise
from synth_assets_tests.unit.synthesis.test_dpsgd_canaries import BROKEN, Unclipped, verdict

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _no_power(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run could have seen is simulated with every verdict, which takes longer than the run."""
    monkeypatch.setattr(
        "synth_assets.privacy.empirical.step_canaries.least_step_fault", lambda *_args, **_options: None
    )


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_run_is_rejected_in_twenty_of_twenty(fault: str) -> None:
    assert not any(verdict(BROKEN[fault]).passed for _ in range(20))


def test_gradients_that_are_not_clipped_are_rejected_in_twenty_of_twenty() -> None:
    assert not any(verdict(SystemNoise(), Unclipped).passed for _ in range(20))


def test_honest_runs_are_rejected_no_more_often_than_they_may_be() -> None:
    """60 runs at a chance of 0.05 each: more than 9 alarms have a chance of 0.001."""
    assert sum(not verdict(SystemNoise(), alpha=0.05).passed for _ in range(60)) <= 9
