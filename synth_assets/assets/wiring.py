"""What all assets of a dataset have in common: key, group, owners, tags, kinds, code version."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg

from synth_assets.asset_keys import DatasetKeys
from synth_assets.assets.stage import code_version
from synth_assets.config.dataset import DatasetConfig
from synth_assets.config.runtime import LoadedDataset
from synth_assets.storage.artifacts import Zone
from synth_assets.uploads.upload import Upload


@dataclass(frozen=True)
class Wiring:
    """A dataset as the factories see it.

    Args:
        dataset: The dataset.
        configs_folder: The project's `configs` folder, whose policies win over the shipped ones.
        key_fingerprint: Of the master key; part of the code version of what is made with a key.
        chain: First part of the asset keys and group, where it is not the dataset's name.
        upload: The dropped file behind the dataset, while a run works on it.
    """

    dataset: LoadedDataset
    configs_folder: Path | None = None
    key_fingerprint: str = ""
    chain: str = ""
    upload: Upload | None = None

    @property
    def config(self) -> DatasetConfig:
        """Its configuration."""
        return self.dataset.config

    @cached_property
    def keys(self) -> DatasetKeys:
        """Its asset names."""
        return DatasetKeys(self.config, self.chain)

    def declared(self, table: str, keys: Collection[str]) -> dict[str, dict[str, Any]]:
        """What the YAML says about the columns of a table under some keys; columns and keys without a word of it are left out."""
        found = {
            name: column.model_dump(mode="json", include=set(keys), exclude_defaults=True)
            for name, column in self.config.tables[table].columns.items()
        }
        return {name: said for name, said in found.items() if said}

    def spec(
        self,
        asset: str,
        *,
        stage: str,
        zone: Zone,
        section: Any,
        version: str,
        kinds: set[str],
        description: str,
        deps: Iterable[str] = (),
        gates: Any = None,
        metadata: Mapping[str, Any] | None = None,
        keyed: bool = False,
    ) -> dg.AssetSpec:
        """The asset's face in Dagster; with `keyed` another master key makes it stale."""
        return dg.AssetSpec(
            key=self.keys.key(asset),
            deps=[self.keys.key(name) for name in deps],
            group_name=self.chain or self.config.name,
            owners=list(self.config.owners),
            tags={"zone": zone.value, "stage": stage},
            kinds=kinds,
            description=description,
            code_version=code_version([section, self.key_fingerprint] if keyed else section, version, gates),
            metadata=dict(metadata or {}),
            skippable=True,  # where a blocking check fails, nothing is materialised: the earlier artifact stays
        )

    def check(self, asset: str, name: str, description: str, *, blocking: bool = True) -> dg.AssetCheckSpec:
        """A check that the asset's own step evaluates."""
        return dg.AssetCheckSpec(name, asset=self.keys.key(asset), blocking=blocking, description=description)
