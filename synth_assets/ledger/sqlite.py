"""How a SQLite file holds ledgers: two ways to be durable, both with explicit transactions.

What belongs here: journals, syncs and kept connections of SQLite. What does not: transactions (backends.py) and what they write.

A ledger that only grows, on a disk of this machine, has a write-ahead log. A commit is written under the lock and synced after
it, so writers share the waits for the disk. Everything else has a rollback journal, synced four times under the lock: what must be
forgotten (`secure_delete` cleans the file; a write-ahead log would still hold it), and disks whose writers share no memory.
Source: SQLite, "Write-Ahead Logging" and "How To Corrupt An SQLite Database File"; docs/adr/0015.
"""

from __future__ import annotations

import os
import re
import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import NullPool, QueuePool

from synth_assets.errors import DiskFullError, ServiceUnavailableError, is_full

LOCAL = frozenset(
    {"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "overlay", "ramfs", "tmpfs", "xfs", "zfs"}
)
MOUNTS = Path("/proc/self/mountinfo")
_FILE, _LOG = "synth_assets_file", "synth_assets_log"
_TRIES, _PAUSE = 40, 0.05  # SQLite does not wait by itself for the change of a journal's kind


def engine(url: URL, *, busy_seconds: float, forgetting: bool) -> Engine:
    """An engine for one file.

    Args:
        url: Of the file.
        busy_seconds: How long a transaction waits for its turn.
        forgetting: Whether what is deleted must be gone from the files.
    """
    path = _path(url)
    if forgetting or not is_local(path):
        return _rollback_engine(url, busy_seconds)
    return _write_ahead_engine(url, path, busy_seconds)


def make_file(url: URL, noun: str) -> None:
    """Make the file where it is missing, with its folder.

    Args:
        url: Of the file.
        noun: What errors call it.

    Raises:
        ServiceUnavailableError: the file cannot be made.
    """
    path = _path(url)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            path.touch(mode=0o600)
    except OSError as error:
        if is_full(error):
            raise DiskFullError(
                f"there is no room left for the {noun}.", file=str(path), remedy="Make room there."
            ) from None
        raise ServiceUnavailableError(
            f"the {noun} {path} cannot be opened ({type(error).__name__}).", file=str(path)
        ) from None


def is_local(path: Path) -> bool:
    """Whether a file is on a disk of this machine, as far as the system tells: whose writers share memory."""
    try:
        mounts = MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    real, found, kind = path.resolve(), -1, ""
    for line in mounts:
        place, _, rest = line.partition(" - ")
        mounted = Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), place.split(" ")[4]))
        if len(mounted.parts) >= found and real.is_relative_to(mounted):  # the last of a place lies on top
            found, kind = len(mounted.parts), rest.partition(" ")[0]
    return kind in LOCAL


def make_durable(connection: Connection, name: str) -> None:
    """Sync what was just committed, where the commit itself has not; other writers go on meanwhile.

    Raises:
        ServiceUnavailableError: it is not on the disk, so it must not count as done.
    """
    log: int | None = connection.info.get(_LOG)
    if log is None:
        return
    try:
        os.fdatasync(log)
        gone = os.fstat(log).st_nlink == 0
    except OSError as error:
        if is_full(error):
            raise DiskFullError(
                f"there is no room left for {name}.", remedy="Make room there, then run again."
            ) from None
        raise ServiceUnavailableError(f"{name} cannot be synced to the disk ({type(error).__name__}).") from None
    if gone:
        raise ServiceUnavailableError(
            f"the write-ahead log of {name} was taken away while it was in use.",
            remedy="Do not move, copy over or delete files of the ledger while something runs. Then run again.",
        )


def _path(url: URL) -> Path:
    return Path(str(url.database)).absolute()


def _rollback_engine(url: URL, busy_seconds: float) -> Engine:
    made = create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args={"timeout": busy_seconds})

    @event.listens_for(made, "connect")
    def _configure(connection: Any, _: object) -> None:
        connection.isolation_level = None  # the store begins and ends transactions itself
        _journal(connection, "delete")
        connection.execute("PRAGMA synchronous = EXTRA")  # the folder too
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")  # what is deleted is gone from the file

    return made


def _write_ahead_engine(url: URL, path: Path, busy_seconds: float) -> Engine:
    options = {"timeout": busy_seconds, "check_same_thread": False}
    made = create_engine(
        url, poolclass=QueuePool, pool_size=1, max_overflow=-1, hide_parameters=True, connect_args=options
    )

    @event.listens_for(made, "connect")
    def _configure(connection: Any, record: Any) -> None:
        connection.isolation_level = None
        _journal(connection, "wal")
        connection.execute("PRAGMA synchronous = NORMAL")  # `make_durable` syncs, outside of the lock
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(
            "SELECT 1 FROM sqlite_master"
        ).fetchone()  # opens the log, which now stays until all have closed
        record.info[_FILE] = _identity(path)
        record.info[_LOG] = os.open(f"{path}-wal", os.O_RDWR | os.O_CLOEXEC)

    @event.listens_for(made, "checkout")
    def _is_the_same(_: object, record: Any, __: object) -> None:
        if record.info[_FILE] != _identity(path) or os.fstat(record.info[_LOG]).st_nlink == 0:
            raise DisconnectionError  # somebody put another file there: the pool opens that one

    @event.listens_for(made, "close")
    def _close(_: object, record: Any) -> None:
        if (log := record.info.pop(_LOG, None)) is not None:
            os.close(log)

    return made


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _journal(connection: Any, kind: str) -> None:
    """Choose the journal, which stays with the file; while another process chooses as well, once more.

    Raises:
        sqlite3.OperationalError: somebody holds the file with the other journal.
    """
    for left in reversed(range(_TRIES)):
        try:
            (now,) = connection.execute(f"PRAGMA journal_mode = {kind}").fetchone()
        except sqlite3.OperationalError:
            if not left:
                raise
        else:
            if now == kind:
                return
        time.sleep(_PAUSE)
    raise sqlite3.OperationalError("database is locked")
