"""The engine form of `MarginalSource`: rows are encoded once to small integers inside the engine, then counted there.

What belongs here: the SQL of cells and counts. What does not: which rows are counted, and what stands beside them (engine_rows.py);
noise, and any decision. Values never enter SQL text: categories travel as registered tables, bounds are public.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from synth_assets.tables.cells import DAY_SECONDS, ColumnDomain, TableDomain
from synth_assets.tables.engine import Session
from synth_assets.tables.marginals import LARGEST, clique_shape, roundness, typed_categories

CLIQUES_PER_QUERY = 64
UNITS = "\x1funits"  # no column of a table is called so
_serial = itertools.count()


class EngineMarginals:
    """`MarginalSource` over a table inside the engine."""

    def __init__(
        self,
        session: Session,
        table: str,
        domain: TableDomain,
        *,
        gate: Callable[[], None],
        max_per_unit: int,
        owner: str | None = None,
    ) -> None:
        self.domain, self.max_per_unit, self._owner = domain, max_per_unit, owner
        self._session, self._gate = session, gate
        gate()
        self._at: dict[str, str] = {}
        self._binned: dict[tuple[str, bytes], str] = {}
        self._table = self._encode(table, owner)

    def _encode(self, table: str, owner: str | None) -> str:
        name = f"m{next(_serial)}_codes"
        units, cells, joins = ["*"], [f"u.{quoted(owner)}" if owner else "0 AS z"], []
        for i, column in enumerate(self.domain.columns):
            self._at[column.name] = f"c{i}"
            if column.kind == "category":
                lookup = f"{name}_{i}"
                codes = pa.array(range(column.value_cells), pa.uint16())
                self._session.register(lookup, pa.table({"v": typed_categories(column), "code": codes}))
                joins.append(f"LEFT JOIN {lookup} l{i} ON u.{quoted(column.name)} = l{i}.v")
                cells.append(f"{_category_cell(column, i)} AS c{i}")
                continue
            units.append(f"{units_sql(column)} AS {quoted(UNITS + str(i))}")
            x = f"u.{quoted(UNITS + str(i))}"
            cells.append(f"{_numeric_cell(column, x)} AS c{i}")
            if column.steps:
                self._at[roundness(column.name)] = f"r{i}"
                cells.append(f"{_round_cell(column, x)} AS r{i}")
        rows = f"SELECT {', '.join(units)} FROM {table}"
        self._session.make(name, f"SELECT {', '.join(cells)} FROM ({rows}) u {' '.join(joins)}")
        return name

    def counts(
        self, cliques: Sequence[tuple[str, ...]], *, bins: Mapping[str, np.ndarray] | None = None
    ) -> list[np.ndarray]:
        """See `MarginalSource`."""
        self._gate()
        bins = bins or {}
        columns, table = self._columns(cliques, bins)
        shapes = [clique_shape(self.domain, clique, bins) for clique in cliques]
        out = [np.zeros(int(np.prod(shape)), dtype=np.int64) for shape in shapes]
        for start in range(0, len(cliques), CLIQUES_PER_QUERY):
            some = range(start, min(start + CLIQUES_PER_QUERY, len(cliques)))
            parts = [_counted(i, cliques[i], shapes[i], columns, table) for i in some]
            found = self._session.fetch(" UNION ALL ".join(parts))
            for i in some:
                mine = found["q"] == i
                out[i][found["k"][mine]] = found["n"][mine]
        return [flat.reshape(shape) for flat, shape in zip(out, shapes, strict=True)]

    def rows(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Cells of every row, and its unit where units have several; see `ParquetTable.rows`."""
        self._gate()
        owner, names = self._owner, [self._at[c.name] for c in self.domain.columns]
        unit = f", {quoted(owner)} AS unit" if owner else ""
        order = " ORDER BY unit" if owner else ""
        found = self._session.fetch(f"SELECT {', '.join(names)}{unit} FROM {self._table}{order}")
        codes = np.stack([np.asarray(found[n], dtype=np.uint16) for n in names], axis=1)
        return codes, np.asarray(found["unit"], dtype=np.int64) if owner else None

    def _columns(
        self, cliques: Sequence[tuple[str, ...]], bins: Mapping[str, np.ndarray]
    ) -> tuple[dict[str, str], str]:
        """SQL name of each column of the cliques; joined cells get a table of their own, made once."""
        used = {name for clique in cliques for name in clique}
        joined = {n: np.asarray(b) for n, b in bins.items() if n in used}
        if not joined:
            return self._at, self._table
        key = ("", b"".join(n.encode() + b.tobytes() for n, b in sorted(joined.items())) + repr(sorted(used)).encode())
        if key not in self._binned:
            name = f"m{next(_serial)}_bins"
            cells = [
                f"{_joined(self._at[n], joined[n]) if n in joined else self._at[n]} AS {self._at[n]}"
                for n in sorted(used)
            ]
            self._session.make(name, f"SELECT {', '.join(cells)} FROM {self._table}")
            self._binned[key] = name
        return self._at, self._binned[key]


