"""The schedules, all off by default: the chains at night, a weekly digest, a monthly summary.

At night unchanged assets are found unchanged and cost nothing; new data of a dataset are measured anew, **which spends its budget**.
"""

import time
from collections.abc import Sequence

import dagster as dg

from synth_assets.assets.boundary import stage_boundary
from synth_assets.config.automation import AutomationConfig
from synth_assets.config.notifications import Kind
from synth_assets.config.runtime import Settings

NIGHTLY = "0 2 * * *"
WEEKLY, MONTHLY = "0 7 * * 1", "0 7 1 * *"
DAY = 86400.0


def nightly_schedule(datasets: Sequence[str], timezone: str) -> dg.ScheduleDefinition:
    """The chain of every dataset at 02:00, in one run; a dataset that fails does not stop the others."""
    job = dg.define_asset_job(
        "nightly_chain",
        selection=dg.AssetSelection.groups(*datasets),
        description="The chains of all datasets, in one run.",
    )
    return dg.ScheduleDefinition(
        name="nightly",
        job=job,
        cron_schedule=NIGHTLY,
        execution_timezone=timezone,
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Runs the chain of every dataset at 02:00. Unchanged data are reused; new ones are measured, which spends budget.",
    )


def digest_schedules(settings: Settings, config: AutomationConfig) -> list[dg.ScheduleDefinition]:
    """The digest on Mondays and the summary on the first of a month, at 07:00, for those who have subscribed."""
    return [
        _digest("weekly_digest", "digest", WEEKLY, 7, settings, config),
        _digest("monthly_summary", "summary", MONTHLY, 31, settings, config),
    ]


def _digest(
    name: str, kind: Kind, cron: str, days: int, settings: Settings, config: AutomationConfig
) -> dg.ScheduleDefinition:
    description = f"Tells subscribers of `{kind}` how many runs of the last {days} days ended how, and of budgets."

    @dg.op(name=f"{name}_op", description=description)
    def tell(context: dg.OpExecutionContext) -> None:
        with stage_boundary(name):
            from synth_assets.automation.digest import figures_of
            from synth_assets.notify.notices import Notice
            from synth_assets.notify.opening import open_notifier

            now = time.time()
            current = Settings.from_environment(settings.home)
            figures = figures_of(context.instance, current, now=now, days=days)
            notifier = open_notifier(current)
            notifier.post(Notice(kind, f"{name} {int(now // DAY)}", figures=figures), now)
            done = notifier.deliver(now)
            context.add_output_metadata({**figures, "delivered": done.sent, "given_up": done.failed})

    @dg.job(name=name, description=description, executor_def=dg.in_process_executor)
    def job() -> None:
        tell()

    return dg.ScheduleDefinition(
        name=f"{name}_schedule",
        job=job,
        cron_schedule=cron,
        execution_timezone=config.timezone,
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=description,
    )
