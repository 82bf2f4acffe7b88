"""The artifact store: content-addressed folders in three zones, on a local disk or in S3.

Layout: `<root of the zone>/<dataset>/<asset>/<content hash>/...`, and `current.json` beside it, which is written last. A crash
before that leaves the earlier artifact current. Zones are separate roots, so that each may have its own modes and credentials.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from synth_assets.errors import MissingArtifactError
from synth_assets.storage import atomic
from synth_assets.storage.hashing import hash_folder


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


class Backend(Protocol):
    """Where the folders of a zone are kept."""

    def commit(self, staged: Path, key: str) -> None:
        """Move a complete local folder to its place; nothing to do where it already is."""

    def local(self, key: str) -> Path | None:
        """A local folder with the artifact's files, or None where it is gone."""

    def write_pointer(self, key: str, data: bytes) -> None:
        """Replace one small file atomically."""

    def read_pointer(self, key: str) -> bytes | None:
        """The bytes of a small file, or None."""

    def remove(self, key: str) -> None:
        """Remove one artifact folder."""

    def location(self, key: str) -> str:
        """Path or URL, to show to a person."""


class LocalBackend:
    """Folders on a local disk, mode 0700."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def commit(self, staged: Path, key: str) -> None:
        """Rename the folder into place."""
        final = self.root / key
        atomic.private_folder(final.parent)
        atomic.commit_folder(staged, final)

    def local(self, key: str) -> Path | None:
        """The folder itself."""
        folder = self.root / key
        return folder if folder.is_dir() else None

    def write_pointer(self, key: str, data: bytes) -> None:
        """Atomic replace."""
        atomic.write_bytes(self.root / key, data)

    def read_pointer(self, key: str) -> bytes | None:
        """The file's bytes."""
        path = self.root / key
        return path.read_bytes() if path.is_file() else None

    def remove(self, key: str) -> None:
        """Remove the folder."""
        shutil.rmtree(self.root / key, ignore_errors=True)

    def location(self, key: str) -> str:
        """Absolute path."""
        return str((self.root / key).resolve())


class ArtifactStore:
    """Put, get and list artifacts by zone, dataset and asset.

    Args:
        backends: One backend per zone.
        scratch: Local folder for files in the making; as restricted as the restricted zone.
    """

    def __init__(self, backends: Mapping[Zone, Backend], scratch: Path) -> None:
        self._backends = backends
        self.scratch = scratch

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
            if out.publish:
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
        """Remove what a killed run left behind; only the holder of the dataset's lease may."""
        shutil.rmtree(self.scratch / dataset, ignore_errors=True)

    def point(self, ref: ArtifactRef) -> None:
        """Make an artifact the current one of its asset."""
        record = {
            "content_hash": ref.content_hash,
            "info": dict(ref.info),
            "written_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        data = json.dumps(record, indent=1, sort_keys=True).encode()
        self._backends[ref.zone].write_pointer(f"{ref.dataset}/{ref.asset}/current.json", data)

    def find(self, zone: Zone, dataset: str, asset: str) -> ArtifactRef | None:
        """The current artifact of an asset, or None."""
        data = self._backends[zone].read_pointer(f"{dataset}/{asset}/current.json")
        if data is None:
            return None
        record = json.loads(data)
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

    def write_note(self, zone: Zone, dataset: str, asset: str, name: str, value: Any) -> None:
        """Keep one small JSON value beside an asset (a verdict, a reuse counter), replaced atomically."""
        data = json.dumps(value, indent=1, sort_keys=True).encode()
        self._backends[zone].write_pointer(f"{dataset}/{asset}/{name}.json", data)

    def read_note(self, zone: Zone, dataset: str, asset: str, name: str) -> Any:
        """The value of a note, or None."""
        data = self._backends[zone].read_pointer(f"{dataset}/{asset}/{name}.json")
        return None if data is None else json.loads(data)


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
