"""Rows of the budget ledger: its tables, their migrations, and the statements that read and write them.

What belongs here: SQL. What does not: any decision about budgets (budget.py). No statement changes or deletes a declaration, and a
reservation only moves forward through its states, under its fence.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, text

from synth_assets.privacy.records import Event

EVENTS: TypeAdapter[tuple[Event, ...]] = TypeAdapter(tuple[Event, ...])
OPEN = ("reserved", "reading")

_FORMAT_1 = (
    """CREATE TABLE budget_declarations (
        population TEXT NOT NULL, position INTEGER NOT NULL, unit TEXT NOT NULL, epsilon DOUBLE PRECISION NOT NULL,
        delta DOUBLE PRECISION NOT NULL, declared_at TEXT NOT NULL, PRIMARY KEY (population, position))""",
    """CREATE TABLE budget_reservations (
        reservation_id TEXT PRIMARY KEY, population TEXT NOT NULL, position INTEGER NOT NULL, unit TEXT NOT NULL, label TEXT NOT NULL,
        measurement_key TEXT NOT NULL, run_id TEXT NOT NULL, attempt INTEGER NOT NULL, fence INTEGER NOT NULL, state TEXT NOT NULL,
        planned TEXT NOT NULL, actual TEXT, outcome TEXT, reference TEXT, reserved_at TEXT NOT NULL, changed_at TEXT NOT NULL,
        UNIQUE (population, position))""",
    "CREATE INDEX budget_reservations_key ON budget_reservations (measurement_key)",
)


def format_1(connection: Connection) -> None:
    """The first tables."""
    for statement in _FORMAT_1:
        connection.execute(text(statement))


MIGRATIONS = (format_1,)


def now() -> str:
    """UTC with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def dump(events: tuple[Event, ...]) -> str:
    """Events as JSON."""
    return EVENTS.dump_json(events).decode()


def load(stored: str) -> tuple[Event, ...]:
    """Events from JSON."""
    return EVENTS.validate_json(stored)


def last_declaration(connection: Connection, population: str) -> Any | None:
    """The declaration that holds: the latest."""
    statement = "SELECT * FROM budget_declarations WHERE population = :population ORDER BY position DESC LIMIT 1"
    return connection.execute(text(statement), {"population": population}).one_or_none()


def add_declaration(connection: Connection, population: str, unit: str, epsilon: float, delta: float) -> None:
    """Append a declaration."""
    last = last_declaration(connection, population)
    values = {"population": population, "position": last.position + 1 if last else 0, "unit": unit}
    statement = "INSERT INTO budget_declarations VALUES (:population, :position, :unit, :epsilon, :delta, :at)"
    connection.execute(text(statement), {**values, "epsilon": epsilon, "delta": delta, "at": now()})


def reservations(connection: Connection, population: str) -> list[Any]:
    """Every reservation of a population, oldest first."""
    statement = "SELECT * FROM budget_reservations WHERE population = :population ORDER BY position"
    return list(connection.execute(text(statement), {"population": population}))


def by_key(connection: Connection, measurement_key: str) -> list[Any]:
    """Every reservation with a measurement key, oldest first."""
    statement = "SELECT * FROM budget_reservations WHERE measurement_key = :key ORDER BY reserved_at, position"
    return list(connection.execute(text(statement), {"key": measurement_key}))


def by_id(connection: Connection, reservation_id: str) -> Any | None:
    """One reservation."""
    statement = "SELECT * FROM budget_reservations WHERE reservation_id = :id"
    return connection.execute(text(statement), {"id": reservation_id}).one_or_none()


def add_reservation(connection: Connection, values: dict[str, Any]) -> None:
    """Append a reservation; `values` holds its id, names, holder and plan."""
    last = "SELECT COALESCE(MAX(position), -1) FROM budget_reservations WHERE population = :population"
    position = connection.execute(text(last), {"population": values["population"]}).scalar_one() + 1
    columns = "reservation_id, population, unit, label, measurement_key, run_id, attempt, planned"
    named = ", ".join(f":{name}" for name in columns.split(", "))
    statement = f"""INSERT INTO budget_reservations ({columns}, position, fence, state, reserved_at, changed_at)
        VALUES ({named}, :position, 0, 'reserved', :at, :at)"""
    connection.execute(text(statement), {**values, "position": position, "at": now()})


def move(connection: Connection, row: Any, **changes: Any) -> None:
    """Change a reservation under the lock of its population; the fence of the row must still be the one that was read."""
    columns = ", ".join(f"{name} = :{name}" for name in changes)
    statement = f"UPDATE budget_reservations SET {columns}, changed_at = :at WHERE reservation_id = :row_id AND fence = :row_fence"
    values = {**changes, "at": now(), "row_id": row.reservation_id, "row_fence": row.fence}
    connection.execute(text(statement), values)


def populations(connection: Connection) -> tuple[str, ...]:
    """Every population that was declared."""
    return tuple(
        connection.execute(text("SELECT DISTINCT population FROM budget_declarations ORDER BY population")).scalars()
    )


def counted_events(row: Any) -> tuple[Event, ...]:
    """What a reservation costs: nothing if released unread, the real events once it is done, what was planned in every other case."""
    if row.state == "released":
        return ()
    if row.outcome in {"done", "overspent"}:
        return load(row.actual)
    return load(row.planned)
