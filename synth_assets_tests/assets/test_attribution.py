"""Who asks for a run over the web: from the headers of a proxy into the run's tags, and from there into everything it records."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import requests
import uvicorn
import yaml
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._daemon.backfill import execute_backfill_iteration
from dagster_webserver.webserver import DagsterWebserver

from synth_assets.api.ledgers import Filter, entries
from synth_assets.config.runtime import Settings
from synth_assets.ledger import asking
from synth_assets.ledger.actors import Actors, process_user
from synth_assets.ledger.asking import ACTOR_TAG, CLIENT_TAG
from synth_assets.ledger.opening import open_audit_ledger
from synth_assets_tests import chain
from synth_assets_tests.assets.test_automation import people_csv

JOB = """import dagster as dg
@dg.op
def nothing(): pass
@dg.job
def asked(): nothing()
@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["one", "two"]))
def daily(): pass
defs = dg.Definitions(jobs=[asked], assets=[daily])
"""
LAUNCH = """mutation($p: ExecutionParams!) { launchRun(executionParams: $p) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
BACKFILL = """mutation($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
ANN = "ann.smith@example.org"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home whose dagster.yaml trusts the headers of a proxy."""
    with chain.standing_in(tmp_path):
        file = tmp_path / "dagster.yaml"
    config = yaml.safe_load(file.read_text())
    headers = {"actor_header": "X-Forwarded-User", "client_header": "X-Forwarded-For", "max_concurrent_runs": 3}
    coordinator = {"module": "synth_assets.instance_runs", "class": "AttributingCoordinator", "config": headers}
    file.write_text(yaml.safe_dump({**config, "run_coordinator": coordinator}))
    (tmp_path / "jobs.py").write_text(JOB)
    return tmp_path


@contextmanager
def webserver(home: Path) -> Iterator[tuple[str, dg.DagsterInstance]]:
    """Dagster's webserver on a port of this machine, in a thread."""
    with serving(home) as (url, context):
        yield url, context.instance


@contextmanager
def serving(home: Path) -> Iterator[tuple[str, WorkspaceProcessContext]]:
    """The same, with what the daemon needs besides."""
    origin = InProcessCodeLocationOrigin(LoadableTargetOrigin(python_file=str(home / "jobs.py")), location_name="here")
    with (
        chain.instance(home) as instance,
        WorkspaceProcessContext(instance, InProcessWorkspaceLoadTarget(origin)) as context,
        socket.create_server(("127.0.0.1", 0)) as listening,
    ):
        server = uvicorn.Server(uvicorn.Config(DagsterWebserver(context).create_asgi_app(), log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", context
        server.should_exit = True
        thread.join(30)


def launch(url: str, headers: dict[str, str], tags: dict[str, str]) -> dict[str, Any]:
    selector = {"repositoryName": "__repository__", "repositoryLocationName": "here", "jobName": "asked"}
    asked = {"selector": selector, "runConfigData": {}, "mode": "default", "executionMetadata": {"tags": pairs(tags)}}
    return send(url, LAUNCH, asked, headers)["launchRun"]


def backfill(url: str, headers: dict[str, str], tags: dict[str, str]) -> dict[str, Any]:
    asked = {"assetSelection": [{"path": ["daily"]}], "partitionNames": ["one", "two"], "tags": pairs(tags)}
    return send(url, BACKFILL, asked, headers)["launchPartitionBackfill"]


def pairs(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def send(url: str, query: str, asked: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    sending = {"query": query, "variables": {"p": asked}}
    return dict(requests.post(f"{url}/graphql", json=sending, headers=headers, timeout=60).json()["data"])


def test_a_request_over_the_web_is_known_by_what_the_proxy_says_and_not_by_what_it_claims(home: Path) -> None:
    claimed = {ACTOR_TAG: "a_0123456789abcdef", CLIENT_TAG: "10.0.0.1", "kept": "yes"}
    with webserver(home) as (url, instance):
        told = launch(url, {"X-Forwarded-User": ANN, "X-Forwarded-For": "6.6.6.6, 192.0.2.7"}, claimed)
        assert "run" in told, told
        run = instance.get_run_by_id(told["run"]["runId"])
        nowhere = launch(url, {"X-Forwarded-User": ANN, "X-Forwarded-For": "no address"}, claimed)
        other = instance.get_run_by_id(nowhere["run"]["runId"])
        assert instance.run_coordinator.get_run_queue_config().max_concurrent_runs == 3
    assert run is not None
    assert other is not None
    assert run.status is dg.DagsterRunStatus.QUEUED
    known = {k.actor: k.identity for k in Actors(Settings(home=home).actors_location).known()}
    assert known[run.tags[ACTOR_TAG]] == ANN
    assert (run.tags[CLIENT_TAG], run.tags["kept"]) == ("192.0.2.7", "yes")
    assert (other.tags[ACTOR_TAG], other.tags[CLIENT_TAG]) == (run.tags[ACTOR_TAG], "")
    assert ANN.encode() not in b"".join(p.read_bytes() for p in (home / "var" / "dagster").rglob("*") if p.is_file())


def test_a_request_that_does_not_say_who_asks_is_refused(home: Path) -> None:
    with webserver(home) as (url, instance):
        told = launch(url, {"X-Forwarded-For": "192.0.2.7"}, {ACTOR_TAG: "a_0123456789abcdef"})
        assert told["__typename"] == "PythonError"
        assert "does not say who asks" in told["message"]
        assert [r.status for r in instance.get_runs()] == [dg.DagsterRunStatus.FAILURE]


@pytest.mark.filterwarnings("ignore:Function `AssetSelection.sources`")  # Dagster's own use of it
def test_the_runs_of_a_backfill_name_who_asked_for_it(home: Path) -> None:
    claimed = {ACTOR_TAG: "a_0123456789abcdef", CLIENT_TAG: "10.0.0.1", "kept": "yes"}
    with serving(home) as (url, context):
        instance = context.instance
        nobody = backfill(url, {"X-Forwarded-For": "192.0.2.7"}, claimed)
        assert nobody["__typename"] == "PythonError"
        assert "does not say who asks" in nobody["message"]
        assert instance.get_backfills() == []
        told = backfill(url, {"X-Forwarded-User": ANN, "X-Forwarded-For": "192.0.2.7"}, claimed)
        assert "backfillId" in told, told
        for _ in range(3):  # as the daemon does, which sees no request
            assert [e for e in execute_backfill_iteration(context, logging.getLogger("backfill")) if e] == []
        runs = list(instance.get_runs())
    ann = Actors(Settings(home=home).actors_location).id_of(ANN)
    assert [r.tags["dagster/partition"] for r in sorted(runs, key=lambda r: r.tags["dagster/partition"])] == [
        "one",
        "two",
    ]
    assert {(r.tags[ACTOR_TAG], r.tags[CLIENT_TAG], r.tags["kept"]) for r in runs} == {(ann, "192.0.2.7", "yes")}


def test_everything_that_a_run_records_names_who_asked_and_nothing_after_it_does(home: Path) -> None:
    people_csv(home / "data" / "people.csv")
    known = Actors(Settings(home=home).actors_location)
    ann = known.id_of(ANN)
    config = {
        "ops": {"mask_file_op": {"config": {"file": "data/people.csv", "out": "masked.csv", "policy": "dev_test"}}}
    }
    job = chain.definitions(home).resolve_job_def("mask_file")
    with chain.instance(home) as instance:
        tags = {ACTOR_TAG: ann, CLIENT_TAG: "192.0.2.7"}
        done = job.execute_in_process(instance=instance, run_config=config, tags=tags)
        job.execute_in_process(instance=instance, run_config=config)
    exported = list(entries(open_audit_ledger(Settings(home=home)), Filter(action="export")))
    assert [(e["actor"], e["client"]) for e in exported] == [(ann, "192.0.2.7"), (known.id_of(process_user()), None)]
    assert exported[0]["run_id"] == done.run_id


@pytest.mark.parametrize("tags", [{ACTOR_TAG: ANN, CLIENT_TAG: "ann's desk"}, {}])
def test_a_tag_that_is_no_name_of_the_ledger_and_no_address_is_not_believed(tags: dict[str, str]) -> None:
    with asking.for_somebody():
        asking.begin("r", tags)
        assert asking.asking() == asking.Asking(run_id="r")
    assert asking.asking() == asking.Asking()
