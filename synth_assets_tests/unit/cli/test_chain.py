"""The result of a run as JSON and as closing lines."""

from __future__ import annotations

import io
from pathlib import Path

import dagster as dg
import pytest

from synth_assets.automation.runner import AssetRun, ChainRun, FailedCheck, run_chain
from synth_assets.cli import output
from synth_assets.cli.chain import error_of, summary
from synth_assets.cli.live import LiveChain
from synth_assets.errors import SourceError
from synth_assets_tests import chain


def run_with(exit_code: int = 0, **more: object) -> ChainRun:
    assets = {
        "raw_people": AssetRun("raw_people", "done", rows=240),
        "dp_measurements": AssetRun("dp_measurements", "done", metadata={"epsilon_spent": 0.99, "budget_left": 9.0}),
        "audit_dp_marginals": AssetRun(
            "audit_dp_marginals", "done", metadata={"overall_score": 0.9, "privacy_risk": 0.1}
        ),
        "report": AssetRun("report", "waiting" if exit_code else "done", metadata={"report": "/r/report.html"}),
    }
    return ChainRun("run-1", "people", assets, exit_code=exit_code, **more)  # type: ignore[arg-type]


def test_a_run_that_succeeded_tells_scores_epsilon_and_report() -> None:
    told = summary(run_with())
    assert (told["succeeded"], told["exit_code"], told["error"]) == (True, 0, None)
    assert told["scores"] == {"dp_marginals": {"overall_score": 0.9, "privacy_risk": 0.1}}
    assert (told["epsilon_spent"], told["epsilon_of_release"], told["budget_left"]) == (0.99, 0.99, 9.0)
    assert told["report"] == "/r/report.html"


def test_a_reused_measurement_spends_nothing() -> None:
    result = run_with()
    result.assets["dp_measurements"].reused = True
    assert summary(result)["epsilon_spent"] == 0.0


def test_a_failed_check_is_an_error_in_the_common_form() -> None:
    checks = [
        FailedCheck("raw_people", "age_between", blocking=False, description="a few rows"),
        FailedCheck("audit_dp_marginals", "privacy_risk", blocking=True, description="privacy risk high"),
    ]
    told = summary(run_with(3, failed_checks=checks))
    assert told["error"]["code"] == "check_failed"
    assert set(told["error"]) == {"code", "message", "file", "row", "column", "key", "remedy"}
    assert "audit_dp_marginals.privacy_risk: privacy risk high" in told["error"]["message"]
    assert len(told["failed_checks"]) == 2


def test_an_error_of_a_step_is_passed_on() -> None:
    error = {"code": "source", "message": "no.", "file": "a.csv", "row": 2, "column": None, "key": None, "remedy": None}
    assert error_of(run_with(2, error=error)) == error


def test_a_failure_without_a_word_is_unexpected() -> None:
    told = error_of(run_with(1))
    assert told is not None
    assert told["code"] == "unexpected"


def test_finished_assets_are_printed_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    output.bind()
    result = run_with()
    result.assets["report"].reused = True
    with LiveChain() as live:
        result.assets["raw_people"].state = "running"
        live.show(result)
        result.assets["raw_people"].state = "done"
        live.show(result)
        live.show(result)
    lines = out.getvalue().splitlines()
    assert len(lines) == 4, lines
    assert any("raw_people" in line and "240 rows" in line for line in lines), lines
    assert any("unchanged, reused" in line for line in lines)


def test_on_a_terminal_the_running_asset_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setenv("TERM", "xterm")
    output.bind()
    result = run_with()
    result.assets["report"].state = "running"
    with LiveChain() as live:
        live.show(result)
        live.live.refresh()
    assert "3 of 4 assets" in out.getvalue()
    assert "now report" in out.getvalue()


@pytest.mark.parametrize("fault", [ValueError("canary@example.org"), SourceError("the file is empty.")])
def test_a_failure_outside_of_a_step_names_what_failed_and_no_foreign_text(
    tmp_path: Path, fault: Exception, capfd: pytest.CaptureFixture[str]
) -> None:
    @dg.asset(key=["people", "raw_people"], group_name="people", tags={"stage": "raw"})
    def raw() -> None:
        raise fault

    job = dg.define_asset_job("people_chain", selection=dg.AssetSelection.groups("people"))
    with chain.standing_in(tmp_path):
        told = error_of(run_chain(dg.Definitions(assets=[raw], jobs=[job]), "people"))
    assert told is not None
    wanted = "the file is empty." if isinstance(fault, SourceError) else "ValueError; text withheld."
    assert told["message"] == f"raw_people failed: {wanted}"
    assert "runs show" in told["remedy"]
    assert "canary" not in str(told) + "".join(capfd.readouterr())
