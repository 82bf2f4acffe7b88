"""Public cells of a column: how each value of a column becomes a small integer, from declared or noisy facts only.

What belongs here: grids of numbers, dates and categories, the same for every data set with the same domain. Every column has a cell for
missing values, whether the data have one or not, so that neighbours have equal domains. What does not: reading data (marginals.py).
"""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import Literal

import numpy as np

from synth_assets.errors import ConfigError
from synth_assets.tables.schema import Frozen

EPOCH = date(1970, 1, 1)
DAY_SECONDS = 86_400
NARROW = 128  # integers in at most this range have one cell each
CALENDAR_CELLS = 400
MAX_CATEGORIES = 60_000  # codes are 16-bit
MAX_DECIMALS = 6
SCOUT_DECIMALS = {"int64": 0, "double": 3}
LARGEST_UNITS = 10**15  # exact in a double
LARGEST_BOUND = 2**62  # a cell's edges are 64-bit numbers
ROUND_STEPS = 5
CLOCK_STEPS = (1, 60, 3600, DAY_SECONDS)
CellKind = Literal["category", "number", "date", "datetime"]


class ColumnDomain(Frozen):
    """The cells of one column.

    A category column has one cell per category, a numeric column one per interval of whole units: 10^-decimals for numbers, days for
    dates, seconds for datetimes (both since 1970). Then come a cell for missing values and, if `open`, one for all other categories.

    Attributes:
        name: Column name.
        kind: Which of the two forms, and the unit.
        dtype: Arrow type of the column in Parquet.
        categories: Texts of the categories (category columns).
        open: Whether categories beyond the list exist; without it, what is not in the list counts as missing.
        decimals: Digits after the point of one unit (number columns).
        edges: First unit of each cell, and one past the last cell, ascending (numeric columns). Values beyond go to the end cells.
        steps: Divisors, each a multiple of the one before, whose shares are measured ("how round are the values"); () for none.
        minus: The column is the difference between itself and this column.
        decay: Small values are far more frequent than large ones (numbers of children).
    """

    name: str
    kind: CellKind
    dtype: str
    categories: tuple[str, ...] = ()
    open: bool = False
    decimals: int = 0
    edges: tuple[int, ...] = ()
    steps: tuple[int, ...] = ()
    minus: str | None = None
    decay: bool = False

    @property
    def value_cells(self) -> int:
        """Number of cells that hold values."""
        return len(self.categories) if self.kind == "category" else len(self.edges) - 1

    @property
    def missing_cell(self) -> int:
        """Index of the cell for missing values."""
        return self.value_cells

    @property
    def size(self) -> int:
        """Number of cells."""
        return self.value_cells + 1 + self.open

    @property
    def special_units(self) -> tuple[int, ...]:
        """Values that say nothing about roundness: both bounds and 0."""
        return tuple(sorted({self.edges[0], 0, self.edges[-1] - 1}))

    @property
    def round_size(self) -> int:
        """Cells of the roundness table: one per step, and one for special and missing values."""
        return len(self.steps) + 1


