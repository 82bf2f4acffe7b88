"""Where a run is killed: read from the environment by the tests' child processes, and known to nothing in the product.

`SYNTH_ASSETS_TEST_KILL` is `point:NAME` (a fixed point), `files:N` (before the N-th file operation) or empty. `SYNTH_ASSETS_TEST_WITNESS` names
a file that gets a line for every private read, written to the disk before the answer is handed on: the truth that a ledger is
compared with. `SYNTH_ASSETS_TEST_PAUSE` names a fixed point at which the run waits until the file `<witness>.go` is there, so that a
service can be cut; `SYNTH_ASSETS_TEST_FILE_BYTES` limits the size of a file that it may write; `SYNTH_ASSETS_TEST_PLAIN` takes from root
the power to ignore the modes of files; `SYNTH_ASSETS_TEST_IMPATIENT` shortens the pauses, not the number, of Dagster's attempts to reach PostgreSQL.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

KILL, WITNESS, PAUSE = "SYNTH_ASSETS_TEST_KILL", "SYNTH_ASSETS_TEST_WITNESS", "SYNTH_ASSETS_TEST_PAUSE"
FILE_BYTES, PLAIN = "SYNTH_ASSETS_TEST_FILE_BYTES", "SYNTH_ASSETS_TEST_PLAIN"
IMPATIENT = "SYNTH_ASSETS_TEST_IMPATIENT"
FILE_EVENTS = frozenset(
    {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "shutil.rmtree", "sqlite3.connect"}
)
STEP_OF_THE_FIT = 5
STEP_OF_THE_TRAINING = 3


class FileOperations:
    """Counts file operations below a folder, and kills before one of them."""

    def __init__(self, below: Path) -> None:
        self.below, self.count, self.last = str(below), 0, 0
        sys.addaudithook(self.saw)

    def saw(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit event of the interpreter, before the operation."""
        if event in FILE_EVENTS and arguments and str(arguments[0]).startswith(self.below):
            self.count += 1
            if self.count == self.last:
                die()


def die() -> None:
    """End this process as `kill -9` does: nothing is flushed, closed or cleaned up."""
    os.kill(os.getpid(), signal.SIGKILL)


def wait() -> None:
    """Say that the point is reached, and go on when told."""
    witness = Path(os.environ[WITNESS])
    witness.with_suffix(".paused").touch()
    while not witness.with_suffix(".go").exists():
        time.sleep(0.02)


def arm(home: Path) -> FileOperations:
    """Set up what the environment asks for."""
    _witness()
    if limit := os.environ.get(FILE_BYTES):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
    if os.environ.get(PLAIN):
        _obey_modes()
    if os.environ.get(IMPATIENT):
        _short_pauses()
    if paused := os.environ.get(PAUSE):
        POINTS[paused](wait)
    kind, _, value = os.environ.get(KILL, "").partition(":")
    operations = FileOperations(home)
    if kind == "point":
        POINTS[value](die)
    elif kind == "files":
        operations.last = int(value)
    return operations


def _wrap(
    owner: Any, name: str, before: Callable[..., None] | None = None, after: Callable[..., None] | None = None
) -> None:
    real = getattr(owner, name)

    def wrapped(*args: Any, **options: Any) -> Any:
        if before is not None:
            before(*args, **options)
        answer = real(*args, **options)
        if after is not None:
            after(*args, **options)
        return answer

    setattr(owner, name, wrapped)


def _before_reserve(act: Callable[[], None]) -> None:
    from synth_assets.privacy.budget import BudgetLedger

    _wrap(BudgetLedger, "reserve", before=lambda *_, **__: act())


def _after_reserve(act: Callable[[], None]) -> None:
    from synth_assets.privacy.budget import BudgetLedger

    _wrap(BudgetLedger, "reserve", after=lambda *_, **__: act())


def _in_the_fit(act: Callable[[], None]) -> None:
    from synth_assets.synthesis.marginals.mixture import Mixture

    steps: list[int] = []

    def one(*_: Any) -> None:
        steps.append(1)
        if len(steps) == STEP_OF_THE_FIT:
            act()

    _wrap(Mixture, "_step", before=one)


def _in_the_training(act: Callable[[], None]) -> None:
    from synth_assets.synthesis.dpsgd.steps import PrivateSteps

    def one(steps: PrivateSteps, *_: Any) -> None:
        if steps.taken == STEP_OF_THE_TRAINING:
            act()

    _wrap(PrivateSteps, "step", after=one)


def _before_the_rename(act: Callable[[], None]) -> None:
    from synth_assets.storage import atomic

    def measured(_: Path, final: Path) -> None:
        if final.parent.name == "dp_measurements":
            act()

    _wrap(atomic, "commit_folder", before=measured)


def _short_pauses() -> None:
    """Dagster waits 11 s for PostgreSQL, five attempts, for each of the three events that tell of the failure: here a tenth of a second."""
    from dagster_postgres.utils import retry_pg_connection_fn

    attempts, pause = retry_pg_connection_fn.__defaults__
    retry_pg_connection_fn.__defaults__ = (attempts, pause / 100)


def _obey_modes() -> None:
    """Give up CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH (capset(2)); for whoever is not root nothing changes."""
    libc = ctypes.CDLL(None, use_errno=True)
    head = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)()
    if libc.capget(head, data) == 0:
        data[0] &= ~0b110
        if libc.capset(head, data) != 0:
            raise OSError(ctypes.get_errno(), "capset")


def _witness() -> None:
    from synth_assets.tables.engine_marginals import EngineMarginals

    def saw(*_: Any, **__: Any) -> None:
        handle = os.open(os.environ[WITNESS], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(handle, b"read\n")
        os.fsync(handle)
        os.close(handle)

    _wrap(EngineMarginals, "counts", after=saw)
    _wrap(EngineMarginals, "rows", after=saw)


POINTS: dict[str, Callable[[Callable[[], None]], None]] = {
    "before reserve": _before_reserve,
    "after reserve": _after_reserve,
    "in the fit": _in_the_fit,
    "in the training": _in_the_training,
    "before the rename": _before_the_rename,
}
