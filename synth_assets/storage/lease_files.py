"""Leases in files of one machine, or of a disk that several machines share and that knows `flock`."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from synth_assets.errors import ServiceUnavailableError
from synth_assets.storage import atomic
from synth_assets.storage.lease_record import COMMIT_SECONDS, POLL_SECONDS, Record


@dataclass(frozen=True)
class FilePlace:
    """A folder with a record and lock files per dataset.

    Args:
        folder: The folder, absolute.
        commit_seconds: How long anybody waits for the lock of somebody who publishes.
    """

    folder: Path
    commit_seconds: float = COMMIT_SECONDS

    def read(self, dataset: str) -> Record | None:
        """Who holds a dataset; None where nobody ever did."""
        try:
            return Record.of_json((self.folder / f"{dataset}.json").read_text())
        except FileNotFoundError:
            return None

    def write(self, dataset: str, record: Record) -> None:
        """Say who holds it; under its lock."""
        atomic.write_text(self.folder / f"{dataset}.json", record.json())
        for file in self.folder.glob(f"{dataset}.*.alive"):
            if file != self._alive_file(dataset, record.fence):
                file.unlink(missing_ok=True)

    @contextmanager
    def locked(self, dataset: str) -> Iterator[None]:
        """Exclude takers and publishers of a dataset. Only short blocks run under it, so nobody waits long.

        Raises:
            ServiceUnavailableError: somebody keeps the lock.
        """
        atomic.private_folder(self.folder)
        handle = os.open(self.folder / f"{dataset}.commit", os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + self.commit_seconds
        try:
            while not _locks(handle):
                if time.monotonic() >= deadline:
                    raise ServiceUnavailableError(
                        f"a process has kept the lock of the dataset {dataset!r} for {self.commit_seconds:g} seconds.",
                        file=str(self.folder / f"{dataset}.commit"),
                        remedy="End the process that has this file open (a stopped one holds it, too), then run again.",
                    )
                time.sleep(POLL_SECONDS / 10)
            yield
        finally:
            os.close(handle)

    def stand(self, dataset: str, fence: int) -> int:
        """Hold a lock, shared by the run's processes, that the kernel drops when this process ends, however it ends."""
        handle = os.open(self._alive_file(dataset, fence), os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(handle, fcntl.LOCK_SH)  # nobody locks it otherwise but under the lock of the dataset, which is ours
        return handle

    def stands(self, standing: int) -> bool:
        """Whether that lock is still held: a file's always is."""
        return standing >= 0

    def leave(self, standing: int) -> None:
        """Drop it."""
        os.close(standing)

    def alive(self, dataset: str, fence: int) -> bool:
        """Whether a process stands for a taking of a dataset."""
        try:
            handle = os.open(self._alive_file(dataset, fence), os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            return not _locks(handle)
        finally:
            os.close(handle)

    def datasets(self) -> tuple[str, ...]:
        """Those that somebody held."""
        return tuple(sorted(file.stem for file in self.folder.glob("*.json")))

    def _alive_file(self, dataset: str, fence: int) -> Path:
        return self.folder / f"{dataset}.{fence}.alive"


def _locks(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
