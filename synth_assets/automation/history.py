"""What a home holds and what has happened in it, from Dagster's own history: datasets, models and runs as plain records.

Every word here is one that Dagster stores already: metadata, names of checks, our own error texts. What does not belong here: how it is
shown (cli/history.py), and anything that starts or changes something.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster_shared.error import SerializableErrorInfo  # no public name

from synth_assets.asset_keys import DatasetKeys
from synth_assets.assets.stage import of_command_line
from synth_assets.assets.uploads import CHAIN
from synth_assets.automation.runner import fault_of
from synth_assets.automation.uploaded import is_upload
from synth_assets.automation.watches import PARTITION
from synth_assets.config.runtime import LoadedDataset
from synth_assets.errors import InputError, SynthAssetsError, WorkerLostError

FIGURES = ("epsilon_spent", "epsilon_lower_bound", "overall_score", "privacy_score", "fidelity_score", "utility_score")
CRASHED = "ChildProcessCrashException"  # Dagster's, of a step whose process is gone
_LATEST = dg.DagsterEventType
_TOLD = {_LATEST.ASSET_MATERIALIZATION, _LATEST.ASSET_CHECK_EVALUATION, _LATEST.STEP_FAILURE, _LATEST.RUN_FAILURE}


@dataclass(frozen=True)
class AssetState:
    """What is known of one asset.

    Args:
        name: Last part of its key.
        stage: Its stage in the chain.
        zone: Who may read it.
        made_at: Last materialization, UTC in ISO 8601; None where there is none.
        rows: Rows of the table, where it is one.
        run_id: The run that made it.
        metadata: Figures and places that Dagster shows, by key.
    """

    name: str
    stage: str
    zone: str
    made_at: str | None
    rows: int | None
    run_id: str | None
    metadata: Mapping[str, Any]


@dataclass(frozen=True)
class RunState:
    """One run.

    Args:
        run_id: Dagster's id.
        job: Name of the job.
        dataset: The dataset whose chain it was; None for jobs on files.
        upload: The upload that it was for, where it was for one.
        status: Dagster's status, in lower case.
        started_at: UTC in ISO 8601.
        seconds: How long it took; None while it runs.
        origin: "command line" or "service".
    """

    run_id: str
    job: str
    dataset: str | None
    upload: str | None
    status: str
    started_at: str | None
    seconds: float | None
    origin: str


def assets_of(instance: dg.DagsterInstance, defs: dg.Definitions, dataset: str) -> tuple[AssetState, ...]:
    """The assets of a dataset or of an upload, parents first."""
    graph = defs.resolve_asset_graph()
    chain, upload = (CHAIN, dataset) if is_upload(dataset) else (dataset, None)
    keys = [k for k in graph.toposorted_asset_keys if k.path[0] == chain]
    found = []
    for key in keys:
        tags = graph.get(key).tags
        event = _latest(instance, key, upload)
        made = None if event is None else event.asset_materialization
        values = {} if made is None else {k: _plain(v) for k, v in made.metadata.items()}
        found.append(
            AssetState(
                name=key.path[-1],
                stage=tags.get("stage", ""),
                zone=tags.get("zone", ""),
                made_at=None if event is None else _time(event.timestamp),
                rows=values.get("dagster/row_count"),
                run_id=None if event is None else event.run_id,
                metadata={k: v for k, v in values.items() if k in FIGURES or k in {"path", "report", "reused"}},
            )
        )
    return tuple(found)


def _latest(instance: dg.DagsterInstance, key: dg.AssetKey, upload: str | None) -> dg.EventLogEntry | None:
    """The last materialization of an asset, or of the partition of an upload."""
    if upload is None:
        return instance.get_latest_materialization_event(key)
    wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[upload])
    found = instance.fetch_materializations(wanted, limit=1).records
    return found[0].event_log_entry if found else None


def models_of(
    instance: dg.DagsterInstance, defs: dg.Definitions, datasets: Sequence[LoadedDataset]
) -> tuple[dict[str, Any], ...]:
    """The trained models, with what they cost and how their tables were judged."""
    found = []
    for dataset in datasets:
        states = {a.name: a for a in assets_of(instance, defs, dataset.config.name)}
        keys = DatasetKeys(dataset.config)
        for synthesizer in dataset.config.synthesizers:
            model, audit = states[keys.model(synthesizer.name)], states[keys.audit(synthesizer.name)]
            scores = {k: v for k, v in audit.metadata.items() if k in FIGURES}
            found.append(
                {
                    "name": f"{dataset.config.name}/{synthesizer.name}",
                    "private": synthesizer.differentially_private,
                    "zone": model.zone,
                    "made_at": model.made_at,
                    "run_id": model.run_id,
                    "path": model.metadata.get("path"),
                    **{k: v for k, v in model.metadata.items() if k in FIGURES},
                    **scores,
                }
            )
    return tuple(found)


def runs_of(instance: dg.DagsterInstance, dataset: str | None, limit: int) -> tuple[RunState, ...]:
    """The newest runs first; of a dataset, or of an upload."""
    records = instance.get_run_records(limit=limit if dataset is None else None)
    found = [_run(record) for record in records]
    return tuple(r for r in found if dataset in {None, r.dataset, r.upload})[:limit]


def run_of(instance: dg.DagsterInstance, run_id: str) -> dict[str, Any]:
    """One run: its assets, the checks that did not pass, and why it failed.

    Args:
        instance: The history.
        run_id: The id, or as many of its first signs as are unique.

    Raises:
        InputError: there is no such run, or several begin so.
    """
    records = [r for r in instance.get_run_records() if r.dagster_run.run_id.startswith(run_id)]
    if len(records) != 1:
        what = "there is no such run." if not records else f"{len(records)} runs begin so."
        raise InputError(what, key="RUN", remedy="`synth-assets runs list` shows their ids.")
    whole = records[0].dagster_run.run_id
    made: list[dict[str, Any]] = []
    checks: list[dict[str, Any]] = []
    error: dict[str, Any] | None = None
    foreign: SerializableErrorInfo | None = None
    for entry in instance.all_logs(whole, of_type=_TOLD):
        event = entry.get_dagster_event()
        if event.event_type == _LATEST.ASSET_MATERIALIZATION:
            asset = event.step_materialization_data.materialization
            rows = asset.metadata.get("dagster/row_count")
            made.append({"name": "/".join(asset.asset_key.path), "rows": None if rows is None else rows.value})
        elif event.event_type == _LATEST.ASSET_CHECK_EVALUATION and not event.asset_check_evaluation_data.passed:
            check = event.asset_check_evaluation_data
            blocking = check.severity == dg.AssetCheckSeverity.ERROR
            name = f"{'/'.join(check.asset_key.path)}.{check.check_name}"
            checks.append({"name": name, "blocking": blocking, "description": check.description or ""})
        elif event.event_type == _LATEST.STEP_FAILURE:
            data = event.step_failure_data.user_failure_data
            error = error or (None if data is None or "error" not in data.metadata else _plain(data.metadata["error"]))
            foreign = foreign or event.step_failure_data.error
        elif event.event_type == _LATEST.RUN_FAILURE and event.event_specific_data is not None:
            foreign = foreign or event.job_failure_data.error
    if error is None and records[0].dagster_run.is_failure and not any(c["blocking"] for c in checks):
        error = _unexplained(foreign)
    return {**_run(records[0]).__dict__, "assets": made, "failed_checks": checks, "error": error}


def _unexplained(foreign: SerializableErrorInfo | None) -> dict[str, Any]:
    """The error of a run that failed without one of ours: its worker is gone, or something of Dagster's own failed."""
    if foreign is None or foreign.cls_name == CRASHED:
        lost = WorkerLostError(
            "the worker of this run ended without a word: it was killed, ran out of memory, or the machine was restarted.",
            remedy="Run it again: what was finished is used again. Where it happens twice, look for the out-of-memory killer (dmesg), "
            "give more memory, or lower SYNTH_ASSETS_MEMORY_LIMIT and SYNTH_ASSETS_THREADS.",
        )
        return dict(lost.as_dict()["error"])
    told = SynthAssetsError(
        fault_of("the run", foreign), remedy="The page of the run in Dagster's UI shows its events."
    )
    return dict(told.as_dict()["error"])


def _run(record: dg.RunRecord) -> RunState:
    run = record.dagster_run
    chains = {k.path[0] for k in run.asset_selection or ()}
    job = run.job_name
    named = job.removesuffix("_chain") if job.endswith("_chain") else None
    ended, began = record.end_time, record.start_time
    return RunState(
        run_id=run.run_id,
        job=job,
        dataset=next(iter(chains)) if len(chains) == 1 else named,
        upload=run.tags.get(PARTITION),
        status=run.status.value.lower(),
        started_at=None if began is None else _time(began),
        seconds=None if ended is None or began is None else round(ended - began, 1),
        origin="command line" if of_command_line(run) else "service",
    )


def _plain(value: Any) -> Any:
    return getattr(value, "value", None)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
