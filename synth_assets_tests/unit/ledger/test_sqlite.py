"""How a SQLite file is kept: durable when a transaction ends, never written where nobody will find it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from synth_assets.errors import ServiceUnavailableError
from synth_assets.ledger import engines, sqlite
from synth_assets.ledger.backends import LedgerStore, open_ledger_store

CREATE, INSERT, SUM = (
    "CREATE TABLE entries (amount)",
    "INSERT INTO entries VALUES (1)",
    "SELECT SUM(amount) FROM entries",
)


def store_in(folder: Path, *, forgetting: bool = False) -> LedgerStore:
    """A store with one table."""
    store = open_ledger_store(f"sqlite:///{folder / 'budget.db'}", forgetting=forgetting)
    with store.writing("a") as connection:
        connection.execute(text(CREATE))
    return store


def add(store: LedgerStore) -> None:
    with store.writing("a") as connection:
        connection.execute(text(INSERT))


def amount_in(file: Path) -> int | None:
    """What another program reads."""
    with closing(sqlite3.connect(file)) as connection:
        found: int | None = connection.execute(SUM).fetchone()[0]
        return found


def pragma(store: LedgerStore, name: str) -> object:
    with store.reading() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


def test_what_a_transaction_wrote_is_in_the_synced_file_when_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, real, synced = store_in(tmp_path), os.fdatasync, []

    def sync(log: int) -> None:
        """What a power cut right after the sync leaves: the file as it was, and what of its log was synced."""
        synced.append(tmp_path / f"after-{len(synced)}")
        synced[-1].mkdir()
        shutil.copy(tmp_path / "budget.db", synced[-1])
        (synced[-1] / "budget.db-wal").write_bytes(os.pread(log, os.fstat(log).st_size, 0))
        real(log)

    monkeypatch.setattr(os, "fdatasync", sync)
    add(store)
    add(store)
    assert [amount_in(folder / "budget.db") for folder in synced] == [1, 2]
    assert (
        pragma(store, "synchronous") == 1
    )  # NORMAL: the order of writes within the log and into the file is kept by syncs as well


def test_what_cannot_be_synced_is_not_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_in(tmp_path)

    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(ServiceUnavailableError, match="cannot be synced"):
        add(store)


def test_what_must_be_forgotten_and_what_lies_on_a_foreign_disk_has_no_write_ahead_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgetting = store_in(tmp_path / "forgetting", forgetting=True)
    assert (pragma(forgetting, "journal_mode"), pragma(forgetting, "synchronous")) == ("delete", 3)
    assert pragma(forgetting, "secure_delete") == 1
    mounts = tmp_path / "mounts"
    mounts.write_text(f"1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 0:5 / {tmp_path}/far rw shared:1 - nfs4 server:/x rw\n")
    monkeypatch.setattr(sqlite, "MOUNTS", mounts)
    assert pragma(store_in(tmp_path / "far"), "journal_mode") == "delete"
    assert pragma(store_in(tmp_path / "near"), "journal_mode") == "wal"
    monkeypatch.setattr(sqlite, "MOUNTS", tmp_path / "none")
    assert not sqlite.is_local(tmp_path)


def test_a_ledger_of_an_earlier_version_goes_on_and_leaves_one_file_when_it_is_closed(tmp_path: Path) -> None:
    file = tmp_path / "budget.db"
    with closing(sqlite3.connect(file)) as old, old:
        old.execute(CREATE)
        old.execute(INSERT)
    store = open_ledger_store(f"sqlite:///{file}")
    add(store)
    assert {p.name for p in tmp_path.iterdir()} == {"budget.db", "budget.db-wal", "budget.db-shm"}
    assert all(p.stat().st_mode & 0o077 == file.stat().st_mode & 0o077 for p in tmp_path.iterdir())
    del store
    assert [p.name for p in tmp_path.iterdir()] == ["budget.db"]
    assert amount_in(file) == 2


def test_stores_of_one_file_share_an_engine_and_the_last_one_closes_it(tmp_path: Path) -> None:
    first = store_in(tmp_path)
    second = open_ledger_store(f"sqlite:///{tmp_path / 'budget.db'}")
    engine = second._engine
    assert first._engine is engine
    del first
    add(second)
    assert (tmp_path / "budget.db-wal").exists()
    del second
    assert [p.name for p in tmp_path.iterdir()] == ["budget.db"]
    third = open_ledger_store(f"sqlite:///{tmp_path / 'budget.db'}")
    assert third._engine is engine
    others = [open_ledger_store(f"sqlite:///{tmp_path / f'{n}.db'}") for n in range(engines.KEPT + 2)]
    del third, others
    open_ledger_store(f"sqlite:///{tmp_path / 'new.db'}")
    assert open_ledger_store(f"sqlite:///{tmp_path / 'budget.db'}")._engine is not engine  # too many since


def replaced(file: Path) -> None:
    """Another database in the place, as after a restore."""
    for path in file.parent.glob("budget.db*"):
        path.rename(path.with_name(f"old-{path.name}"))
    with closing(sqlite3.connect(file)) as other, other:
        other.execute(CREATE)


def removed_log(file: Path) -> None:
    """The log is gone, as by a careless hand."""
    file.with_name("budget.db-wal").unlink()


@pytest.mark.parametrize(("happens", "rest"), [(replaced, 1), (removed_log, None)])
def test_a_kept_connection_never_writes_into_a_file_that_is_not_there_any_more(
    tmp_path: Path, happens: Callable[[Path], None], rest: int | None
) -> None:
    store = store_in(tmp_path)
    add(store)
    happens(tmp_path / "budget.db")
    try:
        add(store)
    except ServiceUnavailableError:
        assert rest is None
    else:
        assert amount_in(tmp_path / "budget.db") == (rest or 2)


def test_a_log_that_is_taken_away_within_a_transaction_makes_it_fail(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    with (
        pytest.raises(ServiceUnavailableError, match="was taken away"),
        store.writing("a") as connection,
    ):
        connection.execute(text(INSERT))
        removed_log(tmp_path / "budget.db")


def test_a_forked_process_opens_its_own_connections(tmp_path: Path) -> None:
    code = """
        import os, sys
        from pathlib import Path
        from synth_assets_tests.unit.ledger.test_sqlite import INSERT, SUM, add, amount_in, store_in

        def fork(work):
            child = os.fork()
            if child == 0:
                work()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0

        def read():
            with store.reading() as connection:
                assert connection.exec_driver_sql(SUM).scalar() == 1

        store = store_in(Path(sys.argv[1]))
        add(store)
        with store.writing("a") as held:
            held.exec_driver_sql(INSERT)
            fork(read)  # in the middle of a transaction
        fork(lambda: add(store))
        add(store)
        assert amount_in(Path(sys.argv[1]) / "budget.db") == 4
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], check=True, timeout=60)
