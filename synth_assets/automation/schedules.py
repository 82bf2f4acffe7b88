"""The nightly schedule: off by default. Unchanged assets are found unchanged and cost nothing."""

from collections.abc import Mapping

import dagster as dg

NIGHTLY = "0 2 * * *"


def nightly_schedule(jobs: Mapping[str, dg.UnresolvedAssetJobDefinition]) -> dg.ScheduleDefinition:
    """Every dataset's chain at 02:00 UTC, one run per dataset."""

    @dg.schedule(
        cron_schedule=NIGHTLY,
        jobs=list(jobs.values()),
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Runs the chain of every dataset at 02:00 UTC. What has not changed is reused.",
    )
    def nightly(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest]:
        day = context.scheduled_execution_time.date().isoformat()
        return [dg.RunRequest(run_key=f"nightly:{name}:{day}", job_name=job.name) for name, job in jobs.items()]

    return nightly
