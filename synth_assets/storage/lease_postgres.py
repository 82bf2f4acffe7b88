"""Leases in PostgreSQL: for machines that share a database and a store, and no disk.

The record is a row. The lock of takers and publishers is an advisory lock of a short transaction. That a process is alive is an
advisory lock of a session, which the server drops when the process or its machine is gone.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from synth_assets.errors import ServiceUnavailableError
from synth_assets.storage.lease_record import COMMIT_SECONDS, POLL_SECONDS, Record
from synth_assets.storage.postgres import CONNECT_SECONDS, connected, postgres_url
from synth_assets.storage.postgres_faults import refusal

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

SILENT_SECONDS = 60  # after which the server gives up a machine that has gone without a word
_TABLE = (
    "CREATE TABLE IF NOT EXISTS writer_leases (dataset TEXT PRIMARY KEY, fence BIGINT NOT NULL, record TEXT NOT NULL)"
)
_WRITE = (
    "INSERT INTO writer_leases (dataset, fence, record) VALUES (:dataset, :fence, :record) "
    "ON CONFLICT (dataset) DO UPDATE SET fence = excluded.fence, record = excluded.record "
    "WHERE writer_leases.fence <= excluded.fence"
)


@dataclass(frozen=True)
class PostgresPlace:
    """One row per dataset in a database.

    Args:
        location: URL of the database.
        commit_seconds: How long anybody waits for the lock of somebody who publishes.
    """

    location: str
    commit_seconds: float = COMMIT_SECONDS

    def __repr__(self) -> str:
        return "PostgresPlace(...)"  # the URL holds a password

    def read(self, dataset: str) -> Record | None:
        """Who holds a dataset; None where nobody ever did."""
        with self._transaction() as connection:
            found = _scalar(connection, "SELECT record FROM writer_leases WHERE dataset = :name", name=dataset)
        return None if found is None else Record.of_json(str(found))

    def write(self, dataset: str, record: Record) -> None:
        """Say who holds it; under its lock. A row of a newer taking stays as it is."""
        from sqlalchemy import text

        with self._transaction() as connection:
            connection.execute(text("SET LOCAL synchronous_commit = on"))
            values = {"dataset": dataset, "fence": record.fence, "record": record.json()}
            connection.execute(text(_WRITE), values)

    @contextmanager
    def locked(self, dataset: str) -> Iterator[None]:
        """Exclude takers and publishers of a dataset. Only short blocks run under it, so nobody waits long.

        Raises:
            ServiceUnavailableError: somebody keeps the lock, or the server has dropped it while the block ran.
        """
        deadline = time.monotonic() + self.commit_seconds
        with self._transaction() as connection:
            while not _scalar(connection, "SELECT pg_try_advisory_xact_lock(:key)", key=_key("commit", dataset)):
                if time.monotonic() >= deadline:
                    raise ServiceUnavailableError(
                        f"a process has kept the lock of the dataset {dataset!r} for {self.commit_seconds:g} seconds.",
                        remedy="End the process that publishes it (a stopped one holds the lock, too), then run again.",
                    )
                time.sleep(POLL_SECONDS / 10)
            yield
            _scalar(connection, "SELECT 1")

    def stand(self, dataset: str, fence: int) -> Connection:
        """Hold a lock, shared by the run's processes, that the server drops when this process ends, however it ends."""
        with self._answers():
            connection = self._connect()
            _scalar(connection, "SELECT pg_advisory_lock_shared(:key) IS NULL", key=_key("alive", dataset, fence))
            connection.commit()
        return connection

    def stands(self, standing: Connection) -> bool:
        """Whether that lock is still held: a server that was started again has forgotten it."""
        from sqlalchemy.exc import DBAPIError

        try:
            _scalar(standing, "SELECT 1")
            standing.commit()
        except DBAPIError:
            return False
        return True

    def leave(self, standing: Connection) -> None:
        """Drop it."""
        from sqlalchemy.exc import DBAPIError

        with suppress(DBAPIError):
            standing.close()

    def alive(self, dataset: str, fence: int) -> bool:
        """Whether a process stands for a taking of a dataset."""
        with self._transaction() as connection:
            key = _key("alive", dataset, fence)
            return not _scalar(connection, "SELECT pg_try_advisory_xact_lock(:key)", key=key)

    def datasets(self) -> tuple[str, ...]:
        """Those that somebody held."""
        from sqlalchemy import text

        with self._transaction() as connection:
            return tuple(connection.execute(text("SELECT dataset FROM writer_leases ORDER BY dataset")).scalars())

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._answers(), self._connect() as connection:
            if _scalar(connection, "SELECT to_regclass('writer_leases') IS NULL"):
                _make_table(connection)
            yield connection
            connection.commit()

    @contextmanager
    def _answers(self) -> Iterator[None]:
        """Our error in place of the driver's, which may quote the URL."""
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import DBAPIError

        try:
            yield
        except DBAPIError as error:
            why = refusal(error, make_url(self.location))
            raise ServiceUnavailableError(f"the server with the leases {why.what}.", remedy=why.remedy) from None

    def _connect(self) -> Connection:
        from sqlalchemy.exc import OperationalError

        return connected(_engine(self.location).connect, (OperationalError,))


@lru_cache(maxsize=8)
def _engine(location: str) -> Engine:
    """An engine whose sessions end with the machine."""
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    alive = {"keepalives_idle": SILENT_SECONDS // 2, "keepalives_interval": 10, "keepalives_count": 3}
    server = " ".join(f"-c tcp_{name}={value}" for name, value in alive.items())
    return create_engine(
        postgres_url(location, "the location of the leases"), poolclass=NullPool, isolation_level="READ COMMITTED",
        hide_parameters=True, connect_args={"connect_timeout": CONNECT_SECONDS, "options": server, **alive},
    )  # fmt: skip


def _make_table(connection: Connection) -> None:
    """Make the table, whoever else is doing so."""
    from sqlalchemy import text

    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _key("table")})
    connection.execute(text(_TABLE))
    connection.commit()


def _scalar(connection: Connection, statement: str, **values: Any) -> Any:
    from sqlalchemy import text

    return connection.execute(text(statement), values).scalar()


def _key(*parts: object) -> int:
    """A signed 64-bit number for an advisory lock."""
    told = "\x1f".join(["synth_assets lease", *map(str, parts)])
    return int.from_bytes(hashlib.sha256(told.encode()).digest()[:8], "big", signed=True)
