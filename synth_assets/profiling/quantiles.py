"""Exact quantiles of any number of rows in bounded memory.

What belongs here: order statistics of columns on the number line. What does not: which columns have a place on it (columns.py). Small
tables use the engine's own quantiles, which hold every value in memory; large ones are narrowed down: counts of a thousand bins,
then of the bin that holds the wanted rank, until its values are few enough to be fetched.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np

HELD_VALUES = 4_000_000
FETCHED_ROWS = 250_000
BINS = 1_024


@dataclass(frozen=True)
class Line:
    """One column as finite numbers.

    Attributes:
        name: Of the column.
        values: The expression; null where there is no number.
        rows: Rows with a number.
        low: The least number.
        high: The greatest.
    """

    name: str
    values: Any
    rows: int
    low: float | int
    high: float | int


@dataclass(frozen=True)
class _Bracket:
    """A stretch of the number line that holds wanted ranks; both ends belong to it.

    Attributes:
        below: Rows before it.
        rows: Rows in it.
    """

    low: float | int
    high: float | int
    below: int
    rows: int

    def holds(self, rank: int) -> bool:
        return self.below <= rank < self.below + self.rows


def quantiles(table: ir.Table, lines: Sequence[Line], fractions: Sequence[float]) -> dict[str, list[float]]:
    """Quantiles with linear interpolation between neighbouring values (type 7, as numpy and pandas have it).

    Args:
        table: The table of the expressions.
        lines: Columns with at least one number each.
        fractions: Each in [0, 1].

    Returns:
        Column -> one value per fraction.
    """
    found: dict[str, list[float]] = {}
    for batch in _batches([line for line in lines if line.rows <= HELD_VALUES]):
        terms = {f"q{i}": line.values.quantile(list(fractions)) for i, line in enumerate(batch)}
        row = table.aggregate(**terms).to_pyarrow().to_pylist()[0]
        found |= {line.name: [float(v) for v in row[f"q{i}"]] for i, line in enumerate(batch)}
    for line in lines:
        if line.rows > HELD_VALUES:
            found[line.name] = narrowed(table, line, fractions)
    return found


def _batches(lines: Sequence[Line]) -> Iterator[list[Line]]:
    """Columns whose values fit into memory together."""
    batch: list[Line] = []
    for line in lines:
        if batch and sum(other.rows for other in batch) + line.rows > HELD_VALUES:
            yield batch
            batch = []
        batch.append(line)
    if batch:
        yield batch


def narrowed(table: ir.Table, line: Line, fractions: Sequence[float]) -> list[float]:
    """Quantiles of one column of many rows: a few passes over the column, each over fewer rows."""
    places = [(line.rows - 1) * fraction for fraction in fractions]
    ranks = {rank for place in places for rank in (math.floor(place), math.ceil(place))}
    numbers: dict[int, float | int] = {}
    waiting = [_Bracket(line.low, line.high, 0, line.rows)]
    values = table.select(x=line.values)
    while waiting:
        bracket = waiting.pop()
        inside = sorted(rank for rank in ranks if bracket.holds(rank))
        if not inside:
            continue
        if bracket.low == bracket.high:
            numbers |= dict.fromkeys(inside, bracket.low)
            continue
        parts = _split(values, bracket) if bracket.rows > FETCHED_ROWS else []
        if len(parts) > 1:
            waiting += parts
        else:
            numbers |= _fetched(values, bracket, inside)
    return [_between(numbers[math.floor(p)], numbers[math.ceil(p)], p - math.floor(p)) for p in places]


def _between(low: float, high: float, share: float) -> float:
    reach = float(high) - float(low)
    return float(low) + reach * share if math.isfinite(reach) else low * (1 - share) + high * share


def _inside(values: ir.Table, bracket: _Bracket) -> ir.Table:
    return values.filter(values.x.between(bracket.low, bracket.high))


def _split(values: ir.Table, bracket: _Bracket) -> list[_Bracket]:
    """Equal bins of a bracket, each drawn together to the values in it; one part where no bin tells them apart."""
    low, high = (
        float(bracket.low) / BINS,
        float(bracket.high) / BINS,
    )  # so that a range beyond the largest double has a width
    width = high - low
    if width <= 0:
        return []
    rows = _inside(values, bracket)
    bins = ((rows.x.cast("float64") / BINS - low) / width * BINS).floor().cast("int64").clip(0, BINS - 1)
    counted = rows.group_by(bin=bins).aggregate(n=ibis._.count(), low=rows.x.min(), high=rows.x.max())
    parts, below = [], bracket.below
    for part in counted.order_by("bin").to_pyarrow().to_pylist():
        parts.append(_Bracket(part["low"], part["high"], below, part["n"]))
        below += part["n"]
    return parts


def _fetched(values: ir.Table, bracket: _Bracket, ranks: Sequence[int]) -> Mapping[int, float | int]:
    """The values at some ranks of a bracket, from its distinct values and their rows."""
    rows = _inside(values, bracket)
    counted = rows.group_by("x").aggregate(n=ibis._.count()).order_by("x").to_pyarrow()
    last = bracket.below + np.cumsum(counted["n"].to_numpy())
    return {rank: counted["x"][int(np.searchsorted(last, rank, side="right"))].as_py() for rank in ranks}
