"""A backup holds every table that the package can have in the databases of a home, and each comes back row for row, also in PostgreSQL."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

import synth_assets
from synth_assets.api.backup import TABLES, make_backup, places
from synth_assets.api.restoring import migrations, restore_backup
from synth_assets.api.spending import open_budget
from synth_assets.api.verifying import verify_ledgers
from synth_assets.config.runtime import Settings
from synth_assets.errors import ConfigError
from synth_assets.ledger.actors import Actors, process_user
from synth_assets.ledger.audit import Action, AuditEvent
from synth_assets.ledger.backends import open_ledger_store
from synth_assets.ledger.chain import START, HashChain
from synth_assets.ledger.opening import open_audit_ledger
from synth_assets.ledger.verifying import ACCESS
from synth_assets.masking.keyring import release_key
from synth_assets.masking.vault import TokenVault, shelf_of
from synth_assets.privacy.public_forms import PublicForm, open_public_forms
from synth_assets.privacy.records import GaussianEvent
from synth_assets.storage.secrets import master_key

PASSPHRASE = "correct horse battery staple"
URL = "SYNTH_ASSETS_POSTGRES_URL"
KNOWN = {table for tables in TABLES.values() for table in tables}
NOT_BACKED_UP = {
    "budget_declarations",  # of format 1, whose rows are in budget_log since
    "budget_reservations",
    "writer_leases",  # of processes that run: a backup that is put back has none
}
EVENTS = (GaussianEvent(sigma=4.0),)


def settings(home: Path) -> Settings:
    return Settings.from_environment(home)


def use_everything(home: Path) -> None:
    """A row in every table: a release, an audited form, a token, an entry of the older record of access, a reason."""
    budget = open_budget(home)
    budget.declare("people", "row", 5.0, 1e-5)
    for key in ("1" * 64, "2" * 64):  # the second reservation notes how far the first was checked
        held = budget.reserve("people", events=EVENTS, label="people/x", measurement_key=key, run_id="run", attempt=0)
        budget.settle(budget.begin_reading(held), EVENTS)
    forms = open_public_forms(settings(home))
    assert [forms.issue(PublicForm("a" * 64, form * 64, "people/synthetic")) for form in "bc"] == [1, 2]
    shelf = shelf_of(release_key(master_key(settings(home).keys_folder), "hospital"), "hospital", "ssn")
    TokenVault(settings(home).vault_location).tokens(shelf, [("1" * 64, "first")])
    known = Actors(settings(home).actors_location)
    known.keep_text(known.id_of(process_user()), "a reason")
    ledger = open_audit_ledger(settings(home))
    ledger.record_changes([AuditEvent(Action.CONFIG_CHANGED, "people/config", config_hash="d" * 64)])  # for the index
    older = open_ledger_store(settings(home).access_location, forgetting=True)
    chain = HashChain(older, ACCESS)
    with older.writing("older record") as connection:
        chain.append(connection, {"asked": "by somebody"}, 1, START)


def rows_of(home: Path) -> dict[str, set[tuple[object, ...]]]:
    """Every row of every table of a home, in whichever databases they are."""
    found: dict[str, set[tuple[object, ...]]] = {}
    for place in places(settings(home)):
        with place.open().reading() as connection:
            if connection.dialect.name == "sqlite":
                names = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars().all()
            else:
                names = [
                    *connection.execute(
                        text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
                    ).scalars()
                ]
            for name in names:
                said = {
                    tuple(bytes(v) if isinstance(v, memoryview) else v for v in row)
                    for row in connection.execute(text(f"SELECT * FROM {name}"))
                }
                found[name] = found.get(name, set()) | said
    return found


def test_every_table_that_the_code_makes_is_one_that_a_backup_knows() -> None:
    sources = Path(synth_assets.__file__).parent.rglob("*.py")
    made = {t for p in sources for t in re.findall(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+) ?\(", p.read_text())}
    assert made == KNOWN | NOT_BACKED_UP


def test_every_ledger_that_the_code_makes_is_one_that_a_restore_knows(tmp_path: Path) -> None:
    use_everything(tmp_path / "home")
    noted = rows_of(tmp_path / "home")
    assert set(noted) == KNOWN
    assert [name for name, rows in noted.items() if not rows] == []
    store = open_ledger_store(f"sqlite:///{tmp_path / 'other.db'}")
    steps = {name: len(known) for name, known in migrations(store).items()}
    assert noted["ledger_formats"] == set(steps.items())


@pytest.mark.postgres
def test_a_home_that_has_used_everything_moves_to_postgresql_row_for_row_and_so_does_its_next_backup(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, file = tmp_path / "home", tmp_path / "home.backup"
    use_everything(home)
    make_backup(settings(home), file, PASSPHRASE)  # which is an entry, and so in the backup
    before = rows_of(home)
    monkeypatch.setenv(URL, postgres_url)
    monkeypatch.setenv("SYNTH_ASSETS_VAULT_URL", postgres_url)
    restore_backup(settings(home), file, PASSPHRASE, replace=True)
    after = rows_of(home)
    changing = {"chain_heads", "writer_leases"}  # one head, which each entry replaces; and who works just now
    assert {name: rows - after[name] for name, rows in before.items() if name not in changing} == {
        name: set() for name in before if name not in changing
    }
    forms = open_public_forms(settings(home))
    assert forms.issue(PublicForm("a" * 64, "b" * 64, "people/synthetic")) == 1
    assert forms.issue(PublicForm("a" * 64, "d" * 64, "people/synthetic")) == 3

    make_backup(settings(home), file, PASSPHRASE)
    kept = rows_of(home)
    restore_backup(settings(home), file, PASSPHRASE, replace=True)
    again = rows_of(home)
    assert {name: rows - again[name] for name, rows in kept.items() if name not in changing} == {
        name: set() for name in kept if name not in changing
    }
    verdict = verify_ledgers(home)
    assert verdict is not None
    assert verdict.whole


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_a_backup_of_a_newer_version_is_refused_before_anything_is_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, database: str
) -> None:
    home, file = tmp_path / "home", tmp_path / "home.backup"
    use_everything(home)
    with closing(sqlite3.connect(home / "var" / "ledger" / "budget.db")) as ledger:
        ledger.execute("INSERT INTO ledger_formats VALUES ('of_tomorrow', 1)")
        ledger.commit()
    make_backup(settings(home), file, PASSPHRASE)
    if database == "postgresql":
        monkeypatch.setenv(URL, request.getfixturevalue("postgres_url"))
    before = sorted(p.name for p in (home / "var").iterdir())
    with pytest.raises(ConfigError, match=r"format 1 of 'of_tomorrow'; this version of the package knows 0"):
        restore_backup(settings(home), file, PASSPHRASE, replace=True)
    assert sorted(p.name for p in (home / "var").iterdir()) == before  # no empty folder for what was to be moved aside
    assert (home / "var" / "ledger" / "budget.db").is_file()
