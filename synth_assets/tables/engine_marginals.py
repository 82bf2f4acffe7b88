"""The engine form of `MarginalSource`: rows are encoded once to small integers inside the engine, then counted there.

What belongs here: the SQL of the private read, bounds on rows per unit, children joined with their parent, number of children per
parent. What does not: noise, and any decision. Values never enter SQL text: categories travel as registered tables, bounds are public.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from synth_assets.tables.cells import DAY_SECONDS, ColumnDomain, TableDomain
from synth_assets.tables.engine import Session
from synth_assets.tables.marginals import LARGEST, clique_shape, roundness, sorted_frequencies, typed_categories

CLIQUES_PER_QUERY = 64
UNITS = "\x1funits"  # no column of a table is called so
OWNER = "\x1funit"
_serial = itertools.count()


@dataclass(frozen=True)
class FanOut:
    """A derived column of a parent: how many rows of a child refer to a row (of the same unit of privacy)."""

    name: str
    child: ParquetTable
    child_columns: tuple[str, ...]
    parent_columns: tuple[str, ...]


@dataclass(frozen=True)
class Context:
    """Columns of the parent that stand beside a child's own: derived name -> name in the parent."""

    parent: ParquetTable
    child_columns: tuple[str, ...]
    parent_columns: tuple[str, ...]
    columns: Mapping[str, str]


