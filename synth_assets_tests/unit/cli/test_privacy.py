"""`privacy plan` and `privacy levels`: they tell the cost and touch nothing."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from synth_assets_tests.unit.cli.conftest import Command

YAML: dict[str, Any] = {
    "name": "people",
    "source": {"path": "people.csv"},
    "columns": {
        "sex": {"kind": "category", "categories": ["F", "M"]},
        "age": {"kind": "number", "lower": 0, "upper": 100},
        "ill": {"kind": "boolean"},
    },
    "target": "ill",
    "budget": {"epsilon": 3, "delta": 1e-5},
    "synthesizers": [{"name": "dp_marginals", "epsilon": 1, "delta": 1e-6}],
}
# Opens of files, databases and sockets as the interpreter itself reports them.
WATCHED = """
import json, sys
opened = []
sys.addaudithook(lambda event, args: opened.append(f"{event} {args[:2]}") if event in
    ("open", "os.listdir", "os.scandir", "sqlite3.connect", "socket.connect", "subprocess.Popen", "os.rename") else None)
from synth_assets.cli.app import run
code = run(["privacy", "plan", *sys.argv[1:], "--json"])
import duckdb  # whoever reads tables does it with this
sys.stderr.write("OPENED" + json.dumps([code, opened]))
"""


def write(folder: Path, **changes: Any) -> Path:
    file = folder / "people.yaml"
    file.write_text(yaml.safe_dump({**YAML, **changes}))
    return file


def watched(folder: Path, *arguments: str) -> tuple[int, list[str], Any]:
    """Exit code, what was opened, and what was said."""
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *arguments], cwd=folder, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])},
    )  # fmt: skip
    code, opened = json.loads(done.stderr.partition("OPENED")[2])
    return code, opened, json.loads(done.stdout)


def test_the_plan_opens_neither_the_source_nor_a_table_nor_a_database(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("sex,age,ill\nF,34,true\n")
    table = tmp_path / ".synth_assets" / "var" / "restricted" / "people" / "raw_people" / ("a" * 64)
    table.mkdir(parents=True)
    (table / "part-00000.parquet").write_bytes(b"PAR1")
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    code, opened, said = watched(tmp_path, str(write(tmp_path)))
    assert (code, said["valid"], said["columns_from"]) == (0, True, "configuration")
    inside = {line for line in opened if str(tmp_path) in line}
    assert inside, "the watch sees nothing"
    assert not [line for line in inside if "people.csv" in line or ".parquet" in line or "sqlite3" in line]
    assert not [line for line in opened if line.startswith(("socket", "sqlite3.connect"))]
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert set(tmp_path.rglob("*")) == {*before, tmp_path / "people.yaml"}


def test_the_source_need_not_even_exist(cli: Command, tmp_path: Path) -> None:
    file = write(tmp_path, source={"url": "postgresql://nobody@127.0.0.1:1/gone", "table": "people"})
    assert cli("privacy", "plan", file, "--json").json["valid"]


def test_a_plan_from_the_configuration_alone_says_which_columns_it_knows(cli: Command, tmp_path: Path) -> None:
    done = cli("privacy", "plan", write(tmp_path))
    assert "only columns that the YAML names" in done.err


def test_the_plan_tells_cost_noise_error_and_what_would_be_left(cli: Command, tmp_path: Path) -> None:
    said = cli("privacy", "plan", write(tmp_path), "--units", "20000", "--json").json
    release, budget = said["releases"][0], said["budget"]
    assert release["spent"]["epsilon"] <= 1
    assert release["spent"]["delta"] == 1e-6
    assert {"one-way tables", "choices of tables"} <= {s["what"] for s in release["noise"]}
    assert {e["ways"] for e in release["errors"]} == {1, 2}
    assert all(0 < e["tvd"] <= 1 for e in release["errors"])
    assert release["steps"] == sum(e["count"] for e in release["events"])
    assert (budget["fits"], budget["counted"], budget["left"]) == (True, 0, 3)
    assert budget["left_after"] == pytest.approx(3 - budget["chain"])
    shown = cli("privacy", "plan", write(tmp_path), "--units", "20000").out
    assert "Expected error of measured tables" in shown
    assert "Nothing was read, trained or spent." in shown


def test_what_was_released_before_is_composed_with_the_plan_and_the_ledger_stays_as_it_is(
    cli: Command, tmp_path: Path
) -> None:
    from synth_assets.api import open_budget
    from synth_assets.privacy.records import GaussianEvent

    ledger = open_budget(tmp_path)
    ledger.declare("people", "row", 3.0, 1e-5)
    events = (GaussianEvent(sigma=4.0),)
    held = ledger.reserve("people", events=events, label="people/dp", measurement_key="a" * 64, run_id="r", attempt=0)
    ledger.settle(ledger.begin_reading(held), events)
    digest = hashlib.sha256((tmp_path / "var" / "ledger" / "budget.db").read_bytes()).digest()
    budget = cli("privacy", "plan", write(tmp_path), "--home", tmp_path, "--json").json["budget"]
    assert budget["counted"] == pytest.approx(0.929, abs=1e-3)
    assert budget["chain"] < budget["after"] < budget["counted"] + budget["chain"]
    assert hashlib.sha256((tmp_path / "var" / "ledger" / "budget.db").read_bytes()).digest() == digest


def test_a_plan_that_the_budget_does_not_allow_has_the_exit_code_of_a_refusal(cli: Command, tmp_path: Path) -> None:
    file = write(tmp_path, budget={"epsilon": 0.5, "delta": 1e-5})
    answer = cli("privacy", "plan", file, "--json")
    assert (answer.code, answer.json["valid"], answer.json["budget"]["fits"]) == (4, False, False)
    assert "is left" in answer.json["budget"]["refusal"]
    file = write(tmp_path, budget={"epsilon": 3, "delta": 1e-5, "per_release": 0.4})
    assert "limit of one release" in cli("privacy", "plan", file, "--json").json["budget"]["refusal"]


def test_an_unsound_configuration_has_the_exit_code_of_bad_input_and_a_recommendation(
    cli: Command, tmp_path: Path
) -> None:
    answer = cli("privacy", "plan", write(tmp_path), "--units", "3000000")
    assert answer.code == 2
    assert "error: dp_marginals, delta: delta 1e-06 is not below 1/n" in answer.err
    assert "recommended: dp_marginals: delta 1e-08" in answer.err
    assert cli("privacy", "plan", write(tmp_path), "--units", "0", "--json").error["key"] == "units"
    alone = write(tmp_path, synthesizers=[{"name": "gaussian_copula"}])
    assert cli("privacy", "plan", alone, "--json").error["key"] == "synthesizers"
    assert cli("privacy", "plan", "missing.yaml", "--json").code == 2


def test_the_public_number_of_units_of_the_yaml_is_that_of_the_option(cli: Command, tmp_path: Path) -> None:
    given = cli("privacy", "plan", write(tmp_path), "--units", "30000", "--json").json["releases"]
    declared = cli("privacy", "plan", write(tmp_path, unit_count=30_000), "--json").json["releases"]
    assert declared == given
    assert declared[0]["errors"][0]["tvd"] is not None
    other = cli("privacy", "plan", write(tmp_path, unit_count=30_000), "--units", "60000", "--json").json["releases"]
    assert other[0]["errors"][0]["tvd"] < declared[0]["errors"][0]["tvd"]


def test_the_trials_of_a_sweep_are_part_of_the_cost_of_the_chain(cli: Command, tmp_path: Path) -> None:
    alone = cli("privacy", "plan", write(tmp_path), "--json").json["budget"]
    swept = cli("privacy", "plan", write(tmp_path, sweep={"epsilons": [0.5, 1], "releases": 2}), "--json").json[
        "budget"
    ]
    assert alone["chain"] == pytest.approx(0.85, abs=0.2)
    assert alone["chain"] + 0.3 < swept["chain"] < 2.5
    over = cli("privacy", "plan", write(tmp_path, sweep=[3, 4]))
    assert over.code == 4
    assert "privacy_sweep (epsilon 4, trial 1)" in over.err


def test_the_levels_are_half_open_intervals_without_gaps(cli: Command) -> None:
    said = cli("privacy", "levels", "--json").json
    assert [(level["lower"], level["upper"]) for level in said] == [(0, 1), (1, 5), (5, 10), (10, 20), (20, None)]
    assert "[1, 5)" in cli("privacy", "levels").out


def test_the_plan_looks_for_the_assets_under_the_names_that_the_chain_gives_them() -> None:
    from synth_assets.api import planning
    from synth_assets.asset_keys import DatasetKeys

    assert (DatasetKeys.split, DatasetKeys.measurements) == (planning.SPLIT, planning.MEASUREMENTS)
    assert DatasetKeys.sweep == planning.SWEEP
