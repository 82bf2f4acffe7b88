"""Quality on the labelled development tables: the floor that no change may fall through."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.csv as pacsv
import pytest

from synth_assets.pii.classify import classify_frame


def _scorer(folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("score_pii", folder / "score_pii.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["score_pii"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def scores(shared_data: Path) -> dict[str, dict[str, Any]]:
    folder = shared_data / "pii_dev"
    scorer = _scorer(folder)
    labels = scorer.read(folder / "pii_columns_dev.csv", ["table", "column", "entity_type", "identifier_class", "note"])
    rows = []
    for path in sorted((folder / "tables").glob("*.csv")):
        names = path.read_text(encoding="utf-8-sig").splitlines()[0]
        read = pacsv.ReadOptions(column_names=None)
        plain = pacsv.ConvertOptions(strings_can_be_null=True, null_values=[""], auto_dict_encode=False)
        table = pacsv.read_csv(
            path, read_options=read, convert_options=plain, parse_options=pacsv.ParseOptions(newlines_in_values=True)
        )
        assert names
        rows += [
            {
                "table": path.name,
                "column": v.column,
                "entity_type": v.entity_type,
                "identifier_class": v.identifier_class,
            }
            for v in classify_frame(table, table_name=path.stem)
        ]
    split = {flag: [r for r in labels if r["header_obfuscated"] == flag] for flag in ("no", "yes")}
    return {flag: scorer.score(some, rows) for flag, some in split.items()}


@pytest.mark.shared_data
def test_quality_with_own_headers(scores: dict[str, dict[str, Any]]) -> None:
    own = scores["no"]
    assert own["macro_f1"] >= 0.985
    assert own["direct_recall"] >= 0.99
    assert own["direct_precision"] >= 0.985


@pytest.mark.shared_data
def test_quality_without_telling_headers(scores: dict[str, dict[str, Any]]) -> None:
    assert scores["yes"]["macro_f1"] >= 0.945
    assert scores["yes"]["direct_recall"] >= 0.90
    assert scores["yes"]["direct_precision"] >= 0.98
