"""`detokenise`: tokens of a masked file lead back, with a reason, on record; without key, vault or reason there is one error."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from synth_assets.config.runtime import Settings
from synth_assets.ledger.actors import process_user
from synth_assets.ledger.opening import open_audit_ledger
from synth_assets_tests.unit.cli.conftest import Command

WHY = ("--reason", "ticket 4711")


@pytest.fixture
def tokens(cli: Command, people: Path, tmp_path: Path) -> list[str]:
    made = cli("mask", people, "-o", "masked.csv", "--policy", "dev_test", "--action", "ssn=tokenise")
    assert made.code == 0, made.err
    return list(pd.read_csv(tmp_path / "masked.csv")["ssn"])


def test_tokens_lead_back_to_their_values_and_the_answer_says_who_asked(
    cli: Command, tokens: list[str], people: Path, tmp_path: Path
) -> None:
    raw = list(pd.read_csv(people)["ssn"])
    told = cli("detokenise", tokens[3], tokens[5], *WHY, "--json")
    assert told.json["values"] == {tokens[3]: raw[3], tokens[5]: raw[5]}
    said = cli("detokenise", tokens[3], *WHY)
    assert raw[3] in said.out
    ledger = open_audit_ledger(Settings(home=tmp_path / ".synth_assets"))
    with ledger.store.reading() as connection:
        records = [r.entry.record for r in ledger.chain.rows(connection)]
    asked = [r for r in records if r["action"] == "detokenise"]
    assert len(asked) == 2
    assert [k.identity for k in ledger.actors.known()] == [process_user()]
    assert {ledger.actors.texts()[r["details"]["reason_sha256"]] for r in asked} == {"ticket 4711"}
    assert told.json["record"]["position"] == len(records) - 1
    assert f"entry {len(records)} of the audit ledger" in said.out.replace("\n", " ")


def test_a_column_of_a_file_leads_back_in_its_own_order(
    cli: Command, tokens: list[str], people: Path, tmp_path: Path
) -> None:
    told = cli("detokenise", "--file", "masked.csv", "--column", "ssn", "-o", "values.csv", *WHY, "--json")
    assert (told.code, told.json["record"]["position"]) == (0, 3)  # behind the start and the masking
    assert list(pd.read_csv(tmp_path / "values.csv")["ssn"]) == list(pd.read_csv(people)["ssn"])
    assert (tmp_path / "values.csv").stat().st_mode & 0o077 == 0


def test_another_key_is_one_clear_error_without_a_value(
    cli: Command, tokens: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNTH_ASSETS_MASTER_KEY", "ab" * 32)
    told = cli("detokenise", tokens[0], *WHY, "--json")
    assert (told.code, told.error["code"]) == (2, "config")
    assert "not the master key" in told.error["message"]


def test_without_a_key_none_is_made(cli: Command, tokens: list[str], tmp_path: Path) -> None:
    key = tmp_path / ".synth_assets" / "var" / "keys" / "master.key"
    key.unlink()
    told = cli("detokenise", tokens[0], *WHY, "--json")
    assert (told.code, "there is no master key" in told.error["message"]) == (2, True)
    assert not key.exists()


WRONG = [
    (("tok_" + "0" * 32,), "a reason is required"),
    (("--file", "masked.csv", *WHY), "needs --column and --out"),
    (("--column", "ssn", *WHY), "need --file"),
    (("--file", "masked.csv", "--column", "nope", "-o", "x.csv", *WHY), "no column of tokens"),
    (("--file", "masked.csv", "--column", "email", "-o", "x.csv", *WHY), "are no tokens"),
    (WHY, "no token was given"),
]


def test_a_wrong_question_is_exit_2_and_writes_nothing(cli: Command, tokens: list[str], tmp_path: Path) -> None:
    assert len(tokens) == 240
    for arguments, words in WRONG:
        told = cli("detokenise", *arguments, "--json")
        assert told.code == 2, arguments
        assert words in told.error["message"]
    assert not (tmp_path / "x.csv").exists()


def test_a_home_without_a_vault_stays_one(cli: Command, tmp_path: Path) -> None:
    told = cli("detokenise", "tok_" + "0" * 32, *WHY, "--json")
    assert (told.code, told.error["code"]) == (2, "missing_artifact")
    assert not (tmp_path / ".synth_assets").exists()
