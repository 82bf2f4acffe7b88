"""The nightly schedule: off by default. Unchanged assets are found unchanged and cost nothing."""

from collections.abc import Sequence

import dagster as dg

NIGHTLY = "0 2 * * *"


def nightly_schedule(datasets: Sequence[str]) -> dg.ScheduleDefinition:
    """The chain of every dataset at 02:00 UTC, in one run; a dataset that fails does not stop the others."""
    job = dg.define_asset_job(
        "nightly_chain",
        selection=dg.AssetSelection.groups(*datasets),
        description="The chains of all datasets, in one run.",
    )
    return dg.ScheduleDefinition(
        name="nightly",
        job=job,
        cron_schedule=NIGHTLY,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Runs the chain of every dataset at 02:00 UTC. What has not changed is reused.",
    )
