"""Sensors that watch and tell: what is new since the last look is posted to its subscribers. All are off until somebody turns them on.

None of them starts a run or spends epsilon. Their cursors hold keys of what was told, never a value.
"""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import dagster as dg

from synth_assets.assets.observed import tell_of_sensor
from synth_assets.automation import watches
from synth_assets.automation.previews import PREVIEW, is_preview
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
    past: bool = True  # whether what had happened before the sensor was switched on is told as well
    acts: bool = False  # whether the look itself changes something


WATCHES = (
    Watch("run_events", "Tells of runs that succeeded, failed, or were blocked by a check.", watches.ended_runs, MINUTE, past=False),
    Watch("slow_runs", "Tells of runs that took a multiple of what their job takes.", watches.slow_runs, 5 * MINUTE, past=False),
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
        acts=True,
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
        preview = is_preview(context)
        if preview and watch.acts:
            return dg.SensorResult(skip_reason=f"{PREVIEW}: this sensor changes what it finds", cursor=context.cursor)
        try:
            with withhold_values(f"the sensor {watch.name}"), libraries_silenced():
                looking = Looking(
                    Settings.from_environment(settings.home), config, datasets, context.instance, time.time()
                )
                found = list(watch.look(looking))
                new = _new(watch, looking, found, context)
                if preview:
                    words = f"{PREVIEW}: {len(found)} found, {len(new)} of them would be told"
                    return dg.SensorResult(skip_reason=words, cursor=context.cursor)
                receivers = _tell(looking.settings, new, looking.now)
        except SynthAssetsError as error:
            if not preview:
                tell_of_sensor(watch.name, error)
            return dg.SensorResult(skip_reason=str(error), cursor=context.cursor)
        cursor = json.dumps(sorted({_key(n) for n in found}))
        words = f"{len(found)} found, {len(new)} new, {receivers} messages"
        return dg.SensorResult(skip_reason=words, cursor=cursor)

    return sensor


def _new(watch: Watch, looking: Looking, found: Sequence[Notice], context: dg.SensorEvaluationContext) -> list[Notice]:
    """What was not told yet. At the first tick runs count from when the sensor was switched on; the rest is noted as told."""
    if context.cursor is None and not watch.past:
        since = context.last_sensor_start_time
        return list(watch.look(replace(looking, ended_after=looking.now if since is None else since)))
    told = set(json.loads(context.cursor or "[]"))
    return [n for n in found if _key(n) not in told]


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
        if is_preview(context):
            return dg.SensorResult(skip_reason=f"{PREVIEW}: nothing is delivered", cursor=context.cursor)
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
