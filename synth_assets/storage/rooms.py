"""Where plain files of the restricted zone lie while a process works on them: a private room that is gone when the process is.

A room is a folder of mode 0700 in memory (tmpfs), so that no disk ever holds it; or in a folder that the installation names, such as an
encrypted disk. The kernel drops its lock when the process ends, however it ends: whoever opens a room removes those of the dead.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
import threading
import uuid
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from synth_assets.errors import ConfigError, SynthAssetsError
from synth_assets.storage import atomic
from synth_assets.storage.unwritable import naming_place

MEMORY = Path("/dev/shm")  # noqa: S108  a tmpfs; every folder below it is checked to be ours alone
VARIABLE = "SYNTH_ASSETS_WORK_FOLDER"
LEAST_BYTES = 512 << 20
_PRIVATE = 0o700


@dataclass(frozen=True)
class Room:
    """A process' own folder for plain files.

    Args:
        folder: The folder, mode 0700.
    """

    folder: Path

    _open: ClassVar[dict[Path, tuple[int, Room, int]]] = {}  # base -> process, room, handle of its lock
    _guard: ClassVar[threading.Lock] = threading.Lock()

    @classmethod
    def of_process(cls, base: Path) -> Room:
        """This process' room below a base folder; made once, and the rooms of dead processes removed.

        Raises:
            ConfigError: the base folder belongs to somebody else, or others can read it.
        """
        with cls._guard:
            held = cls._open.get(base)
            if held is not None and held[0] == os.getpid() and held[1].folder.is_dir():
                return held[1]
            return cls._made(base)

    @classmethod
    def _made(cls, base: Path) -> Room:
        _claim(base)
        for own in base.parent.iterdir() if _is_shared(base) else (base,):  # also of homes that nobody opens again
            sweep(own)
        name = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        handle = _locked(base / f"{name}.lock")
        (base / name).mkdir(mode=_PRIVATE)
        room = cls(base / name)
        cls._open[base] = (os.getpid(), room, handle)
        weakref.finalize(room, _leave, os.getpid(), base / name)
        return room

    def part(self, name: str) -> Path:
        """A folder for one purpose within the room."""
        folder = self.folder / name
        atomic.private_folder(folder)
        return folder


@contextlib.contextmanager
def temporary(within: Path | None = None) -> Iterator[Path]:
    """A folder for plain files that nobody keeps, removed at the end; the one way to make one in this package.

    Args:
        within: A private folder of the caller's; None: the room of commands on single files, which belong to no home.

    Raises:
        ConfigError: the room's folder belongs to somebody else, or others can read it.
    """
    folder = (within or Room.of_process(_commands()).folder) / f"synth-assets-{uuid.uuid4().hex[:12]}"
    try:
        with naming_place(folder.parent):
            folder.mkdir(mode=_PRIVATE)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def standing_for(folder: Path, name: str) -> Iterator[None]:
    """Errors about files in a private folder name what the files stand for: nobody else can look there, and it is gone afterwards."""
    try:
        yield
    except SynthAssetsError as error:
        if error.file is not None and any(Path(error.file).is_relative_to(f) for f in (folder, folder.resolve())):
            error.file = name
        raise


def _commands() -> Path:
    named = os.environ.get(VARIABLE)
    disk = Path(tempfile.gettempdir()).resolve() / f"synth-assets-{os.getuid()}" / "rooms"
    return work_folder(Path("/"), Path(named) if named else None, disk)


def work_folder(var: Path, named: Path | None, disk: Path) -> Path:
    """The base of the rooms of one home: what the installation names; else memory; else, where no memory file system is of use, a disk.

    Args:
        var: Folder of everything that runs make.
        named: What the installation names.
        disk: Folder inside the restricted zone, for machines without a memory file system; `synth-assets health` warns of it.
    """
    of_home = hashlib.sha256(str(var.resolve()).encode()).hexdigest()[:12]
    if named is not None:
        return named / of_home
    if not (MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and in_memory(MEMORY)):
        return disk
    size = os.statvfs(MEMORY)
    if size.f_frsize * size.f_blocks < LEAST_BYTES:  # what containers get by default holds no table
        return disk
    return MEMORY / f"synth-assets-{os.getuid()}" / of_home


def in_memory(folder: Path) -> bool:
    """Whether a folder, or the nearest one above it that is there, lies on a tmpfs."""
    here = next(f for f in (folder, *folder.parents) if f.exists()).resolve()
    best, kind = "", ""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, found, *_ = line.split(" ")
        if (here == Path(place) or Path(place) in here.parents) and len(place) >= len(best):
            best, kind = place, found
    return kind in {"tmpfs", "ramfs"}


def sweep(base: Path) -> int:
    """Remove the rooms of processes that are gone; how many there were."""
    found = 0
    for lock in base.glob("*.lock"):
        try:
            handle = os.open(lock, os.O_RDWR)
        except FileNotFoundError:  # somebody else was faster
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            lock.unlink(missing_ok=True)
            found += 1
        finally:
            os.close(handle)
    return found


def _locked(path: Path) -> int:
    """An exclusive lock on a new file; taken again where somebody swept the file away in between."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        with contextlib.suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(handle).st_ino == path.stat().st_ino:
                return handle
        os.close(handle)


def _claim(base: Path) -> None:
    """Make the base folder for us alone, or refuse one that is not: a shared folder can hold anybody's."""
    atomic.private_folder(base)
    for folder in (base, base.parent) if _is_shared(base) else (base,):
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise ConfigError(
                "the folder for plain files must be a folder of this account, with mode 0700.",
                file=str(folder),
                key=VARIABLE,
                remedy=f"Remove it, or set {VARIABLE} to another folder.",
            )


def _is_shared(base: Path) -> bool:
    """Whether the folder above is this account's, in one that everybody writes."""
    return base.parent.parent in {MEMORY, Path(tempfile.gettempdir()).resolve()}


def _leave(process: int, folder: Path) -> None:
    """At the end of the process that made it; a forked child leaves it alone."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)
        folder.with_name(f"{folder.name}.lock").unlink(missing_ok=True)
