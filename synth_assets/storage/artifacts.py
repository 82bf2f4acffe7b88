"""The artifact store: content-addressed folders in three zones, on a local disk or in S3.

Layout: `<root of the zone>/<dataset>/<asset>/<content hash>/...`, and `current.json` beside it, which is written last. A crash
before that leaves the earlier artifact current. Zones are separate roots, so that each may have its own modes and credentials.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from synth_assets.errors import ConfigError, MissingArtifactError, ServiceUnavailableError, SupersededError
from synth_assets.storage import atomic
from synth_assets.storage.at_rest import note_envelope
from synth_assets.storage.hashing import hash_folder
from synth_assets.storage.lease import Hold

FENCE = "fence"  # in every pointer and note: number of the taking (lease.py) that wrote it; 0 without a lease
SWAPS = 5


class Zone(StrEnum):
    """Who may read an artifact: restricted (raw-equivalent), masked, or release."""

    RESTRICTED = "restricted"
    MASKED = "masked"
    RELEASE = "release"


@dataclass(frozen=True)
class ArtifactRef:
    """A pointer to one immutable artifact; what assets hand on instead of frames."""

    zone: Zone
    dataset: str
    asset: str
    content_hash: str
    info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Path of the artifact below its zone's root."""
        return f"{self.dataset}/{self.asset}/{self.content_hash}"


@dataclass(frozen=True)
class Pointer:
    """One small file as it was read.

    Args:
        data: Its bytes.
        version: What the store calls this version of it; "" where only a lock keeps others from writing.
    """

    data: bytes
    version: str = ""


class Backend(Protocol):
    """Where the folders of a zone are kept."""

    def commit(self, staged: Path, key: str) -> None:
        """Move a complete local folder to its place; nothing to do where it already is."""

    def local(self, key: str) -> Path | None:
        """A local folder with the artifact's files, or None where it is gone."""

    def write_pointer(self, key: str, data: bytes, *, instead_of: Pointer | None) -> bool:
        """Replace one small file atomically; False where it is another than the one that was read (None: there was none)."""

    def read_pointer(self, key: str) -> Pointer | None:
        """A small file, or None."""

    def clear_partial(self, dataset: str) -> None:
        """Remove files of a dataset that a killed writer left half written; nobody else writes now."""

    def remove(self, key: str) -> None:
        """Remove one artifact folder."""

    def location(self, key: str) -> str:
        """Path or URL, to show to a person."""

    def names(self) -> Iterator[str]:
        """The name of every file of the zone, below its root."""

    def raw(self, key: str) -> Path | None:
        """A local folder with the artifact's files as they lie in the zone, unchecked, or None."""

    def replace(self, name: str, file: Path) -> None:
        """Put a local file in the place of one of the zone, atomically."""

    def forget(self, key: str) -> None:
        """Drop what is kept of an artifact outside the zone."""


class LocalBackend:
    """Folders on a local disk, mode 0700."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def commit(self, staged: Path, key: str) -> None:
        """Rename the folder into place."""
        final = self.root / key
        atomic.private_folder(final.parent)
        if staged.stat().st_dev == final.parent.stat().st_dev:
            atomic.commit_folder(staged, final)
            return
        with atomic.staging_folder(final.parent) as here:  # the stage is in memory, or on another disk
            atomic.commit_folder(shutil.copytree(staged, here / "files"), final)

    def local(self, key: str) -> Path | None:
        """The folder itself."""
        folder = self.root / key
        return folder if folder.is_dir() else None

    def write_pointer(self, key: str, data: bytes, *, instead_of: Pointer | None) -> bool:
        """Atomic replace; whoever holds a lease writes under its lock, so nothing comes between look and replace."""
        if self.read_pointer(key) != instead_of:
            return False
        atomic.private_folder((self.root / key).parent)
        atomic.private_folder((self.root / key).parent)
        atomic.write_bytes(self.root / key, data)
        return True

    def read_pointer(self, key: str) -> Pointer | None:
        """The file's bytes."""
        path = self.root / key
        return Pointer(path.read_bytes()) if path.is_file() else None

    def clear_partial(self, dataset: str) -> None:
        """Remove temporary files and folders that were never renamed."""
        for path in (self.root / dataset).glob(f"*/{atomic.TEMPORARY}"):
            path.unlink(missing_ok=True)
        for path in (self.root / dataset).glob("*/.staging-*"):
            shutil.rmtree(path, ignore_errors=True)

    def remove(self, key: str) -> None:
        """Remove the folder."""
        shutil.rmtree(self.root / key, ignore_errors=True)

    def location(self, key: str) -> str:
        """Absolute path."""
        return str((self.root / key).resolve())

    def names(self) -> Iterator[str]:
        """Files below the root; what begins with a dot is no artifact's."""
        for path in sorted(self.root.rglob("*")):
            relative = path.relative_to(self.root)
            if path.is_file() and not any(part.startswith(".") for part in relative.parts):
                yield relative.as_posix()

    def raw(self, key: str) -> Path | None:
        """The folder itself."""
        return self.local(key)

    def replace(self, name: str, file: Path) -> None:
        """Rename it into place."""
        with atomic.replacing(self.root / name) as temporary:
            shutil.move(file, temporary)

    def forget(self, key: str) -> None:
        """Nothing is kept elsewhere."""


