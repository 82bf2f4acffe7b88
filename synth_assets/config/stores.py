"""Opens the artifact store that an installation's settings describe; the one way to do it."""

from __future__ import annotations

from synth_assets.config.runtime import Settings
from synth_assets.storage.artifacts import ArtifactStore
from synth_assets.storage.opening import open_store


def store_of(settings: Settings) -> ArtifactStore:
    """The artifact store of a home, with the zones, keys and places of its settings."""
    return open_store(settings.var, settings.s3_zones)
