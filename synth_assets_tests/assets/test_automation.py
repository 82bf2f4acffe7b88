"""Sensor, schedule and file jobs: what they ask for, when, and with which run config."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import numpy as np
import pytest

from synth_assets.storage.artifacts import Zone
from synth_assets_tests import chain

PEOPLE = {"name": "people", "source": {"path": "people.csv"}, "primary_key": "person_id"}


def people_csv(file: Path, rows: int = 300, seed: int = 3) -> None:
    rng = np.random.default_rng(seed)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["person_id", "email", "age", "sex", "ill"])
        for i in range(rows):
            writer.writerow(
                [i, f"p{i}@example.org", rng.integers(18, 90), "FM"[rng.integers(2)], "ny"[rng.integers(2)]]
            )


@pytest.fixture
def sourced(tmp_path: Path) -> Path:
    """A home with one dataset and its CSV."""
    home = tmp_path / "home"
    chain.write_dataset(home, PEOPLE)
    people_csv(home / "configs" / "datasets" / "people.csv")
    return home


def evaluate(home: Path, cursor: str | None = None) -> dg.SensorResult | dg.SkipReason:
    """One tick of the dataset's sensor."""
    sensor = chain.definitions(home).get_repository_def().get_sensor_def("people_source")
    with chain.instance(home) as instance, dg.build_sensor_context(instance=instance, cursor=cursor) as context:
        return sensor(context)


def test_the_sensor_asks_for_one_run_of_new_content_and_then_waits(sourced: Path) -> None:
    first = evaluate(sourced)
    assert isinstance(first, dg.SensorResult)
    assert len(first.run_requests) == 1
    assert first.run_requests[0].run_key == f"people:{first.cursor}"
    again = evaluate(sourced, first.cursor)
    assert isinstance(again, dg.SkipReason)
    assert "no source has new content" in again.skip_message


def test_the_sensor_tells_by_content_and_not_by_time(sourced: Path) -> None:
    file = sourced / "configs" / "datasets" / "people.csv"
    first = evaluate(sourced)
    file.write_bytes(file.read_bytes())
    assert isinstance(evaluate(sourced, first.cursor), dg.SkipReason)
    people_csv(file, seed=4)
    changed = evaluate(sourced, first.cursor)
    assert isinstance(changed, dg.SensorResult)
    assert changed.cursor != first.cursor
    assert changed.run_requests[0].run_key != first.run_requests[0].run_key


def test_a_missing_source_is_a_reason_to_skip_and_keeps_the_cursor(sourced: Path) -> None:
    first = evaluate(sourced)
    file = sourced / "configs" / "datasets" / "people.csv"
    content = file.read_bytes()
    file.unlink()
    missing = evaluate(sourced, first.cursor)
    assert isinstance(missing, dg.SkipReason)
    assert "people.csv" in missing.skip_message
    file.write_bytes(content)
    assert isinstance(evaluate(sourced, first.cursor), dg.SkipReason)


def test_the_sensor_of_a_generated_dataset_watches_its_schema(finished: Path, home: Path) -> None:
    def tick(of: Path, cursor: str | None) -> dg.SensorResult | dg.SkipReason:
        sensor = chain.definitions(of).get_repository_def().get_sensor_def("clinic_source")
        with chain.instance(of) as instance, dg.build_sensor_context(instance=instance, cursor=cursor) as context:
            return sensor(context)

    first = tick(home, None)
    assert isinstance(first, dg.SensorResult)
    assert isinstance(tick(home, first.cursor), dg.SkipReason)
    schema = home / "configs" / "schemas" / "clinic.yaml"
    schema.write_text(schema.read_text() + "\n# another line\n")
    assert isinstance(tick(home, first.cursor), dg.SensorResult)


def test_the_sensor_runs_the_chain_of_its_dataset(sourced: Path) -> None:
    found = chain.definitions(sourced)
    assert found.get_repository_def().get_sensor_def("people_source").job_name == "people_chain"
    job = found.resolve_job_def("people_chain")
    made = {k.path[-1] for k in job.asset_layer.selected_asset_keys}
    assert made >= {"raw_people", "dp_measurements", "report", "export_csv"}


def test_the_schedule_asks_for_all_chains_at_two_in_the_night(sourced: Path) -> None:
    chain.write_dataset(sourced, {**PEOPLE, "name": "others"})
    found = chain.definitions(sourced)
    schedule = found.get_repository_def().get_schedule_def("nightly")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 2 * * *", "UTC")
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
    at = datetime(2026, 11, 21, 2, tzinfo=UTC)
    with (
        chain.instance(sourced) as instance,
        dg.build_schedule_context(instance=instance, scheduled_execution_time=at) as context,
    ):
        asked = schedule.evaluate_tick(context).run_requests
    assert len(asked) == 1
    chains = found.resolve_job_def("nightly_chain").asset_layer.selected_asset_keys
    assert {k.path[0] for k in chains} == {"people", "others"}


