"""One run writes a dataset; a second one is told which run it waits for; a dead process blocks nobody."""

import multiprocessing
import time

import pytest

from synth_assets.errors import ServiceUnavailableError
from synth_assets.storage.lease import WriterLease


def hold(folder, run_id, ready, seconds):
    WriterLease(folder).acquire("ds", run_id)
    ready.set()
    time.sleep(seconds)


@pytest.fixture
def holder(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=hold, args=(tmp_path, "run-a", ready, 60))
    process.start()
    assert ready.wait(30)
    yield process
    process.kill()
    process.join()


def test_a_second_run_fails_with_the_holders_run_id(tmp_path, holder):
    with pytest.raises(ServiceUnavailableError, match="run-a"):
        WriterLease(tmp_path, wait_seconds=0.3).acquire("ds", "run-b")


def test_another_step_of_the_same_run_may_write(tmp_path, holder):
    assert WriterLease(tmp_path, wait_seconds=0.3).acquire("ds", "run-a") is None


def test_a_killed_holder_frees_the_lease(tmp_path, holder):
    holder.kill()
    holder.join()
    assert WriterLease(tmp_path, wait_seconds=5).acquire("ds", "run-b") == "run-a"


def test_other_datasets_are_free(tmp_path, holder):
    WriterLease(tmp_path, wait_seconds=0.3).acquire("other", "run-b")


def test_a_run_is_told_once_who_wrote_before_it(tmp_path):
    lease = WriterLease(tmp_path)
    assert [lease.acquire("ds", run) for run in ("run-a", "run-a", "run-b")] == ["", None, "run-a"]
    lease.release("ds")


def test_a_released_lease_is_free_for_another_process(tmp_path):
    lease = WriterLease(tmp_path)
    lease.acquire("ds", "run-a")
    lease.release("ds")
    lease.release("ds")
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=hold, args=(tmp_path, "run-b", ready, 60))
    process.start()
    try:
        assert ready.wait(30)
    finally:
        process.kill()
        process.join()
