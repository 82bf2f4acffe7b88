"""One writer per dataset, and the fence that keeps out a writer whose time is over.

A run that takes a dataset gets a number that grows with every taking. Whatever it publishes is written under a short lock in which its
number is compared with the newest one: a killed run's process that lives on has the older number, and nothing that it writes is seen.
Records and locks are files of this machine, or in PostgreSQL, where several machines work on one store; the numbers also stand in the
pointers of the artifact store.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synth_assets.errors import ServiceUnavailableError, SupersededError
from synth_assets.storage.lease_files import FilePlace
from synth_assets.storage.lease_record import POLL_SECONDS, Place, Record


@dataclass(frozen=True)
class Hold:
    """The right of one attempt of one step to write a dataset.

    Args:
        place: Where the leases are.
        dataset: The dataset.
        run_id: The run.
        step: Its step.
        attempt: The step's attempt, from 0.
        fence: Number of the taking.
        before: The run that held it before ("" for none); None where this run held it already.
    """

    place: Place
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
        found = self.place.read(self.dataset)
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
        with self.place.locked(self.dataset):
            self.require()
            yield


class WriterLease:
    """The leases of this process.

    Args:
        place: Where the records and locks are; a folder: in files there.
        wait_seconds: How long a second run waits for the holder.
    """

    _mine: dict[tuple[Place, str], tuple[int, Any]] = {}  # place, dataset -> fence, what stands for it
    _guard = threading.Lock()

    def __init__(self, place: Place | Path, wait_seconds: float = 10.0) -> None:
        self.place: Place = FilePlace(place.resolve()) if isinstance(place, Path) else place
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
                holder = self.place.read(dataset)
                over = holder is not None and holder.run_id != run_id and ended(holder.run_id)
                with self.place.locked(dataset):
                    found = self.place.read(dataset)
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
        held = self._mine.pop((self.place, dataset), None)
        if held is not None:
            self.place.leave(held[1])

    def _join(self, dataset: str, found: Record, step: str, attempt: int) -> Hold:
        hold = Hold(self.place, dataset, found.run_id, step, attempt, found.fence)
        if attempt > found.steps.get(step, 0):
            self.place.write(dataset, Record(found.fence, found.run_id, {**found.steps, step: attempt}))
        hold.require()
        self._stand(dataset, found.fence)
        return hold

    def _take(self, dataset: str, run_id: str, step: str, attempt: int, before: Record | None) -> Hold:
        """Under the commit lock. The clock keeps numbers growing where the record was lost while pointers in S3 remain."""
        fence = max(time.time_ns() // 1_000_000, before.fence + 1 if before else 0)
        self._stand(dataset, fence)
        self.place.write(dataset, Record(fence, run_id, {step: attempt} if attempt else {}))
        return Hold(self.place, dataset, run_id, step, attempt, fence, before.run_id if before else "")

    def _stand(self, dataset: str, fence: int) -> None:
        """Show that this process works on the dataset, until it ends."""
        held = self._mine.get((self.place, dataset))
        if held is not None and held[0] == fence and self.place.stands(held[1]):
            return
        standing = self.place.stand(dataset, fence)
        self.release(dataset)
        self._mine[self.place, dataset] = (fence, standing)

    def _alive(self, dataset: str, found: Record) -> bool:
        """Whether another process of the run that holds a dataset is there. An earlier run of this process is over."""
        held = self._mine.get((self.place, dataset))
        return (held is None or held[0] != found.fence) and self.place.alive(dataset, found.fence)


def writers(place: Place) -> tuple[str, ...]:
    """The datasets that a process writes now."""
    held = {dataset: place.read(dataset) for dataset in place.datasets()}
    return tuple(d for d, record in held.items() if record is not None and place.alive(d, record.fence))