def test_a_home_without_datasets_has_no_schedule_of_chains(tmp_path: Path) -> None:
    found = chain.definitions(tmp_path).get_repository_def()
    assert {s.name for s in found.schedule_defs} == {"weekly_digest_schedule", "monthly_summary_schedule"}
    assert not [s.name for s in found.sensor_defs if s.name.endswith("_source")]


def run_job(home: Path, name: str, config: dict) -> dg.ExecuteInProcessResult:
    """A file job with run config, in this process, on the home's instance."""
    job = chain.definitions(home).resolve_job_def(name)
    with chain.instance(home) as instance:
        return job.execute_in_process(
            instance=instance, run_config={"ops": {f"{name}_op": {"config": config}}}, raise_on_error=False
        )


def told(result: dg.ExecuteInProcessResult, name: str) -> dict:
    """What the job's op says about its output."""
    (event,) = [e for e in result.events_for_node(f"{name}_op") if e.event_type_value == "STEP_OUTPUT"]
    return {k: v.value for k, v in event.step_output_data.metadata.items()}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    people_csv(home / "data" / "people.csv")
    people_csv(home / "data" / "holdout.csv", seed=9)
    return home


def test_a_file_is_profiled_by_a_job(files: Path) -> None:
    result = run_job(files, "profile_file", {"file": "data/people.csv"})
    assert result.success
    found = told(result, "profile_file")
    assert found["row_count"] == 300
    assert "p7@example.org" not in str(found)


def test_a_file_is_classified_by_a_job(files: Path) -> None:
    found = told(run_job(files, "classify_file", {"file": "data/people.csv"}), "classify_file")
    assert found["columns"] == 5
    assert {v["column"]: v["entity_type"] for v in found["verdicts"]}["email"] == "email"


def test_a_file_is_masked_by_a_job_with_paths_relative_to_the_home(files: Path) -> None:
    config = {"file": "data/people.csv", "out": "made/masked.csv", "policy": "dev_test"}
    found = told(run_job(files, "mask_file", config), "mask_file")
    assert found["row_count"] == 300
    assert "p7@example.org" not in (files / "made" / "masked.csv").read_text()


def test_tables_are_generated_by_a_job(files: Path) -> None:
    schema = files / "configs" / "schemas" / "clinic.yaml"
    schema.parent.mkdir(parents=True)
    schema.write_bytes((chain.ROOT / "configs" / "schemas" / "clinic.yaml").read_bytes())
    config = {"table_schema": "configs/schemas/clinic.yaml", "out": "made/clinic", "rows": 20, "seed": 1}
    found = told(run_job(files, "generate_tables", config), "generate_tables")
    assert set(found["tables"]) >= {"patients", "encounters", "claims"}
    assert (files / "made" / "clinic" / "patients.csv").is_file()


def test_a_file_is_synthesized_and_audited_by_jobs(files: Path) -> None:
    config = {"file": "data/people.csv", "out": "made/synthetic.csv", "epsilon": 2.0, "rows": 150, "population": "p"}
    found = told(run_job(files, "synthesize_file", config), "synthesize_file")
    assert found["row_count"] == 150
    assert 0 < found["epsilon_spent"] <= 2
    assert found["budget_left"] < 9
    audit = {
        "synthetic_data_url": "made/synthetic.csv",
        "real_data_url": "data/people.csv",
        "holdout_data_url": "data/holdout.csv",
        "target": "ill",
        "protected_attributes": ["sex"],
        "levels": {"tvd": {"medium": 0.001, "high": 0.0015}},
        "weights": {"privacy": 0.6},
    }
    shown = told(run_job(files, "audit_request", audit), "audit_request")
    assert 0 <= shown["fidelity_score"] <= 1
    assert 0 <= shown["privacy_score"] <= 1
    assert shown["result"]["form"] == "public"
    assert shown["result"]["levels"]["tvd"] == {"medium": 0.001, "high": 0.0015}
    assert shown["result"]["weights"] == {"privacy": 0.6, "fairness": 0.25, "fidelity": 0.25}
    full = Path(shown["full_result"])
    assert full.is_relative_to(files / "var" / "restricted")
    store = chain.store(files)
    folder = store.path(store.current(Zone.RESTRICTED, "_audit_requests", full.parent.name))
    assert json.loads((folder / "result.json").read_text())["form"] == "full"
    assert json.loads((folder / "public.json").read_text()) == shown["result"]


