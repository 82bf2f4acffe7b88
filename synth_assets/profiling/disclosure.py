"""The public form of a profile: which figures may leave the restricted zone.

What belongs here: the rules, on records alone; docs/profile.md gives them with reasons. What does not: computing a profile. No extreme;
no value, bin edge or exact figure of a column that identifies, alone or with others; no group of 1 to 10 rows, and none that a total
would give back; every count rounded, so that two releases of a growing table do not tell one person by their difference.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from synth_assets.profiling.records import (
    Anonymity,
    Associations,
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
SMALLEST_SHOWN = 15  # counts are rounded to tens at least: 11 to 14 would read as 10
DIGITS = 3
COARSE_DIGITS = 2
_RARE_SIGNS = re.compile(r"[^Aa9 .,:;/@+()_-]")
_SMALL_LETTERS = re.compile(r"a{2,}")


def public_profile(profile: TableProfile) -> TableProfile:
    """The public form of a full profile."""
    rows = profile.row_count or 0
    if rows < SMALLEST_SHOWN:
        columns = tuple(_bare(c) for c in profile.columns)
        return TableProfile(name=profile.name, row_count=None, columns=columns, duplicates=None, form="public")
    return TableProfile(
        name=profile.name,
        row_count=rounded(rows),
        columns=tuple(public_column(c, rows) for c in profile.columns),
        duplicates=_cell(profile.duplicates, rows),
        associations=profile.associations and _associations(profile.associations, profile),
        uniqueness=profile.uniqueness and _uniqueness(profile.uniqueness, rows),
        anonymity=profile.anonymity and _anonymity(profile.anonymity, rows),
        form="public",
    )


def without_identifying_values(profile: TableProfile) -> TableProfile:
    """The full form without any value of a direct identifier: what the owner of a table sees on a terminal.

    Counts stay exact, also small ones, and so do values of the other columns: it is not the form to share.
    """
    gone = {"number": None, "time": None, "histogram": None, "top_values": (), "rows_of_other_values": None}

    def hidden(column: ColumnProfile) -> ColumnProfile:
        text = column.text and column.text.model_copy(update={"shapes": (), "rows_of_other_shapes": None})
        return column.model_copy(update={**gone, "text": text})

    return profile.model_copy(
        update={"columns": tuple(hidden(c) if c.identifies == "alone" else c for c in profile.columns)}
    )


def rounded(count: int | None) -> int | None:
    """A count to three significant digits, and to tens at least."""
    if not count:
        return count
    unit: int = 10 ** max(1, len(str(count)) - DIGITS)
    return round(count / unit) * unit


def suppressed(counts: Sequence[int]) -> list[int | None]:
    """Counts without small cells, rounded, such that their sum does not give one back.

    Small cells become None. Where the hidden cells are one alone, or hold too few rows together, the smallest of the others is
    hidden as well, until neither is so.
    """
    hidden = {i for i, n in enumerate(counts) if 0 < n < SMALLEST_SHOWN}
    others = sorted((n, i) for i, n in enumerate(counts) if n >= SMALLEST_SHOWN)
    while hidden and others and (len(hidden) == 1 or sum(counts[i] for i in hidden) < SMALLEST_SHOWN):
        hidden.add(others.pop(0)[1])
    return [None if i in hidden else rounded(n) for i, n in enumerate(counts)]


def public_column(column: ColumnProfile, rows: int) -> ColumnProfile:
    """The public form of one column of a table of `rows` rows."""
    count = column.count or 0
    known = _cell(count, rows), _cell(rows - count, rows)
    shown = _bare(column).model_copy(update=dict(zip(("count", "missing"), known, strict=True)))
    if count < SMALLEST_SHOWN:
        return shown
    alone, hides = column.identifies == "alone", column.identifies != "no"
    values, others = _values(column.top_values, column.rows_of_other_values or 0)
    return shown.model_copy(
        update={
            "distinct": _distinct(column.distinct, count),
            "number": None if alone else _number(column.number, count, coarse=hides),
            "time": None if alone else _time(column.time, coarse=hides),
            "text": _text(column.text, hides=hides),
            "histogram": None if alone else _histogram(column.histogram, edges=not hides),
            "top_values": () if hides else values,
            "rows_of_other_values": None if hides or not values else others,
        }
    )


def _distinct(distinct: int | None, count: int) -> int | None:
    """How many values there are, unless all but a few rows have one of their own."""
    return None if distinct is None or 0 < count - distinct < SMALLEST_SHOWN else _things(distinct)


def _things(count: int | None) -> int | None:
    """A number of values or classes; a small one is no small group of rows."""
    return count if count is None or count < SMALLEST_SHOWN else rounded(count)


def _bare(column: ColumnProfile) -> ColumnProfile:
    """Name and kind, no figure."""
    return ColumnProfile(
        name=column.name,
        kind=column.kind,
        dtype=column.dtype,
        identifies=column.identifies,
        count=None,
        missing=None,
        distinct=None,
        constant=column.constant,
        unique=column.unique,
    )


def _cell(count: int | None, total: int) -> int | None:
    """A rounded count that is neither small itself nor leaves a small rest."""
    if count is None or 0 < count < SMALLEST_SHOWN or 0 < total - count < SMALLEST_SHOWN:
        return None
    return rounded(count)


def _round(value: float | None, digits: int = DIGITS) -> float | None:
    """A few significant digits, so that a quartile is no longer somebody's exact value."""
    if value is None or value == 0:
        return value
    return round(value, digits - 1 - math.floor(math.log10(abs(value))))


