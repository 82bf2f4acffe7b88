"""The picture of a budget: small, and drawn for every state."""

from __future__ import annotations

import pytest

from synth_assets.privacy.records import BudgetPoint, BudgetStatus
from synth_assets.reports.budget_plot import budget_over_time

STATUS = BudgetStatus(
    population="clinic", unit="row", epsilon=10, delta=1e-5, spent=6, reserved=1, left=3, overspent=False, level="moderate",
    events=3, ledger_rows=3, ledger_head="0" * 64, releases=(),
)  # fmt: skip


def points(count: int) -> list[BudgetPoint]:
    return [
        BudgetPoint(
            at=f"2026-{n % 12 + 1:02d}-11T10:00:00.000+00:00",
            label="clinic/dp",
            state="settled" if n % 5 else "reading",
            counted=3.0 * (n + 1),
        )
        for n in range(count)
    ]


@pytest.mark.parametrize("count", [0, 1, 4, 12])
def test_a_picture_of_any_history_is_small_enough_for_the_event_log(count: int) -> None:
    png = budget_over_time(STATUS, points(count))
    assert png.startswith(b"\x89PNG")
    assert len(png) < 50_000


def test_what_is_counted_is_what_is_drawn() -> None:
    assert budget_over_time(STATUS, points(3)) != budget_over_time(STATUS, points(2))
    assert budget_over_time(STATUS, points(2)) == budget_over_time(STATUS, points(2))
