"""Rows of private tables inside the engine: bounds on rows per unit, columns of the parent and of the row before, numbers of children.

What belongs here: the SQL that makes one row of a table out of rows of its own unit of privacy. What does not: cells and counts
(engine_marginals.py), noise, and any decision.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synth_assets.tables.cells import TableDomain
from synth_assets.tables.engine import Session
from synth_assets.tables.engine_marginals import EngineMarginals, quoted
from synth_assets.tables.marginals import sorted_frequencies

OWNER = "\x1funit"  # no column of a table is called so
_serial = itertools.count()


@dataclass(frozen=True)
class FanOut:
    """Derived columns of a parent: how many rows of a child refer to a row (of the same unit of privacy), and the ends of a column.

    Attributes:
        name: Of the number of children.
        child: The child.
        child_columns: Its reference; () where the parent is the unit of privacy itself.
        parent_columns: The key of the parent.
        ends: Derived names of the least and the largest value, and the child's column; None for none.
    """

    name: str
    child: ParquetTable
    child_columns: tuple[str, ...]
    parent_columns: tuple[str, ...]
    ends: tuple[str, str, str] | None = None


@dataclass(frozen=True)
class Context:
    """Columns of the parent that stand beside a child's own: derived name -> name in the parent."""

    parent: ParquetTable
    child_columns: tuple[str, ...]
    parent_columns: tuple[str, ...]
    columns: Mapping[str, str]


@dataclass(frozen=True)
class Chain:
    """The order of the rows of one parent (of one unit where there is none), and what of the rows before stands beside a row.

    All of it is of the same unit of privacy, and of all its rows, whether they are counted themselves or not.

    Attributes:
        order: Column that orders the rows; equal and missing values by a keyed hash.
        group: Columns that tell the parents of a unit apart.
        before: Derived name -> column of the row before.
        earlier: Derived name of the order column two rows before.
        position: Derived name of the number of rows before.
    """

    order: str
    group: tuple[str, ...]
    before: Mapping[str, str]
    earlier: str
    position: str

    @property
    def names(self) -> tuple[str, ...]:
        """All derived columns."""
        return (*self.before, self.earlier, self.position)


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
        self._chain: Chain | None = None
        self._names: dict[str, str] = {}

    def count_children(self, fan_out: FanOut) -> None:
        """Add a derived column; before anything is read."""
        self._fan_outs.append(fan_out)

    def join_parent(self, context: Context) -> None:
        """Put columns of the parent beside the table's own; before anything is read."""
        self._context = context

    def follow_rows(self, chain: Chain) -> None:
        """Put columns of the row before beside the table's own; before anything is read."""
        self._chain = chain

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
            value = quoted(fan.ends[2]) if fan.ends else ""
            ends = f", min({value}) AS least, max({value}) AS most" if fan.ends else ""
            rows = f"SELECT {names}, count(*) AS n{ends} FROM {fan.child._raw()} GROUP BY ALL"  # noqa: SLF001  same class
            joins.append(f"LEFT JOIN ({rows}) f{i} ON {on}")
            extra.append(f"coalesce(f{i}.n, 0) AS {quoted(fan.name)}")
            if fan.ends:
                extra += [f"f{i}.least AS {quoted(fan.ends[0])}", f"f{i}.most AS {quoted(fan.ends[1])}"]
        return self._make("all", f"SELECT t.*, {', '.join(extra)} FROM {self._raw()} t {' '.join(joins)}")

    def _chained(self) -> str:
        """All rows with the columns of the rows before them."""
        chain = self._chain
        if chain is None:
            return self._all()
        by = ", ".join(f"t.{quoted(c)}" for c in (*([self._unit] if self._unit else []), *chain.group))
        over = f"OVER (PARTITION BY {by} ORDER BY t.{quoted(chain.order)} NULLS LAST, {self._order('t', use='ties')})"
        extra = [f"lag(t.{quoted(c)}) {over} AS {quoted(name)}" for name, c in chain.before.items()]
        extra.append(f"lag(t.{quoted(chain.order)}, 2) {over} AS {quoted(chain.earlier)}")
        extra.append(f"row_number() {over} - 1 AS {quoted(chain.position)}")
        return self._make("chained", f"SELECT t.*, {', '.join(extra)} FROM {self._all()} t")

    def _order(self, alias: str, *, use: str = "") -> str:
        """A keyed hash of a row and its unit; another one for each use."""
        columns = dict.fromkeys([*([self._unit] if self._unit else []), *self._identity])
        parts = [f"coalesce(CAST({alias}.{quoted(c)} AS VARCHAR), '')" for c in columns]
        joined = ", ".join([f"'{self._key}{use}'", *parts])
        return f"sha256(concat_ws(chr(31), {joined}))"

    def _kept(self) -> str:
        """The rows that are counted: at most `max_per_unit` per unit, with the columns of their parent."""
        rows = self._chained()
        if self._unit is None and self._context is None:
            return rows
        wanted = [
            *self._columns,
            *(f.name for f in self._fan_outs),
            *(e for f in self._fan_outs if f.ends for e in f.ends[:2]),
        ]
        wanted += self._chain.names if self._chain else ()
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
