"""The public form of a profile: which figures may leave the restricted zone.

What belongs here: the rules, on records alone: no extreme, no value or bin edge of an identifying column, no group of 1 to 10
rows, none that a total would give back. What does not: computing a profile.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from synth_assets.profiling.records import (
    Anonymity,
    ColumnProfile,
    Histogram,
    NumberStats,
    SinglingOut,
    TableProfile,
    TextStats,
    TimeStats,
    Uniqueness,
    ValueCount,
)

SMALLEST_CELL = 11
DIGITS = 3
_RARE_SIGNS = re.compile(r"[^Aa9 .,:;/@+()_-]")


def public_profile(profile: TableProfile) -> TableProfile:
    """The public form of a full profile."""
    rows = profile.row_count or 0
    if rows < SMALLEST_CELL:
        columns = tuple(_bare(c) for c in profile.columns)
        return TableProfile(name=profile.name, row_count=None, columns=columns, duplicates=None, form="public")
    columns = tuple(public_column(c, rows) for c in profile.columns)
    return profile.model_copy(
        update={
            "columns": columns,
            "duplicates": _cell(profile.duplicates, rows),
            "associations": profile.associations
            and profile.associations.model_copy(update={"matrix": _coarse(profile.associations.matrix)}),
            "uniqueness": profile.uniqueness and _uniqueness(profile.uniqueness, rows),
            "anonymity": profile.anonymity and _anonymity(profile.anonymity, rows),
            "form": "public",
        }
    )


def without_identifying_values(profile: TableProfile) -> TableProfile:
    """The full form without any value of an identifying column: what the owner of a table sees on a terminal.

    Counts stay exact, also small ones, and so do values of the other columns: it is not the form to share.
    """
    gone = {"number": None, "time": None, "histogram": None, "top_values": (), "rows_of_other_values": None}

    def hidden(column: ColumnProfile) -> ColumnProfile:
        text = column.text and column.text.model_copy(update={"shapes": (), "rows_of_other_shapes": None})
        return column.model_copy(update={**gone, "text": text})

    return profile.model_copy(update={"columns": tuple(hidden(c) if c.identifying else c for c in profile.columns)})


def suppressed(counts: Sequence[int]) -> list[int | None]:
    """Counts without small cells, such that their sum does not give one back.

    Cells of 1 to 10 rows become None. Where the hidden cells are one alone, or hold fewer than 11 rows together, the smallest
    of the others is hidden as well, until neither is so.
    """
    hidden = {i for i, n in enumerate(counts) if 0 < n < SMALLEST_CELL}
    others = sorted((n, i) for i, n in enumerate(counts) if n >= SMALLEST_CELL)
    while hidden and others and (len(hidden) == 1 or sum(counts[i] for i in hidden) < SMALLEST_CELL):
        hidden.add(others.pop(0)[1])
    return [None if i in hidden else n for i, n in enumerate(counts)]


def public_column(column: ColumnProfile, rows: int) -> ColumnProfile:
    """The public form of one column of a table of `rows` rows."""
    count = column.count or 0
    if 0 < count < SMALLEST_CELL or 0 < rows - count < SMALLEST_CELL:
        known: dict[str, Any] = {"count": None, "missing": None}
    else:
        known = {}
    if count < SMALLEST_CELL:
        return _bare(column).model_copy(update={"count": column.count, "missing": column.missing} | known)
    changes = known | {
        "number": None if column.identifying else _number(column.number, count),
        "time": None if column.identifying else _time(column.time),
        "text": _text(column.text, identifying=column.identifying),
        "histogram": None if column.identifying else _histogram(column.histogram),
        "top_values": (),
        "rows_of_other_values": None,
    }
    if column.top_values and not column.identifying:
        changes["top_values"], changes["rows_of_other_values"] = _values(
            column.top_values, column.rows_of_other_values or 0
        )
    if column.distinct is not None and 0 < count - column.distinct < SMALLEST_CELL:
        changes["distinct"] = None
    return column.model_copy(update=changes)


def _bare(column: ColumnProfile) -> ColumnProfile:
    """Name and kind, no figure."""
    return ColumnProfile(
        name=column.name,
        kind=column.kind,
        dtype=column.dtype,
        identifying=column.identifying,
        count=None,
        missing=None,
        distinct=None,
        constant=column.constant,
        unique=column.unique,
    )


def _cell(count: int | None, total: int) -> int | None:
    """A count that is neither small itself nor leaves a small rest."""
    if count is None or 0 < count < SMALLEST_CELL or 0 < total - count < SMALLEST_CELL:
        return None
    return count


def _round(value: float | None) -> float | None:
    """Three significant digits, so that a quartile is no longer somebody's exact value."""
    if value is None or value == 0:
        return value
    return round(value, DIGITS - 1 - math.floor(math.log10(abs(value))))


