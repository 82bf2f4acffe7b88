"""Edges of histograms: round numbers, whole months or years, chosen from the middle 98 % of a column.

What belongs here: choosing edges and the expression that puts a value between them. What does not: counting (histograms.py).
Round edges read well, and a bin's width does not tell how far the extremes lie: what is beyond the middle joins the outer bins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Any

import ibis.expr.types as ir

from synth_assets.profiling.columns import DAY_SECONDS, ColumnFacts, iso_text, position
from synth_assets.tables.schema import ColumnSchema

BINS = 20
NEAR = 1.5  # the whole range is shown where it is at most so much wider than the middle
_STEPS = (Fraction(1), Fraction(2), Fraction(5), Fraction(10))
_DAYS = (1, 2, 7, 14)
_SECONDS = (1, 5, 15, 60, 300, 900, 3_600, 3 * 3_600, 6 * 3_600, 12 * 3_600, *(d * DAY_SECONDS for d in _DAYS))
_MONTHS = (1, 3, 6, 12, 24, 60, 120, 240, 600, 1_200, 2_400, 6_000)
_MONTH_DAYS = 30.44
_EPOCH_MONTHS = 1970 * 12
_EPOCH_DAY = date(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class Grid:
    """Bins between the edges `first * width` and `(last + 1) * width`, with an open bin on either side where values lie beyond.

    Attributes:
        width: In numbers, days or seconds; in months where `months`.
        first: Index of the first bin.
        last: Index of the last one.
        lower: An open bin below the first edge, which starts at this position; None where nothing lies there.
        upper: An open bin from the last edge on, up to this position.
    """

    width: Fraction
    first: int
    last: int
    lower: float | int | None = None
    upper: float | int | None = None
    months: bool = False

    @property
    def bins(self) -> int:
        """Bins, open ones included."""
        return self.last - self.first + 1 + (self.lower is not None) + (self.upper is not None)

    def place(self, table: ir.Table, column: ColumnSchema) -> Any:
        """The bin of each row, from 0; null where the column has no number."""
        low = self.first - (self.lower is not None)
        return (self._index(table, column).clip(low, self.last + (self.upper is not None)) - low).cast("int64")

    def _index(self, table: ir.Table, column: ColumnSchema) -> Any:
        if self.months:
            values: Any = table[column.name]
            return ((values.year() * 12 + values.month() - 1 - _EPOCH_MONTHS) / int(self.width)).floor()
        x = position(table, column)
        if column.dtype != "double" and self.width.denominator == 1:
            return (x / int(self.width)).floor()
        up, down = float(self.width.numerator), float(self.width.denominator)
        scaled = (
            x * down / up
        ).floor()  # off by one where x is an edge that has no exact double: 0.29 / 0.01 is below 29
        return scaled + (x >= (scaled + 1) * up / down).cast("int8") - (x < scaled * up / down).cast("int8")

    def edges(self, facts: ColumnFacts) -> list[int | float | str | None]:
        """One more than bins: numbers or ISO texts; the outermost are the extremes where the outer bins are open."""
        inner = [self._edge(facts, i) for i in range(self.first, self.last + 2)]
        start = [] if self.lower is None else [_shown(facts, self.lower)]
        return [*start, *inner, *([] if self.upper is None else [_shown(facts, self.upper)])]

    def _edge(self, facts: ColumnFacts, index: int) -> int | float | str | None:
        if self.months:
            year, month = divmod(_EPOCH_MONTHS + index * int(self.width), 12)
            day = date(min(max(year, 1), 9999), month + 1, 1).isoformat()
            return day if facts.measure == "date" else f"{day}T00:00:00"
        exact = index * self.width
        return _shown(facts, float(exact) if facts.schema.dtype == "double" else int(exact))


def grid_of(facts: ColumnFacts) -> Grid | None:
    """The bins of one column; None where it has no number, or numbers too far apart or too far out to be binned."""
    low: Any = facts.values.get("minimum")
    high: Any = facts.values.get("maximum")
    if facts.measure == "none" or low is None or not math.isfinite(float(high) - float(low)):
        return None
    near_low, near_high = _middle(facts, low, high)
    if facts.measure == "number":
        width, months = _width(near_low, near_high, whole=facts.schema.dtype == "int64"), False
    else:
        width, months = _time_width(facts, near_low, near_high)
    day = 1 if facts.measure == "date" else DAY_SECONDS
    if months and not all(_has_year(place / day) for place in (low, high)):
        return None

    def index(place: float) -> int:
        return math.floor((_month(place / day) if months else Fraction(place)) / width)

    first, last = index(near_low), index(near_high)
    lower, upper = low if index(low) < first else None, high if index(high) > last else None
    return Grid(width, first, last, lower, upper, months)


def _middle(facts: ColumnFacts, low: float, high: float) -> tuple[float | int, float | int]:
    """Where most values lie: all of them, or the middle 98 % where the extremes lie far out."""
    spread = facts.values.get("quantiles")
    if spread is None:
        return low, high
    first, *_, last = spread
    whole = facts.schema.dtype != "double"
    if (whole and high - low < BINS) or float(high) - float(low) <= NEAR * (last - first):
        return low, high
    return (math.floor(first), math.ceil(last)) if whole else (first, last)


def _width(low: float, high: float, *, whole: bool) -> Fraction:
    """The least of 1, 2, 5 times a power of ten that needs about 20 bins; whole numbers have whole widths."""
    reach = Fraction(high) - Fraction(low)
    if reach == 0:
        return Fraction(1) if whole else _power_of_ten(abs(Fraction(low)) or Fraction(1))
    least = reach / BINS
    power = _power_of_ten(least)
    width = next(step * power for step in _STEPS if step * power >= least)
    return max(width, Fraction(1)) if whole else width


def _power_of_ten(number: Fraction) -> Fraction:
    """The power of ten at or below a positive number."""
    power = len(str(number.numerator)) - len(str(number.denominator))
    found = Fraction(10) ** power
    return found if found <= number else found / 10


def _time_width(facts: ColumnFacts, low: float, high: float) -> tuple[Fraction, bool]:
    """A width and whether it is in months."""
    steps, day = (_DAYS, 1) if facts.measure == "date" else (_SECONDS, DAY_SECONDS)
    for step in steps:
        if high - low < step * (BINS - 1):
            return Fraction(step), False
    months = (high - low) / day / _MONTH_DAYS
    return Fraction(next((w for w in _MONTHS if months < w * (BINS - 2)), _MONTHS[-1])), True


def _shown(facts: ColumnFacts, place: float) -> int | float | str | None:
    return place if facts.measure == "number" else iso_text(place, facts.measure)


def _has_year(days: float) -> bool:
    return date.min.toordinal() <= math.floor(days) + _EPOCH_DAY <= date.max.toordinal()


def _month(days: float) -> int:
    """Months since January 1970."""
    found = date.fromordinal(math.floor(days) + _EPOCH_DAY)
    return found.year * 12 + found.month - 1 - _EPOCH_MONTHS
