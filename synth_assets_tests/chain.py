"""A home folder for tests, and its chain run in this process on a persistent Dagster instance, as the command line does it."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import numpy as np
import yaml

from synth_assets.automation.runner import ChainRun, prepare_home, run_chain
from synth_assets.config.runtime import LoadedDataset, Settings, load_datasets
from synth_assets.config.stores import store_of
from synth_assets.definitions import build_defs
from synth_assets.storage.artifacts import ArtifactStore

ROOT = Path(__file__).resolve().parents[1]
ROWS = 700
_STORES: list[ArtifactStore] = []


def make_home(folder: Path, *, rows: int = ROWS, copula: bool = False) -> Path:
    """A home with the demo dataset, made small; the DP synthesizer alone unless the copula is asked for."""
    folder.mkdir(parents=True)
    shutil.copytree(ROOT / "configs", folder / "configs")

    def smaller(config: dict) -> None:
        for table in config["tables"].values():
            table["source"]["rows"] = rows
        config["synthesizers"] = [{"name": "dp_marginals", "epsilon": 6, "delta": 1e-6}]
        config["synthesizers"] += [{"name": "gaussian_copula"}] if copula else []
        config["holdout"] = 0.45  # an attack needs 100 units on each side
        config["exports"] = ["parquet", "csv"]
        config["thresholds"] = {"privacy_risk": "high"}  # so few rows give wide intervals

    edit(folder, smaller)
    return folder


def edit(home: Path, change: Callable[[dict], None], dataset: str = "clinic") -> None:
    """Change the dataset's YAML."""
    file = home / "configs" / "datasets" / f"{dataset}.yaml"
    config = yaml.safe_load(file.read_text())
    change(config)
    file.write_text(yaml.safe_dump(config, sort_keys=False))


def write_dataset(home: Path, config: dict) -> Path:
    """Write a dataset's YAML into the home."""
    file = home / "configs" / "datasets" / f"{config['name']}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    return file


def people(
    home: Path,
    name: str,
    *,
    epsilon: float,
    budget: float,
    population: str | None = None,
    seed: int = 1,
    rows: int = 200,
) -> None:
    """A small single-table dataset of made-up people with a declared domain."""
    rng = np.random.default_rng(seed)
    lines = [f"{i},{rng.integers(18, 90)},{'FM'[rng.integers(2)]},{rng.integers(2)}" for i in range(rows)]
    folder = home / "configs" / "datasets"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.csv").write_text("\n".join(["person_id,age,sex,ill", *lines, ""]))
    config = {
        "name": name,
        "source": {"path": f"{name}.csv"},
        "primary_key": "person_id",
        "columns": {
            "age": {"kind": "number", "lower": 0, "upper": 120},
            "sex": {"kind": "category", "categories": ["F", "M"]},
            "ill": {"kind": "category", "categories": ["0", "1"]},
        },
        "budget": {"epsilon": budget, "delta": 1e-5},
        "synthesizers": [{"name": "dp_marginals", "epsilon": epsilon}],
    }
    write_dataset(home, config | ({"population": population} if population else {}))


@contextmanager
def standing_in(home: Path) -> Iterator[None]:
    """Stand in a home as the command line does, and go back at the end."""
    before, named = Path.cwd(), os.environ.get("DAGSTER_HOME")
    try:
        prepare_home(home)
        yield
    finally:
        os.chdir(before)
        if named is None:
            os.environ.pop("DAGSTER_HOME", None)
        else:
            os.environ["DAGSTER_HOME"] = named


def definitions(home: Path, dataset: str | None = None) -> dg.Definitions:
    """Definitions of a home, or of one dataset in it."""
    settings = Settings.from_environment(home)
    return build_defs(settings, datasets=[d for d in load_datasets(settings) if dataset in {None, d.config.name}])


def loaded(home: Path, dataset: str = "clinic") -> LoadedDataset:
    """One dataset of a home."""
    return next(d for d in load_datasets(Settings.from_environment(home)) if d.config.name == dataset)


def run(home: Path, dataset: str = "clinic", stages: Sequence[str] | None = None, *, fresh: bool = False) -> ChainRun:
    """Materialise a chain, or some stages of it."""
    with standing_in(home):
        return run_chain(definitions(home), dataset, stages=stages, fresh=fresh)


@contextmanager
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    """The persistent instance of a home."""
    with standing_in(home), dg.DagsterInstance.get() as found:
        yield found


def store(home: Path) -> ArtifactStore:
    """The artifact store of a home; kept, since its plain copies live as long as it does."""
    _STORES.append(store_of(Settings(home=home)))
    return _STORES[-1]


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Make a folder once for all workers of a test session; the others wait for it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder.parent / f"{folder.name}.done"
        if not done.exists():
            make(folder)
            done.touch()
    return folder


def copy_home(home: Path, to: Path) -> Path:
    """A copy that a test may change; artifacts, ledger, keys and Dagster's history come along."""
    shutil.copytree(home, to)
    return to
