"""Rules of a row: which are found in real tables, which are declared, and how many rows break them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from synth_assets.audit.fidelity.declared import declared_rules
from synth_assets.audit.fidelity.inconsistency import inconsistency_findings
from synth_assets.audit.prepare import Prepared
from synth_assets.config.dataset import ExpectationConfig
from synth_assets.config.thresholds import AuditLevels
from synth_assets.errors import InputError
from synth_assets_tests.unit.audit.worlds import prepared

SECRET = "Xq7-secret"


def _rows(rows, seed):
    """Stays of patients: admitted before released, a bill that is a sum, a ward that decides the floor, a date of death for the dead."""
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 1000, rows).astype(float)
    drugs, care = rng.integers(0, 500, rows).astype(float), rng.integers(100, 900, rows).astype(float)
    ward = rng.integers(0, 8, rows)
    dead = rng.random(rows) < 0.2
    sex = rng.choice(["f", "m"], rows)
    cause = np.where(sex == "m", rng.choice(["fall", "other"], rows), rng.choice(["fall", "other", SECRET], rows))
    return {
        "admitted": start.tolist(),
        "released": (start + rng.integers(0, 30, rows)).tolist(),
        "drugs": drugs.tolist(),
        "care": care.tolist(),
        "bill": (drugs + care).tolist(),
        "ward": [f"w{v}" for v in ward],
        "floor": [f"{v // 3}" for v in ward],
        "dead": np.where(dead, "yes", "no").tolist(),
        "died": [float(s) if d else None for s, d in zip(start, dead, strict=True)],
        "sex": sex.tolist(),
        "cause": cause.tolist(),
    }


def _found(synthetic, holdout=True, **options):
    tables = {"train": _rows(4000, 1), "synthetic": synthetic} | ({"holdout": _rows(2000, 2)} if holdout else {})
    found, notes = inconsistency_findings(
        prepared(**tables),
        options.get("impossible", ()),
        options.get("contract", ()),
        AuditLevels(),
        7,
    )
    return found, notes


def _shuffled(seed):
    rng = np.random.default_rng(seed)
    return {name: rng.permutation(np.array(values, dtype=object)).tolist() for name, values in _rows(3000, 3).items()}


RULES = {
    "'admitted' <= 'released'": "order",
    "'bill' = 'drugs' + 'care'": "sum",
    "'ward' determines 'floor'": "dependency",
    "whether 'died' is missing follows from 'dead'": "missing",
    "values of 'sex' and 'cause' that do not occur together in the real tables": "combination",
}


def test_the_rules_of_the_real_rows_are_found_and_broken_by_shuffled_columns():
    found, _ = _found(_shuffled(1))
    told = {f.message.partition("Rule: ")[2].partition(". ")[0]: f for f in found[1:]}
    for words, kind in RULES.items():
        assert told[words].metric == f"inconsistency.{kind}"
        assert told[words].value > 0.05
        assert told[words].risk_level == "high"
        assert told[words].baseline == 0
    assert "'floor' determines 'ward'" not in told
    whole = found[0]
    assert (whole.metric, whole.risk_level) == ("inconsistency", "high")
    assert whole.value > max(f.value for f in found[1:]) - 1e-9
    assert 0.9 < whole.interval[0] < whole.value <= whole.interval[1]
    assert (whole.sample_size, whole.control_size) == (3000, 1000)


def test_a_fresh_sample_breaks_none_and_so_do_held_out_rows():
    found, notes = _found(_rows(3000, 4))
    assert len(found) > len(RULES)
    assert all(f.value < 0.002 and f.risk_level == "low" for f in found)
    assert all(f.baseline < 0.002 for f in found)
    assert not any(f.decides for f in found)
    assert notes == []


def test_independent_columns_have_no_rules():
    rng = np.random.default_rng(1)

    def noise(rows):
        return {
            "x": rng.normal(size=rows).tolist(),
            "low": rng.uniform(0, 1, rows).tolist(),
            "high": rng.uniform(5, 6, rows).tolist(),  # always above `low`, but the ranges alone say so
            "c": rng.choice(["a", "b", "c"], rows, p=[0.98, 0.01, 0.01]).tolist(),
            "d": rng.choice(["p", "q"], rows).tolist(),
        }

    found, _ = inconsistency_findings(
        prepared(train=noise(4000), holdout=noise(2000), synthetic=noise(1000)), (), (), AuditLevels(), 1
    )
    assert found == []


def test_a_rule_that_held_out_rows_break_is_no_rule():
    train, holdout = _rows(4000, 1), _rows(2000, 2)
    holdout["bill"] = [v + 1 for v in holdout["bill"]]
    found, _ = inconsistency_findings(
        prepared(train=train, holdout=holdout, synthetic=_rows(500, 3)), (), (), AuditLevels(), 1
    )
    assert not any("'bill' =" in f.message for f in found)
    assert any(f.metric == "inconsistency.order" for f in found)


def test_one_biased_group_shows_in_its_rule_alone():
    synthetic = _rows(3000, 5)
    for i in range(300):
        synthetic["sex"][i], synthetic["cause"][i] = "m", SECRET
    found, _ = _found(synthetic)
    broken = {f.metric for f in found[1:] if f.value > 0.01}
    assert broken == {"inconsistency.combination"}
    assert found[0].value == pytest.approx(0.1, abs=0.002)


def test_no_message_holds_a_value_of_the_data():
    found, notes = _found(_shuffled(2))
    told = " ".join([*(f.model_dump_json() for f in found), *notes])
    assert SECRET not in told
    assert "w3" not in told


def test_without_held_out_rows_the_train_table_decides_and_a_note_says_so():
    found, notes = _found(_shuffled(1), holdout=False)
    assert found[0].risk_level == "high"
    assert found[0].baseline is None
    assert "no held-out rows confirm them" in notes[0]


IMPOSSIBLE = ({"sex": ("m",), "cause": (SECRET,)}, {"dead": ("no",), "died": ("0..", None)})


def test_declared_combinations_decide_and_may_be_quoted():
    synthetic = _rows(1000, 3)
    synthetic["sex"], synthetic["cause"] = ["m"] * 1000, [SECRET] * 100 + ["fall"] * 900
    found, _ = _found(synthetic, impossible=IMPOSSIBLE[:1])
    whole, rule = (f for f in found if f.metric == "inconsistency.declared")
    assert (whole.value, whole.decides, whole.risk_level) == (0.1, True, "high")
    assert f"not 'sex' is m and 'cause' is {SECRET}" in rule.message
    assert whole.baseline == 0


def test_declared_rules_need_no_real_table():
    rows = {"sex": ["m", "f"] * 50, "cause": [SECRET] * 100}
    found, notes = inconsistency_findings(
        prepared(synthetic=rows), ({"sex": ("m",), "cause": (SECRET,)}, {"gone": ("1",), "sex": ("m",)}), (), AuditLevels(), 1
    )  # fmt: skip
    assert [f.value for f in found] == [0.5, 0.5]
    assert notes == ["1 declared combination could not be counted: a column is not compared."]


@pytest.mark.parametrize(
    ("terms", "expected"),
    [(("5",), 1), (("2..5",), 2), (("..2",), 2), (("5..",), 2), (("1,9",), 2), ((None,), 1), (("9..", None), 2)],
)
def test_ranges_hold_both_ends_and_none_is_missing(terms, expected):
    data = prepared(synthetic={"x": [1, 2, 5, 9, None], "c": ["a"] * 5})
    (rule,), _ = declared_rules(data, ({"x": terms, "c": ("a",)},), ())
    assert int(rule.check(data.parts["synthetic"]).broken.sum()) == expected


def test_categories_that_are_numbers_are_the_same_however_they_are_written():
    data = prepared(synthetic={"c": ["1", "2", None], "d": ["a"] * 3})
    (rule,), _ = declared_rules(data, ({"c": ("1.0", None), "d": ("a",)},), ())
    assert rule.check(data.parts["synthetic"]).broken.tolist() == [True, False, True]


def test_dates_are_read_as_days_and_a_day_ends_with_its_last_moment():
    from synth_assets.tables.schema import ColumnKind, ColumnSchema

    day = 86_400.0
    data = prepared(synthetic={"t": [0.0, day - 1, day], "c": ["a"] * 3})
    for kind, expected in ((ColumnKind.DATETIME, [True, True, False]), (ColumnKind.DATE, [True, False, False])):
        columns = (ColumnSchema(name="t", kind=kind, dtype="x"), data.columns[1])
        (rule,), _ = declared_rules(
            Prepared(columns, data.labels, data.parts, {}), ({"t": ("1970-01-01",), "c": ("a",)},), ()
        )
        assert rule.check(data.parts["synthetic"]).broken.tolist() == expected


def test_a_range_that_cannot_be_read_is_an_error_that_names_the_column():
    data = prepared(synthetic={"x": [1.0], "c": ["a"]})
    with pytest.raises(InputError, match="cannot be read") as caught:
        declared_rules(data, ({"x": ("many",), "c": ("a",)},), ())
    assert "many" not in str(caught.value)


def _line(**keys):
    return ExpectationConfig.model_validate(keys)


def test_lines_of_the_contract_about_two_columns_are_counted():
    contract = (
        _line(expect="expect_column_pair_values_a_to_be_greater_than_b", column_A="b", column_B="a", or_equal=True),
        _line(expect="expect_column_pair_values_a_to_be_greater_than_b", column_A="b", column_B="a"),
        _line(expect="column_pair_values_to_be_equal", column_A="a", column_B="b"),
        _line(expect="expect_column_values_to_not_be_null", column="a"),
    )
    data = prepared(synthetic={"a": [1, 2, 3, None], "b": [1, 3, 2, 0]})
    rules, _ = declared_rules(data, (), contract)
    counts = [rule.check(data.parts["synthetic"]) for rule in rules]
    assert [(int(c.applies.sum()), int(c.broken.sum())) for c in counts] == [(3, 1), (3, 2), (3, 2)]
    assert [rule.words for rule in rules] == ["'a' <= 'b'", "'a' < 'b'", "'a' = 'b'"]
    assert {rule.kind for rule in rules} == {"declared"}


def test_equal_columns_and_longer_sums_are_found():
    rng = np.random.default_rng(1)

    def rows(count):
        parts = {f"p{i}": rng.integers(0, 100, count).astype(float) for i in range(4)}
        parts["copy"] = parts["p0"]
        parts["all"] = parts["p1"] + parts["p2"] + parts["p3"] + 0.0
        return {name: values.tolist() for name, values in parts.items()}

    found, _ = inconsistency_findings(
        prepared(train=rows(2000), holdout=rows(1000), synthetic=rows(1000)), (), (), AuditLevels(), 1
    )
    words = " ".join(f.message for f in found if f.metric == "inconsistency.sum")
    assert "'p0' = 'copy'" in words
    assert "'all' = 'p1' + 'p2' + 'p3'" in words
    assert math.isclose(found[0].value, 0)


@pytest.mark.shared_data
def test_nists_rules_of_age_and_education_are_found_without_help(shared_data):
    import csv

    def read(part):
        with (shared_data / "nist_demo" / f"{part}.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        return {n: [float(r[n]) if n == "AGEP" else r[n] for r in rows] for n in rows[0]}

    train, holdout = read("train"), read("holdout")
    rng = np.random.default_rng(1)
    shuffled = {name: rng.permutation(np.array(values, dtype=object)).tolist() for name, values in train.items()}
    for synthetic, level in ((holdout, "low"), (shuffled, "high")):
        found, _ = inconsistency_findings(
            prepared(train=train, holdout=holdout, synthetic=synthetic), (), (), AuditLevels(), 1
        )
        assert found[0].risk_level == level
    words = " ".join(f.message for f in found)
    for pair in ("'AGEP' and 'MSP'", "'AGEP' and 'EDU'", "'AGEP' and 'PINCP_DECILE'", "'HOUSING_TYPE' and 'OWN_RENT'"):
        assert pair in words
