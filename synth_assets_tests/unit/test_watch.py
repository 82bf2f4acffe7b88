"""Health tries what it tells of, and metrics are OpenMetrics under documented names."""

from __future__ import annotations

import re
import socket
import threading
import urllib.error
import urllib.request
from dataclasses import replace
from functools import partial
from http.server import HTTPServer
from pathlib import Path

import pytest
from sqlalchemy import text

from synth_assets.api import open_budget
from synth_assets.api.sealing import encrypt
from synth_assets.automation import health as module
from synth_assets.automation import ledgers
from synth_assets.automation.health import health
from synth_assets.automation.metrics import CONTENT_TYPE, Metric, metrics, render
from synth_assets.cli.app import run
from synth_assets.cli.serve import _Metrics
from synth_assets.config.runtime import Settings
from synth_assets.config.stores import store_of
from synth_assets.definitions import build_defs
from synth_assets.ledger.audit import Action, AuditEvent
from synth_assets.ledger.opening import open_audit_ledger
from synth_assets.storage.artifacts import Zone
from synth_assets_tests import chain
from synth_assets_tests.unit.ledger.conftest import tamper

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in ("", "_FILE", "_SECRET"):
        monkeypatch.delenv(f"SYNTH_ASSETS_MASTER_KEY{name}", raising=False)
    (tmp_path / "home").mkdir()
    with chain.standing_in(tmp_path / "home"):
        yield Settings(home=tmp_path / "home", work_folder=tmp_path / "rooms")


def states(found) -> dict[str, str]:
    return {part.name: part.state for part in found.parts}


def test_a_fresh_home_is_well_and_says_what_a_service_would_lack(settings: Settings) -> None:
    found = health(settings, build_defs)
    assert {k for k, s in states(found).items() if s != "ok"} <= {"key", "daemon", "disk"}
    assert states(found)["key"] == states(found)["daemon"] == "warning"
    assert found.ok
    assert not [p for p in settings.var.rglob("*") if p.is_file() and "_health" in p.parts]
    served = health(settings, build_defs, service=True)
    assert states(served)["daemon"] == "failed"
    assert not served.ok


def test_each_part_that_is_broken_is_named_and_the_others_are_tried(settings: Settings, monkeypatch) -> None:
    health(settings, build_defs)
    monkeypatch.setenv("SYNTH_ASSETS_MASTER_KEY", "no key")
    monkeypatch.setattr(module, "LEAST_FREE", 1 << 62)
    found = states(health(settings, build_defs))
    assert {k for k, s in found.items() if s == "failed"} == {"key", "store_restricted", "disk"}
    assert found["store_masked"] == found["engine"] == found["run_storage"] == "ok"


def test_a_store_that_forgets_is_found(settings: Settings, monkeypatch) -> None:
    from synth_assets.storage.artifacts import LocalBackend

    monkeypatch.setattr(LocalBackend, "local", lambda *_: None)
    assert {states(health(settings, build_defs))[f"store_{z}"] for z in ("masked", "release")} == {"failed"}


def test_a_foreign_error_is_told_by_its_type_alone(settings: Settings, monkeypatch) -> None:
    def faulty(*_: object) -> str:
        raise ValueError("canary@quillvex.org")

    monkeypatch.setattr(module, "_engine", faulty)
    (part,) = [p for p in health(settings, build_defs).parts if p.name == "engine"]
    assert part.state == "failed"
    assert "ValueError" in part.message
    assert "canary" not in part.message


def ledger_part(settings: Settings) -> tuple[str, str]:
    (part,) = [p for p in health(settings, build_defs).parts if p.name == "ledger"]
    return part.state, part.message


@pytest.mark.parametrize("bound", [200_000, 0])
def test_health_and_metrics_tell_of_a_ledger_that_is_not_what_was_written(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, bound: int
) -> None:
    monkeypatch.setattr(ledgers, "WHOLE_UP_TO", bound)
    open_budget(settings.home).declare("people", "row", 10.0, 1e-5)
    ledger = open_audit_ledger(settings)
    entries = ledger.record(AuditEvent(Action.READ, "people/raw")).position
    state, message = ledger_part(settings)
    assert state == "ok"
    assert (f"audit: {entries} entries" if bound else f"newest {entries} of {entries} entries") in message
    assert "synth_assets_ledgers_whole 1" in metrics(settings, build_defs).splitlines()
    tamper(ledger.store, f"UPDATE chain_entries SET record = '{{}}' WHERE position = {entries}")
    state, message = ledger_part(settings)
    assert state == "failed"
    assert f"the audit ledger is not what was written: entry {entries}: its content is not what was" in message
    assert "synth_assets_ledgers_whole 0" in metrics(settings, build_defs).splitlines()


