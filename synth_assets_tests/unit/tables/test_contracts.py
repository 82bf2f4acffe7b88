"""Contracts: names and defaults from the configuration alone, planted faults found, no value in any outcome."""

from __future__ import annotations

import datetime as dt
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synth_assets.config.dataset import ExpectationConfig, TableConfig
from synth_assets.errors import ConfigError, InputError, UnexpectedError
from synth_assets.tables import gx_engine
from synth_assets.tables.contracts import (
    ExpectationOutcome,
    check_names,
    run_contract,
)
from synth_assets.tables.engine import Engine
from synth_assets.tables.schema import ColumnKind, ColumnSchema, TableSchema

CANARY = "canary.person@example.org"
ENGINE = Engine(memory_limit="512MB", threads=1)


def expect(name: str, column: str | None = None, **arguments: Any) -> ExpectationConfig:
    return ExpectationConfig.model_validate({"expect": name, "column": column, **arguments})


def config(**keys: Any) -> TableConfig:
    return TableConfig.model_validate({"source": {"path": "people.csv"}, **keys})


def written(folder: Path, table: pa.Table, files: int = 1) -> tuple[Path, TableSchema]:
    """A canonical folder of one or more Parquet files, and its schema."""
    rows = -(-table.num_rows // files)
    for number in range(files):
        pq.write_table(table.slice(number * rows, rows), folder / f"part-{number}.parquet")
    columns = tuple(ColumnSchema(name=f.name, kind=ColumnKind.TEXT, dtype=str(f.type)) for f in table.schema)
    return folder, TableSchema(name="people", columns=columns, row_count=table.num_rows)


PEOPLE = pa.table(
    {
        "person_id": pa.array([1, 2, 3, 4, 4, None], pa.int64()),
        "visit": pa.array([1, 1, 1, 1, 1, 1], pa.int64()),
        "email": [CANARY, "b@example.org", None, "d@example.org", "not an address", "f@example.org"],
        "sex": ["F", "M", "F", CANARY, None, "M"],
        "birth_date": pa.array(
            [dt.date(1950, 1, 1), dt.date(2030, 1, 1), None, *[dt.date(1990, 5, 5)] * 3], pa.date32()
        ),
        "seen_at": pa.array(["2020-12-31 23:00:00", *["2020-06-01 00:00:00"] * 4, "2021-01-01 00:00:00"]).cast(
            pa.timestamp("us")
        ),
        "cost": pa.array([10.0, -1.0, 99.5, 1e9, None, 20.0], pa.float64()),
        "refund": pa.array([5.0, 0.0, 100.0, 1.0, 2.0, 20.0], pa.float64()),
        "active": pa.array([True, False, True, None, True, True]),
    }
)


@pytest.fixture
def people(tmp_path: Path) -> tuple[Path, TableSchema]:
    return written(tmp_path, PEOPLE, files=2)


def only(people: tuple[Path, TableSchema], expectation: ExpectationConfig) -> ExpectationOutcome:
    (outcome,) = run_contract(*people, [expectation], ENGINE)
    return outcome


# --- planted faults, one per default expectation -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expectation", "checked", "failed"),
    [
        (expect("column_values_to_not_be_null", "person_id"), 6, 1),
        (expect("column_values_to_be_unique", "person_id"), 5, 2),
        (expect("compound_columns_to_be_unique", column_list=["person_id", "visit"]), 6, 2),
        (expect("column_values_to_be_in_set", "sex", value_set=["F", "M"]), 5, 1),
        (expect("column_values_to_be_between", "cost", min_value=0, max_value=100), 5, 2),
        (expect("column_values_to_be_between", "birth_date", min_value="1900-01-01", max_value="2020-01-01"), 5, 1),
        (expect("column_values_to_be_between", "seen_at", max_value="2020-12-31"), 6, 1),
        (expect("column_values_to_be_between", "seen_at", max_value="2021-01-01T01:30:00+02:00"), 6, 1),
        (expect("column_values_to_be_in_set", "person_id", value_set=["1", "2", "3"]), 5, 2),
        (expect("column_values_to_match_regex", "email", regex="^[^@ ]+@[^@ ]+$"), 5, 1),
        (expect("column_values_to_match_regex", "person_id", regex="^[1-3]$"), 5, 2),
        (expect("column_values_to_not_match_regex", "email", regex="^b@"), 5, 1),
        (expect("column_values_to_match_regex_list", "email", regex_list=["^b@", "^d@"]), 5, 3),
        (expect("column_values_to_match_regex_list", "email", regex_list=["@", "^d@"], match_on="all"), 5, 4),
        (expect("column_values_to_not_match_regex_list", "email", regex_list=["^b@", "^d@"]), 5, 2),
        (expect("column_values_to_match_like_pattern", "email", like_pattern="%@%"), 5, 1),
        (expect("column_values_to_not_match_like_pattern", "email", like_pattern="%@%"), 5, 4),
        (expect("column_values_to_match_like_pattern_list", "email", like_pattern_list=["b@%", "d@%"]), 5, 3),
        (expect("column_values_to_not_match_like_pattern_list", "email", like_pattern_list=["b@%", "d@%"]), 5, 2),
        (expect("column_pair_values_a_to_be_greater_than_b", column_A="cost", column_B="refund"), 6, 3),
        (
            expect(
                "column_pair_values_a_to_be_greater_than_b",
                column_A="cost",
                column_B="refund",
                or_equal=True,
                ignore_row_if="either_value_is_missing",
            ),
            5,
            2,
        ),
        (expect("column_value_lengths_to_equal", "sex", value=1), 5, 1),
    ],
    ids=lambda value: check_names([value])[0] if isinstance(value, ExpectationConfig) else None,
)
def test_a_planted_fault_is_counted(
    people: tuple[Path, TableSchema], expectation: ExpectationConfig, checked: int, failed: int
) -> None:
    outcome = only(people, expectation)
    assert not outcome.success
    assert (outcome.checked_rows, outcome.skipped_rows, outcome.unexpected_count) == (checked, 6 - checked, failed)
    assert outcome.unexpected_fraction == pytest.approx(failed / checked)
    assert f"{failed} of {checked}" in outcome.message


