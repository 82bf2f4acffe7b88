"""A consistent copy of a ledger's database as one SQLite file, and its way back into PostgreSQL.

What belongs here: copying tables as they are, under one snapshot of the database. What does not: what the tables say, encryption and
where copies go (api/backup.py).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from synth_assets.errors import ConfigError
from synth_assets.ledger.backends import LedgerStore, Migration

_ROWS_AT_ONCE = 5_000
_BEGUN = "budget_head"  # a table that has a row as soon as it is there
_FORMATS = "ledger_formats"  # said of each ledger when its tables are made


def take(store: LedgerStore, target: Path, tables: Sequence[str]) -> None:
    """Copy a database into a new file: SQLite by its online backup, PostgreSQL table by table in one read-only snapshot.

    Args:
        store: The database; others may write it meanwhile.
        target: A file that is not there yet.
        tables: Of PostgreSQL, where they share the database with others' tables; those that are not there are left out.
    """
    target.touch(mode=0o600)
    with store.reading() as connection, closing(sqlite3.connect(target)) as copy:
        if connection.dialect.name == "sqlite":
            source = connection.connection.driver_connection
            source.backup(copy)  # type: ignore[union-attr]  # SQLite's own connection
            copy.execute("PRAGMA journal_mode = DELETE").fetchone()  # one file, whatever the source has beside it
        else:
            for table in present(connection, tables):
                _copy_table(connection, copy, table)
        copy.commit()


def present(connection: Connection, tables: Iterable[str]) -> list[str]:
    """Those of some tables that are there."""
    found = set(inspect(connection).get_table_names())
    return [t for t in tables if t in found]


def filled(store: LedgerStore, tables: Sequence[str]) -> bool:
    """Whether any of some tables has a row."""
    with store.reading() as connection:
        return any(connection.execute(text(f"SELECT 1 FROM {t} LIMIT 1")).first() for t in present(connection, tables))


def formats(copy: Path) -> dict[str, int]:
    """Which ledgers a copy holds, and in which format."""
    with closing(sqlite3.connect(f"file:{copy}?mode=ro", uri=True)) as source:
        return {
            str(name): int(version)
            for name, version in source.execute("SELECT ledger, format_version FROM ledger_formats")
        }


def move_aside(store: LedgerStore, tables: Sequence[str], schema: str) -> None:
    """Move tables of PostgreSQL, with what guards them, into a schema of their own; nothing is deleted.

    Args:
        store: The database.
        tables: Those that are to go; those that are not there are left out.
        schema: A name that is not taken yet.
    """
    with store.writing("restore") as connection:
        found = present(connection, tables)
        if not found:
            return
        connection.execute(text(f"CREATE SCHEMA {schema}"))
        guards = connection.execute(
            text(
                "SELECT DISTINCT p.proname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
                "JOIN pg_proc p ON p.oid = t.tgfoid WHERE NOT t.tgisinternal AND c.relname = ANY(:tables)"
            ),
            {"tables": found},
        )
        for name in guards.scalars().all():
            connection.execute(text(f"ALTER FUNCTION {name}() SET SCHEMA {schema}"))
        for table in found:
            connection.execute(text(f"ALTER TABLE {table} SET SCHEMA {schema}"))


def refuse_newer(copy: Path, migrations: Mapping[str, Sequence[Migration]]) -> None:
    """Refuse a copy that holds what this version does not know.

    Raises:
        ConfigError: a newer version of the package made it.
    """
    for name, version in formats(copy).items():
        known = len(migrations.get(name, ()))
        if version > known:
            raise ConfigError(
                f"the backup has format {version} of {name!r}; this version of the package knows {known}.",
                remedy="Use the newer version of the package that made it.",
            )


def put(store: LedgerStore, copy: Path, migrations: Mapping[str, Sequence[Migration]]) -> None:
    """Fill an empty PostgreSQL database with a copy: tables of the copy's formats, then all rows in one transaction.

    Several copies may go into one database: each ledger keeps its own rows.

    Args:
        store: The database, without rows of these ledgers.
        copy: What `take` has written.
        migrations: Of every ledger that this version knows.

    Raises:
        ConfigError: a newer version of the package made the copy.
    """
    refuse_newer(copy, migrations)
    for name, version in formats(copy).items():
        store.prepare(name, migrations[name][:version])
    with closing(sqlite3.connect(f"file:{copy}?mode=ro", uri=True)) as source, store.writing("restore") as connection:
        for (table,) in source.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall():
            if table == _FORMATS:
                continue
            if table == _BEGUN:
                connection.execute(text(f"DELETE FROM {table}"))
            rows = source.execute(f"SELECT * FROM {table}")
            columns = [c[0] for c in rows.description]
            while some := rows.fetchmany(_ROWS_AT_ONCE):
                store.insert(connection, table, columns, some)


def _copy_table(connection: Connection, copy: sqlite3.Connection, table: str) -> None:
    result = connection.execution_options(stream_results=True).execute(text(f"SELECT * FROM {table}"))
    columns = list(result.keys())
    copy.execute(f"CREATE TABLE {table} ({', '.join(columns)})")
    statement = f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})"
    for some in result.partitions(_ROWS_AT_ONCE):
        copy.executemany(statement, [[bytes(v) if isinstance(v, memoryview) else v for v in row] for row in some])
