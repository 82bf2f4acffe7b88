"""Names and default expectations from the configuration alone, and the data-quality score."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.config.dataset import ExpectationConfig, TableConfig
from synth_assets.tables.contracts import (
    ExpectationOutcome,
    check_names,
    default_expectations,
    full_contract,
    quality_score,
)


def expect(name: str, column: str | None = None, **arguments: Any) -> ExpectationConfig:
    return ExpectationConfig.model_validate({"expect": name, "column": column, **arguments})


def config(**keys: Any) -> TableConfig:
    return TableConfig.model_validate({"source": {"path": "people.csv"}, **keys})


def test_slugs_say_column_and_condition() -> None:
    names = check_names(
        [
            expect("column_values_to_not_be_null", "patient_id"),
            expect("expect_column_values_to_be_unique", "patient_id"),
            expect("compound_columns_to_be_unique", column_list=["a", "b"]),
            expect("column_pair_values_a_to_be_greater_than_b", column_A="discharged", column_B="admitted"),
            expect("table_row_count_to_be_between", min_value=1),
            expect("column_values_to_be_in_set", "default payment", value_set=["1"]),
        ]
    )
    assert names == (
        "patient_id_not_null",
        "patient_id_unique",
        "a_b_unique",
        "discharged_greater_than_admitted",
        "row_count_between",
        "default_payment_in_set",
    )


def test_equal_slugs_are_numbered_and_a_number_that_is_taken_is_passed_over() -> None:
    same = expect("column_values_to_be_between", "x", min_value=1)
    assert check_names([same, expect("column_values_to_be_between", "x", max_value=2)]) == ("x_between", "x_between_2")
    assert check_names([expect("between_2", "x"), same, same]) == ("x_between_2", "x_between", "x_between_3")


@given(
    st.lists(
        st.tuples(st.sampled_from(["column_values_to_be_unique", "column_values_to_be_null"]), st.text(max_size=8)),
        max_size=12,
    )
)
def test_names_are_unique_whatever_the_case_and_fit_dagster(pairs: list[tuple[str, str]]) -> None:
    names = check_names([expect(name, column) for name, column in pairs])
    assert len({n.lower() for n in names}) == len(pairs)
    assert all(n.isascii() and n.replace("_", "a").isalnum() for n in names)


def test_names_and_defaults_need_no_great_expectations() -> None:
    code = (
        "import sys; from synth_assets.tables.contracts import check_names, full_contract; "
        "from synth_assets.config.dataset import TableConfig; "
        "t = TableConfig.model_validate({'source': {'path': 'a'}, 'primary_key': 'id'}); check_names(full_contract(t)); "
        "assert not {'great_expectations', 'ibis', 'pandas', 'duckdb'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- defaults --------------------------------------------------------------------------------------------------------


def test_defaults_follow_from_the_configuration_alone() -> None:
    table = config(
        primary_key="person_id",
        foreign_keys={"clinic_id": "clinics.clinic_id"},
        columns={
            "sex": {"kind": "category", "categories": ["F", "M"]},
            "cost": {"kind": "number", "lower": 0, "upper": 100},
            "age": {"upper": 120, "inferred": True},
            "note": {"entity_type": "free_text"},
        },
    )
    found = default_expectations(table)
    assert [(n, e.severity) for n, e in zip(check_names(found), found, strict=True)] == [
        ("person_id_not_null", "error"),
        ("person_id_unique", "error"),
        ("clinic_id_not_null", "warn"),
        ("sex_in_type_list", "error"),
        ("sex_in_set", "error"),
        ("cost_in_type_list", "error"),
        ("cost_between", "error"),
        ("age_between", "warn"),
    ]
    assert found[6].arguments == {"min_value": 0, "max_value": 100}


def test_a_key_of_several_columns_is_unique_together() -> None:
    found = default_expectations(config(primary_key=["person_id", "visit"]))
    assert check_names(found) == ("person_id_not_null", "visit_not_null", "person_id_visit_unique")


def test_a_declared_expectation_replaces_the_default_of_the_same_name_and_column() -> None:
    own = {"expect": "expect_column_values_to_not_be_null", "column": "clinic_id", "severity": "error", "mostly": 0.9}
    table = config(foreign_keys={"clinic_id": "clinics.clinic_id"}, contract=[own])
    (left,) = full_contract(table)
    assert (left.severity, left.arguments) == ("error", {"mostly": 0.9})


def test_the_score_weighs_an_error_twice_a_warning() -> None:
    def outcome(success: bool, severity: str) -> ExpectationOutcome:
        return ExpectationOutcome.model_validate(
            {
                "name": "n",
                "expectation": "e",
                "column": None,
                "success": success,
                "severity": severity,
                "checked_rows": 1,
                "message": "m",
            }
        )

    assert quality_score([outcome(True, "error"), outcome(False, "warn"), outcome(True, "warn")]) == pytest.approx(0.75)
    assert quality_score([outcome(False, "error")]) == 0.0
    assert quality_score([]) is None