def quoted(name: str) -> str:
    """A column or table name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def _counted(
    number: int, clique: tuple[str, ...], shape: tuple[int, ...], columns: Mapping[str, str], table: str
) -> str:
    """Rows per cell of one clique that has any; grouped by the short codes themselves, which is faster than by their index."""
    codes = ", ".join(dict.fromkeys(columns[name] for name in clique))
    groups = (
        f"SELECT {codes}, count(*) AS n FROM {table} GROUP BY {codes}"
        if codes
        else f"SELECT count(*) AS n FROM {table}"
    )
    return f"SELECT {number} AS q, {_key(clique, shape, columns)} AS k, n FROM ({groups}) g"


def _key(clique: tuple[str, ...], shape: tuple[int, ...], columns: Mapping[str, str]) -> str:
    """Row-major index of a cell, as SQL."""
    key = "CAST(0 AS BIGINT)"
    for name, size in zip(clique, shape, strict=True):
        key = f"({key} * {size} + {columns[name]})"
    return key


def _code_type(size: int) -> str:
    """The shortest type for the numbers of so many cells; the engine groups short ones faster."""
    return "UTINYINT" if size <= 256 else "USMALLINT"


def _joined(column: str, bins: np.ndarray) -> str:
    values = ", ".join(str(int(b)) for b in bins)
    return f"list_extract(CAST([{values}] AS {_code_type(int(bins.max()) + 1)}[]), {column} + 1)"


def _category_cell(column: ColumnDomain, i: int) -> str:
    rest = column.missing_cell + 1 if column.open else column.missing_cell
    null = f"u.{quoted(column.name)} IS NULL"
    return f"CAST(CASE WHEN {null} THEN {column.missing_cell} ELSE coalesce(l{i}.code, {rest}) END AS {_code_type(column.size)})"


def units_sql(column: ColumnDomain) -> str:
    """Whole units of a numeric column; NULL where missing (`greatest` and `least` skip NULL, hence the CASEs)."""
    units = _plain_units(column, quoted(column.name))
    return units if column.minus is None else f"{units} - {_plain_units(column, quoted(column.minus))}"


def _plain_units(column: ColumnDomain, name: str) -> str:
    if column.dtype == "double":
        scale = 10.0**column.decimals
        most = f"{LARGEST / scale:.17e}"
        x = f"CASE WHEN {name} IS NULL OR isnan({name}) THEN NULL ELSE greatest(least({name}, {most}), -{most}) END"
        return f"CAST(floor(({x}) * {scale:.17e} + 5e-1) AS BIGINT)"
    if column.dtype == "date32[day]":
        return f"CAST(datediff('day', DATE '1970-01-01', {name}) AS BIGINT)"
    if column.dtype == "timestamp[us]":
        return f"epoch_us(date_trunc('second', {name})) // 1000000"
    return f"CASE WHEN {name} IS NOT NULL THEN greatest(least(CAST({name} AS BIGINT), {LARGEST}), -{LARGEST}) END"


def _numeric_cell(column: ColumnDomain, x: str) -> str:
    tree = _search(column.edges[1:-1], 0, len(column.edges) - 1, x)
    return f"CAST(CASE WHEN {x} IS NULL THEN {column.missing_cell} ELSE {tree} END AS {_code_type(column.size)})"


def _search(inner: tuple[int, ...], first: int, last: int, x: str) -> str:
    """Binary search among cells [first, last) as nested CASE."""
    if last - first == 1:
        return str(first)
    middle = (first + last) // 2
    return f"CASE WHEN {x} < {inner[middle - 1]} THEN {_search(inner, first, middle, x)} ELSE {_search(inner, middle, last, x)} END"


def _round_cell(column: ColumnDomain, x: str) -> str:
    clipped = f"greatest(least({x}, {column.edges[-1] - 1}), {column.edges[0]})"
    special = ", ".join(str(s) for s in column.special_units)
    last = len(column.steps)
    steps = " ".join(f"WHEN {clipped} % {s} = 0 THEN {i}" for i, s in reversed(list(enumerate(column.steps))))
    return f"CAST(CASE WHEN {x} IS NULL OR {clipped} IN ({special}) THEN {last} {steps} END AS UTINYINT)"


__all__ = ["DAY_SECONDS", "EngineMarginals", "quoted"]
