"""One writer per dataset: a lock file held by the process that runs a chain. A second run waits a little, then fails.

The kernel drops the lock when the process ends, however it ends, so a killed run never blocks the next one.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from pathlib import Path

from synth_assets.errors import ServiceUnavailableError

POLL_SECONDS = 0.2


class WriterLease:
    """The leases of this process.

    Args:
        folder: Where the lock files are.
        wait_seconds: How long a second run waits for the holder.
    """

    _held: dict[Path, tuple[int, str]] = {}
    _guard = threading.Lock()

    def __init__(self, folder: Path, wait_seconds: float = 10.0) -> None:
        self.folder = folder
        self.wait_seconds = wait_seconds

    def acquire(self, dataset: str, run_id: str) -> str | None:
        """Take or keep the lease of a dataset for a run.

        The steps of one run may live in several processes; they share the lease through the run id in the file.

        Returns:
            None where the run holds the lease already. Else the run that held it before ("" for none): it has ended, so whatever it
            left in the making is nobody's.

        Raises:
            ServiceUnavailableError: another run holds it; the message names that run.
        """
        path = (self.folder / f"{dataset}.lock").resolve()
        deadline = time.monotonic() + self.wait_seconds
        with self._guard:
            while True:
                before = path.read_text().strip() if path.exists() else ""
                if self._try(path, run_id):
                    return None if before == run_id else before
                holder = path.read_text().strip()
                if holder == run_id:
                    return None
                if time.monotonic() >= deadline:
                    raise ServiceUnavailableError(
                        f"the dataset {dataset!r} is being written by run {holder or 'unknown'}.",
                        remedy="Wait for that run to end, or terminate it, then run again.",
                    )
                time.sleep(POLL_SECONDS)

    def release(self, dataset: str) -> None:
        """Give the lease back (the end of the process does the same)."""
        held = self._held.pop((self.folder / f"{dataset}.lock").resolve(), None)
        if held is not None:
            os.close(held[0])

    def _try(self, path: Path, run_id: str) -> bool:
        held = self._held.get(path)
        if held is not None and path.exists() and os.fstat(held[0]).st_ino == path.stat().st_ino:
            self._write(held[0], run_id)
            self._held[path] = (held[0], run_id)
            return True
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        self._write(handle, run_id)
        self._held[path] = (handle, run_id)
        return True

    @staticmethod
    def _write(handle: int, run_id: str) -> None:
        os.ftruncate(handle, 0)
        os.pwrite(handle, run_id.encode(), 0)
