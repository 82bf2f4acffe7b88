"""The code location: `build_defs(settings)` makes fresh Definitions from the YAML files; `defs` is what Dagster loads."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from synth_assets.assets.chain import build_dataset
from synth_assets.assets.uploads import CHAIN, build_uploads
from synth_assets.automation.blocked import blocked_sensor
from synth_assets.automation.inbox import inbox_sensor, uploads_job
from synth_assets.automation.jobs import chain_job, file_jobs
from synth_assets.automation.refreshing import refresh_sensor
from synth_assets.automation.schedules import digest_schedules, nightly_schedule
from synth_assets.automation.sensors import source_sensor
from synth_assets.automation.watching import watch_sensors
from synth_assets.config.automation import load_automation
from synth_assets.config.runtime import LoadedDataset, Settings, check_engine, find_home, load_datasets
from synth_assets.config.uploads import load_uploads
from synth_assets.resources import (
    BudgetViewResource,
    EngineResource,
    FormsResource,
    InboxResource,
    KeyResource,
    LedgerResource,
    StoreResource,
    VaultResource,
)
from synth_assets.storage.secrets import key_fingerprint


def build_defs(
    settings: Settings,
    *,
    datasets: Sequence[LoadedDataset] | None = None,
    resource_overrides: Mapping[str, Any] | None = None,
) -> dg.Definitions:
    """Assets, checks, jobs, sensors, schedules and resources of one home folder.

    Args:
        settings: The home and what the environment adds.
        datasets: The datasets; those of the home when None.
        resource_overrides: Resources by name that replace the real ones (tests).

    Raises:
        ConfigError: a YAML does not fit the model, or the engine; the message names file, line and key.
    """
    loaded = load_datasets(settings) if datasets is None else tuple(datasets)
    check_engine(settings, loaded)
    fingerprint = key_fingerprint(settings.keys_folder)
    assets = [asset for dataset in loaded for asset in build_dataset(dataset, settings.configs_folder, fingerprint)]
    jobs = {dataset.config.name: chain_job(dataset.config.name) for dataset in loaded}
    home = str(settings.home)
    resources: dict[str, Any] = {
        "store": StoreResource(home=home),
        "engine": EngineResource(home=home),
        "inbox": InboxResource(home=home),
        "ledger": LedgerResource(home=home),
        "budget_view": BudgetViewResource(home=home),
        "forms": FormsResource(home=home),
        "key": KeyResource(home=home),
        "vault": VaultResource(home=home),
        **(resource_overrides or {}),
    }
    uploads = load_uploads(settings.configs_folder)
    taking = uploads_job(uploads)
    automation = load_automation(settings.configs_folder)
    return dg.Definitions(
        assets=[*assets, *build_uploads(uploads, settings.configs_folder, fingerprint)],
        jobs=[*jobs.values(), taking, *file_jobs()],
        sensors=[
            inbox_sensor(uploads, taking),
            *(source_sensor(dataset, jobs[dataset.config.name]) for dataset in loaded),
            *(sensor for dataset in loaded if (sensor := refresh_sensor(dataset.config)) is not None),
            *([blocked_sensor(list(jobs))] if jobs else []),
            *([blocked_sensor([CHAIN], name="blocked_uploads")] if uploads.spend else []),
            *watch_sensors(settings, automation, [d.config for d in loaded]),
        ],
        schedules=[
            *([nightly_schedule(list(jobs), automation.timezone)] if jobs else []),
            *digest_schedules(settings, automation),
        ],
        resources=resources,
        executor=dg.in_process_executor,
    )


def _home() -> Path:
    return Path(os.environ["DAGSTER_HOME"]) if os.environ.get("DAGSTER_HOME") else find_home(Path.cwd())


@dg.definitions
def defs() -> dg.Definitions:
    """What Dagster loads; nothing is read before it asks."""
    return build_defs(Settings.from_environment(_home()))
