"""Rows of the budget ledger: one append-only log in which every row holds the hash of the row before, and what the rows say.

What belongs here: SQL, the form of a row, its hash, and which row may follow on which. What does not: any decision about budgets
(budget.py), and the migrations (budget_formats.py). No statement of the package changes or deletes a row.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, text

from synth_assets.privacy.records import BrokenRow, Event

EVENTS: TypeAdapter[tuple[Event, ...]] = TypeAdapter(tuple[Event, ...])
OPEN = ("reserved", "reading")
START = "0" * 64
COLUMNS = ("position", "at", "step", "population", "reservation_id", "measurement_key", "record", "previous", "hash")
TOLD = '"told":true'  # as `append` writes it; in a text of the row its quotes would be escaped
FIXED = ("reservation_id", "population", "unit", "label", "measurement_key", "planned", "reserved_at")


@dataclass(frozen=True)
class Declaration:
    """A budget as somebody stated it.

    Args:
        unit: Unit of privacy.
        epsilon: Budget.
        delta: Delta of the budget.
        per_release: Largest epsilon of one release; None for no limit of its own.
        per_dataset: Largest epsilon of all releases of one dataset together; None for no limit of its own.
        told: Whether the audit ledger tells of the row, in the same transaction.
    """

    unit: str
    epsilon: float
    delta: float
    per_release: float | None = None
    per_dataset: float | None = None
    told: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Held:
    """A reservation as its newest row says it; the fields are those of `records.Reservation` and `records.Settlement`."""

    reservation_id: str
    population: str
    unit: str
    label: str
    measurement_key: str
    run_id: str
    attempt: int
    planned: str
    reserved_at: str
    changed_at: str
    fence: int = 0
    state: str = "reserved"
    actual: str | None = None
    outcome: str | None = None
    reference: str | None = None
    told: bool = field(default=False, compare=False)

    @property
    def dataset(self) -> str:
        """The dataset that asked: the label up to its slash."""
        return dataset_of(self.label)


@dataclass(frozen=True)
class Head:
    """The last row: how many rows there are, and the hash of the last."""

    position: int
    hash: str


def dataset_of(label: str) -> str:
    """The dataset in a label `dataset/asset`."""
    return label.partition("/")[0]


def now() -> str:
    """UTC with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def dump(events: tuple[Event, ...]) -> str:
    """Events as JSON."""
    return EVENTS.dump_json(events).decode()


def load(stored: str) -> tuple[Event, ...]:
    """Events from JSON."""
    return EVENTS.validate_json(stored)


def digest(row: Mapping[str, Any]) -> str:
    """The hash of a row: SHA-256 over the JSON list of all its other columns, the hash of the row before among them."""
    return hashlib.sha256(json.dumps([row[name] for name in COLUMNS[:-1]]).encode()).hexdigest()


def append(
    connection: Connection, step: str, population: str, said: Declaration | Held, *, at: str | None = None
) -> Head:
    """Write a row behind the last one, which is returned. The caller holds the lock of the log (`BudgetLedger`)."""
    last = head(connection)
    held = said if isinstance(said, Held) else None
    row: dict[str, Any] = {
        "position": last.position + 1,
        "at": at or now(),
        "step": step,
        "population": population,
        "reservation_id": held.reservation_id if held else "",
        "measurement_key": held.measurement_key if held else "",
        "record": json.dumps(_recorded(said), sort_keys=True, separators=(",", ":")),
        "previous": last.hash,
    }
    row["hash"] = digest(row)
    names = ", ".join(f":{name}" for name in COLUMNS)
    connection.execute(text(f"INSERT INTO budget_log ({', '.join(COLUMNS)}) VALUES ({names})"), row)
    connection.execute(text("UPDATE budget_head SET position = :position, hash = :hash"), row)
    return Head(last.position + 1, row["hash"])


def head(connection: Connection) -> Head:
    """The last row, as the log has it."""
    found = connection.execute(
        text("SELECT position, hash FROM budget_log ORDER BY position DESC LIMIT 1")
    ).one_or_none()
    return Head(found.position, found.hash) if found else Head(0, START)


def broken(
    connection: Connection, since: Head | None = None, seen: list[tuple[str, str]] | None = None
) -> BrokenRow | None:
    """The first row that is not what was written, or that may not stand where it does; None where the log is whole.

    Args:
        connection: Of a transaction.
        since: A row of the log; it and those before it are taken for whole. From the start when None.
        seen: Gets the population and hash of every row that was looked at, in order.
    """
    since = since or Head(0, START)
    told = connection.execute(text("SELECT position, hash FROM budget_head")).one_or_none()
    statement = f"SELECT {', '.join(COLUMNS)} FROM budget_log WHERE position > :since ORDER BY position"
    rows = connection.execute(text(statement), {"since": since.position}).all()
    previous, states = since.hash, dict[str, Held]()
    for place, found in enumerate(rows, start=since.position + 1):
        row = found._asdict()
        if since.position and row["reservation_id"] not in states:
            states |= _before(connection, row["reservation_id"], since)
        reason = _fault(row, place, previous) or _misplaced(row, states)
        if reason:
            return BrokenRow(position=place, at=_shown(row["at"]), step=_shown(row["step"]), reason=reason)
        previous = row["hash"]
        if seen is not None:
            seen.append((row["population"], row["hash"]))
    last = since.position + len(rows)
    if told is None or told.position > last:
        return BrokenRow(
            position=last + 1, reason="rows at the end are missing: the ledger noted more rows than it has"
        )
    place = told.position - since.position
    if place < 0 or told.hash != (rows[place - 1].hash if place else since.hash):
        return BrokenRow(position=told.position, reason="the last row is not the one that the ledger noted as its last")
    return None


