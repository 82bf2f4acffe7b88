"""The leaderboard and the report of a run that an audit has blocked: Dagster skips them, and a reader needs them most then.

What belongs here: which of them a failed run left out although it could have made them; the sensor that has them made after runs of
the UI, the daemon or GraphQL. The command line makes them itself, in the same process (`runner.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import dagster as dg

from synth_assets.assets.observed import tell_of_sensor
from synth_assets.assets.stage import of_command_line
from synth_assets.automation.watches import PARTITION
from synth_assets.errors import SynthAssetsError, libraries_silenced, withhold_values

TELLING = ("leaderboard", "report")  # they say what failed and hand out no row (docs/adr/0006)
NAME = "blocked_reports"
AFTER_TAG = "synth_assets/after"
INTERVAL_SECONDS = 30
LOOK_BACK = timedelta(days=1)  # of a sensor that is new; a run is never told of twice
RUNS_AT_ONCE = 20
_SEEN = (
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.STEP_FAILURE,
)


@dataclass
class Ended:
    """What happened to one dataset in a run that has ended.

    Args:
        planned: Assets that the run was to make.
        made: Assets that it made.
        blocking: Assets whose blocking check failed.
        failed: Whether a step failed for another reason.
    """

    planned: set[str] = field(default_factory=set)
    made: set[str] = field(default_factory=set)
    blocking: set[str] = field(default_factory=set)
    failed: bool = False

    def left_out(self, telling: Collection[str]) -> list[str]:
        """Those of the telling assets that were planned and not made, where nothing but audits stood in the way."""
        audits = {name for name in self.blocking if name.startswith("audit_") and name in self.made}
        if self.failed or not self.blocking or audits != self.blocking:
            return []
        return [name for name in telling if name in self.planned - self.made]


def blocked_sensor(datasets: Sequence[str], *, name: str = NAME) -> dg.SensorDefinition:
    """One sensor for all datasets; its cursor is the time of the last change of a run that it has seen.

    Args:
        datasets: Their names, or the chain of the uploads alone: what one sensor asks for is partitioned alike.
        name: Of the sensor.
    """
    telling = dg.AssetSelection.assets(*(dg.AssetKey([d, t]) for d in datasets for t in TELLING))

    @dg.sensor(
        name=name,
        target=telling,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Makes the leaderboard and the report after a run that an audit's gate has blocked, so that a person can read why. Reads "
            "no data and spends nothing; exports stay refused. Runs of the command line do this themselves."
        ),
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        try:
            with withhold_values(f"the sensor {name}"), libraries_silenced():
                return _evaluate(context.instance, context.cursor, frozenset(datasets))
        except SynthAssetsError as error:
            tell_of_sensor(name, error)
            return dg.SkipReason(f"the runs cannot be read: {error}")

    return sensor


def _evaluate(
    instance: dg.DagsterInstance, cursor: str | None, datasets: Collection[str]
) -> dg.SensorResult | dg.SkipReason:
    """The runs to request after those that have failed since the cursor."""
    after = datetime.fromisoformat(cursor) if cursor else datetime.now(UTC) - LOOK_BACK
    records = instance.get_run_records(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=after),
        limit=RUNS_AT_ONCE,
        order_by="update_timestamp",
        ascending=True,
    )
    if not records:
        return dg.SkipReason("no run has failed since the last look")
    requests = [r for record in records for r in _requests(instance, record.dagster_run, datasets)]
    seen = max(record.update_timestamp for record in records)
    skipped = None if requests else f"{len(records)} failed runs: no audit alone has blocked a report"
    return dg.SensorResult(run_requests=requests, cursor=_utc(seen).isoformat(), skip_reason=skipped)


def _requests(instance: dg.DagsterInstance, run: dg.DagsterRun, datasets: Collection[str]) -> Iterator[dg.RunRequest]:
    """One request per dataset whose leaderboard and report a run has left out; none for runs that see to it themselves."""
    if of_command_line(run):
        return
    upload = run.tags.get(PARTITION)
    for dataset, ended in sorted(_ended(instance, run.run_id, datasets).items()):
        left = [dg.AssetKey([dataset, name]) for name in ended.left_out(TELLING)]
        if left and not any(_made_since(instance, key, run.run_id, upload) for key in left):
            key, tags = f"{run.run_id}:{dataset}", {AFTER_TAG: run.run_id}
            yield dg.RunRequest(run_key=key, asset_selection=left, partition_key=upload, tags=tags)


def _made_since(instance: dg.DagsterInstance, key: dg.AssetKey, run_id: str, upload: str | None) -> bool:
    """Whether an asset was made after a run had ended, by whomever; of an upload, its partition."""
    wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=None if upload is None else [upload])
    events, record = instance.fetch_materializations(wanted, limit=1).records, instance.get_run_record_by_id(run_id)
    return bool(events) and record is not None and events[0].timestamp > (record.end_time or 0.0)


def _ended(instance: dg.DagsterInstance, run_id: str, datasets: Collection[str]) -> Mapping[str, Ended]:
    """What a run did, by dataset; an event of no dataset of ours is passed over."""
    found: dict[str, Ended] = {}
    for entry in instance.all_logs(run_id, of_type=set(_SEEN)):
        event = entry.dagster_event
        if event is None:
            continue
        dataset = _dataset_of(event)
        if dataset in datasets:
            _note(found.setdefault(dataset, Ended()), event)
    return found


def _dataset_of(event: dg.DagsterEvent) -> str:
    """The first part of the asset's key; of a failed step the first part of its name."""
    if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        return event.asset_check_evaluation_data.asset_key.path[0]
    key = event.asset_key
    return key.path[0] if key is not None else str(event.step_key or "").partition("__")[0]


def _note(ended: Ended, event: dg.DagsterEvent) -> None:
    kind = event.event_type
    if kind is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        check = event.asset_check_evaluation_data
        if not check.passed and check.severity == dg.AssetCheckSeverity.ERROR:
            ended.blocking.add(check.asset_key.path[-1])
    elif kind is dg.DagsterEventType.STEP_FAILURE:
        data = event.step_failure_data.user_failure_data
        ended.failed = ended.failed or (data is not None and "error" in data.metadata)
    elif event.asset_key is not None:
        planned = kind is dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
        (ended.planned if planned else ended.made).add(event.asset_key.path[-1])


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
