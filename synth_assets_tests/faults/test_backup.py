"""`var/` is lost, a backup is put back, and everything goes on: the same budgets, pseudonyms and tokens."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from synth_assets.api.backup import make_backup
from synth_assets.api.restoring import restore_backup
from synth_assets.api.spending import open_budget
from synth_assets.api.verifying import verify_ledgers
from synth_assets.cli.app import run
from synth_assets.config.runtime import Settings
from synth_assets.errors import CheckFailedError, ConfigError, DamagedBackupError, InputError, MissingArtifactError
from synth_assets.ledger.actors import Actors
from synth_assets.ledger.backends import open_ledger_store
from synth_assets.ledger.began import NOTE
from synth_assets.ledger.chain import START, HashChain
from synth_assets.ledger.opening import open_audit_ledger
from synth_assets.ledger.place import MARK
from synth_assets.ledger.verifying import ACCESS
from synth_assets.masking.keyring import release_key
from synth_assets.masking.vault import TokenVault, shelf_of
from synth_assets.privacy.records import GaussianEvent
from synth_assets.storage.chunks import CHUNK_BYTES
from synth_assets.storage.lease import WriterLease
from synth_assets.storage.sealed import sealing, unsealing
from synth_assets.storage.secrets import master_key

PASSPHRASE = "correct horse battery staple"
EVENTS = (GaussianEvent(sigma=4.0),)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if request.param == "postgres":
        monkeypatch.setenv("SYNTH_ASSETS_POSTGRES_URL", request.getfixturevalue("postgres_url"))
        monkeypatch.setenv("SYNTH_ASSETS_VAULT_URL", os.environ["SYNTH_ASSETS_POSTGRES_URL"])
    return tmp_path / "home"


def settings(home: Path) -> Settings:
    return Settings.from_environment(home)


def spend(home: Path, number: int) -> str:
    """One release; the head of the ledger after it."""
    ledger = open_budget(home)
    ledger.declare("people", "row", 5.0, 1e-5)
    held = ledger.reserve(
        "people", events=EVENTS, label="people/x", measurement_key=f"{number:064x}", run_id=f"run-{number}", attempt=0
    )
    ledger.settle(ledger.begin_reading(held), EVENTS)
    return ledger.verify().head


def tokens(home: Path) -> list[str]:
    """The tokens of two values; made on the first call."""
    shelf = shelf_of(release_key(master_key(settings(home).keys_folder), "hospital"), "hospital", "ssn")
    return TokenVault(settings(home).vault_location).tokens(shelf, [("1" * 64, "first"), ("2" * 64, "second")])


def used(home: Path) -> dict[str, object]:
    """Use everything that a backup covers, and say what must be the same afterwards."""
    head, made = spend(home, 1), tokens(home)
    audit = open_audit_ledger(settings(home))
    return {"head": head, "tokens": made, "key": master_key(settings(home).keys_folder).value, "audit": audit.head()}


def asked(home: Path) -> None:
    """One entry of the older record of access."""
    store = open_ledger_store(settings(home).access_location, forgetting=True)
    older = HashChain(store, ACCESS)
    with store.writing("older record") as connection:
        older.append(connection, {"asked": "by somebody"}, 1, START)


def lose(home: Path) -> None:
    """The disk is gone; with PostgreSQL, its database too."""
    shutil.rmtree(home / "var", ignore_errors=True)
    if url := os.environ.get("SYNTH_ASSETS_POSTGRES_URL"):
        import sqlalchemy

        engine = sqlalchemy.create_engine(
            url.replace("postgresql://", "postgresql+psycopg2://"), poolclass=sqlalchemy.NullPool
        )
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("DROP SCHEMA public CASCADE"))
            connection.execute(sqlalchemy.text("CREATE SCHEMA public"))


def test_after_losing_everything_budgets_pseudonyms_and_tokens_are_the_same_and_life_goes_on(
    home: Path, tmp_path: Path
) -> None:
    before = used(home)
    status = open_budget(home).status("people")
    file = tmp_path / "home.backup"
    manifest = make_backup(settings(home), file, PASSPHRASE)
    assert manifest.ledger_head == before["head"]
    assert file.stat().st_mode & 0o077 == 0
    clear = file.read_bytes()
    for secret in (before["key"], bytes(before["key"]).hex().encode(), b"SQLite format", b"people", b"first"):  # type: ignore[arg-type]
        assert secret not in clear
    lose(home)

    done = restore_backup(settings(home), file, PASSPHRASE)
    assert (done.aside, done.forgotten) == (None, ())
    assert open_budget(home).status("people") == status
    assert open_budget(home).verify([str(before["head"])]).whole
    assert tokens(home) == before["tokens"]
    assert master_key(settings(home).keys_folder).value == before["key"]
    vault = TokenVault(settings(home).vault_location)
    made = tokens(home)
    assert vault.values(made, master_key(settings(home).keys_folder)) == {made[0]: "first", made[1]: "second"}
    folders = [p for p in (home / "var").rglob("*") if p.name in {"ledger", "keys", "vault", "master.key", "budget.db"}]
    assert folders and [p for p in folders if p.stat().st_mode & 0o077] == []
    assert not (home / "var" / ".backup").exists()
    spend(home, 2)
    assert open_budget(home).verify([str(before["head"])]).whole
    assert len(open_budget(home).status("people").releases) == 2


def test_a_live_home_is_not_overwritten_and_with_replace_the_old_one_is_moved_aside(home: Path, tmp_path: Path) -> None:
    used(home)
    file = tmp_path / "home.backup"
    make_backup(settings(home), file, PASSPHRASE)
    with pytest.raises(InputError, match="already"):
        restore_backup(settings(home), file, PASSPHRASE)
    done = restore_backup(settings(home), file, PASSPHRASE, replace=True)
    assert done.aside is not None
    assert (done.aside / "keys" / "master.key").is_file()
    assert json.loads((done.aside / "restore.json").read_text())["forgotten"] == []
    assert open_budget(home).verify().whole


def test_a_backup_that_would_forget_what_was_spent_is_refused_unless_a_reason_is_given_and_kept(
    home: Path, tmp_path: Path
) -> None:
    used(home)
    file = tmp_path / "home.backup"
    make_backup(settings(home), file, PASSPHRASE)
    newest = spend(home, 2)
    with pytest.raises(InputError, match="forget what was spent") as refused:
        restore_backup(settings(home), file, PASSPHRASE, replace=True)
    assert refused.value.key == "--forget-because"
    assert open_budget(home).verify().head == newest  # nothing was touched
    done = restore_backup(settings(home), file, PASSPHRASE, replace=True, forget_because="the disk of May was lost")
    assert newest in done.forgotten
    assert done.aside is not None
    assert json.loads((done.aside / "restore.json").read_text())["because"] == "the disk of May was lost"
    assert len(open_budget(home).status("people").releases) == 1
    assert (
        "the disk of May was lost" in Actors(settings(home).actors_location).texts().values()
    )  # the audit ledger has its hash


def test_releases_that_a_backup_does_not_know_refuse_it_although_the_ledger_is_lost(tmp_path: Path) -> None:
    home = tmp_path / "home"
    used(home)
    file = tmp_path / "home.backup"
    make_backup(settings(home), file, PASSPHRASE)
    newest = spend(home, 2)
    shutil.rmtree(home / "var")
    release = home / "var" / "release" / "people" / "dp_measurements" / "0123"
    release.mkdir(parents=True)
    (release / "privacy.json").write_text(json.dumps({"ledger_head": newest}))
    with pytest.raises(InputError, match="older than what is there"):
        restore_backup(settings(home), file, PASSPHRASE)


@pytest.mark.parametrize("change", ["passphrase", "byte", "cut", "block", "head", "other"])
def test_a_backup_that_was_changed_is_refused_and_the_home_stays_as_it_is(tmp_path: Path, change: str) -> None:
    home, file = tmp_path / "home", tmp_path / "home.backup"
    used(home)
    shutil.copytree(home, tmp_path / "other")
    with sqlite3.connect(tmp_path / "other" / "var" / "ledger" / "budget.db") as ledger:
        ledger.execute("CREATE TABLE much AS SELECT randomblob(3000000) AS some")
    ledger.close()
    make_backup(settings(tmp_path / "other"), file, PASSPHRASE)
    data = bytearray(file.read_bytes())
    line = data.index(b"\n") + 1
    if change == "byte":
        data[len(data) // 2] ^= 1
    elif change == "cut":
        del data[line + CHUNK_BYTES + 16 :]  # at the border of a block
    elif change == "block":
        block = slice(line, line + CHUNK_BYTES + 16)
        data[line + CHUNK_BYTES + 16 : line + 2 * (CHUNK_BYTES + 16)] = data[block]
    elif change == "head":
        data[: line - 1] = data[: line - 1].replace(b'"p": 1', b'"p": 9')
    elif change == "other":
        data = bytearray(b"PK\x03\x04" + os.urandom(100))
    file.write_bytes(data)
    lose(home)
    word = "another passphrase" if change == "passphrase" else PASSPHRASE
    with pytest.raises(DamagedBackupError):
        restore_backup(settings(home), file, word)
    assert [p for p in (home / "var").rglob("*") if p.is_file() and "leases" not in p.parts] == []


def test_a_broken_ledger_in_a_backup_is_not_put_back(tmp_path: Path) -> None:
    home, file = tmp_path / "home", tmp_path / "home.backup"
    used(home)
    with sqlite3.connect(home / "var" / "ledger" / "budget.db") as ledger:
        ledger.execute("DROP TRIGGER budget_log_no_update")
        ledger.execute("UPDATE budget_log SET at = 'then' WHERE position = 2")
    ledger.close()
    make_backup(settings(home), file, PASSPHRASE)
    lose(home)
    with pytest.raises(CheckFailedError, match="row 2"):
        restore_backup(settings(home), file, PASSPHRASE)
    assert not (home / "var" / "ledger").exists()


def test_nothing_is_restored_while_a_run_writes(tmp_path: Path) -> None:
    home, file = tmp_path / "home", tmp_path / "home.backup"
    used(home)
    make_backup(settings(home), file, PASSPHRASE)
    lease = WriterLease(home / "var" / "leases")
    lease.acquire("clinic", "run-a")
    try:
        with pytest.raises(InputError, match="a run is writing clinic"):
            restore_backup(settings(home), file, PASSPHRASE, replace=True)
    finally:
        lease.release("clinic")


def test_a_key_of_the_environment_that_is_another_one_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, file = tmp_path / "home", tmp_path / "home.backup"
    used(home)
    make_backup(settings(home), file, PASSPHRASE)
    monkeypatch.setenv("SYNTH_ASSETS_MASTER_KEY", "ab" * 32)
    lose(home)
    with pytest.raises(ConfigError, match="master key of the environment is another one"):
        restore_backup(settings(home), file, PASSPHRASE)


@pytest.mark.parametrize("vault", ["file", "server"])
def test_a_home_moves_from_sqlite_to_postgresql_with_all_that_was_spent_and_no_way_leads_back(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch, vault: str
) -> None:
    home, file = tmp_path / "home", tmp_path / "home.backup"
    before = used(home)
    asked(home)
    make_backup(settings(home), file, PASSPHRASE)
    status, audit = open_budget(home).status("people"), open_audit_ledger(settings(home)).head()

    monkeypatch.setenv("SYNTH_ASSETS_POSTGRES_URL", postgres_url)
    if vault == "server":
        monkeypatch.setenv("SYNTH_ASSETS_VAULT_URL", postgres_url)
    with pytest.raises(InputError, match="already"):
        restore_backup(settings(home), file, PASSPHRASE)
    done = restore_backup(settings(home), file, PASSPHRASE, replace=True)
    assert done.aside is not None
    assert (done.aside / "ledger" / "budget.db").is_file()
    assert {p.name for p in (home / "var" / "ledger").iterdir()} == {MARK, NOTE}
    assert open_budget(home).status("people") == status
    assert tokens(home) == before["tokens"]
    verdict = verify_ledgers(home, [audit.hash])
    assert verdict is not None
    assert verdict.whole
    assert verdict.access is not None
    assert verdict.access.entries == 1
    spend(home, 2)
    assert len(open_budget(home).status("people").releases) == 2

    make_backup(settings(home), file, PASSPHRASE)
    monkeypatch.delenv("SYNTH_ASSETS_POSTGRES_URL")
    monkeypatch.delenv("SYNTH_ASSETS_VAULT_URL", raising=False)
    with pytest.raises(ConfigError, match="was in postgresql"):
        restore_backup(settings(tmp_path / "empty"), file, PASSPHRASE)


def test_a_home_does_not_move_with_a_backup_that_is_older_than_its_ledger(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, file = tmp_path / "home", tmp_path / "home.backup"
    used(home)
    make_backup(settings(home), file, PASSPHRASE)
    spend(home, 2)
    monkeypatch.setenv("SYNTH_ASSETS_POSTGRES_URL", postgres_url)
    with pytest.raises(InputError, match="forget what was spent"):
        restore_backup(settings(home), file, PASSPHRASE, replace=True)
    assert (home / "var" / "ledger" / "budget.db").is_file()


def test_an_empty_home_has_nothing_to_back_up(tmp_path: Path) -> None:
    with pytest.raises(MissingArtifactError):
        make_backup(settings(tmp_path / "home"), tmp_path / "file", PASSPHRASE)
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES])
def test_what_is_sealed_is_read_back(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    with sealing(tmp_path / "f", PASSPHRASE) as out:
        out.write(data[: size // 3])
        out.write(data[size // 3 :])
    with unsealing(tmp_path / "f", PASSPHRASE) as plain:
        assert plain.read() == data
    with pytest.raises(ConfigError, match="fewer than 12"), sealing(tmp_path / "g", "short"):
        pass


def test_the_commands_take_the_passphrase_from_one_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home, file, key = tmp_path / "home", tmp_path / "home.backup", tmp_path / "passphrase"
    used(home)
    key.write_text(PASSPHRASE + "\n")
    command = ["backup", "--out", str(file), "--home", str(home), "--json"]
    assert run(command) == 2  # none is set
    monkeypatch.setenv("SYNTH_ASSETS_BACKUP_PASSPHRASE_FILE", str(key))
    key.chmod(0o644)
    assert run(command) == 2  # others can read it
    key.chmod(0o600)
    capsys.readouterr()
    assert run(command) == 0
    told = json.loads(capsys.readouterr().out)
    assert {f["name"] for f in told["files"]} >= {"databases/ledger.db", "databases/vault.db", "keys/master.key"}
    lose(home)
    assert run(["restore", str(file), "--home", str(home), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["forgotten"] == []
    monkeypatch.setenv("SYNTH_ASSETS_BACKUP_PASSPHRASE", PASSPHRASE)
    assert run(command) == 2  # two are set
