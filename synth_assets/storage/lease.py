"""One writer per dataset, and the fence that keeps out a writer whose time is over.

A run that takes a dataset gets a number that grows with every taking. Whatever it publishes is written under a short lock in which its
number is compared with the newest one: a killed run's process that lives on has the older number, and nothing that it writes is seen.
Locks are of this machine (or of a shared disk that knows `flock`); the numbers also stand in the pointers of the artifact store.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from synth_assets.errors import ServiceUnavailableError, SupersededError
from synth_assets.storage import atomic

POLL_SECONDS = 0.2
COMMIT_SECONDS = 60.0


@dataclass(frozen=True)
class Record:
    """Who holds a dataset.

    Args:
        fence: Number of the taking; grows.
        run_id: The run.
        steps: Step -> its newest attempt, for those that were tried again.
    """

    fence: int
    run_id: str
    steps: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Hold:
    """The right of one attempt of one step to write a dataset.

    Args:
        folder: Where the leases are.
        dataset: The dataset.
        run_id: The run.
        step: Its step.
        attempt: The step's attempt, from 0.
        fence: Number of the taking.
        before: The run that held it before ("" for none); None where this run held it already.
    """

    folder: Path
    dataset: str
    run_id: str
    step: str
    attempt: int
    fence: int
    before: str | None = None

    def require(self) -> None:
        """Refuse to go on where a newer run, or a newer attempt of this step, has taken over.

        Raises:
            SupersededError: it has.
        """
        found = _read(self.folder, self.dataset)
        if found is None or found.fence != self.fence or found.steps.get(self.step, 0) > self.attempt:
            by = "nobody" if found is None else f"run {found.run_id}"
            raise SupersededError(
                f"attempt {self.attempt} of run {self.run_id} no longer holds the dataset {self.dataset!r}; {by} does. "
                "What it made is thrown away.",
                remedy="Nothing needs to be done: the newer run writes the dataset.",
            )

    @contextmanager
    def committing(self) -> Iterator[None]:
        """A short block that publishes: nobody can take the dataset over while it runs.

        Raises:
            ServiceUnavailableError: another process keeps the lock.
            SupersededError: the dataset was taken over before.
        """
        with _commit_lock(self.folder, self.dataset):
            self.require()
            yield


class WriterLease:
    """The leases of this process.

    Args:
        folder: Where the records and lock files are.
        wait_seconds: How long a second run waits for the holder.
    """

    _mine: dict[tuple[Path, str], tuple[int, int]] = {}  # folder, dataset -> fence, handle of its lock file
    _guard = threading.Lock()

    def __init__(self, folder: Path, wait_seconds: float = 10.0) -> None:
        self.folder = folder.resolve()
        self.wait_seconds = wait_seconds

    def acquire(
        self,
        dataset: str,
        run_id: str,
        *,
        step: str = "",
        attempt: int = 0,
        ended: Callable[[str], bool] = lambda _: False,
    ) -> Hold:
        """Take a dataset for a run, or join the run's other steps, which may live in several processes.

        It is taken from a run whose processes are gone, and from one that has ended for the orchestrator although a process of it
        lives on; that process is fenced from here on.

        Args:
            dataset: The dataset.
            run_id: The run.
            step: Its step.
            attempt: The step's attempt, from 0.
            ended: Whether a run is over for the orchestrator.

        Raises:
            ServiceUnavailableError: another run writes it; the message names that run.
            SupersededError: a newer attempt of this step is under way.
        """
        deadline = time.monotonic() + self.wait_seconds
        with self._guard:
            while True:
                holder = _read(self.folder, dataset)
                over = holder is not None and holder.run_id != run_id and ended(holder.run_id)
                with _commit_lock(self.folder, dataset):
                    found = _read(self.folder, dataset)
                    if found is not None and found.run_id == run_id:
                        return self._join(dataset, found, step, attempt)
                    if found is None or (over and found == holder) or not self._alive(dataset, found):
                        return self._take(dataset, run_id, step, attempt, found)
                if time.monotonic() >= deadline:
                    raise ServiceUnavailableError(
                        f"the dataset {dataset!r} is being written by run {found.run_id or 'unknown'}.",
                        remedy="Wait for that run to end, or terminate it, then run again.",
                    )
                time.sleep(POLL_SECONDS)

    def release(self, dataset: str) -> None:
        """Say that no run of this process writes the dataset any more (the end of the process does the same)."""
        held = self._mine.pop((self.folder, dataset), None)
        if held is not None:
            os.close(held[1])

    def _join(self, dataset: str, found: Record, step: str, attempt: int) -> Hold:
        hold = Hold(self.folder, dataset, found.run_id, step, attempt, found.fence)
        if attempt > found.steps.get(step, 0):
            _write(self.folder, dataset, Record(found.fence, found.run_id, {**found.steps, step: attempt}))
        hold.require()
        self._stand(dataset, found.fence)
        return hold

    def _take(self, dataset: str, run_id: str, step: str, attempt: int, before: Record | None) -> Hold:
        """Under the commit lock. The clock keeps numbers growing where the record was lost while pointers in S3 remain."""
        fence = max(time.time_ns() // 1_000_000, before.fence + 1 if before else 0)
        self._stand(dataset, fence)
        _write(self.folder, dataset, Record(fence, run_id, {step: attempt} if attempt else {}))
        for file in self.folder.glob(f"{dataset}.*.alive"):
            if file != _alive_file(self.folder, dataset, fence):
                file.unlink(missing_ok=True)
        return Hold(self.folder, dataset, run_id, step, attempt, fence, before.run_id if before else "")

    def _stand(self, dataset: str, fence: int) -> None:
        """Hold a lock, shared by the run's processes, that the kernel drops when this process ends, however it ends."""
        held = self._mine.get((self.folder, dataset))
        if held is not None and held[0] == fence:
            return
        handle = os.open(_alive_file(self.folder, dataset, fence), os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(handle, fcntl.LOCK_SH)  # nobody locks it otherwise but under the commit lock, which is ours
        self.release(dataset)
        self._mine[(self.folder, dataset)] = (fence, handle)

    def _alive(self, dataset: str, found: Record) -> bool:
        """Whether another process of the run that holds a dataset is there. An earlier run of this process is over."""
        held = self._mine.get((self.folder, dataset))
        if held is not None and held[0] == found.fence:
            return False
        try:
            handle = os.open(_alive_file(self.folder, dataset, found.fence), os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False


def writers(folder: Path) -> tuple[str, ...]:
    """The datasets that a process on this machine writes now."""
    found = []
    for file in sorted(folder.glob("*.alive")):
        handle = os.open(file, os.O_RDWR)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            found.append(file.name.split(".")[0])
        finally:
            os.close(handle)
    return tuple(found)


def _alive_file(folder: Path, dataset: str, fence: int) -> Path:
    return folder / f"{dataset}.{fence}.alive"


def _read(folder: Path, dataset: str) -> Record | None:
    try:
        return Record(**json.loads((folder / f"{dataset}.json").read_text()))
    except FileNotFoundError:
        return None


def _write(folder: Path, dataset: str, record: Record) -> None:
    said = {"fence": record.fence, "run_id": record.run_id, "steps": dict(record.steps)}
    atomic.write_text(folder / f"{dataset}.json", json.dumps(said))


@contextmanager
def _commit_lock(folder: Path, dataset: str) -> Iterator[None]:
    """Exclude takers and publishers of a dataset. Only short blocks run under it, so nobody waits long."""
    atomic.private_folder(folder)
    handle = os.open(folder / f"{dataset}.commit", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + COMMIT_SECONDS
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise ServiceUnavailableError(
                        f"a process has kept the lock of the dataset {dataset!r} for {COMMIT_SECONDS:g} seconds.",
                        file=str(folder / f"{dataset}.commit"),
                        remedy="End the process that has this file open (a stopped one holds it, too), then run again.",
                    ) from None
                time.sleep(POLL_SECONDS / 10)
        yield
    finally:
        os.close(handle)
