"""A running service, `dagster dev` with its daemon: asked by the typed client, by plain GraphQL, and by a person in a browser."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from synth_assets.api.file_requests import MaskReply
from synth_assets.client import Client
from synth_assets.client.jobs import JobFailedError
from synth_assets.errors import ConfigError, InputError
from synth_assets_tests import chain
from synth_assets_tests.e2e.serving import BIN, PATIENCE, Service, ask, environment, serving, until

CANARY = "zofie.quillvex@example.org"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """`synth-assets ui` on a home whose first stages the command line has run."""
    home = chain.make_home(tmp_path_factory.mktemp("service") / "home", rows=120)
    (home / "configs" / "uploads.yaml").write_text("spend: false\n")
    calls = (["run", "configs/datasets/clinic.yaml", "--select", "raw,pii_classification,profile"], ["exchange"])
    for call in calls:
        where = ["--home", str(home)]
        command = [str(BIN / "synth-assets"), *call, *where]
        done = subprocess.run(command, check=False, cwd=home, env=environment(home), capture_output=True, timeout=200)
        assert done.returncode == 0, done.stderr[-2000:]
    with serving(home) as running:
        yield running


def stored(home: Path) -> bytes:
    return b"".join(p.read_bytes() for p in home.rglob("*") if p.is_file())


def test_the_ui_stands_on_the_history_of_the_command_line(service: Service) -> None:
    nodes = ask(service.url, "{ assetNodes { assetKey { path } groupName staleStatus } }")["assetNodes"]
    status = {"/".join(n["assetKey"]["path"]): n["staleStatus"] for n in nodes}
    assert status["clinic/profile"] == "FRESH"
    assert status["clinic/report"] == "MISSING"
    asked = "{ runsOrError { ... on Runs { results { jobName repositoryOrigin { repositoryName repositoryLocationName } } } } }"
    (run,) = ask(service.url, asked)["runsOrError"]["results"]  # the overview's timeline leaves out runs of no location
    assert run["repositoryOrigin"] == {"repositoryName": "__repository__", "repositoryLocationName": "synth_assets"}


RUNS = '{ runsOrError(filter: {pipelineName: "uploads_chain"}) { ... on Runs { results { status startTime tags { key value } } } } }'


@pytest.mark.slow
def test_a_dropped_file_is_run_by_the_daemon(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    def runs() -> list[dict]:
        return ask(service.url, RUNS)["runsOrError"]["results"]

    making = service.home / "inbox" / ".Jane Roe 1961.csv.tmp"
    making.parent.mkdir(exist_ok=True)
    making.write_text("person_id,age\n" + "".join(f"{i},{20 + i % 50}\n" for i in range(200)))
    making.rename(making.with_name("Jane Roe 1961.csv"))
    dropped = time.time()
    until(lambda: [r for r in runs() if r["startTime"]], "start of a run")
    with capsys.disabled():
        sys.stdout.write(f"\nfile dropped to run started: {runs()[0]['startTime'] - dropped:.1f} s\n")
    (done,) = until(lambda: [r for r in runs() if r["status"] in {"SUCCESS", "FAILURE"}], "end of a run")
    assert done["status"] == "SUCCESS"
    partition = next(tag["value"] for tag in done["tags"] if tag["key"] == "dagster/partition")
    assert (service.home / "inbox" / "taken" / partition / "Jane Roe 1961.csv").is_file()
    told = [p for p in (service.home / "var" / "dagster").rglob("*") if p.is_file() and b"Jane Roe" in p.read_bytes()]
    assert told == []


def test_a_clients_records_are_masked_and_no_value_of_them_is_kept(service: Service) -> None:
    records = [{"email": f"{i}{CANARY}", "age": 20 + i % 60, "name": "Zofie Quillvex"} for i in range(60)]
    job = service.client().mask(records, policy="dev_test")
    seen: list[str] = []
    again = service.client().resume(job.ticket())
    outcome = again.wait(PATIENCE, seen.append)
    assert isinstance(outcome.reply, MaskReply)
    assert outcome.reply.row_count == 60
    frame = outcome.frame()
    assert len(frame) == 60
    assert not frame["email"].str.contains(CANARY).any()
    again.discard(outcome)
    assert not list((service.home / "var" / "exchange").glob("*/*"))
    assert CANARY.encode() not in stored(service.home)


def test_a_failed_job_tells_the_client_why_in_the_words_of_the_service(service: Service, tmp_path: Path) -> None:
    bad = tmp_path / "people.csv"
    bad.write_text(f"a,b\n1,2\n3,4,{CANARY}\n")
    with pytest.raises(JobFailedError, match="line 3|row 3"):
        service.client().profile(bad).wait(PATIENCE)
    assert CANARY.encode() not in stored(service.home)


def test_a_request_that_the_service_does_not_know_is_refused_before_a_run_starts(service: Service) -> None:
    with pytest.raises(InputError, match="no job 'other_chain'"):
        service.client().run("other")
    with pytest.raises(InputError, match="no such run"):
        service.client().resume(
            Client(service.url).resume(_ticket("00000000-0000-0000-0000-000000000000")).ticket()
        ).status()


def _ticket(run_id: str) -> str:
    import base64
    import json

    return base64.urlsafe_b64encode(json.dumps({"run_id": run_id, "name": "x", "key": None}).encode()).decode()


def test_requests_never_go_to_another_machine_in_clear() -> None:
    with pytest.raises(ConfigError, match="in clear"):
        Client("http://synth.example.org")
    with pytest.raises(ConfigError, match="exchange area, and none is named"):
        Client("http://127.0.0.1:1").mask([{"a": 1}])


@pytest.mark.chromium
def test_a_person_materialises_an_asset_by_clicking_and_sees_checks_and_pictures(service: Service) -> None:
    binary = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if binary is None:
        pytest.skip("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1800, "height": 1200})
        page.set_default_timeout(PATIENCE * 1000)
        page.goto(f"{service.url}/locations/synth_assets/asset-groups/clinic/lineage")
        page.wait_for_selector("text=pii_classification")

        page.goto(f"{service.url}/assets/clinic/split?view=overview")
        page.get_by_role("button", name="Materialize").first.click()
        until(lambda: _materialised(service.url, "split"), "materialization")
        page.goto(f"{service.url}/assets/clinic/raw_patients?view=checks")
        page.wait_for_selector("text=Passed")

        page.goto(f"{service.url}/assets/clinic/profile?view=overview")
        page.get_by_text("Show Markdown").first.click()
        picture = page.locator("img[src^='data:image']").first
        picture.wait_for()
        assert picture.evaluate("image => image.complete && image.naturalWidth > 100")
        browser.close()


def _materialised(url: str, name: str) -> bool:
    found = ask(url, "{ assetNodes { assetKey { path } staleStatus } }")["assetNodes"]
    return any(n["assetKey"]["path"][-1] == name and n["staleStatus"] == "FRESH" for n in found)
