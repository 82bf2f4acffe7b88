"""Transactional SQL store of the ledgers and the vault: a SQLite file or a PostgreSQL server, with versioned forward migrations.

What belongs here: connections, locks, durability, versions of formats. What does not: what a ledger means (privacy/budget.py), and
any data value in clear. A write transaction holds the lock of its subject from its first statement on, so that check-then-write is
one step.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from synth_assets.errors import (
    CheckFailedError,
    ConfigError,
    DiskFullError,
    ServiceUnavailableError,
    SynthAssetsError,
    is_full,
)
from synth_assets.ledger import sqlite
from synth_assets.ledger.engines import ENGINES
from synth_assets.storage.postgres import CONNECT_SECONDS, connected, postgres_url
from synth_assets.storage.postgres_faults import refusal

_ROWS_AT_ONCE = 1_000  # in one statement of PostgreSQL
BUSY_SECONDS = 60
Migration = Callable[[Connection], None]
_FORMATS = "CREATE TABLE IF NOT EXISTS ledger_formats (ledger VARCHAR(64) PRIMARY KEY, format_version INTEGER NOT NULL)"


def open_ledger_store(location: str, *, noun: str = "ledger", forgetting: bool = False) -> LedgerStore:
    """Open the store at a SQLAlchemy URL (`sqlite:///path`, `postgresql://...`); a SQLite file and its folder are made on first use.

    Args:
        location: SQLAlchemy URL.
        noun: What errors call it.
        forgetting: Whether what is deleted must be gone from its files (sqlite.py).

    Raises:
        ConfigError: the URL is malformed or of another database.
        ServiceUnavailableError: the server does not answer, or the file cannot be opened.
    """
    return LedgerStore(location, noun=noun, forgetting=forgetting)


class LedgerStore:
    """One database that holds ledgers. A transaction has a connection to itself; that of a SQLite file is kept for the next one.

    Args:
        location: SQLAlchemy URL.
        noun: What errors call it.
        forgetting: Whether what is deleted must be gone from its files.
    """

    def __init__(self, location: str, *, noun: str = "ledger", forgetting: bool = False) -> None:
        self.noun, self._forgetting = noun, forgetting
        self._url = _parse(location, noun)
        # the query of a URL may hold a password as well
        self.name = self._url.set(query={}).render_as_string(hide_password=True)
        self._sqlite = self._url.get_backend_name() == "sqlite"
        self._open()
        with self.reading() as connection:
            connection.execute(text("SELECT 1"))

    def _open(self) -> None:
        """Borrow the engine, whose connections are closed when no store of this process uses it."""
        self._process = os.getpid()
        if self._sqlite:
            sqlite.make_file(self._url, self.noun)
        what = (self._url, self._forgetting, BUSY_SECONDS)
        self._engine = ENGINES.lend(self, what, self._sqlite_engine if self._sqlite else self._postgres_engine)

    def _sqlite_engine(self) -> Engine:
        return sqlite.engine(self._url, busy_seconds=BUSY_SECONDS, forgetting=self._forgetting)

    def _postgres_engine(self) -> Engine:
        options = {"connect_timeout": CONNECT_SECONDS, "options": f"-c lock_timeout={BUSY_SECONDS * 1000}"}
        return create_engine(
            self._url,
            poolclass=NullPool,
            isolation_level="READ COMMITTED",
            hide_parameters=True,
            connect_args=options,
        )

    @property
    def binary_type(self) -> str:
        """The column type for bytes."""
        return "BLOB" if self._sqlite else "BYTEA"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one committed state and writes nothing."""
        with self._connection() as connection:
            if self._sqlite:
                connection.exec_driver_sql("PRAGMA query_only = ON")
                connection.exec_driver_sql("BEGIN")
            else:
                connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield connection
            connection.rollback()

    @contextmanager
    def writing(self, subject: str) -> Iterator[Connection]:
        """A transaction that excludes every other writer of `subject`; durable when the block ends, undone when it raises.

        Args:
            subject: What is locked, such as a population. SQLite locks the whole file.
        """
        with self._connection() as connection:
            if self._sqlite:
                connection.exec_driver_sql("PRAGMA query_only = OFF")
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.execute(text("SET LOCAL synchronous_commit = on"))
                self.lock(connection, subject)
            yield connection
            connection.commit()
            if self._sqlite:
                sqlite.make_durable(connection, self.name)

    def insert(
        self, connection: Connection, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]
    ) -> int:
        """Insert many rows but for those that break a rule of uniqueness.

        Args:
            connection: Of a transaction that writes.
            table: Name of the table.
            columns: Names of its columns.
            rows: Values in their order.

        Returns:
            How many rows were new.
        """
        if not rows:
            return 0
        start = f"INSERT INTO {table} ({', '.join(columns)}) VALUES "
        end = " ON CONFLICT DO NOTHING"
        # statements of the driver: SQLAlchemy's own preparation of a row costs as much as its insertion
        if self._sqlite:
            one = f"({', '.join('?' * len(columns))})"
            return int(connection.exec_driver_sql(start + one + end, [tuple(row) for row in rows]).rowcount)
        one, inserted = f"({', '.join(['%s'] * len(columns))})", 0
        for first in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[first : first + _ROWS_AT_ONCE]
            flat = tuple(value for row in some for value in row)
            inserted += connection.exec_driver_sql(start + ", ".join([one] * len(some)) + end, flat).rowcount
        return inserted

    def lock(self, connection: Connection, subject: str) -> None:
        """Exclude every other writer of a further subject until the transaction of `writing` ends.

        Args:
            connection: Of `writing`.
            subject: What is locked. Subjects must be locked in one order everywhere.
        """
        if not self._sqlite:  # SQLite locked the whole file
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _lock_key(subject)})

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        if self._process != os.getpid():  # a fork: connections are of the process that opened them
            self._open()
        try:
            with connected(self._engine.connect, (OperationalError,)) as connection:
                yield connection
        except DBAPIError as error:
            raise self._meaning(error) from None

    def _meaning(self, error: DBAPIError) -> SynthAssetsError:
        """Our words for a fault of the database; its own text may quote a password or a value."""
        if _lacks_table(error):
            return CheckFailedError(
                f"the {self.noun} {self.name} lacks a table that it had: it is not what was written.",
                remedy="Find out who changed it, and bring it back from a backup (synth-assets restore).",
            )
        if not self._sqlite:
            why = refusal(error, self._url)
            return ServiceUnavailableError(f"the server of the {self.noun} {self.name} {why.what}.", remedy=why.remedy)
        if is_full(error.orig or error):
            return DiskFullError(
                f"there is no room left for the {self.noun}.", file=self._url.database, remedy="Make room there."
            )
        if not isinstance(error, OperationalError):
            return ServiceUnavailableError(
                f"the {self.noun} {self.name} refused a statement ({type(error.orig).__name__})."
            )
        return ServiceUnavailableError(
            f"the {self.noun} {self.name} does not answer ({type(error.orig).__name__}).",
            remedy="Check that the file can be written, and that no other program holds it locked.",
        )

    def prepare(self, ledger: str, migrations: Sequence[Migration]) -> None:
        """Bring one ledger to the newest format; every step and the new version number are one transaction.

        Args:
            ledger: Name of the ledger.
            migrations: Step i takes format i to format i + 1; step 0 makes the first tables.

        Raises:
            ConfigError: a newer version of the package wrote this ledger.
        """
        if self._version(ledger) == len(migrations):
            return
        with self.writing("ledger formats") as connection:
            connection.execute(text(_FORMATS))
            found = _read_version(connection, ledger)
            if found > len(migrations):
                raise ConfigError(
                    f"the {self.noun} {self.name} has format {found} of {ledger!r}; "
                    f"this version of the package knows {len(migrations)}.",
                    remedy="Use the newer version of the package that wrote it.",
                )
            for step in migrations[found:]:
                step(connection)
            connection.execute(text("DELETE FROM ledger_formats WHERE ledger = :ledger"), {"ledger": ledger})
            values = {"ledger": ledger, "version": len(migrations)}
            connection.execute(
                text("INSERT INTO ledger_formats (ledger, format_version) VALUES (:ledger, :version)"), values
            )

    def _version(self, ledger: str) -> int:
        with self.reading() as connection:
            if not self._engine.dialect.has_table(connection, "ledger_formats"):
                return 0
            return _read_version(connection, ledger)


