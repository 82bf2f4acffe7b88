"""Append-only log in which every entry holds the hash of the one before: none can be changed, removed or put in unnoticed.

What belongs here: tables, the form and hash of an entry, its place. What does not: what an entry says (audit.py), signatures under the
last entry (heads.py), and the check of a whole log (verifying.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, text

from synth_assets.ledger.backends import LedgerStore

START = "0" * 64
AT_ONCE = 10_000
_FORMAT_1 = """CREATE TABLE chain_entries (
    chain VARCHAR(64) NOT NULL, position INTEGER NOT NULL, at TEXT NOT NULL, record TEXT NOT NULL, previous TEXT NOT NULL,
    hash TEXT NOT NULL, PRIMARY KEY (chain, position))"""
_FORMAT_2 = (
    """CREATE TABLE chain_heads (
    chain VARCHAR(64) NOT NULL, slot INTEGER NOT NULL, position INTEGER NOT NULL, hash TEXT NOT NULL, key_id TEXT NOT NULL,
    signature TEXT NOT NULL, PRIMARY KEY (chain, slot))""",
    """CREATE TABLE chain_index (
    chain VARCHAR(64) NOT NULL, name VARCHAR(80) NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (chain, name))""",
)
_GUARDS = {  # against accidents; who may drop a trigger is found by the hashes
    "sqlite": tuple(
        f"CREATE TRIGGER chain_entries_no_{verb.lower()} BEFORE {verb} ON chain_entries "
        "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
        for verb in ("UPDATE", "DELETE")
    ),
    "postgresql": (
        """CREATE FUNCTION chain_entries_append_only() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$""",
        """CREATE TRIGGER chain_entries_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON chain_entries
        FOR EACH STATEMENT EXECUTE FUNCTION chain_entries_append_only()""",
    ),
}


def _format_1(connection: Connection) -> None:
    connection.execute(text(_FORMAT_1))


def _format_2(connection: Connection) -> None:
    """Signed heads, and an index by name; the latter is no record, what it says is looked up in the entry."""
    for statement in (*_FORMAT_2, *_GUARDS[connection.dialect.name]):
        connection.execute(text(statement))


_INSERT = text("INSERT INTO chain_entries VALUES (:chain, :position, :at, :record, :previous, :hash)")
_LAST = text(
    "SELECT position, at, record, previous, hash FROM chain_entries WHERE chain = :chain ORDER BY position DESC LIMIT 1"
)
MIGRATIONS = (_format_1, _format_2)


@dataclass(frozen=True)
class Entry:
    """One entry of a log.

    Args:
        position: From 1.
        at: When it was written, UTC with milliseconds.
        record: What it says.
        previous: Hash of the entry before; zeros for the first.
        hash: SHA-256 over the log's name and everything above.
    """

    position: int
    at: str
    record: Mapping[str, Any]
    previous: str
    hash: str


@dataclass(frozen=True)
class Stored:
    """One row as the database has it, whatever somebody made of it."""

    position: Any
    at: Any
    record: Any
    previous: Any
    hash: Any

    def is_intact(self, name: str) -> bool:
        """Whether the content is the one that was hashed, in the log of a name."""
        texts = (self.at, self.record, self.previous, self.hash)
        if type(self.position) is not int or not all(type(t) is str for t in texts):
            return False
        return bool(self.hash == digest(name, self.position, self.at, self.record, self.previous))

    @property
    def entry(self) -> Entry:
        """As an entry; only of a row that is intact."""
        return Entry(self.position, self.at, json.loads(self.record), self.previous, self.hash)


class HashChain:
    """One log in a store.

    Args:
        store: Where it lives; an older format is brought to the newest.
        name: Name of the log.
    """

    def __init__(self, store: LedgerStore, name: str) -> None:
        self.name = name
        store.prepare("chain", MIGRATIONS)

    def append(self, connection: Connection, record: Mapping[str, Any], position: int, previous: str) -> Entry:
        """Add an entry behind the last one.

        Args:
            connection: Of a transaction that holds the lock of the log.
            record: JSON-able, without data values.
            position: That of the last entry, and one.
            previous: Hash of the last entry; `START` where there is none.
        """
        at, written = now(), canonical(record)
        values = {"chain": self.name, "position": position, "at": at, "record": written, "previous": previous}
        values["hash"] = digest(self.name, position, at, written, previous)
        connection.execute(_INSERT, values)
        return Entry(position, at, record, previous, str(values["hash"]))

    def last(self, connection: Connection) -> Stored | None:
        """The last row."""
        row = connection.execute(_LAST, {"chain": self.name}).one_or_none()
        return None if row is None else Stored(*row)

    def at(self, connection: Connection, position: int) -> Stored | None:
        """The row of a position."""
        return self._one(connection, "AND position = :position", position=position)

    def with_hash(self, connection: Connection, wanted: str) -> Stored | None:
        """The first row with a hash; looks at all rows."""
        return self._one(connection, "AND hash = :wanted ORDER BY position LIMIT 1", wanted=wanted)

    def rows(self, connection: Connection, *, newest_first: bool = False, after: int | None = None) -> Iterator[Stored]:
        """All rows in order, or those behind a position; a few thousand at a time in memory."""
        order = "ORDER BY position DESC" if newest_first else "ORDER BY position"
        if after is None:
            return self._many(connection, order, {})
        return self._many(connection, f"AND position > :after {order}", {"after": after})

    def rows_with(self, connection: Connection, phrases: Sequence[str], *, up_to: int) -> list[Stored]:
        """The rows up to a position whose record holds one of some phrases."""
        either = " OR ".join(f"record LIKE :phrase{i}" for i in range(len(phrases)))
        wanted = {f"phrase{i}": f"%{phrase}%" for i, phrase in enumerate(phrases)}
        which = f"AND position <= :up_to AND ({either}) ORDER BY position"
        return list(self._many(connection, which, {"up_to": up_to, **wanted}))

    def _many(self, connection: Connection, which: str, values: Mapping[str, object]) -> Iterator[Stored]:
        statement = f"SELECT position, at, record, previous, hash FROM chain_entries WHERE chain = :chain {which}"
        streamed = connection.execution_options(stream_results=True, yield_per=AT_ONCE)
        for some in streamed.execute(text(statement), {"chain": self.name, **values}).partitions():
            for row in some:
                yield Stored(*row)

    def _one(self, connection: Connection, which: str, **values: object) -> Stored | None:
        statement = f"SELECT position, at, record, previous, hash FROM chain_entries WHERE chain = :chain {which}"
        row = connection.execute(text(statement), {"chain": self.name, **values}).one_or_none()
        return None if row is None else Stored(*row)


def now() -> str:
    """UTC with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def canonical(record: Mapping[str, Any]) -> str:
    """A record as the text that is hashed: JSON with sorted keys, without blanks, in ASCII."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(name: str, position: int, at: str, record: str, previous: str) -> str:
    """The hash of an entry: SHA-256 over the JSON list of the log's name and all its columns but the hash."""
    return hashlib.sha256(json.dumps([name, position, at, record, previous]).encode()).hexdigest()
