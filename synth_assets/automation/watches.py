"""What the sensors look for: each look returns notices with stable keys. Aggregates and identifiers only; none of them spends epsilon.

What does not belong here: cursors and Dagster sensors (watching.py), and how people are told (notify).
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import takewhile
from pathlib import Path

import dagster as dg
from dagster import AssetCheckEvaluation

from synth_assets.asset_keys import DatasetKeys
from synth_assets.assets.uploads import CHAIN
from synth_assets.config.automation import AutomationConfig
from synth_assets.config.dataset import DatasetConfig
from synth_assets.config.notifications import Kind
from synth_assets.config.runtime import Settings
from synth_assets.config.stores import store_of
from synth_assets.errors import CheckFailedError, ConfigError, LeakError
from synth_assets.ledger.audit import Action, identifier
from synth_assets.notify.notices import Figure, Notice
from synth_assets.storage.artifacts import ArtifactRef, Zone
from synth_assets.storage.hashing import hash_parts
from synth_assets.uploads.notes import ASSET
from synth_assets.uploads.upload import UNREADABLE

DAY = 86400.0
FEWEST_RUNS, LEAST_SECONDS = 5, 60.0
ENDED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE)
PARTITION = "dagster/partition"
UPLOAD_STEP = f"{CHAIN}__{ASSET}"  # reads the dropped file, and puts aside what it cannot read
LEAK_CHECKS = frozenset({"leak", "scan", "canaries"})  # of masked tables; of measurements and models
Figures = dict[str, Figure]


@dataclass(frozen=True)
class Looking:
    """What a look may use."""

    settings: Settings
    config: AutomationConfig
    datasets: Sequence[DatasetConfig]
    instance: dg.DagsterInstance
    now: float
    ended_after: float = 0.0  # runs that had ended before are not looked at

    @cached_property
    def runs(self) -> list[dg.RunRecord]:
        """Runs that ended in the last two days, the newest first."""
        since = datetime.fromtimestamp(self.now, UTC) - timedelta(days=2)
        found = self.instance.get_run_records(dg.RunsFilter(statuses=list(ENDED), updated_after=since), limit=500)
        return [r for r in found if (r.end_time or self.now) >= self.ended_after]


def ended_runs(looking: Looking) -> Iterator[Notice]:
    """Runs that succeeded, failed, or were blocked by a check."""
    for record in looking.runs:
        run = record.dagster_run
        figures: Figures = {"job": identifier(run.job_name), "seconds": round(_seconds(record), 1)}
        if run.status is dg.DagsterRunStatus.SUCCESS:
            yield Notice("success", run.run_id, _dataset(run), run.run_id, figures)
            continue
        failed = len(_failed_checks(looking.instance, run.run_id))
        if run.tags.get(PARTITION) and _error_codes(looking.instance, run.run_id, step=UPLOAD_STEP) & UNREADABLE:
            continue  # told as `quarantine`
        kind: Kind = "blocked" if failed else "failure"
        yield Notice(kind, run.run_id, _dataset(run), run.run_id, {**figures, "failed_checks": failed})


def quarantines(looking: Looking) -> Iterator[Notice]:
    """Files of the inbox that were put aside: too large, or no table. Their names stay in the restricted zone."""
    from synth_assets.api.ledgers import Filter, entries
    from synth_assets.api.spending import has_ledger
    from synth_assets.ledger.opening import open_audit_ledger

    if not has_ledger(looking.settings.home):
        return
    since = (datetime.fromtimestamp(looking.now, UTC) - timedelta(days=2)).isoformat()[:19]
    found = entries(open_audit_ledger(looking.settings), Filter(), newest_first=True)
    for entry in takewhile(lambda e: e["at"] >= since, found):
        if entry["action"] == Action.QUARANTINED:
            figures: Figures = {n: entry["details"][n] for n in ("code", "size_bytes") if n in entry["details"]}
            yield Notice("quarantine", str(entry["hash"]), entry["dataset"] or "", entry["run_id"] or "", figures)


def leaks(looking: Looking) -> Iterator[Notice]:
    """Runs in which a check found what must not be there: in masked tables, stored measurements, models, or a masked file."""
    for record in looking.runs:
        run = record.dagster_run
        if run.status is not dg.DagsterRunStatus.FAILURE:
            continue
        for check in _failed_checks(looking.instance, run.run_id):
            if check.check_name in LEAK_CHECKS:
                asset = "/".join(check.asset_key.path)
                told: Figures = {"asset": identifier(asset), "check": check.check_name}
                yield Notice("leak", f"{run.run_id} {asset} {check.check_name}", _dataset(run), run.run_id, told)
        if LeakError.code in _error_codes(looking.instance, run.run_id):
            figures: Figures = {"job": identifier(run.job_name)}
            yield Notice("leak", run.run_id, _dataset(run), run.run_id, figures)


def slow_runs(looking: Looking) -> Iterator[Notice]:
    """Runs that took a multiple of the median of the runs of their job that went before."""
    for record in looking.runs:
        run, seconds = record.dagster_run, _seconds(record)
        if run.status is not dg.DagsterRunStatus.SUCCESS or seconds < LEAST_SECONDS:
            continue
        usual = dg.RunsFilter(job_name=run.job_name, statuses=[dg.DagsterRunStatus.SUCCESS])
        earlier = [
            _seconds(r)
            for r in looking.instance.get_run_records(usual, limit=30)
            if (r.end_time or 0) <= (record.start_time or 0)
        ]
        if len(earlier) >= FEWEST_RUNS and seconds > looking.config.slow_factor * statistics.median(earlier):
            figures = {"seconds": round(seconds, 1), "median_seconds": round(statistics.median(earlier), 1)}
            yield Notice("slow", run.run_id, _dataset(run), run.run_id, figures)


def budgets(looking: Looking) -> Iterator[Notice]:
    """Populations whose counted epsilon has passed a share of their budget; told again at every further tenth."""
    from synth_assets.ledger.place import open_store_of
    from synth_assets.privacy.budget_view import BudgetView

    view = BudgetView(open_store_of(looking.settings))
    for population in view.populations():
        status = view.status(population)
        share = (status.spent + status.reserved) / status.epsilon
        if share >= looking.config.budget_share:
            told: Figures = {
                "population": identifier(population),
                "share": round(share, 3),
                "epsilon_budget": status.epsilon,
            }
            users = [d.name for d in looking.datasets if d.population == population]
            subject = users[0] if users else population if population.startswith("upload_") else ""
            yield Notice("budget", f"{population} {status.epsilon:g} {int(share * 10)}", subject, figures=told)


def ledgers(looking: Looking) -> Iterator[Notice]:
    """The audit ledger or the budget ledger is not what was written, they say different things, or both are gone beside releases."""
    from synth_assets.api.verifying import verify_ledgers

    try:
        found = verify_ledgers(looking.settings.home)
    except (ConfigError, CheckFailedError):  # releases name its heads, or its tables are gone
        yield Notice("ledger", "gone", figures={"ledger": "audit", "gone": True})
        return
    if found is None:
        return
    for name, chain in (("audit", found.audit), ("access", found.access)):
        if chain is not None and not chain.whole:
            row = chain.faults[0].position if chain.faults else 0
            told: Figures = {"ledger": name, "row": row, "faults": chain.fault_count}
            yield Notice("ledger", f"{name} {row} {chain.fault_count}", figures=told)
    if found.budget is not None and not found.budget.whole:
        row = found.budget.broken.position if found.budget.broken else 0
        yield Notice("ledger", f"budget {row}", figures={"ledger": "budget", "row": row})
    if found.budget_faults:
        differ: Figures = {"ledger": "budget_in_audit", "rows_that_differ": len(found.budget_faults)}
        yield Notice("ledger", f"both {hash_parts(*found.budget_faults)}", figures=differ)


def storage(looking: Looking) -> Iterator[Notice]:
    """A home whose files on this disk are beyond the limit; told again at every further tenth of it."""
    used = sum(_size(p) for p in looking.settings.var.rglob("*")) / 1e9
    if used > looking.config.storage_gb:
        step = int(10 * used / looking.config.storage_gb)
        figures = {"gigabytes": round(used, 2), "limit": looking.config.storage_gb}
        yield Notice("storage", f"{looking.config.storage_gb:g} {step}", figures=figures)


def stale_tables(looking: Looking) -> Iterator[Notice]:
    """Synthetic tables that are older than their data, or older than allowed. Nothing is made anew: that may cost budget."""
    for config in looking.datasets:
        keys = DatasetKeys(config)
        changed = max((_made(looking, keys.key(keys.raw(t)), fresh=True) for t in config.tables), default=0.0)
        for synthesizer in config.synthesizers:
            for table in config.tables:
                name = keys.synthetic(synthesizer.name, table)
                made = _made(looking, keys.key(name), fresh=True)
                old = looking.now - made > looking.config.stale_days * DAY
                if made and (changed > made or old):
                    days = round((looking.now - made) / DAY, 2)
                    figures: Figures = {"asset": identifier(name), "age_days": days, "data_are_newer": changed > made}
                    yield Notice("stale", f"{config.name} {name} {made} {changed > made}", config.name, figures=figures)


def drifts(looking: Looking) -> Iterator[Notice]:
    """Tables whose last profile is far from the one before; public forms only."""
    from synth_assets.profiling.drift import drift
    from synth_assets.profiling.records import TableProfile

    store = store_of(looking.settings)
    for config in looking.datasets:
        keys = DatasetKeys(config)
        versions = _versions(looking, keys.key(keys.profile))
        if len(versions) < 2:
            continue
        after, before = (
            json.loads(
                (store.path(ArtifactRef(Zone.RESTRICTED, config.name, keys.profile, v)) / "public.json").read_text()
            )
            for v in versions[:2]
        )
        for table in after.keys() & before.keys():
            found = drift(TableProfile.model_validate(before[table]), TableProfile.model_validate(after[table]))
            beyond = found.beyond(looking.config.drift)
            if beyond or found.added or found.removed or found.changed:
                figures: Figures = {
                    "table": identifier(table),
                    "columns_apart": len(beyond),
                    "largest_distance": max(found.distances.values(), default=0.0),
                    "columns_added": len(found.added),
                    "columns_removed": len(found.removed),
                    "columns_of_other_kind": len(found.changed),
                }
                yield Notice("drift", f"{config.name} {table} {versions[0]}", config.name, figures=figures)


def orphans(looking: Looking) -> Iterator[Notice]:
    """Reservations of runs that have ended: settled at their full amount, never given back."""
    from synth_assets.ledger.place import open_store_of
    from synth_assets.privacy.budget_orphans import OrphanSettler

    def is_over(run_id: str) -> bool:
        found = looking.instance.get_run_records(dg.RunsFilter(run_ids=[run_id]), limit=1)
        ended = found[0].end_time if found and found[0].dagster_run.is_finished else None
        return ended is not None and looking.now - ended > looking.config.orphan_minutes * 60

    settler = OrphanSettler(open_store_of(looking.settings))
    for reservation in settler.settle_orphans(is_over, settler="orphan-sensor"):
        yield Notice("reservation", reservation, figures={"reservation": identifier(reservation)})


def _dataset(run: dg.DagsterRun) -> str:
    """The dataset of a run: of its partition, its job or its assets; "" where there are several."""
    if upload := run.tags.get(PARTITION):
        return upload
    names = {k.path[0] for k in run.asset_selection or ()}
    if len(names) == 1:
        return names.pop()
    return run.job_name.removesuffix("_chain") if run.job_name.endswith("_chain") else ""


def _seconds(record: dg.RunRecord) -> float:
    return max(0.0, (record.end_time or 0.0) - (record.start_time or record.end_time or 0.0))


def _failed_checks(instance: dg.DagsterInstance, run_id: str) -> list[AssetCheckEvaluation]:
    """The blocking checks of a run that did not pass."""
    kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION
    checks = [
        r.event_log_entry.dagster_event.asset_check_evaluation_data
        for r in instance.get_records_for_run(run_id, of_type=kind).records
        if r.event_log_entry.dagster_event is not None
    ]
    return [c for c in checks if not c.passed and c.severity is dg.AssetCheckSeverity.ERROR]


def _error_codes(instance: dg.DagsterInstance, run_id: str, *, step: str | None = None) -> set[str]:
    """Our codes of the errors that ended a run's steps, or one of them."""
    found = set()
    for record in instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records:
        event = record.event_log_entry.dagster_event
        if event is None or step not in {None, event.step_key}:
            continue
        data = event.step_failure_data.user_failure_data
        told = None if data is None else data.metadata.get("error")
        if told is not None and isinstance(told.value, dict):
            found.add(str(told.value.get("code")))
    return found


def _materialisations(looking: Looking, key: dg.AssetKey) -> Iterable[dg.EventLogRecord]:
    return looking.instance.fetch_materializations(key, limit=50).records


def _made(looking: Looking, key: dg.AssetKey, *, fresh: bool) -> float:
    """When an asset last got new content; 0 where it never did."""
    for record in _materialisations(looking, key):
        made = record.asset_materialization
        reused = made.metadata.get("reused") if made else None
        if not (fresh and reused is not None and reused.value):
            return record.timestamp
    return 0.0


def _versions(looking: Looking, key: dg.AssetKey) -> list[str]:
    """Content hashes of an asset, the newest first."""
    found = [r.asset_materialization for r in _materialisations(looking, key)]
    hashes = [Path(str(m.metadata["path"].value)).name for m in found if m is not None and "path" in m.metadata]
    return list(dict.fromkeys(hashes))


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size if path.is_file() else 0
    except OSError:
        return 0  # it went away meanwhile
