"""Statistics of the columns of one table, for all columns at once: few aggregate queries per batch of columns.

What belongs here: what one pass of aggregates gives. What does not: counts per value, shape or bin (histograms.py), pairs of columns
(associations.py) and the shape of the results (records.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import ibis
import ibis.expr.types as ir

from synth_assets.profiling.distinct import distinct_counts
from synth_assets.profiling.quantiles import Line, quantiles
from synth_assets.profiling.records import NumberStats, TextStats, TimeStats
from synth_assets.tables.schema import ColumnKind, ColumnSchema

BATCH_COLUMNS = 40
QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)
LONGEST_SHAPE = 64
DAY_SECONDS = 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Measure = Literal["number", "date", "time", "none"]


@dataclass(frozen=True)
class ColumnFacts:
    """What the first passes know about one column; positions on the number line are days for dates, seconds for times.

    Attributes:
        values: count, distinct and, by measure: minimum, maximum, mean, std, quantiles (of QUANTILES), zeros, negatives, finite,
            lengths, outliers.
    """

    schema: ColumnSchema
    rows: int
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def measure(self) -> Measure:
        """Whether and how the column has a place on the number line."""
        return measure_of(self.schema)

    @property
    def count(self) -> int:
        """Rows with a value."""
        return int(self.values["count"])

    @property
    def distinct(self) -> int:
        """Distinct values."""
        return int(self.values["distinct"])

    @property
    def unique(self) -> bool:
        """No value twice, at least two rows with a value."""
        return self.count >= 2 and self.distinct == self.count

    @property
    def nearly_unique(self) -> bool:
        """Most rows have a value of their own, so that counts per value say nothing."""
        return self.distinct > max(20, self.count // 2)

    @property
    def quartiles(self) -> Sequence[Any]:
        """The three quartiles as positions; None where there is no number."""
        found = self.values.get("quantiles")
        return (None,) * 3 if found is None else [q if math.isfinite(q) else None for q in found[1:4]]

    def knowing(self, **more: Any) -> ColumnFacts:
        """The same column with more facts."""
        return replace(self, values={**self.values, **more})

    def number(self, name: str) -> float | None:
        """One figure, None where it is absent or not finite."""
        value = self.values.get(name)
        return float(value) if value is not None and math.isfinite(value) else None


def measure_of(column: ColumnSchema) -> Measure:
    """How a column is measured: by its stored type, unless its values are labels."""
    if column.kind in {ColumnKind.CATEGORY, ColumnKind.ID, ColumnKind.BOOLEAN}:
        return "none"
    by_dtype: dict[str, Measure] = {
        "int64": "number",
        "double": "number",
        "date32[day]": "date",
        "timestamp[us]": "time",
    }
    return by_dtype.get(column.dtype, "none")


def position(table: ir.Table, column: ColumnSchema) -> Any:
    """A column as numbers: finite values, days or seconds since 1970; null elsewhere."""
    values: Any = table[column.name]
    if column.dtype == "double":
        return ibis.ifelse(values.isnan() | values.isinf(), ibis.null("float64"), values)
    if column.dtype == "date32[day]":
        return (values.cast("timestamp").epoch_seconds() / DAY_SECONDS).floor().cast("int64")
    return values.epoch_seconds().cast("float64") if column.dtype == "timestamp[us]" else values  # ibis: int32


def batches(columns: Sequence[Any], size: int = BATCH_COLUMNS) -> Iterator[Sequence[Any]]:
    """Columns in batches that keep one query readable for the engine."""
    for start in range(0, len(columns), size):
        yield columns[start : start + size]


def column_facts(table: ir.Table, columns: Sequence[ColumnSchema], rows: int) -> list[ColumnFacts]:
    """Counts, distinct values, moments, quantiles, lengths and outliers of every column, all exact.

    Args:
        table: The table.
        columns: Its columns.
        rows: Its rows.

    Returns:
        Facts in the order of `columns`.
    """
    found = [ColumnFacts(c, rows, v) for c, v in zip(columns, _asked(table, columns, _first), strict=True)]
    distinct = distinct_counts(table, {f.schema.name: int(f.values["about"]) for f in found})
    spread = quantiles(table, [line for f in found if (line := _line(table, f)) is not None], QUANTILES)
    found = [f.knowing(distinct=distinct[f.schema.name], quantiles=spread.get(f.schema.name)) for f in found]
    return [f.knowing(**more) for f, more in zip(found, _asked(table, found, _second), strict=True)]


def _asked(
    table: ir.Table, subjects: Sequence[Any], terms: Callable[[ir.Table, Any], dict[str, Any]]
) -> list[dict[str, Any]]:
    """The answers to the terms of each subject, from one query per batch of them."""
    answers: list[dict[str, Any]] = [{} for _ in subjects]
    for batch in batches(list(enumerate(subjects))):
        row = _one_row(table, {(i, k): e for i, subject in batch for k, e in terms(table, subject).items()})
        for (i, key), value in row.items():
            answers[i][key] = value
    return answers


def _line(table: ir.Table, facts: ColumnFacts) -> Line | None:
    rows = int(facts.values.get("finite") or 0)
    if not rows:
        return None
    x = position(table, facts.schema)
    return Line(facts.schema.name, x, rows, facts.values["minimum"], facts.values["maximum"])


def _one_row(table: ir.Table, expressions: Mapping[tuple[int, str], Any]) -> dict[tuple[int, str], Any]:
    """Many aggregates in one query."""
    if not expressions:
        return {}
    names = {f"a{n}": key for n, key in enumerate(expressions)}
    row = table.aggregate(**{name: expressions[key] for name, key in names.items()}).to_pyarrow().to_pylist()[0]
    return {key: row[name] for name, key in names.items()}


def _first(table: ir.Table, column: ColumnSchema) -> dict[str, Any]:
    values: Any = table[column.name]
    found: dict[str, Any] = {"count": values.count(), "about": values.approx_nunique()}
    if measure_of(column) != "none":
        x = position(table, column)
        found |= {"minimum": x.min(), "maximum": x.max(), "mean": x.mean()}
        found |= {"std": x.std(how="sample"), "zeros": (x == 0).sum(), "negatives": (x < 0).sum(), "finite": x.count()}
    if column.dtype == "string":
        length = values.length()
        found |= {"min_length": length.min(), "mean_length": length.mean(), "max_length": length.max()}
    return found


def _second(table: ir.Table, facts: ColumnFacts) -> dict[str, Any]:
    """Outliers of one number column, which need its quartiles and its deviation."""
    quartiles = facts.quartiles
    if facts.measure != "number" or None in quartiles:
        return {}
    q25, _, q75 = quartiles
    x = position(table, facts.schema)
    reach = 1.5 * (q75 - q25)
    found = {"outliers_iqr": ((x < q25 - reach) | (x > q75 + reach)).sum()}
    mean, std = facts.number("mean"), facts.number("std")
    if mean is not None and std is not None:
        found["outliers_zscore"] = ((x < mean - 3 * std) | (x > mean + 3 * std)).sum()
    return found


def number_stats(facts: ColumnFacts) -> NumberStats | None:
    """The record of a number column."""
    if facts.measure != "number":
        return None
    quartiles = facts.quartiles
    count = int(facts.values["finite"] or 0)
    return NumberStats(
        minimum=facts.values["minimum"],
        q25=quartiles[0],
        median=quartiles[1],
        mean=facts.number("mean"),
        q75=quartiles[2],
        maximum=facts.values["maximum"],
        std=facts.number("std"),
        zeros=int(facts.values["zeros"] or 0),
        negatives=int(facts.values["negatives"] or 0),
        outliers_iqr=int(facts.values.get("outliers_iqr") or 0) if count else None,
        outliers_zscore=int(facts.values.get("outliers_zscore") or 0) if count else None,
        not_finite=facts.count - count,
    )


def time_stats(facts: ColumnFacts) -> TimeStats | None:
    """The record of a date or time column."""
    if facts.measure not in {"date", "time"}:
        return None
    q25, median, q75 = facts.quartiles
    return TimeStats(
        minimum=iso_text(facts.number("minimum"), facts.measure),
        q25=iso_text(q25, facts.measure),
        median=iso_text(median, facts.measure),
        mean=iso_text(facts.number("mean"), facts.measure),
        q75=iso_text(q75, facts.measure),
        maximum=iso_text(facts.number("maximum"), facts.measure),
    )


def text_stats(facts: ColumnFacts) -> TextStats | None:
    """The record of a text column, shapes apart."""
    if facts.schema.dtype != "string":
        return None
    return TextStats(
        min_length=facts.values["min_length"],
        mean_length=facts.number("mean_length"),
        max_length=facts.values["max_length"],
    )


def iso_text(place: float | None, measure: Measure) -> str | None:
    """A position on the number line as an ISO date, or time to the second; None beyond the years 1 to 9999."""
    if place is None:
        return None
    try:
        moment = (
            _EPOCH + timedelta(days=math.floor(place))
            if measure == "date"
            else _EPOCH + timedelta(seconds=math.floor(place))
        )
    except OverflowError:
        return None
    return moment.date().isoformat() if measure == "date" else moment.replace(tzinfo=None).isoformat()
