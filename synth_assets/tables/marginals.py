"""The one private read of the package: contingency counts of a table over public cells, and the frequencies of undeclared categories.

What belongs here: the two protocols, and the NumPy form for frames; the engine form is in engine_marginals.py. What does not: noise
(privacy) and what decides what to count (synthesis). Numbers that leave this file are exact and private: only the step that adds noise
may hold them.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_assets.errors import InputError
from synth_assets.tables.cells import DAY_SECONDS, ColumnDomain, TableDomain

ROUNDNESS = "\x1fround:"
LARGEST = 10**18  # differences of clipped units stay inside int64


def roundness(name: str) -> str:
    """The name under which `counts` gives how often the values of a column are multiples of its steps."""
    return ROUNDNESS + name


class MarginalSource(Protocol):
    """Counts of one table over the cells of its domain.

    One unit of privacy has at most `max_per_unit` rows in the counts, so adding or removing it changes each table of counts by at most
    `max_per_unit` in L1 and in L2 norm (all its rows may stand in one cell).
    """

    @property
    def domain(self) -> TableDomain:
        """The public cells."""
        ...

    @property
    def max_per_unit(self) -> int:
        """Sensitivity of one table of counts."""
        ...

    def counts(
        self, cliques: Sequence[tuple[str, ...]], *, bins: Mapping[str, np.ndarray] | None = None
    ) -> list[np.ndarray]:
        """Contingency tables.

        Args:
            cliques: Names of columns, or `roundness(name)`; the empty clique is the number of rows.
            bins: For some columns, the bin of each cell: cells are joined before they are counted.

        Returns:
            One int64 array per clique, its axes in the order of the names.
        """
        ...


class PrivateTable(Protocol):
    """A table whose domain is not known yet."""

    @property
    def max_per_unit(self) -> int:
        """Rows of one unit of privacy that are counted."""
        ...

    def frequencies(self, column: str, dtype: str) -> tuple[list[str], np.ndarray]:
        """The distinct values of a column as texts, sorted, and their row counts (int64); missing values are left out."""
        ...

    def marginals(self, domain: TableDomain) -> MarginalSource:
        """The counts of this table over a domain."""
        ...


class FrameTable:
    """A table in memory.

    Args:
        table: The rows.
        gate: Called before the first read; raises where no reservation of privacy budget is open.
        unit_column: Column that identifies the unit of privacy; None: each row is a unit.
        max_per_unit: Rows per unit that are kept, chosen by a keyed hash within the unit.
    """

    def __init__(
        self, table: pa.Table, *, gate: Callable[[], None], unit_column: str | None = None, max_per_unit: int = 1
    ) -> None:
        self._table, self._gate, self._unit = table, gate, unit_column
        self._bounded = unit_column is None
        self.max_per_unit = max_per_unit if unit_column is not None else 1

    def _rows(self) -> pa.Table:
        self._gate()
        if not self._bounded:
            self._table = _bounded(self._table, self._unit or "", self.max_per_unit)
            self._bounded = True
        return self._table

    def frequencies(self, column: str, dtype: str) -> tuple[list[str], np.ndarray]:
        """See `PrivateTable`."""
        pairs = pc.value_counts(self._rows().column(column).combine_chunks().drop_null())
        return sorted_frequencies(pairs.field("values").to_pylist(), pairs.field("counts").to_numpy(), dtype)

    def marginals(self, domain: TableDomain) -> FrameMarginals:
        """See `PrivateTable`."""
        return FrameMarginals(self._rows(), domain, gate=self._gate, max_per_unit=self.max_per_unit)


class FrameMarginals:
    """`MarginalSource` over a table in memory; the reference of the engine form."""

    def __init__(self, table: pa.Table, domain: TableDomain, *, gate: Callable[[], None], max_per_unit: int) -> None:
        self.domain, self.max_per_unit, self._gate = domain, max_per_unit, gate
        gate()
        self._rows = table.num_rows
        self._codes: dict[str, np.ndarray] = {}
        for column in domain.columns:
            self._codes[column.name] = encode(column, table)
            if column.steps:
                self._codes[roundness(column.name)] = encode_roundness(column, table)

    def counts(
        self, cliques: Sequence[tuple[str, ...]], *, bins: Mapping[str, np.ndarray] | None = None
    ) -> list[np.ndarray]:
        """See `MarginalSource`."""
        self._gate()
        bins = bins or {}
        out = []
        for clique in cliques:
            shape = clique_shape(self.domain, clique, bins)
            key = np.zeros(self._rows, dtype=np.int64)
            for name, size in zip(clique, shape, strict=True):
                codes = self._codes[name]
                key = key * size + (np.asarray(bins[name])[codes] if name in bins else codes)
            out.append(np.bincount(key, minlength=int(np.prod(shape))).astype(np.int64).reshape(shape))
        return out


def clique_shape(domain: TableDomain, clique: tuple[str, ...], bins: Mapping[str, np.ndarray]) -> tuple[int, ...]:
    """Shape of the table of counts of a clique."""
    sizes = []
    for name in clique:
        if name in bins:
            sizes.append(int(np.max(bins[name])) + 1)
        elif name.startswith(ROUNDNESS):
            sizes.append(domain.column(name.removeprefix(ROUNDNESS)).round_size)
        else:
            sizes.append(domain.column(name).size)
    return tuple(sizes)


def typed_categories(column: ColumnDomain) -> pa.Array:
    """The categories as values of the column's type."""
    if column.dtype == "bool":
        return pa.array([c == "true" for c in column.categories], pa.bool_())
    if column.dtype == "int64":
        return pa.array([int(c) for c in column.categories], pa.int64())
    if column.dtype == "double":
        return pa.array([float(c) for c in column.categories], pa.float64())
    texts = pa.array(column.categories, pa.string())
    return (
        texts
        if column.dtype == "string"
        else texts.cast({"date32[day]": pa.date32()}.get(column.dtype, pa.timestamp("us")))
    )


