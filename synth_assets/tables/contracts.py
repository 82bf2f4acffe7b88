"""Data contracts: default and declared expectations, their outcomes in counts and plain words, and a data-quality score.

What belongs here: from configuration to outcome. What does not: Great Expectations itself (gx_engine.py), the names of checks
(expectation_names.py) and what a failed check does (the Dagster layer). No outcome holds a value of the data.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from synth_assets.config.dataset import ColumnConfig, ExpectationConfig, TableConfig
from synth_assets.errors import ConfigError, InputError
from synth_assets.tables.expectation_names import check_names, columns_of, full_name, known_name
from synth_assets.tables.schema import Frozen, TableSchema

if TYPE_CHECKING:
    from synth_assets.tables.engine import Engine
    from synth_assets.tables.gx_engine import Request, Verdict

__all__ = [
    "ExpectationOutcome",
    "check_names",
    "default_expectations",
    "full_contract",
    "quality_score",
    "run_contract",
]

SMALLEST_CELL = 11
WEIGHTS = {"error": 1.0, "warn": 0.5}
TYPES_OF_KIND = {
    "number": ["BIGINT", "DOUBLE"],
    "category": ["VARCHAR", "BIGINT", "BOOLEAN", "DOUBLE"],
    "date": ["DATE"],
    "datetime": ["TIMESTAMP"],
    "boolean": ["BOOLEAN"],
    "text": ["VARCHAR"],
    "id": ["VARCHAR", "BIGINT"],
}
ENGINE_TYPE = {
    "int64": "BIGINT",
    "double": "DOUBLE",
    "string": "VARCHAR",
    "bool": "BOOLEAN",
    "date32[day]": "DATE",
    "timestamp[us]": "TIMESTAMP",
}
_FORMS = {
    "expect_column_values_to_not_be_null": "filled in",
    "expect_column_values_to_be_null": "empty",
    "expect_column_values_to_be_unique": "unique",
    "expect_compound_columns_to_be_unique": "unique together",
    "expect_column_values_to_be_in_set": "in the declared set",
    "expect_column_values_to_not_be_in_set": "outside the forbidden set",
    "expect_column_values_to_be_between": "inside the declared bounds",
    "expect_column_values_to_match_regex": "of the declared form",
    "expect_column_value_lengths_to_be_between": "of the declared length",
    "expect_column_value_lengths_to_equal": "of the declared length",
    "expect_column_pair_values_a_to_be_greater_than_b": "in the declared order",
    "expect_column_pair_values_to_be_equal": "equal",
}
_TYPE_CHECKS = (
    "expect_column_values_to_be_of_type",
    "expect_column_values_to_be_in_type_list",
    "expect_column_type_to_be",
)
_VALUES_OF_COLUMN = (
    "expect_column_values_to_be_between",
    "expect_column_max_to_be_between",
    "expect_column_min_to_be_between",
    "expect_column_values_to_be_in_set",
    "expect_column_values_to_not_be_in_set",
    "expect_column_distinct_values_to_be_in_set",
    "expect_column_distinct_values_to_contain_set",
    "expect_column_distinct_values_to_equal_set",
    "expect_column_most_common_value_to_be_in_set",
)


class ExpectationOutcome(Frozen):
    """What one expectation found, in counts.

    Attributes:
        name: Slug of the asset check; one of `check_names`.
        expectation: Full name in Great Expectations.
        column: The column or columns, joined by ", "; None for the table as a whole.
        success: Whether the contract holds here.
        severity: "error" blocks what stands downstream, "warn" does not.
        checked_rows: Rows that were looked at (missing values are not, except by a not-null expectation); None once suppressed.
        skipped_rows: Rows that were not looked at; None once suppressed.
        unexpected_count: Rows that fail; None where the expectation is about a column or table as a whole.
        unexpected_fraction: Share of the checked rows that fail.
        message: The same in plain words.
    """

    name: str
    expectation: str
    column: str | None
    success: bool
    severity: Literal["error", "warn"]
    checked_rows: int | None
    skipped_rows: int | None = 0
    unexpected_count: int | None = None
    unexpected_fraction: float | None = None
    message: str

    def public(self) -> ExpectationOutcome:
        """The same without any group of 1 to 10 rows, for Dagster metadata and reports."""
        if self.checked_rows is None or self.skipped_rows is None:
            return self
        changes: dict[str, Any] = {}
        checked, failed = self.checked_rows, self.unexpected_count
        if 0 < self.skipped_rows < SMALLEST_CELL:
            checked += self.skipped_rows
            changes = {"checked_rows": checked, "skipped_rows": None}
            if failed is not None:
                changes |= {"unexpected_fraction": failed / checked, "message": _row_message(self, checked, failed)}
        if failed is not None and 0 < min(failed, checked - failed) < SMALLEST_CELL:
            accepted = "; the contract accepts this share" if self.success else ""
            few = "a few" if failed < checked - failed else "nearly all"
            message = f"{_subject(self.column)}: {few} checked rows are not {_form(self.expectation)}{accepted}."
            changes |= {"unexpected_count": None, "unexpected_fraction": None, "message": message}
        return self.model_copy(update=changes)


def default_expectations(table: TableConfig) -> tuple[ExpectationConfig, ...]:
    """The expectations that follow from a table's configuration, before any data is seen.

    The primary key is filled in and unique; foreign keys are filled in (a warning); declared kinds, categories and bounds hold.
    What `init` inferred and nobody has confirmed only warns.
    """
    found = [_expect("column_values_to_not_be_null", key) for key in table.primary_key]
    if len(table.primary_key) == 1:
        found.append(_expect("column_values_to_be_unique", table.primary_key[0]))
    elif table.primary_key:
        found.append(
            ExpectationConfig.model_validate(
                {"expect": "compound_columns_to_be_unique", "column_list": list(table.primary_key)}
            )
        )
    found += [
        _expect("column_values_to_not_be_null", column, severity="warn")
        for column in table.foreign_keys
        if column not in table.primary_key
    ]
    for name, column in table.columns.items():
        found += _of_column(name, column)
    return tuple(found)


def _of_column(name: str, column: ColumnConfig) -> list[ExpectationConfig]:
    severity: Literal["error", "warn"] = "warn" if column.inferred else "error"
    found = []
    if column.kind is not None:
        found.append(
            _expect("column_values_to_be_in_type_list", name, severity=severity, type_list=TYPES_OF_KIND[column.kind])
        )
    if column.categories is not None:
        found.append(_expect("column_values_to_be_in_set", name, severity=severity, value_set=list(column.categories)))
    bounds = {k: v for k, v in (("min_value", column.lower), ("max_value", column.upper)) if v is not None}
    if bounds:
        found.append(_expect("column_values_to_be_between", name, severity=severity, **bounds))
    return found


def _expect(
    name: str, column: str, severity: Literal["error", "warn"] = "error", **arguments: Any
) -> ExpectationConfig:
    return ExpectationConfig.model_validate({"expect": name, "column": column, "severity": severity, **arguments})


def full_contract(table: TableConfig) -> tuple[ExpectationConfig, ...]:
    """The defaults and the declared expectations; a declared one replaces the default of the same name and columns."""
    declared = {(full_name(e.expect), columns_of(e)) for e in table.contract}
    defaults = [e for e in default_expectations(table) if (full_name(e.expect), columns_of(e)) not in declared]
    return (*defaults, *table.contract)


def quality_score(outcomes: Sequence[ExpectationOutcome]) -> float | None:
    """Share of the expectations that hold, in [0, 1]; an error weighs 1, a warning 0.5. None without expectations."""
    total = sum(WEIGHTS[o.severity] for o in outcomes)
    return sum(WEIGHTS[o.severity] for o in outcomes if o.success) / total if outcomes else None


def run_contract(
    table: Path, schema: TableSchema, expectations: Sequence[ExpectationConfig], engine: Engine
) -> tuple[ExpectationOutcome, ...]:
    """Run a contract over a canonical table, inside the engine.

    Args:
        table: Folder with part-*.parquet, or one Parquet file.
        schema: The table's schema.
        expectations: What must hold, such as `full_contract(table_config)`.
        engine: Memory limit, threads and spill folder.

    Returns:
        One outcome per expectation, in order, named as `check_names` names them. An expectation that the engine cannot compute on
        the column as it is stored has failed.

    Raises:
        ConfigError: unknown expectation, column or argument, with near matches.
        InputError: the folder holds no Parquet file.
    """
    if not expectations:
        return ()
    from synth_assets.tables import gx_engine

    requests = [_request(schema, expectation) for expectation in expectations]
    files = sorted(table.glob("part-*.parquet")) if table.is_dir() else [table]
    if not files or not files[0].is_file():
        raise InputError("no Parquet file in the folder.", file=str(table))
    verdicts = gx_engine.evaluate(files, requests, engine, step=f"the contract of table {schema.name!r}")
    names = check_names(expectations)
    return tuple(
        _outcome(n, e, r, v, schema) for n, e, r, v in zip(names, expectations, requests, verdicts, strict=True)
    )


def _request(schema: TableSchema, expectation: ExpectationConfig) -> Request:
    """An expectation whose names are known and whose values have the type of their column."""
    from synth_assets.tables.gx_engine import Request

    key = f"tables.{schema.name}.contract"
    name = known_name(expectation.expect, key=key)
    arguments = expectation.arguments
    if name != "expect_column_to_exist":
        for column in columns_of(expectation):
            _check_column(schema, column, key)
    if name in _VALUES_OF_COLUMN and expectation.column is not None:
        dtype = schema.column(expectation.column).dtype
        arguments = {k: _fit_argument(k, v, dtype, expectation.column, key) for k, v in arguments.items()}
    _check_types(name, arguments, key)
    if expectation.column is not None:
        arguments["column"] = expectation.column
    return Request(name=name, arguments=arguments, key=key)


def _check_column(schema: TableSchema, column: str, key: str) -> None:
    if column in schema.names:
        return
    near = difflib.get_close_matches(column, schema.names, n=3, cutoff=0.5)
    remedy = f"Did you mean {', '.join(near)}?" if near else f"Its columns: {', '.join(schema.names[:20])}."
    raise ConfigError(f"table {schema.name!r} has no such column.", column=column, key=key, remedy=remedy)


def _check_types(name: str, arguments: Mapping[str, Any], key: str) -> None:
    """Type names are the engine's; Great Expectations would silently fail an unknown one."""
    if name not in _TYPE_CHECKS:
        return
    wanted = [arguments[k] for k in ("type_", "type") if k in arguments] or list(arguments.get("type_list") or [])
    known = set(ENGINE_TYPE.values())
    if any(w not in known for w in wanted):
        raise ConfigError(f"{name!r} names an unknown type.", key=key, remedy=f"Types: {', '.join(sorted(known))}.")


