"""`privacy sweep`: refused before anything is read, charged as a whole, free when asked for again, and restricted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from synth_assets_tests.unit.cli.conftest import Command


@pytest.fixture
def ward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dataset of 500 made-up rows with a budget of epsilon 4."""
    monkeypatch.setenv("SYNTH_ASSETS_AUDIT_REPETITIONS", "10000")
    rng = np.random.default_rng(5)
    sick = rng.random(500) < 0.3
    lines = [f"{int(np.clip(rng.normal(60 if s else 42, 12), 18, 90))},{'yes' if s else 'no'}" for s in sick]
    (tmp_path / "ward.csv").write_text("age,ill\n" + "\n".join(lines) + "\n")
    config = {
        "name": "ward",
        "source": {"path": "ward.csv"},
        "target": "ill",
        "holdout": 0.4,
        "budget": {"epsilon": 4, "delta": 1e-5},
        "columns": {"age": {"lower": 18, "upper": 90}, "ill": {"kind": "category", "categories": ["yes", "no"]}},
        "synthesizers": [{"name": "dp_marginals"}],
        "sweep": [1, 3],
        "audit": {"limits": {"compare_rows": 8}},
    }
    file = tmp_path / "ward.yaml"
    file.write_text(yaml.safe_dump(config))
    return file


def swept(ward: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A process of its own: a run of Dagster takes the streams of its process."""
    command = [sys.executable, "-m", "synth_assets.cli", "privacy", "sweep", str(ward), *arguments]
    root = str(Path(__file__).resolve().parents[3])
    return subprocess.run(
        command,
        cwd=ward.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "PYTHONPATH": root},
    )


def test_a_sweep_is_refused_or_charged_as_a_whole_and_free_when_asked_for_again(
    cli: Command, ward: Path, tmp_path: Path
) -> None:
    refused = swept(ward, "--epsilon", "2,4", "--json")
    assert refused.returncode == 4, refused.stderr
    message = json.loads(refused.stdout)["error"]["message"]
    assert "the 2 runs ask for epsilon" in message
    assert "No data was read" in message
    assert cli("budget", "ward", "--json").json["releases"] == []

    told = swept(ward, "--json")
    assert told.returncode == 0, told.stderr
    made = json.loads(told.stdout)
    assert [(t["epsilon"], t["release"]) for t in made["trials"]] == [(1.0, 1), (3.0, 1)]
    assert all(0 <= t["fidelity"] <= 1 for t in made["trials"])  # of 8 rows and noise of the OS: any score may come
    assert all(t["utility"] is None and t["attack"] is None for t in made["trials"])  # of 8 rows, as the YAML asks
    budget = cli("budget", "ward", "--json").json
    assert budget["spent"] == pytest.approx(made["charged"])
    assert [r["label"] for r in budget["releases"]] == ["ward/privacy_sweep"] * 2

    restricted = tmp_path / ".synth_assets" / "var" / "restricted"
    assert Path(made["folder"]).is_relative_to(restricted)
    assert cli("decrypt", made["asset"], "-o", tmp_path / "plain").code == 0
    assert {p.name for p in (tmp_path / "plain").iterdir()} == {"result.json", "sweep.png", "sweep.html"}
    assert not (tmp_path / ".synth_assets" / "var" / "release").exists()
    assert json.loads((tmp_path / "plain" / "result.json").read_text())["trials"] == made["trials"]

    judged = yaml.safe_load(ward.read_text())
    judged["audit"]["limits"]["compare_rows"] = 50_000  # other cut-offs and limits are no reason to pay again
    ward.write_text(yaml.safe_dump(judged))
    again = swept(ward)
    assert again.returncode == 0
    assert "was charged before" in again.stdout
    assert "Restricted" in again.stdout
    assert cli("budget", "ward", "--json").json["spent"] == budget["spent"]


@pytest.mark.parametrize("epsilon", ["", "0", "1,1", "a", "1,,200"])
def test_epsilons_that_cannot_be_are_exit_2(cli: Command, ward: Path, epsilon: str) -> None:
    answer = cli("privacy", "sweep", ward, "--epsilon", epsilon)
    assert answer.code == 2
    assert "--epsilon 0.5,1,3" in answer.err


def test_a_sweep_in_the_yaml_is_an_asset_that_spends_and_stays_restricted(ward: Path) -> None:
    from synth_assets.config.load import load_dataset
    from synth_assets.config.runtime import LoadedDataset, Settings
    from synth_assets.definitions import build_defs

    settings = Settings.from_environment(ward.parent)
    graph = build_defs(settings, datasets=[LoadedDataset(load_dataset(ward), ward)]).resolve_asset_graph()
    names = {k.path[-1]: k for k in graph.get_all_asset_keys()}
    sweep = graph.get(names["privacy_sweep"])
    assert sweep.tags["zone"] == "restricted"
    assert {k.path[-1] for k in sweep.parent_keys} == {"split"}
    assert {k.path[-1] for k in sweep.child_keys} == {"privacy_budget"}
    assert sweep.assets_def.op.required_resource_keys == {"store", "engine", "ledger", "forms"}
