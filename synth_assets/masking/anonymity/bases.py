"""The finest value of a quasi-identifier that the search looks at: the raw one, or a coarser one where there are too many.

What belongs here: base values as engine expressions, and which one a column starts from. What does not: the steps above
(hierarchy.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import ibis
import ibis.expr.types as ir

from synth_assets.masking.generalise import DATE_TYPES, NUMBER_TYPES
from synth_assets.masking.recipes import as_text
from synth_assets.tables.schema import ColumnKind, ColumnSchema

Kind = Literal["number", "date", "prefix", "category"]
Grain = Literal["exact", "bin", "day", "month", "year", "decade", "prefix", "frequent", "nothing"]
PERIODS = ("day", "month", "year", "decade")
MAX_VALUES = 5_000
FIVE_DIGITS = 5
_COARSER: dict[str, Grain] = {"exact": "month", "day": "month", "month": "year", "year": "decade"}


@dataclass(frozen=True)
class Base:
    """How the engine makes the base value of one column.

    Args:
        column: Its schema.
        kind: Kind of its hierarchy.
        grain: The base value: the raw one, a bin, a period, a prefix, a frequent value (others become missing), or nothing at all.
        width: Width of a bin, or letters of a prefix.
        keep: The frequent values.
    """

    column: ColumnSchema
    kind: Kind
    grain: Grain = "exact"
    width: float = 0.0
    keep: tuple[Any, ...] = ()

    def expression(self, value: ir.Value) -> ir.Value:
        """The base value of a raw one; null where the raw one is missing."""
        if self.grain == "bin":
            return (value.cast("float64") / self.width).floor().try_cast("int64")
        if self.grain in PERIODS:
            return _start(value.cast("date"), self.grain)
        if self.grain == "prefix":
            text = value if self.column.dtype == "string" else as_text(value, self.column.dtype).lpad(FIVE_DIGITS, "0")
            return text.strip().substr(0, int(self.width))
        if self.grain == "frequent":
            return value.isin(self.keep).ifelse(value, ibis.null(value.type()))
        return ibis.null("string") if self.grain == "nothing" else value

    @property
    def exact(self) -> bool:
        """Whether a base value is the raw value."""
        return self.grain == "exact"


@dataclass(frozen=True)
class Spread:
    """What the engine says of one column: distinct values (estimated), missing cells, smallest and largest (numbers only)."""

    distinct: int
    missing: int = 0
    low: float | None = None
    high: float | None = None


def first_base(column: ColumnSchema, entity_type: str, spread: Spread, *, declared: bool) -> Base:
    """The base that a column starts from.

    Args:
        column: Its schema.
        entity_type: ZIP codes are coarsened by prefix.
        spread: What is known of its values.
        declared: Whether a person has given groups of values, which only raw values can be looked up in.
    """
    if declared:
        return Base(column, "category")
    if entity_type == "zip" and column.dtype in {"string", "int64"}:
        return Base(column, "prefix", "prefix", FIVE_DIGITS)
    if column.dtype in DATE_TYPES:
        base = Base(column, "date", "exact" if column.dtype == DATE_TYPES[0] else "day")
        return base if spread.distinct <= MAX_VALUES else replace(base, grain="month")
    if column.dtype in NUMBER_TYPES and column.kind != ColumnKind.CATEGORY:
        base = Base(column, "number")
        return base if spread.distinct <= MAX_VALUES else replace(base, grain="bin", width=_width(spread, 1_000))
    return Base(column, "category")


def _start(day: ir.DateValue, grain: str) -> ir.DateValue:
    """The first day of a period."""
    if grain == "decade":
        return ibis.date(day.year() - day.year() % 10, 1, 1)
    return day if grain == "day" else day.truncate("M" if grain == "month" else "Y")


def coarser(base: Base, spread: Spread, frequent: tuple[Any, ...]) -> Base:
    """The next coarser base; at last, nothing.

    Args:
        base: The base so far.
        spread: What is known of the column's values.
        frequent: Its values by falling frequency.
    """
    nothing = replace(base, grain="nothing")
    if base.kind == "number":
        width = base.width * 4 if base.grain == "bin" else _width(spread, 250)
        return replace(base, grain="bin", width=width) if width < (spread.high or 0) - (spread.low or 0) else nothing
    if base.kind == "date":
        return replace(base, grain=_COARSER.get(base.grain, "nothing"))
    if base.kind == "prefix":
        return replace(base, width=base.width - 1) if base.width > 1 else nothing
    count = len(base.keep) // 4 if base.grain == "frequent" else min(len(frequent) - 1, 256)
    return replace(base, grain="frequent", keep=frequent[:count]) if count > 0 else nothing


def _width(spread: Spread, bins: int) -> float:
    """A width of 1, 2 or 5 times a power of ten that makes at most so many bins."""
    return nice(((spread.high or 0.0) - (spread.low or 0.0)) / bins)


def nice(width: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is not below a width above 0."""
    if not width > 0 or not math.isfinite(width):
        return 1.0
    power = 10.0 ** math.floor(math.log10(width))
    return next((m * power for m in (1.0, 2.0, 5.0) if m * power >= width * (1 - 1e-12)), 10.0 * power)
