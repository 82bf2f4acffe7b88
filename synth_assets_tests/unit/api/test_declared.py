"""What a caller declares reaches every part of an audit that uses it: from a dataset's YAML, a request, and the library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from synth_assets import api
from synth_assets.api import handler
from synth_assets.audit.records import AuditResult
from synth_assets.config.audited import AuditedTable, plan_of, read_plan
from synth_assets.config.dataset import DatasetConfig
from synth_assets.config.thresholds import AuditConfig, AuditLimits
from synth_assets.errors import ConfigError, InputError

LIMITS = {"draws": 20, "queries": 20, "predicates": 100, "secrets": 1}
TABLE: dict[str, Any] = {
    "primary_key": "visit",
    "sequence_order": "day",
    "columns": {"ward": {"kind": "category", "categories": ["1", "2"]}, "cost": {"kind": "number", "upper": 100}},
    "contract": [{"expect": "expect_column_pair_values_a_to_be_greater_than_b", "column_A": "paid", "column_B": "day"}],
}
DATASET = {
    "name": "visits",
    "unit": "visits.person",
    "target": "ill",
    "protected": ["sex"],
    "synthesizers": [{"name": "gaussian_copula"}],
    "audit": {"limits": LIMITS, "weights": {"privacy": 0.6, "fairness": 0.2, "fidelity": 0.2}},
    "thresholds": {"fidelity": {"limit": 1.0, "severity": "warn"}},
    "tables": {"visits": {**TABLE, "source": {"path": "visits.csv"}}},
}


def visits(people: int, seed: int) -> pd.DataFrame:
    """Four visits of each person: keys, days in order, a ward, a cost above its bound, and a payment before its visit."""
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), 4)
    frame = pd.DataFrame({"visit": np.arange(len(person)), "person": person})
    frame["day"] = frame.groupby("person").cumcount() * 7 + rng.integers(0, 3, len(frame))
    frame["paid"] = frame["day"] - 1
    frame["ward"] = rng.integers(1, 3, len(frame))
    frame["cost"] = rng.integers(1, 200, len(frame))
    frame["sex"] = np.repeat(rng.choice(["F", "M"], people), 4)
    frame["ill"] = np.where(rng.random(len(frame)) < frame["cost"] / 220, "y", "n")
    return frame


TABLES = [visits(120, seed) for seed in (1, 2, 3)]


def settings() -> AuditConfig:
    return AuditConfig(limits=AuditLimits(**LIMITS))


def metrics(result: AuditResult, prefix: str) -> dict[str, float | None]:
    return {f.metric: f.value for f in result.findings(metric=prefix)}


@pytest.fixture(scope="module")
def declared() -> AuditResult:
    return api.audit(*TABLES, dataset=DatasetConfig.model_validate(DATASET))


@pytest.fixture(scope="module")
def plain() -> AuditResult:
    return api.audit(*TABLES, target="ill", protected=["sex"], settings=settings())


def test_a_dataset_brings_keys_unit_domain_rules_sequence_outcome_and_weights(
    declared: AuditResult, plain: AuditResult
) -> None:
    assert dict(declared.inputs.left_out) == {"visit": "key", "person": "identifier"}
    assert (declared.inputs.target, declared.inputs.protected) == ("ill", ("sex",))
    assert declared.weights.privacy == 0.6
    assert metrics(declared, "inconsistency.declared") == {"inconsistency.declared": 1.0}
    assert set(metrics(declared, "sequence.")) >= {"sequence.autocorrelation", "sequence.gaps", "sequence.transitions"}
    assert declared.figures.domain_validity is not None
    assert declared.figures.domain_validity < 0.98
    assert not metrics(plain, "inconsistency.declared")
    assert not metrics(plain, "sequence.")


def test_with_a_unit_attacks_count_people_and_not_their_rows(declared: AuditResult, plain: AuditResult) -> None:
    (by_person,), (by_row,) = (r.findings("privacy", "membership_inference.nearest") for r in (declared, plain))
    assert by_person.sample_size is not None
    assert by_row.sample_size is not None
    assert by_person.sample_size <= 120 < by_row.sample_size


def test_what_is_given_besides_a_dataset_wins() -> None:
    result = api.audit(
        *TABLES, dataset=DatasetConfig.model_validate(DATASET), target="sex", protected=[], settings=settings()
    )
    assert (result.inputs.target, result.inputs.protected) == ("sex", ())
    assert result.weights.privacy == 0.5


def test_the_library_and_a_file_say_the_same(declared: AuditResult, tmp_path: Path) -> None:
    (tmp_path / "visits.yaml").write_text(json.dumps(DATASET))
    plan = read_plan(tmp_path / "visits.yaml")
    assert plan == plan_of(DatasetConfig.model_validate(DATASET))
    again = api.audit(*TABLES, dataset=tmp_path / "visits.yaml")
    assert again.model_copy(update={"seconds": {}}) == declared.model_copy(update={"seconds": {}})


def test_a_row_without_a_unit_is_a_person_by_itself() -> None:
    tables = [t.assign(person=t["person"].where(t["person"] > 9).astype("Int64")) for t in TABLES]
    result = api.audit(*tables, declared=AuditedTable(unit="person"), settings=settings())
    (found,) = result.findings("privacy", "membership_inference.nearest")
    assert found.sample_size is not None
    assert found.sample_size == 112  # three quarters of 110 people and 40 rows of nobody; the rest is the reference


@pytest.mark.parametrize(
    ("known", "column"),
    [
        ({"unit": "patient"}, "patient"),
        ({"sequence_order": "week", "unit": "person"}, "week"),
        ({"primary_key": ("number",)}, "number"),
        ({"columns": {"height": {}}}, "height"),
    ],
)
def test_a_declared_column_that_no_table_has_is_an_error(known: dict[str, Any], column: str) -> None:
    with pytest.raises(InputError, match="no such column") as raised:
        api.audit(*TABLES, declared=AuditedTable.model_validate(known))
    assert raised.value.column == column


def test_columns_that_were_taken_out_of_the_tables_do_not_disturb_a_dataset() -> None:
    tables = [t.drop(columns=["visit", "ward"]) for t in TABLES]
    result = api.audit(*tables, dataset=DatasetConfig.model_validate(DATASET))
    assert "ward" not in result.inputs.columns
    assert metrics(result, "sequence.")


def test_a_synthetic_table_of_other_types_is_judged_and_not_refused() -> None:
    made = TABLES[0].assign(cost="a lot")
    result = api.audit(made, *TABLES[1:], dataset=DatasetConfig.model_validate(DATASET))
    assert result.module_scores.fidelity is not None
    assert result.module_scores.fidelity < 0.9


def test_a_dataset_of_several_tables_needs_the_name_of_one(tmp_path: Path) -> None:
    two = {**DATASET, "tables": {**DATASET["tables"], "wards": {"source": {"path": "w.csv"}, "primary_key": "ward"}}}  # type: ignore[dict-item]
    two |= {"target": "visits.ill", "protected": ["visits.sex"], "synthesizers": [{"name": "dp_marginals"}]}
    config = DatasetConfig.model_validate(two)
    with pytest.raises(InputError, match="several tables") as raised:
        plan_of(config)
    assert "visits, wards" in str(raised.value.remedy)
    with pytest.raises(InputError, match="no such table"):
        plan_of(config, "beds")
    with pytest.raises(InputError, match="no dataset"):
        api.audit(TABLES[0], table="visits")
    assert plan_of(config, "wards").target is None
    assert plan_of(config, "wards").table.unit is None
    assert plan_of(config, "visits").table.unit == "person"
    (tmp_path / "judge.yaml").write_text("weights: {privacy: 1}\n")
    with pytest.raises(InputError, match="of no dataset"):
        read_plan(tmp_path / "judge.yaml", "visits")
    with pytest.raises(ConfigError, match="does not exist"):
        read_plan(tmp_path / "gone.yaml")


@pytest.fixture
def served_visits(tables: Path, links: str) -> str:
    for name, table in zip(("synthetic", "real", "holdout"), TABLES, strict=True):
        table.to_csv(tables / f"visits_{name}.csv", index=False)
    return f"{links}/visits_"


def test_a_request_says_what_a_yaml_says(served_visits: str) -> None:
    request = {
        "synthetic_data_url": f"{served_visits}synthetic.csv",
        "real_data_url": f"{served_visits}real.csv",
        "holdout_data_url": f"{served_visits}holdout.csv",
        "target": "ill",
        "unit": "person",
        "primary_key": ["visit"],
        "foreign_keys": {"ward": "wards.ward"},
        "sequence_order": "day",
        "impossible": [{"cost": "150..", "sex": ["F", "M"]}],
        "contract": TABLE["contract"],
        "columns": {"cost": {"kind": "number", "upper": 100}},
    }
    answer = handler.handle(request)
    every = [f for module in answer["detailed_findings"].values() for f in module["findings"]]
    found = {f["metric"]: f for f in every}
    declared = {f["value"] for f in every if f["metric"] == "inconsistency.declared"}
    assert min(declared) == pytest.approx(0.25, abs=0.05)  # costs from 150 to 199
    assert max(declared) == 1.0  # payments before their visit
    assert {"sequence.gaps", "relations.integrity"} & set(found) == {"sequence.gaps"}
    assert answer["inputs"]["left_out"] == {"visit": "key", "ward": "key", "person": "identifier"}
    assert found["membership_inference.nearest"]["sample_size"] <= 120


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ({"impossible": [{"cost": 3}]}, "impossible.0"),
        ({"impossible": [{"cost": 1, "sex": "F"}] * 501}, "impossible"),
        ({"contract": [{"column": "cost"}]}, "contract.0.expect"),
        ({"columns": {"cost": {"action": "keep"}}}, "columns.cost.action"),
        ({"columns": {"cost": {"kind": "CANARY"}}}, "columns.cost.kind"),
        ({"unit": ""}, "unit"),
    ],
)
def test_a_wrong_declaration_in_a_request_is_named_without_its_value(more: dict[str, Any], key: str) -> None:
    answer = handler.lambda_handler({"synthetic_data_url": "https://h.example/a.csv", **more})
    assert (answer["error"]["code"], answer["error"]["key"]) == ("bad_input", key)
    assert "CANARY" not in json.dumps(answer)


def test_a_home_counts_the_public_forms_made_against_held_out_rows(tmp_path: Path) -> None:
    quick = AuditConfig(limits=AuditLimits(draws=20, queries=20, predicates=100, secrets=1, compare_rows=60))

    def look(made: pd.DataFrame, holdout: pd.DataFrame, home: Path | None = tmp_path) -> int | None:
        return api.audit(made, TABLES[1], holdout, settings=quick, home=home).inputs.holdout_forms

    other = TABLES[0].assign(cost=1)
    assert [look(TABLES[0], TABLES[2]), look(TABLES[0], TABLES[2]), look(other, TABLES[2])] == [1, 1, 2]
    assert look(TABLES[0], TABLES[2].head(200)) == 1
    assert look(TABLES[0], TABLES[2], None) is None