def _fit_argument(argument: str, value: Any, dtype: str, column: str, key: str) -> Any:
    """Bounds and sets in the type of the column: YAML writes 1 for "1" and a text for a date."""
    if argument in {"min_value", "max_value"} and value is not None:
        return _fit(value, dtype, column, key, end_of_day=argument == "max_value")
    if argument == "value_set" and isinstance(value, list | tuple):
        return [_fit(v, dtype, column, key) for v in value]
    return value


def _fit(value: Any, dtype: str, column: str, key: str, *, end_of_day: bool = False) -> Any:
    try:
        return _converted(value, dtype, end_of_day=end_of_day)
    except (TypeError, ValueError):
        raise ConfigError(
            f"a declared value does not fit a column that is stored as {ENGINE_TYPE[dtype]}.",
            column=column,
            key=key,
            remedy="Write numbers plainly, texts in quotes and dates as 2020-12-31.",
        ) from None


def _converted(value: Any, dtype: str, *, end_of_day: bool) -> Any:
    """One declared value as the engine compares it. A date as the upper bound of times means the end of that day."""
    if dtype == "bool":
        return value if isinstance(value, bool) else _truth(value)
    if isinstance(value, bool):
        raise TypeError
    if dtype in {"int64", "double"}:
        number = float(value)
        return int(number) if number.is_integer() and dtype == "int64" else number
    if dtype == "date32[day]":
        return value if type(value) is date else date.fromisoformat(str(value)[:10])
    if dtype == "timestamp[us]":
        moment = datetime.fromisoformat(str(value))
        moment = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
        date_only = len(str(value).strip()) == len("2020-12-31")
        return datetime.combine(moment.date(), time.max) if end_of_day and date_only else moment
    return str(value)