@pytest.mark.parametrize("bound", [200_000, 0])
def test_health_tells_of_a_changed_budget(settings: Settings, monkeypatch: pytest.MonkeyPatch, bound: int) -> None:
    monkeypatch.setattr(ledgers, "WHOLE_UP_TO", bound)
    open_budget(settings.home).declare("people", "row", 10.0, 1e-5)
    store = open_audit_ledger(settings).store
    with store.writing("tampering") as connection:
        for verb in ("update", "delete"):
            connection.execute(text(f"DROP TRIGGER IF EXISTS budget_log_no_{verb}"))
        connection.execute(text("UPDATE budget_log SET record = replace(record, '10.0', '90.0') WHERE position = 1"))
    state, message = ledger_part(settings)
    assert state == "failed" and "budget" in message


def test_metrics_are_openmetrics_and_each_name_is_documented(settings: Settings) -> None:
    lines = metrics(settings, build_defs).splitlines()
    assert lines[-1] == "# EOF"
    named = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    page = (ROOT / "docs" / "howto" / "deployment.md").read_text()
    assert named == set(re.findall(r"`(synth_assets_[a-z_]+)`", page))
    sample = re.compile(r'([a-z_]+)(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? (-?[0-9.e+-]+|\+Inf)')
    samples = [line for line in lines if not line.startswith("#")]
    assert samples
    assert all(sample.fullmatch(line) for line in samples)
    assert "synth_assets_audit_ledger_entries 0" in lines


def test_labels_are_escaped() -> None:
    assert 'x{a="q\\"b\\\\c\\nd"} 0.5' in render([Metric("x", "h", {(("a", 'q"b\\c\nd'),): 0.5})])


def test_the_endpoint_serves_metrics_and_nothing_else(settings: Settings, monkeypatch) -> None:
    monkeypatch.setattr("synth_assets.automation.metrics.metrics", lambda *_: "# EOF\n")
    with HTTPServer(("127.0.0.1", 0), partial(_Metrics, settings=settings)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_address[1]}"
        with urllib.request.urlopen(f"{base}/metrics") as answer:  # noqa: S310
            assert (answer.headers["Content-Type"], answer.read()) == (CONTENT_TYPE, b"# EOF\n")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{base}/other")  # noqa: S310
        refused.value.close()
        server.shutdown()
    assert refused.value.code == 404


@pytest.mark.parametrize(("options", "address"), [((), "127.0.0.1"), (("--host", "127.0.0.2"), "127.0.0.2")])
def test_the_endpoint_listens_on_this_machine_alone_unless_it_is_told_otherwise(
    options: tuple[str, ...], address: str, settings: Settings, monkeypatch, capsys
) -> None:
    listening: list[str] = []

    def listen(server: HTTPServer) -> None:
        listening.append(str(server.server_address[0]))

    monkeypatch.setattr(HTTPServer, "serve_forever", listen)
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = str(found.getsockname()[1])
    assert run(["metrics", "--serve", port, *options, "--home", str(settings.home)]) == 0
    assert listening == [address]
    assert f"http://{address}:{port}/metrics" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--host", "127.0.0.2"], "--host belongs to --serve"),
        (["--serve", "9464", "--host", "192.0.2.1"], "cannot listen on 192.0.2.1, port 9464"),
    ],
)
def test_an_address_without_a_port_or_of_another_machine_is_refused(
    options: list[str], told: str, settings: Settings, capsys
) -> None:
    assert run(["metrics", *options, "--home", str(settings.home)]) == 2
    assert told in " ".join(capsys.readouterr().err.split())


def test_who_connects_and_says_nothing_does_not_keep_others_waiting(settings: Settings, monkeypatch) -> None:
    assert _Metrics.timeout == 10
    monkeypatch.setattr(_Metrics, "timeout", 0.1)
    monkeypatch.setattr("synth_assets.automation.metrics.metrics", lambda *_: "# EOF\n")
    with HTTPServer(("127.0.0.1", 0), partial(_Metrics, settings=settings)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with (
            socket.create_connection(server.server_address[:2]),
            urllib.request.urlopen(f"http://127.0.0.1:{server.server_address[1]}/metrics", timeout=30) as answer,  # noqa: S310
        ):
            assert answer.read() == b"# EOF\n"
        server.shutdown()


def test_health_warns_of_a_restricted_zone_that_still_reads_plain_files(settings: Settings) -> None:
    with store_of(replace(settings, encryption=False)).writing(Zone.RESTRICTED, "ds", "raw_t") as out:
        (out.folder / "rows").write_text("plain")
    assert states(health(settings, build_defs))["store_restricted"] == "warning"
    encrypt(settings)
    assert states(health(settings, build_defs))["store_restricted"] == "ok"
