"""Error classes of the package, and the boundary that keeps foreign texts (exceptions, prints, logs) out of Dagster and terminals.

What belongs here: errors that a person can act on, each with an exit code and a remedy. What does not: the texts of other
libraries' exceptions. pandas, DuckDB, pyarrow and others quote cell values, and Dagster stores what it is given.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import logging
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

_PACKAGE = Path(__file__).resolve().parent
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_FULL_TEXTS = (
    "No space left on device",
    "Disk quota exceeded",
    "database or disk is full",
)  # of libraries that write files themselves
_REMEDIES = {  # foreign faults that a person can mend; by name, so that nothing is imported
    "OutOfMemoryException": "The table engine reached its limit: raise SYNTH_ASSETS_MEMORY_LIMIT, lower SYNTH_ASSETS_THREADS, "
    "or set SYNTH_ASSETS_WORK_FOLDER to a disk with room.",
    "SystemExit": "A library tried to end the process: check that no optional package is half installed (pip check).",
    "MemoryError": "The machine ran out of memory: lower SYNTH_ASSETS_MEMORY_LIMIT and SYNTH_ASSETS_THREADS, or use a larger one.",
    "PermissionError": "Check who owns the files of the home folder, and their modes.",
}


class SynthAssetsError(Exception):
    """Base of all errors that the package raises on purpose.

    The message never holds a cell value. It says what is wrong and where; `remedy` says what to do.

    Args:
        message: One sentence, no cell values.
        file: Path or URL (without its query) of the file at fault.
        row: 1-based line or row number.
        column: Column name.
        key: Configuration key, dotted.
        remedy: What to do about it.
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        row: int | None = None,
        column: str | None = None,
        key: str | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.file, self.row, self.column, self.key, self.remedy = file, row, column, key, remedy

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.message, self.file, self.row, self.column, self.key, self.remedy))

    def __str__(self) -> str:
        place = [self.file] if self.file else []
        place += [f"line {self.row}"] if self.row is not None else []
        place += [f"column {self.column!r}"] if self.column is not None else []
        place += [f"key {self.key!r}"] if self.key is not None else []
        head = f"{', '.join(place)}: " if place else ""
        tail = f" {self.remedy}" if self.remedy else ""
        return f"{head}{self.message}{tail}"

    def as_dict(self) -> dict[str, Any]:
        """The error in the form of `--json`: {"error": {code, message, file, row, column, key, remedy}}."""
        fields = ("message", "file", "row", "column", "key", "remedy")
        return {"error": {"code": self.code, **{name: getattr(self, name) for name in fields}}}


def _rebuild(
    kind: type[SynthAssetsError],
    message: str,
    file: str | None,
    row: int | None,
    column: str | None,
    key: str | None,
    remedy: str | None,
) -> SynthAssetsError:
    return kind(message, file=file, row=row, column=column, key=key, remedy=remedy)


class InputError(SynthAssetsError, ValueError):
    """Usage, configuration or data that cannot be used as it is; a retry cannot help."""

    code = "bad_input"
    exit_code = 2


class ConfigError(InputError):
    """A configuration file is missing, malformed or contradicts itself."""

    code = "config"


class SourceError(InputError):
    """A source file, table or query cannot be read as a table."""

    code = "source"


class PrivateAddressError(SourceError):
    """An address leads to this machine or into a private network, and its host is not allowed."""

    code = "private_address"


class LinkExpiredError(SourceError):
    """A signed link is over."""

    code = "link_expired"


class AccessRefusedError(SourceError):
    """A server, a store or the service itself refuses access to a file."""

    code = "access_refused"


class TooLargeError(SourceError):
    """A file is larger than the limit on downloads."""

    code = "too_large"


class CheckFailedError(SynthAssetsError):
    """A blocking check failed: what stands before it was computed, what stands after it was not."""

    code = "check_failed"
    exit_code = 3


class LeakError(CheckFailedError):
    """Raw identifiers are left in what was to be written."""

    code = "leak"


class ReleaseRefusedError(SynthAssetsError):
    """A consumer refuses its input, since that input has no passing verdict."""

    code = "release_refused"
    exit_code = 3


class RoleRefusedError(SynthAssetsError):
    """None of the caller's groups has the role that a command needs."""

    code = "role_refused"
    exit_code = 3


class SupersededError(ReleaseRefusedError):
    """A newer run or attempt has taken over: what this process made must not be used."""

    code = "superseded"


class DamagedBackupError(InputError):
    """A backup was changed or cut off, is of another passphrase, or is none."""

    code = "damaged_backup"


