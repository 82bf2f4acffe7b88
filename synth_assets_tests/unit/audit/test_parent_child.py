"""Parents and children: SDMetrics' cardinality and intertable trends on the same tables, with held-out parents as control."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synth_assets.audit.fidelity.parent_child import Related, trend_findings
from synth_assets.audit.fidelity.relations import Sides, relation_findings
from synth_assets.config.thresholds import AuditLevels, AuditLimits
from synth_assets.tables.engine import Engine
from synth_assets.tables.schema import ColumnKind, ColumnSchema, ForeignKey

ENGINE = Engine(threads=1)
LIMITS = AuditLimits()
KEY = ForeignKey(columns=("pid",), parent_table="patients", parent_columns=("pid",))
PARENT = (
    ColumnSchema(name="frail", kind=ColumnKind.NUMBER, dtype="double"),
    ColumnSchema(name="ward", kind=ColumnKind.CATEGORY, dtype="string"),
)
CHILD = (
    ColumnSchema(name="cost", kind=ColumnKind.NUMBER, dtype="double"),
    ColumnSchema(name="kind", kind=ColumnKind.CATEGORY, dtype="string"),
)


def _clinic(patients, seed, *, tied=True):
    """Patients, and stays whose cost and kind follow from the patient where `tied`."""
    rng = np.random.default_rng(seed)
    frail, ward = rng.normal(size=patients), rng.choice(["heart", "bone", "skin"], patients)
    owner = np.repeat(np.arange(patients), rng.poisson(2, patients))
    whose = owner if tied else rng.permutation(owner)
    ids = np.array([f"{seed}-{i}" for i in range(patients)])
    cost = 3 * frail[whose] + rng.normal(size=len(owner))
    kind = np.where(rng.random(len(owner)) < 0.8, ward[whose], "other")
    return (
        pd.DataFrame({"pid": ids, "frail": frail, "ward": ward}),
        pd.DataFrame({"pid": ids[owner], "cost": np.where(rng.random(len(owner)) < 0.1, np.nan, cost), "kind": kind}),
    )


def _written(folder, frames):
    paths = []
    for name, frame in zip(("patients", "stays"), frames, strict=True):
        (folder / name).mkdir(parents=True)
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), folder / name / "part-00000.parquet")
        paths.append(folder / name)
    return paths


def _findings(tmp_path, synthetic, train, holdout=None):
    written = {
        side: _written(tmp_path / side, frames)
        for side, frames in {"synthetic": synthetic, "train": train, "holdout": holdout}.items()
        if frames is not None
    }
    parent, child = (Sides(**{side: paths[i] for side, paths in written.items()}) for i in range(2))
    found = relation_findings(child, parent, KEY, table="stays", engine=ENGINE, levels=AuditLevels())
    found += trend_findings(
        Related("stays", child, CHILD), Related("patients", parent, PARENT), KEY, engine=ENGINE, levels=AuditLevels(), limits=LIMITS, seed=1
    )  # fmt: skip
    return {f.metric.removeprefix("relations."): f for f in found}


def _theirs(real, synthetic):
    """SDMetrics' cardinality and intertable trends."""
    pytest.importorskip("sdmetrics", reason="needs the extra `sdv`")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sdmetrics.reports import QualityReport

        report = QualityReport()
        report.num_rows_subsample = None
        tables = {
            "patients": {
                "primary_key": "pid",
                "columns": {"pid": {"sdtype": "id"}, "frail": {"sdtype": "numerical"}, "ward": {"sdtype": "categorical"}},
            },
            "stays": {"columns": {"pid": {"sdtype": "id"}, "cost": {"sdtype": "numerical"}, "kind": {"sdtype": "categorical"}}},
        }  # fmt: skip
        relation = {
            "parent_table_name": "patients", "child_table_name": "stays", "parent_primary_key": "pid", "child_foreign_key": "pid",
        }  # fmt: skip
        named = [dict(zip(("patients", "stays"), frames, strict=True)) for frames in (real, synthetic)]
        report.generate(*named, {"tables": tables, "relationships": [relation]}, verbose=False)
    scores = report.get_properties().set_index("Property")["Score"]
    return float(scores["Cardinality"]), float(scores["Intertable Trends"])


@pytest.mark.parametrize("tied", [True, False])
def test_cardinality_and_trends_are_sdmetrics(tmp_path, tied):
    real, synthetic = _clinic(400, 1), _clinic(300, 2, tied=tied)
    found = _findings(tmp_path, synthetic, real)
    cardinality, trends = _theirs(real, synthetic)
    assert found["cardinality"].value == pytest.approx(cardinality, abs=1e-6)
    assert found["trends"].value == pytest.approx(trends, abs=1e-6)
    assert found["trends"].details == {"counted": 2}


def test_children_of_fresh_parents_pass_beside_held_out_ones(tmp_path):
    found = _findings(tmp_path, _clinic(600, 3), _clinic(600, 1), _clinic(300, 2))
    for metric in ("trends", "cardinality", "children"):
        assert found[metric].risk_level == "low"
        assert found[metric].baseline == pytest.approx(found[metric].value, abs=0.06)
    assert (found["trends"].sample_size, found["cardinality"].control_size) == (found["trends"].sample_size, 300)


def test_children_that_were_given_to_other_parents_fail(tmp_path):
    found = _findings(tmp_path, _clinic(600, 3, tied=False), _clinic(600, 1), _clinic(300, 2))
    assert found["trends"].risk_level == "high"
    assert found["trends"].excess > 0.3
    assert found["cardinality"].risk_level == "low"
    assert found["integrity"].value == 1


def test_parents_that_the_split_divided_by_themselves_keep_their_children_of_both_sides(tmp_path):
    """Every child of a training parent counts, and a child finds its parent in the other part."""
    parents, children = _clinic(600, 1)
    rng = np.random.default_rng(5)
    above, below = rng.random(len(parents)) < 0.7, rng.random(len(children)) < 0.7
    found = _findings(tmp_path, _clinic(600, 3), (parents[above], children[below]), (parents[~above], children[~below]))
    assert found["children"].value < 0.1
    assert found["trends"].value > 0.9
    assert found["trends"].control_size == int((~below).sum())


def test_tables_without_a_trend_have_no_figure(tmp_path):
    assert "trends" not in _findings(tmp_path, _clinic(200, 3), _clinic(200, 1, tied=False))
