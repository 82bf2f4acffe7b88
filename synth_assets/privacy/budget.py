"""The privacy budget of each population: reserve before the first read, settle with what really ran, refuse what does not fit.

What belongs here: the decisions. What does not: SQL (budget_rows.py), transactions (ledger/backends.py) and data values, of which the
ledger holds none. A crash leaves a reservation counted in full. Rules and their tests: docs/mechanisms/budget.md.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from sqlalchemy import Connection

from synth_assets.errors import BudgetExceededError, ConfigError, InputError, ReleaseRefusedError
from synth_assets.ledger.backends import LedgerStore
from synth_assets.privacy import budget_rows as rows
from synth_assets.privacy.accounting import adaptive_epsilon, compose, covers, epsilon_spent
from synth_assets.privacy.levels import level_of
from synth_assets.privacy.records import (
    BudgetStatus,
    Event,
    ReleaseRecord,
    Reservation,
    Settlement,
)
from synth_assets.storage.hashing import hash_json

ROUNDING = 1e-9
_KEY = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,200}")


class BudgetLedger:
    """Budgets of all populations in one durable store.

    A population is the people (or other units of privacy) that the contract names; its budget does not depend on the version of the
    data. Everything that was ever counted is composed again, from its events, at every decision.

    Args:
        store: Where the ledger lives.
    """

    def __init__(self, store: LedgerStore) -> None:
        self._store = store
        store.prepare("budget", rows.MIGRATIONS)

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever declared here; artifacts without their ledger are an error, never a fresh start."""
        with self._store.reading() as connection:
            return not rows.populations(connection)

    def declare(self, population: str, unit: str, epsilon: float, delta: float) -> None:
        """State the budget of a population. The latest declaration holds; every change is recorded.

        A lower budget takes nothing back: what is counted stays counted, and everything further is refused.

        Raises:
            InputError: a name is empty or has control characters; a number is out of range; releases exist under another unit; or the
                thresholds of earlier releases have used more than this delta.
        """
        _check_names(population=population, unit=unit)
        if not (0 < epsilon <= 1000 and 0 < delta < 1e-2):
            raise InputError("a budget needs 0 < epsilon <= 1000 and 0 < delta < 0.01.", key="budget")
        with self._store.writing(population) as connection:
            last = rows.last_declaration(connection, population)
            if last and (last.unit, last.epsilon, last.delta) == (unit, epsilon, delta):
                return
            counted = _counted(rows.reservations(connection, population))
            if last and last.unit != unit and counted:
                raise InputError(
                    f"population {population!r} has releases under the unit of privacy {last.unit!r}; "
                    f"they cannot be composed with releases under {unit!r}.",
                    key="unit",
                    remedy=f"Keep `unit: {last.unit}`, or name another `population` if these are other people.",
                )
            _together(counted, delta)  # raises where thresholds have used this delta up
            rows.add_declaration(connection, population, unit, epsilon, delta)

    def reserve(
        self, population: str, *, events: Iterable[Event], label: str, measurement_key: str, run_id: str, attempt: int
    ) -> Reservation:
        """Set budget aside for a run that has read nothing yet.

        Args:
            population: Declared before.
            events: Everything that the run may do, at most.
            label: Dataset and asset.
            measurement_key: 64 hex digits.
            run_id: The run.
            attempt: Its attempt, from 0.

        Returns:
            The reservation, in state "reserved". Call `begin_reading` before the first read.

        Raises:
            BudgetExceededError: settled, reserved and new events together cost more than the budget. No data was read.
            ConfigError: the population has no budget.
            ReleaseRefusedError: a newer attempt of this run has already asked.
            InputError: no event, or a name or key is malformed.
        """
        planned = compose(events)
        _check_names(population=population, label=label, run_id=run_id)
        if not planned or not _KEY.fullmatch(measurement_key) or attempt < 0:
            raise InputError("a reservation needs events, a measurement key of 64 hex digits and an attempt from 0.")
        with self._store.writing(population) as connection:
            budget = _budget(connection, population)
            for row in rows.by_key(connection, measurement_key):
                if row.run_id == run_id and row.attempt > attempt:
                    raise _stale(row, run_id, attempt)
            before = _counted(rows.reservations(connection, population))
            _refuse_if_over(budget, before, planned)
            reservation_id = uuid.uuid4().hex
            values = {"reservation_id": reservation_id, "population": population, "unit": budget.unit, "label": label}
            holder = {
                "measurement_key": measurement_key,
                "run_id": run_id,
                "attempt": attempt,
                "planned": rows.dump(planned),
            }
            rows.add_reservation(connection, {**values, **holder})
            return _reservation(rows.by_id(connection, reservation_id), budget.delta)

    def begin_reading(self, reservation: Reservation) -> Reservation:
        """Note that the first read is about to happen; from here on the reservation is never given back.

        Raises:
            ReleaseRefusedError: a newer attempt holds the reservation, or it is closed.
        """
        with self._store.writing(reservation.population) as connection:
            row = _held(connection, reservation, rows.OPEN)
            rows.move(connection, row, state="reading")
            return _reservation(rows.by_id(connection, row.reservation_id), reservation.delta)

    def settle(
        self,
        reservation: Reservation,
        events: Iterable[Event],
        outcome: Literal["done", "failed"] = "done",
        *,
        reference: str | None = None,
    ) -> Settlement:
        """Close a reservation with what really ran.

        A run that failed after its first read costs what it had reserved. Settling twice with the same events changes nothing.

        Args:
            reservation: In state "reading".
            events: What ran; may cost less than planned.
            outcome: "done" makes the measurement findable by its key.
            reference: Content hash of the stored measurement.

        Raises:
            BudgetExceededError: the run cost more than it had reserved. The real cost is recorded; its result must be thrown away.
            ReleaseRefusedError: a newer attempt holds the reservation, it was never read, or it is closed in another way.
        """
        actual = compose(events)
        with self._store.writing(reservation.population) as connection:
            row = _held(connection, reservation, ("reading", "settled"))
            if row.state == "settled":
                if (row.outcome, row.actual) != (outcome, rows.dump(actual)):
                    raise ReleaseRefusedError(
                        f"the reservation {row.reservation_id} is settled already, with other events."
                    )
                return _settlement(row)
            within = covers(rows.load(row.planned), actual, _budget(connection, row.population).delta)
            told = outcome if within else "overspent"
            rows.move(connection, row, state="settled", actual=rows.dump(actual), outcome=told, reference=reference)
            settled = _settlement(rows.by_id(connection, row.reservation_id))
        if not within:
            raise BudgetExceededError(
                f"{reservation.label}: the run cost more than it had reserved. The real cost is recorded; its result must not be used.",
                key="budget.epsilon",
                remedy="This is a fault of the mechanism's plan; please report it.",
            )
        return settled

    def release_unread(self, reservation: Reservation) -> None:
        """Give a reservation back. Only its holder may, and only while no read has begun.

        Raises:
            ReleaseRefusedError: a read has begun, the reservation is closed, or a newer attempt holds it.
        """
        with self._store.writing(reservation.population) as connection:
            row = _held(connection, reservation, ("reserved",))
            rows.move(connection, row, state="released")

    def take_over(self, measurement_key: str, *, run_id: str, attempt: int) -> Reservation | None:
        """Take the newest open reservation of a measurement from an attempt that died; its old holder is refused from here on.

        A reservation in state "reserved" may go on as if it were new. One in state "reading" pays for what was drawn before: the taker
        may go on from stored measurements, and must reserve again for every fresh draw of what was drawn already.

        Returns:
            The reservation, or None where there is no open one.

        Raises:
            ReleaseRefusedError: the holder is this very attempt of the run, or a newer one.
        """
        _check_names(run_id=run_id)
        with self._store.reading() as connection:
            found = [r for r in rows.by_key(connection, measurement_key) if r.state in rows.OPEN]
        if not found:
            return None
        with self._store.writing(found[-1].population) as connection:
            row = rows.by_id(connection, found[-1].reservation_id)
            if row is None or row.state not in rows.OPEN:
                return None
            if row.run_id == run_id and row.attempt >= attempt:
                raise _stale(row, run_id, attempt)
            rows.move(connection, row, run_id=run_id, attempt=attempt, fence=row.fence + 1)
            budget = _budget(connection, row.population)
            return _reservation(rows.by_id(connection, row.reservation_id), budget.delta)

    def find(self, measurement_key: str) -> Settlement | None:
        """The newest finished measurement with this key: it is used again, and nothing is spent."""
        with self._store.reading() as connection:
            done = [r for r in rows.by_key(connection, measurement_key) if r.state == "settled" and r.outcome == "done"]
            return _settlement(done[-1]) if done else None

    def populations(self) -> tuple[str, ...]:
        """Every population with a budget, by name."""
        with self._store.reading() as connection:
            return rows.populations(connection)

    def status(self, population: str) -> BudgetStatus:
        """Budget, what is spent and reserved, what is left, and every release.

        Raises:
            ConfigError: the population has no budget.
        """
        with self._store.reading() as connection:
            budget = _budget(connection, population)
            found = rows.reservations(connection, population)
        delta = budget.delta
        spent = _together(_counted(r for r in found if r.state == "settled"), delta)
        total = max(spent, _together(_counted(found), delta))
        return BudgetStatus(
            population=population,
            unit=budget.unit,
            epsilon=budget.epsilon,
            delta=delta,
            spent=spent,
            reserved=total - spent,
            left=max(0.0, budget.epsilon - total),
            overspent=total > budget.epsilon * (1 + ROUNDING),
            level=level_of(total).name,
            releases=tuple(_release(r, delta) for r in found),
        )