def _number(stats: NumberStats | None, count: int, *, coarse: bool) -> NumberStats | None:
    if stats is None:
        return None
    digits = COARSE_DIGITS if coarse else DIGITS
    return NumberStats(
        minimum=None,
        q25=_round(stats.q25, digits),
        median=_round(stats.median, digits),
        mean=_round(stats.mean, digits),
        q75=_round(stats.q75, digits),
        maximum=None,
        std=_round(stats.std, digits),
        zeros=_cell(stats.zeros, count),
        negatives=_cell(stats.negatives, count),
        outliers_iqr=_cell(stats.outliers_iqr, count),
        outliers_zscore=_cell(stats.outliers_zscore, count),
        not_finite=_cell(stats.not_finite, count),
    )


def _time(stats: TimeStats | None, *, coarse: bool) -> TimeStats | None:
    """Quartiles to the month, or to the year."""
    if stats is None:
        return None
    cut = {name: value and value[: 4 if coarse else 7] for name, value in stats.model_dump().items()}
    return TimeStats(**{**cut, "minimum": None, "maximum": None})


def _text(stats: TextStats | None, *, hides: bool) -> TextStats | None:
    """Shapes show letters and digits of nobody, but other signs as they are: only the common ones are kept.

    Of an identifying column, only the signs that forms are made of are kept, and words are not told by their length.
    """
    if stats is None:
        return None
    merged: dict[str, int] = {}
    for shape in stats.shapes:
        text = _SMALL_LETTERS.sub("a\u2026", _RARE_SIGNS.sub("?", shape.value)) if hides else shape.value
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
    """The values that enough rows hold; what is hidden joins the rest, which is never small."""
    kept = [v for v in values if v.rows >= SMALLEST_SHOWN]
    rest = others + sum(v.rows for v in values if v.rows < SMALLEST_SHOWN)
    while 0 < rest < SMALLEST_SHOWN and kept:
        rest += kept.pop().rows
    shown = tuple(ValueCount(value=v.value, rows=rounded(v.rows) or 0) for v in kept)
    return shown, None if 0 < rest < SMALLEST_SHOWN else rounded(rest)


def _histogram(histogram: Histogram | None, *, edges: bool) -> Histogram | None:
    """Bins of which the outer ones are open and hold enough rows, so that nothing tells how far the extremes lie."""
    if histogram is None:
        return None
    counts, inner = [n or 0 for n in histogram.counts], list(histogram.edges[1:-1])
    while len(counts) > 1 and counts[0] < SMALLEST_SHOWN:
        counts[:2] = [counts[0] + counts[1]]
        del inner[0]
    while len(counts) > 1 and counts[-1] < SMALLEST_SHOWN:
        counts[-2:] = [counts[-2] + counts[-1]]
        del inner[-1]
    if len(counts) < 2:
        return None
    shown = inner if edges else [None] * len(inner)
    return Histogram(edges=(None, *shown, None), counts=tuple(suppressed(counts)))


def _associations(found: Associations, profile: TableProfile) -> Associations:
    """Two digits, nothing about a column with values in few rows."""
    few = [(profile.column(name).count or 0) < SMALLEST_SHOWN for name in found.columns]
    matrix = tuple(
        tuple(None if v is None or few[i] or few[j] else round(v, 2) for j, v in enumerate(row))
        for i, row in enumerate(found.matrix)
    )
    return found.model_copy(update={"matrix": matrix, "rows_used": rounded(found.rows_used)})


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


def _anonymity(found: Anonymity, rows: int) -> Anonymity:
    """The smallest class is a cell as well: below 11 rows neither its size nor what is computed from it is told."""
    small = (found.k or 0) < SMALLEST_CELL
    sensitive = tuple(
        s.model_copy(
            update={
                "l_diversity": None if small else s.l_diversity,
                "t_closeness": None if small or s.t_closeness is None else round(s.t_closeness, 2),
            }
        )
        for s in found.sensitive
    )
    return found.model_copy(
        update={
            "classes": _things(found.classes),
            "k": None if small else found.k,
            "unique_rows": _cell(found.unique_rows, rows),
            "rows_below_5": _cell(found.rows_below_5, rows),
            "highest_risk": None if small or found.highest_risk is None else round(found.highest_risk, 2),
            "mean_risk": round(found.mean_risk, 2),
            "sensitive": sensitive,
        }
    )