def _before(connection: Connection, reservation_id: str, since: Head) -> dict[str, Held]:
    """What a reservation was at a row of the log."""
    statement = (
        "SELECT reservation_id, record FROM budget_log WHERE reservation_id = :id AND reservation_id <> '' "
        "AND position <= :since ORDER BY position DESC LIMIT 1"
    )
    found = connection.execute(text(statement), {"id": reservation_id, "since": since.position}).one_or_none()
    return {} if found is None else {found.reservation_id: Held(**json.loads(found.record))}


def _fault(row: Mapping[str, Any], place: int, previous: str) -> str | None:
    if row["position"] != place:
        return f"the row is missing; the next one has number {row['position']}"
    if row["previous"] != previous:
        return "it does not follow on the row before"
    return "its content is not what was written" if row["hash"] != digest(row) else None


def _misplaced(row: Mapping[str, Any], states: dict[str, Held]) -> str | None:
    """Whether a reservation's row is a step that the ledger would have made; `states` is brought up to date."""
    try:
        said = _read(row)
    except (TypeError, ValueError):
        return "its content cannot be read"
    if isinstance(said, Declaration):
        return None if row["step"] == "declare" else f"a declaration is no step {row['step']!r}"
    if (said.reservation_id, said.population) != (row["reservation_id"], row["population"]):
        return "it names another reservation than it is of"
    before = states.get(said.reservation_id)
    states[said.reservation_id] = said
    if before is None:
        begun = row["step"] == "import" or (row["step"] == "reserve" and said.state == "reserved" and said.fence == 0)
        return None if begun else "it goes on with a reservation that was never made"
    same = all(getattr(said, name) == getattr(before, name) for name in FIXED)
    allowed = {
        "read": before.state in OPEN and said.state == "reading",
        "settle": before.state == "reading" and said.state == "settled" and said.outcome is not None,
        "release": before.state == "reserved" and said.state == "released",
        "take_over": before.state in OPEN and said.state == before.state and said.fence == before.fence + 1,
    }
    fenced = row["step"] == "take_over" or said.fence == before.fence
    return (
        None if same and fenced and allowed.get(row["step"], False) else "it is no step that follows on the rows before"
    )


def _shown(value: object) -> str:
    return str(value)[:40] if isinstance(value, str) and value.isprintable() else ""


def _recorded(said: Declaration | Held) -> dict[str, Any]:
    """The fields of a row; that nobody tells of it is not said, as in the rows from before the audit ledger."""
    return {name: value for name, value in asdict(said).items() if name != "told" or value}


def _read(row: Mapping[str, Any]) -> Declaration | Held:
    said = json.loads(row["record"])
    return Held(**said) if row["reservation_id"] else Declaration(**said)


def _rows(connection: Connection, where: str, **values: str) -> list[Mapping[str, Any]]:
    statement = f"SELECT reservation_id, record FROM budget_log WHERE {where} ORDER BY position"
    return [row._asdict() for row in connection.execute(text(statement), values)]


def _held(rows: Iterable[Mapping[str, Any]]) -> list[Held]:
    """The newest state of each reservation among rows, in the order in which they were made."""
    newest = {row["reservation_id"]: row["record"] for row in rows}
    return [Held(**json.loads(record)) for record in newest.values()]


def last_declaration(connection: Connection, population: str) -> Declaration | None:
    """The declaration that holds: the latest."""
    found = declarations(connection, population)
    return found[-1] if found else None


def declarations(connection: Connection, population: str) -> list[Declaration]:
    """Every declaration of a population, oldest first."""
    rows = _rows(connection, "population = :population AND reservation_id = ''", population=population)
    return [Declaration(**json.loads(row["record"])) for row in rows]


def reservations(connection: Connection, population: str) -> list[Held]:
    """Every reservation of a population, oldest first."""
    return _held(_rows(connection, "population = :population AND reservation_id <> ''", population=population))


def by_key(connection: Connection, measurement_key: str) -> list[Held]:
    """Every reservation with a measurement key, oldest first."""
    return _held(_rows(connection, "measurement_key = :key", key=measurement_key))


def by_id(connection: Connection, reservation_id: str) -> Held | None:
    """One reservation."""
    found = _held(_rows(connection, "reservation_id = :id AND reservation_id <> ''", id=reservation_id))
    return found[0] if found else None


def moved(held: Held, **changes: Any) -> Held:
    """A reservation after a step, stamped with the time."""
    return replace(held, changed_at=now(), **changes)


def populations(connection: Connection) -> tuple[str, ...]:
    """Every population that was declared."""
    statement = "SELECT DISTINCT population FROM budget_log WHERE step = 'declare' ORDER BY population"
    return tuple(connection.execute(text(statement)).scalars())


def hashes(connection: Connection, wanted: Sequence[str]) -> frozenset[str]:
    """Those of some hashes that are hashes of rows."""
    found = connection.execute(text("SELECT hash FROM budget_log")).scalars()
    return frozenset(wanted) & {START, *found}


def hashes_by_row(connection: Connection) -> dict[int, str]:
    """Number and hash of every row."""
    found = connection.execute(text("SELECT position, hash FROM budget_log"))
    return {row.position: row.hash for row in found}


def told_rows(connection: Connection) -> tuple[int, ...]:
    """Numbers of the rows that say that the audit ledger tells of them."""
    statement = text("SELECT position FROM budget_log WHERE record LIKE :told ORDER BY position")
    return tuple(connection.execute(statement, {"told": f"%{TOLD}%"}).scalars())


def counted_events(held: Held) -> tuple[Event, ...]:
    """What a reservation costs: nothing if released unread, the real events once it is done, what was planned in every other case."""
    if held.state == "released":
        return ()
    if held.outcome in {"done", "overspent"} and held.actual is not None:
        return load(held.actual)
    return load(held.planned)
