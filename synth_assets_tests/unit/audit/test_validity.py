"""Domain validity, k-anonymity and row hashes inside the engine, by hand."""

from __future__ import annotations

import datetime as dt

import ibis
import numpy as np
import pyarrow as pa
import pytest

from synth_assets.audit.fidelity.validity import validity_findings
from synth_assets.audit.prepare import Tables, compared_columns, prepare
from synth_assets.audit.privacy.copies import row_hashes
from synth_assets.audit.privacy.distances import anonymity_finding
from synth_assets.config.dataset import ColumnConfig
from synth_assets.config.thresholds import AuditLevels
from synth_assets.errors import InputError
from synth_assets.tables.engine import Engine
from synth_assets.tables.schema import ColumnKind, ColumnSchema, ForeignKey, TableSchema

DAY = dt.date(2020, 1, 1)


@pytest.fixture(scope="module")
def session():
    with Engine(threads=1).session() as opened:
        yield opened


def _tables(session, synthetic, train=None, holdout=None):
    made = [None if t is None else ibis.memtable(pa.table(t)) for t in (synthetic, train, holdout)]
    return Tables(session, *made)


def _schema(*columns, key=()):
    made = tuple(ColumnSchema(name=n, kind=ColumnKind(k), dtype=d) for n, k, d in columns)
    return TableSchema(name="t", columns=made, primary_key=key)


def _by_column(tables, schema, declared=None, identifiers=()):
    found = validity_findings(tables, schema, declared or {}, identifiers, AuditLevels())
    return {f.column or f.metric: f for f in found}


def test_values_outside_the_real_range_and_unknown_categories_are_counted(session):
    schema = _schema(("x", "number", "int64"), ("c", "category", "string"), ("d", "date", "date32[day]"))
    train = {"x": [1, 5], "c": ["a", "b"], "d": [DAY, dt.date(2021, 1, 1)]}
    synthetic = {"x": [1, 6, None], "c": ["a", "z", None], "d": [DAY, dt.date(2022, 1, 1), None]}
    found = _by_column(_tables(session, synthetic, train), schema)
    assert found["domain_validity"].value == pytest.approx(0.5)  # 3 of 6 values; missing ones do not count
    assert {name: found[name].value for name in ("x", "c", "d")} == {"x": 0.5, "c": 0.5, "d": 0.5}
    assert found["domain_validity"].risk_level == "high"


def test_a_text_in_a_column_of_numbers_is_invalid(session):
    tables = _tables(session, {"x": ["1", "many"]}, {"x": [1, 5]})
    assert _by_column(tables, _schema(("x", "number", "int64")))["x"].value == 0.5


def test_the_declared_domain_wins_over_what_the_real_table_shows(session):
    tables = _tables(session, {"x": [1, 99], "c": ["a", "q"]}, {"x": [1, 5], "c": ["a", "b"]})
    declared = {"x": ColumnConfig(lower=0, upper=100), "c": ColumnConfig(categories=("a", "q"))}
    found = _by_column(tables, _schema(("x", "number", "int64"), ("c", "category", "string")), declared)
    assert found["domain_validity"].value == 1.0
    assert "x" not in found


def test_a_declared_date_range_without_a_real_table(session):
    declared = {"d": ColumnConfig(lower="2020-01-01", upper="2020-12-31")}
    tables = _tables(session, {"d": [DAY, dt.date(2021, 5, 1)]})
    assert _by_column(tables, _schema(("d", "date", "date32[day]")), declared)["d"].value == 0.5


def test_identifiers_are_checked_by_their_format(session):
    schema = _schema(("ssn", "text", "string"), ("mrn", "id", "string"))
    train = {"ssn": ["123-45-6789", "987-65-4321"], "mrn": ["MRN1", "MRN2"]}
    synthetic = {"ssn": ["111-11-1111", "111111111"], "mrn": ["MRN9", "XYZ8"]}
    found = _by_column(_tables(session, synthetic, train), schema)
    assert found["ssn"].value == 0.5
    assert found["domain_validity"].value == 0.75


def test_keys_have_a_form_of_their_own(session):
    schema = _schema(("id", "id", "string"), ("parent", "id", "string"), ("x", "number", "int64"), key=("id",))
    link = ForeignKey(columns=("parent",), parent_table="p", parent_columns=("id",))
    tables = _tables(
        session, {"id": ["k1", "k2"], "parent": ["r1", "r1"], "x": [1, 5]}, {"id": ["A-9"], "parent": ["B-9"], "x": [5]}
    )
    found = _by_column(tables, schema.model_copy(update={"foreign_keys": (link,)}), identifiers=("id", "parent"))
    assert found["domain_validity"].value == 0.5  # of the two values of x
    assert set(found) == {"domain_validity", "x", "primary_key_unique"}


def test_a_key_that_stands_twice_or_is_missing_is_counted(session):
    tables = _tables(session, {"k": ["a", "b", "b", None]})
    finding = _by_column(tables, _schema(("k", "id", "string"), key=("k",)))["primary_key_unique"]
    assert finding.value == 0.25
    assert finding.risk_level == "high"


def test_whole_numbers_are_one_category_whether_stored_as_integer_or_double(session):
    schema = _schema(("c", "category", "int64"))
    assert _by_column(_tables(session, {"c": [1.0, 2.0]}, {"c": [1, 2]}), schema)["domain_validity"].value == 1.0


