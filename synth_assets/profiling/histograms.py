"""Counts per bin, per value and per text shape: all that plots and reports may see of a column.

What belongs here: one query for the bins and one for the values of a batch of columns; each column is scanned alone, since the
files are columnar. What does not: which counts may be shown (disclosure.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ibis
import ibis.expr.types as ir

from synth_assets.profiling.columns import LONGEST_SHAPE, ColumnFacts, batches
from synth_assets.profiling.grids import Grid, grid_of
from synth_assets.profiling.records import Histogram, ValueCount
from synth_assets.profiling.shapes import shape

TOP_VALUES = 10


def histograms(table: ir.Table, facts: Sequence[ColumnFacts]) -> dict[str, Histogram]:
    """A histogram for every number, date and time column with a value.

    Args:
        table: The table.
        facts: Its columns' facts (minimum and maximum).

    Returns:
        By column name: about 20 bins of equal, round width (grids.py); the outer ones may be open.
    """
    found: dict[str, Histogram] = {}
    gridded = [(f, g) for f in facts if (g := grid_of(f)) is not None]
    for batch in batches(gridded):
        parts = [_binned(table, f, g, i) for i, (f, g) in enumerate(batch)]
        counts: list[dict[int, int]] = [{} for _ in batch]
        for row in _union(parts).to_pyarrow().to_pylist():
            counts[row["i"]][row["bin"]] = row["n"]
        for (fact, grid), bins in zip(batch, counts, strict=True):
            found[fact.schema.name] = Histogram(
                edges=tuple(grid.edges(fact)), counts=tuple(bins.get(b, 0) for b in range(grid.bins))
            )
    return found


def _binned(table: ir.Table, facts: ColumnFacts, grid: Grid, index: int) -> ir.Table:
    binned = table.select(bin=grid.place(table, facts.schema))
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
    return _commonest(table, [(f, None) for f in wanted])


def shapes(table: ir.Table, facts: Sequence[ColumnFacts]) -> dict[str, tuple[ValueCount, ...]]:
    """The commonest shapes of every text column whose texts are short, such as `AAA-99`."""
    wanted = [f for f in facts if f.schema.dtype == "string" and f.count and f.values["max_length"] <= LONGEST_SHAPE]
    return _commonest(table, [(f, shape) for f in wanted])


def _commonest(table: ir.Table, wanted: Sequence[tuple[ColumnFacts, Any]]) -> dict[str, tuple[ValueCount, ...]]:
    """By value, or by a form of it, which is made once per distinct value where values repeat."""
    found: dict[str, tuple[ValueCount, ...]] = {}
    for batch in batches(wanted):
        parts = [_counted(table, facts, form, index) for index, (facts, form) in enumerate(batch)]
        rows = sorted(_union(parts).to_pyarrow().to_pylist(), key=lambda r: (r["i"], -r["n"], r["value"]))
        for index, (facts, _) in enumerate(batch):
            found[facts.schema.name] = tuple(ValueCount(value=r["value"], rows=r["n"]) for r in rows if r["i"] == index)
    return found


def _counted(table: ir.Table, facts: ColumnFacts, form: Any, index: int) -> ir.Table:
    column = table[facts.schema.name]
    values = table.select(value=form(column) if form is not None and facts.nearly_unique else column)
    grouped = values.filter(values.value.notnull()).group_by("value").aggregate(n=ibis._.count())
    if form is not None and not facts.nearly_unique:
        grouped = grouped.group_by(value=form(grouped.value)).aggregate(n=grouped.n.sum())
    texts = grouped.select(value=grouped.value.cast("string"), n=grouped.n.cast("int64"))
    return texts.order_by(ibis.desc("n"), "value").limit(TOP_VALUES).mutate(i=ibis.literal(index, "int16"))