def _truth(value: Any) -> bool:
    words = {"true": True, "false": False, "1": True, "0": False}
    if str(value).lower() not in words:
        raise ValueError
    return words[str(value).lower()]


def _outcome(
    name: str, expectation: ExpectationConfig, request: Request, verdict: Verdict, schema: TableSchema
) -> ExpectationOutcome:
    columns = columns_of(expectation)
    checked = verdict.table_rows - verdict.skipped_rows
    failed = verdict.unexpected_rows
    outcome = ExpectationOutcome(
        name=name,
        expectation=request.name,
        column=", ".join(columns) or None,
        success=verdict.success,
        severity=expectation.severity,
        checked_rows=checked,
        skipped_rows=verdict.skipped_rows,
        unexpected_count=failed,
        unexpected_fraction=None if failed is None else failed / checked if checked else 0.0,
        message="",
    )
    if failed is not None:
        message = _row_message(outcome, checked, failed)
    else:
        stored = ", ".join(sorted({ENGINE_TYPE[schema.column(c).dtype] for c in columns if c in schema.names}))
        message = _whole_message(outcome, stored, computed=verdict.problem is None)
    return outcome.model_copy(update={"message": message})


def _row_message(outcome: ExpectationOutcome, checked: int, failed: int) -> str:
    """The message of an expectation that counts rows."""
    subject, form = _subject(outcome.column), _form(outcome.expectation)
    if checked == 0:
        return f"{subject}: no row to check."
    if failed == 0:
        return f"{subject}: all {checked:,} checked rows are {form}."
    accepted = "; the contract accepts this share" if outcome.success else ""
    return f"{subject}: {failed:,} of {checked:,} checked rows are not {form}{accepted}."


def _whole_message(outcome: ExpectationOutcome, stored: str, *, computed: bool) -> str:
    """The message of an expectation about a column or the table as a whole."""
    subject, asked = _subject(outcome.column), outcome.expectation.removeprefix("expect_")
    if not computed:
        how = f" on a column that is stored as {stored}" if stored else ""
        return f"{subject}: {asked!r} cannot be computed{how}."
    if outcome.expectation in _TYPE_CHECKS:
        return (
            f"{subject}: stored as {stored}, {'as declared' if outcome.success else 'which is not the declared type'}."
        )
    if outcome.expectation.startswith("expect_table_row_count"):
        return (
            f"{subject} has {outcome.checked_rows:,} rows, {'as' if outcome.success else 'not as'} the contract asks."
        )
    return f"{subject}: {asked!r} {'holds' if outcome.success else 'does not hold'}."


def _subject(column: str | None) -> str:
    return "The table" if column is None else f"Columns {column}" if ", " in column else f"Column {column!r}"


def _form(name: str) -> str:
    return _FORMS.get(name, f"as {name.removeprefix('expect_')!r} asks")