def _read_version(connection: Connection, ledger: str) -> int:
    found = connection.execute(
        text("SELECT format_version FROM ledger_formats WHERE ledger = :ledger"), {"ledger": ledger}
    )
    return int(found.scalar() or 0)


def _lacks_table(error: DBAPIError) -> bool:
    """By SQLSTATE; SQLite has none, so its text is looked at and not kept."""
    return getattr(error.orig, "pgcode", None) == "42P01" or str(error.orig).startswith("no such table")


def _parse(location: str, noun: str) -> URL:
    """A SQLAlchemy URL of one of the two databases, with the driver that is installed."""
    try:
        url = make_url(location)
    except ArgumentError:
        raise ConfigError(
            f"the location of the {noun} is not a database URL (sqlite:///path or postgresql://...)."
        ) from None
    backend = url.drivername.partition("+")[0]
    if backend in {"postgresql", "postgres"}:
        return postgres_url(location, f"the location of the {noun}")
    if backend != "sqlite":
        raise ConfigError(f"the {noun} can live in SQLite or PostgreSQL, not in {backend!r}.")
    if not url.database or url.database == ":memory:":
        raise ConfigError(f"the {noun} must be a file: what is in memory is forgotten when the process ends.")
    return url


def _lock_key(subject: str) -> int:
    """A signed 64-bit number for PostgreSQL's advisory locks."""
    return int.from_bytes(hashlib.sha256(f"synth_assets ledger\x1f{subject}".encode()).digest()[:8], "big", signed=True)
