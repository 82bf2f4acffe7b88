"""A unit of privacy that is a plain, repeating number and no key: no number of a person stands in a masked or a synthetic table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.dataset as ds

from synth_assets.storage.artifacts import Zone
from synth_assets_tests import chain

PEOPLE = 300


def visits(home: Path) -> set[int]:
    """A dataset of visits, one to four of each person; the persons' numbers."""
    rng = np.random.default_rng(3)
    folder = home / "configs" / "datasets"
    folder.mkdir(parents=True)
    numbers = 7_310_000 + 13 * np.arange(PEOPLE)
    owners = np.repeat(numbers, rng.integers(1, 5, PEOPLE))
    lines = [f"{p},{'ABC'[rng.integers(3)]},{rng.integers(0, 60)}" for p in owners.tolist()]
    (folder / "visits.csv").write_text("\n".join(["patient,ward,stay", *lines, ""]))
    columns = {"ward": {"categories": ["A", "B", "C"]}, "stay": {"lower": 0, "upper": 60}}
    table = {"source": {"path": "visits.csv"}, "max_per_unit": 4, "columns": columns}
    synthesizers = [{"name": "dp_marginals", "epsilon": 3}]
    config = {"name": "visits", "unit": "visits.patient", "tables": {"visits": table}, "synthesizers": synthesizers}
    chain.write_dataset(home, config | {"budget": {"epsilon": 10, "delta": 1e-5}})
    return set(numbers.tolist())


def values(home: Path, zone: Zone, asset: str, column: str) -> list[int]:
    store = chain.store(home)
    return (
        ds.dataset(sorted(store.path(store.current(zone, "visits", asset)).glob("part-*")))
        .to_table()[column]
        .to_pylist()
    )


def test_the_unit_is_masked_and_never_modelled(tmp_path: Path) -> None:
    real = visits(tmp_path)
    stages = ["raw", "pii_classification", "masked", "split", "dp_measurements", "model", "synthetic"]
    done = chain.run(tmp_path, "visits", stages)
    assert done.exit_code == 0, (done.error, done.failed_checks)
    store = chain.store(tmp_path)
    assert real == set(values(tmp_path, Zone.RESTRICTED, "raw_visits", "patient"))
    masked = values(tmp_path, Zone.MASKED, "masked_visits", "patient")
    assert len(set(masked)) == PEOPLE  # the visits of one person still belong together
    assert not {str(m) for m in masked} & {str(r) for r in real}
    made = store.path(store.current(Zone.RESTRICTED, "visits", "split")) / "tables.json"
    assert json.loads(made.read_text())["visits"]["modelled"] == ["ward", "stay"]
    synthetic = values(tmp_path, Zone.RESTRICTED, "synthetic_dp_marginals_visits", "patient")
    assert len(set(synthetic)) == len(synthetic)  # nothing says which rows belong together
    assert not set(synthetic) & real
