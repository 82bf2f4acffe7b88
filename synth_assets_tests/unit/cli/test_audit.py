"""`audit` and `schema`: cut-offs, weights and gates of a file, exit codes, tables for people and JSON for machines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from synth_assets_tests.unit.cli.conftest import Command, people_text

SYNTHETIC = ("audit", "--synthetic", "synthetic.csv")


@pytest.fixture(autouse=True)
def tables(people: Path) -> None:
    """A synthetic, a real and a held-out table."""
    for name, seed in (("synthetic", 5), ("holdout", 6)):
        (people.parent / f"{name}.csv").write_text(people_text(seed=seed))


def test_cut_offs_and_weights_of_a_file_are_used_and_quoted(cli: Command, tmp_path: Path) -> None:
    (tmp_path / "judge.yaml").write_text(
        "levels: {tvd: {medium: 0.0015, high: 0.002}}\nweights: {privacy: 0, fairness: 0, fidelity: 1}\n"
    )
    strict = cli(*SYNTHETIC, "--real", "people.csv", "--config", "judge.yaml", "--json").json
    usual = cli(*SYNTHETIC, "--real", "people.csv", "--json").json
    assert strict["detailed_findings"]["fidelity"]["risk_level"] == "high"
    assert "0.002 or more" in strict["detailed_findings"]["fidelity"]["message"]
    assert usual["levels"]["tvd"] == {"medium": 0.15, "high": 0.3}
    assert strict["overall_score"] == strict["module_scores"]["fidelity"]
    assert "gates" not in usual


def test_limits_of_a_file_are_used(cli: Command, tmp_path: Path) -> None:
    (tmp_path / "judge.yaml").write_text("limits: {compare_rows: 50}\n")
    notes = cli(*SYNTHETIC, "--real", "people.csv", "--config", "judge.yaml", "--json").json["inputs"]["notes"]
    assert any("at random" in note for note in notes)


@pytest.mark.parametrize(
    ("severity", "code", "word"), [("error", 3, "blocked: fidelity"), ("warn", 0, "warning: fidelity")]
)
def test_a_threshold_of_a_file_sets_the_exit_code(
    cli: Command, tmp_path: Path, severity: str, code: int, word: str
) -> None:
    gates = f"{{privacy_risk: null, disclosure_risk: null, fidelity: {{limit: 0.999, severity: {severity}}}}}"
    (tmp_path / "judge.yaml").write_text(f"thresholds: {gates}\n")
    shown = cli(*SYNTHETIC, "--real", "people.csv", "--config", "judge.yaml")
    told = cli(*SYNTHETIC, "--real", "people.csv", "--config", "judge.yaml", "--json")
    assert (shown.code, told.code) == (code, code)
    assert word in shown.err
    assert "configured minimum 1.00" in shown.err
    gate = {g["name"]: g for g in told.json["gates"]}["fidelity"]
    assert (gate["passed"], gate["severity"]) == (False, severity)
    assert gate["value"] == told.json["module_scores"]["fidelity"]


def test_a_gate_without_a_figure_blocks(cli: Command, tmp_path: Path) -> None:
    (tmp_path / "judge.yaml").write_text("thresholds: {privacy_risk: high}\n")
    told = cli(*SYNTHETIC, "--real", "people.csv", "--config", "judge.yaml")
    assert told.code == 3
    assert "blocked: privacy_risk: privacy could not be computed: No held-out rows were given" in told.err


def test_the_json_is_of_the_schema_that_the_command_prints(cli: Command) -> None:
    made = cli("schema", "audit-public").json
    given = (
        "--real",
        "people.csv",
        "--holdout",
        "holdout.csv",
        "--protected-attributes",
        "sex",
        "--target",
        "readmitted",
    )
    told = cli(*SYNTHETIC, *given, "--json").json
    assert [e.message for e in Draft202012Validator(made).iter_errors(told)] == []
    full = cli(*SYNTHETIC, "--full", "--json").json
    assert [e.message for e in Draft202012Validator(cli("schema", "audit").json).iter_errors(full)] == []
    assert list(Draft202012Validator(made).iter_errors(full))


@pytest.mark.parametrize("sign", [";", "\t", "|"])
def test_other_separators_are_found_out(cli: Command, tmp_path: Path, sign: str) -> None:
    (tmp_path / "synthetic.csv").write_text(people_text(seed=5).replace(",", sign))
    assert cli(*SYNTHETIC, "--real", "people.csv", "--json").json["module_scores"]["fidelity"] > 0.5


def test_one_row_is_audited_and_says_that_it_is_too_few(cli: Command, tmp_path: Path) -> None:
    (tmp_path / "synthetic.csv").write_text("\n".join(people_text(seed=5).splitlines()[:2]) + "\n")
    told = cli(*SYNTHETIC, "--real", "people.csv", "--holdout", "holdout.csv", "--protected", "sex", "--json")
    assert told.code == 0
    assert told.json["inputs"]["synthetic_rows"] == 1
    assert told.json["detailed_findings"]["fidelity"]["risk_level"] == "high"
    assert json.dumps(told.json).count("NaN") == 0


def test_people_see_the_verdict_of_each_module_and_what_else_is_not_low(cli: Command, tmp_path: Path) -> None:
    (tmp_path / "judge.yaml").write_text(
        "levels: {tvd: {medium: 0.0, high: 0.0}}\n"
        "thresholds: {privacy_risk: null, disclosure_risk: null, fidelity: 0.1}\n"
    )
    given = ("--real", "people.csv", "--protected", "sex", "--target", "readmitted", "--config", "judge.yaml")
    told = cli(*SYNTHETIC, *given, "--json").json["detailed_findings"]
    shown = cli(*SYNTHETIC, *given).out
    assert told["fidelity"]["risk_level"] == "high"
    for module in ("fidelity", "fairness"):
        assert told[module]["message"] in shown
    for finding in told["fidelity"]["findings"]:
        if finding["decides"] and finding["risk_level"] != "low":
            assert finding["message"] in shown
    assert "Gates: 3 of 3 passed." in shown


def test_a_schema_that_is_not_there_is_refused(cli: Command) -> None:
    answer = cli("schema", "report")
    assert (answer.code, answer.out) == (2, "")
    assert "no schema 'report'. Schemas: audit, audit-public, audit-request, " in answer.err


DATASET = """
name: people
source: {path: nobody_reads_this.csv}
primary_key: person_id
target: readmitted
protected: sex
columns: {age: {kind: number, lower: 18, upper: 60}}
impossible: [{age: 18..30, sex: F}]
audit: {weights: {privacy: 0, fairness: 0, fidelity: 1}, limits: {draws: 20, queries: 20, predicates: 100, secrets: 1}}
thresholds: {privacy_risk: null, disclosure_risk: null, domain_validity: 0.99}
"""


def test_the_yaml_of_a_dataset_brings_keys_domain_rules_outcome_weights_and_gates(cli: Command, tmp_path: Path) -> None:
    (tmp_path / "people.yaml").write_text(DATASET)
    told = cli(*SYNTHETIC, "--real", "people.csv", "--holdout", "holdout.csv", "--config", "people.yaml", "--json")
    inputs = told.json["inputs"]
    assert (inputs["target"], inputs["protected"], inputs["left_out"]["person_id"]) == ("readmitted", ["sex"], "key")
    rules = [
        f for f in told.json["detailed_findings"]["fidelity"]["findings"] if f["metric"] == "inconsistency.declared"
    ]
    assert rules
    assert told.json["overall_score"] == told.json["module_scores"]["fidelity"]
    gate = {g["name"]: g for g in told.json["gates"]}["domain_validity"]
    assert (told.code, gate["passed"]) == (3, False)


def test_options_win_over_the_yaml_and_a_column_that_is_not_there_is_named(cli: Command, tmp_path: Path) -> None:
    (tmp_path / "people.yaml").write_text(DATASET.replace("primary_key: person_id", ""))
    given = ("--real", "people.csv", "--config", "people.yaml", "--target", "sex", "--unit", "person_id", "--json")
    told = cli(*SYNTHETIC, *given).json["inputs"]
    assert (told["target"], told["left_out"]["person_id"]) == ("sex", "identifier")
    for option in ("--unit", "--sequence-order", "--primary-key"):
        refused = cli(*SYNTHETIC, option, "ward", "--json")
        assert (refused.code, refused.error["column"]) == (2, "ward")


def test_a_table_is_named_of_a_dataset_only(cli: Command) -> None:
    refused = cli(*SYNTHETIC, "--table", "people", "--json")
    assert (refused.code, refused.error["key"]) == (2, "--table")


@pytest.mark.parametrize(("name", "words"), [("dp_marginals", "outside every budget"), ("copula", "no synthesizer")])
def test_shadow_models_of_what_is_private_or_unknown_are_refused(cli: Command, name: str, words: str) -> None:
    refused = cli(*SYNTHETIC, "--real", "people.csv", "--holdout", "holdout.csv", "--shadow", name, "--json")
    assert refused.code == 2
    assert words in refused.error["message"]