@pytest.mark.parametrize(
    ("expectation", "success", "words"),
    [
        (
            expect("column_values_to_be_in_type_list", "sex", type_list=["BIGINT"]),
            False,
            "stored as VARCHAR, which is not",
        ),
        (expect("column_values_to_be_of_type", "cost", type_="DOUBLE"), True, "stored as DOUBLE, as declared"),
        (expect("column_values_to_be_of_type", "birth_date", type_="DATE"), True, "DATE"),
        (expect("column_values_to_be_of_type", "seen_at", type_="TIMESTAMP"), True, "TIMESTAMP"),
        (expect("column_values_to_be_of_type", "active", type_="BOOLEAN"), True, "BOOLEAN"),
        (
            expect("table_row_count_to_be_between", min_value=7),
            False,
            "The table has 6 rows, not as the contract asks.",
        ),
        (expect("table_row_count_to_equal", value=6), True, "The table has 6 rows, as the contract asks."),
        (
            expect("column_mean_to_be_between", "refund", min_value=100),
            False,
            "'column_mean_to_be_between' does not hold",
        ),
        (expect("column_max_to_be_between", "birth_date", max_value="2020-01-01"), False, "does not hold"),
        (expect("column_to_exist", "no_such"), False, "does not hold"),
        (expect("table_columns_to_match_set", column_set=["sex"], exact_match=False), True, "holds"),
        (
            expect("column_values_to_be_between", "email", min_value=3),
            False,
            "cannot be computed on a column that is stored as VARCHAR",
        ),
        (expect("column_values_to_be_in_set", "active", value_set=[True, False]), True, "all 5 checked rows"),
        (expect("column_values_to_not_be_null", "sex", mostly=0.5), True, "the contract accepts this share"),
    ],
    ids=lambda value: check_names([value])[0] if isinstance(value, ExpectationConfig) else None,
)
def test_outcomes_say_in_plain_words_what_holds(
    people: tuple[Path, TableSchema], expectation: ExpectationConfig, success: bool, words: str
) -> None:
    outcome = only(people, expectation)
    assert outcome.success is success
    assert words in outcome.message


def test_one_expectation_that_cannot_be_computed_leaves_the_others_their_result(
    people: tuple[Path, TableSchema],
) -> None:
    outcomes = run_contract(
        *people,
        [
            expect("column_values_to_not_be_null", "sex"),
            expect("column_mean_to_be_between", "email", min_value=0),
            expect("column_values_to_be_unique", "refund"),
        ],
        ENGINE,
    )
    assert [o.success for o in outcomes] == [False, False, True]
    assert [o.unexpected_count for o in outcomes] == [1, None, 0]


