"""After a run of the UI that an audit has blocked, leaderboard and report are asked for: once, and only where they can be made."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from synth_assets.automation.blocked import AFTER_TAG, NAME, TELLING, Ended, blocked_sensor
from synth_assets.errors import SourceError
from synth_assets_tests import chain

STRICT = {"privacy_risk": "high", "fidelity": 0.999}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def small(dataset: str, *, audit: bool = True, masked: bool = True, error: bool = False) -> list[Any]:
    """A masked table, an audit with a blocking check, a leaderboard and a report."""

    def judged(name: str, *, passed: bool, parents: list[str]) -> dg.AssetsDefinition:
        key = dg.AssetKey([dataset, name])
        check = dg.AssetCheckSpec("gate", asset=key, blocking=True)
        spec = dg.AssetSpec(key, deps=[dg.AssetKey([dataset, p]) for p in parents])

        @dg.multi_asset(name=f"{dataset}__{name}", specs=[spec], check_specs=[check])
        def made() -> Iterator[dg.MaterializeResult[Any]]:
            if error and name.startswith("audit_"):
                raise dg.Failure("no rows", metadata={"error": {"code": "source"}})
            result = dg.AssetCheckResult(passed=passed, check_name="gate", asset_key=key)
            yield dg.MaterializeResult(asset_key=key, check_results=[result])

        return made

    return [
        judged("masked_people", passed=masked, parents=[]),
        judged("audit_copula", passed=audit, parents=[]),
        judged("leaderboard", passed=True, parents=["audit_copula"]),
        judged("report", passed=True, parents=["leaderboard", "masked_people"]),
    ]


def fail(instance: dg.DagsterInstance, assets: list[Any], tags: dict[str, str] | None = None) -> str:
    done = dg.materialize(assets, instance=instance, raise_on_error=False, tags=tags)
    assert not done.success
    return done.run_id


def tick(
    instance: dg.DagsterInstance, *datasets: str, cursor: str | None = None
) -> dg.SensorResult | dg.SkipReason | Any:
    with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
        return blocked_sensor(datasets)(context)


def asked(result: dg.SensorResult) -> list[tuple[str | None, list[str]]]:
    return [(r.run_key, [k.to_user_string() for k in r.asset_selection or ()]) for r in result.run_requests or ()]


def test_a_blocked_audit_has_leaderboard_and_report_made(instance: dg.DagsterInstance) -> None:
    run_id = fail(instance, small("ward", audit=False))
    result = tick(instance, "ward")
    assert asked(result) == [(f"{run_id}:ward", ["ward/leaderboard", "ward/report"])]
    assert result.run_requests[0].tags[AFTER_TAG] == run_id
    assert datetime.fromisoformat(result.cursor).tzinfo is not None


def test_a_run_of_the_command_line_that_the_ui_executes_again_is_looked_after(instance: dg.DagsterInstance) -> None:
    launched = {"synth_assets/by": "cli", ".dagster/grpc_info": "{}"}  # the tags are copied, the launcher adds its own
    run_id = fail(instance, small("ward", audit=False), launched)
    assert asked(tick(instance, "ward")) == [(f"{run_id}:ward", ["ward/leaderboard", "ward/report"])]


def test_a_run_is_looked_at_once_and_later_failures_are_seen(instance: dg.DagsterInstance) -> None:
    fail(instance, small("ward", audit=False))
    cursor = tick(instance, "ward").cursor
    again = tick(instance, "ward", cursor=cursor)
    assert isinstance(again, dg.SkipReason)
    assert "no run has failed" in str(again.skip_message)
    second = fail(instance, small("ward", audit=False))
    assert [key for key, _ in asked(tick(instance, "ward", cursor=cursor))] == [f"{second}:ward"]


def test_each_dataset_of_one_run_is_judged_by_itself(instance: dg.DagsterInstance) -> None:
    run_id = fail(instance, [*small("ward", audit=False), *small("bank"), *small("farm", audit=False, masked=False)])
    assert asked(tick(instance, "ward", "bank", "farm")) == [(f"{run_id}:ward", ["ward/leaderboard", "ward/report"])]


@pytest.mark.parametrize(
    ("assets", "tags"),
    [
        (small("ward", masked=False), {}),
        (small("ward", error=True), {}),
        (small("ward", audit=False)[:2], {}),
        (small("ward", audit=False), {"synth_assets/by": "cli"}),
        (small("elsewhere", audit=False), {}),
    ],
    ids=["masking blocked", "a step failed", "only the audit was asked for", "the command line's own", "not ours"],
)
def test_nothing_is_asked_for_where_it_was_not_left_out_by_an_audit_alone(
    instance: dg.DagsterInstance, assets: list[Any], tags: dict[str, str]
) -> None:
    fail(instance, assets, tags)
    result = tick(instance, "ward")
    assert asked(result) == []
    assert "no audit alone" in str(result.skip_reason)
    assert result.cursor


def test_what_was_made_since_is_not_asked_for(instance: dg.DagsterInstance) -> None:
    assets = small("ward", audit=False)
    fail(instance, assets)
    assert dg.materialize(assets, selection=["ward/leaderboard", "ward/report"], instance=instance).success
    assert asked(tick(instance, "ward")) == []


def test_an_instance_that_cannot_be_read_is_a_skip_without_its_text(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise SourceError("gone")

    monkeypatch.setattr(instance, "get_run_records", refuse)
    assert "cannot be read" in str(tick(instance, "ward").skip_message)


def test_only_audits_that_were_kept_count() -> None:
    planned = {"audit_a", *TELLING}
    assert Ended(planned, {"audit_a"}, {"audit_a"}).left_out(TELLING) == list(TELLING)
    assert Ended(planned, {"audit_a", "leaderboard"}, {"audit_a"}).left_out(TELLING) == ["report"]
    assert Ended(planned, set(), {"audit_a"}).left_out(TELLING) == []
    assert Ended(planned, {"audit_a"}, set()).left_out(TELLING) == []


def test_the_chain_of_a_real_dataset_is_told_of_after_a_run_that_was_not_the_command_lines(home: Path) -> None:
    chain.edit(home, lambda c: c.update(thresholds=STRICT))
    with chain.instance(home) as instance:
        defs = chain.definitions(home)
        job = defs.resolve_job_def("clinic_chain")
        done = job.execute_in_process(instance=instance, raise_on_error=False)
        assert not done.success
        sensor = defs.get_repository_def().get_sensor_def(NAME)
        with dg.build_sensor_context(instance=instance) as context:
            (request,) = sensor(context).run_requests
        assert [k.path[-1] for k in request.asset_selection] == list(TELLING)
        implicit = defs.resolve_implicit_global_asset_job_def()
        told = implicit.execute_in_process(instance=instance, asset_selection=request.asset_selection)
        assert told.success
        with dg.build_sensor_context(instance=instance) as context:
            assert asked(sensor(context)) == []
    (board,) = told.asset_materializations_for_node("clinic__leaderboard")
    assert board.metadata["recommended"].value == "none"
