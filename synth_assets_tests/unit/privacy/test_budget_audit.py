"""Releases again from the ledger: honest ones agree, and whoever changes a claim, a report or the recorded events is named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import text

from synth_assets.privacy import budget_audit, budget_checked, budget_rows
from synth_assets.privacy.accounting import spent
from synth_assets.privacy.budget import BudgetLedger
from synth_assets.privacy.crosscheck import verify
from synth_assets.privacy.records import Event, ExponentialEvent, GaussianEvent, SampledGaussianEvent, ThresholdEvent
from synth_assets.privacy.report import PrivacyReport
from synth_assets_tests.unit.privacy.test_budget_chain import reserve, rewritten, unguarded

DELTA = 1e-6
COUNTS = (GaussianEvent(sigma=30.0, count=4), ExponentialEvent(epsilon=0.05, count=3))


def report_of(ran: tuple[Event, ...], reservation_id: str | None, **changes: Any) -> PrivacyReport:
    cost = spent(ran, DELTA)
    given = {
        "mechanism": "dp_marginals", "population": "clinic", "unit": "row", "unit_is_declared": True, "target_epsilon": 1.0,
        "target_delta": DELTA, "spent": cost, "crosscheck": verify(ran, cost), "events": ran, "level": "strong",
        "use_case": "tests", "budget_epsilon": 5.0, "budget_left": 4.0, "steps": 7, "seconds": 0.1,
        "reservation_id": reservation_id,
    }  # fmt: skip
    return PrivacyReport.model_validate(given | changes)


def released(ledger: BudgetLedger, number: int, events: tuple[Event, ...] = COUNTS) -> str:
    held = ledger.begin_reading(reserve(ledger, number, events))
    ledger.settle(held, events)
    return held.reservation_id


def weaker(row: dict[str, Any]) -> None:
    """A settled release that says it added more noise than it did."""
    record = json.loads(row["record"])
    row["record"] = json.dumps(
        {**record, "actual": record["actual"].replace("30.0", "900.0")}, sort_keys=True, separators=(",", ":")
    )


@pytest.fixture
def used(ledger: BudgetLedger) -> BudgetLedger:
    ledger.declare("clinic", "row", 8.0, 1e-5)
    return ledger


def test_honest_releases_agree_with_their_reports_by_both_accountants(used: BudgetLedger) -> None:
    steps = (GaussianEvent(sigma=60.0), SampledGaussianEvent(noise_multiplier=3.0, sampling_rate=0.1, count=30))
    first, second = released(used, 1), released(used, 2, steps)
    reserve(used, 3)
    used.release_unread(reserve(used, 4))
    told = used.audit({"a": report_of(COUNTS, first), "b": report_of(steps, second)})
    assert [(r.release, r.state, r.agrees, r.reason) for r in told] == [
        ("a", "done", True, None),
        ("b", "done", True, None),
        ("clinic/dp_measurements", "reserved", True, None),
    ]
    for verdict in told:
        assert verdict.epsilon is not None
        assert verdict.second_lower is not None
        assert verdict.second_upper is not None
        assert verdict.second_lower <= verdict.epsilon <= verdict.second_upper * 1.000001
    assert [r.accountant for r in told] == ["dp_accounting.rdp", "opacus.prv", "dp_accounting.rdp"]


def test_what_ran_may_be_less_than_what_was_reserved(used: BudgetLedger) -> None:
    held = released(used, 1)
    fewer = report_of(COUNTS, held, events=(GaussianEvent(sigma=30.0, count=3),))
    assert [r.agrees for r in used.audit({"a": fewer})] == [True]


def test_reports_of_older_versions_are_found_by_what_they_cost(used: BudgetLedger) -> None:
    released(used, 1)
    released(used, 2)
    reports = {name: report_of(COUNTS, None) for name in ("a", "b")}
    assert [(r.release, r.agrees) for r in used.audit(reports)] == [("a", True), ("b", True)]
    told = used.audit({**reports, "c": report_of(COUNTS, None)})
    assert [(r.release, r.agrees) for r in told] == [("a", True), ("b", True), ("c", False)]
    assert "no release of the ledger paid" in str(told[-1].reason)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"spent": {**spent(COUNTS, DELTA).model_dump(), "epsilon": 0.1}}, "claims epsilon 0.1"),
        ({"events": (*COUNTS, GaussianEvent(sigma=5.0))}, "not reserved"),
        ({"events": (GaussianEvent(sigma=20.0, count=4),)}, "not reserved"),
        (
            {"crosscheck": {**verify(COUNTS, spent(COUNTS, DELTA)).model_dump(), "epsilon_claimed": 0.1}},
            "another epsilon",
        ),
    ],
)
def test_a_report_that_its_events_do_not_bear_out_is_named(
    used: BudgetLedger, changes: dict[str, Any], words: str
) -> None:
    (told,) = used.audit({"a": report_of(COUNTS, released(used, 1), **changes)})
    assert not told.agrees
    assert words in str(told.reason)


def test_a_report_of_another_ledger_is_named(used: BudgetLedger) -> None:
    released(used, 1)
    told = used.audit({"a": report_of(COUNTS, "f" * 32)})
    assert [(r.release, r.agrees) for r in told] == [("clinic/dp_measurements", True), ("a", False)]


def test_events_that_were_made_weaker_in_a_whole_new_log_are_found_by_the_report(
    location: str, used: BudgetLedger
) -> None:
    held = released(used, 1)
    store = unguarded(location)
    with store.writing("tampering") as connection:
        rewritten(connection, 4, weaker)
    assert used.verify().whole
    (told,) = used.audit({"a": report_of(COUNTS, held)})
    assert not told.agrees
    assert "the events in the ledger cost 0." in str(told.reason)


def test_a_second_accountant_that_disagrees_is_named(used: BudgetLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    released(used, 1)
    half = spent(COUNTS, 1e-5)
    lying = half.model_copy(update={"epsilon": half.epsilon / 2})
    monkeypatch.setattr(budget_audit, "_cost", lambda *_: lying)
    (told,) = used.audit({})
    assert not told.agrees
    assert "below" in str(told.reason)


def test_thresholds_that_use_the_delta_up_are_named(used: BudgetLedger) -> None:
    greedy = (*COUNTS, ThresholdEvent(delta=1.9e-6))
    held = released(used, 1, greedy)
    report = report_of(COUNTS, held)  # its delta is smaller than that of the thresholds
    (told,) = used.audit({"a": report})
    assert not told.agrees
    assert "delta" in str(told.reason)


# ---- checkpoints


def test_a_reservation_hashes_rows_once_and_then_only_new_ones_and_its_own(
    used: BudgetLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(20):
        used.declare(f"other{i}", "row", 1.0, 1e-5)
    released(used, 1)
    reserve(used, 2)
    hashed: list[str] = []
    honest = budget_rows.digest
    monkeypatch.setattr(budget_rows, "digest", lambda row: hashed.append(row["population"]) or honest(row))
    reserve(used, 3)
    assert hashed.count("clinic") <= 7  # its five rows before, the new one once more, and the one that is written
    assert not [p for p in hashed if p != "clinic"]
    assert used.verify().whole
    assert len(hashed) > 25


@pytest.mark.parametrize("population", ["clinic", "shop"])
def test_an_old_row_of_another_population_is_found_by_the_full_check_and_an_own_one_at_once(
    location: str, used: BudgetLedger, population: str
) -> None:
    used.declare("shop", "row", 1.0, 1e-5)
    released(used, 1)
    reserve(used, 2)
    position = {"clinic": 1, "shop": 2}[population]
    unguarded(location, f"UPDATE budget_log SET record = replace(record, 'row', 'raw') WHERE position = {position}")
    broken = used.verify().broken
    assert broken is not None
    assert broken.position == position
    if population == "clinic":
        with pytest.raises(Exception, match="row 1 of the budget ledger is broken"):
            reserve(used, 3)
    else:
        reserve(used, 3)


def test_a_log_written_anew_contradicts_the_checkpoint_and_nothing_is_granted(
    location: str, used: BudgetLedger
) -> None:
    released(used, 1)
    reserve(used, 2)

    store = unguarded(location)
    with store.writing("tampering") as connection:
        before = connection.execute(text("SELECT * FROM budget_checked WHERE population <> ''")).all()
        rewritten(connection, 4, weaker)
        head = connection.execute(text("SELECT position, hash FROM budget_log WHERE position = 4")).one()
        connection.execute(text("DELETE FROM budget_checked"))
        for row in before:
            connection.execute(
                text("INSERT INTO budget_checked VALUES (:p, 4, :d)"), {"p": row.population, "d": row.digest}
            )
        connection.execute(text("INSERT INTO budget_checked VALUES ('', 4, :h)"), {"h": head.hash})
    assert budget_checked.OTHER in str(used.verify().broken)
    with pytest.raises(Exception, match="not the ones that were checked"):
        reserve(used, 3)


def test_a_lost_checkpoint_only_means_that_all_is_looked_at(location: str, used: BudgetLedger) -> None:
    released(used, 1)
    unguarded(location, "DELETE FROM budget_checked")
    reserve(used, 2)
    unguarded(location, "UPDATE budget_checked SET digest = 'x', position = 1 WHERE population = ''")
    reserve(used, 3)
    assert used.verify().whole
