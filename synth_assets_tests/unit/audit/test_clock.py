"""Parts add up, and a part that fails is timed too."""

from __future__ import annotations

import pytest

from synth_assets.audit import clock as home
from synth_assets.audit.clock import Clock


def test_parts_add_up_and_a_failing_part_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 1.5, 10.0, 10.25, 20.0, 21.0])
    monkeypatch.setattr(home.time, "perf_counter", lambda: next(times))
    clock = Clock()
    with clock.step("a"):
        pass
    with clock.step("b"):
        pass
    with pytest.raises(ValueError, match="planned"), clock.step("a"):
        raise ValueError("planned")
    assert clock.seconds == {"a": 2.5, "b": 0.25}
