"""The exchange area: where a client and the service hand each other sealed files; a folder that both see, or an S3 prefix.

Each request has a random name of its own; the files below it are sealed for the one who shall read them (sealing.py), so the area needs
no trust but may be read by others. A request's files are deleted when it is done, and those that nobody fetched after a week.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from synth_assets.errors import ConfigError, InputError
from synth_assets.storage import atomic

if TYPE_CHECKING:
    from synth_assets.storage.objects import ObjectFolder

SCHEME = "exchange:"
KEEP_SECONDS = 7 * 86_400
PUBLIC_KEY_FILE = "service.pub"
_REFERENCE = re.compile(r"exchange:([0-9a-f]{32})/([A-Za-z0-9_]{1,128}(?:\.[a-z0-9]{1,12}){0,2})")


class Area(Protocol):
    """Small store of files by name."""

    def put(self, file: Path, name: str) -> None:
        """Make a file appear, whole."""

    def get(self, name: str, target: Path) -> bool:
        """Copy a file; False where there is none."""

    def delete(self, request: str) -> None:
        """Delete all files of a request."""

    def requests(self) -> Iterator[tuple[str, float]]:
        """Requests that have files, and when they were last written (seconds since 1970)."""


class FolderArea:
    """A folder that both sides see.

    Args:
        folder: The folder.
        mode: Mode of new files; they are sealed, and the other side may be another user of a common group.
    """

    def __init__(self, folder: Path, *, mode: int = 0o600) -> None:
        self._folder, self._mode = folder, mode

    def put(self, file: Path, name: str) -> None:
        """Copy to a temporary name, fsync, rename."""
        target = self._folder / name
        if self._mode == 0o600:
            atomic.private_folder(target.parent)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
        with atomic.replacing(target, mode=self._mode) as temporary:
            shutil.copyfile(file, temporary)

    def get(self, name: str, target: Path) -> bool:
        """Copy the file."""
        try:
            shutil.copyfile(self._folder / name, target)
        except FileNotFoundError:
            return False
        return True

    def delete(self, request: str) -> None:
        """Remove the request's folder."""
        shutil.rmtree(self._folder / request, ignore_errors=True)

    def requests(self) -> Iterator[tuple[str, float]]:
        """The folders."""
        for folder in self._folder.iterdir() if self._folder.is_dir() else ():
            with contextlib.suppress(FileNotFoundError):  # another process has just deleted it
                if folder.is_dir():
                    yield folder.name, folder.stat().st_mtime


class ObjectArea:
    """An S3 prefix.

    Args:
        objects: The objects below it.
    """

    def __init__(self, objects: ObjectFolder) -> None:
        self._objects = objects

    def put(self, file: Path, name: str) -> None:
        """Upload; an object appears whole."""
        self._objects.upload(file, name)

    def get(self, name: str, target: Path) -> bool:
        """Download."""
        if self._objects.find(name) is None:
            return False
        self._objects.download(name, target)
        return True

    def delete(self, request: str) -> None:
        """Delete the request's objects."""
        for found in list(self._objects.listing(f"{request}/")):
            self._objects.delete(found.key)

    def requests(self) -> Iterator[tuple[str, float]]:
        """From the objects' names."""
        last: dict[str, float] = {}
        for found in self._objects.listing():
            request, slash, _ = found.key.partition("/")
            if slash:
                last[request] = max(last.get(request, 0.0), found.modified.timestamp())
        yield from last.items()


def new_request() -> str:
    """A random name: 32 hex digits."""
    return secrets.token_hex(16)


def reference(request: str, name: str) -> str:
    """`exchange:<request>/<name>`, as it stands in run config.

    Raises:
        InputError: such a name could leave the request's folder, or tell something.
    """
    made = f"{SCHEME}{request}/{name}"
    split_reference(made)
    return made


def is_reference(place: str) -> bool:
    """Whether a place is one in the exchange area."""
    return place.startswith(SCHEME)


def split_reference(place: str) -> tuple[str, str]:
    """Request and name.

    Raises:
        InputError: it is no reference.
    """
    found = _REFERENCE.fullmatch(place)
    if found is None:
        raise InputError(
            "this is no place in the exchange area.", remedy="It has the form exchange:<32 hex digits>/<name>."
        )
    return found[1], found[2]


def purge(area: Area, *, now: float | None = None) -> int:
    """Delete requests that nobody has touched for a week.

    Returns:
        How many.
    """
    limit = (time.time() if now is None else now) - KEEP_SECONDS
    old = [request for request, written in area.requests() if written < limit]
    for request in old:
        area.delete(request)
    return len(old)


def published_key(area: Area, scratch: Path) -> str:
    """The service's public key, as the service has put it into the area.

    Raises:
        ConfigError: it is not there.
    """
    file = scratch / PUBLIC_KEY_FILE
    if not area.get(PUBLIC_KEY_FILE, file):
        raise ConfigError(
            "the exchange area has no public key of the service.",
            remedy="Run `synth-assets exchange` on the service once, or give the key that it prints.",
        )
    return file.read_text().strip()
