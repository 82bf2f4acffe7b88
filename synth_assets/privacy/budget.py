"""The privacy budget of each population: reserve before the first read, settle with what really ran, refuse what does not fit.

What belongs here: the life of a reservation. What does not: what is refused (budget_rules.py), SQL and hashes (budget_rows.py),
transactions (ledger/backends.py) and data values, of which the ledger holds none. A crash leaves a reservation counted in full. Rules
and their tests: docs/mechanisms/budget.md.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

from sqlalchemy import Connection

from synth_assets.errors import BudgetExceededError, CheckFailedError, InputError, ReleaseRefusedError, SupersededError
from synth_assets.ledger.audit import AuditLedger
from synth_assets.ledger.backends import LedgerStore
from synth_assets.privacy import budget_rows as rows
from synth_assets.privacy.accounting import compose, covers
from synth_assets.privacy.budget_checked import checked, note
from synth_assets.privacy.budget_rules import (
    check_budget,
    check_names,
    counted,
    refuse_if_over,
    reservation_of,
    settlement_of,
    together,
)
from synth_assets.privacy.budget_told import event_of, refusals_told
from synth_assets.privacy.budget_view import BudgetView, declared
from synth_assets.privacy.records import (
    Event,
    Reservation,
    Settlement,
)
from synth_assets.storage.hashing import hash_json

LOG = "budget log"  # the lock of the log's end; taken after that of a population
_KEY = re.compile(r"[0-9a-f]{64}")


class BudgetLedger(BudgetView):
    """Budgets of all populations in one durable store.

    A population is the people (or other units of privacy) that the contract names; its budget does not depend on the version of the
    data. Everything that was ever counted is composed again, from its events, at every decision.

    Args:
        store: Where the ledger lives; an older format is brought to the newest.
        audit: The audit ledger of the same database: what is written here is written there in the same transaction. None keeps no
            record, for a ledger that belongs to no installation; `open_budget_ledger` always gives one.
        guard: Asked inside every transaction that writes, and raises where a newer attempt has taken over.
    """

    def __init__(
        self, store: LedgerStore, audit: AuditLedger | None = None, *, guard: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(store)
        self._audit, self._guard = audit, guard

    def fenced(self, guard: Callable[[], None]) -> BudgetLedger:
        """The same ledger for the holder of a lease: once `guard` raises, this holder writes nothing more.

        The newer attempt takes the lease before it writes here, and writers of a population wait for each other: what an old attempt
        writes is either there when the newer one looks (`supersede`), or refused.
        """
        return BudgetLedger(self._store, self._audit, guard=guard)

    @contextmanager
    def _writing(self, population: str) -> Iterator[Connection]:
        with self._store.writing(population) as connection:
            self._guard()
            yield connection
        if self._audit is not None:
            self._audit.note_beginning()

    def declare(
        self,
        population: str,
        unit: str,
        epsilon: float,
        delta: float,
        *,
        per_release: float | None = None,
        per_dataset: float | None = None,
    ) -> None:
        """State the budget of a population. The latest declaration holds; every change is recorded.

        A lower budget takes nothing back: what is counted stays counted, and everything further is refused.

        Args:
            population: The people.
            unit: Unit of privacy, `table.column`, or "row".
            epsilon: Over all releases.
            delta: Over all releases.
            per_release: Largest epsilon of one release.
            per_dataset: Largest epsilon of all releases of one dataset, where several datasets share the population.

        Raises:
            InputError: a name is empty or has control characters; a number is out of range; releases exist under another unit; or the
                thresholds of earlier releases have used more than this delta.
            CheckFailedError: somebody changed the ledger.
        """
        check_names(population=population, unit=unit)
        said = rows.Declaration(unit, epsilon, delta, per_release, per_dataset)
        check_budget(said)
        with self._writing(population) as connection:
            last = rows.last_declaration(connection, population)
            if last == said:
                return
            self._require_whole(connection, population)
            before = counted(rows.reservations(connection, population))
            if last and last.unit != unit and before:
                raise InputError(
                    f"population {population!r} has releases under the unit of privacy {last.unit!r}; "
                    f"they cannot be composed with releases under {unit!r}.",
                    key="unit",
                    remedy=f"Keep `unit: {last.unit}`, or name another `population` if these are other people.",
                )
            together(before, delta)  # raises where thresholds have used this delta up
            self._append(connection, "declare", population, said)

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
            BudgetExceededError: settled, reserved and new events together cost more than the budget, or a limit is passed. No data was
                read.
            ConfigError: the population has no budget.
            ReleaseRefusedError: a newer attempt of this run has already asked.
            CheckFailedError: somebody changed the ledger.
            InputError: no event, or a name or key is malformed.
        """
        trials = {measurement_key: events}
        return self.reserve_sweep(population, trials=trials, label=label, run_id=run_id, attempt=attempt)[0]

    def reserve_sweep(
        self, population: str, *, trials: Mapping[str, Iterable[Event]], label: str, run_id: str, attempt: int
    ) -> tuple[Reservation, ...]:
        """Set budget aside for every trial of a sweep before the first one reads: all of them, or none.

        A sweep costs what all its trials cost together, whichever of them is published: the choice among them was made on the data.

        Args:
            population: Declared before.
            trials: Measurement key -> everything that the trial may do, at most.
            label: Dataset and asset.
            run_id: The run.
            attempt: Its attempt, from 0.

        Returns:
            One reservation for each trial, in order.

        Raises:
            As `reserve`.
        """
        planned = {key: compose(events) for key, events in trials.items()}
        check_names(population=population, label=label, run_id=run_id)
        if not planned or not all(planned.values()) or not all(map(_KEY.fullmatch, planned)) or attempt < 0:
            raise InputError("a reservation needs events, a measurement key of 64 hex digits and an attempt from 0.")
        with refusals_told(self._audit, population, label, run_id), self._writing(population) as connection:
            budget = declared(connection, population)
            for found in (h for key in planned for h in rows.by_key(connection, key)):
                if found.run_id == run_id and found.attempt > attempt:
                    raise _stale(found, run_id, attempt)
            self._require_whole(connection, population)
            refuse_if_over(population, budget, rows.reservations(connection, population), label, list(planned.values()))
            at = rows.now()
            made = [
                rows.Held(
                    uuid.uuid4().hex, population, budget.unit, label, key, run_id, attempt, rows.dump(events), at, at
                )
                for key, events in planned.items()
            ]
            for held in made:
                self._append(connection, "reserve", population, held)
            return tuple(reservation_of(held, budget.delta) for held in made)

    def _require_whole(self, connection: Connection, population: str) -> None:
        """Nothing is granted on numbers that somebody changed; how far this was looked at is noted."""
        self._store.lock(connection, LOG)
        fault, checkpoint = checked(connection, population)
        if fault is not None:
            raise CheckFailedError(
                f"row {fault.position} of the budget ledger is broken: {fault.reason}. Nothing is granted.",
                key="budget",
                remedy="Find out who changed it, and bring the ledger back from a backup (`synth-assets budget --verify`).",
            )
        note(connection, checkpoint)

    def _append(self, connection: Connection, step: str, population: str, said: rows.Declaration | rows.Held) -> None:
        """Write a row; writers of other populations wait only here."""
        self._store.lock(connection, LOG)
        head = rows.append(connection, step, population, replace(said, told=self._audit is not None))
        if self._audit is not None:
            self._audit.record(event_of(step, population, said, head), connection)

    def _move(self, connection: Connection, step: str, held: rows.Held, **changes: object) -> rows.Held:
        """Write what a reservation is after a step."""
        after = rows.moved(held, **changes)
        self._append(connection, step, held.population, after)
        return after

    def begin_reading(self, reservation: Reservation) -> Reservation:
        """Note that the first read is about to happen; from here on the reservation is never given back.

        Raises:
            ReleaseRefusedError: a newer attempt holds the reservation, or it is closed.
        """
        with self._writing(reservation.population) as connection:
            held = _held(connection, reservation, rows.OPEN)
            return reservation_of(self._move(connection, "read", held, state="reading"), reservation.delta)

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
            SupersededError: a newer attempt holds the reservation or the lease; what was read above the plan is recorded all the same.
            ReleaseRefusedError: it was never read, or it is closed in another way.
        """
        actual = compose(events)
        with self._store.writing(reservation.population) as connection:
            late = self._superseded(connection, reservation)
            if late is None:
                settled, within = self._settled(connection, reservation, actual, outcome, reference)
            elif not covers(reservation.events, actual, reservation.delta):
                self._count_beside(connection, reservation, actual)
        if late is not None:
            raise late
        if not within:
            raise BudgetExceededError(
                f"{reservation.label}: the run cost more than it had reserved. The real cost is recorded; its result must not be used.",
                key="budget.epsilon",
                remedy="This is a fault of the mechanism's plan; please report it.",
            )
        return settled

    def _superseded(self, connection: Connection, reservation: Reservation) -> ReleaseRefusedError | None:
        """Why this holder may not settle: a newer attempt has the lease, or the reservation."""
        try:
            self._guard()
            _held(connection, reservation, None)
        except ReleaseRefusedError as error:
            return error
        return None

    def _settled(
        self, connection: Connection, reservation: Reservation, actual: tuple[Event, ...],
        outcome: Literal["done", "failed"], reference: str | None,
    ) -> tuple[Settlement, bool]:  # fmt: skip
        """Write what really ran; whether it was within the plan."""
        held = _held(connection, reservation, ("reading", "settled"))
        if held.state == "settled":
            if (held.outcome, held.actual) != (outcome, rows.dump(actual)):
                raise ReleaseRefusedError(
                    f"the reservation {held.reservation_id} is settled already, with other events."
                )
            return settlement_of(held), True
        within = covers(rows.load(held.planned), actual, declared(connection, held.population).delta)
        told = outcome if within else "overspent"
        said = {"state": "settled", "actual": rows.dump(actual), "outcome": told, "reference": reference}
        return settlement_of(self._move(connection, "settle", held, **said)), within

    def _count_beside(self, connection: Connection, reservation: Reservation, actual: tuple[Event, ...]) -> None:
        """What an attempt that was superseded cost above its plan; its plan is counted already. Nothing is ever counted too little."""
        at, events = rows.now(), rows.dump(actual)
        held = rows.Held(
            uuid.uuid4().hex, reservation.population, reservation.unit, reservation.label, reservation.measurement_key,
            reservation.run_id, reservation.attempt, events, at, at,
        )  # fmt: skip
        self._append(connection, "reserve", held.population, held)
        reading = self._move(connection, "read", held, state="reading")
        self._move(connection, "settle", reading, state="settled", actual=events, outcome="overspent")

    def release_unread(self, reservation: Reservation) -> None:
        """Give a reservation back. Only its holder may, and only while no read has begun.

        Raises:
            ReleaseRefusedError: a read has begun, the reservation is closed, or a newer attempt holds it.
        """
        with self._writing(reservation.population) as connection:
            self._move(connection, "release", _held(connection, reservation, ("reserved",)), state="released")

    def supersede(self, population: str, label: str, *, run_id: str, attempt: int) -> tuple[str, ...]:
        """Close what dead attempts left open under a label; the caller holds the lease of its dataset.

        What was not read yet is given back. What was counts in full, whatever its old holder goes on to do: it is refused from here on,
        and the caller measures anew, under a reservation of its own.

        Args:
            population: Declared before.
            label: Dataset and asset.
            run_id: The run.
            attempt: Its attempt, from 0.

        Returns:
            The reservations that were closed.

        Raises:
            SupersededError: a newer attempt of this run holds one, or the lease.
        """
        check_names(population=population, label=label, run_id=run_id)
        closed = []
        with self._writing(population) as connection:
            for held in rows.reservations(connection, population):
                if (
                    held.label != label
                    or held.state not in rows.OPEN
                    or (held.run_id, held.attempt) == (run_id, attempt)
                ):
                    continue
                if held.run_id == run_id and held.attempt > attempt:
                    raise _stale(held, run_id, attempt)
                taken = self._move(connection, "take_over", held, run_id=run_id, attempt=attempt, fence=held.fence + 1)
                if taken.state == "reading":
                    self._move(connection, "settle", taken, state="settled", actual=rows.dump(()), outcome="failed")
                else:
                    self._move(connection, "release", taken, state="released")
                closed.append(held.reservation_id)
        return tuple(closed)


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


def _held(connection: Connection, reservation: Reservation, states: tuple[str, ...] | None) -> rows.Held:
    """A reservation, if its holder is still this one and it is in one of the states (None: in any)."""
    held = rows.by_id(connection, reservation.reservation_id)
    if held is None:
        raise ReleaseRefusedError(f"the reservation {reservation.reservation_id} is not in this ledger.")
    if (held.run_id, held.attempt, held.fence) != (reservation.run_id, reservation.attempt, reservation.fence):
        raise _stale(held, reservation.run_id, reservation.attempt)
    if states is not None and held.state not in states:
        raise ReleaseRefusedError(
            f"the reservation {held.reservation_id} is {held.state}, which does not allow this step."
        )
    return held


def _stale(held: rows.Held, run_id: str, attempt: int) -> SupersededError:
    return SupersededError(
        f"attempt {attempt} of run {run_id} may not use the reservation of {held.label}: "
        f"attempt {held.attempt} of run {held.run_id} holds it.",
        remedy="This process is out of date; its result must not be used.",
    )
