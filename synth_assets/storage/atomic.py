"""Atomic writes on a local disk: temporary name, fsync, rename. A reader sees the old content or the new, never a half."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from synth_assets.storage.unwritable import naming_place

TEMPORARY = ".*.tmp*"  # names that `replacing` gives; a kill leaves one behind


def fsync_folder(folder: Path) -> None:
    """Make the renames inside a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _make(folder: Path) -> None:
    with naming_place(folder):
        folder.mkdir(parents=True, exist_ok=True)


def write_bytes(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write a whole file atomically, and remove what processes that were killed while they wrote it have left.

    Args:
        path: Destination; its folder is made when absent.
        data: The content.
        mode: File mode of a new file.
    """
    _make(path.parent)
    _remove_left_behind(path)
    folder = naming_place(path.parent)  # closing a file on a full disk fails once more
    with folder, contextlib.ExitStack() as held, replacing(path, mode=mode) as temporary:
        handle = held.enter_context(_owned(temporary))  # until the file has its name
        handle.write(data)
        handle.flush()


def write_new(path: Path, data: bytes) -> bool:
    """Write a file of mode 0600 unless somebody else was faster: it is linked into place, so exactly one wins.

    Args:
        path: Destination; its folder is there.
        data: The content.

    Returns:
        Whether it was this process.
    """
    try:  # a file without a name, of which a kill leaves nothing
        handle = os.open(path.parent, os.O_TMPFILE | os.O_WRONLY, 0o600)
    except OSError:  # not every file system has such files
        with staging_folder(path.parent) as folder:
            write_bytes(folder / "new", data)
            return _linked(folder / "new", path)
    with naming_place(path.parent), os.fdopen(handle, "wb") as unnamed:
        unnamed.write(data)
        unnamed.flush()
        os.fsync(handle)
        return _linked(Path(f"/proc/self/fd/{handle}"), path)


def _linked(source: Path, path: Path) -> bool:
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.link(
            source, path, src_dir_fd=folder
        )  # with a folder Python asks the system to follow the link to the open file
    except FileExistsError:
        return False
    else:
        os.fsync(folder)
        return True
    finally:
        os.close(folder)


@contextmanager
def _owned(temporary: Path) -> Iterator[BinaryIO]:
    """Make a file and hold its lock, which the kernel drops when the process ends, however it ends."""
    while True:
        with temporary.open("wb") as handle:
            with contextlib.suppress(OSError):  # a disk without locks: there nobody removes anything, either
                fcntl.flock(handle, fcntl.LOCK_EX)
            if os.fstat(handle.fileno()).st_nlink:  # else somebody has removed it before it was locked
                yield handle
                return


def _remove_left_behind(path: Path) -> None:
    """Remove temporary files of a path that nobody holds."""
    for temporary in path.parent.glob(f".{glob.escape(path.name)}.*.tmp{glob.escape(path.suffix)}"):
        with contextlib.suppress(OSError), temporary.open("r+b") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            temporary.unlink()


def write_text(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Write a whole UTF-8 file atomically."""
    write_bytes(path, text.encode(), mode=mode)


@contextmanager
def replacing(path: Path, *, mode: int = 0o600) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success fsync it and rename it over `path`, on failure remove it.

    For libraries that write a file themselves (DuckDB COPY, pyarrow, openpyxl).
    """
    _make(path.parent)
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex[:12]}.tmp{path.suffix}"
    try:
        with naming_place(path.parent, temporary.name):
            yield temporary
            temporary.chmod(mode)
            handle = os.open(temporary, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
            temporary.replace(path)
            fsync_folder(path.parent)
    finally:
        with contextlib.suppress(
            OSError
        ):  # a name or disk that refused the file refuses this as well: the first error is the one
            temporary.unlink(missing_ok=True)


def private_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for the owner alone (`Path.mkdir` gives its mode to the last one only)."""
    for path in (*reversed(folder.parents), folder):
        if not path.is_dir():
            with naming_place(folder):
                path.mkdir(mode=0o700, exist_ok=True)


def close_to_others(folder: Path) -> None:
    """Give everything below a folder to its owner alone: what libraries write has the modes of the process."""
    for path in folder.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)


@contextmanager
def staging_folder(parent: Path, *, mode: int = 0o700) -> Iterator[Path]:
    """Give an empty folder below `parent`; it is removed at the end unless it was renamed away."""
    _make(parent)
    folder = parent / f".staging-{uuid.uuid4().hex[:12]}"
    try:
        with naming_place(parent):
            folder.mkdir(mode=mode)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def commit_folder(staged: Path, final: Path) -> None:
    """Fsync every file of `staged` and rename the folder to `final`; an equal folder that is already there is kept.

    Args:
        staged: A folder that nobody else writes.
        final: Its content-addressed place; the same name means the same content.
    """
    for path in (*sorted(staged.rglob("*")), staged):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    _make(final.parent)
    if final.exists():
        shutil.rmtree(staged)
        return
    staged.rename(final)
    fsync_folder(final.parent)