def sorted_frequencies(values: Sequence[object], counts: np.ndarray, dtype: str) -> tuple[list[str], np.ndarray]:
    """Values as texts in the spelling of `category_cells`, in the order of the texts."""
    texts = [str(v).lower() if dtype == "bool" else repr(v) if dtype == "double" else str(v) for v in values]
    order = sorted(range(len(texts)), key=texts.__getitem__)
    return [texts[i] for i in order], np.asarray(counts, dtype=np.int64)[order]


def encode(column: ColumnDomain, table: pa.Table) -> np.ndarray:
    """Cells of one column, shape (rows,)."""
    if column.kind == "category":
        values = table.column(column.name)
        found = pc.index_in(values, value_set=typed_categories(column))
        rest = column.missing_cell + 1 if column.open else column.missing_cell
        cell = pc.if_else(pc.is_null(values), column.missing_cell, pc.fill_null(found, rest))
        return np.asarray(cell.to_numpy(), dtype=np.int64)
    units, missing = _units(column, table)
    cell = np.clip(np.searchsorted(column.edges, units, side="right") - 1, 0, column.value_cells - 1)
    return np.where(missing, column.missing_cell, cell)


def encode_roundness(column: ColumnDomain, table: pa.Table) -> np.ndarray:
    """The largest step that divides each value, shape (rows,); special and missing values in the last cell."""
    units, missing = _units(column, table)
    units = np.clip(units, column.edges[0], column.edges[-1] - 1)
    divided = sum((units % step == 0).astype(np.int64) for step in column.steps) - 1
    return np.where(missing | np.isin(units, column.special_units), len(column.steps), divided)


def _units(column: ColumnDomain, table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Whole units and missing mask of a numeric column."""
    units, missing = _plain_units(column, table.column(column.name))
    if column.minus is not None:
        other, also = _plain_units(column, table.column(column.minus))
        units, missing = units - other, missing | also
    return units, missing


def _plain_units(column: ColumnDomain, values: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    missing = pc.is_null(values, nan_is_null=True).to_numpy()
    if column.dtype == "double":
        x = pc.fill_null(values, 0.0).to_numpy()
        scale = 10.0**column.decimals
        x = np.clip(np.where(missing, 0.0, x), -LARGEST / scale, LARGEST / scale)
        return np.floor(x * scale + 0.5).astype(np.int64), missing
    if column.dtype == "date32[day]":
        return pc.fill_null(values.cast(pa.int32()), 0).to_numpy().astype(np.int64), missing
    if column.dtype == "timestamp[us]":
        micros = pc.fill_null(values.cast(pa.timestamp("us")).cast(pa.int64()), 0).to_numpy()
        return np.floor_divide(micros, 1_000_000), missing
    return np.clip(pc.fill_null(values, 0).to_numpy(), -LARGEST, LARGEST), missing


def _bounded(table: pa.Table, unit_column: str, most: int) -> pa.Table:
    """At most `most` rows of each unit; which ones depends on a fresh key and on the rows of that unit only."""
    import pandas as pd

    if table.column(unit_column).null_count:
        raise InputError("the unit of privacy is missing in some rows.", column=unit_column)
    # as texts: the type of a pandas column, and with it the hash, would depend on whether any unit has a missing value
    texts = {name: pc.fill_null(table.column(name).cast(pa.string()), "").to_pandas() for name in table.column_names}
    order = pd.util.hash_pandas_object(pd.DataFrame(texts), index=False, hash_key=secrets.token_hex(8)).to_numpy()
    unit = texts[unit_column].to_numpy()
    ranked = pd.DataFrame({"unit": unit, "order": order}).sort_values(["unit", "order"], kind="stable")
    keep = ranked.index[ranked.groupby("unit", sort=False).cumcount().to_numpy() < most]
    return table.take(pa.array(np.sort(keep.to_numpy())))


__all__ = [
    "DAY_SECONDS",
    "ColumnDomain",
    "FrameMarginals",
    "FrameTable",
    "MarginalSource",
    "PrivateTable",
    "TableDomain",
    "roundness",
]
