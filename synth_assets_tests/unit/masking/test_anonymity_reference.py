"""k, l and t as we measure them are those of pycanon (scripts/reference_pycanon.py wrote the figures)."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest

from synth_assets.config.dataset import SourceConfig
from synth_assets.masking.anonymity.verify import measure
from synth_assets.tables.sources import ingest
from synth_assets_tests.unit.masking.conftest import ENGINE

FOLDER = Path(__file__).parents[2] / "reference"
REFERENCE = json.loads((FOLDER / "pycanon.json").read_text())


def compare(file: Path, name: str, tmp_path: Path) -> None:
    assert hashlib.sha256(file.read_bytes()).hexdigest() == REFERENCE["inputs"][name]
    schema = ingest(SourceConfig(path=str(file)), name=name, base_dir=tmp_path, out=tmp_path / name, engine=ENGINE)
    cases: dict[str, Any] = REFERENCE["figures"][name]
    with ENGINE.session() as session:
        table = session.parquet(tmp_path / name)
        for quasi, expected in cases.items():
            found = measure(session, table, schema, quasi.split(", "), tuple(expected["sensitive"]))
            assert found.k == expected["k"], quasi
            for one in found.sensitive:
                theirs = expected["sensitive"][one.column]
                assert one.distinct == theirs["l"], (quasi, one.column)
                assert math.floor(one.entropy + 1e-9) == theirs["entropy_l"], (quasi, one.column)
                assert one.t == pytest.approx(theirs["t"], abs=1e-6), (quasi, one.column)


def test_a_small_table_measures_as_pycanon_says(tmp_path: Path) -> None:
    compare(FOLDER / "pycanon_table.csv", "table", tmp_path)


@pytest.mark.shared_data
def test_adult_measures_as_pycanon_says(tmp_path: Path, shared_data: Path) -> None:
    compare(shared_data / "adult" / "train.csv", "adult", tmp_path)