def test_a_table_without_rows_passes_row_expectations_and_says_so(tmp_path: Path) -> None:
    outcome = only(written(tmp_path, PEOPLE.slice(0, 0)), expect("column_values_to_not_be_null", "sex"))
    assert outcome.success
    assert outcome.message == "Column 'sex': no row to check."


def test_column_names_with_blanks_quotes_and_other_scripts_work(tmp_path: Path) -> None:
    names = ["default payment", 'the "best"', "größe", "select"]
    people = written(tmp_path, pa.table({n: pa.array([1, None], pa.int64()) for n in names}))
    outcomes = run_contract(*people, [expect("column_values_to_not_be_null", n) for n in names], ENGINE)
    assert [o.unexpected_count for o in outcomes] == [1, 1, 1, 1]


# --- nothing of the data leaves ------------------------------------------------------------------------------------------


def test_no_value_of_the_data_appears_in_outcomes_logs_or_streams(
    people: tuple[Path, TableSchema], capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    contract = [
        expect("column_values_to_be_in_set", "sex", value_set=["F", "M"]),
        expect("column_values_to_be_unique", "birth_date"),
        expect("column_values_to_match_regex", "email", regex="^x"),
        expect("column_sum_to_be_between", "email", max_value=1),  # the engine's error quotes the value
        expect("column_values_to_be_between", "sex", max_value=1),
        expect("column_distinct_values_to_be_in_set", "sex", value_set=["F"]),
        expect("column_most_common_value_to_be_in_set", "sex", value_set=["X"]),
        expect(
            "column_values_to_not_be_null", "sex", row_condition='col("email")<5', condition_parser="great_expectations"
        ),
    ]
    outcomes = run_contract(*people, contract, ENGINE)
    streams = capfd.readouterr()
    everything = " ".join([*(o.model_dump_json() for o in outcomes), streams.out, streams.err, caplog.text])
    assert not any(o.success for o in outcomes)
    assert "canary" not in everything
    assert (streams.out, streams.err) == ("", "")


def test_logging_and_warnings_are_left_as_they_were(people: tuple[Path, TableSchema]) -> None:
    import warnings

    before = (warnings.showwarning, list(warnings.filters), logging.getLogger("great_expectations").level)
    only(people, expect("column_values_to_not_be_null", "sex"))
    assert (warnings.showwarning, list(warnings.filters), logging.getLogger("great_expectations").level) == before


def test_the_engine_ends_without_a_word_on_stderr(people: tuple[Path, TableSchema]) -> None:
    code = (
        "from pathlib import Path; from synth_assets.tables.contracts import run_contract; "
        "from synth_assets.tables.schema import TableSchema; from synth_assets.tables.engine import Engine; "
        "from synth_assets.config.dataset import ExpectationConfig as E; "
        f"s = TableSchema.model_validate_json({people[1].model_dump_json()!r}); "
        f"run_contract(Path({str(people[0])!r}), s, [E(expect='column_values_to_not_be_null', column='sex')], Engine(threads=1))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_the_public_form_hides_groups_of_fewer_than_eleven_rows() -> None:
    common = {
        "name": "x_not_null",
        "expectation": "expect_column_values_to_not_be_null",
        "column": "x",
        "severity": "error",
    }

    def public(**keys: Any) -> ExpectationOutcome:
        return ExpectationOutcome.model_validate({**common, "success": False, "message": "m", **keys}).public()

    few = public(checked_rows=100, unexpected_count=10, unexpected_fraction=0.1)
    assert (few.unexpected_count, few.unexpected_fraction, few.checked_rows) == (None, None, 100)
    assert few.message == "Column 'x': a few checked rows are not filled in."
    assert public(checked_rows=100, unexpected_count=95, unexpected_fraction=0.95).unexpected_count is None
    assert public(checked_rows=100, unexpected_count=11, unexpected_fraction=0.11).unexpected_count == 11
    assert public(checked_rows=100, unexpected_count=0, unexpected_fraction=0.0).unexpected_count == 0
    skipped = public(checked_rows=98, skipped_rows=2, unexpected_count=49, unexpected_fraction=0.5)
    assert (skipped.checked_rows, skipped.skipped_rows, skipped.unexpected_fraction) == (100, None, 0.49)
    assert skipped.message == "Column 'x': 49 of 100 checked rows are not filled in."
    assert skipped.public() == skipped


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expectation", "words"),
    [
        (expect("column_values_to_be_nul", "sex"), "Did you mean column_values_to_be_null"),
        (expect("column_values_to_be_increasing", "visit"), "cannot run inside the engine"),
        (expect("column_values_to_be_unique", "sexx"), "Did you mean sex?"),
        (expect("column_values_to_be_unique", "zzzzzz"), "Its columns: person_id, visit"),
        (expect("compound_columns_to_be_unique", column_list=["visit", "vizit"]), "Did you mean visit"),
        (
            expect("column_pair_values_to_be_equal", column_A="cost", column_B="coste"),
            "Did you mean cost, active, sex?",
        ),
        (
            expect("column_values_to_be_between", "cost", minimum=3),
            "has no argument 'minimum'. Its arguments: column, condition_parser",
        ),
        (expect("column_values_to_be_unique", "sex", result_format="COMPLETE"), "has no argument 'result_format'"),
        (expect("column_values_to_be_in_set", "sex", value_set=7), "argument 'value_set'"),
        (
            expect("column_value_lengths_to_equal", "sex"),
            "argument 'value' of 'expect_column_value_lengths_to_equal' is missing",
        ),
        (expect("column_values_to_be_unique"), "argument 'column' of 'expect_column_values_to_be_unique' is missing"),
        (expect("table_row_count_to_equal", "sex", value=3), "has no argument 'column'"),
        (expect("column_values_to_match_regex", "sex", regex="(?=F)"), "does not understand. It takes RE2 syntax"),
        (expect("column_values_to_be_of_type", "sex", type_="str"), "Types: BIGINT, BOOLEAN"),
        (
            expect("column_values_to_be_between", "cost", min_value="much"),
            "does not fit a column that is stored as DOUBLE",
        ),
        (expect("column_values_to_be_between", "birth_date", min_value=3), "stored as DATE"),
        (expect("column_values_to_be_in_set", "sex", value_set=[True]), "stored as VARCHAR"),
        (expect("column_values_to_be_in_set", "active", value_set=["perhaps"]), "stored as BOOLEAN"),
        (expect("column_values_to_be_between", "seen_at", min_value="soon"), "stored as TIMESTAMP"),
        (expect("column_values_to_be_between", "cost", min_value=True), "stored as DOUBLE"),
    ],
    ids=str,
)
def test_a_wrong_contract_is_one_clear_configuration_error(
    people: tuple[Path, TableSchema], expectation: ExpectationConfig, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        run_contract(*people, [expectation], ENGINE)
    assert words in str(caught.value)
    assert caught.value.key == "tables.people.contract"


def test_a_fault_of_the_machine_is_an_error_and_no_failed_expectation() -> None:
    request = gx_engine.Request("expect_column_values_to_be_unique", {"column": "x"}, "k")
    failures = [{"exception_info": f"(_duckdb.OutOfMemoryException) {CANARY}"}]
    with pytest.raises(UnexpectedError, match="OutOfMemoryException of the engine") as caught:
        gx_engine._problem(gx_engine._Task(request, None, failures=failures))
    assert CANARY not in str(caught.value)


def test_a_folder_without_parquet_files_is_an_input_error(tmp_path: Path, people: tuple[Path, TableSchema]) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="no Parquet file"):
        run_contract(empty, people[1], [expect("column_values_to_be_unique", "sex")], ENGINE)


def test_a_contract_of_nothing_reads_nothing(tmp_path: Path, people: tuple[Path, TableSchema]) -> None:
    assert run_contract(tmp_path / "absent", people[1], [], ENGINE) == ()


def test_great_expectations_does_not_find_a_spark_that_would_end_the_process(tmp_path: Path) -> None:
    """PySpark without grpc calls sys.exit(0) where the main module has no file, as here."""
    package = tmp_path / "pyspark" / "sql" / "connect"
    package.mkdir(parents=True)
    for folder in (package.parent.parent, package.parent):
        (folder / "__init__.py").write_text("")
    (package / "__init__.py").write_text("import sys\nsys.exit(0)\n")
    steps = (
        "import sys, pyspark",
        "from synth_assets.tables.gx_engine import _quiet",
        "with _quiet(): import great_expectations",
        "import great_expectations.compatibility.pyspark as found",
        "assert not found.ConnectDataFrame and sys.modules['pyspark'] is pyspark and 'pyspark.sql' not in sys.modules",
        "import pyspark.sql.connect",  # ends it with 0 and no line: the trap is there
        "print('not reached')",
    )
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    code = "\n".join([*steps[:5], "print('alive', flush=True)", *steps[5:]])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        check=False,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert (done.stdout.strip(), done.returncode) == ("alive", 0), done.stderr[-500:]
