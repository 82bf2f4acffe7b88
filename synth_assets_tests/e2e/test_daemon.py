"""The daemon at work: sensors that start runs and tell people, a killed run that is tried again, and many files at once."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from synth_assets.api.verifying import verify_ledgers
from synth_assets.config.runtime import Settings
from synth_assets.ledger.opening import open_audit_ledger
from synth_assets_tests import chain
from synth_assets_tests.e2e.serving import Service, serving, until
from synth_assets_tests.unit.notify.conftest import Hook, web_server

pytestmark = pytest.mark.slow
SECRET = {"HOOK_SECRET": "s", "SYNTH_ASSETS_PRIVATE_HOSTS": "127.0.0.1"}
HERE = 'repositoryLocationName: "synth_assets", repositoryName: "__repository__"'
RUNS = "{ runsOrError { ... on Runs { results { runId status jobName rootRunId tags { key value } assetSelection { path } } } } }"
FILES = 200
hook = pytest.fixture(web_server, scope="module")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, hook: Hook) -> Iterator[Service]:
    """A home with one dataset that may be refreshed without spending, and somebody who is told of everything."""
    home = tmp_path_factory.mktemp("daemon") / "home"
    chain.people(home, "people", epsilon=1, budget=10, rows=400)
    chain.edit(home, lambda config: config.update(refresh="free"), "people")
    (home / "configs" / "uploads.yaml").write_text("spend: false\n")
    told = {
        "receivers": {"team": {"webhook": hook.address, "secret_env": "HOOK_SECRET"}},
        "subscriptions": [{"to": "team"}],
    }
    (home / "configs" / "notifications.yaml").write_text(yaml.safe_dump(told))
    with serving(home, **SECRET) as running:
        yield running


def turn_on(service: Service, *sensors: str) -> None:
    for name in sensors:
        asked = f'mutation {{ startSensor(sensorSelector: {{{HERE}, sensorName: "{name}"}}) {{ __typename }} }}'
        assert service.ask(asked)["startSensor"]["__typename"] == "Sensor", name


def runs(service: Service) -> list[dict[str, Any]]:
    return list(service.ask(RUNS)["runsOrError"]["results"])


def tag(run: dict[str, Any], name: str) -> str | None:
    return next((t["value"] for t in run["tags"] if t["key"] == name), None)


def assets(run: dict[str, Any]) -> set[str]:
    return {k["path"][-1] for k in run["assetSelection"] or ()}


def kinds(hook: Hook) -> Counter[str]:
    return Counter(json.loads(body)["kind"] for _, body in hook.got)


@pytest.mark.timeout(900)
def test_sensors_read_a_source_refresh_what_is_free_and_tell_of_runs_and_of_a_broken_ledger(
    service: Service, hook: Hook
) -> None:
    turn_on(service, "people_source", "run_events")
    (read,) = until(
        lambda: [r for r in runs(service) if tag(r, "dagster/sensor_name") == "people_source"], "run of the source"
    )
    assert assets(read) == {"raw_people"}
    until(lambda: kinds(hook)["success"], "word of a run")

    turn_on(service, "people_refresh")
    wanted = {"profile", "pii_classification", "masked_people", "split"}
    (made,) = until(
        lambda: [r for r in runs(service) if r["status"] == "SUCCESS" and assets(r) >= wanted], "refresh by condition"
    )
    assert tag(made, "synth_assets/refresh") == "free"
    assert not {"dp_measurements", "model_dp_marginals", "raw_people"} & set().union(*map(assets, runs(service)[:-1]))
    until(lambda: kinds(hook)["success"] == 2, "word of the refresh")

    store = open_audit_ledger(Settings(home=service.home)).store
    with store.writing("tampering") as connection:
        connection.exec_driver_sql("UPDATE chain_heads SET hash = 'x' || hash")
    turn_on(service, "ledger_whole")
    until(lambda: kinds(hook)["ledger"], "word of the broken ledger")
    with store.writing("mending") as connection:
        connection.exec_driver_sql("UPDATE chain_heads SET hash = substr(hash, 2)")
    (words,) = [json.loads(body) for _, body in hook.got if json.loads(body)["kind"] == "ledger"]
    assert words["figures"]["ledger"] == "audit"


@pytest.mark.timeout(900)
def test_a_run_whose_worker_is_killed_goes_on_by_itself_from_the_step_that_failed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    chain.people(home, "people", epsilon=1, budget=10, rows=400)
    with serving(home) as service:
        run_id = service.client().run("people").run_id
        until(lambda: "profile" in materialised(service, run_id), "profile")
        os.kill(worker(service, run_id), signal.SIGKILL)

        def again() -> list[dict[str, Any]]:
            return [r for r in runs(service) if r["rootRunId"] == run_id and r["runId"] != run_id]

        retry = until(again, "retry")[0]["runId"]
        until(lambda: "audit_dp_marginals" in materialised(service, retry), "audit in the retry")
        until(
            lambda: again()[0]["status"] in {"SUCCESS", "FAILURE"}, "end of the retry"
        )  # an audit of few rows may block
        states = {r["runId"]: r["status"] for r in runs(service)}
        assert (states[run_id], len(again())) == ("FAILURE", 1)
        made = materialised(service, retry)
        assert "synthetic_dp_marginals_people" in made
        assert not {"raw_people", "profile"} & made
    verdict = verify_ledgers(home)
    assert verdict is not None
    assert verdict.whole


def materialised(service: Service, run_id: str) -> set[str]:
    asked = f'{{ logsForRun(runId: "{run_id}") {{ ... on EventConnection {{ events {{ ... on MaterializationEvent {{ assetKey {{ path }} }} }} }} }} }}'
    return {e["assetKey"]["path"][-1] for e in service.ask(asked)["logsForRun"]["events"] if e.get("assetKey")}


def worker(service: Service, run_id: str) -> int:
    """Process id of the run's worker, as Dagster tells it."""
    asked = f'{{ logsForRun(runId: "{run_id}") {{ ... on EventConnection {{ events {{ ... on MessageEvent {{ message }} }} }} }} }}'
    events = service.ask(asked)["logsForRun"]["events"]
    return next(int(found[1]) for e in events if (found := re.search(r"\(pid: (\d+)\)", e.get("message", ""))))


@pytest.mark.timeout(900)
def test_many_files_at_once_become_one_partition_and_one_run_each(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    inbox = service.home / "inbox"
    making = service.home / "making"
    making.mkdir()
    inbox.mkdir(exist_ok=True)
    for i in range(FILES):
        (making / f"people {i}.csv").write_text(f"person_id,age\n{i},{20 + i % 60}\n{i + 1000},33\n")
    dropped = time.monotonic()
    for file in sorted(making.iterdir()):
        file.rename(inbox / file.name)

    def uploads() -> list[str]:
        with chain.instance(service.home) as instance:
            return list(instance.get_dynamic_partitions("uploads"))

    until(lambda: len(uploads()) >= FILES, f"{FILES} partitions", 500)
    taken = time.monotonic() - dropped

    def requested() -> Counter[str | None]:
        with chain.instance(service.home) as instance:
            found = instance.get_runs(limit=10 * FILES)
        return Counter(r.tags.get("dagster/partition") for r in found if r.job_name == "uploads_chain")

    until(lambda: len(requested()) >= FILES, f"{FILES} runs", 500)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{FILES} files: partitions {taken:.1f} s, runs requested {time.monotonic() - dropped:.1f} s\n"
        )
    time.sleep(15)  # three looks of the sensor more
    assert len(uploads()) == len(set(uploads())) == FILES
    assert requested() == Counter(dict.fromkeys(uploads(), 1))
