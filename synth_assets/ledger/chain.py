"""Append-only log in which every entry holds the hash of the one before: none can be changed, removed or put in unnoticed.

What belongs here: the chain. What does not: what an entry says (masking/unmasking.py). Who may write the database can cut entries off
at the end, or write the whole log anew; a head that is held outside (`append` returns it) shows both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, text

from synth_assets.errors import CheckFailedError
from synth_assets.ledger.backends import LedgerStore

_FORMAT_1 = """CREATE TABLE chain_entries (
    chain VARCHAR(64) NOT NULL, position INTEGER NOT NULL, at TEXT NOT NULL, record TEXT NOT NULL, previous TEXT NOT NULL,
    hash TEXT NOT NULL, PRIMARY KEY (chain, position))"""
_START = "0" * 64


def _format_1(connection: Connection) -> None:
    connection.execute(text(_FORMAT_1))


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


class HashChain:
    """One log in a store.

    Args:
        store: Where it lives.
        name: Name of the log.
    """

    def __init__(self, store: LedgerStore, name: str) -> None:
        self._store, self._name = store, name
        store.prepare("chain", (_format_1,))

    def append(self, record: Mapping[str, Any]) -> Entry:
        """Add an entry; it is durable when this returns.

        Args:
            record: JSON-able, without data values.

        Returns:
            The entry, the new head of the log.
        """
        written = _canonical(record)
        with self._store.writing(f"chain {self._name}") as connection:
            rows = self._rows(connection, "ORDER BY position DESC LIMIT 1")
            position, previous = (rows[0].position + 1, rows[0].hash) if rows else (1, _START)
            at = datetime.now(UTC).isoformat(timespec="milliseconds")
            digest = _hash(self._name, position, at, written, previous)
            values = {"chain": self._name, "position": position, "at": at, "record": written}
            statement = "INSERT INTO chain_entries VALUES (:chain, :position, :at, :record, :previous, :hash)"
            connection.execute(text(statement), {**values, "previous": previous, "hash": digest})
        return Entry(position, at, json.loads(written), previous, digest)

    def entries(self) -> tuple[Entry, ...]:
        """All entries, oldest first, verified.

        Raises:
            CheckFailedError: an entry was changed, removed from the middle, or put in.
        """
        with self._store.reading() as connection:
            rows = self._rows(connection, "ORDER BY position")
        previous = _START
        for place, row in enumerate(rows, start=1):
            fits = row.position == place and row.previous == previous
            if not fits or row.hash != _hash(self._name, row.position, row.at, row.record, row.previous):
                raise CheckFailedError(
                    f"entry {place} of the log {self._name!r} in {self._store.name} is not what was written.",
                    remedy="Somebody changed the log. Restore it from a backup, and find out who.",
                )
            previous = row.hash
        return tuple(Entry(r.position, r.at, json.loads(r.record), r.previous, r.hash) for r in rows)

    def _rows(self, connection: Connection, order: str) -> list[Any]:
        statement = text(f"SELECT position, at, record, previous, hash FROM chain_entries WHERE chain = :chain {order}")
        return list(connection.execute(statement, {"chain": self._name}))


def _canonical(record: Mapping[str, Any]) -> str:
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _hash(name: str, position: int, at: str, record: str, previous: str) -> str:
    return hashlib.sha256(json.dumps([name, position, at, record, previous]).encode()).hexdigest()
