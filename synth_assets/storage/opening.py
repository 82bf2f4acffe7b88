"""Opens the artifact store that the settings describe: zones on the local disk, or in S3 where a zone has a URL."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from synth_assets.storage.artifacts import ArtifactStore, Backend, LocalBackend, Zone
from synth_assets.storage.objects import ObjectFolder
from synth_assets.storage.s3 import S3Backend

SCRATCH = ".scratch"  # inside the restricted zone: files in the making may hold raw values; no dataset has this name
CACHE = ".cache"  # inside its zone: what was read from S3 is as restricted as there


def open_store(var: Path, s3_zones: Mapping[str, ObjectFolder] | None = None) -> ArtifactStore:
    """The artifact store of one home folder.

    Args:
        var: Folder of everything that runs make.
        s3_zones: Zone name to its bucket and prefix, for zones that do not live on the local disk.
    """
    backends: dict[Zone, Backend] = {}
    for zone in Zone:
        objects = (s3_zones or {}).get(zone.value)
        backends[zone] = LocalBackend(var / zone) if objects is None else S3Backend(objects, var / zone / CACHE)
    return ArtifactStore(backends, var / Zone.RESTRICTED / SCRATCH)
