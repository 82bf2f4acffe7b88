"""An audit ledger that was deleted as a whole is found by what else tells of it; a home that is older than it, or was cut off, is not accused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from synth_assets.api.spending import open_budget
from synth_assets.api.verifying import HomeVerdict, verify_ledgers
from synth_assets.automation import health
from synth_assets.automation.ledgers import look_at_ledgers
from synth_assets.cli.app import run as command
from synth_assets.config.runtime import Settings
from synth_assets.errors import CheckFailedError, ConfigError
from synth_assets.ledger.actors import Actors, process_user
from synth_assets.ledger.audit import Action, AuditEvent, AuditLedger
from synth_assets.ledger.began import NOTE
from synth_assets.ledger.opening import key_of, open_audit_ledger
from synth_assets.ledger.place import open_store_of
from synth_assets.privacy.budget import BudgetLedger
from synth_assets.privacy.public_forms import PublicForm, open_public_forms
from synth_assets.privacy.records import GaussianEvent

EVENTS = (GaussianEvent(sigma=4.0),)
READ = AuditEvent(Action.READ, "people/profile")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if request.param == "postgres":
        monkeypatch.setenv("SYNTH_ASSETS_POSTGRES_URL", request.getfixturevalue("postgres_url"))
    return tmp_path / "home"


def settings(home: Path) -> Settings:
    return Settings.from_environment(home)


def spend(ledger: BudgetLedger, number: int = 1) -> None:
    """Four rows for the first release, three for each further one."""
    ledger.declare("people", "row", 5.0, 1e-5)
    held = ledger.reserve(
        "people", events=EVENTS, label="people/x", measurement_key=f"{number:064x}", run_id="run-1", attempt=0
    )
    ledger.settle(ledger.begin_reading(held), EVENTS)


def change(home: Path, *statements: str) -> None:
    """As somebody with all rights on the database would, past the guards against accidents."""
    store = open_store_of(settings(home))
    with store.writing("tampering") as connection:
        if connection.dialect.name == "sqlite":
            for verb in ("update", "delete"):
                connection.execute(text(f"DROP TRIGGER IF EXISTS chain_entries_no_{verb}"))
        else:
            connection.execute(text("DROP TRIGGER IF EXISTS chain_entries_no_change ON chain_entries"))
        for statement in statements:
            connection.execute(text(statement))


EMPTY = ("DELETE FROM chain_entries", "DELETE FROM chain_heads", "DELETE FROM chain_index")
DROP = ("DROP TABLE chain_entries", "DROP TABLE chain_heads", "DROP TABLE chain_index")


def forget_note(home: Path) -> None:
    (home / "var" / "ledger" / NOTE).unlink()


def make_anew(home: Path) -> None:
    """An empty ledger, signed with the key of the home by a program that knows nothing of the note."""
    store = open_store_of(settings(home))
    actors = Actors(settings(home).actors_location)
    AuditLedger(store, key_of(settings(home).keys_folder), actors).record(READ)


def verified(home: Path) -> HomeVerdict:
    verdict = verify_ledgers(home)
    assert verdict is not None
    return verdict


def said(home: Path) -> str:
    verdict = verified(home)
    assert not verdict.whole
    return "; ".join((*(f.reason for f in verdict.audit.faults), *verdict.budget_faults))


def health_of_ledger(home: Path) -> tuple[str, str]:
    part = health._tried("ledger", lambda: look_at_ledgers(settings(home)))
    return part.state, part.message


def test_a_ledger_of_which_everything_was_deleted_is_named_and_nothing_is_written_behind_it(home: Path) -> None:
    spend(open_budget(home))
    assert verified(home).whole
    assert health_of_ledger(home)[0] == "ok"
    change(home, *EMPTY)
    assert "its first entry is gone: entries were deleted" in said(home)
    assert "row 1 of the budget ledger is in no entry of the audit ledger" in said(home)
    assert command(["verify", "--home", str(home)]) == 3
    state, message = health_of_ledger(home)
    assert state == "failed"
    assert "entries were deleted" in message
    with pytest.raises(CheckFailedError, match="is not what was signed"):
        open_audit_ledger(settings(home)).record(READ)
    with pytest.raises(CheckFailedError, match="is not what was signed"):
        spend(open_budget(home), 2)


def test_without_its_note_the_rows_of_the_budget_show_that_it_existed(home: Path) -> None:
    spend(open_budget(home))
    change(home, *EMPTY)
    forget_note(home)
    assert "rows of the budget ledger say that it tells of them: entries were deleted" in said(home)
    assert health_of_ledger(home)[0] == "failed"


def test_rows_of_an_earlier_version_do_not_say_so_and_the_names_of_actors_do(home: Path) -> None:
    spend(BudgetLedger(open_store_of(settings(home))))
    open_audit_ledger(settings(home)).record(READ)
    assert verified(home).whole
    change(home, *EMPTY)
    forget_note(home)
    assert "names of actors that only it gives are known: entries were deleted" in said(home)
    assert health_of_ledger(home)[0] == "failed"


def test_another_ledger_in_its_place_is_named_although_the_same_key_signed_it(home: Path) -> None:
    spend(open_budget(home))
    change(home, *EMPTY)
    make_anew(home)
    assert "that one was replaced by another" in said(home)
    assert health_of_ledger(home)[0] == "failed"
    forget_note(home)
    assert said(home).startswith("row 1 of the budget ledger is in no entry of the audit ledger; row 2 of")


def test_public_forms_show_entries_that_are_gone_where_no_budget_was_spent(tmp_path: Path) -> None:
    home = tmp_path / "home"
    open_audit_ledger(settings(home)).record(READ)
    forms = open_public_forms(settings(home))
    for form in "bc":
        forms.issue(PublicForm("a" * 64, form * 64, "people/synthetic"))
    assert verified(home).whole
    change(home, *EMPTY)
    forget_note(home)
    assert said(home) == "2 public forms are counted, and no entry tells of them"


def test_dropped_tables_are_named_also_where_they_are_made_anew(home: Path) -> None:
    spend(open_budget(home))
    open_audit_ledger(settings(home))
    change(home, *DROP)
    with pytest.raises(CheckFailedError, match="lacks a table that it had"):
        verify_ledgers(home)
    assert command(["verify", "--home", str(home)]) == 3
    with open_store_of(settings(home)).writing("tampering") as connection:
        connection.execute(text("DELETE FROM ledger_formats WHERE ledger = 'chain'"))
        if connection.dialect.name != "sqlite":
            connection.execute(text("DROP FUNCTION chain_entries_append_only"))
    assert "its first entry is gone" in said(home)


def test_a_file_that_was_deleted_is_missed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    spend(open_budget(home))
    open_audit_ledger(settings(home))

    def without(*names: str) -> Callable[[], object]:
        for name in names:
            for path in (home / "var" / "ledger").glob(f"{name}*"):
                path.unlink()
        return lambda: verify_ledgers(home)

    with pytest.raises(ConfigError, match="an audit ledger has begun here, and there is no ledger"):
        without("budget.db")()
    assert health_of_ledger(home)[0] == "failed"
    with pytest.raises(CheckFailedError, match="is not what was signed"):
        spend(open_budget(home))  # which makes the file anew, and nothing in it
    with pytest.raises(ConfigError, match="names of actors of an audit ledger are known, and there is no ledger"):
        without("budget.db", NOTE)()


def test_a_budget_ledger_that_is_older_than_the_audit_ledger_is_whole_and_goes_on(home: Path) -> None:
    spend(BudgetLedger(open_store_of(settings(home))))  # as a version without an audit ledger did
    assert verified(home).whole
    assert health_of_ledger(home)[0] == "ok"
    spend(open_budget(home), 2)
    verdict = verified(home)
    assert verdict.whole
    assert verdict.budget is not None
    assert verdict.budget.rows == 7
    assert (home / "var" / "ledger" / NOTE).is_file()


def test_a_first_action_that_was_cut_off_is_a_remark(home: Path) -> None:
    open_store_of(settings(home))
    Actors(settings(home).actors_location).id_of(process_user())  # the name comes first, then the entry
    verdict = verified(home)
    assert verdict.whole
    assert "the first action was cut off, or all entries were deleted" in verdict.audit.remarks[0]
    spend(open_budget(home))
    assert verified(home).audit.remarks == ()


def test_a_note_that_is_no_longer_what_was_written_is_named(home: Path) -> None:
    spend(open_budget(home))
    open_audit_ledger(settings(home))
    (home / "var" / "ledger" / NOTE).write_text("{}")
    assert "cannot be read: it is not what was written" in said(home)
