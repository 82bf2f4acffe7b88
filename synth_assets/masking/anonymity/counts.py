"""What the search works on: the different combinations of quasi-identifiers with their counts, computed once by the engine.

What belongs here: reading counts, as codes. What does not: searching. Memory is bounded by the number of combinations: where there are
more than a million, columns start from coarser values (bases.py).
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from synth_assets.config.anonymity import HierarchyConfig
from synth_assets.masking.anonymity.bases import Base, Spread, coarser, first_base
from synth_assets.masking.anonymity.hierarchy import Codes, Floats, Hierarchy, build
from synth_assets.masking.anonymity.records import AnonymityDemand
from synth_assets.masking.generalise import DATE_TYPES, NUMBER_TYPES
from synth_assets.tables.engine import Session
from synth_assets.tables.schema import ColumnKind, ColumnSchema, TableSchema

MAX_COMBINATIONS = 1_000_000
EXACT_SENSITIVE = 1_000
HUNDREDTHS = 100
_MIX = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class Sensitive:
    """One sensitive column: how often each value stands in each combination.

    Args:
        column: Its name.
        ordered: Whether its values have an order and distances.
        combination: Combination per entry.
        value: Value code per entry, ascending where ordered; a missing value is the last code.
        rows: Rows per entry.
        size: Number of value codes.
    """

    column: str
    ordered: bool
    combination: Codes
    value: Codes
    rows: Codes
    size: int

    @property
    def whole(self) -> Floats:
        """Share of each value in the whole table."""
        counts = np.bincount(self.value, weights=self.rows, minlength=self.size)
        return np.asarray(counts / max(counts.sum(), 1.0), dtype=np.float64)


@dataclass(frozen=True)
class Counts:
    """All that the search sees.

    Args:
        hierarchies: One per quasi-identifier.
        codes: (combinations, quasi-identifiers) codes.
        rows: Rows per combination.
        persons: Different (combination, person) pairs; None where no person has two rows.
        sensitive: Sensitive columns, where l or t is asked for.
        table: The combinations in the engine: `id`, `b0`, `b1`, ...
    """

    hierarchies: tuple[Hierarchy, ...]
    codes: Codes
    rows: Codes
    persons: tuple[Codes, Codes] | None
    sensitive: tuple[Sensitive, ...]
    table: ir.Table


def collect(
    session: Session,
    stack: ExitStack,
    table: ir.Table,
    schema: TableSchema,
    demand: AnonymityDemand,
    person: str | None,
) -> Counts:
    """Count a table.

    Args:
        session: The open session.
        stack: Keeps the engine's intermediate tables until the result is written.
        table: The raw table.
        schema: Its schema.
        demand: What must hold.
        person: Column of `table` that names the person of a row; None where every row is one.
    """
    quasi = [schema.column(name) for name in demand.quasi]
    names = demand.sensitive if demand.rule.looks_at_values else ()
    raw = {f"q{i}": table[c.name] for i, c in enumerate(quasi)} | {f"s{i}": table[n] for i, n in enumerate(names)}
    if person is not None:
        raw["person"] = table[person].hash()
    held = stack.enter_context(session.held(table.select(**raw)))
    spreads = _spreads(held, quasi)
    bases = _bases(held, quasi, spreads, demand)
    keys = [f"b{i}" for i in range(len(bases))]
    based = {key: base.expression(held[f"q{i}"]) for i, (key, base) in enumerate(zip(keys, bases, strict=True))}
    counted = held.group_by(**based).aggregate(n=ibis._.count())
    numbered = counted.mutate(id=ibis.row_number().over(order_by=[counted[k] for k in keys]))
    combinations = stack.enter_context(session.held(numbered))
    found = combinations.order_by("id").to_pyarrow()
    rows = found["n"].to_numpy().astype(np.int64)
    hierarchies, codes = [], np.empty((len(rows), len(bases)), np.int64)
    for i, base in enumerate(bases):
        said = demand.hierarchies.get(base.column.name)
        hierarchy, codes[:, i] = _encoded(found[keys[i]], rows, base, spreads[i], said)
        hierarchies.append(hierarchy)
    needs_pairs = person is not None and not _one_row_each(held)
    linked = None
    if needs_pairs or names:
        linked = stack.enter_context(session.held(_linked(held, combinations, based)))
    return Counts(
        hierarchies=tuple(hierarchies),
        codes=codes,
        rows=rows,
        persons=_pairs(linked) if linked is not None and needs_pairs else None,
        sensitive=tuple(_sensitive(linked, i, schema.column(n)) for i, n in enumerate(names))
        if linked is not None
        else (),
        table=combinations,
    )


def _spreads(held: ir.Table, quasi: Sequence[ColumnSchema]) -> list[Spread]:
    measures: dict[str, Any] = {}
    for i, column in enumerate(quasi):
        measures |= {f"n{i}": held[f"q{i}"].approx_nunique(), f"missing{i}": held[f"q{i}"].isnull().sum()}
        if column.dtype in NUMBER_TYPES:
            measures |= {f"low{i}": held[f"q{i}"].min(), f"high{i}": held[f"q{i}"].max()}
    row = held.aggregate(**measures).to_pyarrow().to_pylist()[0]
    return [
        Spread(int(row[f"n{i}"] or 0), int(row[f"missing{i}"] or 0), row.get(f"low{i}"), row.get(f"high{i}"))
        for i in range(len(quasi))
    ]


def _bases(
    held: ir.Table, quasi: Sequence[ColumnSchema], spreads: Sequence[Spread], demand: AnonymityDemand
) -> list[Base]:
    """Bases that make at most a million combinations; the column with the most values is made coarser first."""
    grouped = {c for c, h in demand.hierarchies.items() if h.levels}
    bases = [
        first_base(c, demand.entity_types.get(c.name, "none"), s, declared=c.name in grouped)
        for c, s in zip(quasi, spreads, strict=True)
    ]
    while any(b.grain != "nothing" for b in bases):
        sizes = _distinct(held, bases)
        if sizes["all"] <= MAX_COMBINATIONS:
            break
        open_ones = (i for i, b in enumerate(bases) if b.grain != "nothing")
        widest = max(open_ones, key=lambda i: (sizes[f"b{i}"], -i))
        bases[widest] = coarser(bases[widest], spreads[widest], _frequent(held, widest, bases[widest]))
    return bases


def _distinct(held: ir.Table, bases: Sequence[Base]) -> dict[str, int]:
    """Distinct base values per column, and distinct combinations (HyperLogLog)."""
    based = held.select(**{f"b{i}": b.expression(held[f"q{i}"]) for i, b in enumerate(bases)})
    salted = [
        (based[f"b{i}"].hash() ^ ((_MIX * (i + 1)) % 2**63)).hash().fill_null(i) for i in range(len(bases))
    ]  # as one hash per row, so that missing values count too
    measures = {f"b{i}": based[f"b{i}"].approx_nunique() for i in range(len(bases))}
    row = based.aggregate(all=functools.reduce(operator.xor, salted).approx_nunique(), **measures)
    return {name: int(n) for name, n in row.to_pyarrow().to_pylist()[0].items()}


def _frequent(held: ir.Table, index: int, base: Base) -> tuple[Any, ...]:
    """Values of a category column by falling frequency, the first 257."""
    if base.kind != "category":
        return ()
    if base.keep:
        return base.keep
    value = held[f"q{index}"]
    counted = held.filter(value.notnull()).group_by(v=value).aggregate(n=ibis._.count())
    first = counted.order_by([ibis.desc("n"), "v"]).limit(257).to_pyarrow()
    return tuple(first["v"].to_pylist())


def _encoded(
    values: pa.ChunkedArray, rows: Codes, base: Base, spread: Spread, said: HierarchyConfig | None
) -> tuple[Hierarchy, Codes]:
    """The hierarchy over the values of one column, and the code of every combination."""
    index, distinct = _indexed(values)
    counts = np.bincount(index, weights=rows, minlength=len(distinct) + 1).astype(np.int64)
    order = sorted(range(len(distinct)), key=lambda i: distinct[i])
    found, times = [distinct[i] for i in order], [int(counts[i]) for i in order]
    hierarchy = build(base, found, times, int(counts[-1]), spread, said)
    place = {v: code for code, v in enumerate(hierarchy.values)}
    codes = np.array([*(place[v] for v in distinct), hierarchy.missing], dtype=np.int64)
    return hierarchy, codes[index]


def _indexed(values: pa.ChunkedArray) -> tuple[Codes, list[Any]]:
    """Index of every value among the distinct ones; a missing value gets the index after the last."""
    encoded = values.combine_chunks().dictionary_encode()
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    distinct = encoded.dictionary.to_pylist()
    return np.asarray(encoded.indices.fill_null(len(distinct)), dtype=np.int64), distinct


def _one_row_each(held: ir.Table) -> bool:
    row = held.aggregate(rows=held.count(), persons=held["person"].nunique()).to_pyarrow().to_pylist()[0]
    return bool(row["rows"] == row["persons"])


def _linked(held: ir.Table, combinations: ir.Table, based: Mapping[str, ir.Value]) -> ir.Table:
    """The number of its combination beside every row's person and sensitive values."""
    left = held.mutate(**based)
    joined = left.inner_join(
        combinations.rename({f"c_{k}": k for k in based}), [left[k].identical_to(combinations[k]) for k in based]
    )
    return joined.select("id", *(c for c in held.columns if c == "person" or c.startswith("s")))


