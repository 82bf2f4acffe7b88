"""The transactional store: locks, durability, versions and what it says when it cannot be reached."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from synth_assets.errors import ConfigError, ServiceUnavailableError
from synth_assets.ledger import backends
from synth_assets.ledger.backends import LedgerStore, open_ledger_store


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger' / 'budget.db'}"
    return str(request.getfixturevalue("postgres_url"))


def make_table(connection: Connection) -> None:
    connection.execute(text("CREATE TABLE entries (amount INTEGER NOT NULL)"))


def add(connection: Connection, amount: int) -> None:
    connection.execute(text("INSERT INTO entries VALUES (:amount)"), {"amount": amount})


def total(store: LedgerStore) -> int:
    with store.reading() as connection:
        return int(connection.execute(text("SELECT COALESCE(SUM(amount), 0) FROM entries")).scalar_one())


def test_a_finished_transaction_is_there_after_reopening_and_a_broken_one_is_not(location: str) -> None:
    store = open_ledger_store(location)
    store.prepare("test", [make_table])
    with store.writing("a") as connection:
        add(connection, 5)
    with pytest.raises(KeyError), store.writing("a") as connection:
        add(connection, 70)
        raise KeyError
    assert total(open_ledger_store(location)) == 5


def test_check_then_write_is_one_step_for_two_threads(location: str) -> None:
    store = open_ledger_store(location)
    store.prepare("test", [make_table])
    wins = []

    def take_the_last(name: str) -> None:
        mine = open_ledger_store(location)
        with mine.writing("population") as connection:
            taken = connection.execute(text("SELECT COUNT(*) FROM entries")).scalar_one()
            time.sleep(0.1)
            if not taken:
                add(connection, 1)
                wins.append(name)

    threads = [threading.Thread(target=take_the_last, args=(name,)) for name in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wins) == 1
    assert total(store) == 1


def test_without_the_lock_the_same_race_is_lost(tmp_path: Path) -> None:
    """Negative control: read, pause, write in two transactions lets everybody win."""
    store = open_ledger_store(f"sqlite:///{tmp_path / 'x.db'}")
    store.prepare("test", [make_table])
    barrier = threading.Barrier(2)
    wins = []

    def take_the_last(name: str) -> None:
        with store.reading() as connection:
            taken = connection.execute(text("SELECT COUNT(*) FROM entries")).scalar_one()
        barrier.wait()
        if not taken:
            with store.writing("population") as connection:
                add(connection, 1)
            wins.append(name)

    threads = [threading.Thread(target=take_the_last, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wins) == 2


def test_migrations_run_once_in_order_and_keep_what_an_older_version_wrote(location: str) -> None:
    def add_note(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE entries ADD COLUMN note TEXT"))
        connection.execute(text("UPDATE entries SET note = 'old'"))

    old = open_ledger_store(location)
    old.prepare("test", [make_table])
    with old.writing("a") as connection:
        add(connection, 3)
    for _ in range(2):
        new = open_ledger_store(location)
        new.prepare("test", [make_table, add_note])
    with new.reading() as connection:
        assert connection.execute(text("SELECT amount, note FROM entries")).all() == [(3, "old")]


def test_a_migration_that_fails_leaves_the_old_format(location: str) -> None:
    def fail(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE entries ADD COLUMN note TEXT"))
        raise KeyError

    store = open_ledger_store(location)
    store.prepare("test", [make_table])
    with pytest.raises(KeyError):
        store.prepare("test", [make_table, fail])
    store.prepare("test", [make_table])
    with store.writing("a") as connection:
        add(connection, 1)
    assert total(store) == 1


def test_a_ledger_of_a_newer_version_is_refused(location: str) -> None:
    store = open_ledger_store(location)
    store.prepare("test", [make_table, lambda _: None])
    with pytest.raises(ConfigError, match="format 2"):
        store.prepare("test", [make_table])


def test_a_reading_transaction_cannot_write(location: str) -> None:
    store = open_ledger_store(location)
    store.prepare("test", [make_table])
    with pytest.raises(ServiceUnavailableError, match="ledger"), store.reading() as connection:
        add(connection, 1)


def test_the_sqlite_file_can_be_read_by_its_owner_only(tmp_path: Path) -> None:
    open_ledger_store(f"sqlite:///{tmp_path / 'ledger' / 'budget.db'}")
    assert (tmp_path / "ledger" / "budget.db").stat().st_mode & 0o077 == 0
    assert (tmp_path / "ledger").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("location", "error", "words"),
    [
        ("postgresql://someone:hunter2@127.0.0.1:1/x?password=hunter2", ServiceUnavailableError, "does not answer"),
        ("sqlite:////proc/nowhere/budget.db", ServiceUnavailableError, "cannot be opened"),
        ("sqlite://", ConfigError, "in memory"),
        ("sqlite:///:memory:", ConfigError, "in memory"),
        ("mysql://x/y", ConfigError, "SQLite or PostgreSQL"),
        ("no url", ConfigError, "not a database URL"),
    ],
)
def test_a_store_that_cannot_be_opened_is_one_clear_error_without_a_password(
    location: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        open_ledger_store(location)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_file_that_is_no_database_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "budget.db"
    path.write_text("this is a text, and long enough to be taken for a broken database file " * 20)
    with pytest.raises(ServiceUnavailableError, match="refused a statement"):
        open_ledger_store(f"sqlite:///{path}")
    assert path.read_text().startswith("this is a text")


def test_a_locked_ledger_gives_up_with_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "BUSY_SECONDS", 0.1)
    location = f"sqlite:///{tmp_path / 'budget.db'}"
    first, second = open_ledger_store(location), open_ledger_store(location)
    with (
        first.writing("a"),
        pytest.raises(ServiceUnavailableError, match="does not answer"),
        second.writing("b"),
    ):
        pass


@pytest.mark.postgres
def test_two_populations_do_not_wait_for_each_other_on_postgresql(postgres_url: str) -> None:
    first, second = open_ledger_store(postgres_url), open_ledger_store(postgres_url)
    first.prepare("test", [make_table])
    started = time.monotonic()
    with first.writing("a") as connection, second.writing("b") as other:
        add(connection, 1)
        add(other, 2)
    assert time.monotonic() - started < 10
    assert total(first) == 3
