"""Opens the artifact store that the settings describe: zones on the local disk or in S3, the restricted one encrypted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from synth_assets.storage import atomic
from synth_assets.storage.artifacts import ArtifactStore, Backend, LocalBackend, Zone
from synth_assets.storage.at_rest import Sealing
from synth_assets.storage.encrypted import SealedBackend
from synth_assets.storage.objects import ObjectFolder
from synth_assets.storage.rooms import Room, work_folder
from synth_assets.storage.s3 import S3Backend
from synth_assets.storage.secrets import master_key

SCRATCH = ".scratch"  # inside the restricted zone: files in the making may hold raw values; no dataset has this name
CACHE = ".cache"  # inside its zone: what was read from S3 is as restricted as there
SEALING = ".sealing"  # sealed files that are not committed yet
MAKING = "making"
SPILL = ".spill"  # no dataset has this name


@dataclass(frozen=True)
class Protection:
    """How the restricted zone is kept.

    Args:
        var: Folder of everything that runs make.
        encrypted: Whether its files are encrypted where they lie.
        named: Folder for plain files while they are worked on; None: memory.
        keys: Folder of key files.
        required: Refuse what lies plain in it, whatever the zone itself says.
    """

    var: Path
    encrypted: bool = True
    named: Path | None = None
    keys: Path = field(default=Path())
    required: bool = False

    @property
    def base(self) -> Path:
        """Where the rooms of processes are."""
        return work_folder(self.var, self.named, self.var / Zone.RESTRICTED / SCRATCH)

    def room(self) -> Room:
        """The room of this process."""
        return Room.of_process(self.base)

    def scratch(self) -> Path:
        """Folder for files in the making."""
        return self.room().part(MAKING) if self.encrypted else self.var / Zone.RESTRICTED / SCRATCH

    def spill(self) -> Path:
        """Folder for what the table engine spills: rows of the restricted zone."""
        folder = self.room().part(SPILL) if self.encrypted else self.var / Zone.RESTRICTED / SCRATCH / SPILL
        atomic.private_folder(folder)
        return folder

    def sealing(self) -> Sealing:
        """Seals with the master key of the home."""
        return Sealing(lambda: master_key(self.keys, make=False), lambda: master_key(self.keys))


def open_store(protection: Protection, s3_zones: Mapping[str, ObjectFolder] | None = None) -> ArtifactStore:
    """The artifact store of one home folder.

    Args:
        protection: How the restricted zone is kept, and where.
        s3_zones: Zone name to its bucket and prefix, for zones that do not live on the local disk.
    """
    var = protection.var
    backends: dict[Zone, Backend] = {}
    for zone in Zone:
        objects = (s3_zones or {}).get(zone.value)
        backends[zone] = LocalBackend(var / zone) if objects is None else S3Backend(objects, var / zone / CACHE)
    if protection.encrypted:
        backends[Zone.RESTRICTED] = SealedBackend(
            backends[Zone.RESTRICTED], Zone.RESTRICTED.value, protection.sealing(), protection.room,
            var / Zone.RESTRICTED / SEALING, required=protection.required,
        )  # fmt: skip
    return ArtifactStore(backends, protection.scratch)