class ParquetTable:
    """One private table of canonical Parquet, perhaps with relations.

    Args:
        session: An open engine session; all temporary tables live in it.
        path: Parquet file or folder.
        columns: The table's own columns that are modelled.
        gate: Called before the first read; raises where no reservation of privacy budget is open.
        unit_column: Column that identifies the unit of privacy; None: each row is a unit.
        max_per_unit: Rows per unit that are counted, chosen by a keyed hash within the unit.
        identity: Columns that tell the rows of a unit apart (the primary key); all modelled columns when empty.
    """

    def __init__(
        self,
        session: Session,
        path: Path,
        *,
        columns: Sequence[str],
        gate: Callable[[], None],
        unit_column: str | None = None,
        max_per_unit: int = 1,
        identity: Sequence[str] = (),
    ) -> None:
        self._session, self._path, self._columns, self._gate = session, path, tuple(columns), gate
        self._unit, self._identity = unit_column, tuple(identity) or tuple(columns)
        self.max_per_unit = max_per_unit if unit_column is not None else 1
        self._key = secrets.token_hex(16)
        self._fan_outs: list[FanOut] = []
        self._context: Context | None = None
        self._names: dict[str, str] = {}

    def count_children(self, fan_out: FanOut) -> None:
        """Add a derived column; before anything is read."""
        self._fan_outs.append(fan_out)

    def join_parent(self, context: Context) -> None:
        """Put columns of the parent beside the table's own; before anything is read."""
        self._context = context

    def frequencies(self, column: str, dtype: str) -> tuple[list[str], np.ndarray]:
        """See `PrivateTable`."""
        name = quoted(column)
        table = self._kept()
        found = self._session.fetch(
            f"SELECT {name} AS v, count(*) AS n FROM {table} WHERE {name} IS NOT NULL GROUP BY {name}"
        )
        return sorted_frequencies(found["v"].tolist(), found["n"], dtype)

    def marginals(self, domain: TableDomain) -> EngineMarginals:
        """See `PrivateTable`."""
        owner = OWNER if self.max_per_unit > 1 else None
        return EngineMarginals(
            self._session, self._kept(), domain, gate=self._gate, max_per_unit=self.max_per_unit, owner=owner
        )

    def rows(self, domain: TableDomain) -> tuple[np.ndarray, np.ndarray | None]:
        """The rows that are counted, as cells; private, for steps of DP-SGD only.

        Returns:
            Cells, uint16, shape (rows, columns), in the order of the domain; and the number of the unit of each row from 0, ascending,
            or None where each row is its own unit.
        """
        return self.marginals(domain).rows()

    def _make(self, what: str, sql: str, *, view: bool = False) -> str:
        """Create a temporary table or view once; its name."""
        if what not in self._names:
            name = f"m{next(_serial)}_{what}"
            self._session.make(name, sql, view=view)
            self._names[what] = name
        return self._names[what]

    def _raw(self) -> str:
        if "raw" not in self._names:
            self._gate()
            self._names["raw"] = quoted(self._session.parquet(self._path).get_name())
        return self._names["raw"]

    def _all(self) -> str:
        """All rows with the derived columns."""
        if not self._fan_outs or "all" in self._names:
            return self._names.get("all") or self._raw()
        joins, extra = [], []
        for i, fan in enumerate(self._fan_outs):
            keys = [*fan.child_columns, *([fan.child._unit] if self._unit and fan.child._unit else [])]  # noqa: SLF001  same class
            own = [*fan.parent_columns, *([self._unit] if self._unit else [])]
            names = ", ".join(f"{quoted(k)} AS k{j}" for j, k in enumerate(keys))
            on = " AND ".join(f"t.{quoted(k)} = f{i}.k{j}" for j, k in enumerate(own))
            joins.append(f"LEFT JOIN (SELECT {names}, count(*) AS n FROM {fan.child._raw()} GROUP BY ALL) f{i} ON {on}")  # noqa: SLF001  same class
            extra.append(f"coalesce(f{i}.n, 0) AS {quoted(fan.name)}")
        return self._make("all", f"SELECT t.*, {', '.join(extra)} FROM {self._raw()} t {' '.join(joins)}")

    def _order(self, alias: str) -> str:
        """A keyed hash of a row and its unit."""
        columns = dict.fromkeys([*([self._unit] if self._unit else []), *self._identity])
        parts = [f"coalesce(CAST({alias}.{quoted(c)} AS VARCHAR), '')" for c in columns]
        joined = ", ".join([f"'{self._key}'", *parts])
        return f"sha256(concat_ws(chr(31), {joined}))"

    def _kept(self) -> str:
        """The rows that are counted: at most `max_per_unit` per unit, with the columns of their parent."""
        rows = self._all()
        if self._unit is None and self._context is None:
            return rows
        wanted = [*self._columns, *(f.name for f in self._fan_outs)]
        limit = owner = ""
        if self._unit is not None:
            unit = quoted(self._unit)
            limit = (
                f" QUALIFY row_number() OVER (PARTITION BY t.{unit} ORDER BY {self._order('t')}) <= {self.max_per_unit}"
            )
            if self.max_per_unit > 1:
                owner = f", dense_rank() OVER (ORDER BY k.{unit}) - 1 AS {quoted(OWNER)}"
        bounded = f"SELECT t.* FROM {rows} t{limit}"
        select = (", ".join(f"k.{quoted(c)}" for c in wanted) or "1 AS one") + owner
        if self._context is None:
            return self._make("kept", f"SELECT {select} FROM ({bounded}) k")
        one, on, beside = self._parent_rows(self._context)
        return self._make("kept", f"SELECT {select}{beside} FROM ({bounded}) k LEFT JOIN ({one}) p ON {on}")

    def _parent_rows(self, context: Context) -> tuple[str, str, str]:
        """One parent row per key and unit, the join condition, and the parent's columns under their derived names."""
        parent = context.parent
        keys = [*context.parent_columns, *([parent._unit] if self._unit and parent._unit else [])]  # noqa: SLF001  same class
        own = [*context.child_columns, *([self._unit] if self._unit else [])]
        part = ", ".join(f"q.{quoted(k)}" for k in keys)
        rank = f"QUALIFY row_number() OVER (PARTITION BY {part} ORDER BY {parent._order('q')}) = 1"  # noqa: SLF001  same class
        names = "".join(f", q.{quoted(old)} AS {quoted(new)}" for new, old in context.columns.items())
        one = f"SELECT {', '.join(f'q.{quoted(k)} AS k{j}' for j, k in enumerate(keys))}{names} FROM {parent._all()} q {rank}"  # noqa: SLF001
        on = " AND ".join(f"k.{quoted(k)} = p.k{j}" for j, k in enumerate(own))
        return one, on, "".join(f", p.{quoted(new)}" for new in context.columns)


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


__all__ = ["DAY_SECONDS", "Context", "EngineMarginals", "FanOut", "ParquetTable"]
