"""`verify` and `ledger`: what commands and runs leave in the audit ledger, how it is looked into, and what the check says of it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from synth_assets.config.runtime import Settings
from synth_assets.ledger import opening
from synth_assets.ledger.actors import process_user
from synth_assets.ledger.audit import Action, AuditEvent, AuditLedger
from synth_assets.ledger.opening import open_audit_ledger
from synth_assets.ledger.verify import main as standalone
from synth_assets.privacy.opening import open_budget_ledger
from synth_assets.privacy.records import GaussianEvent
from synth_assets_tests.unit.cli.conftest import Command
from synth_assets_tests.unit.ledger.conftest import tamper

KEY = "ab" * 32
HEAD = ("ledger", "--head", "--json")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / ".synth_assets"


@pytest.fixture
def filled(home: Path) -> AuditLedger:
    """A ledger of two datasets, a refusal, and a budget."""
    ledger = open_audit_ledger(Settings(home=home, project="ward"))
    ledger.record(AuditEvent(Action.MATERIALISED, "clinic/raw_a", dataset="clinic", details={"rows": 3}))
    ledger.record(AuditEvent(Action.EXPORTED, "clinic/export_csv", dataset="clinic"))
    ledger.record(
        AuditEvent(Action.READ, "people/profile", dataset="people", actor=ledger.actors.id_of("ann on ward7"))
    )
    budget = open_budget_ledger(Settings(home=home, project="ward"))
    budget.declare("people", "row", 1.0, 1e-5)
    held = budget.reserve(
        "people",
        events=[GaussianEvent(sigma=20.0, count=1)],
        label="people/dp",
        measurement_key=KEY,
        run_id="r1",
        attempt=0,
    )
    budget.release_unread(held)
    return ledger


def shown(cli: Command, *filters: str) -> list[str]:
    told = cli("ledger", *filters, "--json")
    assert told.code == 0, told.err
    return [f"{e['action']} {e['resource']}" for e in told.json]


def test_masking_a_file_is_in_the_ledger_by_the_hash_of_what_was_written(
    cli: Command, people: Path, tmp_path: Path
) -> None:
    from synth_assets.storage.hashing import hash_file

    assert cli("mask", people, "-o", "ann.csv", "--policy", "dev_test").code == 0
    (entry,) = cli("ledger", "--action", "export", "--json").json
    content = hash_file(tmp_path / "ann.csv")
    assert (entry["resource"], entry["details"]["sha256"]) == (f"masked/{content[:16]}", content)
    assert entry["details"]["policy"] == "dev_test"
    assert "ann.csv" not in json.dumps(entry)


def test_entries_are_found_by_each_filter(cli: Command, filled: AuditLedger) -> None:
    assert shown(cli, "--resource", "clinic") == ["materialise clinic/raw_a", "export clinic/export_csv"]
    assert shown(cli, "--resource", "clin") == []
    assert shown(cli, "--dataset", "clinic", "--action", "export") == ["export clinic/export_csv"]
    assert shown(cli, "--actor", "ann on ward7") == ["read people/profile"]
    assert shown(cli, "--action", "budget") == [
        "budget.declare budget/people", "budget.reserve budget/people", "budget.release budget/people",
    ]  # fmt: skip
    assert len(shown(cli, "--project", "ward")) == 7
    assert (
        shown(cli, "--project", "other")
        == shown(cli, "--outcome", "denied")
        == shown(cli, "--until", "2020-01-01")
        == []
    )
    assert len(shown(cli, "--since", "2020-01-01", "--until", "2999-12-31")) == 7
    assert shown(cli, "--limit", "1") == ["budget.release budget/people"]
    assert cli("ledger", "--since", "yesterday").code == 2


def test_an_actor_is_found_by_the_login_name_alone_where_it_is_unique(cli: Command, filled: AuditLedger) -> None:
    assert shown(cli, "--actor", "ann") == ["read people/profile"]
    assert shown(cli, "--actor", filled.actors.id_of("ann on ward7")) == ["read people/profile"]
    ids = {filled.actors.id_of("ann on ward7"), filled.actors.id_of("ann (sudo by bob) on ward8")}
    told = cli("ledger", "--actor", "ann", "--json")
    assert told.code == 2
    assert told.error["message"] == "2 actors have this name."
    assert all(i in told.error["remedy"] for i in ids)
    assert "ward" not in told.out
    assert "bob" not in told.out
    assert shown(cli, "--actor", "ann on ward7") == ["read people/profile"]


def test_what_no_entry_can_have_is_an_error_and_not_an_empty_list(cli: Command, filled: AuditLedger) -> None:
    nobody = cli("ledger", "--actor", "zed", "--json")
    assert (nobody.code, nobody.error["message"]) == (2, "nobody is known by this name.")
    assert "ann" not in nobody.out
    for name, known in (("action", "budget.declare"), ("outcome", "ok, failed, denied")):
        told = cli("ledger", f"--{name}", "relase", "--json")
        assert (told.code, told.error["key"]) == (2, f"--{name}")
        assert known in told.error["remedy"]
    assert cli("ledger", "--action", "budg").code == 2
    assert shown(cli, "--actor", "a_0123456789abcdef") == []


def test_who_is_behind_an_actor_is_shown_on_demand_recorded_and_can_be_forgotten(
    cli: Command, filled: AuditLedger
) -> None:
    assert "ann on ward7" not in cli("ledger").out
    assert "ann on ward7" in cli("ledger", "--names").out
    assert shown(cli, "--resource", "actors") == ["read actors"]
    who = filled.actors.id_of("ann on ward7")
    assert cli("ledger", "--forget", who).code == 0
    assert "ann on ward7" not in cli("ledger", "--names").out
    assert shown(cli, "--action", "actor.forget") == [f"actor.forget actor/{who}"]
    assert cli("ledger", "--forget", who).code == 2
    assert cli("verify").code == 0


def test_csv_has_every_field_and_json_is_checked_by_the_program_that_is_handed_out(
    cli: Command, filled: AuditLedger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("ledger", "-o", "all.csv", "--json").json["entries"] == 7
    with (tmp_path / "all.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert rows[1]["resource"] == "clinic/raw_a"
    assert json.loads(rows[1]["details"]) == {"rows": 3}
    assert cli("ledger", "-o", "all.json").code == 0
    head = cli("ledger", "--head").out
    (tmp_path / "head.json").write_text(head)
    assert standalone([str(tmp_path / "all.json")]) == 0
    assert standalone([str(tmp_path / "all.json"), "--head", rows[-1]["hash"]]) == 0
    assert (
        standalone([str(tmp_path / "all.json"), "--head", str(tmp_path / "head.json")]) == 3
    )  # of an entry that came after
    assert "kept outside" in capsys.readouterr().out
    assert cli("ledger", "-o", "all.xlsx").code == 2
    assert shown(cli, "--resource", "ledger") == ["export ledger", "export ledger"]


def test_a_whole_ledger_is_told_with_what_cannot_be_excluded(cli: Command, filled: AuditLedger) -> None:
    told = cli("verify")
    assert told.code == 0
    assert "cannot be excluded" in told.out
    head = cli(*HEAD).json
    kept = cli("verify", "--head", head["hash"])
    assert (kept.code, "cannot be excluded" in kept.out) == (0, False)
    found = cli("verify", "--json").json
    assert (found["whole"], found["audit"]["entries"], found["budget"]["rows"], found["budget_faults"]) == (
        True,
        7,
        3,
        [],
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE chain_entries SET record = replace(record, 'clinic', 'clinik') WHERE position = 3", "entry 3"),
        ("DELETE FROM chain_entries WHERE position = 7", "entry 7 is missing at the end"),
        ("DELETE FROM budget_log WHERE position = 3", "row 3 of the budget ledger is not the one that entry 7"),
    ],
)
def test_what_is_wrong_is_named_and_is_exit_3(cli: Command, filled: AuditLedger, change: str, words: str) -> None:
    tamper(filled.store, "DROP TRIGGER budget_log_no_delete", change)
    told = cli("verify")
    assert told.code == 3
    assert words in told.out.replace("\n", " ")
    assert cli("verify", "--json").json["whole"] is False


def test_a_budget_ledger_that_was_cut_off_with_its_own_head_is_found_by_the_audit_ledger(
    cli: Command, filled: AuditLedger
) -> None:
    """By itself it could not tell: its head is not signed."""
    tamper(
        filled.store, "DROP TRIGGER budget_log_no_delete", "DELETE FROM budget_log WHERE position > 1", "DELETE FROM budget_checked",
        "UPDATE budget_head SET position = 1, hash = (SELECT hash FROM budget_log WHERE position = 1)",
    )  # fmt: skip
    found = cli("verify", "--json").json
    assert found["budget"]["whole"] is True
    assert len(found["budget_faults"]) == 2


def test_a_head_that_is_none_is_a_wrong_question_and_a_lost_ledger_is_an_error(
    cli: Command, filled: AuditLedger, home: Path
) -> None:
    assert cli("verify", "--head", "abc").code == 2
    head = cli(*HEAD).json["hash"]
    (home / "var" / "ledger" / "budget.db").unlink()
    told = cli("verify", "--head", head, "--json")
    assert (told.code, "there is no ledger" in told.error["message"]) == (2, True)


def test_a_home_in_which_nothing_happened_stays_as_it_is(cli: Command, home: Path) -> None:
    assert cli("verify").code == 0
    assert cli("ledger").code == 2
    assert not home.exists()


def test_the_key_is_rotated_and_what_was_signed_before_can_still_be_checked(
    cli: Command, filled: AuditLedger, home: Path
) -> None:
    key = home / "var" / "keys" / "ledger.key"
    before, old = key.read_text(), cli(*HEAD).json
    assert cli("ledger", "--rotate-key").code == 0
    assert key.read_text() != before
    assert key.stat().st_mode & 0o077 == 0
    assert cli("verify", "--head", old["hash"]).code == 0
    new = cli(*HEAD).json
    assert new["key_id"] != old["key_id"]
    filled.record(AuditEvent(Action.READ, "x"))  # a process that runs on reads the new key
    assert cli("ledger", "--lost-key").code == 2


def test_a_crash_between_signing_with_the_new_key_and_putting_it_in_place_is_mended(
    cli: Command, filled: AuditLedger, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(opening, "_finish_rotation", lambda *_: None)
        assert cli("ledger", "--rotate-key").code == 0
    assert (home / "var" / "keys" / "ledger.key.next").exists()
    open_audit_ledger(Settings(home=home)).record(AuditEvent(Action.READ, "x"))
    assert not (home / "var" / "keys" / "ledger.key.next").exists()
    assert cli("verify").code == 0


def test_a_key_of_the_environment_is_rotated_with_the_earlier_one_or_as_lost(
    cli: Command, filled: AuditLedger, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = (home / "var" / "keys" / "ledger.key").read_text().strip()
    monkeypatch.setenv("SYNTH_ASSETS_LEDGER_KEY", "cd" * 32)
    told = cli("ledger", "--rotate-key", "--json")
    assert (told.code, told.error["key"]) == (2, "SYNTH_ASSETS_LEDGER_KEY_BEFORE")
    monkeypatch.setenv("SYNTH_ASSETS_LEDGER_KEY_BEFORE", earlier)
    assert cli("ledger", "--rotate-key").code == 0
    assert cli("verify", "--json").json["audit"]["remarks"] == []
    monkeypatch.setenv("SYNTH_ASSETS_LEDGER_KEY", "ef" * 32)
    assert cli("ledger", "--rotate-key", "--lost-key").code == 0
    told = cli("verify")
    assert told.code == 0
    assert "lost" in told.err


def test_a_refused_reservation_is_in_the_ledger(cli: Command, filled: AuditLedger, home: Path) -> None:
    from synth_assets.errors import BudgetExceededError

    budget = open_budget_ledger(Settings(home=home))
    with pytest.raises(BudgetExceededError):
        budget.reserve(
            "people",
            events=[GaussianEvent(sigma=0.5, count=9)],
            label="people/dp",
            measurement_key=KEY,
            run_id="r2",
            attempt=0,
        )
    (entry,) = cli("ledger", "--outcome", "denied", "--json").json
    assert (entry["action"], entry["run_id"], entry["details"]["error"]) == ("budget.reserve", "r2", "budget")
    assert entry["actor"] == filled.actors.id_of(process_user())