def test_a_signed_link_comes_from_a_variable_and_is_stored_nowhere(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
    from threading import Thread

    signed: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            signed.append(self.path)
            super().do_GET()

        def log_message(self, *args: object) -> None:
            """Silence."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(files / "data"))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        monkeypatch.setenv("SYNTH_ASSETS_PRIVATE_HOSTS", "127.0.0.1")
        monkeypatch.setenv("LINK", f"{address}/people.csv?sig=CANARY-A")
        result = run_job(files, "audit_request", {"synthetic_data_url": {"env": "LINK"}})
        shown = told(result, "audit_request")
        monkeypatch.setenv("LINK", f"{address}/gone.csv?sig=CANARY-B")
        failed = run_job(files, "audit_request", {"synthetic_data_url": {"env": "LINK"}})
        server.shutdown()
    assert result.success
    assert not failed.success
    assert len(signed) == 2
    assert all("CANARY" in path for path in signed)
    assert "Dagster keeps it" in shown["note"]
    stored = b"".join(p.read_bytes() for p in files.rglob("*") if p.is_file())
    assert b"LINK" in stored
    assert b"CANARY" not in stored


def test_a_request_that_makes_no_sense_fails_with_its_key(files: Path) -> None:
    for wrong, key in (({"seed": -1}, "seed"), ({"levels": {"tvd": {"medium": 2.0, "high": 1.0}}}, "levels.tvd")):
        result = run_job(files, "audit_request", {"synthetic_data_url": "data/people.csv", **wrong})
        (failure,) = [e for e in result.all_events if e.event_type_value == "STEP_FAILURE"]
        error = failure.step_failure_data.user_failure_data.metadata["error"].value
        assert (error["code"], error["key"]) == ("bad_input", key)
    assert not (files / "var" / "restricted" / "_audit_requests").exists()


JUDGED = """
name: people
source: {path: people.csv}
target: ill
impossible: [{age: 18..40, sex: F}]
audit: {limits: {draws: 20, queries: 20}}
thresholds: {fidelity: 0.99}
"""


def test_a_request_takes_everything_from_the_yaml_of_a_dataset(files: Path) -> None:
    (files / "data" / "people.yaml").write_text(JUDGED)
    tables = {"synthetic_data_url": "data/holdout.csv", "real_data_url": "data/people.csv"}
    shown = told(run_job(files, "audit_request", {**tables, "config": "data/people.yaml"}), "audit_request")
    found = [f["metric"] for f in shown["result"]["detailed_findings"]["fidelity"]["findings"]]
    assert "inconsistency.declared" in found
    assert shown["result"]["inputs"]["target"] == "ill"
    assert shown["gates_passed"] is False
    assert "fidelity" in str(shown["gates"])
    typed = {
        "unit": "sex",
        "contract": [],
        "impossible": [{"age": "18..40", "sex": "F"}],
        "columns": {"age": {"upper": 5}},
    }
    shown = told(run_job(files, "audit_request", {**tables, **typed}), "audit_request")
    assert shown["result"]["inputs"]["left_out"]["sex"] == "identifier"
    assert "gates_passed" not in shown
    for wrong, key in (({"config": "data/people.yaml", "unit": "sex"}, "unit"), ({"table": "people"}, "table")):
        result = run_job(files, "audit_request", {**tables, **wrong})
        (failure,) = [e for e in result.all_events if e.event_type_value == "STEP_FAILURE"]
        assert failure.step_failure_data.user_failure_data.metadata["error"].value["key"] == key


def test_the_launchpad_shows_what_a_request_is(files: Path) -> None:
    job = chain.definitions(files).resolve_job_def("audit_request")
    assert "signed link" in job.description
    fields = job.get_node_named("audit_request_op").definition.config_schema.config_type.fields
    assert set(fields) == {
        "synthetic_data_url", "real_data_url", "holdout_data_url", "protected_attributes", "target", "config", "table", "unit",
        "primary_key", "foreign_keys", "sequence_order", "impossible", "contract", "columns", "levels", "weights", "seed",
    }  # fmt: skip
    assert [name for name, field in fields.items() if field.is_required] == ["synthetic_data_url"]
    assert all(field.description for field in fields.values())


def test_a_job_with_a_bad_file_fails_in_words_and_without_values(files: Path) -> None:
    (files / "data" / "bad.csv").write_text("a,b\n1,2\n3,4,secret@example.org\n")
    result = run_job(files, "profile_file", {"file": "data/bad.csv"})
    assert not result.success
    (failure,) = [e for e in result.all_events if e.event_type_value == "STEP_FAILURE"]
    shown = failure.step_failure_data.user_failure_data
    assert "line 3" in shown.description
    assert shown.metadata["exit_code"].value == 2
    assert "secret@example.org" not in str(failure)
