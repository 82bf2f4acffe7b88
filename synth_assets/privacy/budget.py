"""The privacy budget of each population: reserve before the first read, settle with what really ran, refuse what does not fit.

What belongs here: the life of a reservation. What does not: what is refused (budget_rules.py), SQL and hashes (budget_rows.py),
transactions (ledger/backends.py) and data values, of which the ledger holds none. A crash leaves a reservation counted in full. Rules
and their tests: docs/mechanisms/budget.md.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Literal

from sqlalchemy import Connection

from synth_assets.errors import BudgetExceededError, CheckFailedError, InputError, ReleaseRefusedError
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
    """

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
        with self._store.writing(population) as connection:
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
        with self._store.writing(population) as connection:
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
        rows.append(connection, step, population, said)

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
        with self._store.writing(reservation.population) as connection:
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
            ReleaseRefusedError: a newer attempt holds the reservation, it was never read, or it is closed in another way.
        """
        actual = compose(events)
        with self._store.writing(reservation.population) as connection:
            held = _held(connection, reservation, ("reading", "settled"))
            if held.state == "settled":
                if (held.outcome, held.actual) != (outcome, rows.dump(actual)):
                    raise ReleaseRefusedError(
                        f"the reservation {held.reservation_id} is settled already, with other events."
                    )
                return settlement_of(held)
            within = covers(rows.load(held.planned), actual, declared(connection, held.population).delta)
            told = outcome if within else "overspent"
            said = {"state": "settled", "actual": rows.dump(actual), "outcome": told, "reference": reference}
            settled = settlement_of(self._move(connection, "settle", held, **said))
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
            self._move(connection, "release", _held(connection, reservation, ("reserved",)), state="released")

    def take_over(self, measurement_key: str, *, run_id: str, attempt: int) -> Reservation | None:
        """Take the newest open reservation of a measurement from an attempt that died; its old holder is refused from here on.

        A reservation in state "reserved" may go on as if it were new. One in state "reading" pays for what was drawn before: the taker
        may go on from stored measurements, and must reserve again for every fresh draw of what was drawn already.

        Returns:
            The reservation, or None where there is no open one.

        Raises:
            ReleaseRefusedError: the holder is this very attempt of the run, or a newer one.
        """
        check_names(run_id=run_id)
        with self._store.reading() as connection:
            found = [r for r in rows.by_key(connection, measurement_key) if r.state in rows.OPEN]
        if not found:
            return None
        with self._store.writing(found[-1].population) as connection:
            held = rows.by_id(connection, found[-1].reservation_id)
            if held is None or held.state not in rows.OPEN:
                return None
            if held.run_id == run_id and held.attempt >= attempt:
                raise _stale(held, run_id, attempt)
            taken = self._move(connection, "take_over", held, run_id=run_id, attempt=attempt, fence=held.fence + 1)
            return reservation_of(taken, declared(connection, held.population).delta)


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


def _held(connection: Connection, reservation: Reservation, states: tuple[str, ...]) -> rows.Held:
    """A reservation, if its holder is still this one and it is in one of the states."""
    held = rows.by_id(connection, reservation.reservation_id)
    if held is None:
        raise ReleaseRefusedError(f"the reservation {reservation.reservation_id} is not in this ledger.")
    if (held.run_id, held.attempt, held.fence) != (reservation.run_id, reservation.attempt, reservation.fence):
        raise _stale(held, reservation.run_id, reservation.attempt)
    if held.state not in states:
        raise ReleaseRefusedError(
            f"the reservation {held.reservation_id} is {held.state}, which does not allow this step."
        )
    return held


def _stale(held: rows.Held, run_id: str, attempt: int) -> ReleaseRefusedError:
    return ReleaseRefusedError(
        f"attempt {attempt} of run {run_id} may not use the reservation of {held.label}: "
        f"attempt {held.attempt} of run {held.run_id} holds it.",
        remedy="This process is out of date; its result must not be used.",
    )
