"""Checkpoints of the budget ledger: what of the log was found whole before, so that a reservation need not read all of it again.

What belongs here: the last row that was checked, and one digest over the rows of each population up to it. What does not: the check of
rows (budget_rows.py), and the full check, which `BudgetView.verify` makes and which trusts no checkpoint.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from sqlalchemy import Connection, text

from synth_assets.privacy import budget_rows as rows
from synth_assets.privacy.records import BrokenRow

WHOLE = ""  # no population has this name
OTHER = "rows up to it are not the ones that were checked when budget was granted before"


@dataclass(frozen=True)
class Checkpoint:
    """How far the log was checked.

    Args:
        at: The last row that was checked.
        digests: Population -> digest over the hashes of its rows up to there; of those that have changed.
    """

    at: rows.Head
    digests: dict[str, str] = field(default_factory=dict)


def checked(connection: Connection, population: str) -> tuple[BrokenRow | None, Checkpoint]:
    """Whether the log is whole, as far as a decision about one population rests on it.

    Looked at are all rows since the checkpoint, and every row of the population: its content is hashed again, and the digest over all
    of them must be the one that was noted. Without a checkpoint, and where anything is wrong, the whole log is looked at.

    Args:
        connection: Of a transaction that holds the lock of the log.
        population: Whose budget is to be decided on.

    Returns:
        The first broken row, or None, and how far the log was checked now; `note` keeps it.
    """
    before = _noted(connection)
    seen: list[tuple[str, str]] = []
    fault = rows.broken(connection, before, seen) or _changed(connection, population, before)
    if fault is not None:
        return rows.broken(connection) or fault, Checkpoint(before)
    digests: dict[str, str] = {}
    for name, hashed in seen:
        if name not in digests:
            digests[name] = _digest_of(connection, name, before)
        digests[name] = _joined(digests[name], hashed)
    return None, Checkpoint(rows.head(connection), digests)


def contradicted(connection: Connection) -> BrokenRow | None:
    """Whether a population's rows are others than when they were checked; for the full check."""
    before = _noted(connection)
    if not before.position:
        return None
    statement = text("SELECT population FROM budget_checked WHERE population <> :whole ORDER BY population")
    names = connection.execute(statement, {"whole": WHOLE}).scalars().all()
    return next((f for f in (_changed(connection, name, before) for name in names) if f is not None), None)


def note(connection: Connection, checkpoint: Checkpoint) -> None:
    """Keep how far the log was checked."""
    values = [
        {"population": p, "position": checkpoint.at.position, "digest": d}
        for p, d in [*checkpoint.digests.items(), (WHOLE, checkpoint.at.hash)]
    ]
    statement = (
        "INSERT INTO budget_checked (population, position, digest) VALUES (:population, :position, :digest) "
        "ON CONFLICT (population) DO UPDATE SET position = excluded.position, digest = excluded.digest"
    )
    connection.execute(text(statement), values)


def _noted(connection: Connection) -> rows.Head:
    """The last row that was checked, if the log still has it; else the start, so that everything is looked at."""
    statement = (
        "SELECT c.position, c.digest AS hash FROM budget_checked c JOIN budget_log l "
        "ON l.position = c.position AND l.hash = c.digest WHERE c.population = :whole"
    )
    found = connection.execute(text(statement), {"whole": WHOLE}).one_or_none()
    return rows.Head(0, rows.START) if found is None else rows.Head(found.position, found.hash)


def _digest_of(connection: Connection, population: str, before: rows.Head) -> str:
    """The noted digest of a population; that of no rows where nothing was noted."""
    if not before.position:
        return rows.START
    statement = text("SELECT digest FROM budget_checked WHERE population = :population")
    return str(connection.execute(statement, {"population": population}).scalar() or rows.START)


def _changed(connection: Connection, population: str, before: rows.Head) -> BrokenRow | None:
    """Whether the rows of a population up to the checkpoint are others than those that were checked."""
    statement = (
        f"SELECT {', '.join(rows.COLUMNS)} FROM budget_log WHERE population = :p AND position <= :c ORDER BY position"
    )
    found = connection.execute(text(statement), {"p": population, "c": before.position}).all()
    value, kept = rows.START, True
    for row in found:
        own = rows.digest(row._asdict())
        kept &= row.hash == own
        value = _joined(value, own)
    if kept and value == _digest_of(connection, population, before):
        return None
    return BrokenRow(position=max(before.position, 1), reason=OTHER)


def _joined(before: str, one: str) -> str:
    return hashlib.sha256(f"{before} {one}".encode()).hexdigest()
