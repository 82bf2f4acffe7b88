"""Every step of a reservation's life is in the audit ledger, with the row of the budget ledger that it is."""

from __future__ import annotations

from pathlib import Path

from synth_assets.api.ledgers import Filter, entries
from synth_assets.config.runtime import Settings
from synth_assets.ledger.opening import open_audit_ledger
from synth_assets.privacy.budget import BudgetLedger
from synth_assets.privacy.opening import open_budget_ledger
from synth_assets.privacy.records import GaussianEvent, Reservation

EVENTS = (GaussianEvent(sigma=20.0, count=1),)


def reserve(ledger: BudgetLedger, number: int, run_id: str = "r1") -> Reservation:
    return ledger.reserve(
        "people", events=EVENTS, label="people/dp", measurement_key=f"{number:064x}", run_id=run_id, attempt=0
    )


def test_each_step_of_a_reservation_is_told_with_its_row_and_outcome(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    ledger = open_budget_ledger(settings)
    ledger.declare("people", "row", 5.0, 1e-5)
    ledger.settle(ledger.begin_reading(reserve(ledger, 1)), EVENTS)
    ledger.release_unread(reserve(ledger, 2))
    ledger.begin_reading(reserve(ledger, 3))
    ledger.supersede("people", "people/dp", run_id="r2", attempt=0)
    told = list(entries(open_audit_ledger(settings), Filter(action="budget")))
    assert [(e["action"], e["outcome"], e["run_id"]) for e in told] == [
        ("budget.declare", "ok", None),
        ("budget.reserve", "ok", "r1"),
        ("budget.read", "ok", "r1"),
        ("budget.settle", "ok", "r1"),
        ("budget.reserve", "ok", "r1"),
        ("budget.release", "ok", "r1"),
        ("budget.reserve", "ok", "r1"),
        ("budget.read", "ok", "r1"),
        ("budget.take_over", "ok", "r2"),
        ("budget.settle", "failed", "r2"),
    ]
    assert [e["details"]["budget_row"] for e in told] == list(range(1, 11))