def measurement_key(*, population: str, data_version: str, domain: str, mechanism: str, parameters: object) -> str:
    """Hash of what is measured, on what, and how: the same key means the same measurement, which costs nothing a second time.

    Args:
        population: Whose data.
        data_version: Content hash of the data.
        domain: Hash of the public domain.
        mechanism: Name and code version.
        parameters: Any JSON value: epsilon, delta, shares, workload.
    """
    return hash_json([population, data_version, domain, mechanism, parameters])


def _budget(connection: Connection, population: str) -> Any:
    found = rows.last_declaration(connection, population)
    if found is None:
        raise ConfigError(
            f"population {population!r} has no privacy budget.",
            key="budget",
            remedy="Declare `budget: {epsilon, delta}` in its dataset.",
        )
    return found


def _counted(found: Iterable[Any]) -> list[tuple[Event, ...]]:
    """What each reservation counts, without those that count nothing."""
    return [events for events in map(rows.counted_events, found) if events]


def _together(groups: Sequence[tuple[Event, ...]], delta: float) -> float:
    """Epsilon of several runs. The noise of a run is fixed before it starts, but may be chosen after seeing the results of others."""
    if len(groups) < 2:
        return epsilon_spent(groups[0], delta) if groups else 0.0
    return adaptive_epsilon(groups, delta)


