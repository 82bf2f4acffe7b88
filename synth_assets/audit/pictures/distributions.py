"""The counts behind the pictures of an audit (restricted), and the way to what a reader may see. Light: no numpy.

What belongs here: merging and rounding. What does not: counting (`counts.py`) and drawing. Small cells are merged with
others, never left out alone, so that no total gives one back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from pydantic import FiniteFloat

from synth_assets.audit.pictures.public import (
    REAL,
    SHADES,
    STEP,
    Box,
    ColumnShares,
    Kind,
    Matrix,
    PairShades,
    Pictures,
    Side,
)
from synth_assets.audit.records import SMALLEST_CELL
from synth_assets.tables.schema import Frozen

MOST_NAMES = 12
LONGEST_NAME = 40
HOLDOUT_CELLS = 20  # a hold-out that cannot fill so many cells is not drawn
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
FEW = "too few rows in all but one of its cells"


class SideCounts(Frozen):
    """One column on one side.

    Attributes:
        rows: Rows per cell, shape (k,).
        persons: Persons (units of privacy) per cell; the rows where a unit has one row, or none is declared.
        missing: Rows without a value.
        missing_persons: Persons with such a row.
    """

    rows: tuple[int, ...]
    persons: tuple[int, ...]
    missing: int = 0
    missing_persons: int = 0


class ColumnCounts(Frozen):
    """One column in cells; restricted.

    Attributes:
        table: Table.
        column: Column.
        kind: What its values are.
        edges: Numbers: the k - 1 round edges between the k cells (dates and times in seconds since 1970).
        names: Categories: the k - 1 names, commonest first; the last cell holds all others.
        step: Numbers: the grid on which a quantile may be told.
        whole: Numbers: only whole ones.
        sides: Counts per side.
    """

    table: str
    column: str
    kind: Kind
    edges: tuple[FiniteFloat, ...] = ()
    names: tuple[str, ...] = ()
    step: FiniteFloat = 1.0
    whole: bool = False
    sides: Mapping[Side, SideCounts]


class PairCounts(Frozen):
    """Two columns of one table, cell by cell; restricted. Cells as in `ColumnCounts`, row by row of the first column."""

    table: str
    first: str
    second: str
    rows: Mapping[Side, tuple[int, ...]]
    persons: Mapping[Side, tuple[int, ...]]


class BoxCounts(Frozen):
    """Quantiles of a number, all rows or those of one value of the outcome; restricted."""

    table: str
    column: str
    group: str | None
    persons: Mapping[Side, int]
    quantiles: Mapping[Side, tuple[FiniteFloat, ...]]


class Distributions(Frozen):
    """The counts behind the pictures of one audit; restricted, `public()` is what a report may hold."""

    columns: tuple[ColumnCounts, ...] = ()
    pairs: tuple[PairCounts, ...] = ()
    boxes: tuple[BoxCounts, ...] = ()
    matrices: tuple[Matrix, ...] = ()
    outcome: str | None = None

    def public(self) -> Pictures:
        """Small cells merged, shares and quantiles on round grids, densities in shades, no count."""
        found = {(c.table, c.column): (c, merge(c)) for c in self.columns}
        shown = {key: (column, groups) for key, (column, groups) in found.items() if len(groups) > 1}
        groups_of = {key: groups for key, (_, groups) in shown.items()}
        table, _, column = (self.outcome or "").partition(".")
        values = _values(*shown[table, column]) if (table, column) in shown else set()
        steps = {key: column.step for key, (column, _) in found.items()}
        boxes = [
            _box(b, steps[b.table, b.column])
            for b in self.boxes
            if (b.table, b.column) in shown and (b.group is None or b.group in values)
        ]
        matrices = [m.public() for m in self.matrices]
        return Pictures(
            columns=tuple(_shares(column, groups) for column, groups in shown.values()),
            pairs=tuple(
                _shades(p, groups_of[p.table, p.first], groups_of[p.table, p.second])
                for p in self.pairs
                if {(p.table, p.first), (p.table, p.second)} <= set(shown)
            ),
            boxes=tuple(b for b in boxes if b is not None),
            matrices=tuple(m for m in matrices if m is not None),
            outcome=self.outcome,
            not_drawn={f"{t}.{c}": FEW for t, c in found if (t, c) not in shown},
        )


def merge(column: ColumnCounts) -> tuple[tuple[int, ...], ...]:
    """Which cells are shown as one, such that every real side has enough rows and persons in each.

    Args:
        column: The counts.

    Returns:
        Numbers: runs of neighbouring cells. Categories: cells of their own, and the rest as the last one, which may be without any
        real row. At most one group means that nothing can be shown.
    """
    size = len(column.sides["real"].rows)
    real = [column.sides[side] for side in _real_sides(column)]

    def enough(cells: Sequence[int]) -> bool:
        return all(_fill(side, cells) for side in real)

    if column.kind != "category":
        return _runs(size, enough)
    made = column.sides["synthetic"].rows  # a name is shown only where the table that is to be released has it as well
    kept = [(cell,) for cell in range(size - 1) if enough((cell,)) and made[cell] >= SMALLEST_CELL][:MOST_NAMES]
    return _named(size, kept, enough, lambda cells: not any(_rows(side, cells) for side in real))


def _real_sides(column: ColumnCounts) -> tuple[Side, ...]:
    """The real sides that are drawn: a small hold-out is not, since it would leave few cells of the others."""
    return tuple(
        side
        for side in REAL
        if side in column.sides and (side == "real" or sum(column.sides[side].persons) >= HOLDOUT_CELLS * SMALLEST_CELL)
    )


def _rows(side: SideCounts, cells: Sequence[int]) -> int:
    return sum(side.rows[c] for c in cells)


def _fill(side: SideCounts, cells: Sequence[int]) -> bool:
    """Whether some cells hold enough rows and persons; persons of several cells may be the same, so the largest of them counts."""
    needed = max(SMALLEST_CELL, math.ceil(STEP * sum(side.rows)))
    return _rows(side, cells) >= needed and max((side.persons[c] for c in cells), default=0) >= SMALLEST_CELL


def _runs(size: int, enough: Callable[[Sequence[int]], bool]) -> tuple[tuple[int, ...], ...]:
    """Neighbouring cells from the left until they are enough; what is left at the end joins the last run."""
    groups: list[tuple[int, ...]] = []
    pending: tuple[int, ...] = ()
    for cell in range(size):
        pending = (*pending, cell)
        if enough(pending):
            groups.append(pending)
            pending = ()
    if pending and groups:
        groups[-1] = (*groups[-1], *pending)
    return tuple(groups)


def _named(
    size: int,
    kept: list[tuple[int]],
    enough: Callable[[Sequence[int]], bool],
    empty: Callable[[Sequence[int]], bool],
) -> tuple[tuple[int, ...], ...]:
    """The commonest categories by themselves, and all others as one cell that is enough or empty of real rows."""
    alone = {cell for group in kept for cell in group}
    rest = tuple(cell for cell in range(size) if cell not in alone)
    while kept and not empty(rest) and not enough(rest):
        rest = (*kept.pop(), *rest)
    return (*kept, rest) if kept else ()


def _values(column: ColumnCounts, groups: Sequence[Sequence[int]]) -> set[str]:
    """The categories that are shown by name."""
    return {column.names[g[0]] for g in groups if len(g) == 1 and g[0] < len(column.names)}


def step_of(rows: int) -> float:
    """The grid of shares of so many rows: half a per cent, doubled until a step holds 11 rows.

    Otherwise two reports on a small table, before and after a few people came in, would tell them by the difference.
    """
    step = STEP
    while step * rows < SMALLEST_CELL and step < 1:
        step *= 2
    return step


def _to_step(count: int, rows: int) -> float:
    step = step_of(rows)
    return round(round(count / rows / step) * step, 4)


def _shares(column: ColumnCounts, groups: Sequence[Sequence[int]]) -> ColumnShares:
    """Shares of merged cells; edges between them, or names."""
    sides = (*_real_sides(column), "synthetic")
    shares: dict[Side, tuple[float | None, ...]] = {}
    missing: dict[Side, float | None] = {}
    for side in sides:
        counts = column.sides[side]
        total = sum(counts.rows)
        shown = [None if side == "synthetic" and _rows(counts, g) < SMALLEST_CELL else _rows(counts, g) for g in groups]
        shares[side] = tuple(None if n is None or not total else _to_step(n, total) for n in shown)
        missing[side] = _missing(counts, total)
    named = [column.names[g[0]] if len(g) == 1 and g[0] < len(column.names) else None for g in groups]
    return ColumnShares(
        table=column.table,
        column=column.column,
        kind=column.kind,
        edges=tuple(column.edges[g[0] - 1] for g in groups[1:]) if column.kind != "category" else (),
        names=tuple(n and _short(n) for n in named) if column.kind == "category" else (),
        whole=column.whole,
        shares=shares,
        missing=missing,
    )


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}\u2026"


def _missing(counts: SideCounts, present: int) -> float | None:
    """The share without a value, unless it or the rest is small."""
    few = min(counts.missing, counts.missing_persons) < SMALLEST_CELL
    if not present + counts.missing or (counts.missing and few) or present < SMALLEST_CELL:
        return None
    return _to_step(counts.missing, present + counts.missing)


def _shades(pair: PairCounts, first: Sequence[Sequence[int]], second: Sequence[Sequence[int]]) -> PairShades:
    """Densities of merged cells in shades that real and synthetic rows share; a small cell has none."""
    width = sum(len(g) for g in second)
    shares: dict[Side, list[list[float]]] = {}
    for side in ("real", "synthetic"):
        rows, persons = pair.rows[side], pair.persons[side]
        total = max(sum(rows), 1)
        cells = [[[a * width + b for a in one for b in two] for two in second] for one in first]
        shares[side] = [
            [
                0.0 if min(sum(rows[c] for c in g), max(persons[c] for c in g)) < SMALLEST_CELL else sum(rows[c] for c in g) / total
                for g in line
            ]
            for line in cells
        ]  # fmt: skip
    top = max((v for lines in shares.values() for line in lines for v in line), default=0.0)
    shades: dict[Side, tuple[tuple[int, ...], ...]] = {
        side: tuple(tuple(math.ceil(SHADES * math.sqrt(v / top)) if v else 0 for v in line) for line in lines)
        for side, lines in shares.items()
    }
    return PairShades(table=pair.table, first=pair.first, second=pair.second, shades=shades)


def _box(box: BoxCounts, step: float) -> Box | None:
    """Quantiles with 11 persons beyond them, on the column's grid; None where real rows leave not even the quartiles."""
    quantiles: dict[Side, tuple[float | None, ...]] = {}
    for side, values in box.quantiles.items():
        size = box.persons[side]
        quantiles[side] = tuple(
            round(round(v / step) * step, 10) if min(q, 1 - q) * size >= SMALLEST_CELL else None
            for q, v in zip(QUANTILES, values, strict=True)
        )
    if quantiles["real"][1] is None:
        return None
    group = None if box.group is None else _short(box.group)
    return Box(table=box.table, column=box.column, group=group, quantiles=quantiles)
