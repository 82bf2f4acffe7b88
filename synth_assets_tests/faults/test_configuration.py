"""What Dagster does with a run that was killed or refused, and with two runs of one dataset, as `dagster.yaml` says it."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.events import RunFailureReason
from dagster._core.execution.retries import auto_reexecution_should_retry_run
from dagster._core.instance.config import PoolGranularity

from synth_assets.automation.runner import NOT_RETRIED
from synth_assets_tests import chain

FILES = ("dagster.yaml", "synth_assets/data/dagster.yaml")


@pytest.fixture(params=FILES)
def instance(request: pytest.FixtureRequest, tmp_path: Path):
    said = yaml.safe_load((chain.ROOT / request.param).read_text())
    kept = {k: said[k] for k in ("run_retries", "run_monitoring", "concurrency", "telemetry")}
    with dg.instance_for_test(temp_dir=str(tmp_path), overrides=kept) as found:
        yield found


def failed(instance: dg.DagsterInstance, tags: dict[str, str]) -> dg.DagsterRun:
    @dg.job
    def nothing() -> None: ...

    return instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.FAILURE, tags=tags)


def test_a_killed_run_is_tried_once_more_and_a_refusal_never(instance: dg.DagsterInstance) -> None:
    run = failed(instance, {})
    assert instance.run_monitoring_enabled
    assert auto_reexecution_should_retry_run(instance, run, None)  # how the monitor ends a run whose worker is gone
    assert auto_reexecution_should_retry_run(instance, run, RunFailureReason.RUN_EXCEPTION)
    assert not auto_reexecution_should_retry_run(instance, run, RunFailureReason.STEP_FAILURE)
    assert instance.run_retries_max_retries == 1


def test_a_run_of_the_command_line_is_not_tried_again_by_the_daemon(instance: dg.DagsterInstance) -> None:
    assert not auto_reexecution_should_retry_run(instance, failed(instance, dict(NOT_RETRIED)), None)


def test_of_the_queued_runs_of_a_dataset_one_runs_at_a_time(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    pools = instance.get_concurrency_config().pool_config
    assert (pools.pool_granularity, pools.default_pool_limit) == (PoolGranularity.RUN, 1)
    home = chain.make_home(tmp_path / "home")
    ops = [a.op for a in chain.definitions(home).resolve_asset_graph().assets_defs if a.keys]
    assert {op.pool for op in ops if op.name.startswith("clinic__")} == {"clinic"}
    assert len(ops) > 5
