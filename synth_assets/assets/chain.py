"""The chain of one dataset: which assets it has, in the order of the stages."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg

from synth_assets.assets.audit import build_audit, build_leaderboard
from synth_assets.assets.classification import build_classification
from synth_assets.assets.delivery import build_delivery
from synth_assets.assets.masked import build_masked
from synth_assets.assets.masked_audit import build_masked_audit
from synth_assets.assets.measurements import build_measurements
from synth_assets.assets.models import build_model
from synth_assets.assets.privacy_budget import build_privacy_budget
from synth_assets.assets.profile import build_profile
from synth_assets.assets.raw import build_raw
from synth_assets.assets.refresh import refreshed
from synth_assets.assets.release import build_export, build_report
from synth_assets.assets.split import build_split
from synth_assets.assets.sweep import build_sweep
from synth_assets.assets.synthetic import build_synthetic
from synth_assets.assets.variants import build_variant
from synth_assets.assets.wiring import Wiring
from synth_assets.config.runtime import LoadedDataset
from synth_assets.errors import ConfigError
from synth_assets.uploads.upload import Upload

BUILT_IN = frozenset({"dp_marginals", "dp_tvae", "dp_ctgan"})


def build_dataset(
    dataset: LoadedDataset,
    configs_folder: Path | None = None,
    key_fingerprint: str = "",
    *,
    chain: str = "",
    upload: Upload | None = None,
) -> list[dg.AssetsDefinition]:
    """Every asset of one dataset; the same function for every YAML.

    Args:
        dataset: The dataset.
        configs_folder: The project's `configs` folder.
        key_fingerprint: Of the master key, see `storage.secrets.key_fingerprint`.
        chain: First part of the asset keys, where it is not the dataset's name.
        upload: The dropped file behind the dataset, while a run works on it.

    Raises:
        ConfigError: the dataset names no synthesizer whose package is installed.
    """
    wiring = Wiring(_installed(dataset), configs_folder, key_fingerprint, chain, upload)
    return refreshed(list(_assets(wiring)), wiring.config.refresh)


def _installed(dataset: LoadedDataset) -> LoadedDataset:
    """The dataset without the synthesizers whose package is absent; one line in the log says which and why."""
    config = dataset.config
    here = tuple(s for s in config.synthesizers if s.name in BUILT_IN or importlib.util.find_spec("sdv") is not None)
    if len(here) == len(config.synthesizers):
        return dataset
    absent = ", ".join(s.name for s in config.synthesizers if s not in here)
    reason = (
        f"dataset {config.name}: {absent} is left out, since SDV is not installed (pip install 'synth-assets[sdv]')"
    )
    if not here:
        raise ConfigError(f"{reason}; no other synthesizer is named.", file=str(dataset.file), key="synthesizers")
    logging.getLogger("dagster").warning(reason)
    return replace(dataset, config=config.model_copy(update={"synthesizers": here}))


def _assets(wiring: Wiring) -> Iterator[dg.AssetsDefinition]:
    config = wiring.config
    for table in config.tables:
        yield build_raw(wiring, table)
    yield build_profile(wiring)
    yield build_classification(wiring)
    for table in config.tables:
        yield build_masked(wiring, table)
    yield build_masked_audit(wiring)
    yield build_split(wiring)
    for synthesizer in config.synthesizers:
        if synthesizer.differentially_private and not synthesizer.trained_on_rows:
            yield build_measurements(wiring, synthesizer)
        yield build_model(wiring, synthesizer)
        yield build_synthetic(wiring, synthesizer)
        yield build_audit(wiring, synthesizer)
    for variant in config.variants:
        yield build_variant(wiring, variant)
    if config.sweep is not None:
        yield build_sweep(wiring, config.sweep)
    if wiring.keys.charged:
        yield build_privacy_budget(wiring)
    yield build_leaderboard(wiring)
    yield build_report(wiring)
    for fmt in config.exports:
        yield build_export(wiring, fmt)
    for delivery in config.deliveries:
        yield build_delivery(wiring, delivery)
