"""Opens the artifact store and the leases that an installation's settings describe; the one way to do it."""

from __future__ import annotations

from synth_assets.config.runtime import Settings
from synth_assets.storage.artifacts import ArtifactStore
from synth_assets.storage.lease_files import FilePlace
from synth_assets.storage.lease_postgres import PostgresPlace
from synth_assets.storage.lease_record import Place
from synth_assets.storage.opening import Protection, open_store


def store_of(settings: Settings) -> ArtifactStore:
    """The artifact store of a home, with the zones, keys and places of its settings."""
    return open_store(protection_of(settings), settings.s3_zones)


def protection_of(settings: Settings) -> Protection:
    """How the restricted zone of a home is kept."""
    return Protection(
        settings.var, settings.encryption, settings.work_folder, settings.keys_folder, settings.encryption_required
    )


def leases_of(settings: Settings) -> Place:
    """Where the writer leases of a home are: in its PostgreSQL, else in files."""
    if settings.postgres_url is not None:
        return PostgresPlace(settings.postgres_url)
    return FilePlace((settings.var / "leases").resolve())
