"""Conditions on one column of a model: which of its cells may be, and which values, where a range cuts cells.

What belongs here: the words of a condition against the public cells of a column. What does not: the model under conditions
(conditional.py), data (this module must not import `tables`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_assets.config.sampling import SEPARATOR
from synth_assets.errors import InputError
from synth_assets.synthesis.marginals.measurements import ColumnCells

SHOWN = 12
DOTS = ".."
EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class Allowed:
    """What a condition leaves of a column.

    Attributes:
        column: The column.
        cells: Whether each cell may be, shape (cells,), bool.
        exact: Whether every value of these cells meets the condition; else values are checked.
        ranges: Of numbers, days and times: first and last unit of each range.
        texts: Of categories: those that are asked for.
        missing: Whether missing is asked for.
    """

    column: ColumnCells
    cells: np.ndarray
    exact: bool
    ranges: tuple[tuple[float, float], ...] = ()
    texts: tuple[str, ...] = ()
    missing: bool = False

    def met(self, values: pa.Array) -> np.ndarray:
        """Whether each value meets the condition, shape (rows,), bool."""
        null = values.is_null().to_numpy(zero_copy_only=False)
        if self.column.kind == "category":
            inside = pc.is_in(values, value_set=self._typed(values.type)).to_numpy(zero_copy_only=False)
        else:
            units = _units(self.column, values)
            inside = np.zeros(len(units), dtype=bool)
            for low, high in self.ranges:
                inside |= (units >= low) & (units <= high)
        met: np.ndarray = np.where(null, self.missing, inside)
        return met

    def overlaps(self, other: Allowed) -> bool:
        """Whether a value meets both conditions on the same column."""
        ranges = any(a[0] <= b[1] and b[0] <= a[1] for a in self.ranges for b in other.ranges)
        return ranges or bool(set(self.texts) & set(other.texts)) or (self.missing and other.missing)

    def _typed(self, dtype: pa.DataType) -> pa.Array:
        if pa.types.is_boolean(dtype):
            return pa.array([t == "true" for t in self.texts], dtype)
        return pa.array(self.texts, pa.string()).cast(dtype)


def allowed(column: ColumnCells, terms: Sequence[str | None], *, finest: int = 0) -> Allowed:
    """What a condition leaves of a column.

    Args:
        column: The column.
        terms: Values and ranges, any of which may be; None for missing.
        finest: Of a column with rounded values: the finest step in use; where a cell holds no multiple of it, its values may lie that
            far outside.

    Raises:
        InputError: a value is not in the public domain, or cannot be read.
    """
    missing = None in terms
    texts = tuple(t for t in terms if t is not None)
    if column.kind == "category":
        return _categories(column, texts, missing)
    cells = np.zeros(column.size, dtype=bool)
    cells[column.missing_cell] = missing
    ranges = tuple(_range(column, part) for text in texts for part in text.split(SEPARATOR))
    if column.minus is not None:  # a difference: its cells say nothing of the value
        cells[:] = True
        return Allowed(column, cells, exact=False, ranges=ranges, missing=missing)
    edges = np.asarray(column.edges, dtype=np.int64)
    first, last = edges[:-1], edges[1:] - 1
    reach = np.where(-(-first // max(finest, 1)) * finest <= last, 0, finest)
    whole = np.zeros(len(first), dtype=bool)
    for low, high in ranges:
        if high < edges[0] or low > edges[-1] - 1:
            raise InputError(
                "a condition is outside the public domain of the column.", column=column.name, key="where",
                remedy=f"Ask for something within {_shown(column, int(edges[0]))}..{_shown(column, int(edges[-1]) - 1)}.",
            )  # fmt: skip
        cells[: len(first)] |= (last + reach >= low) & (first - reach <= high)
        whole |= (first - reach >= low) & (last + reach <= high)
    open_cells = cells[: len(first)] & ~whole
    return Allowed(column, cells, exact=not open_cells.any(), ranges=ranges, missing=missing)


def in_domain(column: ColumnCells, terms: Sequence[str | None]) -> tuple[str | None, ...]:
    """Those of the terms that a column can hold.

    Raises:
        InputError: a range cannot be read.
    """
    found: list[str | None] = [None] if None in terms else []
    for text in (t for t in terms if t is not None):
        if column.kind == "category":
            parts = (text,) if text in column.categories else tuple(_spelled(column, p) for p in text.split(SEPARATOR))
            found += [p for p in parts if p in column.categories]
            continue
        for part in text.split(SEPARATOR):
            low, high = _range(column, part)
            if column.minus is not None or (high >= column.edges[0] and low < column.edges[-1]):
                found.append(part)
    return tuple(found)


def classes_of(column: ColumnCells) -> tuple[str, ...]:
    """The classes that equal shares are about: the listed categories.

    Raises:
        InputError: the column has none.
    """
    if column.kind != "category" or not column.categories:
        raise InputError(
            "the column has no classes of its own.", column=column.name, key="balance",
            remedy="Give the share of each range: {column, shares: {0..39: 0.5, 40..: 0.5}}.",
        )  # fmt: skip
    return column.categories


def _categories(column: ColumnCells, texts: Sequence[str], missing: bool) -> Allowed:
    known = {text: i for i, text in enumerate(column.categories)}
    asked: list[str] = []
    for text in texts:
        parts = (text,) if text in known else tuple(_spelled(column, part) for part in text.split(SEPARATOR))
        if not all(part in known for part in parts):
            more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
            raise InputError(
                "a condition is outside the public domain of the column.", column=column.name, key="where",
                remedy=f"Its categories: {', '.join(column.categories[:SHOWN])}{more}.",
            )  # fmt: skip
        asked += parts
    cells = np.zeros(column.size, dtype=bool)
    cells[[known[text] for text in asked]] = True
    cells[column.missing_cell] = missing
    spread = column.open and bool(asked)  # `other` becomes a listed category when a row is spelled
    if column.open:
        cells[column.missing_cell + 1] = spread
    return Allowed(column, cells, exact=not spread, texts=tuple(dict.fromkeys(asked)), missing=missing)


def _spelled(column: ColumnCells, text: str) -> str:
    """A category as the column spells it: 1 and 1.0 are one number."""
    try:
        if column.dtype == "int64" and float(text).is_integer():
            return str(int(float(text)))
        return repr(float(text)) if column.dtype == "double" else text
    except (ValueError, OverflowError):
        return text


def _range(column: ColumnCells, text: str) -> tuple[float, float]:
    """First and last unit of `A..B`, `A..`, `..B` or `A`; several are joined by the caller."""
    low, dots, high = text.partition(DOTS)
    if not dots:
        low = high = text
    first = _number(column, low, last=False) if low else -math.inf
    end = _number(column, high, last=True) if high else math.inf
    if first > end or not (low or high):
        raise InputError(
            "a condition is an empty range.", column=column.name, key="where",
            remedy=f"Write it as LOW{DOTS}HIGH, LOW{DOTS} or {DOTS}HIGH; both ends belong to it.",
        )  # fmt: skip
    return first, end


def _number(column: ColumnCells, text: str, *, last: bool) -> float:
    """The unit of one end; a day means all its seconds where it ends a range of times."""
    text = text.strip()
    try:
        if column.kind == "number":
            units = Decimal(text).scaleb(column.decimals)
            return float(math.floor(units) if last else math.ceil(units))
        if column.kind == "date":
            return float((date.fromisoformat(text) - EPOCH).days)
        at = datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
        return at + 86_399 if last and len(text) <= len("2020-12-31") else at
    except (ValueError, InvalidOperation, OverflowError):
        form = {"number": "40..60", "date": "2020-01-01..2020-12-31"}.get(column.kind, "2020-01-01..2020-06-30T12:00")
        raise InputError(
            f"a condition on a column of kind {column.kind} cannot be read.", column=column.name, key="where",
            remedy=f"Write it as {form}.",
        ) from None  # fmt: skip


def _units(column: ColumnCells, values: pa.Array) -> np.ndarray:
    """Whole units of values, 0 where missing."""
    if pa.types.is_date32(values.type):
        values = values.cast(pa.int32())
    if pa.types.is_timestamp(values.type):
        values = pc.divide(values.cast(pa.int64()), 1_000_000)
    plain = pc.fill_null(values, 0).to_numpy(zero_copy_only=False)
    out: np.ndarray = np.rint(plain * 10.0**column.decimals) if column.kind == "number" else plain
    return out


def _shown(column: ColumnCells, units: int) -> str:
    if column.kind == "number":
        return f"{Decimal(units).scaleb(-column.decimals):f}" if column.decimals else str(units)
    if column.kind == "date":
        return date.fromordinal(EPOCH.toordinal() + units).isoformat()
    return datetime.fromtimestamp(units, UTC).replace(tzinfo=None).isoformat()
