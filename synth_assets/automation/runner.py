"""Runs a dataset's chain in this process on the persistent Dagster instance, and reports progress while it does.

The same assets, the same history as in the UI. What does not belong here: printing (cli.py) and anything about the data.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_shared.error import SerializableErrorInfo  # no public name

from synth_assets import errors
from synth_assets.asset_keys import STAGES
from synth_assets.assets.stage import COMMAND_LINE, FRESH_TAG, ORIGIN_TAG
from synth_assets.automation.blocked import TELLING, Ended
from synth_assets.automation.located import LOCATION, located
from synth_assets.automation.opening import open_instance
from synth_assets.config.runtime import Settings
from synth_assets.config.stores import leases_of
from synth_assets.errors import InputError, SynthAssetsError
from synth_assets.storage.lease import WriterLease

NOT_RETRIED = {"dagster/max_retries": "0"}  # who sits at the terminal runs it again, or does not
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class AssetRun:
    """What happened to one asset in a run."""

    name: str
    state: str = "waiting"  # waiting, running, done, failed, skipped
    rows: int | None = None
    reused: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FailedCheck:
    """A check that did not pass."""

    asset: str
    check: str
    blocking: bool
    description: str


@dataclass
class ChainRun:
    """Result of one run."""

    run_id: str
    dataset: str
    assets: dict[str, AssetRun]
    failed_checks: list[FailedCheck] = field(default_factory=list)
    error: dict[str, Any] | None = None
    fault: str = ""  # which asset failed by what, where no error of ours says so
    exit_code: int = 0


Progress = Callable[[ChainRun], None]


def prepare_home(home: Path) -> None:
    """Make the home folder usable, stand in it and name it to Dagster: its yaml's paths are relative to the current folder."""
    if not (home / "dagster.yaml").is_file():
        from importlib.resources import files

        from synth_assets.storage.atomic import write_text

        write_text(home / "dagster.yaml", (files("synth_assets") / "data" / "dagster.yaml").read_text(), mode=0o644)
    os.chdir(home)
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"


def select(defs: dg.Definitions, dataset: str, stages: Sequence[str] | None) -> list[dg.AssetKey]:
    """The assets of a dataset, or of some of its stages, parents first.

    Raises:
        InputError: a stage is not one of the chain.
    """
    unknown = [s for s in stages or () if s not in STAGES]
    if unknown:
        raise InputError(f"{unknown[0]!r} is not a stage.", key="--select", remedy=f"Stages: {', '.join(STAGES)}.")
    graph = defs.resolve_asset_graph()
    keys = [k for k in graph.toposorted_asset_keys if k.path[0] == dataset]
    return [k for k in keys if stages is None or graph.get(k).tags.get("stage") in stages]


def run_chain(
    defs: dg.Definitions,
    dataset: str,
    *,
    stages: Sequence[str] | None = None,
    fresh: bool = False,
    progress: Progress = lambda _: None,
) -> ChainRun:
    """Materialise a dataset's chain, or some of its stages.

    Args:
        defs: Definitions with the dataset's assets; `prepare_home` was called for their home.
        dataset: Name of the dataset.
        stages: Stages to run; None means all.
        fresh: Compute everything again; a DP release then spends anew.
        progress: Called after every event with the state so far.

    Returns:
        What happened; `exit_code` is 0, 1, 2, 3, 4 or 5 (design: exit codes).

    Raises:
        ServiceUnavailableError: Dagster's PostgreSQL server does not answer.
    """
    keys = select(defs, dataset, stages)
    result = ChainRun(str(uuid.uuid4()), dataset, {k.path[-1]: AssetRun(k.path[-1]) for k in keys})
    steps = _steps(defs, keys)

    def listen(entry: dg.EventLogEntry) -> None:
        if entry.dagster_event is not None:
            _record(result, entry.dagster_event, steps)
            progress(result)

    tags = {**LOCATION, **NOT_RETRIED, ORIGIN_TAG: COMMAND_LINE, **({FRESH_TAG: "true"} if fresh else {})}
    with open_instance() as instance:
        job = defs.resolve_implicit_global_asset_job_def() if stages else defs.resolve_job_def(f"{dataset}_chain")

        def execute(run_id: str, selected: list[dg.AssetKey], more: dict[str, str]) -> dg.ExecuteInProcessResult:
            instance.add_event_listener(run_id, listen)
            with located(instance, job.name):
                return job.execute_in_process(
                    instance=instance, asset_selection=selected, run_config=QUIET, run_id=run_id, raise_on_error=False,
                    tags=tags | more,
                )  # fmt: skip

        try:
            done = execute(result.run_id, keys, {})
            telling = _blocked_readers(keys, result)
            if telling:
                execute(str(uuid.uuid4()), telling, {"dagster/parent_run_id": result.run_id})
        finally:
            release_lease(dataset)
    _set(result, [a.name for a in result.assets.values() if a.state == "waiting"], "skipped")
    if result.error is not None:
        result.exit_code = int(result.error.pop("exit_code", 1))
    elif any(c.blocking for c in result.failed_checks):
        result.exit_code = 3
    elif not done.success:
        result.exit_code = 1
    return result