def test_keys_identifiers_and_texts_are_not_compared(session):
    schema = TableSchema(
        name="t",
        columns=tuple(
            ColumnSchema(name=n, kind=ColumnKind(k), dtype="string")
            for n, k in (
                ("k", "category"),
                ("p", "category"),
                ("i", "id"),
                ("t", "text"),
                ("m", "category"),
                ("c", "category"),
                ("g", "number"),
            )
        ),
        primary_key=("k",),
        foreign_keys=(ForeignKey(columns=("p",), parent_table="q", parent_columns=("p",)),),
    )
    texts = {name: ["1"] for name in "kpitmc"}
    tables = _tables(session, {**texts, "g": [1]}, texts)
    columns, left_out = compared_columns(schema, tables.present(), ("m",))
    assert [c.name for c in columns] == ["c"]
    assert left_out == {
        "k": "key",
        "p": "key",
        "i": "identifier",
        "t": "free text",
        "m": "identifier",
        "g": "not in the real table",
    }


def test_prepared_values_are_seconds_for_dates_and_shared_numbers_for_categories(session):
    schema = _schema(
        ("d", "date", "date32[day]"),
        ("w", "datetime", "timestamp[us]"),
        ("c", "category", "string"),
        ("b", "boolean", "bool"),
    )
    moment = dt.datetime(1890, 1, 1, 0, 0, 30)  # noqa: DTZ001  naive, as in the chain
    train = {"d": [dt.date(1970, 1, 2), None], "w": [moment, None], "c": ["b", None], "b": [True, False]}
    synthetic = {"d": [dt.date(2100, 1, 1), DAY], "w": [moment, moment], "c": ["a", "b"], "b": [False, None]}
    tables = _tables(session, synthetic, train)
    columns, left_out = compared_columns(schema, tables.present(), ())
    made = prepare(tables, columns, left_out, limit=100, seed=0)
    assert made.parts["train"].values["d"][0] == 86400
    assert np.isnan(made.parts["train"].values["d"][1])
    assert made.parts["synthetic"].values["d"][0] == (dt.date(2100, 1, 1) - dt.date(1970, 1, 1)).days * 86400
    assert made.parts["train"].values["w"][0] == (moment - dt.datetime(1970, 1, 1)).total_seconds()  # noqa: DTZ001
    assert made.labels == {"c": ("a", "b"), "b": ("false", "true")}
    assert made.parts["train"].values["c"].tolist() == [1, -1]
    assert made.parts["synthetic"].values["b"].tolist() == [0, -1]


def test_a_large_table_is_sampled_the_same_rows_in_every_column(session):
    rows = list(range(1000))
    tables = _tables(session, {"x": rows, "y": rows})
    columns, left_out = compared_columns(
        _schema(("x", "number", "int64"), ("y", "number", "int64")), tables.present(), ()
    )
    part = prepare(tables, columns, left_out, limit=50, seed=0).parts["synthetic"]
    assert (part.rows, part.held) == (1000, 50)
    assert (part.values["x"] == part.values["y"]).all()


def test_an_empty_table_is_refused(session):
    tables = _tables(session, {"x": pa.array([], pa.int64())})
    with pytest.raises(InputError, match="no rows"):
        prepare(tables, (), {}, limit=10, seed=0)


def test_equal_rows_have_equal_hashes_and_missing_is_no_text(session):
    schema = _schema(("a", "category", "string"), ("b", "category", "string"))
    tables = _tables(session, {"a": ["x", "x", "xy", None], "b": ["y", "y", "", "y"]})
    hashes = row_hashes(tables, tables.synthetic, schema.columns).hashes
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3


def test_k_anonymity_by_hand(session):
    tables = _tables(session, {"a": ["x"] * 6 + ["y"] * 4}, {"a": ["x"] * 10})
    finding = anonymity_finding(tables, _schema(("a", "category", "string")).columns)
    assert (finding.value, finding.baseline, finding.details["smallest_group"]) == (0.4, 0.0, 4)
    assert not finding.decides


def test_held_out_values_are_the_control_of_the_domain():
    import pandas as pd

    from synth_assets.audit.tables import audit_frames

    train = pd.DataFrame({"x{0}": [float(v) for v in range(100)], "c": ["a", "b"] * 50})
    holdout = pd.DataFrame({"x{0}": [float(v) for v in range(2, 102)], "c": ["a", "b"] * 50})  # 100 and 101 are new
    synthetic = pd.DataFrame({"x{0}": [500.0] * 50 + [5.0] * 50, "c": ["a", "b"] * 50})
    result = audit_frames(synthetic, train, holdout)
    whole = result.findings("fidelity", "domain_validity")[0]
    assert (whole.value, whole.baseline) == (0.75, 0.99)
    assert (whole.sample_size, whole.control_size) == (200, 200)
    assert whole.excess_interval[0] > 0.1
    (column,) = result.findings("fidelity", "column_validity")
    assert (column.value, column.baseline, column.column) == (0.5, 0.98, "x{0}")
    assert not column.decides
    alone = audit_frames(synthetic, train)
    assert alone.findings("fidelity", "domain_validity")[0].baseline is None
