"""Several tables: one result, and the relations between them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synth_assets.audit.dataset import TableInput, audit_dataset
from synth_assets.audit.fidelity.relations import Sides, relation_findings
from synth_assets.audit.findings import BY_LOWER_BOUND
from synth_assets.config.thresholds import AuditLevels, AuditLimits
from synth_assets.errors import InputError, MissingArtifactError
from synth_assets.tables.engine import Engine
from synth_assets.tables.schema import ColumnKind, ColumnSchema, ForeignKey, TableSchema

ENGINE = Engine(threads=1)
KEY = ForeignKey(columns=("pid",), parent_table="patients", parent_columns=("pid",))
PATIENTS = TableSchema(
    name="patients",
    columns=(
        ColumnSchema(name="pid", kind=ColumnKind.ID, dtype="string"),
        ColumnSchema(name="sex", kind=ColumnKind.CATEGORY, dtype="string"),
        ColumnSchema(name="weight", kind=ColumnKind.NUMBER, dtype="double"),
    ),
    primary_key=("pid",),
)
VISITS = TableSchema(
    name="visits",
    columns=(
        ColumnSchema(name="pid", kind=ColumnKind.ID, dtype="string"),
        ColumnSchema(name="cost", kind=ColumnKind.NUMBER, dtype="double"),
        ColumnSchema(name="back", kind=ColumnKind.CATEGORY, dtype="string"),
    ),
    foreign_keys=(KEY,),
)


def _write(folder, table):
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(table), folder / "part-00000.parquet")
    return folder


def _clinic(folder, patients, seed, *, unit, most=3):
    rng = np.random.default_rng(seed)
    ids = np.array([f"{seed}-{i}" for i in range(patients)])
    owner = np.repeat(np.arange(patients), rng.integers(0, most + 1, patients))
    cost = rng.gamma(2, 100, len(owner))
    tables = {
        "patients": {"pid": ids, "sex": rng.choice(["F", "M"], patients), "weight": rng.normal(70, 12, patients)},
        "visits": {
            "pid": ids[owner],
            "cost": cost,
            "back": np.where(cost + rng.normal(0, 50, len(owner)) > 200, "yes", "no"),
        },
    }
    if unit:
        tables["patients"]["_unit"] = ids
        tables["visits"]["_unit"] = ids[owner]
    return {name: _write(folder / name, table) for name, table in tables.items()}


@pytest.fixture(scope="module")
def clinic(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clinic")
    return {
        "train": _clinic(folder / "train", 900, 1, unit=True),
        "holdout": _clinic(folder / "holdout", 500, 2, unit=True),
        "synthetic": _clinic(folder / "synthetic", 900, 3, unit=False),
    }


def _inputs(clinic, synthetic):
    schemas = {"patients": PATIENTS, "visits": VISITS}
    return [
        TableInput(name, clinic[synthetic][name], clinic["train"][name], clinic["holdout"][name], schema, schema.names)
        for name, schema in schemas.items()
    ]


LIMITS = AuditLimits(attack_rows=300, predicates=100)


@pytest.fixture(scope="module")
def result(clinic):
    return audit_dataset(
        _inputs(clinic, "synthetic"),
        engine=ENGINE,
        target=("visits", "back"),
        protected=(("patients", "sex"),),
        limits=LIMITS,
        seed=1,
    )


def test_one_result_covers_both_tables(result):
    assert result.inputs.tables == ("patients", "visits")
    assert result.inputs.columns == ("patients.sex", "patients.weight", "visits.cost", "visits.back")
    assert result.inputs.left_out == {"patients.pid": "key", "visits.pid": "key"}
    assert (result.inputs.target, result.inputs.protected) == ("visits.back", ("patients.sex",))
    assert {f.table for f in result.findings()} == {"patients", "visits"}
    assert result.inputs.synthetic_rows > 1800


def test_fidelity_is_the_mean_over_columns_and_privacy_the_worst(result):
    tvd = {f.table: f.value for f in result.findings("fidelity", "tvd_2way")}
    assert result.module_scores.fidelity == pytest.approx(1 - (tvd["patients"] + tvd["visits"]) / 2)
    deciding = [f for f in result.findings("privacy") if f.decides and not f.metric.startswith(BY_LOWER_BOUND)]
    upper = max(f.excess_interval[1] for f in deciding if f.excess_interval)
    assert result.module_scores.privacy == pytest.approx(1 - upper)
    assert result.figures.privacy_risk <= upper


def test_a_module_that_no_table_could_run_has_one_reason(result):
    assert result.module_scores.utility is not None
    assert result.module_scores.fairness is None
    assert "patients" in result.reasons["fairness"] or "outcome" in result.reasons["fairness"]
    assert "utility" not in result.reasons


def test_relations_of_a_sound_dataset(result):
    integrity = result.findings("fidelity", "relations.integrity")[0]
    assert integrity.value == 1.0
    children = result.findings("fidelity", "relations.children")[0]
    assert children.value < 0.08
    assert children.risk_level == "low"
    assert children.baseline < 0.08
    assert children.interval[0] <= children.value <= children.interval[1]
    assert (children.sample_size, children.control_size) == (900, 500)


def test_a_copied_child_table_makes_the_whole_dataset_high_risk(clinic):
    inputs = _inputs(clinic, "synthetic")
    copied = TableInput(
        "visits", clinic["train"]["visits"], *(clinic[s]["visits"] for s in ("train", "holdout")), VISITS, VISITS.names
    )
    result = audit_dataset([inputs[0], copied], engine=ENGINE, limits=LIMITS, seed=1)
    assert result.figures.privacy_risk_level == "high"
    assert result.findings("fidelity", "relations.integrity")[0].value == 0.0  # its parents are not the synthetic ones
    assert result.findings("fidelity", "relations.integrity")[0].risk_level == "high"


def test_orphans_are_counted_and_missing_references_are_none(tmp_path):
    parent = _write(tmp_path / "p", {"pid": ["a", "b"]})
    child = _write(tmp_path / "c", {"pid": ["a", "a", "z", None]})
    found = relation_findings(Sides(child), Sides(parent), KEY, table="visits", engine=ENGINE, levels=AuditLevels())
    assert len(found) == 1
    assert found[0].value == pytest.approx(2 / 3)
    assert found[0].details == {"references": 3, "orphans": 1}
    assert found[0].baseline is None


def test_orphans_of_the_real_rows_are_the_control(tmp_path):
    real_parent = _write(tmp_path / "rp", {"pid": ["a", "b"]})
    held_parent = _write(tmp_path / "hp", {"pid": ["c"]})
    train, held = _write(tmp_path / "t", {"pid": ["a", "z"]}), _write(tmp_path / "h", {"pid": ["a", "c", "y", "b"]})
    parent, child = _write(tmp_path / "p", {"pid": ["1"]}), _write(tmp_path / "c", {"pid": ["1", "2"]})
    found = relation_findings(
        Sides(child, train, held), Sides(parent, real_parent, held_parent), KEY, table="v", engine=ENGINE, levels=AuditLevels()
    )  # fmt: skip
    assert (found[0].value, found[0].baseline) == (0.5, 0.75)  # `a` and `b` are parents of the training part
    assert (found[0].sample_size, found[0].control_size) == (2, 4)


def test_keys_of_two_columns_and_of_two_types_are_followed(tmp_path):
    key = ForeignKey(columns=("a", "b"), parent_table="p", parent_columns=("x", "y"))
    parent = _write(tmp_path / "p", {"x": [1, 1], "y": ["m", "n"]})
    child = _write(tmp_path / "c", {"a": ["1", "1", "2"], "b": ["m", "n", "m"]})
    found = relation_findings(Sides(child), Sides(parent), key, table="c", engine=ENGINE, levels=AuditLevels())
    assert found[0].value == pytest.approx(2 / 3)


def test_children_per_parent_by_hand(tmp_path):
    real_parent = _write(tmp_path / "rp", {"pid": ["a", "b", "c", "d"]})
    real_child = _write(tmp_path / "rc", {"pid": ["a", "b"]})  # 0 children: 2 of 4, 1 child: 2 of 4
    parent = _write(tmp_path / "p", {"pid": ["a", "b"]})
    child = _write(tmp_path / "c", {"pid": ["a"] * 30 + ["b"]})  # 30 children: 1 of 2, 1 child: 1 of 2
    found = relation_findings(
        Sides(child, real_child), Sides(parent, real_parent), KEY, table="v", engine=ENGINE, levels=AuditLevels()
    )
    assert found[1].value == pytest.approx(0.5)
    assert found[1].risk_level == "high"
    assert (found[1].baseline, found[1].sample_size) == (None, 2)
    assert found[2].metric == "relations.cardinality"
    assert found[2].value == pytest.approx(0.5)  # at 0 children the shares are 0 and 1/2


def test_a_table_that_is_not_there_is_named(clinic):
    with pytest.raises(InputError, match="no table 'doctors'"):
        audit_dataset(_inputs(clinic, "synthetic"), engine=ENGINE, target=("doctors", "x"), seed=1)


def test_a_side_without_rows_counts_as_not_given_and_stops_nothing(clinic, tmp_path):
    empty = {name: pa.array([], pa.string()) for name in ("pid", "sex")} | {"weight": pa.array([], pa.float64())}
    nothing = _write(tmp_path / "nothing", empty)
    patients, visits = _inputs(clinic, "synthetic")
    made = TableInput("patients", patients.synthetic, patients.train, nothing, PATIENTS, PATIENTS.names)
    result = audit_dataset([made, visits], engine=ENGINE, limits=LIMITS, seed=1)
    assert "control group" in result.reasons["privacy.patients"]
    assert result.module_scores.privacy is not None  # that of the visits
    lost = TableInput("patients", nothing, patients.train, patients.holdout, PATIENTS, PATIENTS.names)
    result = audit_dataset([lost, visits], engine=ENGINE, limits=LIMITS, seed=1)
    assert result.reasons["privacy.patients"] == "The synthetic table has no rows."
    assert result.findings("fidelity", "relations.integrity")[0].value == 0.0
    assert result.findings("fidelity", "relations.children")[0].value == 1.0


def test_a_folder_that_is_not_there_is_named(clinic, tmp_path):
    patients, _ = _inputs(clinic, "synthetic")
    gone = TableInput("patients", tmp_path / "gone", patients.train, patients.holdout, PATIENTS, PATIENTS.names)
    with pytest.raises(MissingArtifactError, match="is not there"):
        audit_dataset([gone], engine=ENGINE, seed=1)