def _number(stats: NumberStats | None, count: int) -> NumberStats | None:
    if stats is None:
        return None
    return NumberStats(
        minimum=None,
        q25=_round(stats.q25),
        median=_round(stats.median),
        mean=_round(stats.mean),
        q75=_round(stats.q75),
        maximum=None,
        std=_round(stats.std),
        zeros=_cell(stats.zeros, count),
        negatives=_cell(stats.negatives, count),
        outliers_iqr=_cell(stats.outliers_iqr, count),
        outliers_zscore=_cell(stats.outliers_zscore, count),
        not_finite=_cell(stats.not_finite, count),
    )


def _time(stats: TimeStats | None) -> TimeStats | None:
    """Quartiles to the month."""
    if stats is None:
        return None
    months = {name: value and value[:7] for name, value in stats.model_dump().items()}
    return TimeStats(**{**months, "minimum": None, "maximum": None})


def _text(stats: TextStats | None, *, identifying: bool) -> TextStats | None:
    """Shapes show letters and digits of nobody, but other signs as they are: only those of 11 rows and more are kept.

    Of an identifying column, only the signs that forms are made of are kept.
    """
    if stats is None:
        return None
    merged: dict[str, int] = {}
    for shape in stats.shapes:
        text = _RARE_SIGNS.sub("?", shape.value) if identifying else shape.value
        merged[text] = merged.get(text, 0) + shape.rows
    forms = sorted((ValueCount(value=v, rows=n) for v, n in merged.items()), key=lambda s: (-s.rows, s.value))
    shapes, others = _values(forms, stats.rows_of_other_shapes or 0) if forms else ((), None)
    return TextStats(
        min_length=None,
        mean_length=_round(stats.mean_length),
        max_length=None,
        shapes=shapes,
        rows_of_other_shapes=others,
    )


def _values(values: Sequence[ValueCount], others: int) -> tuple[tuple[ValueCount, ...], int | None]:
    """The values that 11 rows and more hold; what is hidden joins the rest, which is never small."""
    kept = [v for v in values if v.rows >= SMALLEST_CELL]
    rest = others + sum(v.rows for v in values if v.rows < SMALLEST_CELL)
    while 0 < rest < SMALLEST_CELL and kept:
        rest += kept.pop().rows
    return tuple(kept), rest if rest == 0 or rest >= SMALLEST_CELL else None


def _histogram(histogram: Histogram | None) -> Histogram | None:
    """Small bins hidden, and the outer edges, which are extremes."""
    if histogram is None:
        return None
    return Histogram(
        edges=(None, *histogram.edges[1:-1], None), counts=tuple(suppressed([n or 0 for n in histogram.counts]))
    )


def _coarse(matrix: Sequence[Sequence[float | None]]) -> tuple[tuple[float | None, ...], ...]:
    return tuple(tuple(None if v is None else round(v, 2) for v in row) for row in matrix)


def _uniqueness(uniqueness: Uniqueness, rows: int) -> Uniqueness:
    return uniqueness.model_copy(
        update={
            "sets": tuple(_singling_out(s, rows) for s in uniqueness.sets),
            "strongest": tuple(_singling_out(s, rows) for s in uniqueness.strongest),
        }
    )


def _singling_out(found: SinglingOut, rows: int) -> SinglingOut:
    shown = _cell(found.unique_rows, rows)
    fraction = None if shown is None or found.unique_fraction is None else round(found.unique_fraction, 2)
    return SinglingOut(columns=found.columns, unique_rows=shown, unique_fraction=fraction)


def _anonymity(anonymity: Anonymity, rows: int) -> Anonymity:
    return anonymity.model_copy(
        update={"unique_rows": _cell(anonymity.unique_rows, rows), "rows_below_5": _cell(anonymity.rows_below_5, rows)}
    )
