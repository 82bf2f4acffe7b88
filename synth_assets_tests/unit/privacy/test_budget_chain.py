"""The budget ledger as a chained log: whoever changes it is found, older ledgers move over whole, and limits and sweeps are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from synth_assets.errors import BudgetExceededError, CheckFailedError, ConfigError, InputError, ServiceUnavailableError
from synth_assets.ledger.backends import LedgerStore, open_ledger_store
from synth_assets.privacy import budget_rows
from synth_assets.privacy.accounting import adaptive_epsilon, epsilon_spent
from synth_assets.privacy.budget import BudgetLedger
from synth_assets.privacy.budget_formats import MIGRATIONS
from synth_assets.privacy.budget_view import BudgetView
from synth_assets.privacy.records import Event, GaussianEvent, Reservation, SampledGaussianEvent

DELTA = 1e-5
SMALL = (GaussianEvent(sigma=40.0),)


def reserve(ledger: BudgetLedger, number: int, events: tuple[Event, ...] = SMALL, **changes: Any) -> Reservation:
    arguments = {"label": "clinic/dp_measurements", "run_id": f"run-{number}", "attempt": 0, **changes}
    return ledger.reserve("clinic", events=events, measurement_key=f"{number:064x}", **arguments)


def take_over(location: str, number: int, run_id: str) -> None:
    """The first half of what `supersede` writes, as a row of its own."""
    store = open_ledger_store(location)
    with store.writing("clinic") as connection:
        (held,) = budget_rows.by_key(connection, f"{number:064x}")
        taken = budget_rows.moved(held, run_id=run_id, attempt=0, fence=held.fence + 1)
        budget_rows.append(connection, "take_over", "clinic", taken)


@pytest.fixture
def used(location: str, ledger: BudgetLedger) -> BudgetLedger:
    """Rows: 1 declare, 2 declare, 3 reserve, 4 read, 5 settle, 6 reserve, 7 release, 8 reserve, 9 take_over."""
    ledger.declare("clinic", "patients.patient_id", 2.0, DELTA)
    ledger.declare("shop", "row", 1.0, DELTA)
    ledger.settle(ledger.begin_reading(reserve(ledger, 1)), SMALL)
    ledger.release_unread(reserve(ledger, 2))
    reserve(ledger, 3)
    take_over(location, 3, "run-4")
    return ledger


def unguarded(location: str, *statements: str) -> LedgerStore:
    """Change the ledger as somebody does who may do everything in the database."""
    store = open_ledger_store(location)
    with store.writing("tampering") as connection:
        if connection.dialect.name == "sqlite":
            for verb in ("update", "delete"):
                connection.execute(text(f"DROP TRIGGER IF EXISTS budget_log_no_{verb}"))
        else:
            connection.execute(text("DROP TRIGGER IF EXISTS budget_log_no_change ON budget_log"))
        for statement in statements:
            connection.execute(text(statement))
    return store


def rewritten(connection: Connection, first: int, change: Callable[[dict[str, Any]], None]) -> None:
    """Change one row and compute all hashes after it anew, as somebody does who knows the format."""
    rows = [r._asdict() for r in connection.execute(text("SELECT * FROM budget_log ORDER BY position"))]
    connection.execute(text("DELETE FROM budget_log"))
    previous = budget_rows.START
    for row in rows:
        if row["position"] == first:
            change(row)
        row["previous"] = previous
        previous = row["hash"] = budget_rows.digest(row)
        names = ", ".join(f":{name}" for name in budget_rows.COLUMNS)
        connection.execute(text(f"INSERT INTO budget_log ({', '.join(budget_rows.COLUMNS)}) VALUES ({names})"), row)
    connection.execute(text("UPDATE budget_head SET hash = :hash"), {"hash": previous})


# ---- the chain


def test_a_ledger_that_nobody_touched_is_whole_and_knows_every_head_it_ever_gave(ledger: BudgetLedger) -> None:
    heads = [ledger.verify().head]
    ledger.declare("clinic", "row", 2.0, DELTA)
    for number in range(3):
        reserve(ledger, number)
        heads.append(ledger.status("clinic").ledger_head)
    verdict = ledger.verify(heads)
    assert (verdict.whole, verdict.rows, verdict.broken, verdict.heads_found) == (True, 4, None, 4)
    assert verdict.head == heads[-1]
    assert len(set(heads)) == 4


@pytest.mark.parametrize(
    ("position", "change", "reason"),
    [
        (5, "UPDATE budget_log SET record = replace(record, '40.0', '90.0') WHERE position = 5", "not what was written"),
        (1, "UPDATE budget_log SET population = 'others' WHERE position = 1", "not what was written"),
        (4, "UPDATE budget_log SET at = '2020-01-01T00:00:00.000+00:00' WHERE position = 4", "not what was written"),
        (6, "UPDATE budget_log SET step = 'release' WHERE position = 6", "not what was written"),
        (3, "UPDATE budget_log SET hash = previous WHERE position = 3", "not what was written"),
        (3, "DELETE FROM budget_log WHERE position = 3", "is missing"),
        (1, "DELETE FROM budget_log WHERE position = 1", "is missing"),
        (9, "DELETE FROM budget_log WHERE position = 9", "rows at the end are missing"),
        (5, "DELETE FROM budget_log WHERE position > 4", "rows at the end are missing"),
        (1, "DELETE FROM budget_log", "rows at the end are missing"),
        (10, "DELETE FROM budget_head", "rows at the end are missing"),
        (9, "UPDATE budget_head SET hash = 'x'", "not the one that the ledger noted"),
    ],
)  # fmt: skip
def test_the_first_row_that_was_changed_or_is_missing_is_named_and_nothing_more_is_granted(
    location: str, used: BudgetLedger, position: int, change: str, reason: str
) -> None:
    unguarded(location, change)
    verdict = used.verify()
    assert verdict.broken is not None
    assert (verdict.whole, verdict.broken.position) == (False, position)
    assert reason in verdict.broken.reason
    with pytest.raises((CheckFailedError, ConfigError)):  # the declaration itself may be gone
        reserve(used, 7)
    with pytest.raises(CheckFailedError, match=f"row {position} of the budget ledger is broken: .* Nothing is granted"):
        used.declare("clinic", "patients.patient_id", 9.0, DELTA)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_one_changed_sign_anywhere_in_a_row_is_found(location: str, used: BudgetLedger, data: st.DataObject) -> None:
    position = data.draw(st.integers(1, 9))
    column = data.draw(st.sampled_from([c for c in budget_rows.COLUMNS if c != "position"]))
    with open_ledger_store(location).reading() as connection:
        old = connection.execute(text(f"SELECT {column} FROM budget_log WHERE position = {position}")).scalar_one()
    place = data.draw(st.integers(0, max(0, len(old) - 1)))
    new = old[:place] + ("0" if old[place : place + 1] != "0" else "1") + old[place + 1 :]
    store = unguarded(location)

    def put(value: str) -> None:
        with store.writing("tampering") as connection:
            statement = text(f"UPDATE budget_log SET {column} = :value WHERE position = {position}")
            connection.execute(statement, {"value": value})

    put(new)
    found = used.verify().broken
    put(old)
    assert found is not None
    assert found.position in {
        position,
        position + 1,
    }  # a changed hash is seen at the row that follows on it, or at its own
    assert used.verify().whole


@pytest.mark.parametrize(
    ("position", "changes"),
    [
        (5, {"state": "released"}),  # a read reservation is given back
        (7, {"fence": 4}),
        (4, {"planned": "[]"}),
        (9, {"population": "shop"}),
        (3, {"state": "settled"}),
        (9, {"nonsense": 1}),
    ],
)
def test_a_chain_written_anew_is_found_where_a_row_is_no_step_of_the_ledger(
    location: str, used: BudgetLedger, position: int, changes: dict[str, Any]
) -> None:
    import json

    def change(row: dict[str, Any]) -> None:
        row["record"] = json.dumps({**json.loads(row["record"]), **changes})

    with unguarded(location).writing("tampering") as connection:
        rewritten(connection, position, change)
    broken = used.verify().broken
    assert broken is not None
    assert broken.position == position


def test_a_chain_written_anew_with_possible_steps_is_found_by_a_head_that_was_kept_elsewhere_and_only_by_it(
    location: str, used: BudgetLedger
) -> None:
    """What the ledger cannot tell by itself: somebody who may write it all and computes every hash after his change."""
    kept = used.verify().head

    def change(row: dict[str, Any]) -> None:
        row["record"] = row["record"].replace("40.0", "90.0")

    with unguarded(location).writing("tampering") as connection:
        for position in (3, 4, 5):
            rewritten(connection, position, change)
    assert used.verify().whole
    verdict = used.verify([kept])
    assert (verdict.whole, verdict.broken, verdict.heads_missing) == (False, None, (kept,))


def test_a_ledger_cut_off_with_its_note_of_the_end_is_found_by_a_head_that_was_kept_elsewhere(
    location: str, used: BudgetLedger
) -> None:
    kept = used.verify().head
    unguarded(
        location,
        "DELETE FROM budget_log WHERE position > 5",
        "UPDATE budget_head SET position = 5, hash = (SELECT hash FROM budget_log WHERE position = 5)",
    )
    assert used.verify().whole
    assert used.verify([kept]).heads_missing == (kept,)


@pytest.mark.parametrize("statement", ["UPDATE budget_log SET at = 'x'", "DELETE FROM budget_log WHERE position = 2"])
def test_the_database_itself_refuses_to_change_a_row(location: str, used: BudgetLedger, statement: str) -> None:
    store = open_ledger_store(location)
    with pytest.raises(ServiceUnavailableError, match="refused a statement"), store.writing("accident") as connection:
        connection.execute(text(statement))
    assert used.verify().whole


# ---- the history


def test_the_history_is_what_was_counted_after_each_reservation(used: BudgetLedger) -> None:
    """Of the three reservations of `used` the second was given back and counts nothing."""
    history = used.history("clinic")
    assert [(p.state, p.counted) for p in history] == [
        ("settled", epsilon_spent(SMALL, DELTA)),
        ("reserved", adaptive_epsilon([SMALL, SMALL], DELTA)),
    ]
    assert used.history("shop") == ()
    status = used.status("clinic")
    assert history[-1].counted == status.spent + status.reserved


def test_who_only_looks_has_no_way_to_spend(location: str, used: BudgetLedger) -> None:
    view = BudgetView(open_ledger_store(location))
    assert view.status("clinic") == used.status("clinic")
    assert view.verify().whole
    assert not [name for name in ("declare", "reserve", "reserve_sweep", "settle", "supersede") if hasattr(view, name)]


# ---- ledgers made before


def test_a_ledger_of_the_first_format_moves_over_whole_and_counts_what_it_counted(location: str) -> None:
    store = open_ledger_store(location)
    store.prepare("budget", MIGRATIONS[:1])
    planned = budget_rows.dump(SMALL)
    with store.writing("old") as connection:
        for position, epsilon in enumerate((1.0, 2.0)):
            connection.execute(
                text("INSERT INTO budget_declarations VALUES ('clinic', :p, 'row', :e, 1e-5, :at)"),
                {"p": position, "e": epsilon, "at": f"2026-01-0{position + 1}T00:00:00.000+00:00"},
            )
        for position, (state, outcome) in enumerate([("settled", "done"), ("reading", None), ("released", None)]):
            connection.execute(
                text(
                    "INSERT INTO budget_reservations VALUES (:id, 'clinic', :p, 'row', 'clinic/dp_measurements', :key, 'run-1', 0, 0, "
                    ":state, :planned, :actual, :outcome, NULL, :at, :at)"
                ),
                {
                    "id": f"{position:032x}", "p": position, "key": f"{position:064x}", "state": state, "planned": planned,
                    "actual": planned if outcome else None, "outcome": outcome, "at": f"2026-01-03T00:00:0{position}.000+00:00",
                },
            )  # fmt: skip
    ledger = BudgetLedger(store)
    status = ledger.status("clinic")
    assert (status.epsilon, [r.state for r in status.releases]) == (2.0, ["settled", "reading", "released"])
    assert status.spent == epsilon_spent(SMALL, DELTA)
    assert status.spent + status.reserved == adaptive_epsilon([SMALL, SMALL], DELTA)
    assert [r.reserved_at for r in status.releases] == [f"2026-01-03T00:00:0{n}.000+00:00" for n in range(3)]
    assert ledger.find("0" * 64) is not None
    verdict = ledger.verify()
    assert (verdict.whole, verdict.rows) == (True, 5)
    (label,) = {r.label for r in status.releases}
    assert len(ledger.supersede("clinic", label, run_id="run-2", attempt=0)) == 1
    reserve(ledger, 9)
    assert BudgetLedger(open_ledger_store(location)).verify([verdict.head]).whole


# ---- limits


def test_one_release_may_not_cost_more_than_its_limit(ledger: BudgetLedger) -> None:
    ledger.declare("clinic", "row", 2.0, DELTA, per_release=0.5)
    with pytest.raises(BudgetExceededError, match="limit of one release is 0.5") as caught:
        reserve(ledger, 1, (GaussianEvent(sigma=4.0),))  # epsilon 0.93
    assert caught.value.key == "budget.per_release"
    assert "No data was read" in str(caught.value)
    reserve(ledger, 1, (GaussianEvent(sigma=8.0),))
    assert len(ledger.status("clinic").releases) == 1


def test_the_datasets_of_a_population_have_limits_of_their_own(ledger: BudgetLedger) -> None:
    ledger.declare("clinic", "row", 2.0, DELTA, per_dataset=1.0)
    one = (GaussianEvent(sigma=4.0),)  # 0.93, two of them 1.38
    reserve(ledger, 1, one, label="visits/dp_measurements")
    with pytest.raises(BudgetExceededError, match="dataset 'visits'") as caught:
        reserve(ledger, 2, one, label="visits/model_dp_tvae")
    assert caught.value.key == "budget.per_dataset"
    reserve(ledger, 3, one, label="claims/dp_measurements")
    status = ledger.status("clinic")
    assert (status.per_release, status.per_dataset, len(status.releases)) == (None, 1.0, 2)


@pytest.mark.parametrize(
    "limits", [{"per_release": 0}, {"per_release": 2.1}, {"per_dataset": -1.0}, {"per_dataset": 3.0}]
)
def test_a_limit_above_the_budget_or_below_zero_is_refused(ledger: BudgetLedger, limits: dict[str, float]) -> None:
    with pytest.raises(InputError, match="must be greater than 0 and not above the budget"):
        ledger.declare("clinic", "row", 2.0, DELTA, **limits)
    assert ledger.is_new


def test_a_change_of_a_limit_is_a_declaration_of_its_own(location: str, ledger: BudgetLedger) -> None:
    for limit in (None, 1.0, 1.0, 0.5):
        ledger.declare("clinic", "row", 2.0, DELTA, per_release=limit)
    with open_ledger_store(location).reading() as connection:
        assert [d.per_release for d in budget_rows.declarations(connection, "clinic")] == [None, 1.0, 0.5]


# ---- sweeps


def test_a_sweep_is_charged_for_every_trial_before_the_first_one_reads(ledger: BudgetLedger) -> None:
    ledger.declare("clinic", "row", 2.0, DELTA)
    plans = {f"{n:064x}": (GaussianEvent(sigma=sigma),) for n, sigma in enumerate((4.0, 6.0, 9.0))}
    made = ledger.reserve_sweep("clinic", trials=plans, label="clinic/sweep", run_id="run-1", attempt=0)
    assert [r.events for r in made] == list(plans.values())
    assert ledger.status("clinic").reserved == adaptive_epsilon(list(plans.values()), DELTA)
    ledger.settle(ledger.begin_reading(made[2]), plans[made[2].measurement_key])  # the winner; the others still count
    assert ledger.status("clinic").spent + ledger.status("clinic").reserved == adaptive_epsilon(plans.values(), DELTA)


def test_a_sweep_that_does_not_fit_is_refused_as_a_whole(ledger: BudgetLedger) -> None:
    ledger.declare("clinic", "row", 1.5, DELTA)
    plans = {f"{n:064x}": (GaussianEvent(sigma=4.0),) for n in range(3)}  # two would fit
    before = ledger.verify()
    with pytest.raises(BudgetExceededError, match="the 3 runs ask for epsilon 1.7"):
        ledger.reserve_sweep("clinic", trials=plans, label="clinic/sweep", run_id="run-1", attempt=0)
    assert ledger.verify() == before
    with pytest.raises(InputError, match="needs events"):
        ledger.reserve_sweep("clinic", trials={}, label="clinic/sweep", run_id="run-1", attempt=0)


# ---- trainings


def test_trainings_and_counts_share_a_budget(ledger: BudgetLedger) -> None:
    ledger.declare("clinic", "row", 1.5, DELTA)
    training = (SampledGaussianEvent(noise_multiplier=1.6, sampling_rate=0.01, count=1000),)  # about 1 at 1e-6
    first = reserve(ledger, 1, training, label="clinic/model_dp_tvae")
    ledger.settle(ledger.begin_reading(first), training)
    assert ledger.find(f"{1:064x}") is not None
    reserve(ledger, 2, (GaussianEvent(sigma=4.0),))
    status = ledger.status("clinic")
    assert status.spent + status.reserved == adaptive_epsilon([training, (GaussianEvent(sigma=4.0),)], DELTA)
    with pytest.raises(BudgetExceededError):
        reserve(ledger, 3, training)


def test_a_training_that_ran_more_steps_than_planned_is_overspent(ledger: BudgetLedger) -> None:
    ledger.declare("clinic", "row", 2.0, DELTA)
    planned = SampledGaussianEvent(noise_multiplier=2.0, sampling_rate=0.01, count=100)
    held = ledger.begin_reading(reserve(ledger, 1, (planned,)))
    with pytest.raises(BudgetExceededError, match="more than it had reserved"):
        ledger.settle(held, (planned.model_copy(update={"count": 101}),))
    assert ledger.status("clinic").releases[0].outcome == "overspent"
