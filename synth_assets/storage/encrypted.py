"""A zone whose files are encrypted where they lie: a backend around another one, on a disk or in S3.

What lies in the zone is sealed (at_rest.py); whoever reads an artifact gets a plain copy in the private room of the process (rooms.py),
which goes when the store is closed. The content hash in an artifact's key stays that of the plain content.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from synth_assets.errors import ConfigError, DamagedArtifactError, ServiceUnavailableError
from synth_assets.storage import at_rest, atomic
from synth_assets.storage.artifacts import Backend, Pointer
from synth_assets.storage.at_rest import KEY_FILE, NAMES_FILE, Sealing
from synth_assets.storage.hashing import hash_folder
from synth_assets.storage.rooms import Room
from synth_assets.storage.secrets import SecretKey

MARK = ".encrypted"  # in the zone: nothing in it is plain


@dataclass(frozen=True)
class _Opened(Pointer):
    """A small file in plain, with the one that lies in the zone."""

    sealed: Pointer | None = None


class SealedBackend:
    """Seals what it commits, opens what it gives. What is plain is read in a zone from before encryption, refused in one with a mark.

    Args:
        inner: Where the sealed files lie.
        zone: Name of the zone; part of what a key is bound to.
        seals: The keys.
        room: Gives the room of this process.
        making: Folder for sealed files that are not committed yet, on the disk of the zone.
        required: Refuse what is plain even where the zone has no mark.
    """

    def __init__(
        self, inner: Backend, zone: str, seals: Sealing, room: Callable[[], Room], making: Path, *,
        required: bool = False,
    ) -> None:  # fmt: skip
        self._inner, self._zone, self._seals, self._room, self._making = inner, zone, seals, room, making
        self._required, self._begun = required, False
        self._copies: Path | None = None
        self._as_written: set[str] = set()

    def commit(self, staged: Path, key: str) -> None:
        """Seal a folder and commit it; what is there, and is plain or cannot be opened any more, is replaced."""
        try:
            if self.local(key) is not None and self._envelope(key) is not None:
                return
        except (ConfigError, DamagedArtifactError):
            pass
        self._begin()
        self._inner.remove(key)
        place = self._place(key)
        atomic.private_folder(self._making / key.partition("/")[0])
        with atomic.staging_folder(self._making / key.partition("/")[0]) as folder:
            data, envelope = self._seals.new_key(place)
            at_rest.seal_folder(staged, folder, data)
            atomic.write_bytes(folder / KEY_FILE, envelope)
            self._inner.commit(folder, key)
        shutil.rmtree(staged)

    def local(self, key: str) -> Path | None:
        """A plain copy of an artifact, made once per store; an artifact from before encryption as it lies.

        Raises:
            ConfigError: the master key is missing, or another one.
            ServiceUnavailableError: the service that keeps it does not answer.
            DamagedArtifactError: the files are not what was written.
        """
        folder = self._opened() / key if self._copies is not None else None
        if folder is not None and folder.is_dir():
            return folder
        envelope = self._envelope(key)
        if envelope is None:
            return self._plain(key)
        data = self._seals.unwrap(envelope.data, self._place(key))
        sealed = self._inner.raw(key)
        if sealed is None:
            return None
        folder = self._opened() / key
        atomic.private_folder(folder.parent)
        with atomic.staging_folder(folder.parent) as plain:
            at_rest.open_folder(sealed, plain, data)
            with contextlib.suppress(OSError):  # another thread was faster
                plain.rename(folder)
        return folder

    def _plain(self, key: str) -> Path | None:
        """An artifact from before encryption, as it lies: its key names the hash of its content."""
        folder = self._inner.local(key)
        if folder is None or key in self._as_written:
            return folder
        self._refuse_plain(key)
        if hash_folder(folder) != key.rpartition("/")[2]:
            raise DamagedArtifactError(
                f"{self._place(key)} is plain, and not what was written.", file=self.location(key),
                remedy="Somebody or something changed it: find out who. Then delete it, and materialise the asset again.",
            )  # fmt: skip
        self._as_written.add(key)
        return folder

    def _refuse_plain(self, key: str) -> None:
        if self._required or self.marked:
            raise DamagedArtifactError(
                f"{self._place(key)} is plain, and everything in this zone was encrypted.", file=self.location(key),
                remedy="Find out who put it there. Where it was written by you, with SYNTH_ASSETS_ENCRYPTION=off or before encryption: "
                "synth-assets encrypt. Else delete it, and materialise the asset again.",
            )  # fmt: skip

    def _begin(self) -> None:
        """Mark a zone in which nothing lies yet, before its first file."""
        if not self._begun and not self.marked and next(iter(self._inner.names()), None) is None:
            self.mark()
        self._begun = True

    @property
    def marked(self) -> bool:
        """Whether the zone says that nothing in it is plain."""
        return self._inner.read_pointer(MARK) is not None

    def mark(self) -> None:
        """Say, for all processes from here on, that nothing in this zone is plain."""
        said = json.dumps({"since": datetime.now(UTC).isoformat(timespec="seconds")}).encode()
        sealed = self._seals.seal_note(said, self._place(MARK))
        self._inner.write_pointer(MARK, sealed, instead_of=self._inner.read_pointer(MARK))

    def _opened(self) -> Path:
        """The folder of this store's copies; removed when the store is, or when the process ends."""
        if self._copies is None:
            self._copies = self._room().part(f"opened-{uuid.uuid4().hex[:12]}")
            weakref.finalize(self, _forget, os.getpid(), self._copies)
        return self._copies

    def write_pointer(self, key: str, data: bytes, *, instead_of: Pointer | None) -> bool:
        """Seal a small file; what it replaces is compared as it lies."""
        self._begin()
        before = instead_of.sealed if isinstance(instead_of, _Opened) else instead_of
        return self._inner.write_pointer(key, self._seals.seal_note(data, self._place(key)), instead_of=before)

    def read_pointer(self, key: str) -> Pointer | None:
        """Open a small file.

        Raises:
            DamagedArtifactError: it is plain in a zone where nothing is, or not what was written.
        """
        found = self._inner.read_pointer(key)
        if found is None:
            return None
        if at_rest.note_envelope(found.data) is None:
            self._refuse_plain(key)
        return _Opened(self._seals.open_note(found.data, self._place(key)), "", found)

    def _envelope(self, key: str) -> Pointer | None:
        return self._inner.read_pointer(f"{key}/{KEY_FILE}")

    def remove(self, key: str) -> None:
        """Remove the artifact and its copy."""
        self._inner.remove(key)
        if self._copies is not None:
            shutil.rmtree(self._copies / key, ignore_errors=True)

    def clear_partial(self, dataset: str) -> None:
        """Remove what was never committed, sealed as it is."""
        self._inner.clear_partial(dataset)
        shutil.rmtree(self._making / dataset, ignore_errors=True)

    def location(self, key: str) -> str:
        """Where the sealed files lie."""
        return self._inner.location(key)

    def names(self) -> Iterator[str]:
        """Every file of the zone, as it lies."""
        return self._inner.names()

    def raw(self, key: str) -> Path | None:
        """The sealed files."""
        return self._inner.raw(key)

    def replace(self, name: str, file: Path) -> None:
        """Replace one file as it lies."""
        self._inner.replace(name, file)

    def forget(self, key: str) -> None:
        """Drop what was kept of an artifact."""
        self._inner.forget(key)

    def _place(self, key: str) -> str:
        return f"{self._zone}/{key}"

    def seal_again(self, key: str, old: Sealing | None) -> bool:
        """Bring one artifact to the key of today: a plain one is sealed, one under an earlier key gets another wrapping.

        A crash in between is mended by doing it again: the key is written first, each file says whether it is sealed, the list of
        names is written last.

        Args:
            key: The artifact.
            old: The earlier key, where there was one.

        Returns:
            Whether there was anything to do.

        Raises:
            ConfigError: it was sealed with a key that is neither today's nor the earlier one.
        """
        place, wrapping = self._place(key), self._envelope(key)
        if wrapping is None:
            data, envelope = self._seals.new_key(place)
            self._swap(f"{key}/{KEY_FILE}", envelope, None)
        else:
            data = self._unwrapped(wrapping.data, place, old)
            rewrap = at_rest.envelope_key_id(wrapping.data, place) != self._seals.key_id()
            if rewrap:
                self._swap(f"{key}/{KEY_FILE}", self._seals.wrap(data, place), wrapping)
            if self._inner.read_pointer(f"{key}/{NAMES_FILE}") is not None:
                self._inner.forget(key)
                return rewrap
        self._seal_files(key, data)
        return True

    def _seal_files(self, key: str, data: SecretKey) -> None:
        self._inner.forget(key)
        folder = self._inner.raw(key)
        if folder is None:
            return
        names = [n for n in at_rest.names_of(folder) if n != KEY_FILE]
        atomic.private_folder(self._making / key.partition("/")[0])
        for name in names:
            if at_rest.is_sealed(folder / name):
                continue
            with atomic.staging_folder(self._making / key.partition("/")[0]) as made:
                at_rest.seal_file(folder / name, made / "file", data, name)
                self._inner.replace(f"{key}/{name}", made / "file")
        self._swap(f"{key}/{NAMES_FILE}", at_rest.sealed_names(names, data), None)
        self._inner.forget(key)

    def seal_note_again(self, key: str, old: Sealing | None) -> bool:
        """The same for a pointer or note."""
        place, found = self._place(key), self._inner.read_pointer(key)
        if found is None:
            return False
        wrapping = at_rest.note_envelope(found.data)
        if wrapping is not None and at_rest.envelope_key_id(wrapping, place) == self._seals.key_id():
            return False
        opener = self._seals if wrapping is None or old is None else old
        self._swap(key, self._seals.seal_note(opener.open_note(found.data, place), place), found)
        return True

    def _swap(self, key: str, data: bytes, before: Pointer | None) -> None:
        if not self._inner.write_pointer(key, data, instead_of=before):
            raise ServiceUnavailableError(
                f"{self._place(key)} was written by somebody else meanwhile.", remedy="Run the command again."
            )

    def _unwrapped(self, wrapping: bytes, place: str, old: Sealing | None) -> SecretKey:
        known = at_rest.envelope_key_id(wrapping, place) == self._seals.key_id()
        return (self._seals if known or old is None else old).unwrap(wrapping, place)


def _forget(process: int, folder: Path) -> None:
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)