def _pairs(linked: ir.Table) -> tuple[Codes, Codes]:
    found = linked.select("id", "person").distinct().to_pyarrow()
    _, person = np.unique(found["person"].to_numpy(), return_inverse=True)
    return found["id"].to_numpy().astype(np.int64), person.astype(np.int64)


def _sensitive(linked: ir.Table, index: int, column: ColumnSchema) -> Sensitive:
    value, ordered = sensitive_value(linked, linked[f"s{index}"], column)
    found = linked.group_by("id", v=value).aggregate(n=ibis._.count()).to_pyarrow()
    code, distinct = _indexed(found["v"])
    rank: npt.NDArray[np.int64] = np.empty(len(distinct) + 1, np.int64)
    rank[sorted(range(len(distinct)), key=lambda i: distinct[i])] = np.arange(len(distinct))
    rank[-1] = len(distinct)
    codes = rank[code]
    size = int(codes.max()) + 1 if len(codes) else 1
    return Sensitive(
        column=column.name,
        ordered=ordered,
        combination=found["id"].to_numpy().astype(np.int64),
        value=codes,
        rows=found["n"].to_numpy().astype(np.int64),
        size=size,
    )


def is_ordered(column: ColumnSchema) -> bool:
    """Whether a sensitive column has an order: numbers and dates that are no categories."""
    return column.dtype in {*NUMBER_TYPES, *DATE_TYPES} and column.kind != ColumnKind.CATEGORY


def sensitive_value(table: ir.Table, value: ir.Value, column: ColumnSchema) -> tuple[ir.Value, bool]:
    """A sensitive column as l and t see it: numbers and dates with more than 1,000 different values in hundredths of the table.

    Returns:
        The expression, and whether its values have an order.
    """
    if not is_ordered(column):
        return value, False
    x = value.cast("timestamp").epoch_seconds() if column.dtype in DATE_TYPES else value
    cuts = x.cast("float64").quantile([i / HUNDREDTHS for i in range(1, HUNDREDTHS)])
    row = table.aggregate(distinct=value.nunique(), cuts=cuts).to_pyarrow().to_pylist()[0]
    if row["distinct"] <= EXACT_SENSITIVE or row["cuts"] is None:
        return value, True
    return functools.reduce(operator.add, ((x > cut).cast("int16") for cut in sorted(set(row["cuts"])))), True
