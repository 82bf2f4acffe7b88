"""The commands that look, on a finished home: what they show is what Dagster holds, and no value of a person is in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, JobFailureData, StepFailureData
from dagster_shared.error import SerializableErrorInfo

from synth_assets.automation.history import CRASHED, run_of
from synth_assets.cli.app import run
from synth_assets_tests import chain


@pytest.fixture
def ask(home: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """One command on a copy of the finished home, as JSON with its exit code."""

    def call(*arguments: str) -> tuple[int, Any]:
        capsys.readouterr()
        with chain.standing_in(home):
            code = run([*arguments, "--home", str(home), "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call


def test_datasets_models_and_runs_are_listed_and_shown(ask: Any) -> None:
    code, (dataset,) = ask("datasets", "list")
    assert (code, dataset["name"], dataset["tables"]) == (0, "clinic", 3)
    assert dataset["last_run"]["status"] == "success"

    _, assets = ask("datasets", "show", "clinic")
    states = {a["name"]: a for a in assets}
    assert states["raw_patients"]["rows"] == chain.ROWS
    assert states["dp_measurements"]["zone"] == "release"
    assert all(a["made_at"] for a in assets)
    assert [a["name"] for a in assets].index("raw_patients") < [a["name"] for a in assets].index("report")

    _, (model,) = ask("models", "list")
    assert (model["name"], model["private"]) == ("clinic/dp_marginals", True)
    assert 0 < model["epsilon_spent"] <= 6
    assert 0 <= model["privacy_score"] <= 1
    assert ask("models", "show", "clinic/dp_marginals") == (0, model)

    _, runs = ask("runs", "list")
    assert [(r["dataset"], r["status"], r["origin"]) for r in runs] == [("clinic", "success", "command line")]
    _, shown = ask("runs", "show", runs[0]["run_id"][:8])
    assert {a["name"] for a in shown["assets"]} == {f"clinic/{name}" for name in states}
    assert (shown["failed_checks"], shown["error"]) == ([], None)


def test_a_failed_run_tells_why_in_the_words_of_its_error(home: Path, ask: Any) -> None:
    chain.edit(home, lambda c: c["tables"]["patients"].update(source={"path": "gone.csv"}))
    assert chain.run(home, stages=["raw"]).exit_code == 2
    _, runs = ask("runs", "list", "--dataset", "clinic", "--limit", "1")
    assert runs[0]["status"] == "failure"
    code, shown = ask("runs", "show", runs[0]["run_id"])
    assert code == 0
    assert "gone.csv" in shown["error"]["file"]


def test_the_text_of_a_failed_run_names_place_and_remedy(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "configs" / "datasets" / "bad.csv").write_text("a,b\n1,2\n3,4,5\n")
    chain.edit(home, lambda c: c["tables"]["patients"].update(source={"path": "bad.csv"}))
    chain.run(home, stages=["raw"])
    with chain.instance(home) as instance:
        (newest,) = instance.get_runs(limit=1)
    with chain.standing_in(home):
        assert run(["runs", "show", newest.run_id, "--home", str(home)]) == 0
    told = capsys.readouterr().err
    assert "bad.csv, line 3: " in told
    assert str(error_of(home, newest.run_id)["remedy"]) in told


def error_of(home: Path, run_id: str) -> dict[str, Any]:
    with chain.instance(home) as instance:
        error = run_of(instance, run_id)["error"]
    assert error is not None
    assert error["remedy"]
    return dict(error)


def failed(home: Path, data: JobFailureData | None = None, step: SerializableErrorInfo | None = None) -> str:
    """A run that failed as Dagster's own parts report it; its id."""
    job = chain.definitions(home).resolve_job_def("clinic_chain")
    with chain.instance(home) as instance:
        made = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        if step is not None:
            told = StepFailureData(error=step, user_failure_data=None)
            event = DagsterEvent("STEP_FAILURE", job.name, step_key="clinic__raw_patients", event_specific_data=told)
            instance.report_dagster_event(event, made.run_id)
        instance.report_run_failed(made, job_failure_data=data)
    return made.run_id


def test_a_run_whose_worker_was_killed_says_so_and_what_to_do(home: Path, ask: Any) -> None:
    crash = SerializableErrorInfo("ChildProcessCrashException: exit code -9", [], CRASHED)
    for run_id in (failed(home), failed(home, JobFailureData(None)), failed(home, step=crash)):
        code, shown = ask("runs", "show", run_id)
        assert (code, shown["status"], shown["error"]["code"]) == (0, "failure", "worker_lost")
        assert "killed, ran out of memory" in shown["error"]["message"]
        assert "Run it again" in shown["error"]["remedy"]


def test_a_fault_of_dagster_itself_is_named_without_its_text(home: Path, ask: Any) -> None:
    fault = SerializableErrorInfo("ValueError: secret@example.org", [], "ValueError")
    for run_id in (failed(home, JobFailureData(fault)), failed(home, step=fault)):
        _, shown = ask("runs", "show", run_id)
        assert shown["error"]["message"] == "the run failed: ValueError; text withheld."
        assert "secret" not in json.dumps(shown)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("datasets", "show", "other"), "no dataset 'other'"),
        (("models", "show", "clinic/other"), "no model 'clinic/other'"),
        (("runs", "show", "zzz"), "no such run"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(ask: Any, arguments: tuple[str, ...], words: str) -> None:
    code, told = ask(*arguments)
    assert code == 2
    assert words in told["error"]["message"]
    assert told["error"]["remedy"]


def test_a_home_in_which_nothing_has_run_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["runs", "list", "--home", str(tmp_path), "--json"]) == 2
    assert "nothing has run" in json.loads(capsys.readouterr().out)["error"]["message"]
    assert list(tmp_path.iterdir()) == []
