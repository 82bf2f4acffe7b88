"""A run is killed (SIGKILL) at fixed and at random points; a plain re-run completes, and nothing is half written or forgotten."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from synth_assets.storage.artifacts import Zone
from synth_assets_tests import chain
from synth_assets_tests.faults.harness import DATASET, STAGES, Home, Runs, faults_of, faults_of_records

RANDOM_KILLS = 50
UNTIL_TRAINED = ("raw", "pii_classification", "split", "model")
AFTER_KILL = {  # state of the reservation after the kill, and of all after the re-run
    "before reserve": ([], [("settled", "done")]),
    "after reserve": ([("reserved", None)], [("released", None), ("settled", "done")]),
    "in the fit": ([("reading", None)], [("settled", "failed"), ("settled", "done")]),
    "before the rename": ([("settled", "done")], [("settled", "done"), ("settled", "done")]),
}


@pytest.mark.parametrize("point", sorted(AFTER_KILL))
def test_a_run_that_was_killed_is_completed_by_a_plain_run_and_its_cost_is_counted(
    runs: Runs, tmp_path: Path, point: str
) -> None:
    home = Home.make(tmp_path / "home")
    assert runs.run(home, kill=f"point:{point}") is None
    killed, finished = AFTER_KILL[point]
    assert home.states() == killed
    assert faults_of_records(home) == []  # before anything mends it
    before = home.status()
    assert chain.store(home.folder).find(Zone.RELEASE, DATASET, "dp_measurements") is None
    done = runs.run(home)
    assert done is not None
    assert (done["exit_code"], done["error"]) == (0, None)
    assert set(done["states"].values()) == {"done"}
    assert "split" in done["reused"]  # what was finished is not done again
    assert home.states() == finished
    assert faults_of(home) == []
    after = home.status()
    assert before is not None
    assert after is not None
    if home.reads == 2:  # what was drawn before the kill counts in full, and the next run has measured anew
        assert after.releases[0].epsilon == before.releases[0].epsilon > 0.5
        assert after.spent > max(r.epsilon for r in after.releases)


@pytest.mark.parametrize("method", ["dp_tvae", "dp_ctgan"])
def test_a_killed_training_is_counted_in_full_and_leaves_no_model(runs: Runs, tmp_path: Path, method: str) -> None:
    home = Home.make(tmp_path / "home")
    training = {"warm_start": False, "steps": 6}
    synthesizers = [{"name": method, "epsilon": 2, "training": training}]
    chain.edit(home.folder, lambda config: config.update(synthesizers=synthesizers), DATASET)
    assert runs.run(home, kill="point:in the training", stages=UNTIL_TRAINED) is None
    status = home.status()
    assert status is not None
    assert [(r.state, r.label) for r in status.releases] == [("reading", f"{DATASET}/model_{method}")]
    assert status.reserved > 1.5  # at the delta of the budget, which is larger
    assert chain.store(home.folder).find(Zone.RELEASE, DATASET, f"model_{method}") is None
    assert not [p for p in (home.folder / "var" / "release").rglob("*") if p.is_file()]


def test_the_search_for_faults_finds_them(runs: Runs, tmp_path: Path) -> None:
    home = Home.make(tmp_path / "home")
    assert runs.run(home) is not None
    assert faults_of(home) == []
    (asset,) = (home.folder / "var" / "release").glob("*/dp_measurements")
    (folder,) = (p for p in asset.iterdir() if p.is_dir())
    (folder / "more").write_text("half")
    sealed = next((home.folder / "var" / "restricted").glob("*/raw_*/*/*.parquet"))
    sealed.write_bytes(sealed.read_bytes()[:-1])
    (asset / ".current.json.0123.tmp.json").write_text("{")
    (home.folder / "var" / "restricted" / ".scratch" / DATASET / ".staging-1").mkdir(parents=True)
    home.witnesses.append(home.witnesses[0])  # a read that nobody counted
    with closing(sqlite3.connect(home.folder / "var" / "ledger" / "budget.db")) as ledger, ledger:
        ledger.execute("DROP TRIGGER chain_entries_no_update")
        changed = ledger.execute(
            'UPDATE chain_entries SET record = replace(record, ?, ?) WHERE record LIKE \'%"materialise"%/split"%\'',
            ('"published":true', '"published":null'),
        )
        assert changed.rowcount == 1
    found = faults_of(home)
    assert [f.partition(":")[0] for f in found] == [
        "left over",
        "left over",
        "half written",
        "half written",
        "not on record",
        "2 runs have read, 1 are counted",
        "the record is broken",
    ]


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_fifty_runs_killed_at_random_points_recover(runs: Runs, tmp_path: Path) -> None:
    """Half of the kills are at a random second of CPU time, half before a random file operation; each is followed by a plain run."""
    whole = runs.run(Home.make(tmp_path / "whole"), stages=STAGES)
    assert whole is not None
    assert whole["exit_code"] == 0
    chance = np.random.default_rng(20261122)
    bad, late = {}, 0
    for number in range(RANDOM_KILLS):
        home = Home.make(tmp_path / f"home-{number}")
        if number % 2:
            cpu, kill = float(chance.uniform(0.05, 0.95)) * whole["cpu"], ""
        else:
            cpu, kill = 0.0, f"files:{chance.integers(1, whole['files'] + 1)}"
        for _ in range(3):  # a point that a run does not reach kills nothing: another one
            if runs.run(home, kill=kill, cpu_seconds=cpu, stages=STAGES) is None:
                break
            late += 1
            cpu, kill, home = (
                0.8 * cpu,
                f"files:{chance.integers(1, whole['files'] // 2)}" if kill else "",
                Home.make(tmp_path / f"home-{number}-{late}"),
            )
        else:
            pytest.fail("three runs in a row were not killed")
        broken = faults_of_records(home)
        done = runs.run(home, stages=STAGES)
        faults = broken + faults_of(home)
        if done is None or done["exit_code"] != 0 or len(done["states"]) < len(STAGES) or faults:
            bad[f"{number}: {kill or round(cpu, 2)}"] = (done and done["error"], faults)
        sys.stdout.write(f"{number + 1}: {kill or f'cpu:{cpu:.2f}'} {home.states()} {'bad' if faults else 'whole'}\n")
    assert bad == {}
