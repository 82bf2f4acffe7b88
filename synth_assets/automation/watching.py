"""Sensors that watch and tell: what is new since the last look is posted to its subscribers. All are off until somebody turns them on.

None of them starts a run or spends epsilon. Their cursors hold keys of what was told, never a value.
"""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import dagster as dg

from synth_assets.assets.observed import tell_of_sensor
from synth_assets.automation import watches
from synth_assets.automation.watches import Looking
from synth_assets.config.automation import AutomationConfig
from synth_assets.config.dataset import DatasetConfig
from synth_assets.config.runtime import Settings
from synth_assets.errors import SynthAssetsError, libraries_silenced, withhold_values
from synth_assets.notify.notices import Notice
from synth_assets.storage.hashing import hash_parts

MINUTE, HOUR = 60, 3600


@dataclass(frozen=True)
class Watch:
    """One thing to look for."""

    name: str
    description: str
    look: Callable[[Looking], Iterable[Notice]]
    seconds: int


WATCHES = (
    Watch("run_events", "Tells of runs that succeeded, failed, or were blocked by a check.", watches.ended_runs, MINUTE),
    Watch("slow_runs", "Tells of runs that took a multiple of what their job usually takes.", watches.slow_runs, 5 * MINUTE),
    Watch("budget_spent", "Tells of privacy budgets that are nearly spent.", watches.budgets, 5 * MINUTE),
    Watch("stale_tables", "Tells of synthetic tables older than their data, or than allowed.", watches.stale_tables, HOUR),
    Watch("data_drift", "Tells of tables whose last two profiles are far apart; public forms only.", watches.drifts, 10 * MINUTE),
    Watch("leaks", "Tells of runs in which a leak check failed: masking, stored measurements, models.", watches.leaks, MINUTE),
    Watch("quarantined_files", "Tells of files of the inbox that were put aside.", watches.quarantines, 5 * MINUTE),
    Watch("ledger_whole", "Tells where the audit ledger or the budget ledger is not what was written.", watches.ledgers, HOUR),
    Watch("storage_limit", "Tells where the files of this home are beyond their limit.", watches.storage, HOUR),
    Watch(
        "orphaned_reservations",
        "Settles reservations of ended runs at their full amount. Nothing is given back; a later run pays anew.",
        watches.orphans,
        10 * MINUTE,
    ),
)  # fmt: skip


def watch_sensors(
    settings: Settings, config: AutomationConfig, datasets: Sequence[DatasetConfig]
) -> list[dg.SensorDefinition]:
    """One sensor per watch, and the one that delivers."""
    return [*(_sensor(w, settings, config, datasets) for w in WATCHES), _delivery(settings)]


def _sensor(
    watch: Watch, settings: Settings, config: AutomationConfig, datasets: Sequence[DatasetConfig]
) -> dg.SensorDefinition:
    @dg.sensor(
        name=watch.name,
        minimum_interval_seconds=watch.seconds,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description=watch.description,
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        try:
            with withhold_values(f"the sensor {watch.name}"), libraries_silenced():
                now = time.time()
                fresh = Settings.from_environment(settings.home)
                found = list(watch.look(Looking(fresh, config, datasets, context.instance, now)))
                told = set(json.loads(context.cursor or "[]"))
                new = [n for n in found if _key(n) not in told]
                receivers = _tell(fresh, new, now)
        except SynthAssetsError as error:
            tell_of_sensor(watch.name, error)
            return dg.SensorResult(skip_reason=str(error), cursor=context.cursor)
        cursor = json.dumps(sorted({_key(n) for n in found}))
        words = f"{len(found)} found, {len(new)} new, {receivers} messages"
        return dg.SensorResult(skip_reason=words, cursor=cursor)

    return sensor


def _key(notice: Notice) -> str:
    return hash_parts(notice.kind, notice.key)[:16]


def _tell(settings: Settings, notices: Sequence[Notice], now: float) -> int:
    from synth_assets.notify.opening import open_notifier

    notifier = open_notifier(settings)
    told = sum(notifier.post(n, now) for n in notices)
    if told:
        notifier.deliver(now)
    return told


def _delivery(settings: Settings) -> dg.SensorDefinition:
    @dg.sensor(
        name="notifications",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Tries messages again that could not be delivered, and shows what was given up.",
    )
    def notifications(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        try:
            with withhold_values("the sensor notifications"), libraries_silenced():
                from synth_assets.notify.opening import open_notifier

                done = open_notifier(Settings.from_environment(settings.home)).deliver(time.time())
        except SynthAssetsError as error:
            tell_of_sensor("notifications", error)
            return dg.SensorResult(skip_reason=str(error), cursor=context.cursor)
        words = f"{done.sent} delivered, {done.waiting} to be tried again, {done.failed} given up"
        return dg.SensorResult(skip_reason=words, cursor=words)

    return notifications
