"""The audit of masked tables against figures by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synth_assets.audit.masked import MaskedInput, audit_masked
from synth_assets.audit.records import AuditResult, Finding
from synth_assets.config.anonymity import AnonymityConfig, TableAnonymity
from synth_assets.config.policy import PolicyConfig
from synth_assets.errors import InputError
from synth_assets.masking.anonymity.verify import persons_of
from synth_assets.masking.plan import plan_table
from synth_assets.masking.policies import load_policy
from synth_assets.masking.run import MaskInput, mask_tables
from synth_assets.pii.records import ColumnVerdict
from synth_assets.pii.taxonomy import taxonomy
from synth_assets.storage.secrets import SecretKey
from synth_assets.tables.engine import Engine
from synth_assets.tables.schema import ColumnKind, ColumnSchema, TableSchema

ENGINE = Engine(memory_limit="1GB", threads=1)
KINDS = {"int64": ColumnKind.NUMBER, "double": ColumnKind.NUMBER, "string": ColumnKind.CATEGORY}
TYPES = {"pid": "customer_id", "name": "person_name", "age": "age", "sex": "sex", "ill": "icd10", "cost": "none"}


def masked(
    folder: Path, columns: Mapping[str, Any], policy: PolicyConfig, *, quasi: tuple[str, ...] = (), key: bool = True
) -> MaskedInput:
    """A small table, masked."""
    table = pa.table(dict(columns))
    (folder / "raw").mkdir(parents=True)
    pq.write_table(table, folder / "raw" / "part-00000.parquet")
    schema = TableSchema(
        name="people",
        columns=tuple(ColumnSchema(name=f.name, kind=KINDS[str(f.type)], dtype=str(f.type)) for f in table.schema),
        primary_key=("pid",) if key else (),
        row_count=len(table),
    )
    verdicts = [
        ColumnVerdict(
            column=c, entity_type=TYPES[c], identifier_class=taxonomy()[TYPES[c]].identifier_class, confidence=0.9, evidence=(),
            level="internal", recommended_action="keep",
        )
        for c in columns
    ]  # fmt: skip
    said = TableAnonymity(quasi_identifiers=quasi) if quasi else None
    plan = plan_table(verdicts, policy, schema=schema, anonymity=said, unit_column="pid")
    out = folder / "masked"
    done = mask_tables(
        {"people": MaskInput(folder / "raw", schema, plan)},
        {"people": out},
        key=SecretKey(bytes(range(32))),
        engine=ENGINE,
    )["people"]
    return MaskedInput(folder / "raw", out, schema, done, verdicts, persons_of(plan, done))


PEOPLE = {
    "pid": list(range(40)),
    "name": [f"Ann Lee{i}" for i in range(40)],
    "age": [20 + i for i in range(40)],
    "sex": ["F", "M"] * 20,
    "ill": ["E11", "J45", "I10", "E11"] * 10,
    "cost": [float(i) for i in range(40)],
}


def one(result: AuditResult, metric: str, column: str | None = None) -> Finding:
    found = [f for f in result.findings(metric=metric) if f.metric == metric and f.column == column]
    assert len(found) == 1, metric
    return found[0]


def test_risks_of_a_table_that_keeps_its_quasi_identifiers(tmp_path: Path) -> None:
    result = audit_masked([masked(tmp_path, PEOPLE, load_policy("dev_test"))], engine=ENGINE)
    assert (one(result, "prosecutor_risk").value, one(result, "prosecutor_risk").risk_level) == (1, "high")
    assert one(result, "unique_rows").value == 1
    assert one(result, "l_diversity", "ill").value == 1
    assert result.module_scores.privacy == 0
    assert result.module_scores.fairness is None
    assert "decides about nobody" in result.reasons["fairness"]


def test_risks_of_a_k_anonymous_table(tmp_path: Path) -> None:
    policy = load_policy("k_anonymity").model_copy(update={"anonymity": AnonymityConfig(k=10)})
    table = masked(tmp_path, PEOPLE, policy)
    result = audit_masked([table], engine=ENGINE)
    assert table.summary.anonymity is not None
    k, before = one(result, "smallest_class"), one(result, "prosecutor_risk").baseline
    assert k.value is not None
    assert (k.value >= 10, k.baseline, before) == (True, 1, 1)
    assert one(result, "prosecutor_risk").value == pytest.approx(1 / k.value)
    assert one(result, "marketer_risk").value == pytest.approx(table.summary.anonymity.classes / 40)
    assert one(result, "journalist_risk").value == pytest.approx(1 / k.value)
    assert one(result, "unique_rows").value == 0
    assert result.module_scores.privacy == pytest.approx(1 - 1 / k.value)
    assert one(result, "anonymity_loss").value == table.summary.anonymity.loss
    losses = {f.column: f.value for f in result.findings("utility", "information_loss")}
    assert losses["name"] == 1
    assert losses["pid"] == losses["cost"] == 0
    assert losses["age"] == pytest.approx(table.summary.anonymity.columns[0].loss, abs=1e-3)
    assert result.inputs.left_out["people.age"] == "its values have another form than the raw ones"


def test_blanked_rows_may_be_anybodys_to_a_journalist(tmp_path: Path) -> None:
    columns = {"pid": list(range(200)), "age": [30] * 188 + list(range(60, 72)), "cost": [1.0] * 200}
    rule = AnonymityConfig(k=11, suppression=0.1, method="full_domain")
    policy = load_policy("k_anonymity").model_copy(update={"anonymity": rule})
    table = masked(tmp_path, columns, policy)
    assert table.summary.anonymity is not None
    assert table.summary.anonymity.suppressed_rows == 12
    result = audit_masked([table], engine=ENGINE)
    assert one(result, "prosecutor_risk").value == pytest.approx(1 / 12, abs=1e-6)
    assert one(result, "journalist_risk").value == pytest.approx(1 / 188, abs=1e-6)


def test_persons_count_where_a_column_names_them(tmp_path: Path) -> None:
    columns = {"pid": [1, 1, 1, 2, 3, 3], "age": [30, 30, 30, 30, 40, 40], "cost": [1.0] * 6}
    result = audit_masked([masked(tmp_path, columns, load_policy("dev_test"), key=False)], engine=ENGINE)
    assert one(result, "smallest_class").value == 1
    assert "1 person " in one(result, "smallest_class").message


def test_entropy_that_is_gone_is_the_loss_of_a_coarser_column(tmp_path: Path) -> None:
    rules = {
        "name": "own", "classes": {"direct": "drop", "quasi": "keep", "sensitive": "keep", "none": "keep"},
        "entity_types": {"age": {"action": "generalise", "to": "bin", "width": 10}},
    }  # fmt: skip
    result = audit_masked([masked(tmp_path, PEOPLE, PolicyConfig.model_validate(rules))], engine=ENGINE)
    assert one(result, "information_loss", "age").value == pytest.approx(1 - math.log(4) / math.log(40), abs=1e-6)
    assert one(result, "tvd_marginal", "cost").value == 0
    tvd = one(result, "tvd_marginal", "age").value
    assert tvd is not None
    assert 0.5 < tvd < 1


def test_a_table_without_quasi_identifiers_has_no_risk_by_them(tmp_path: Path) -> None:
    columns = {"pid": [1, 2, 3], "cost": [1.0, 2.0, 3.0]}
    result = audit_masked([masked(tmp_path, columns, load_policy("dev_test"))], engine=ENGINE)
    assert one(result, "prosecutor_risk").value == 0
    assert result.module_scores.privacy == 1


def test_quasi_identifiers_that_cannot_be_read_make_one_class(tmp_path: Path) -> None:
    rules = {"name": "own", "classes": {"direct": "drop", "quasi": "drop", "sensitive": "keep", "none": "keep"}}
    result = audit_masked([masked(tmp_path, PEOPLE, PolicyConfig.model_validate(rules))], engine=ENGINE)
    assert one(result, "prosecutor_risk").value == pytest.approx(1 / 40)
    assert one(result, "prosecutor_risk").baseline == 1


def test_the_public_form_is_rounded_and_quotes_no_value(tmp_path: Path) -> None:
    result = audit_masked([masked(tmp_path, PEOPLE, load_policy("dev_test"))], engine=ENGINE)
    text = result.public().model_dump_json()
    assert "E11" not in text
    assert "Ann" not in text
    assert result.public() == result.public().public()


def test_no_table_is_an_error() -> None:
    with pytest.raises(InputError, match="no masked table"):
        audit_masked([], engine=ENGINE)
