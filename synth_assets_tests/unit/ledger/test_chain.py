"""The chained log: entries follow each other, and whatever is changed in the database is found."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import text

from synth_assets.errors import CheckFailedError
from synth_assets.ledger.backends import LedgerStore, open_ledger_store
from synth_assets.ledger.chain import HashChain


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> LedgerStore:
    if request.param == "sqlite":
        return open_ledger_store(f"sqlite:///{tmp_path / 'ledger' / 'access.db'}")
    return open_ledger_store(str(request.getfixturevalue("postgres_url")))


def test_entries_are_numbered_and_each_holds_the_hash_of_the_one_before(store: LedgerStore) -> None:
    first, second = (HashChain(store, "log").append({"who": name}) for name in ("ann", "bo"))
    assert HashChain(store, "log").entries() == (first, second)
    assert (first.position, second.position) == (1, 2)
    assert first.previous == "0" * 64
    assert second.previous == first.hash
    assert second.record == {"who": "bo"}


def test_logs_of_one_store_do_not_mix(store: LedgerStore) -> None:
    one, other = HashChain(store, "one"), HashChain(store, "other")
    assert one.append({"n": 1}).hash != other.append({"n": 1}).hash
    assert len(one.entries()) == len(other.entries()) == 1


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE chain_entries SET record = '[]' WHERE position = 2",
        "UPDATE chain_entries SET at = '2020-01-01T00:00:00.000+00:00' WHERE position = 3",
        "UPDATE chain_entries SET hash = previous WHERE position = 3",
        "DELETE FROM chain_entries WHERE position = 1",
        "DELETE FROM chain_entries WHERE position = 2",
        "INSERT INTO chain_entries SELECT chain, 7, at, record, previous, hash FROM chain_entries WHERE position = 2",
    ],
)
def test_a_changed_removed_or_added_entry_is_found(store: LedgerStore, change: str) -> None:
    log = HashChain(store, "log")
    for n in range(3):
        log.append({"n": n})
    assert len(log.entries()) == 3
    with store.writing("tampering") as connection:
        connection.execute(text(change))
    with pytest.raises(CheckFailedError, match="is not what was written"):
        log.entries()


def test_a_log_that_was_cut_off_no_longer_ends_in_the_head_that_somebody_kept(store: LedgerStore) -> None:
    log = HashChain(store, "log")
    head = [log.append({"n": n}) for n in range(3)][-1]
    with store.writing("tampering") as connection:
        connection.execute(text("DELETE FROM chain_entries WHERE position = 3"))
    assert log.entries()[-1].hash != head.hash


def test_writers_at_once_make_one_chain(store: LedgerStore) -> None:
    def write(name: str) -> None:
        mine = HashChain(store, "log")
        for n in range(5):
            mine.append({"who": name, "n": n})

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [e.position for e in HashChain(store, "log").entries()] == list(range(1, 16))
