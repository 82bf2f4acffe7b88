"""The inbox as a folder: what lies in it, its bytes, and where files go afterwards. bucket.py does the same for an S3 prefix.

What belongs here: names and bytes. What does not: when a file is complete (looks.py), and what becomes of it (taking.py, upload.py).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from synth_assets.errors import AccessRefusedError, MissingArtifactError, ServiceUnavailableError
from synth_assets.storage import atomic

TAKEN, QUARANTINE = "taken", "quarantine"
MARKER = ".done"
_UNFINISHED = re.compile(
    r"(?i)^[.~#]|~$|\.(tmp|temp|part|partial|filepart|crdownload|download|opdownload|incomplete|inprogress|writing|swp|lock)$"
)


@dataclass(frozen=True)
class Entry:
    """One file of the inbox.

    Attributes:
        name: Its name; may tell of a person, so it enters no log, event or database of Dagster.
        size: In bytes.
        stamp: Time of change or version; another one means other content.
    """

    name: str
    size: int
    stamp: str


class Inbox(Protocol):
    """Where files are dropped."""

    @property
    def place(self) -> str:
        """Path or address, to show to a person."""

    def entries(self) -> list[Entry]:
        """The files that lie at the top of the inbox, by name; links and folders are left out."""

    def reading(self, name: str) -> AbstractContextManager[BinaryIO]:
        """The bytes of a file.

        Raises:
            MissingArtifactError: it is gone.
            AccessRefusedError: it cannot be opened.
        """

    def move(self, name: str, to: str) -> str:
        """Move a file below the inbox, beside what is there already; the new name."""

    def remove(self, name: str) -> None:
        """Delete a file; nothing to do where it is gone."""

    def write(self, name: str, data: bytes) -> None:
        """Write a small file below the inbox."""


def unfinished(name: str) -> bool:
    """Whether a name is one that programs give to files in the making, or to a marker."""
    return bool(_UNFINISHED.search(name)) or name.endswith(MARKER)


class FolderInbox:
    """A folder on a local or mounted disk; made for its owner alone when it is absent.

    Args:
        folder: The inbox.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not folder.is_dir():
            atomic.private_folder(folder)

    @property
    def place(self) -> str:
        """The folder."""
        return str(self.folder)

    def entries(self) -> list[Entry]:
        """Regular files; a link could lead anywhere, so it is not followed.

        Raises:
            ServiceUnavailableError: the folder cannot be listed.
        """
        try:
            with os.scandir(self.folder) as listing:
                found = [e for item in listing if item.is_file(follow_symlinks=False) and (e := _entry(item))]
        except OSError as error:
            raise _unavailable(self.place, error) from None
        return sorted(found, key=lambda e: e.name)

    @contextmanager
    def reading(self, name: str) -> Iterator[BinaryIO]:
        """The file, opened without following a link."""
        try:
            handle = os.open(self.folder / name, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise _gone() from None
        except OSError as error:
            raise AccessRefusedError(
                f"the file cannot be opened ({type(error).__name__}).", remedy="Check who may read it."
            ) from None
        with os.fdopen(handle, "rb") as source:
            yield source

    def move(self, name: str, to: str) -> str:
        """Rename within the inbox; a name that is taken gets a number.

        Raises:
            MissingArtifactError: it is gone.
            ServiceUnavailableError: the folder does not allow it.
        """
        target, number = self.folder / to, 2
        try:
            atomic.private_folder(target.parent)
            while target.exists():
                target, number = self.folder / f"{to}.{number}", number + 1
            (self.folder / name).rename(target)
            atomic.fsync_folder(target.parent)
        except FileNotFoundError:
            raise _gone() from None
        except OSError as error:
            raise _unavailable(self.place, error) from None
        return target.relative_to(self.folder).as_posix()

    def remove(self, name: str) -> None:
        """Unlink."""
        try:
            (self.folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise _unavailable(self.place, error) from None

    def write(self, name: str, data: bytes) -> None:
        """Atomic, for the owner alone."""
        try:
            atomic.private_folder((self.folder / name).parent)
            atomic.write_bytes(self.folder / name, data)
        except OSError as error:
            raise _unavailable(self.place, error) from None


def _entry(item: os.DirEntry[str]) -> Entry | None:
    """The entry of a file; None where it went away meanwhile."""
    try:
        status = item.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return Entry(item.name, status.st_size, str(status.st_mtime_ns))


def _gone() -> MissingArtifactError:
    return MissingArtifactError("the file is no longer in the inbox.", remedy="Drop it again.")


def _unavailable(place: str, error: OSError) -> ServiceUnavailableError:
    return ServiceUnavailableError(
        f"the inbox refuses an access ({type(error).__name__}).",
        file=place,
        remedy="Check who may read and change the folder, and whether its disk is full.",
    )
