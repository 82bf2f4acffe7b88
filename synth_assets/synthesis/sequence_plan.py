"""Rows in the order of time, from public facts alone: what of the row before stands beside a row, and how times are modelled.

What belongs here: derived columns of a sequence and of its parent, and the units of a table whose own rows are a sequence. What does
not: data, the division of the budget (release_plan.py), sampling (sequence_sample.py). Derivation: docs/mechanisms/related_tables.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from synth_assets.config.dataset import ColumnConfig
from synth_assets.errors import ConfigError
from synth_assets.synthesis.domain import ColumnPlan, bounded_cells, declared_span, difference_cells
from synth_assets.synthesis.protocol import ReleaseSpec, TableSpec
from synth_assets.tables.cells import CellKind, ColumnDomain
from synth_assets.tables.schema import ForeignKey, Frozen, TableSchema

MAX_BEFORE = 12
ROW_EDGES = (1, 2, 3, 5, 9, 17, 33, 65, 10**6)
KINDS: dict[str, CellKind] = {"date32[day]": "date", "timestamp[us]": "datetime", "int64": "number", "double": "number"}


class SequencePlan(Frozen):
    """How the rows of one parent follow each other.

    Attributes:
        order: The column that orders them; modelled as its difference to the row before.
        before: Derived column -> own column of the row before.
        given: Those of `before` that are conditions.
        earlier: Derived name of `order` two rows before.
        position: Derived column: rows before this one.
        start: Derived column of the parent: the least of `order`.
        end: The largest; its difference to the least where the least is a difference as well.
        latest: Declared upper bound of `order` (a number, days or seconds since 1970); None where it is not declared.
    """

    order: str
    before: Mapping[str, str]
    given: tuple[str, ...]
    earlier: str
    position: str
    start: str
    end: str
    latest: float | None

    @property
    def conditions(self) -> tuple[str, ...]:
        """Derived columns that are conditions of a row."""
        return (*self.given, self.position)

    def previous_of(self, column: str) -> str:
        """Derived name of an own column in the row before."""
        return next(name for name, own in self.before.items() if own == column)


def derived(prefix: str, name: str, taken: set[str]) -> str:
    """A name for a derived column that no column of the table has."""
    while prefix + name in taken:
        prefix += prefix[0]
    return prefix + name


def is_sequence(table: TableSpec, spec: ReleaseSpec) -> bool:
    """Whether a table has an order in which rows follow each other; the table of the units has one row of each."""
    alone = spec.unit is not None and table.name == spec.unit[0] and table.table.primary_key == (spec.unit[1],)
    return table.sequence_order is not None and not alone


def with_units(spec: ReleaseSpec) -> ReleaseSpec:
    """The same release; where the unit's own table is a sequence, with a table above it that has one row per unit and is not written.

    Raises:
        ConfigError: rows are to follow each other and no unit of privacy says whose they are.
    """
    for table in spec.tables:
        _check(table, spec)
    if spec.unit is None or not is_sequence(spec.table(spec.unit[0]), spec):
        return spec
    table, column = spec.table(spec.unit[0]), spec.unit[1]
    name = derived("units of ", table.name, {t.name for t in spec.tables})
    schema = TableSchema(name=name, columns=(table.table.column(column),), primary_key=(column,))
    units = TableSpec(
        table=schema, path=table.path, columns=(), max_per_unit=1, unit_column=table.unit_column, above=table.name
    )
    key = ForeignKey(columns=(column,), parent_table=name, parent_columns=(column,))
    below = table.model_copy(
        update={
            "table": table.table.model_copy(update={"foreign_keys": (*table.table.foreign_keys, key)}),
            "columns": tuple(c for c in table.columns if c != column),
        }
    )
    tables = tuple(below if t.name == table.name else t for t in spec.tables)
    return spec.model_copy(update={"tables": (units, *tables), "unit": (name, column)})


def _check(table: TableSpec, spec: ReleaseSpec) -> None:
    order = table.sequence_order
    if order is None:
        return
    where = f"tables.{table.name}.sequence_order"
    if spec.unit is None or table.unit_column is None:
        raise ConfigError(
            "rows that follow each other belong to one unit of privacy, and none is declared.",
            key=where,
            remedy="Name the column of the person under `unit`.",
        )
    if order not in table.columns:
        raise ConfigError("the column that orders the rows is not one that is modelled.", column=order, key=where)
    if table.table.column(order).dtype not in KINDS:
        raise ConfigError("the column that orders the rows is no number, date or datetime.", column=order, key=where)
    if any(high == order for _, high in table.orders) and is_sequence(table, spec):
        raise ConfigError(
            "the column that orders the rows is the later one of an ordered pair of the contract.",
            column=order,
            key=where,
            remedy="Order the rows by the earlier column.",
        )


def plan_sequence(table: TableSpec, target: str | None, ends: tuple[str, str], taken: set[str]) -> SequencePlan:
    """The derived columns of a sequence.

    Args:
        table: Its table.
        target: The release's target, if it is in this table.
        ends: Names of the parent's derived columns.
        taken: Names that are in use; the new ones are added.
    """
    order = table.sequence_order or ""
    before = {}
    for column in table.columns:
        name = derived("<", column, taken)
        before[name] = column
        taken.add(name)
    earlier = derived("<<", order, taken)
    position = derived("<", "row", taken | {earlier})
    taken |= {earlier, position}
    first = [n for n, own in before.items() if own in {target, order}]
    given = tuple(dict.fromkeys([*first, *before]))[:MAX_BEFORE]
    config, dtype = _declared(table, order), table.table.column(order).dtype
    latest = None
    if config.lower is not None and config.upper is not None:
        cells = bounded_cells(order, KINDS[dtype], dtype, config.lower, config.upper)
        latest = (cells.edges[-1] - 1) / 10**cells.decimals
    return SequencePlan(
        order=order, before=before, given=given, earlier=earlier, position=position, start=ends[0], end=ends[1], latest=latest
    )  # fmt: skip


def with_gaps(table: TableSpec, sequence: SequencePlan, columns: Sequence[ColumnPlan]) -> tuple[ColumnPlan, ...]:
    """The columns of a sequence, the one that orders it as its difference to the row before."""
    order, config = sequence.order, _declared(table, sequence.order)
    gap = _difference(order, table.table.column(order).dtype, sequence.previous_of(order), config, config)
    return tuple(gap if c.name == order else c for c in columns)


def end_names(child: str, taken: set[str]) -> tuple[str, str]:
    """Names of the parent's derived columns for the first and the last time of a child's rows."""
    start = derived("@", child, taken)
    return start, derived("@", child, taken | {start})


def end_plans(names: tuple[str, str], child: TableSpec, parent: TableSpec) -> tuple[ColumnPlan, ColumnPlan]:
    """The first and the last time of a parent's children.

    Where the parent has a time of its own of the same type: how long after it, and how long from the first to the last.
    """
    order, own = child.sequence_order or "", parent.sequence_order
    dtype, config = child.table.column(order).dtype, _declared(child, order)
    if own is not None and parent.table.column(own).dtype == dtype:
        start = _difference(names[0], dtype, own, _declared(parent, own), config)
        return start, _difference(names[1], dtype, names[0], config, config)
    return _absolute(names[0], dtype, config), _absolute(names[1], dtype, config)


def _absolute(name: str, dtype: str, config: ColumnConfig) -> ColumnPlan:
    kind = KINDS[dtype]
    if config.lower is None or config.upper is None:
        return ColumnPlan(name=name, kind=kind, dtype=dtype, source="bounds", lower=config.lower, upper=config.upper)
    cells = bounded_cells(name, kind, dtype, config.lower, config.upper)
    return ColumnPlan(name=name, kind=kind, dtype=dtype, source="declared", domain=cells)


def _difference(name: str, dtype: str, minus: str, low: ColumnConfig, high: ColumnConfig) -> ColumnPlan:
    kind = KINDS[dtype]
    longest = declared_span(kind, low, high, name)
    if longest is None:
        return ColumnPlan(name=name, kind=kind, dtype=dtype, source="bounds", minus=minus)
    cells = difference_cells(name, kind, dtype, minus, longest)
    return ColumnPlan(name=name, kind=kind, dtype=dtype, source="declared", domain=cells, minus=minus)


def _declared(table: TableSpec, column: str) -> ColumnConfig:
    config = table.configs.get(column, ColumnConfig())
    return ColumnConfig() if config.inferred else config


def before_cells(plan: SequencePlan, name: str, own: ColumnDomain) -> ColumnDomain:
    """Cells of a column of the row before: those of the own column; a difference is one between columns of that row."""
    minus = own.minus
    if plan.before[name] == plan.order:
        minus = plan.earlier
    elif minus is not None:
        minus = plan.previous_of(minus)
    return own.model_copy(update={"name": name, "minus": minus, "steps": ()})


def position_cells(name: str) -> ColumnDomain:
    """Cells of the number of rows before a row: the first has none."""
    return ColumnDomain(name=name, kind="number", dtype="int64", edges=(0, *ROW_EDGES))


def position_bins() -> np.ndarray:
    """Bin of each of those cells: its own; a row always has a position."""
    return np.minimum(np.arange(len(ROW_EDGES) + 1), len(ROW_EDGES) - 1)
