"""profile, classify, mask, generate, synthesize and audit of files: what they print, what they write, and their JSON."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pandas as pd
import pytest

from synth_assets_tests.unit.cli.conftest import ROWS, Command, people_text

SCHEMA = """
name: shop
tables:
  customers:
    rows: 20
    primary_key: customer_id
    columns:
      customer_id: {type: sequence}
      email: {type: email}
"""


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_profile_counts_rows_and_hides_what_identifies(cli: Command, people: Path) -> None:
    told = cli("profile", "people.csv", "--json").json
    columns = {c["name"]: c for c in told["columns"]}
    assert told["row_count"] == ROWS
    assert list(columns) == list(rows_of(people)[0])
    assert columns["ssn"]["identifies"] == "alone"
    assert columns["ssn"]["distinct"] == ROWS
    ages = [int(r["age"]) for r in rows_of(people)]
    assert (columns["age"]["number"]["minimum"], columns["age"]["number"]["maximum"]) == (min(ages), max(ages))

    shown = cli("profile", "people.csv")
    for text in (json.dumps(told), shown.out):
        assert "@mail" not in text
        assert "-10-" not in text  # the middle of an SSN
    assert "Values withheld" in shown.out
    assert shown.err == ""


def test_profile_of_a_tiny_table_still_counts(cli: Command, tmp_path: Path) -> None:
    (tmp_path / "tiny.csv").write_text("a,b\n1,x\n2,\n")
    told = cli("profile", "tiny.csv", "--json").json
    assert told["row_count"] == 2
    assert [c["missing"] for c in told["columns"]] == [0, 1]
    assert cli("profile", "tiny.csv", "--public", "--json").json["row_count"] is None
    assert "fewer than 11 rows" in cli("profile", "tiny.csv", "--public").out


def test_texts_that_mean_missing_can_be_named(cli: Command, tmp_path: Path) -> None:
    (tmp_path / "gaps.csv").write_text("a;b\n" + "".join(f"{i};{'xy?'[i % 3]}\n" for i in range(60)) + "NA;x\n")
    shown = cli("profile", "gaps.csv")
    assert "null_values" in shown.err
    told = cli("profile", "gaps.csv", "--null-value", "NA", "--null-value", "?", "--delimiter", ";", "--json")
    assert [(c["kind"], c["missing"]) for c in told.json["columns"]] == [("number", 1), ("category", 20)]
    assert told.err == ""


def test_classify_has_one_record_per_column(cli: Command, people: Path) -> None:
    told = cli("classify", "people.csv", "--json").json
    found = {v["column"]: (v["entity_type"], v["identifier_class"]) for v in told}
    assert list(found) == list(rows_of(people)[0])
    assert found["email"] == ("email", "direct")
    assert found["ssn"] == ("ssn", "direct")
    assert found["age"] == ("age", "quasi")
    for verdict in told:
        assert set(verdict) >= {"column", "entity_type", "identifier_class", "confidence", "evidence"}
        assert 0 <= verdict["confidence"] <= 1
        assert verdict["evidence"]
    shown = cli("classify", "people.csv").out.splitlines()
    assert len(shown) == 1 + len(found)


@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl", "parquet", "tsv"])
def test_mask_writes_what_the_suffix_says_and_tells_of_the_first_key(
    cli: Command, people: Path, tmp_path: Path, suffix: str
) -> None:
    answer = cli("mask", "people.csv", "-o", f"deep/masked.{suffix}", "--policy", "dev_test")
    out = tmp_path / "deep" / f"masked.{suffix}"
    key = tmp_path / ".synth_assets" / "var" / "keys" / "master.key"
    assert answer.code == 0, answer.err
    assert answer.err.splitlines() == [
        f"note: made a development key for pseudonyms in {key}; keep it: without it they cannot be made again."
    ]
    assert f"masked: {out}" in answer.out
    assert key.stat().st_mode & 0o077 == 0
    assert cli("profile", out, "--json").json["row_count"] == ROWS
    raw = rows_of(people)
    content = out.read_bytes().decode(errors="replace")
    assert not any(r["email"] in content or r["ssn"] in content for r in raw)


def test_masking_again_with_the_same_home_gives_the_same_bytes(cli: Command, people: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        told = cli("mask", "people.csv", "-o", f"{name}.csv", "--json")
        assert (told.json["out"], told.json["rows"]) == (str(tmp_path / f"{name}.csv"), ROWS)
    assert told.err == ""  # the key was there already
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    cli("mask", "people.csv", "-o", "c.csv", "--home", "other")
    assert (tmp_path / "a.csv").read_bytes() != (tmp_path / "c.csv").read_bytes()


def test_two_recipients_get_files_whose_pseudonyms_cannot_be_joined(cli: Command, people: Path, tmp_path: Path) -> None:
    made = {}
    for recipient in ("hospital_a", "insurer_b"):
        out = tmp_path / f"{recipient}.csv"
        arguments = ("mask", str(people), "-o", str(out), "--policy", "dev_test", "--home", str(tmp_path))
        assert cli(*arguments, "--release-domain", recipient).code == 0
        made[recipient] = pd.read_csv(out, dtype=str)
    a, b = made.values()
    assert not set(a["email"].dropna()) & set(b["email"].dropna())
    assert not set(a["ssn"].dropna()) & set(b["ssn"].dropna())


def test_a_policy_of_ones_own_is_found_by_file_and_by_name(cli: Command, people: Path, tmp_path: Path) -> None:
    text = "name: mine\nclasses: {direct: drop, quasi: drop, sensitive: drop, none: keep}\n"
    (tmp_path / "mine.yaml").write_text(text)
    assert cli("mask", "people.csv", "-o", "a.csv", "--policy", "mine.yaml").code == 0
    (tmp_path / "home" / "configs" / "policies").mkdir(parents=True)
    (tmp_path / "home" / "configs" / "policies" / "own.yaml").write_text(text.replace("mine", "own"))
    assert cli("mask", "people.csv", "-o", "b.csv", "--policy", "own", "--home", "home").code == 0
    assert set(rows_of(tmp_path / "b.csv")[0]) <= {"person_id", "readmitted"}


def test_an_action_on_the_command_line_may_have_parameters(cli: Command, people: Path, tmp_path: Path) -> None:
    rules = ("age=round:digits=-1", "person_id=perturb:bound=3", "readmitted=truncate:length=1", "sex=keep")
    given = [part for rule in rules for part in ("--action", rule)]
    assert cli("mask", "people.csv", "-o", "out.csv", "--policy", "dev_test", *given).code == 0
    made, raw = pd.read_csv(tmp_path / "out.csv"), pd.read_csv(people)
    assert (made["age"] % 10 == 0).all()
    assert (made["age"] - raw["age"]).abs().max() == 5
    assert set((made["person_id"] - raw["person_id"]).abs()) == {1, 2, 3}
    assert set(made["readmitted"]) == {"y", "n"}
    assert (made["sex"] == raw["sex"]).all()


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("age", "COLUMN=ACTION"),
        ("=drop", "COLUMN=ACTION"),
        ("age=vanish", "Actions: redact"),
        ("age=round:colour=1", "colour"),
        ("age=round:digits=x", "parameter 'digits'"),
        ("age=perturb", "`bound` or `percent`"),
    ],
)
def test_an_action_that_is_none_is_one_clear_error(cli: Command, people: Path, rule: str, words: str) -> None:
    told = cli("mask", "people.csv", "-o", "out.csv", "--action", rule, "--json")
    assert (told.code, told.error["key"]) == (2, "--action")
    assert words in f"{told.error['message']} {told.error['remedy']}"


def test_a_column_name_may_hold_an_equals_sign(cli: Command, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a=b,c\n" + "".join(f"{i},{i % 7}\n" for i in range(40)))
    assert (
        cli("mask", "t.csv", "-o", "out.csv", "--action", "a=b=drop", "--action", "c=generalise:to=bin,width=5").code
        == 0
    )
    assert set(pd.read_csv(tmp_path / "out.csv")["c"]) == {0, 5}


def test_a_failed_leak_check_is_exit_3_and_nothing_is_written(
    cli: Command, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from synth_assets.masking.records import LeakFinding, LeakReport

    finding = LeakFinding(
        kind="identifier", raw_table="people", raw_column="email", table="people", column="notes", cells=3
    )
    report = LeakReport(
        passed=False, findings=(finding,), identifiers=9, too_short=0, columns_searched=1, names_checked=0
    )
    monkeypatch.setattr("synth_assets.masking.leakcheck.check_leaks", lambda *_, **__: report)
    (tmp_path / "masked.csv").write_text("old\n")
    told = cli("mask", "people.csv", "-o", "masked.csv", "--json")
    assert told.code == 3
    assert (told.error["code"], told.error["column"]) == ("leak", "notes")
    assert "'email'" in told.error["message"]
    assert (tmp_path / "masked.csv").read_text() == "old\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == [".synth_assets", "masked.csv", "people.csv"]


def test_people_makes_the_same_file_from_the_same_seed(cli: Command, tmp_path: Path) -> None:
    told = cli("people", "40", "-o", "a.csv", "--locale", "it_IT", "--seed", "9", "--json").json
    assert told == {"out": str(tmp_path / "a.csv"), "rows": 40, "locale": "it_IT", "seed": 9}
    shown = cli("people", "40", "-o", "b.csv", "--locale", "it_IT", "--seed", "9")
    assert "b.csv" in shown.out
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 41
    refused = cli("people", "40", "-o", "c.csv", "--locale", "it")
    assert refused.code == 2
    assert "de_DE" in refused.err
    assert not (tmp_path / "c.csv").exists()


def test_generate_makes_the_same_bytes_from_the_same_seed(cli: Command, tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(SCHEMA)
    told = cli("generate", "shop.yaml", "-o", "a", "--rows", "50", "--seed", "9", "--json").json
    assert told == {"files": {"customers": str(tmp_path / "a" / "customers.csv")}, "seed": 9}
    assert len(rows_of(tmp_path / "a" / "customers.csv")) == 50
    shown = cli("generate", "shop.yaml", "-o", "b", "--rows", "50", "--seed", "9")
    assert shown.out == f"customers: {tmp_path / 'b' / 'customers.csv'}\n"
    assert (tmp_path / "a" / "customers.csv").read_bytes() == (tmp_path / "b" / "customers.csv").read_bytes()
    cli("generate", "shop.yaml", "-o", "b", "--format", "JSONL")
    assert (tmp_path / "b" / "customers.jsonl").read_text().count("\n") == 20


@pytest.fixture
def domain(tmp_path: Path) -> Path:
    columns = {
        "age": {"kind": "num", "lower": 18, "upper": 90},
        "sex": {"kind": "cat", "categories": ["F", "M"]},
        "readmitted": {"kind": "cat", "categories": ["yes", "no"]},
    }
    path = tmp_path / "schema.json"
    path.write_text(json.dumps({"target": "readmitted", "columns": columns}))
    return path


def test_synthesize_charges_the_stem_once_and_says_so(cli: Command, people: Path, domain: Path, tmp_path: Path) -> None:
    call = ["synthesize", "people.csv", "-o", "made.csv", "--domain", "schema.json", "--epsilon", "4"]
    first = cli(*call, "--json")
    assert (first.code, first.err) == (0, "")
    told = first.json
    assert told["out"] == str(tmp_path / "made.csv")
    assert told["privacy"]["population"] == "people"
    assert 3.5 < told["epsilon_spent"] <= 4
    assert 2 < told["privacy"]["empirical"]["epsilon_lower"] < told["epsilon_spent"]
    made, raw = rows_of(tmp_path / "made.csv"), rows_of(people)
    assert list(made[0]) == list(raw[0])
    assert len(made) == told["rows"]
    assert abs(len(made) - ROWS) < ROWS / 4
    assert not {r["ssn"] for r in made} & {r["ssn"] for r in raw}
    assert not {r["email"] for r in made} & {r["email"] for r in raw}

    again = cli(*call)
    assert again.code == 0
    assert "nothing charged" in again.out
    assert rows_of(tmp_path / "made.csv") == made

    status = cli("budget", "people", "--json").json
    assert status["population"] == "people"
    assert len(status["releases"]) == 1
    assert "file/people" in cli("budget").out

    refused = cli(*call, "--fresh", "--epsilon", "9.9", "--json")
    assert (refused.code, refused.error["code"]) == (4, "budget")
    assert rows_of(tmp_path / "made.csv") == made


def test_synthesize_refuses_noise_that_an_attack_sees_through_and_spends_nothing(
    cli: Command, people: Path, domain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from synth_assets.privacy.mechanisms import SystemNoise

    real = SystemNoise.discrete_gaussian
    monkeypatch.setattr(
        SystemNoise, "discrete_gaussian", lambda self, *, sigma, size: real(self, sigma=sigma / 2, size=size)
    )
    call = ["synthesize", "people.csv", "-o", "made.csv", "--domain", "schema.json", "--epsilon", "4"]
    refused = cli(*call, "--json")
    assert refused.code == 3
    assert refused.json["error"]["code"] == "check_failed"
    assert "No data was read and no budget was spent" in refused.json["error"]["message"]
    assert not (tmp_path / "made.csv").exists()
    assert cli("budget", "--json").json == []
    monkeypatch.undo()


def test_synthesize_takes_a_yaml_domain_and_makes_the_rows_that_are_asked_for(
    cli: Command, people: Path, tmp_path: Path
) -> None:
    (tmp_path / "domain.yaml").write_text(
        "columns:\n  age: {kind: number, lower: 18, upper: 90}\n  sex: {categories: [F, M]}\n  readmitted: {categories: ['yes', 'no']}\n"
    )
    answer = cli(
        "synthesize", "people.csv", "-o", "made.parquet", "--domain", "domain.yaml", "--rows", "33", "--population", "p",
        "--target", "readmitted", "--epsilon", "20", "--home", "h", "--synthesizer", "gaussian_copula",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert "not differentially private" in answer.out
    assert cli("profile", "made.parquet", "--json").json["row_count"] == 33
    assert cli("budget", "--home", "h", "--json").json == []


def test_synthesize_trains_a_network_that_is_not_private(cli: Command, people: Path) -> None:
    pytest.importorskip("sdv", reason="the optional package SDV is not installed")
    call = ["synthesize", "people.csv", "-o", "made.csv", "--home", "h", "--synthesizer", "tvae", "--epochs", "1"]
    answer = cli(*call, "--rows", "21")
    assert answer.code == 0, answer.err
    assert "not differentially private" in answer.out
    assert cli("profile", "made.csv", "--json").json["row_count"] == 21
    told = cli(*call[:-4], "--epochs", "1", "--json").json
    assert told["error"]["remedy"].startswith("For copulagan, ctgan")


def test_warnings_about_privacy_parameters_are_shown(cli: Command, people: Path, domain: Path) -> None:
    answer = cli(
        "synthesize", "people.csv", "-o", "made.csv", "--domain", domain, "--epsilon", "0.05", "--population", "weak"
    )
    assert answer.code == 0
    assert answer.err.startswith("note: epsilon 0.05 is below 0.1")


def test_audit_is_the_json_of_an_audit(cli: Command, people: Path, tmp_path: Path) -> None:
    (tmp_path / "made.csv").write_text(people_text(seed=5))
    (tmp_path / "unseen.csv").write_text(people_text(seed=6))
    call = [
        "audit", "--synthetic", "made.csv", "--real", "people.csv", "--holdout", "unseen.csv", "--target", "readmitted",
        "--protected", "sex", "--protected", "age",
    ]  # fmt: skip
    told = cli(*call, "--json")
    assert (told.code, told.err) == (0, "")
    result = told.json
    assert set(result) >= {"overall_score", "module_scores", "detailed_findings"}
    assert set(result["module_scores"]) == {"privacy", "fairness", "fidelity", "utility"}
    assert result["form"] == "public"
    for findings in result["detailed_findings"].values():
        assert findings["message"]
        assert findings["findings"]
        for finding in findings["findings"]:
            assert finding["risk_level"] in {"low", "medium", "high"}
            assert finding["message"].endswith(".")
    assert cli(*call, "--full", "--json").json["form"] == "full"
    shown = cli(*call)
    assert "Scores (1 is best)" in shown.out
    assert "Verdicts" in shown.out


def test_audit_of_a_synthetic_table_alone_says_what_it_could_not_do(cli: Command, people: Path) -> None:
    result = cli("audit", "--synthetic", people, "--json").json
    assert result["module_scores"]["utility"] is None
    assert result["reasons"]["utility"]
