"""The sensors that watch: what each finds, that it tells it once, and that it neither starts a run nor spends."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest
import yaml
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._grpc.impl import get_external_sensor_execution

from synth_assets.automation import watches
from synth_assets.automation.watches import Looking
from synth_assets.automation.watching import WATCHES
from synth_assets.cli.app import run as command
from synth_assets.config.automation import AutomationConfig, load_automation
from synth_assets.config.runtime import Settings
from synth_assets.errors import ConfigError, ReleaseRefusedError
from synth_assets.ledger.backends import open_ledger_store
from synth_assets.ledger.opening import open_audit_ledger
from synth_assets.masking.records import LeakFinding, LeakReport
from synth_assets.notify.outbox import Outbox
from synth_assets.privacy.budget import BudgetLedger
from synth_assets.privacy.budget_view import BudgetView
from synth_assets.privacy.records import GaussianEvent
from synth_assets.storage.artifacts import Zone
from synth_assets_tests import chain
from synth_assets_tests.unit.notify.conftest import Hook, web_server

SENSORS = [w.name for w in WATCHES]
LOADED = LoadableTargetOrigin(module_name="synth_assets.definitions")
hook = pytest.fixture(web_server)


def looking(home: Path, instance: dg.DagsterInstance, *, now: float | None = None, **thresholds: Any) -> Looking:
    return Looking(
        Settings.from_environment(home), AutomationConfig(**thresholds), [chain.loaded(home).config], instance, now or time.time()
    )  # fmt: skip


def tick(home: Path, name: str, cursor: str | None = None, *, since: float | None = 1.0) -> dg.SensorResult:
    sensor = chain.definitions(home).get_repository_def().get_sensor_def(name)
    with (
        chain.instance(home) as instance,
        dg.build_sensor_context(instance=instance, cursor=cursor, last_sensor_start_time=since) as context,
    ):
        found = sensor(context)
        assert isinstance(found, dg.SensorResult)
        return found


def test_every_watch_is_off_says_nothing_twice_and_starts_no_run(home: Path) -> None:
    repository = chain.definitions(home).get_repository_def()
    for name in [*SENSORS, "notifications"]:
        assert repository.get_sensor_def(name).default_status == dg.DefaultSensorStatus.STOPPED
    before = BudgetView(open_ledger_store(f"sqlite:///{home}/var/ledger/budget.db")).status("clinic")
    for name in SENSORS:
        first = tick(home, name)
        again = tick(home, name, first.cursor)
        assert not first.run_requests
        assert ", 0 new, 0 messages" in again.skip_reason.skip_message, name
    after = BudgetView(open_ledger_store(f"sqlite:///{home}/var/ledger/budget.db")).status("clinic")
    assert after.ledger_head == before.ledger_head


def test_a_run_that_succeeded_is_told_to_its_subscriber_once(
    home: Path, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_SECRET", "s")
    monkeypatch.setenv("SYNTH_ASSETS_PRIVATE_HOSTS", "127.0.0.1")
    config = {
        "receivers": {"team": {"webhook": hook.address, "secret_env": "HOOK_SECRET"}},
        "subscriptions": [{"to": "team", "events": ["success"], "datasets": ["clinic"]}],
    }
    (home / "configs" / "notifications.yaml").write_text(yaml.safe_dump(config))
    first = tick(home, "run_events")
    assert "1 new, 1 messages" in first.skip_reason.skip_message
    tick(home, "run_events")  # a lost cursor tells nobody twice
    ((_, body),) = hook.got
    assert json.loads(body)["dataset"] == "clinic"
    assert "1 delivered" not in tick(home, "notifications").skip_reason.skip_message


@pytest.mark.parametrize("since", [9e9, None])
def test_runs_that_ended_before_a_sensor_was_switched_on_are_told_to_nobody(home: Path, since: float | None) -> None:
    first = tick(home, "run_events", since=since)
    assert "1 found, 0 new, 0 messages" in first.skip_reason.skip_message
    assert "1 found, 0 new" in tick(home, "run_events", first.cursor, since=since).skip_reason.skip_message
    assert "1 found, 1 new" in tick(home, "run_events").skip_reason.skip_message


def evaluated(home: Path, name: str, log_key: list[str] | None) -> str:
    """What Dagster's code server answers: to the daemon with the key of the tick's log, to a preview without one."""
    repository = chain.definitions(home).get_repository_def()
    with chain.instance(home) as instance:
        told = get_external_sensor_execution(
            repository, InProcessCodeLocationOrigin(LOADED), instance.get_ref(), name, None, None, None, log_key, 1.0
        )
    assert isinstance(told, SensorExecutionData), told
    return told.skip_message or ""


def files(home: Path) -> dict[str, str]:
    """Every file of a home but Dagster's own, by its content; of a database what is in it, wherever its log stands."""
    found = (p for p in home.rglob("*") if p.is_file() and not p.is_relative_to(home / "var" / "dagster"))
    return {str(p): hashlib.sha256(content(p)).hexdigest() for p in found if not p.name.endswith(("-wal", "-shm"))}


