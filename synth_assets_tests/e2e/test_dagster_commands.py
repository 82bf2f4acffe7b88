"""Dagster's own commands from the root of a fresh copy of the project, with a history that persists, and no value in what they keep."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from synth_assets_tests import chain
from synth_assets_tests.guards import canaries

BIN = Path(sys.executable).parent
ROWS = 120


def environment(project: Path) -> dict[str, str]:
    """The environment of a person who has just cloned the project; the shell keeps PWD, which `.env` reads."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DAGSTER", "SYNTH_ASSETS", "PYTEST"))}
    return {**kept, "OMP_NUM_THREADS": "1", "DAGSTER_DISABLE_TELEMETRY": "1", "NO_COLOR": "1", "PWD": str(project)}


def call(project: Path, *command: str, timeout: int = 200) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(BIN / command[0]), *command[1:]], check=False, cwd=project, env=environment(project), capture_output=True, text=True,
        timeout=timeout,
    )  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tracked files of the project, in another place; the demo is made small."""
    folder = tmp_path_factory.mktemp("clone") / "synth_assets_clone"
    if shutil.which("git") is None or not (chain.ROOT / ".git").exists():
        pytest.skip("no git checkout to copy the tracked files from")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], check=True, cwd=chain.ROOT, capture_output=True, text=True, timeout=60
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (chain.ROOT / name).is_file() and not name.startswith("synth_assets_tests/"):  # the tests hold the canaries
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(chain.ROOT / name, folder / name)

    def smaller(config: dict) -> None:
        for table in config["tables"].values():
            table["source"]["rows"] = ROWS

    chain.edit(folder, smaller)
    return folder


def materialize(project: Path, select: str) -> subprocess.CompletedProcess:
    return call(project, "dagster", "asset", "materialize", "-m", "synth_assets.definitions", "--select", select)


@pytest.mark.slow
def test_assets_are_materialised_from_the_root_and_the_history_persists(project: Path) -> None:
    first = materialize(project, 'key:"clinic/raw_patients"')
    assert first.returncode == 0, first.stderr[-3000:]
    second = materialize(project, 'key:"clinic/raw_patients" or key:"clinic/raw_encounters"')
    assert second.returncode == 0, second.stderr[-3000:]
    import dagster as dg

    with chain.instance(project) as instance:
        found = instance.fetch_materializations(dg.AssetKey(["clinic", "raw_patients"]), limit=9).records
        reused = [r.asset_materialization.metadata["reused"].value for r in found]
    assert reused == [True, False]
    outside = {p.name for p in project.iterdir()} - {"var"}
    assert {p for p in outside if p.startswith(".tmp_dagster_home")} == set()


@pytest.mark.slow
def test_dg_knows_the_project(project: Path) -> None:
    checked = call(project, "dg", "check", "defs")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    listed = call(project, "dg", "list", "defs", "--json")
    assert listed.returncode == 0, listed.stderr
    found = json.loads(listed.stdout)
    keys = {a["asset_key"] for a in found["assets"]}
    assert {"clinic/raw_patients", "clinic/dp_measurements", "clinic/export_csv"} <= keys


def test_the_definitions_are_valid(project: Path) -> None:
    done = call(project, "dagster", "definitions", "validate")
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_broken_yaml_is_told_in_one_line_by_dagster_too(project: Path) -> None:
    file = project / "configs" / "datasets" / "broken.yaml"
    file.write_text("name: broken\nsource: {path: a.csv}\nprimary: a\n")
    try:
        done = call(project, "dagster", "definitions", "validate")
    finally:
        file.unlink()
    assert done.returncode != 0
    (told,) = {line for line in (done.stdout + done.stderr).splitlines() if "this key is not known" in line}
    assert "broken.yaml, line 3, key 'primary'" in told


def test_a_failing_materialization_keeps_no_value(project: Path, tmp_path: Path) -> None:
    canaries.write_tables(tmp_path)
    file = tmp_path / "people.csv"
    lines = file.read_text().splitlines()
    lines[4] = lines[4].replace(",", ";", 3) + ',"'
    file.write_text("\n".join(lines) + "\n")
    canaries.write_config(project, tmp_path, copula=False)
    try:
        done = materialize(project, 'key:"town/raw_people" or key:"town/raw_visits"')
        assert done.returncode != 0
        told = done.stdout + done.stderr
        assert "people.csv" in told
        assert [c for c in canaries.canaries() if c in told] == []
        assert canaries.leaks(project, canaries.canaries()) == {}
    finally:
        (project / "configs" / "datasets" / "town.yaml").unlink()
