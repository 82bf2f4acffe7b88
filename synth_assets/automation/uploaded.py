"""Which uploads a home has, by their names, and each as the dataset that it is. No name of a dropped file is told here."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from synth_assets.assets.uploads import CHAIN
from synth_assets.config.runtime import LoadedDataset, Settings
from synth_assets.config.uploads import FILE, load_uploads
from synth_assets.storage.artifacts import Zone
from synth_assets.uploads.filing import PREFIX


def is_upload(name: str) -> bool:
    """Whether a name is one that uploads have."""
    return name.startswith(PREFIX)


def uploads_of(settings: Settings, instance: dg.DagsterInstance) -> tuple[str, ...]:
    """The uploads that Dagster knows, and those whose artifacts lie on this disk: a history may have begun anew."""
    local = (settings.var / Zone.RESTRICTED).glob(f"{PREFIX}*")
    return tuple(sorted({*instance.get_dynamic_partitions(CHAIN), *(p.name for p in local)}))


def as_datasets(settings: Settings, uploads: Sequence[str]) -> tuple[LoadedDataset, ...]:
    """Uploads as the datasets that their chain makes of them."""
    config = load_uploads(settings.configs_folder)
    return tuple(LoadedDataset(config.dataset(name), settings.configs_folder / FILE) for name in uploads)