class BudgetExceededError(SynthAssetsError):
    """A release asks for more privacy budget than its population has left. No data was read."""

    code = "budget"
    exit_code = 4


class ServiceUnavailableError(SynthAssetsError):
    """A service that the configuration names does not answer (database, object store, optional package)."""

    code = "unavailable"
    exit_code = 5


class DiskFullError(SynthAssetsError, OSError):
    """There is no room left where something is written: on a disk, or in the memory that holds plain files.

    Still an OSError: who goes on where a file cannot be written does so here.
    """

    code = "disk_full"
    exit_code = 5


class WorkerLostError(SynthAssetsError):
    """The process of a run is gone, and nothing is known of why."""

    code = "worker_lost"
    exit_code = 5


class UnwritableError(InputError, OSError):
    """The system refuses to write in a folder: no right, a read-only disk, no such folder, a name that is too long. An OSError, too."""

    code = "unwritable"


class MissingArtifactError(SynthAssetsError):
    """An artifact that a step reads has not been materialised, or its files are gone."""

    code = "missing_artifact"
    exit_code = 2


class DamagedArtifactError(SynthAssetsError):
    """The files of an artifact are not those that were written."""

    code = "damaged_artifact"
    exit_code = 2


class UnexpectedError(SynthAssetsError):
    """A fault that the package did not foresee; the foreign text is withheld, its type and place are not."""

    code = "unexpected"
    exit_code = 1


def _place(error: BaseException) -> str:
    """File and line of the last frame of this package in a traceback; code positions only, never values."""
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).resolve().is_relative_to(_PACKAGE)
    ]
    own = [f for f in frames if Path(f.filename).name != "errors.py"]
    return f" at {Path(own[-1].filename).relative_to(_PACKAGE.parent)}:{own[-1].lineno}" if own else ""


def is_full(error: BaseException) -> bool:
    """Whether a foreign exception says that a disk is full, or a quota reached; its text is looked at and not kept."""
    number = error.errno if isinstance(error, OSError) else None
    return number in _FULL or any(text in str(error) for text in _FULL_TEXTS)


@contextmanager
def naming_full(folder: Path) -> Iterator[None]:
    """Name the folder that had no room: the system does not say where a write failed.

    Args:
        folder: Where the block writes.

    Raises:
        DiskFullError: in place of whatever tells that a disk is full.
    """
    try:
        yield
    except SynthAssetsError:
        raise
    except Exception as error:
        if not is_full(error):
            raise
        raise _full("there is no room left.", folder) from None


def _full(message: str, folder: Path | None) -> DiskFullError:
    return DiskFullError(
        message, file=None if folder is None else str(folder),
        remedy="Make room there. What a process works on lies in memory (/dev/shm) with some copies of its tables: for larger ones set "
        "SYNTH_ASSETS_WORK_FOLDER to a folder of yours, mode 0700, on an encrypted disk with room.",
    )  # fmt: skip


@contextmanager
def withhold_values(step: str) -> Iterator[None]:
    """Keep foreign exception texts, which quote cell values, out of whatever catches the error next.

    Args:
        step: Name of the step, for the message.

    Raises:
        SynthAssetsError: our own error, without its cause.
        DiskFullError: in place of what tells that a disk is full.
        UnexpectedError: in place of any other exception; names its type and the line of this package. A library that ends the
            process (`SystemExit`) or panics is one of them. Interrupts, of a person or of the orchestrator, pass.
    """
    try:
        yield
    except SynthAssetsError as error:
        raise error from None
    except (KeyboardInterrupt, GeneratorExit, asyncio.CancelledError):
        raise
    except BaseException as error:  # the boundary: every foreign text stops here
        if type(error).__module__.partition(".")[0] == "dagster":
            raise  # how a run is cancelled
        if is_full(error):
            raise _full(f"there is no room left in {step}{_place(error)}.", None) from None
        raise UnexpectedError(
            f"{type(error).__name__} in {step}{_place(error)}; its text is withheld, since it may quote data.",
            remedy=_REMEDIES.get(type(error).__name__),
        ) from None


@contextmanager
def libraries_silenced() -> Iterator[None]:
    """Drop what libraries print, warn and log until the block ends, since they quote data; Dagster's own log is not touched."""
    root, sink = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    with warnings.catch_warnings(), contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
        warnings.simplefilter("ignore")
        root.handlers = [logging.NullHandler()]
        try:
            yield
        finally:
            root.handlers, root.level = handlers, level