def _refuse_if_over(budget: Any, before: list[tuple[Event, ...]], planned: tuple[Event, ...]) -> None:
    """Refuse what does not fit; the thresholds' deltas count against the delta of the budget."""
    try:
        asked, counted, total = (_together(groups, budget.delta) for groups in ([planned], before, [*before, planned]))
    except InputError as error:
        raise BudgetExceededError(
            f"population {budget.population!r}: {error.message} No data was read.",
            key="budget.delta",
            remedy=error.remedy,
        ) from None
    if total <= budget.epsilon * (1 + ROUNDING):
        return
    left = max(0.0, budget.epsilon - counted)
    raise BudgetExceededError(
        f"population {budget.population!r}: the run asks for epsilon {asked:.4g}, {left:.4g} of {budget.epsilon:g} is left "
        f"(at delta {budget.delta:g}; together it would be {total:.4g}). No data was read.",
        key="budget.epsilon",
        remedy="Lower the epsilon of the synthesizer, or have the owner of the data raise `budget.epsilon`.",
    )


def _held(connection: Connection, reservation: Reservation, states: tuple[str, ...]) -> Any:
    """The row of a reservation, if its holder is still this one and it is in one of the states."""
    row = rows.by_id(connection, reservation.reservation_id)
    if row is None:
        raise ReleaseRefusedError(f"the reservation {reservation.reservation_id} is not in this ledger.")
    if (row.run_id, row.attempt, row.fence) != (reservation.run_id, reservation.attempt, reservation.fence):
        raise _stale(row, reservation.run_id, reservation.attempt)
    if row.state not in states:
        raise ReleaseRefusedError(
            f"the reservation {row.reservation_id} is {row.state}, which does not allow this step."
        )
    return row


def _stale(row: Any, run_id: str, attempt: int) -> ReleaseRefusedError:
    return ReleaseRefusedError(
        f"attempt {attempt} of run {run_id} may not use the reservation of {row.label}: "
        f"attempt {row.attempt} of run {row.run_id} holds it.",
        remedy="This process is out of date; its result must not be used.",
    )


def _reservation(row: Any, delta: float) -> Reservation:
    events = rows.load(row.planned)
    names = ("reservation_id", "population", "unit", "label", "measurement_key", "run_id", "attempt", "fence", "state")
    return Reservation(
        **{n: getattr(row, n) for n in names}, events=events, delta=delta, epsilon=epsilon_spent(events, delta)
    )


def _settlement(row: Any) -> Settlement:
    names = ("reservation_id", "population", "label", "measurement_key", "run_id", "outcome", "reference")
    return Settlement(**{n: getattr(row, n) for n in names}, events=rows.load(row.actual), settled_at=row.changed_at)


def _release(row: Any, delta: float) -> ReleaseRecord:
    events = rows.counted_events(row)
    names = ("reservation_id", "label", "run_id", "attempt", "state", "outcome", "reserved_at")
    return ReleaseRecord(**{n: getattr(row, n) for n in names}, events=events, epsilon=epsilon_spent(events, delta))


def _check_names(**names: str) -> None:
    for key, value in names.items():
        if not _NAME.fullmatch(value):
            raise InputError(
                f"the {key.replace('_', ' ')} must have 1 to 200 characters and no control characters.", key=key
            )
