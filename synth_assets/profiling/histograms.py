"""Counts per bin, per value and per text shape: all that plots and reports may see of a column.

What belongs here: one query for the bins and one for the values of a batch of columns; each column is scanned alone, since the
files are columnar. What does not: which counts may be shown (disclosure.py).
"""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir

from synth_assets.profiling.columns import LONGEST_SHAPE, ColumnFacts, batches, iso_text, position
from synth_assets.profiling.records import Histogram, ValueCount

BINS = 20
TOP_VALUES = 10
_EXACT_RANGE = 2.0**52
_FROM = string.ascii_lowercase + string.ascii_uppercase + string.digits
_TO = "a" * 26 + "A" * 26 + "9" * 10


@dataclass(frozen=True)
class _Grid:
    """Equal bins from `start`; whole numbers and dates have bins of whole width."""

    start: float | int
    width: float | int
    bins: int

    @property
    def edges(self) -> list[float | int]:
        return [self.start + i * self.width for i in range(self.bins + 1)]


def _grid(facts: ColumnFacts) -> _Grid | None:
    low: Any = facts.values.get("minimum")
    high: Any = facts.values.get("maximum")
    if facts.measure == "none" or low is None or not math.isfinite(float(high) - float(low)):
        return None
    if facts.schema.dtype in {"int64", "date32[day]"}:
        if high - low < BINS:
            return _Grid(low, 1, high - low + 1)
        width = -(-(high - low + 1) // BINS)
        return _Grid(low, width, -(-(high - low + 1) // width))
    low, high = float(low), float(high)
    width = (high - low) / BINS
    return _Grid(low, width, BINS) if low + width > low else _Grid(low, 1.0, 1)


def histograms(table: ir.Table, facts: Sequence[ColumnFacts]) -> dict[str, Histogram]:
    """A histogram for every number, date and time column with a value.

    Args:
        table: The table.
        facts: Its columns' facts (minimum and maximum).

    Returns:
        By column name: at most 20 bins of equal width.
    """
    found: dict[str, Histogram] = {}
    gridded = [(f, g) for f in facts if (g := _grid(f)) is not None]
    for batch in batches(gridded):
        parts = [_binned(table, f, g, i) for i, (f, g) in enumerate(batch)]
        counts: list[dict[int, int]] = [{} for _ in batch]
        for row in _union(parts).to_pyarrow().to_pylist():
            counts[row["i"]][row["bin"]] = row["n"]
        for (fact, grid), bins in zip(batch, counts, strict=True):
            edges = [iso_text(e, fact.measure) for e in grid.edges] if fact.measure in {"date", "time"} else grid.edges
            found[fact.schema.name] = Histogram(
                edges=tuple(edges), counts=tuple(bins.get(b, 0) for b in range(grid.bins))
            )
    return found


def _binned(table: ir.Table, facts: ColumnFacts, grid: _Grid, index: int) -> ir.Table:
    x = position(table, facts.schema)
    if abs(grid.start) + grid.bins * abs(grid.width) > _EXACT_RANGE:
        x = x.cast("float64")
    place = ((x - grid.start) / grid.width).floor().cast("int64").clip(0, grid.bins - 1)
    binned = table.select(bin=place)
    return (
        binned.filter(binned.bin.notnull())
        .group_by("bin")
        .aggregate(n=ibis._.count())
        .mutate(i=ibis.literal(index, "int16"))
    )


def _union(parts: Sequence[ir.Table]) -> ir.Table:
    return ibis.union(*parts) if len(parts) > 1 else parts[0]


def top_values(table: ir.Table, facts: Sequence[ColumnFacts]) -> dict[str, tuple[ValueCount, ...]]:
    """The commonest values of every column in which values repeat, commonest first, ties by text."""
    wanted = [f for f in facts if f.count and not f.nearly_unique]
    return _commonest(table, [(f.schema.name, table[f.schema.name], None) for f in wanted])


def shapes(table: ir.Table, facts: Sequence[ColumnFacts]) -> dict[str, tuple[ValueCount, ...]]:
    """The commonest shapes of every text column whose texts are short, such as `AAA-99`."""
    wanted = [f for f in facts if f.schema.dtype == "string" and f.count and f.values["max_length"] <= LONGEST_SHAPE]
    return _commonest(table, [(f.schema.name, table[f.schema.name], _shape) for f in wanted])


def _shape(text: Any) -> Any:
    return text.translate(_FROM, _TO).re_replace("[^\x00-\x7f]", "a")


def _commonest(table: ir.Table, wanted: Sequence[tuple[str, Any, Any]]) -> dict[str, tuple[ValueCount, ...]]:
    """Group by value first, so that a shape is made once per distinct value."""
    found: dict[str, tuple[ValueCount, ...]] = {}
    for batch in batches(wanted):
        parts = []
        for index, (_, column, form) in enumerate(batch):
            values = table.select(value=column)
            grouped = values.filter(values.value.notnull()).group_by("value").aggregate(n=ibis._.count())
            if form is not None:
                grouped = grouped.group_by(value=form(grouped.value)).aggregate(n=grouped.n.sum())
            texts = grouped.select(value=grouped.value.cast("string"), n=grouped.n.cast("int64"))
            parts.append(
                texts.order_by(ibis.desc("n"), "value").limit(TOP_VALUES).mutate(i=ibis.literal(index, "int16"))
            )
        rows = sorted(_union(parts).to_pyarrow().to_pylist(), key=lambda r: (r["i"], -r["n"], r["value"]))
        for index, (name, _, _) in enumerate(batch):
            found[name] = tuple(ValueCount(value=r["value"], rows=r["n"]) for r in rows if r["i"] == index)
    return found