class ArtifactStore:
    """Put, get and list artifacts by zone, dataset and asset.

    Args:
        backends: One backend per zone.
        scratch: Gives the local folder for files in the making; as restricted as the restricted zone.
        hold: In whose name it writes; None for what nobody else writes.
    """

    def __init__(self, backends: Mapping[Zone, Backend], scratch: Callable[[], Path], hold: Hold | None = None) -> None:
        self._backends = backends
        self._scratch = scratch
        self._hold = hold

    @property
    def scratch(self) -> Path:
        """Folder for files in the making, private to this process where the restricted zone is encrypted."""
        return self._scratch()

    def backend(self, zone: Zone) -> Backend:
        """Where a zone is kept; for those who look after the zone itself."""
        return self._backends[zone]

    def fenced(self, hold: Hold) -> ArtifactStore:
        """The same store for the holder of a dataset's lease: once a newer run has taken over, nothing is published any more."""
        return ArtifactStore(self._backends, self._scratch, hold)

    @contextmanager
    def writing(self, zone: Zone, dataset: str, asset: str) -> Iterator[Writing]:
        """Give a staging folder; on success its content becomes the current artifact, on failure nothing changes.

        Usage: `with store.writing(zone, dataset, asset) as out: ...; out.info["row_count"] = n` and afterwards `out.ref`. With
        `out.publish = False` the content is thrown away: what failed its check must not lie about in its zone.
        """
        with self.staging(dataset) as folder:
            out = Writing(folder=folder)
            yield out
            ref = ArtifactRef(zone, dataset, asset, hash_folder(folder), dict(out.info))
            if self._hold is not None:
                self._hold.require()
            if out.publish:
                atomic.close_to_others(folder)
                self._backends[zone].commit(folder, ref.key)
                self.point(ref)
            out.ref = ref

    @contextmanager
    def staging(self, dataset: str) -> Iterator[Path]:
        """A private folder for files in the making, removed at the end; a crash leaves it for `clear_staging`."""
        atomic.private_folder(self.scratch / dataset)
        with atomic.staging_folder(self.scratch / dataset) as folder:
            yield folder

    def clear_staging(self, dataset: str) -> None:
        """Remove what a killed run left in the making; only the holder of the dataset's lease may."""
        shutil.rmtree(self.scratch / dataset, ignore_errors=True)

    def clear_partial(self, dataset: str) -> None:
        """Remove what a killed run left half written in the zones; only the holder of the dataset's lease may."""
        for backend in self._backends.values():
            backend.clear_partial(dataset)

    def point(self, ref: ArtifactRef) -> None:
        """Make an artifact the current one of its asset.

        Raises:
            SupersededError: a newer run has taken the dataset over.
        """
        record = {
            "content_hash": ref.content_hash,
            "info": dict(ref.info),
            "written_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        self._replace(ref.zone, f"{ref.dataset}/{ref.asset}/current.json", record)

    def find(self, zone: Zone, dataset: str, asset: str) -> ArtifactRef | None:
        """The current artifact of an asset, or None."""
        found = self._backends[zone].read_pointer(f"{dataset}/{asset}/current.json")
        if found is None:
            return None
        record = _said(found, zone, f"{dataset}/{asset}")
        return ArtifactRef(zone, dataset, asset, record["content_hash"], record["info"])

    def current(self, zone: Zone, dataset: str, asset: str) -> ArtifactRef:
        """The current artifact of an asset.

        Raises:
            MissingArtifactError: it was never made, or its files are gone.
        """
        ref = self.find(zone, dataset, asset)
        if ref is None:
            raise MissingArtifactError(
                f"asset {dataset}/{asset} has not been materialised in zone {zone}.",
                remedy="Materialise it first, or run the whole chain.",
            )
        return ref

    def path(self, ref: ArtifactRef) -> Path:
        """A local, read-only folder with the artifact's files (downloaded from S3 where the zone lives there).

        Raises:
            MissingArtifactError: the files are gone.
        """
        folder = self._backends[ref.zone].local(ref.key)
        if folder is None:
            raise MissingArtifactError(
                f"the files of {ref.dataset}/{ref.asset} are gone from zone {ref.zone}.",
                remedy="Materialise the asset again.",
            )
        return folder

    def location(self, ref: ArtifactRef) -> str:
        """Path or URL of the artifact, to show to a person."""
        return self._backends[ref.zone].location(ref.key)

    def write_note(self, zone: Zone, dataset: str, asset: str, name: str, value: Mapping[str, Any]) -> None:
        """Keep one small JSON object beside an asset (a verdict, a reuse counter), replaced atomically.

        Raises:
            SupersededError: a newer run has taken the dataset over.
        """
        self._replace(zone, f"{dataset}/{asset}/{name}.json", value)

    def read_note(self, zone: Zone, dataset: str, asset: str, name: str) -> dict[str, Any] | None:
        """The value of a note, or None."""
        found = self._backends[zone].read_pointer(f"{dataset}/{asset}/{name}.json")
        if found is None:
            return None
        value = _said(found, zone, f"{dataset}/{asset}")
        value.pop(FENCE, None)
        return value

    def _replace(self, zone: Zone, key: str, value: Mapping[str, Any]) -> None:
        """Write a pointer or note unless a newer taking of the dataset has written it, or has begun."""
        fence = 0 if self._hold is None else self._hold.fence
        data = json.dumps({**value, FENCE: fence}, indent=1, sort_keys=True).encode()
        backend = self._backends[zone]
        with self._committing():
            for _ in range(SWAPS):
                before = backend.read_pointer(key)
                if before is not None and _said(before, zone, key.rpartition("/")[0]).get(FENCE, 0) > fence:
                    raise SupersededError(
                        f"{key.rpartition('/')[0]} was written by a newer run; what this one made is thrown away.",
                        remedy="Nothing needs to be done, unless the clocks of two machines differ: then set them, and run again.",
                    )
                if backend.write_pointer(key, data, instead_of=before):
                    return
        raise ServiceUnavailableError(f"{key} in zone {zone} is written by others all the time.", remedy="Run again.")

    def _committing(self) -> AbstractContextManager[None]:
        return nullcontext() if self._hold is None else self._hold.committing()


def _said(pointer: Pointer, zone: Zone, place: str) -> dict[str, Any]:
    if note_envelope(pointer.data) is not None:
        raise ConfigError(
            f"{zone}/{place} is encrypted, and encryption is off.", key="SYNTH_ASSETS_ENCRYPTION",
            remedy="Unset it, or set it to on. To go on without encryption, make the dataset anew in another home.",
        )  # fmt: skip
    said: dict[str, Any] = json.loads(pointer.data)
    return said


@dataclass
class Writing:
    """An artifact in the making: its staging folder, what to record about it, whether to keep it, and then its reference."""

    folder: Path
    info: dict[str, Any] = field(default_factory=dict)
    publish: bool = True
    ref: ArtifactRef | None = None

    def done(self) -> ArtifactRef:
        """The reference; only after the `with` block has ended well."""
        if self.ref is None:
            raise RuntimeError("the artifact is not committed yet")
        return self.ref