def _blocked_readers(keys: Sequence[dg.AssetKey], result: ChainRun) -> list[dg.AssetKey]:
    """The leaderboard and the report, where audits alone have failed."""
    ended = Ended(
        planned={k.path[-1] for k in keys},
        made={name for name, asset in result.assets.items() if asset.state == "done"},
        blocking={c.asset for c in result.failed_checks if c.blocking},
        failed=result.error is not None,
    )
    left = ended.left_out(TELLING)
    return [k for k in keys if k.path[-1] in left]


def release_lease(dataset: str) -> None:
    """Let others write the dataset again: this process may live on after its run."""
    WriterLease(leases_of(Settings.from_environment(Path.cwd()))).release(dataset)


def _steps(defs: dg.Definitions, keys: Sequence[dg.AssetKey]) -> dict[str, list[str]]:
    """Step name to the asset names that it makes."""
    steps: dict[str, list[str]] = {}
    graph = defs.resolve_asset_graph()
    for key in keys:
        steps.setdefault(graph.get(key).assets_def.op.name, []).append(key.path[-1])
    return steps


def _record(result: ChainRun, event: dg.DagsterEvent, steps: dict[str, list[str]]) -> None:
    kind = event.event_type_value
    made = steps.get(event.step_key or "", [])
    if kind == "STEP_START":
        _set(result, made, "running")
    elif kind == "ASSET_MATERIALIZATION":
        _materialised(result, event)
    elif kind == "ASSET_CHECK_EVALUATION":
        _checked(result, event)
    elif kind == "STEP_FAILURE":
        _set(result, [m for m in made if result.assets[m].state != "done"], "failed")
        result.error = result.error or _error_of(event)
        result.fault = result.fault or fault_of(", ".join(made), event.step_failure_data.error)
    elif kind == "PIPELINE_FAILURE":
        result.fault = result.fault or fault_of("the run", event.job_failure_data.error)
    elif kind == "STEP_SKIPPED":
        _set(result, made, "skipped")


def _set(result: ChainRun, names: Sequence[str], state: str) -> None:
    for name in names:
        result.assets[name].state = state


def _materialised(result: ChainRun, event: dg.DagsterEvent) -> None:
    materialization = event.step_materialization_data.materialization
    asset = result.assets[materialization.asset_key.path[-1]]
    values = {k: getattr(v, "value", None) for k, v in materialization.metadata.items()}
    asset.state, asset.metadata = "done", values
    asset.rows = values.get("dagster/row_count")
    asset.reused = bool(values.get("reused", False))


def _checked(result: ChainRun, event: dg.DagsterEvent) -> None:
    check = event.asset_check_evaluation_data
    if not check.passed:
        blocking = check.severity == dg.AssetCheckSeverity.ERROR
        result.failed_checks.append(
            FailedCheck(check.asset_key.path[-1], check.check_name, blocking, check.description or "")
        )


def _error_of(event: dg.DagsterEvent) -> dict[str, Any] | None:
    """Our error's fields; None where the step failed because of a blocking check only."""
    data = event.step_failure_data.user_failure_data
    if data is None or "error" not in data.metadata:
        return None
    return {**data.metadata["error"].value, "exit_code": data.metadata["exit_code"].value}  # type: ignore[dict-item]


def fault_of(what: str, error: SerializableErrorInfo | None) -> str:
    """What failed, and by which kind of exception. Of a foreign one the class is told and the text withheld; it may quote a cell."""
    if error is None:
        return ""
    chain = [error]
    while (last := chain[-1].cause) is not None:
        chain.append(last)
    ours = next((e for e in chain if e.cls_name in _OURS), None)
    if ours is not None:
        text = ours.message.strip().partition(": ")[2]
        return f"{what} failed: {text}"
    return f"{what} failed: {chain[-1].cls_name}; text withheld."


_OURS = frozenset(c.__name__ for c in vars(errors).values() if isinstance(c, type) and issubclass(c, SynthAssetsError))
