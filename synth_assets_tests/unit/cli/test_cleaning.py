"""`clean`: everything that can be made again is gone, what cannot stays, and the audit ledger tells of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from synth_assets.api.ledgers import Filter, entries
from synth_assets.config.runtime import Settings
from synth_assets.ledger.opening import open_audit_ledger
from synth_assets.storage.lease import WriterLease
from synth_assets.storage.lease_files import FilePlace
from synth_assets_tests.unit.cli.conftest import Command

KEPT = {"ledger", "keys", "vault", "exchange"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name in ("restricted/d/a", "masked/d", "release/d", "dagster", "leases", "vault", "exchange"):
        (tmp_path / "var" / name).mkdir(parents=True)
        (tmp_path / "var" / name / "file").write_text("12345")
    (tmp_path / "logs").mkdir()
    (tmp_path / "inbox").mkdir()
    return tmp_path


def test_without_yes_nothing_is_deleted(cli: Command, home: Path) -> None:
    answer = cli("clean", "--home", str(home))
    assert answer.code == 2
    assert "--yes" in answer.err
    assert (home / "var" / "release" / "d" / "file").exists()


def test_what_runs_made_is_deleted_and_recorded_and_the_rest_stays(cli: Command, home: Path) -> None:
    done = json.loads(cli("clean", "--yes", "--json", "--home", str(home)).out)
    assert (done["files"], done["size_bytes"]) == (5, 25)
    assert {p.name for p in (home / "var").iterdir()} == KEPT
    assert {p.name for p in home.iterdir()} == {"var", "inbox"}
    (said,) = entries(open_audit_ledger(Settings(home=home)), Filter(action="delete"))
    assert (said["resource"], said["details"]["files"]) == ("home", 5)
    assert set(said["details"]["folders"]) == {"restricted", "masked", "release", "dagster", "leases", "logs"}
    again = json.loads(cli("clean", "--yes", "--json", "--home", str(home)).out)
    assert again == {"folders": [], "files": 0, "size_bytes": 0}


def test_nothing_is_deleted_while_a_run_writes(cli: Command, home: Path) -> None:
    lease = WriterLease(FilePlace(home / "var" / "leases"))
    lease.acquire("people", "r1")
    answer = cli("clean", "--yes", "--home", str(home))
    lease.release("people")
    assert answer.code == 2
    assert "people" in answer.err
    assert (home / "var" / "release" / "d" / "file").exists()
