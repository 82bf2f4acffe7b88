"""Paths in run config: what a job may read and write, and that a refusal tells nothing about the machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from synth_assets.api.file_requests import MaskRequest
from synth_assets.automation.admitted import admit_file, admit_request, admit_tables
from synth_assets.config.runtime import Settings
from synth_assets.errors import AccessRefusedError, ConfigError
from synth_assets_tests import chain
from synth_assets_tests.assets.test_automation import people_csv, run_job
from synth_assets_tests.assets.test_exchange import error_of

CANARY = "zofie.quillvex@example.org"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a table, beside a folder of somebody else's."""
    base = tmp_path / "home"
    people_csv(base / "data" / "people.csv")
    people_csv(tmp_path / "other" / "people.csv")
    (base / "data" / "link.csv").symlink_to(tmp_path / "other" / "people.csv")
    (base / "data" / "gone.csv").symlink_to(tmp_path / "other" / "gone.csv")
    (base / "data" / "round").symlink_to(base / "data" / "round")
    (base / "mixed").mkdir()
    (base / "mixed" / "a.csv").symlink_to(tmp_path / "other" / "people.csv")
    (base / "mixed" / "b.csv").write_text("a\n1\n")
    (base / "inner.csv").symlink_to(base / "data" / "people.csv")
    for file in ("keys/master.key", "ledger/budget.db", "masked/c/t.csv", "release/c/t.csv", "restricted/c/t.csv"):
        (base / "var" / file).parent.mkdir(parents=True)
        (base / "var" / file).write_text(CANARY)
    (base / ".env").write_text(CANARY)
    monkeypatch.chdir(base)
    return base


READ = [
    ("data/people.csv", True), ("data", False), ("./data/../data/people.csv", True), ("missing.csv", True), ("inner.csv", True),
    ("data/people*.csv", True), ("data/*.csv", False), ("*.csv", True), ("data/../../other/*.csv", False), ("../other/*.csv", False),
    ("**/../../other/people.csv", False), ("/etc/passwd", False), ("/etc/no such file", False), ("../../../etc/passwd", False),
    ("../other/people.csv", False), ("../other/gone.csv", False), ("data/link.csv", False), ("data/gone.csv", False),
    ("data/round", False), ("mixed", False), ("mixed/*", False), (".env", False), ("data/.hidden", False), ("a\0b", False),
    ("var/keys/master.key", False), ("var/ledger/budget.db", False), ("var/restricted/c/t.csv", False), ("var", False),
    ("var/*/master.key", False), ("var/masked/c/t.csv", True), ("var/release/c/t.csv", True), ("var/masked/../keys/master.key", False),
    ("/dev/stdin", False), ("/proc/self/environ", False), ("s3://a/../../../other/people.csv", False),
]  # fmt: skip


@pytest.mark.parametrize(("place", "admitted"), READ)
def test_a_job_reads_below_its_home_only_whatever_a_path_goes_through(place: str, admitted: bool, home: Path) -> None:
    settings = Settings.from_environment(home)
    if admitted:
        admit_file("file", place, settings)
        return
    with pytest.raises(AccessRefusedError) as caught:
        admit_file("file", place, settings)
    with pytest.raises(AccessRefusedError) as other:
        admit_file("file", "/no/such/folder", settings)
    assert str(caught.value) == str(other.value), "the words say nothing of the path"


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"out": "../other/out.csv"}, "out"),
        ({"out": "/srv/out.csv"}, "out"),
        ({"out": "var/masked/c/t.csv"}, "out"),
        ({"out": "configs/datasets/people.csv"}, "out"),
        ({"out": "data/link.csv"}, "out"),
        ({"out": "s3://a/../../../other/out.csv"}, "out"),
        ({"policy": "/etc/policy.yaml"}, "policy"),
        ({"policy": "../../../etc/policy"}, "policy"),
        ({"policy": "/etc/policy"}, "policy"),
        ({"file": "/etc/passwd"}, "file"),
    ],
)
def test_every_path_of_a_request_is_looked_at(fields: dict[str, str], key: str, home: Path) -> None:
    asked: dict[str, Any] = {"file": "data/people.csv", "out": "made/masked.csv"}
    settings = Settings.from_environment(home)
    admit_request(MaskRequest(**asked, policy="configs/own.yaml"), settings)
    with pytest.raises(AccessRefusedError) as caught:
        admit_request(MaskRequest(**asked | fields), settings)
    assert caught.value.key == key


def test_the_operator_names_further_folders(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTH_ASSETS_JOB_FOLDERS", f"{home.parent / 'other'}, /srv/none")
    settings = Settings.from_environment(home)
    for place in ("../other/people.csv", "data/link.csv", "mixed", "data/*.csv", str(home.parent / "other")):
        admit_file("file", place, settings)
    for place in ("../others/people.csv", "/etc/passwd"):
        with pytest.raises(AccessRefusedError):
            admit_file("file", place, settings)
    monkeypatch.setenv("SYNTH_ASSETS_JOB_FOLDERS", "/")
    with pytest.raises(AccessRefusedError):
        admit_file("file", "var/keys/master.key", Settings.from_environment(home))
    monkeypatch.setenv("SYNTH_ASSETS_JOB_FOLDERS", "other")
    with pytest.raises(ConfigError, match="SYNTH_ASSETS_JOB_FOLDERS holds a path that is not absolute"):
        Settings.from_environment(home)


def test_key_files_are_not_read_even_in_a_folder_for_jobs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.from_environment(home)
    admit_file("file", "data/people.csv", settings)
    monkeypatch.setenv("SYNTH_ASSETS_LEDGER_KEY_FILE", str(home / "data" / "people.csv"))
    with pytest.raises(AccessRefusedError):
        admit_file("file", "data/people.csv", settings)


def test_addresses_and_sealed_tables_have_rules_of_their_own(home: Path) -> None:
    admit_tables({"file": "https://example.org/a.csv", "real": "exchange:r/a.csv"}, Settings.from_environment(home))


@pytest.mark.parametrize(
    ("job", "config", "key"),
    [
        ("profile_file", {"file": "../other/people.csv"}, "file"),
        ("mask_file", {"file": "../other/people.csv", "out": "masked.csv"}, "file"),
        ("generate_tables", {"table_schema": "../other/people.csv", "out": "made"}, "table_schema"),
        ("synthesize_file", {"file": "data/people.csv", "out": "a.csv", "domain": "../other/people.csv"}, "domain"),
        ("audit_request", {"synthetic_data_url": "../other/people.csv"}, "synthetic_data_url"),
        ("audit_request", {"synthetic_data_url": "data/people.csv", "config": "../other/people.csv"}, "config"),
    ],
)
def test_a_job_refuses_a_path_that_is_not_for_it(job: str, config: dict[str, str], key: str, home: Path) -> None:
    told = [error_of(run_job(home, job, config))]
    told.append(error_of(run_job(home, job, {**config, key: "../other/none.csv"})))
    assert told[0] == told[1], "a file that is there and one that is not look the same"
    assert (told[0]["code"], told[0]["key"], told[0]["file"]) == ("access_refused", key, None)
    assert not (home / "masked.csv").exists()


def test_the_home_that_a_link_names_is_the_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home.parent / "named").symlink_to(home)
    monkeypatch.chdir(home.parent / "named")
    admit_file("file", "data/people.csv", Settings.from_environment(home.parent / "named"))
    with chain.standing_in(home):
        admit_file("file", str(home.parent / "named" / "data" / "people.csv"), Settings.from_environment(home))
