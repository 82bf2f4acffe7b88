"""A home with a finished chain moves from SQLite into PostgreSQL: the chain goes on, and no process can spend from the old ledger."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from synth_assets.api.backup import make_backup
from synth_assets.api.restoring import restore_backup
from synth_assets.api.spending import open_budget
from synth_assets.api.verifying import verify_ledgers
from synth_assets.cli.app import run as command
from synth_assets.config.runtime import Settings
from synth_assets.errors import ConfigError
from synth_assets.ledger.began import NOTE
from synth_assets.ledger.place import MARK, open_store_of
from synth_assets.privacy.records import GaussianEvent
from synth_assets_tests import chain
from synth_assets_tests.faults.harness import DATASET, FEW_STAGES, Home, faults_of

PASSPHRASE = "correct horse battery staple"
URL = "SYNTH_ASSETS_POSTGRES_URL"
DONE = ("settled", "done")


def settings(home: Path) -> Settings:
    return Settings.from_environment(home)


def spend(home: Path) -> None:
    ledger = open_budget(home)
    ledger.declare("people", "row", 5.0, 1e-5)
    events = (GaussianEvent(sigma=4.0),)
    held = ledger.reserve(
        "people", events=events, label="people/x", measurement_key="1" * 64, run_id="run-1", attempt=0
    )
    ledger.settle(ledger.begin_reading(held), events)


@pytest.mark.postgres
def test_after_a_move_to_postgresql_the_chain_is_charged_for_what_is_new_and_for_nothing_twice(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, file = Home.make(tmp_path / "home"), tmp_path / "home.backup"
    first = chain.run(home.folder, DATASET, FEW_STAGES)
    assert first.exit_code == 0
    before = home.status()
    assert before is not None
    assert home.states() == [DONE]

    make_backup(settings(home.folder), file, PASSPHRASE)
    monkeypatch.setenv(URL, postgres_url)
    restore_backup(settings(home.folder), file, PASSPHRASE, replace=True)
    verdict = verify_ledgers(home.folder)
    assert verdict is not None
    assert verdict.whole
    assert verdict.unrecorded == ()
    assert verdict.audit.ledger.startswith("postgresql")

    again = chain.run(home.folder, DATASET, FEW_STAGES)
    assert again.exit_code == 0
    assert {a.state for a in again.assets.values()} == {"done"}
    assert len(again.assets) == len(first.assets) >= len(FEW_STAGES)
    assert [a.name for a in again.assets.values() if not a.reused] == []
    assert home.status() == before  # to the last digit

    chain.edit(home.folder, lambda c: c["synthesizers"][0].update(epsilon=2), DATASET)
    assert chain.run(home.folder, DATASET, FEW_STAGES).exit_code == 0
    after = home.status()
    assert after is not None
    assert after.releases[0] == before.releases[0]
    assert home.states() == [DONE, DONE]
    assert after.spent > before.spent + 0.5
    assert faults_of(home) == []

    monkeypatch.delenv(URL)  # as a process that nobody told of the move
    chain.edit(home.folder, lambda c: c["synthesizers"][0].update(epsilon=3), DATASET)
    forgetful = chain.run(home.folder, DATASET, FEW_STAGES)
    assert forgetful.exit_code == 2
    assert forgetful.error is not None
    assert "the ledgers of this home are in postgresql" in forgetful.error["message"]
    assert {p.name for p in (home.folder / "var" / "ledger").iterdir()} == {MARK, NOTE}


@pytest.fixture
def moved(tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that has spent in SQLite and was moved; the environment still names PostgreSQL."""
    home, file = tmp_path / "home", tmp_path / "home.backup"
    spend(home)
    make_backup(settings(home), file, PASSPHRASE)
    monkeypatch.setenv(URL, postgres_url)
    restore_backup(settings(home), file, PASSPHRASE, replace=True)
    return home


@pytest.mark.postgres
def test_no_command_uses_the_old_ledger_after_a_move_nor_puts_its_backup_back(
    moved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(URL)
    for asked in (["budget"], ["verify"], ["ledger"]):
        assert command([*asked, "--home", str(moved)]) == 2
        said = capsys.readouterr()
        assert "the ledgers of this home are in postgresql" in said.out + said.err
        assert URL in said.out + said.err
    for refused in (
        lambda: spend(moved),
        lambda: restore_backup(settings(moved), tmp_path / "home.backup", PASSPHRASE, replace=True),
        lambda: make_backup(settings(moved), tmp_path / "second.backup", PASSPHRASE),
    ):
        with pytest.raises(ConfigError, match="the ledgers of this home are in postgresql"):
            refused()
    assert {p.name for p in (moved / "var" / "ledger").iterdir()} == {MARK, NOTE}


@pytest.mark.postgres
def test_a_home_with_a_ledger_in_a_file_does_not_begin_a_second_one_in_postgresql(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    spend(home)
    monkeypatch.setenv(URL, postgres_url)
    with pytest.raises(ConfigError, match="the ledgers of this home are in a file") as refused:
        spend(home)
    assert "restore --replace" in str(refused.value.remedy)
    monkeypatch.delenv(URL)
    assert len(open_budget(home).status("people").releases) == 1


@pytest.mark.postgres
def test_a_file_that_is_no_ledger_any_more_is_taken_for_one_that_has_spent(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "home" / "var" / "ledger" / "budget.db"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"SQLite format 3\x00" + bytes(range(256)) * 20)
    monkeypatch.setenv(URL, postgres_url)
    with pytest.raises(ConfigError, match="the ledgers of this home are in a file"):
        spend(tmp_path / "home")
    shutil.rmtree(file.parent)
    spend(tmp_path / "home")


@pytest.mark.postgres
def test_another_database_is_used_only_where_it_holds_the_ledgers(
    moved: Path, postgres_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URL, postgres_server.rsplit("/", 1)[0] + "/template1")  # never written
    with pytest.raises(ConfigError, match="holds none: budgets that are spent would begin anew"):
        open_store_of(settings(moved))


@pytest.mark.postgres
def test_a_server_that_has_another_name_now_is_the_same_home_and_a_home_on_postgresql_from_the_start_has_the_mark(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv(URL, postgres_url)
    spend(home)
    open_budget(home)
    mark = home / "var" / "ledger" / MARK
    assert "127.0.0.1" in mark.read_text()
    monkeypatch.setenv(URL, postgres_url.replace("127.0.0.1", "localhost"))
    assert len(open_budget(home).status("people").releases) == 1
    assert "localhost" in mark.read_text()
    monkeypatch.delenv(URL)
    with pytest.raises(ConfigError, match="the ledgers of this home are in postgresql"):
        spend(home)
