"""Why nothing could be written in a folder: room, right, a read-only disk, a folder that is not there, a name that is too long.

What belongs here: one error of our own for each, with the folder. What does not: the writing (atomic.py) and reading. What a library
says in words is withheld, since it may quote data; the system is asked again in its place.
"""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from synth_assets.errors import SynthAssetsError, UnwritableError, is_full, naming_full

_WORDS = {
    errno.EACCES: ("this user may not write here", "Change the owner or mode of the folder, or name another place."),
    errno.EPERM: ("this user may not write here", "Change the owner or mode of the folder, or name another place."),
    errno.EROFS: ("this disk can only be read", "Name a place on another disk, or mount it for writing."),
    errno.ENOENT: ("no file can be made here: the folder does not exist, or is not one of a disk", "Name another place."),
    errno.ENOTDIR: ("this is a file and not a folder", "Name another place."),
    errno.ENAMETOOLONG: (
        "the name of the file is too long for this disk",
        "Shorten it: while a file is written, its name is 20 characters longer.",
    ),
    errno.EFBIG: ("the file is larger than this process or this disk allows", "Raise the limit (ulimit -f), or name another place."),
}  # fmt: skip


@contextmanager
def naming_place(folder: Path, name: str | None = None) -> Iterator[None]:
    """Name the folder in which something could not be written, and why.

    Args:
        folder: Where the block writes.
        name: Name of the file that is written, where it is one.

    Raises:
        DiskFullError: there is no room.
        UnwritableError: the system refuses to write there for another reason.
    """
    with naming_full(folder):
        try:
            yield
        except SynthAssetsError:
            raise
        except Exception as error:
            number = None if is_full(error) else _refused(error, folder, name)
            if number is None:
                raise
            what, remedy = _WORDS[number]
            raise UnwritableError(f"{what}.", file=str(folder), remedy=remedy) from None


def _refused(error: Exception, folder: Path, name: str | None) -> int | None:
    """The system's number for why it refuses to write in a folder; None where it was something else that failed."""
    if (
        not isinstance(error, OSError) or error.errno == errno.ENOENT
    ):  # of a library; or of a file that somebody took away
        return _asked_again(folder, name)
    if error.errno not in _WORDS:
        return None
    if error.filename is None:
        return error.errno if error.errno == errno.EFBIG else _asked_again(folder, name)
    at, here = (Path(os.path.abspath(os.fsdecode(p))) for p in (error.filename, folder))  # noqa: PTH100  keeps symbolic links
    return error.errno if at.is_relative_to(here) or here.is_relative_to(at) else None


def _asked_again(folder: Path, name: str | None) -> int | None:
    """What the system says to a file of the same name, with a word before it that nobody has."""
    probe = folder / f".{uuid.uuid4().hex[:8]}{name or ''}"
    try:
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        return error.errno if error.errno in _WORDS else None
    with contextlib.suppress(OSError):
        probe.unlink()
    return None
