"""Counts the tables of an audit for its pictures: cells of every compared column, of pairs, quantiles by the outcome, associations.

What belongs here: choosing cells (round edges from the middle 98 % of the training rows, the commonest categories) and counting rows
and persons in them. What does not: which of it may be shown (`distributions.py`). The result is restricted.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from synth_assets.audit.dataset import TableInput, has_rows, opened_sides
from synth_assets.audit.pictures.association_matrix import association_matrix
from synth_assets.audit.pictures.distributions import (
    QUANTILES,
    BoxCounts,
    ColumnCounts,
    Distributions,
    PairCounts,
    SideCounts,
)
from synth_assets.audit.pictures.public import Kind, Matrix, Side
from synth_assets.audit.prepare import Array, Floats, Integers, Part, Prepared, compared_columns, prepare
from synth_assets.audit.tables import LIMITS
from synth_assets.config.thresholds import AuditLimits
from synth_assets.seeds import child_seed
from synth_assets.tables.engine import Engine
from synth_assets.tables.schema import ColumnKind, ColumnSchema

BINS = 20
MOST_CATEGORIES = 50
MOST_PAIRS = 4
WEAKEST_PAIR = 0.1
MOST_BOXES = 12
MOST_GROUPS = 6
MATRIX_COLUMNS = 30
MATRIX_ROWS = 50_000
DAY = 86_400.0
_DAYS = (1, 2, 7, 14)
_MONTHS = (1, 3, 6, 12, 24, 60, 120, 240, 600, 1_200)
_MONTH = 30.44 * DAY
JUDGED: tuple[Side, ...] = ("real", "synthetic")
_SIDES: Mapping[str, Side] = {"train": "real", "holdout": "holdout", "synthetic": "synthetic"}
_KINDS: Mapping[ColumnKind, Kind] = {
    ColumnKind.NUMBER: "number",
    ColumnKind.DATE: "date",
    ColumnKind.DATETIME: "datetime",
}


@dataclass(frozen=True)
class _Cells:
    """The cells of one column and the cell of each row per side (-1 missing)."""

    column: ColumnSchema
    size: int
    codes: Mapping[Side, Integers]
    edges: tuple[float, ...] = ()
    names: tuple[str, ...] = ()
    step: float = 1.0
    whole: bool = False

    @property
    def number(self) -> bool:
        """Whether the cells have an order."""
        return self.column.kind in _KINDS


@dataclass
class _Found:
    columns: list[ColumnCounts] = field(default_factory=list)
    pairs: list[PairCounts] = field(default_factory=list)
    boxes: list[BoxCounts] = field(default_factory=list)
    matrices: list[Matrix] = field(default_factory=list)


def count_distributions(
    tables: Sequence[TableInput],
    *,
    engine: Engine,
    target: tuple[str, str] | None = None,
    limits: AuditLimits = LIMITS,
    seed: int,
) -> Distributions:
    """Count what the pictures of an audit are drawn from; tables without real rows are left out.

    Args:
        tables: The tables of the audit.
        engine: The table engine.
        target: Outcome, as (table, column): boxes are grouped by it where it is a category.
        limits: Rows to count per table; of more a seeded sample.
        seed: Seed of that sample.

    Returns:
        Counts, for the restricted zone; `.public()` is what a report may draw.

    Raises:
        MissingArtifactError: a folder is not there.
    """
    found = _Found()
    for table in tables:
        prepared = _prepared(table, engine, limits, child_seed(seed, table.name))
        if prepared is not None:
            outcome = target[1] if target and target[0] == table.name else None
            _count(table.name, prepared, outcome, child_seed(seed, table.name, "pictures"), found)
    return Distributions(
        columns=tuple(found.columns),
        pairs=tuple(found.pairs),
        boxes=tuple(found.boxes),
        matrices=tuple(found.matrices),
        outcome=None if target is None else ".".join(target),
    )


def _prepared(table: TableInput, engine: Engine, limits: AuditLimits, seed: int) -> Prepared | None:
    """The compared columns in memory; None where there is nothing to compare."""
    if not has_rows(table.synthetic):
        return None
    with opened_sides(table, engine) as tables:
        if tables.train is None:
            return None
        identifiers = frozenset(table.schema.names) - frozenset(table.columns)
        columns, left_out = compared_columns(table.schema, tables.present(), identifiers)
        return prepare(tables, columns, left_out, limit=limits.compare_rows, seed=seed) if columns else None


def _count(table: str, prepared: Prepared, outcome: str | None, seed: int, found: _Found) -> None:
    parts = {_SIDES[side]: replace(part, units=_numbered(part.units)) for side, part in prepared.parts.items()}
    cells = {c.name: _cells(c, {s: p.values[c.name] for s, p in parts.items()}, prepared) for c in prepared.columns}
    found.columns += [_column(table, c, parts) for c in cells.values()]
    names = tuple(cells)[:MATRIX_COLUMNS]
    chosen = {side: _drawn(parts[side].held, child_seed(seed, side)) for side in JUDGED}
    columns = {
        side: [parts[side].values[n][chosen[side]] if cells[n].number else cells[n].codes[side][chosen[side]] for n in names]
        for side in chosen
    }  # fmt: skip
    numbers = [cells[n].number for n in names]
    real, synthetic = (association_matrix(columns[side], numbers) for side in JUDGED)
    if len(names) > 1:
        rows = parts["real"].held
        found.matrices.append(Matrix(table=table, columns=names, real=real, synthetic=synthetic, rows=rows))
    found.pairs += [_pair(table, cells[a], cells[b], parts) for a, b in _strongest(names, numbers, real)]
    found.boxes += _boxes(table, cells, parts, cells.get(outcome or ""))


def _drawn(rows: int, seed: int) -> Integers:
    """At most 50,000 row numbers."""
    if rows <= MATRIX_ROWS:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, MATRIX_ROWS, replace=False))


def _cells(column: ColumnSchema, values: Mapping[Side, Array], prepared: Prepared) -> _Cells:
    if not prepared.numeric(column.name):
        return _categories(column, values, prepared.labels[column.name])
    real = values["real"][np.isfinite(values["real"])]
    whole = bool(real.size) and bool((real == np.floor(real)).all())
    edges, step = _time_edges(real) if column.kind is not ColumnKind.NUMBER else _edges(real, whole=whole)
    codes = {side: np.where(np.isfinite(v), np.searchsorted(edges, v, side="right"), -1) for side, v in values.items()}
    return _Cells(column, len(edges) + 1, codes, edges=tuple(edges.tolist()), step=step, whole=whole)


def _categories(column: ColumnSchema, values: Mapping[Side, Array], labels: tuple[str, ...]) -> _Cells:
    """The commonest categories of the real table, and one cell for all others."""
    counts = np.bincount(values["real"][values["real"] >= 0], minlength=len(labels))
    order = [int(i) for i in np.argsort(-counts, kind="stable") if counts[i]][:MOST_CATEGORIES]
    places = np.full(len(labels) + 1, len(order), dtype=np.int64)
    places[order] = np.arange(len(order))
    places[-1] = -1  # missing is category -1
    codes = {side: places[v] for side, v in values.items()}
    return _Cells(column, len(order) + 1, codes, names=tuple(labels[i] for i in order))


def _middle(values: Floats) -> tuple[float, float]:
    """Where 98 % of the values lie; almost all where these are one value."""
    for tail in (0.01, 0.001):
        low, high = (float(q) for q in np.quantile(values, (tail, 1 - tail)))
        if low < high:
            return low, high
    return low, high


def _edges(values: Floats, *, whole: bool) -> tuple[Floats, float]:
    """Multiples of the least of 1, 2, 5 times a power of ten that gives about 20 cells; and the grid of quantiles."""
    low, high = _middle(values) if values.size else (0.0, 0.0)
    if not low < high or not math.isfinite(high - low):
        return np.zeros(0), 1.0
    least = (high - low) / BINS
    power = 10.0 ** math.floor(math.log10(least))
    width = next(m * power for m in (1, 2, 5, 10) if m * power >= least * (1 - 1e-9))
    width = max(width, 1.0) if whole else width
    places = np.arange(math.floor(low / width) + 1, math.floor(high / width) + 1)
    edges = np.array([float(f"{p * width:.12g}") for p in places])
    step = max(width / 10, 1.0) if whole else width / 10
    return edges, float(f"{step:.12g}")


def _time_edges(values: Floats) -> tuple[Floats, float]:
    """Whole months, days or hours, for about 20 cells."""
    low, high = _middle(values) if values.size else (0.0, 0.0)
    reach = high - low
    if not low < high:
        return np.zeros(0), DAY
    if reach < 3 * DAY:
        width = next(h for h in (60.0, 900.0, 3600.0, 6 * 3600.0) if reach < h * BINS or h > 3600.0)
        return _multiples(low, high, width), width
    days = next((d for d in _DAYS if reach < d * DAY * BINS), None)
    if days is not None:
        return _multiples(low, high, days * DAY), DAY
    months = next((m for m in _MONTHS if reach < m * _MONTH * BINS), _MONTHS[-1])
    first, last = (int(np.datetime64(int(v), "s").astype("datetime64[M]").astype(np.int64)) for v in (low, high))
    places = np.arange(first // months + 1, last // months + 1) * months
    return places.astype("datetime64[M]").astype("datetime64[s]").astype(np.int64).astype(np.float64), DAY


def _multiples(low: float, high: float, width: float) -> Floats:
    return np.arange(math.floor(low / width) + 1, math.floor(high / width) + 1).astype(np.float64) * width


def _numbered(units: Integers | None) -> Integers | None:
    """Units as 0, 1, 2 ...; None where every row is a unit of its own, or none is known."""
    if units is None:
        return None
    found, numbers = np.unique(units, return_inverse=True)
    return None if len(found) == len(units) else numbers.astype(np.int64)


def _persons(places: Integers, units: Integers | None, size: int) -> Integers:
    """Different persons per place; the rows where a person has one row."""
    if units is None:
        return np.bincount(places, minlength=size)
    most = int(units.max(initial=0)) + 1
    return np.bincount(np.unique(places * most + units) // most, minlength=size)


def _column(table: str, cells: _Cells, parts: Mapping[Side, Part]) -> ColumnCounts:
    return ColumnCounts(
        table=table,
        column=cells.column.name,
        kind=_KINDS.get(cells.column.kind, "category"),
        edges=cells.edges,
        names=cells.names,
        step=cells.step,
        whole=cells.whole,
        sides={side: _side(cells.codes[side], cells.size, part.units) for side, part in parts.items()},
    )


def _side(codes: Integers, size: int, units: Integers | None) -> SideCounts:
    places = np.where(codes < 0, size, codes)
    rows, persons = np.bincount(places, minlength=size + 1), _persons(places, units, size + 1)
    return SideCounts(
        rows=_tuple(rows[:size]), persons=_tuple(persons[:size]), missing=int(rows[size]), missing_persons=int(persons[size])
    )  # fmt: skip


def _tuple(counts: npt.NDArray[np.int64]) -> tuple[int, ...]:
    return tuple(int(n) for n in counts)


def _strongest(
    names: Sequence[str], numbers: Sequence[bool], matrix: Sequence[Sequence[float | None]]
) -> list[tuple[str, str]]:
    """The pairs that go together most, pairs of numbers first."""
    pairs = [
        (not (numbers[i] and numbers[j]), -abs(matrix[i][j] or 0.0), names[i], names[j])
        for i, j in itertools.combinations(range(len(names)), 2)
        if abs(matrix[i][j] or 0.0) >= WEAKEST_PAIR
    ]
    return [(first, second) for _, _, first, second in sorted(pairs)[:MOST_PAIRS]]


def _pair(table: str, first: _Cells, second: _Cells, parts: Mapping[Side, Part]) -> PairCounts:
    rows: dict[Side, tuple[int, ...]] = {}
    persons: dict[Side, tuple[int, ...]] = {}
    size = first.size * second.size
    for side in JUDGED:
        one, two = first.codes[side], second.codes[side]
        both = (one >= 0) & (two >= 0)
        places = one[both] * second.size + two[both]
        units = parts[side].units
        rows[side] = _tuple(np.bincount(places, minlength=size))
        persons[side] = _tuple(_persons(places, None if units is None else units[both], size))
    return PairCounts(table=table, first=first.column.name, second=second.column.name, rows=rows, persons=persons)


def _boxes(
    table: str, cells: Mapping[str, _Cells], parts: Mapping[Side, Part], outcome: _Cells | None
) -> list[BoxCounts]:
    """Quantiles of numbers, by the commonest values of an outcome that is a category, else of all rows."""
    names = [n for n, c in cells.items() if c.column.kind is ColumnKind.NUMBER][:MOST_BOXES]
    groups: list[tuple[str | None, int]] = [(None, -1)]
    if outcome is not None and outcome.names:
        groups = [(name, i) for i, name in enumerate(outcome.names[:MOST_GROUPS])]
    made = []
    for name in names:
        for group, code in groups:
            quantiles: dict[Side, tuple[float, ...]] = {}
            persons: dict[Side, int] = {}
            for side in JUDGED:
                part = parts[side]
                kept = np.isfinite(part.values[name])
                kept &= outcome.codes[side] == code if group is not None and outcome is not None else True
                values, units = part.values[name][kept], part.units
                persons[side] = values.size if units is None else len(np.unique(units[kept]))
                if values.size:
                    quantiles[side] = tuple(float(q) for q in np.quantile(values, QUANTILES))
            if len(quantiles) == 2:
                made.append(BoxCounts(table=table, column=name, group=group, persons=persons, quantiles=quantiles))
    return made
