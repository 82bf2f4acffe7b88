"""What the pictures of an audit show, in public form: all that a report may draw of real rows. Light: no numpy.

What belongs here: the records, and refusing what is finer than they may be. What does not: counting, and the way from counts to here
(`distributions.py`). Of real rows a picture shows: shares of cells that hold at least 11 rows and persons and half a per cent of the
rows, in steps of half a per cent and of 11 rows; round edges and open outer cells, so no extreme; names of categories with as many
that the synthetic table has too; densities of pairs in nine shades; quantiles with 11 persons beyond them, on a round grid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field, FiniteFloat, model_validator

from synth_assets.audit.records import SMALLEST_CELL
from synth_assets.errors import ReleaseRefusedError
from synth_assets.tables.schema import Frozen

Kind = Literal["number", "date", "datetime", "category"]
Side = Literal["real", "holdout", "synthetic"]
REAL: tuple[Side, ...] = ("real", "holdout")
STEP = 0.005  # of a share, at the finest; a cell of real rows holds at least one step
SHADES = 9


class Matrix(Frozen):
    """How strongly the columns of one table go together: rank correlation, correlation ratio or Cramer's V.

    Attributes:
        table: Table.
        columns: Columns, in the order of rows and columns.
        real: Row by row; None where it cannot be computed.
        synthetic: The same for the synthetic table.
        rows: Real rows it was computed on; below 110 nothing is public.
    """

    table: str
    columns: tuple[str, ...]
    real: tuple[tuple[FiniteFloat | None, ...], ...]
    synthetic: tuple[tuple[FiniteFloat | None, ...], ...]
    rows: int | None

    def public(self) -> Matrix | None:
        """Two digits; None for a table of few rows."""
        if self.rows is not None and self.rows < 10 * SMALLEST_CELL:
            return None
        return self.model_copy(update={"real": _two(self.real), "synthetic": _two(self.synthetic), "rows": None})


class ColumnShares(Frozen):
    """One column as a picture may show it.

    Attributes:
        table: Table.
        column: Column.
        kind: What its values are.
        edges: Numbers: round edges between the cells; the first and the last cell are open.
        names: Categories, commonest first; None stands for all others.
        whole: Numbers: only whole ones.
        shares: Share of the rows with a value per side, in steps of half a per cent; None for a synthetic cell of fewer than 11 rows.
        missing: Share of rows without a value; None where it, or the rest, is small.
    """

    table: str
    column: str
    kind: Kind
    edges: tuple[FiniteFloat, ...] = ()
    names: tuple[str | None, ...] = ()
    whole: bool = False
    shares: Mapping[Side, tuple[FiniteFloat | None, ...]]
    missing: Mapping[Side, FiniteFloat | None] = Field(default_factory=dict)

    @property
    def distance(self) -> float:
        """Total variation distance between the shares that are shown."""
        pairs = zip(self.shares["real"], self.shares["synthetic"], strict=True)
        return sum(abs((r or 0.0) - (s or 0.0)) for r, s in pairs) / 2


class PairShades(Frozen):
    """Two columns as shades: 0 for a cell of fewer than 11 rows or persons, 9 for the fullest. Cells are those of the two columns."""

    table: str
    first: str
    second: str
    shades: Mapping[Side, tuple[tuple[int, ...], ...]]


class Box(Frozen):
    """The quantiles of one group; None for one with fewer than 11 persons beyond it."""

    table: str
    column: str
    group: str | None
    quantiles: Mapping[Side, tuple[FiniteFloat | None, ...]]


class Pictures(Frozen):
    """What the pictures of one audit show, in public form.

    Attributes:
        columns: Distributions.
        pairs: Densities of the pairs that go together most.
        boxes: Quantiles of numbers by the outcome.
        matrices: Associations, one matrix per table.
        outcome: `table.column` that the boxes are grouped by.
        not_drawn: `table.column` to the reason.

    Raises:
        ReleaseRefusedError: a figure is finer than a public form may be.
    """

    columns: tuple[ColumnShares, ...] = ()
    pairs: tuple[PairShades, ...] = ()
    boxes: tuple[Box, ...] = ()
    matrices: tuple[Matrix, ...] = ()
    outcome: str | None = None
    not_drawn: Mapping[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _coarse(self) -> Pictures:
        for column in self.columns:
            told = [v for side in column.shares.values() for v in side] + list(column.missing.values())
            if any(v is not None and abs(v / STEP - round(v / STEP)) > 1e-6 for v in told):
                raise _too_fine(f"the shares of {column.table}.{column.column}")
            if any(v is None or v < STEP for side in REAL for v in _of_real_cells(column, side)):
                raise _too_fine(f"a cell of {column.table}.{column.column}")
        for pair in self.pairs:
            if any(not 0 <= v <= SHADES for rows in pair.shades.values() for row in rows for v in row):
                raise _too_fine(f"the density of {pair.table}.{pair.first} and {pair.second}")
        if any(matrix.public() != matrix for matrix in self.matrices):
            raise _too_fine("a matrix of associations")
        return self


def _of_real_cells(column: ColumnShares, side: Side) -> tuple[float | None, ...]:
    """Shares that must be large enough: all but an empty rest of a category column."""
    shares = column.shares.get(side, ())
    empty_rest = bool(shares) and column.kind == "category" and column.names[-1] is None and shares[-1] == 0
    return shares[:-1] if empty_rest else shares


def _two(matrix: Sequence[Sequence[float | None]]) -> tuple[tuple[float | None, ...], ...]:
    return tuple(tuple(None if v is None else round(v, 2) + 0.0 for v in row) for row in matrix)


def _too_fine(what: str) -> ReleaseRefusedError:
    return ReleaseRefusedError(
        f"{what} are finer than a public form may be.", remedy="Hand in the result of `.public()`."
    )
