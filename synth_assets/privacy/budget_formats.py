"""Formats of the budget ledger and the steps between them; each step is one transaction (ledger/backends.py).

What belongs here: table definitions and migrations, which are never changed once released. What does not: reading and writing rows
(budget_rows.py).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text

from synth_assets.privacy import budget_rows as rows

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
_FORMAT_2 = (
    """CREATE TABLE budget_log (
        position INTEGER PRIMARY KEY, at TEXT NOT NULL, step TEXT NOT NULL, population TEXT NOT NULL, reservation_id TEXT NOT NULL,
        measurement_key TEXT NOT NULL, record TEXT NOT NULL, previous TEXT NOT NULL, hash TEXT NOT NULL)""",
    "CREATE INDEX budget_log_population ON budget_log (population)",
    "CREATE INDEX budget_log_key ON budget_log (measurement_key)",
    "CREATE INDEX budget_log_reservation ON budget_log (reservation_id)",
    "CREATE TABLE budget_head (position INTEGER NOT NULL, hash TEXT NOT NULL)",
)
_GUARDS = {  # against accidents; who may drop a trigger is found by the hashes
    "sqlite": tuple(
        f"CREATE TRIGGER budget_log_no_{verb.lower()} BEFORE {verb} ON budget_log "
        "BEGIN SELECT RAISE(ABORT, 'the budget ledger is append-only'); END"
        for verb in ("UPDATE", "DELETE")
    ),
    "postgresql": (
        """CREATE FUNCTION budget_log_append_only() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'the budget ledger is append-only'; END $$""",
        """CREATE TRIGGER budget_log_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON budget_log
        FOR EACH STATEMENT EXECUTE FUNCTION budget_log_append_only()""",
    ),
}


def format_1(connection: Connection) -> None:
    """Tables that were changed in place."""
    for statement in _FORMAT_1:
        connection.execute(text(statement))


def format_2(connection: Connection) -> None:
    """One append-only, chained log. What format 1 held becomes its first rows, with the times it had; nothing is lost or added."""
    for statement in _FORMAT_2:
        connection.execute(text(statement))
    connection.execute(text("INSERT INTO budget_head VALUES (0, :start)"), {"start": rows.START})
    for at, population, said in _imported(connection):
        rows.append(connection, "declare" if isinstance(said, rows.Declaration) else "import", population, said, at=at)
    for table in ("budget_reservations", "budget_declarations"):
        connection.execute(text(f"DROP TABLE {table}"))
    for statement in _GUARDS[connection.dialect.name]:
        connection.execute(text(statement))


def _imported(connection: Connection) -> list[tuple[str, str, rows.Declaration | rows.Held]]:
    """Declarations and reservations of format 1 in order of time; a population's own order is kept."""
    declared = connection.execute(text("SELECT * FROM budget_declarations ORDER BY population, position")).mappings()
    reserved = connection.execute(text("SELECT * FROM budget_reservations ORDER BY population, position")).mappings()
    found: list[tuple[str, str, rows.Declaration | rows.Held]] = [
        (d["declared_at"], d["population"], rows.Declaration(d["unit"], d["epsilon"], d["delta"])) for d in declared
    ]
    for row in reserved:
        fields: dict[str, Any] = {name: row[name] for name in rows.Held.__dataclass_fields__ if name != "told"}
        found.append((row["reserved_at"], row["population"], rows.Held(**fields)))
    return sorted(found, key=lambda entry: entry[0])


def format_3(connection: Connection) -> None:
    """How far the log was checked (budget_checked.py); empty, so that the next decision looks at all of it."""
    connection.execute(
        text(
            "CREATE TABLE budget_checked (population TEXT PRIMARY KEY, position INTEGER NOT NULL, digest TEXT NOT NULL)"
        )
    )


def format_4(_: Connection) -> None:
    """From here on rows say that the audit ledger tells of them, which earlier versions cannot read; the tables are as before."""


MIGRATIONS = (format_1, format_2, format_3, format_4)