class TableDomain(Frozen):
    """The modelled columns of a table, in order."""

    columns: tuple[ColumnDomain, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(c.name for c in self.columns)

    def column(self, name: str) -> ColumnDomain:
        """One column by name (KeyError where there is none)."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


def category_cells(name: str, dtype: str, categories: tuple[str, ...], *, is_open: bool = False) -> ColumnDomain:
    """A category column. Texts are brought to the spelling of the column's type, so that `1`, `1.0` and an integer 1 meet.

    Raises:
        ConfigError: a category does not fit the type, or stands twice, or there are too many.
    """
    texts = tuple(_spelled(name, dtype, c) for c in categories)
    if len(texts) > MAX_CATEGORIES:
        raise ConfigError(f"a column can have at most {MAX_CATEGORIES} categories.", column=name, key="categories")
    if len(set(texts)) < len(texts):
        raise ConfigError("a category stands twice in the declared list.", column=name, key="categories")
    return ColumnDomain(name=name, kind="category", dtype=dtype, categories=texts, open=is_open)


def _spelled(name: str, dtype: str, text: str) -> str:
    try:
        if dtype == "bool":
            return {"true": "true", "false": "false", "1": "true", "0": "false"}[text.strip().lower()]
        if dtype == "int64":
            value = float(text)
            return str(int(text)) if not value.is_integer() or abs(value) >= LARGEST_UNITS else str(int(value))
        return repr(float(text)) if dtype == "double" else text
    except (ValueError, KeyError, OverflowError):
        raise ConfigError(f"a declared category is no value of type {dtype}.", column=name, key="categories") from None


def number_cells(name: str, dtype: str, lower: float, upper: float, *, minus: str | None = None) -> ColumnDomain:
    """A number column on a public fine grid.

    Integers if there are few; else a uniform grid with a round step and 12 round edges per decade. Every edge is a round number; the
    bounds and 0 have cells of their own (zeros, top codes).

    Args:
        name: Column name.
        dtype: "int64" or "double".
        lower: Smallest value.
        upper: Largest value.
        minus: See `ColumnDomain`.

    Raises:
        ConfigError: the bounds are not finite or beyond 2^62, or lower is above upper.
    """
    if not (math.isfinite(lower) and math.isfinite(upper) and lower <= upper):
        raise ConfigError("`lower` must be a finite number and not above `upper`.", column=name, key="lower")
    if max(abs(lower), abs(upper)) > LARGEST_BOUND:
        raise ConfigError("`lower` and `upper` must lie within 2^62 (4.6e18).", column=name, key="upper")
    decimals = 0 if dtype == "int64" else decimals_for(lower, upper)
    low, high = math.floor(lower * 10**decimals), math.ceil(upper * 10**decimals)
    edges = _number_edges(low, high)
    steps = tuple(10**k for k in range(decimals + ROUND_STEPS)) if high - low > NARROW else ()
    return ColumnDomain(name=name, kind="number", dtype=dtype, decimals=decimals, edges=edges, steps=steps, minus=minus)


def decimals_for(lower: float, upper: float) -> int:
    """Digits after the point that a number column can carry exactly: 6, fewer where the bounds are large."""
    whole_digits = math.ceil(math.log10(max(abs(lower), abs(upper), 1.0)))
    return max(0, min(MAX_DECIMALS, 15 - whole_digits))


def _number_edges(low: int, high: int) -> tuple[int, ...]:
    if high - low <= NARROW:
        return tuple(range(low, high + 2))
    hundredth = (high - low) / 100
    ten = 10.0 ** math.floor(math.log10(hundredth))
    step = next(m * ten for m in (1, 2, 5, 10) if m * ten >= 0.99 * hundredth)
    last = math.ceil(math.log10(max(abs(low), abs(high)))) + 1
    first = max(0, math.floor(math.log10(high - low)) - 6)
    round_numbers = [m * 10.0**k for k in range(first, last) for m in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)]
    uniform = np.arange(math.ceil(low / step), high / step + 1) * step
    inner = np.floor(np.concatenate([uniform, round_numbers, 1 - np.array(round_numbers), [0, 1]]))
    inside = inner[(inner > low) & (inner < high + 1)]  # picked as doubles: those outside may exceed 64 bits
    return tuple(sorted({low, low + 1, high, high + 1, *(int(e) for e in inside)}))


def date_cells(name: str, lower: date, upper: date, *, minus: str | None = None) -> ColumnDomain:
    """A date column: days, weeks, months, quarters or years, the finest with at most 400 cells.

    Raises:
        ConfigError: lower is after upper.
    """
    _check_order(name, lower <= upper)
    return ColumnDomain(name=name, kind="date", dtype="date32[day]", edges=_calendar_edges(lower, upper), minus=minus)


def datetime_cells(name: str, lower: date, upper: date) -> ColumnDomain:
    """A datetime column between two days (both included), in seconds, on a calendar grid; hours where the range is short.

    Raises:
        ConfigError: lower is after upper.
    """
    _check_order(name, lower <= upper)
    days = _calendar_edges(lower, upper)
    edges = tuple(d * DAY_SECONDS for d in days)
    if (days[-1] - days[0]) * 24 <= CALENDAR_CELLS:
        edges = tuple(range(edges[0], edges[-1] + 1, 3600))
    return ColumnDomain(name=name, kind="datetime", dtype="timestamp[us]", edges=edges, steps=CLOCK_STEPS)


def _check_order(name: str, in_order: bool) -> None:
    if not in_order:
        raise ConfigError("`lower` is after `upper`.", column=name, key="lower")


def _calendar_edges(lower: date, upper: date) -> tuple[int, ...]:
    low, high = (lower - EPOCH).days, (upper - EPOCH).days
    if high - low < CALENDAR_CELLS:
        return tuple(range(low, high + 2))
    if (high - low) / 7 < CALENDAR_CELLS:
        weeks = range(low + (-(low + 3)) % 7, high + 1, 7)  # Mondays: day 0 was a Thursday
        return tuple(sorted({low, *weeks, high + 1}))
    months = (upper.year - lower.year + 1) * 12
    every = 1 if months <= CALENDAR_CELLS else 3 if months <= 3 * CALENDAR_CELLS else 12
    starts = {(date(y, m, 1) - EPOCH).days for y in range(lower.year, upper.year + 1) for m in range(1, 13, every)}
    return tuple(sorted({low, *(s for s in starts if low < s <= high), high + 1}))


def scout_number_cells(name: str, dtype: str, *, minus: str | None = None) -> ColumnDomain:
    """Public cells to find the bounds of an undeclared number column: single units up to 8, then 8 per power of 2, of either sign.

    A unit is 1 for whole numbers and 0.001 for doubles.
    """
    ends = [*range(1, 8), *((8 + j) * 2**k for k in range(58) for j in range(8)), 2**61]
    edges = sorted({0, 1, *ends, *(1 - e for e in ends)})
    return ColumnDomain(
        name=name, kind="number", dtype=dtype, decimals=SCOUT_DECIMALS[dtype], edges=tuple(edges), minus=minus
    )


def scout_date_cells(name: str, kind: CellKind, dtype: str, *, minus: str | None = None) -> ColumnDomain:
    """Public cells to find the range of an undeclared date or datetime column: calendar years from 1800 to 2199."""
    unit = 1 if kind == "date" else DAY_SECONDS
    if minus is not None:
        edges = sorted({0, 1, *(unit * 2**k for k in range(20))})
        return ColumnDomain(name=name, kind=kind, dtype=dtype, edges=tuple(edges), minus=minus)
    years = [(date(y, 1, 1) - EPOCH).days * unit for y in range(1800, 2201)]
    return ColumnDomain(name=name, kind=kind, dtype=dtype, edges=tuple(years))


def day_of(units: int, kind: CellKind) -> date:
    """The calendar day of a unit of a date or datetime column."""
    return EPOCH + timedelta(days=units if kind == "date" else units // DAY_SECONDS)
