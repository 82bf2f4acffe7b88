"""One run writes a dataset; a second one is told which run it waits for; a dead process blocks nobody."""

import multiprocessing
import time

import pytest

from synth_assets.errors import ServiceUnavailableError, SupersededError
from synth_assets.storage import lease as lease_module
from synth_assets.storage.lease import WriterLease
from synth_assets.storage.lease_files import FilePlace


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
    assert WriterLease(tmp_path, wait_seconds=0.3).acquire("ds", "run-a").before is None


def test_a_killed_holder_frees_the_lease(tmp_path, holder):
    holder.kill()
    holder.join()
    assert WriterLease(tmp_path, wait_seconds=5).acquire("ds", "run-b").before == "run-a"


def test_other_datasets_are_free(tmp_path, holder):
    WriterLease(tmp_path, wait_seconds=0.3).acquire("other", "run-b")


def test_a_run_is_told_once_who_wrote_before_it(tmp_path):
    lease = WriterLease(tmp_path)
    assert [lease.acquire("ds", run).before for run in ("run-a", "run-a", "run-b")] == ["", None, "run-a"]
    lease.release("ds")


def test_a_process_that_outlives_its_run_is_fenced_and_blocks_nobody(tmp_path, holder):
    orphan = WriterLease(tmp_path).acquire("ds", "run-a")  # as the other process has it
    taker = WriterLease(tmp_path, wait_seconds=0.3).acquire("ds", "run-b", ended=lambda run: run == "run-a")
    assert (taker.before, taker.fence > orphan.fence) == ("run-a", True)
    taker.require()
    with pytest.raises(SupersededError, match="run-b"):
        orphan.require()
    with pytest.raises(SupersededError), orphan.committing():
        pytest.fail("an orphan published")
    with taker.committing():
        pass
    with pytest.raises(
        ServiceUnavailableError, match="run-b"
    ):  # the orphan's end must not open the way for a third one
        _from_another_process(tmp_path, "run-c")
    holder.kill()
    holder.join()
    with pytest.raises(ServiceUnavailableError, match="run-b"):
        _from_another_process(tmp_path, "run-c")


def _from_another_process(folder, run_id):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        result = pool.apply(_try_to_take, (folder, run_id))
        pool.close()
        pool.join()
    if isinstance(result, Exception):
        raise result


def _try_to_take(folder, run_id):
    try:
        WriterLease(folder, wait_seconds=0.1).acquire("ds", run_id)
    except ServiceUnavailableError as error:
        return error
    return None


def test_a_step_that_is_tried_again_fences_its_own_earlier_attempt_and_no_other_step(tmp_path):
    lease = WriterLease(tmp_path)
    first, other = (lease.acquire("ds", "run-a", step=s) for s in ("split", "profile"))
    again = lease.acquire("ds", "run-a", step="split", attempt=1)
    assert again.fence == first.fence
    again.require()
    other.require()
    with pytest.raises(SupersededError, match="attempt 0"):
        first.require()
    with pytest.raises(SupersededError, match="attempt 0"):
        lease.acquire("ds", "run-a", step="split", attempt=0)
    lease.release("ds")


def test_numbers_grow_with_every_taking_also_where_the_clock_goes_back_or_the_record_is_lost(tmp_path, monkeypatch):
    lease = WriterLease(tmp_path)
    fences = [lease.acquire("ds", "run-a").fence]
    now = lease_module.time.time_ns()
    monkeypatch.setattr(lease_module.time, "time_ns", lambda: now - 10**12)
    fences.append(lease.acquire("ds", "run-b").fence)
    monkeypatch.undo()
    (tmp_path / "ds.json").unlink()
    lease_module.time.sleep(0.002)
    fences.append(lease.acquire("ds", "run-c").fence)
    assert fences == sorted(set(fences))
    lease.release("ds")


def test_nobody_takes_a_dataset_while_its_holder_publishes(tmp_path):
    lease = WriterLease(FilePlace(tmp_path, commit_seconds=0.2))
    held = lease.acquire("ds", "run-a")
    with held.committing(), pytest.raises(ServiceUnavailableError, match="kept the lock"):
        lease.acquire("ds", "run-b")
    assert lease.acquire("ds", "run-b").before == "run-a"
    lease.release("ds")


def test_lock_files_of_earlier_takings_do_not_pile_up(tmp_path):
    lease = WriterLease(tmp_path)
    for number in range(5):
        lease.acquire("ds", f"run-{number}")
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".alive", ".commit", ".json"]
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
