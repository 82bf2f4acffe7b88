"""The budget ledger: what is counted, what is refused, and what a stranger may not do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import text

from synth_assets.errors import BudgetExceededError, ConfigError, InputError, ReleaseRefusedError, SupersededError
from synth_assets.ledger.backends import open_ledger_store
from synth_assets.privacy import budget_rows
from synth_assets.privacy.accounting import ASIDE, adaptive_epsilon, epsilon_spent
from synth_assets.privacy.budget import BudgetLedger, measurement_key
from synth_assets.privacy.records import Event, ExponentialEvent, GaussianEvent, Reservation, ThresholdEvent

DELTA = 1e-5
ONE = (GaussianEvent(sigma=4.0),)  # epsilon 0.929 alone, two of them 1.35
KEY = "a" * 64


def reserve(ledger: BudgetLedger, events: tuple[Event, ...] = ONE, **changes: Any) -> Reservation:
    arguments = {"label": "clinic/dp_measurements", "measurement_key": KEY, "run_id": "run-1", "attempt": 0, **changes}
    return ledger.reserve("clinic", events=events, **arguments)


@pytest.fixture
def declared(ledger: BudgetLedger) -> BudgetLedger:
    ledger.declare("clinic", "patients.patient_id", 2.0, DELTA)
    return ledger


def test_a_release_goes_from_reserved_to_reading_to_settled_and_costs_what_ran(declared: BudgetLedger) -> None:
    alone = epsilon_spent(ONE, DELTA)
    reservation = reserve(declared, (*ONE, ExponentialEvent(epsilon=0.1)))
    assert reservation.state == "reserved"
    status = declared.status("clinic")
    assert (status.spent, status.reserved) == (0, reservation.epsilon)
    reading = declared.begin_reading(reservation)
    assert reading.state == "reading"
    settled = declared.settle(reading, ONE, reference="f" * 64)
    status = declared.status("clinic")
    assert status.spent == alone
    assert status.reserved == 0
    assert status.left == pytest.approx(2.0 - alone)
    assert status.level == "very strong"
    assert declared.find(KEY) == settled
    assert settled.reference == "f" * 64


def test_releases_compose_by_their_events_and_not_by_adding_epsilons(declared: BudgetLedger) -> None:
    for number in range(2):
        declared.settle(declared.begin_reading(reserve(declared, measurement_key=f"{number}" * 64)), ONE)
    together = declared.status("clinic").spent
    assert together == epsilon_spent([GaussianEvent(sigma=4.0, count=2)], (1 - ASIDE) * DELTA)
    assert together < 2 * epsilon_spent(ONE, DELTA)


def test_runs_compose_as_if_each_had_been_chosen_after_seeing_the_others(declared: BudgetLedger) -> None:
    """One run alone costs what its plan costs; from the second on the bound of a privacy filter counts."""
    plan = (GaussianEvent(sigma=12.0, count=4), ExponentialEvent(epsilon=0.08, count=5))
    reserve(declared, plan)
    assert declared.status("clinic").reserved == epsilon_spent(plan, DELTA)
    reserve(declared, plan, measurement_key="b" * 64)
    together = declared.status("clinic").reserved
    assert together == adaptive_epsilon([plan, plan], DELTA) > epsilon_spent([*plan, *plan], DELTA)


def test_a_run_that_does_not_fit_is_refused_before_it_reads_and_leaves_no_trace(declared: BudgetLedger) -> None:
    declared.settle(declared.begin_reading(reserve(declared)), ONE)
    before = declared.status("clinic")
    with pytest.raises(BudgetExceededError) as caught:
        reserve(declared, (GaussianEvent(sigma=2.2),), measurement_key="b" * 64)
    assert caught.value.exit_code == 4
    assert caught.value.key == "budget.epsilon"
    asked = epsilon_spent([GaussianEvent(sigma=2.2)], DELTA)
    assert asked < 2.0  # it would have fitted alone
    assert f"'clinic': the run asks for epsilon {asked:.4g}, {before.left:.4g} of 2 is left" in str(caught.value)
    assert "No data was read." in str(caught.value)
    assert declared.status("clinic") == before


def test_composition_lets_in_more_than_the_difference_of_the_epsilons(declared: BudgetLedger) -> None:
    declared.settle(declared.begin_reading(reserve(declared)), ONE)
    second = reserve(declared, (GaussianEvent(sigma=2.5),), measurement_key="b" * 64)
    assert second.epsilon > 2.0 - epsilon_spent(ONE, DELTA)
    assert declared.status("clinic").left > 0


def test_an_open_reservation_counts_in_full(declared: BudgetLedger) -> None:
    reserve(declared, (GaussianEvent(sigma=2.5),))
    with pytest.raises(BudgetExceededError):
        reserve(declared, (GaussianEvent(sigma=2.5),), measurement_key="b" * 64)


def test_the_sum_survives_a_restart_and_does_not_depend_on_the_version_of_the_data(location: str) -> None:
    first = BudgetLedger(open_ledger_store(location))
    first.declare("clinic", "patients.patient_id", 2.0, DELTA)
    version_1 = measurement_key(population="clinic", data_version="1", domain="d", mechanism="m", parameters={})
    version_2 = measurement_key(population="clinic", data_version="2", domain="d", mechanism="m", parameters={})
    first.settle(first.begin_reading(reserve(first, measurement_key=version_1)), ONE)
    again = BudgetLedger(open_ledger_store(location))
    again.declare("clinic", "patients.patient_id", 2.0, DELTA)
    assert again.status("clinic") == first.status("clinic")
    assert again.find(version_2) is None
    reserve(again, measurement_key=version_2)
    assert again.status("clinic").spent + again.status("clinic").reserved > again.status("clinic").spent > 0.9


def test_the_same_measurement_is_found_and_a_failed_one_is_not(declared: BudgetLedger) -> None:
    assert declared.find(KEY) is None
    declared.settle(declared.begin_reading(reserve(declared, (GaussianEvent(sigma=40.0),))), (), "failed")
    assert declared.find(KEY) is None
    first = declared.settle(
        declared.begin_reading(reserve(declared, (GaussianEvent(sigma=50.0),))), (GaussianEvent(sigma=50.0),)
    )
    assert declared.find(KEY) == first
    fresh = declared.settle(
        declared.begin_reading(reserve(declared, (GaussianEvent(sigma=60.0),))), (GaussianEvent(sigma=60.0),)
    )
    assert declared.find(KEY) == fresh


def test_a_run_that_failed_after_its_first_read_costs_what_it_had_reserved(declared: BudgetLedger) -> None:
    reservation = declared.begin_reading(reserve(declared))
    declared.settle(reservation, (), "failed")
    assert declared.status("clinic").spent == reservation.epsilon


def test_a_run_that_cost_more_than_reserved_is_refused_and_its_real_cost_is_counted(declared: BudgetLedger) -> None:
    reading = declared.begin_reading(reserve(declared))
    more = (GaussianEvent(sigma=3.0),)
    with pytest.raises(BudgetExceededError, match="more than it had reserved"):
        declared.settle(reading, more)
    assert declared.status("clinic").spent == epsilon_spent(more, DELTA)
    assert declared.find(KEY) is None


def test_what_was_not_read_can_be_given_back_and_what_was_read_cannot(declared: BudgetLedger) -> None:
    unread = reserve(declared)
    declared.release_unread(unread)
    assert declared.status("clinic").reserved == 0
    assert declared.status("clinic").releases[0].state == "released"
    with pytest.raises(ReleaseRefusedError, match="is released"):
        declared.begin_reading(unread)
    read = declared.begin_reading(reserve(declared))
    with pytest.raises(ReleaseRefusedError, match="is reading"):
        declared.release_unread(read)
    assert declared.status("clinic").reserved > 0


def test_nothing_is_settled_that_was_never_marked_as_read(declared: BudgetLedger) -> None:
    reservation = reserve(declared)
    with pytest.raises(ReleaseRefusedError, match="is reserved"):
        declared.settle(reservation, ONE)


def test_settling_twice_with_the_same_events_is_one_settlement(declared: BudgetLedger) -> None:
    reading = declared.begin_reading(reserve(declared))
    assert declared.settle(reading, ONE) == declared.settle(reading, ONE)
    with pytest.raises(ReleaseRefusedError, match="settled already"):
        declared.settle(reading, (GaussianEvent(sigma=400.0),))


LABEL = "clinic/dp_measurements"


def test_what_a_dead_attempt_had_begun_to_read_counts_in_full_and_its_orphan_can_do_nothing_more(
    declared: BudgetLedger,
) -> None:
    orphan = declared.begin_reading(reserve(declared))
    assert declared.supersede("clinic", LABEL, run_id="run-2", attempt=0) == (orphan.reservation_id,)
    for step in (
        lambda: declared.settle(orphan, ONE),
        lambda: declared.settle(orphan, (), "failed"),
        lambda: declared.begin_reading(orphan),
        lambda: declared.release_unread(orphan),
    ):
        with pytest.raises(SupersededError, match="attempt 0 of run run-2 holds it"):
            step()
    (release,) = declared.status("clinic").releases
    assert (release.state, release.outcome, release.epsilon) == ("settled", "failed", orphan.epsilon)
    assert declared.status("clinic").reserved == 0
    assert declared.find(KEY) is None


def test_what_a_dead_attempt_had_not_read_is_given_back_and_its_orphan_cannot_read_it(declared: BudgetLedger) -> None:
    orphan = reserve(declared)
    declared.supersede("clinic", LABEL, run_id="run-1", attempt=1)
    assert declared.status("clinic").left == 2.0
    with pytest.raises(SupersededError, match="attempt 1 of run run-1"):
        declared.begin_reading(orphan)
    assert declared.supersede("clinic", LABEL, run_id="run-1", attempt=2) == ()


def test_only_the_label_of_the_taker_is_closed_and_not_its_own_reservation(declared: BudgetLedger) -> None:
    other = reserve(declared, (GaussianEvent(sigma=40.0),), label="clinic/privacy_sweep", measurement_key="b" * 64)
    own = reserve(declared, (GaussianEvent(sigma=40.0),), run_id="run-2", measurement_key="c" * 64)
    assert declared.supersede("clinic", LABEL, run_id="run-2", attempt=0) == ()
    declared.begin_reading(other)
    declared.begin_reading(own)


def test_an_older_attempt_can_neither_supersede_nor_reserve(declared: BudgetLedger) -> None:
    reserve(declared, (GaussianEvent(sigma=40.0),), attempt=2)
    with pytest.raises(SupersededError):
        declared.supersede("clinic", LABEL, run_id="run-1", attempt=1)
    with pytest.raises(SupersededError):
        reserve(declared, attempt=1)


def test_an_orphan_that_cost_more_than_its_plan_is_refused_and_counted_beside_it(declared: BudgetLedger) -> None:
    declared.declare("clinic", "patients.patient_id", 5.0, DELTA)
    orphan = declared.begin_reading(reserve(declared))
    declared.supersede("clinic", LABEL, run_id="run-2", attempt=0)
    ran = (GaussianEvent(sigma=2.0),)
    with pytest.raises(SupersededError):
        declared.settle(orphan, ran)
    status = declared.status("clinic")
    assert [(r.outcome, r.events) for r in status.releases] == [("failed", ONE), ("overspent", ran)]
    assert status.spent == adaptive_epsilon([ONE, ran], DELTA)
    assert declared.verify().whole


def test_whoever_has_lost_the_lease_writes_nothing_into_the_ledger(declared: BudgetLedger) -> None:
    lost: list[bool] = []

    def guard() -> None:
        if lost:
            raise SupersededError("the lease is gone.")

    fenced = declared.fenced(guard)
    unread, reading = reserve(fenced), fenced.begin_reading(reserve(fenced, (GaussianEvent(sigma=40.0),), label="x"))
    before = declared.verify().head
    lost.append(True)
    for step in (
        lambda: reserve(fenced, (GaussianEvent(sigma=40.0),)),
        lambda: fenced.declare("clinic", "patients.patient_id", 9.0, DELTA),
        lambda: fenced.begin_reading(unread),
        lambda: fenced.release_unread(unread),
        lambda: fenced.settle(reading, ()),
        lambda: fenced.supersede("clinic", LABEL, run_id="run-9", attempt=0),
    ):
        with pytest.raises(SupersededError, match="lease"):
            step()
    assert declared.verify().head == before
    with pytest.raises(SupersededError, match="lease"):
        fenced.settle(reading, ONE)  # more than its plan: counted although the holder is out of date
    assert declared.status("clinic").releases[-1].outcome == "overspent"


def test_raising_a_budget_lets_more_in_and_lowering_it_takes_nothing_back(declared: BudgetLedger) -> None:
    declared.settle(declared.begin_reading(reserve(declared)), ONE)
    declared.declare("clinic", "patients.patient_id", 0.5, DELTA)
    status = declared.status("clinic")
    assert status.overspent
    assert (status.left, status.spent) == (0, epsilon_spent(ONE, DELTA))
    with pytest.raises(BudgetExceededError):
        reserve(declared, (GaussianEvent(sigma=4000.0),), measurement_key="b" * 64)
    declared.declare("clinic", "patients.patient_id", 5.0, DELTA)
    assert not declared.status("clinic").overspent
    reserve(declared, measurement_key="b" * 64)


def test_every_declaration_is_kept(location: str, declared: BudgetLedger) -> None:
    for epsilon in (2.0, 3.0, 3.0, 2.5):
        declared.declare("clinic", "patients.patient_id", epsilon, DELTA)
    with open_ledger_store(location).reading() as connection:
        found = budget_rows.declarations(connection, "clinic")
    assert [d.epsilon for d in found] == [2.0, 3.0, 2.5]


def test_another_unit_of_privacy_does_not_start_a_fresh_budget(declared: BudgetLedger) -> None:
    declared.declare("clinic", "row", 2.0, DELTA)
    declared.declare("clinic", "patients.patient_id", 2.0, DELTA)
    reserve(declared)
    with pytest.raises(InputError, match="cannot be composed") as caught:
        declared.declare("clinic", "row", 2.0, DELTA)
    assert "patients.patient_id" in str(caught.value)


def test_thresholds_use_up_the_delta_of_the_budget(declared: BudgetLedger) -> None:
    reserve(declared, (GaussianEvent(sigma=40.0), ThresholdEvent(delta=0.9 * DELTA)))
    with pytest.raises(BudgetExceededError) as caught:
        reserve(declared, (GaussianEvent(sigma=40.0), ThresholdEvent(delta=0.2 * DELTA)), measurement_key="b" * 64)
    assert caught.value.key == "budget.delta"
    assert "No data was read." in str(caught.value)
    with pytest.raises(InputError, match="thresholds"):
        declared.declare("clinic", "patients.patient_id", 2.0, 0.5 * DELTA)


def test_populations_do_not_share_a_budget(declared: BudgetLedger) -> None:
    declared.declare("shop", "row", 1.5, 1e-6)
    reserve(declared)
    assert declared.populations() == ("clinic", "shop")
    assert declared.status("shop").reserved == 0


def test_a_new_ledger_is_told_from_one_that_was_used(location: str) -> None:
    ledger = BudgetLedger(open_ledger_store(location))
    assert ledger.is_new
    ledger.declare("clinic", "row", 1.0, DELTA)
    assert not ledger.is_new
    assert not BudgetLedger(open_ledger_store(location)).is_new


def test_a_population_without_a_budget_is_a_configuration_error(ledger: BudgetLedger) -> None:
    for step in (lambda: reserve(ledger), lambda: ledger.status("clinic")):
        with pytest.raises(ConfigError, match="no privacy budget"):
            step()


@pytest.mark.parametrize(
    "changes",
    [
        {"events": ()},
        {"measurement_key": "short"},
        {"attempt": -1},
        {"label": ""},
        {"run_id": "a\nb"},
        {"label": "x" * 201},
    ],
)
def test_a_malformed_reservation_is_refused(declared: BudgetLedger, changes: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        reserve(declared, **changes)
    assert not declared.status("clinic").releases


@pytest.mark.parametrize(
    ("epsilon", "delta"), [(0, 1e-5), (-1, 1e-5), (1001, 1e-5), (1, 0), (1, 0.01), (float("nan"), 1e-5)]
)
def test_a_malformed_budget_is_refused(ledger: BudgetLedger, epsilon: float, delta: float) -> None:
    with pytest.raises(InputError):
        ledger.declare("clinic", "row", epsilon, delta)
    assert ledger.is_new


def test_a_reservation_of_another_ledger_is_refused(declared: BudgetLedger) -> None:
    stranger = reserve(declared).model_copy(update={"reservation_id": "0" * 32})
    with pytest.raises(ReleaseRefusedError, match="not in this ledger"):
        declared.begin_reading(stranger)


def test_the_measurement_key_changes_with_each_of_its_parts() -> None:
    base = {"population": "p", "data_version": "v", "domain": "d", "mechanism": "m", "parameters": {"epsilon": 1.0}}
    keys = {measurement_key(**base)}  # type: ignore[arg-type]
    keys |= {measurement_key(**{**base, name: "other"}) for name in base}  # type: ignore[arg-type]
    assert len(keys) == 6
    assert measurement_key(**base) in keys  # type: ignore[arg-type]


def test_the_ledger_stores_names_numbers_and_hashes_only(location: str, declared: BudgetLedger) -> None:
    declared.settle(declared.begin_reading(reserve(declared)), ONE)
    with open_ledger_store(location).reading() as connection:
        rows = [row._asdict() for row in connection.execute(text("SELECT * FROM budget_log ORDER BY position"))]
    assert [row["step"] for row in rows] == ["declare", "reserve", "read", "settle"]
    assert set(rows[0]) == set(budget_rows.COLUMNS)
    last = json.loads(rows[-1]["record"])
    stored = last.pop("planned"), last.pop("actual")
    assert set(stored) == {'[{"kind":"gaussian","sigma":4.0,"l2_sensitivity":1.0,"count":1}]'}
    assert set(last) == {
        *("reservation_id", "population", "unit", "label", "measurement_key", "run_id", "attempt"),
        *("fence", "state", "outcome", "reference", "reserved_at", "changed_at"),
    }
