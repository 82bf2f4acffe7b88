"""Leases in PostgreSQL: two machines without a common disk have one writer per dataset, and who comes late writes nothing."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
import sqlalchemy as sa

from synth_assets.config.runtime import Settings
from synth_assets.config.stores import leases_of
from synth_assets.errors import ServiceUnavailableError, SupersededError
from synth_assets.storage.lease import WriterLease, writers
from synth_assets.storage.lease_postgres import PostgresPlace
from synth_assets.storage.postgres import postgres_url as checked

pytestmark = pytest.mark.postgres


def hold(location: str, ready: Event) -> None:
    WriterLease(PostgresPlace(location)).acquire("ds", "run-a")
    ready.set()
    time.sleep(120)


@pytest.fixture
def elsewhere(postgres_url: str) -> Iterator[BaseProcess]:
    """A process of another machine that writes the dataset as run-a."""
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=hold, args=(postgres_url, ready))
    process.start()
    assert ready.wait(60)
    yield process
    process.kill()
    process.join()


def lease(url: str, wait_seconds: float = 0.3) -> WriterLease:
    return WriterLease(PostgresPlace(url, commit_seconds=0.3), wait_seconds)


def test_a_run_of_another_machine_is_waited_for_by_name_and_its_death_frees_the_dataset(
    postgres_url: str, elsewhere: BaseProcess
) -> None:
    with pytest.raises(ServiceUnavailableError, match="run-a"):
        lease(postgres_url).acquire("ds", "run-b")
    lease(postgres_url).acquire("other", "run-b")
    assert writers(PostgresPlace(postgres_url)) == ("ds", "other")
    lease(postgres_url).release("other")
    elsewhere.kill()
    elsewhere.join()
    taken = lease(postgres_url, 10).acquire("ds", "run-b")
    assert taken.before == "run-a"
    with taken.committing():
        pass
    lease(postgres_url).release("ds")
    assert writers(PostgresPlace(postgres_url)) == ()


def test_a_process_that_outlives_its_run_on_another_machine_is_fenced(
    postgres_url: str, elsewhere: BaseProcess
) -> None:
    orphan = lease(postgres_url).acquire("ds", "run-a")  # as the other machine has it
    taker = lease(postgres_url).acquire("ds", "run-b", ended=lambda run: run == "run-a")
    assert (taker.before, taker.fence > orphan.fence, elsewhere.is_alive()) == ("run-a", True, True)
    with pytest.raises(SupersededError, match="run-b"):
        orphan.require()
    with pytest.raises(SupersededError), orphan.committing():
        pytest.fail("an orphan published")
    with taker.committing(), pytest.raises(ServiceUnavailableError, match="kept the lock"):
        lease(postgres_url).acquire("ds", "run-c")  # nobody takes a dataset while its holder publishes
    lease(postgres_url).release("ds")


def test_a_later_attempt_fences_the_earlier_one_of_its_step_alone(postgres_url: str) -> None:
    ours = lease(postgres_url)
    first, other = (ours.acquire("ds", "run-a", step=s) for s in ("split", "profile"))
    assert ours.acquire("ds", "run-a", step="split", attempt=1).fence == first.fence
    other.require()
    with pytest.raises(SupersededError, match="attempt 0"):
        first.require()
    ours.release("ds")


def test_a_server_that_lost_the_session_is_told_again_and_one_that_is_gone_is_an_error_without_its_password(
    postgres_url: str,
) -> None:
    place, ours = PostgresPlace(postgres_url), lease(postgres_url)
    held = ours.acquire("ds", "run-a")
    engine = sa.create_engine(checked(postgres_url, "X"), poolclass=sa.NullPool)
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with engine.connect() as connection:
        connection.execute(sa.text(others))
    assert not place.alive("ds", held.fence)
    assert ours.acquire("ds", "run-a", step="next").fence == held.fence
    assert place.alive("ds", held.fence)
    ours.release("ds")
    gone = PostgresPlace("postgresql://tester:canary@127.0.0.1:1/nothing")
    with pytest.raises(ServiceUnavailableError, match="does not answer") as caught:
        WriterLease(gone).acquire("ds", "run-a")
    assert "canary" not in str(caught.value) + repr(gone)


def test_a_home_with_postgresql_has_its_leases_there(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNTH_ASSETS_POSTGRES_URL", postgres_url)
    assert isinstance(leases_of(Settings.from_environment(tmp_path)), PostgresPlace)
    monkeypatch.delenv("SYNTH_ASSETS_POSTGRES_URL")
    assert writers(leases_of(Settings.from_environment(tmp_path))) == ()