def content(file: Path) -> bytes:
    if file.suffix != ".db":
        return file.read_bytes()
    with contextlib.closing(sqlite3.connect(file)) as connection:
        return "\n".join(connection.iterdump()).encode()


def test_a_preview_of_a_sensor_changes_nothing_and_tells_nobody(
    home: Path, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_SECRET", "s")
    monkeypatch.setenv("SYNTH_ASSETS_PRIVATE_HOSTS", "127.0.0.1")
    config = {
        "receivers": {"team": {"webhook": hook.address, "secret_env": "HOOK_SECRET"}},
        "subscriptions": [{"to": "team"}],
    }
    (home / "configs" / "notifications.yaml").write_text(yaml.safe_dump(config))
    names = [s.name for s in chain.definitions(home).get_repository_def().sensor_defs]
    assert {"inbox", "notifications", *SENSORS} <= set(names)
    before = files(home)
    previews = {name: evaluated(home, name, None) for name in names}
    assert files(home) == before and hook.got == []
    assert "a preview: 1 found, 1 of them would be told" in previews["run_events"]
    for name in ("inbox", "notifications", *SENSORS):
        assert previews[name].startswith("a preview: "), name
    assert "1 found, 1 new, 1 messages" in evaluated(home, "run_events", ["__repository__", "run_events", "17"])
    assert len(hook.got) == 1 and files(home) != before


def test_a_receiver_that_fails_never_fails_the_sensor_and_is_shown(
    home: Path, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook.codes = [404]
    monkeypatch.setenv("HOOK_SECRET", "s")
    monkeypatch.setenv("SYNTH_ASSETS_PRIVATE_HOSTS", "127.0.0.1")
    config = {
        "receivers": {"team": {"webhook": hook.address, "secret_env": "HOOK_SECRET"}},
        "subscriptions": [{"to": "team"}],
    }
    (home / "configs" / "notifications.yaml").write_text(yaml.safe_dump(config))
    tick(home, "run_events")
    assert "1 given up" in tick(home, "notifications").skip_reason.skip_message
    assert Outbox(home / "var" / "outbox").messages()[0].state == "failed"


def test_a_foreign_text_of_a_watch_never_reaches_dagster(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret@example.org")

    monkeypatch.setattr("synth_assets.profiling.drift.drift", broken)
    monkeypatch.setattr("synth_assets.privacy.budget_view.BudgetView.populations", broken)
    told = tick(home, "budget_spent").skip_reason.skip_message
    assert "withheld" in told
    assert "secret" not in told


def test_a_budget_is_told_beyond_its_share(home: Path) -> None:
    with chain.instance(home) as instance:
        assert list(watches.budgets(looking(home, instance, budget_share=1.0))) == []
        (notice,) = watches.budgets(looking(home, instance, budget_share=0.3))
    assert (notice.kind, notice.dataset) == ("budget", "clinic")
    assert notice.figures["share"] >= 0.3


def test_tables_are_stale_by_age(home: Path) -> None:
    with chain.instance(home) as instance:
        assert list(watches.stale_tables(looking(home, instance))) == []
        old = list(watches.stale_tables(looking(home, instance, now=time.time() + 31 * 86400)))
        assert {n.figures["data_are_newer"] for n in old} == {False}
        assert len(old) == len(chain.loaded(home).config.tables)


@pytest.mark.slow
def test_tables_are_stale_where_their_data_are_newer(home: Path) -> None:
    assert chain.run(home, stages=["raw"], fresh=True).exit_code == 0
    with chain.instance(home) as instance:
        newer = list(watches.stale_tables(looking(home, instance)))
    assert {n.figures["data_are_newer"] for n in newer} == {True}


def test_the_storage_limit_is_told_with_the_size(home: Path) -> None:
    with chain.instance(home) as instance:
        assert list(watches.storage(looking(home, instance))) == []
        (notice,) = watches.storage(looking(home, instance, storage_gb=1e-6))
    assert notice.kind == "storage"
    assert notice.figures["gigabytes"] > 0


LEFT = LeakReport(
    passed=False, identifiers=9, too_short=0, columns_searched=1, names_checked=0,
    findings=(LeakFinding(kind="identifier", raw_table="a", raw_column="email", table="a", column="notes", cells=3),),
)  # fmt: skip


def test_a_failed_leak_check_is_told_of_chains_and_of_files(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "people.csv").write_text("email,age\n" + "".join(f"p{i}@example.org,{20 + i}\n" for i in range(30)))
    mask = {"ops": {"mask_file_op": {"config": {"file": "people.csv", "out": "masked.csv"}}}}
    with chain.instance(home) as instance:
        assert list(watches.leaks(looking(home, instance))) == []
        job = chain.definitions(home).resolve_job_def("mask_file")
        monkeypatch.setattr("synth_assets.masking.leakcheck.check_leaks", lambda *_, **__: LEFT)
        assert not job.execute_in_process(instance=instance, run_config=mask, raise_on_error=False).success
    assert chain.run(home, stages=["masked"], fresh=True).exit_code == 3
    with chain.instance(home) as instance:
        found = list(watches.leaks(looking(home, instance)))
    told = {(n.kind, n.dataset, n.figures.get("asset"), n.figures.get("job")) for n in found}
    assert ("leak", "", None, "mask_file") in told
    assert ("leak", "clinic", "clinic/masked_patients", None) in told
    assert len({n.key for n in found}) == len(found)
    assert "example.org" not in repr(found)


def test_a_search_for_leaks_tells_what_it_found_once_and_no_value(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = {"receivers": {"team": {"email": "team@example.org"}}, "subscriptions": [{"to": "team", "events": ["leak"]}]}
    smtp = {"smtp": {"host": "127.0.0.1", "port": 1, "security": "none", "sender": "synth@example.org"}}
    (home / "configs" / "notifications.yaml").write_text(yaml.safe_dump(told | smtp))
    store = chain.store(home)
    folder = store.path(store.current(Zone.RESTRICTED, "clinic", "raw_patients"))
    raw = pq.ParquetDataset(sorted(folder.glob("part-*.parquet"))).read(columns=["email"])
    leaked = next(v for v in raw["email"].to_pylist() if v)
    (home / "var" / "dagster" / "note.txt").write_text(f"write to {leaked}")
    for _ in range(2):
        assert command(["leakscan", "clinic", "--home", str(home), "--json"]) == 3
        assert leaked not in capsys.readouterr().out
    (message,) = Outbox(home / "var" / "outbox").messages()
    assert (message.record["kind"], message.record["figures"]["files"]) == ("leak", 1)
    assert leaked not in str(message)


def test_a_broken_or_lost_audit_ledger_is_told(home: Path) -> None:
    store = open_audit_ledger(Settings.from_environment(home)).store
    with chain.instance(home) as instance:
        with store.writing("tampering") as connection:
            connection.exec_driver_sql("UPDATE chain_heads SET hash = 'x'")
        (broken,) = watches.ledgers(looking(home, instance))
        shutil.rmtree(home / "var" / "ledger")
        (gone,) = watches.ledgers(looking(home, instance))
    assert (broken.kind, broken.figures["ledger"], broken.figures["faults"]) == ("ledger", "audit", 1)
    assert (gone.kind, gone.figures["gone"]) == ("ledger", True)
    assert broken.key != gone.key


def test_a_changed_ledger_is_told(home: Path) -> None:
    import sqlite3

    with chain.instance(home) as instance:
        assert list(watches.ledgers(looking(home, instance))) == []
        with sqlite3.connect(home / "var" / "ledger" / "budget.db") as database:
            for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                database.execute(f"DROP TRIGGER {trigger}")
            database.execute("UPDATE budget_log SET record = replace(record, 'clinic', 'clinix') WHERE position = 2")
        database.close()
        (notice,) = watches.ledgers(looking(home, instance))
    assert (notice.kind, notice.figures["ledger"], notice.figures["row"]) == ("ledger", "budget", 2)


def test_a_reservation_of_an_ended_run_is_settled_at_its_full_amount_after_a_while(home: Path) -> None:
    ledger = BudgetLedger(open_ledger_store(f"sqlite:///{home}/var/ledger/budget.db"))
    with chain.instance(home) as instance:
        (ended,) = instance.get_run_records(limit=1)
        asked = {"events": (GaussianEvent(sigma=9.0),), "label": "clinic/dp_measurements", "attempt": 0}
        dead = ledger.reserve("clinic", measurement_key="a" * 64, run_id=ended.dagster_run.run_id, **asked)
        ledger.reserve("clinic", measurement_key="b" * 64, run_id="nobody-knows-it", **asked)
        counted = ledger.status("clinic").spent + ledger.status("clinic").reserved
        assert list(watches.orphans(looking(home, instance))) == []  # not an hour ago
        later = time.time() + 3700
        (notice,) = watches.orphans(looking(home, instance, now=later))
        assert list(watches.orphans(looking(home, instance, now=later))) == []
    assert notice.figures["reservation"] == dead.reservation_id
    states = {r.reservation_id: (r.state, r.outcome) for r in ledger.status("clinic").releases}
    assert states[dead.reservation_id] == ("settled", "failed")
    assert min(states.values()) == ("reserved", None)  # a run that Dagster does not know may be alive
    status = ledger.status("clinic")
    assert status.spent + status.reserved == pytest.approx(counted)  # nothing was given back
    assert ledger.verify().whole
    with pytest.raises(ReleaseRefusedError):
        ledger.begin_reading(dead)  # a process of the dead run that lives on


@pytest.mark.slow
def test_profiles_that_are_alike_tell_nothing_and_others_tell_their_distance(home: Path) -> None:
    with chain.instance(home) as instance:
        assert list(watches.drifts(looking(home, instance))) == []
    schema = home / "configs" / "schemas" / "clinic.yaml"
    chain.edit(home, lambda config: config["tables"]["patients"]["source"].update(rows=300))
    assert schema.is_file()
    assert chain.run(home, stages=["raw", "pii_classification", "profile"]).exit_code == 0
    with chain.instance(home) as instance:
        found = list(watches.drifts(looking(home, instance, drift=0.0001)))
        assert {n.figures["columns_apart"] for n in watches.drifts(looking(home, instance, drift=1.0))} <= {0}
    assert {n.kind for n in found} == {"drift"}
    assert all(0 < n.figures["largest_distance"] <= 1 for n in found)


def test_thresholds_come_from_the_configuration_and_a_wrong_one_is_told(tmp_path: Path) -> None:
    assert load_automation(tmp_path).budget_share == 0.8
    (tmp_path / "automation.yaml").write_text("timezone: Europe/Nowhere\n")
    with pytest.raises(ConfigError, match="automation.yaml.*timezone"):
        load_automation(tmp_path)


def test_schedules_stand_in_the_configured_time_zone(home: Path) -> None:
    (home / "configs" / "automation.yaml").write_text("timezone: Europe/Berlin\n")
    found = {s.name: s for s in chain.definitions(home).get_repository_def().schedule_defs}
    assert set(found) == {"nightly", "weekly_digest_schedule", "monthly_summary_schedule"}
    assert {s.execution_timezone for s in found.values()} == {"Europe/Berlin"}
    assert {s.default_status for s in found.values()} == {dg.DefaultScheduleStatus.STOPPED}
    assert found["weekly_digest_schedule"].cron_schedule == "0 7 * * 1"


def test_the_digest_counts_runs_and_budgets(home: Path) -> None:
    job = chain.definitions(home).resolve_job_def("weekly_digest")
    with chain.instance(home) as instance:
        done = job.execute_in_process(instance=instance)
    (event,) = [e for e in done.events_for_node("weekly_digest_op") if e.event_type_value == "STEP_OUTPUT"]
    told = {k: v.value for k, v in event.step_output_data.metadata.items()}
    assert told["runs_succeeded"] >= 1
    assert (told["runs_failed"], told["populations"], told["delivered"]) == (0, 1, 0)
