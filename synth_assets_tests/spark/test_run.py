"""Chains from the command line where PySpark is installed: the demo on DuckDB, and a dataset on Spark that gives what DuckDB gives."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synth_assets.storage.artifacts import Zone
from synth_assets_tests import chain
from synth_assets_tests.spark.conftest import CONF, MASTER, near

pytestmark = [pytest.mark.spark, pytest.mark.timeout(1800)]
ROWS = 400
WARD = {
    "name": "ward",
    "description": "Patients of a made-up ward, in two files, and their visits.",
    "owners": ["team:privacy"],
    "unit": "patients.patient_id",
    "budget": {"epsilon": 8, "delta": 1e-5},
    "policy": "dev_test",
    "seed": 7,
    "holdout": 0.45,  # an attack needs 100 units on each side
    "tables": {
        "patients": {
            "source": {"path": "../../lake/patients"},
            "primary_key": "patient_id",
            "columns": {
                "sex": {"kind": "category", "categories": ["F", "M"]},
                "bmi": {"kind": "number", "lower": 10, "upper": 60},
                "smoker": {"kind": "boolean"},
            },
            "contract": [
                {"expect": "column_values_to_match_regex", "column": "phone", "regex": r"^\d{3}-\d{3}-\d{4}$"}
            ],
        },
        "visits": {
            "source": {"path": "../../lake/visits.csv"},
            "primary_key": "visit_id",
            "foreign_keys": {"patient_id": "patients.patient_id"},
            "max_per_unit": 2,
            "columns": {"kind": {"kind": "category", "categories": ["a", "b"]}},
        },
    },
    "target": "patients.smoker",
    "synthesizers": [{"name": "dp_marginals", "epsilon": 6, "delta": 1e-6}],
    "thresholds": {"privacy_risk": "high"},  # so few rows give wide intervals
    "exports": ["csv"],
}


def lake(folder: Path) -> None:
    """The sources of the ward."""
    made = np.random.default_rng(5)
    (folder / "patients").mkdir(parents=True)
    last = ["Abel", "Brandt", "Castle", "Dorn", "Ernst", "O'Neil"]
    for part in range(2):
        ids = range(part * ROWS // 2, (part + 1) * ROWS // 2)
        columns = {
            "patient_id": list(ids),
            "last_name": [f"{last[i % 6]}" for i in ids],
            "phone": [f"617-555-{i:04d}" for i in ids],
            "sex": [("F", "M")[i % 2] for i in ids],
            "bmi": made.normal(27, 4, len(ids)).clip(12, 55).round(1),
            "smoker": made.random(len(ids)) < 0.3,
        }
        pq.write_table(pa.table(columns), folder / "patients" / f"{part}.parquet")
    lines = ["visit_id,patient_id,kind,note"]
    for i in range(ROWS + 60):
        person = i % ROWS
        lines.append(f"V{i},{person},{'ab'[i % 2]},Saw {last[person % 6].upper()} and rang 617-555-{person:04d}")
    (folder / "visits.csv").write_text("\n".join(lines) + "\n")


def call(home: Path, dataset: str, **more: str) -> dict[str, Any]:
    """`synth-assets run`, in a process of its own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DAGSTER", "SYNTH_ASSETS", "PYTEST", "PYSPARK"))}
    done = subprocess.run(
        [sys.executable, "-m", "synth_assets.cli", "run", f"configs/datasets/{dataset}.yaml", "--home", str(home), "--json"],
        check=False, cwd=home, env={**kept, "OMP_NUM_THREADS": "1", **more}, capture_output=True, text=True, timeout=1500,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
    assert "Exception" not in done.stderr
    return json.loads(done.stdout)


def newest(home: Path, asset: str, zone: Zone) -> Path:
    """The folder of an asset's newest artifact."""
    store = chain.store(home)
    return store.path(store.current(zone, "ward", asset))


def table(home: Path, asset: str, zone: Zone) -> pa.Table:
    """The table of an asset's newest artifact."""
    return pq.read_table(sorted(newest(home, asset, zone).rglob("part-*.parquet")))


@pytest.mark.slow
def test_the_demo_runs_on_duckdb_where_pyspark_is_installed(spark: object, tmp_path: Path) -> None:
    del spark  # skips where it is not
    home = chain.make_home(tmp_path / "home", rows=ROWS)
    assert call(home, "clinic")["exit_code"] == 0


@pytest.mark.slow
def test_a_chain_on_spark_gives_the_tables_of_duckdb(spark: object, tmp_path: Path) -> None:
    del spark
    homes = {name: tmp_path / name for name in ("duckdb", "spark")}
    lake(tmp_path / "lake")
    for home in homes.values():
        home.mkdir()
        config = json.loads(json.dumps(WARD).replace("../../lake", str(tmp_path / "lake")))
        chain.write_dataset(home, config)
    assert call(homes["duckdb"], "ward")["exit_code"] == 0
    shutil.copytree(homes["duckdb"] / "var" / "keys", homes["spark"] / "var" / "keys")
    entries = "; ".join(f"{k}={v}" for k, v in {**CONF, "spark.local.dir": str(tmp_path / "local")}.items())
    settings = {"SYNTH_ASSETS_ENGINE": "spark", "SYNTH_ASSETS_SPARK_MASTER": MASTER, "SYNTH_ASSETS_SPARK_CONF": entries}
    assert call(homes["spark"], "ward", **settings)["exit_code"] == 0
    for asset, zone in {
        "raw_patients": Zone.RESTRICTED, "raw_visits": Zone.RESTRICTED, "masked_patients": Zone.MASKED, "masked_visits": Zone.MASKED,
    }.items():  # fmt: skip
        found = [table(home, asset, zone) for home in homes.values()]
        assert found[0].num_rows == (ROWS if asset.endswith("patients") else ROWS + 60)
        assert [f.type for f in found[1].schema] == [f.type for f in found[0].schema]
        assert found[1].to_pydict() == found[0].to_pydict(), asset
    for asset in ("profile", "pii_classification"):
        records = [
            json.loads((newest(home, asset, Zone.RESTRICTED) / "result.json").read_text()) for home in homes.values()
        ]
        assert records[0] == near(records[1]), asset
    notes = table(homes["spark"], "masked_visits", Zone.MASKED)["note"].to_pylist()
    assert not [n for n in notes if "617-555-" in n or "O'NEIL" in n]
