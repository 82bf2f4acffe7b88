"""What singles people out: the smallest sets of columns that do, and k-anonymity, l-diversity and t-closeness of a table.

What belongs here: sizes of the classes that columns make together, as counts of the engine. What does not: changing a table so that
it becomes anonymous (masking), and attacks on a synthetic one (audit).
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir

from synth_assets.errors import ConfigError
from synth_assets.profiling.columns import LONGEST_SHAPE, ColumnFacts, batches, position
from synth_assets.profiling.distinct import salted
from synth_assets.profiling.records import Anonymity, SensitiveDisclosure, SinglingOut, Uniqueness
from synth_assets.tables.engine import Engine, Session
from synth_assets.tables.schema import ColumnKind, TableSchema

MAX_CANDIDATES = 12
FEWEST_CANDIDATES = 6
HELD_CELLS = 600_000_000  # hashes that the search keeps, 8 bytes each: fewer columns of very many rows
MAX_SET_SIZE = 3
MAX_SETS = 20
SINGLING_OUT_FRACTION = 0.05
SAMPLED_ROWS = 250_000
TENTHS = 10
_SETS_PER_QUERY = 12


@dataclass(frozen=True)
class _Search:
    """The table as one hash per candidate column, and how much of it is looked at."""

    hashed: ir.Table
    names: tuple[str, ...]
    distinct: tuple[int, ...]
    rows: int
    step: int


def single_out(
    session: Session, table: ir.Table, facts: Sequence[ColumnFacts], rows: int, *, quasi: Sequence[str] = ()
) -> Uniqueness | None:
    """The smallest sets of up to three columns that single out at least 5 % of the rows.

    Sizes of classes come from exact group counts. Above 250,000 rows, only the combinations whose hash falls into one of every
    `step` buckets are counted, with all their rows, so that the share stays unbiased.

    Args:
        session: The open session of the table.
        table: The table.
        facts: Its columns' facts.
        rows: Its rows.
        quasi: Columns to combine; by default those that are no identifiers and no long texts. Of either, the 12 with the most distinct
            values (fewer beyond 50 million rows): with more of them, the number of sets would grow without bound.

    Returns:
        Minimal sets and the strongest set of each size; None where there is nothing to combine.
    """
    candidates, capped = _candidates(facts, quasi, rows)
    if not candidates or rows < 2:
        return None
    step = 1 << max(0, math.ceil(math.log2(rows / SAMPLED_ROWS))) if rows > SAMPLED_ROWS else 1
    hashes = {f"h{i}": salted(table[f.schema.name], i) for i, f in enumerate(candidates)}
    with session.held(table.select(**hashes)) as hashed:
        names = tuple(f.schema.name for f in candidates)
        distinct = tuple(_classes(f) for f in candidates)
        levels = _levels(_Search(hashed, names, distinct, rows, step))
    found = [s for level in levels for s in level if (s.unique_fraction or 0) >= SINGLING_OUT_FRACTION]
    notes = [f"Sets of up to {min(MAX_SET_SIZE, len(names))} of {len(names)} columns were looked at."]
    notes += [f"{capped} columns with fewer distinct values were not combined."] if capped else []
    notes += [f"Only the first {MAX_SETS} sets are listed."] if len(found) > MAX_SETS else []
    return Uniqueness(
        candidates=names,
        threshold=SINGLING_OUT_FRACTION,
        sets=tuple(found[:MAX_SETS]),
        strongest=tuple(level[0] for level in levels if level),
        estimated=step > 1,
        note=" ".join(notes),
    )


def _candidates(facts: Sequence[ColumnFacts], quasi: Sequence[str], rows: int) -> tuple[list[ColumnFacts], int]:
    if quasi:
        usable = [f for f in facts if f.schema.name in quasi and _classes(f) > 1]
    else:
        usable = [f for f in facts if _classes(f) > 1 and f.schema.kind != ColumnKind.ID and not f.unique]
        usable = [f for f in usable if (f.values.get("max_length") or 0) <= LONGEST_SHAPE]
    most = min(MAX_CANDIDATES, max(FEWEST_CANDIDATES, HELD_CELLS // max(1, rows)))
    kept = sorted(usable, key=lambda f: (-f.distinct, f.schema.name))[:most]
    return [f for f in facts if f in kept], len(usable) - len(kept)


def _classes(facts: ColumnFacts) -> int:
    """Distinct values, a missing one included."""
    return facts.distinct + (facts.count < facts.rows)


def _levels(search: _Search) -> list[list[SinglingOut]]:
    """Sets of size 1, 2, 3, strongest first; none above a set that reaches the threshold, none that cannot reach it."""
    levels: list[list[SinglingOut]] = []
    reached: list[frozenset[int]] = []
    for size in range(1, MAX_SET_SIZE + 1):
        sets = [
            columns
            for columns in itertools.combinations(range(len(search.names)), size)
            if not any(r <= frozenset(columns) for r in reached) and (size == 1 or _can_reach(search, columns))
        ]
        measured: list[tuple[SinglingOut, tuple[int, ...]]] = []
        for batch in batches(sets, _SETS_PER_QUERY):
            measured += zip(_measure(search, batch), batch, strict=True)
        measured.sort(key=lambda found: (-(found[0].unique_fraction or 0.0), found[1]))
        reached += [
            frozenset(columns) for found, columns in measured if (found.unique_fraction or 0) >= SINGLING_OUT_FRACTION
        ]
        levels.append([found for found, _ in measured])
    return levels


def _can_reach(search: _Search, columns: Sequence[int]) -> bool:
    """A set makes no more classes than the product of its columns' distinct values, and each unique row needs its own class."""
    return math.prod(search.distinct[c] for c in columns) >= SINGLING_OUT_FRACTION * search.rows


def _measure(search: _Search, sets: Sequence[tuple[int, ...]]) -> list[SinglingOut]:
    parts = []
    for index, columns in enumerate(sets):
        key = functools.reduce(operator.xor, (search.hashed[f"h{c}"] for c in columns))
        combined = search.hashed.select(key=key)
        if search.step > 1:
            combined = combined.filter((combined.key & (search.step - 1)) == 0)
        classes = combined.group_by("key").aggregate(n=ibis._.count())
        part = classes.aggregate(unique=(classes.n == 1).sum())
        parts.append(part.mutate(i=ibis.literal(index, "int16")))
    answer = {r["i"]: r for r in (ibis.union(*parts) if len(parts) > 1 else parts[0]).to_pyarrow().to_pylist()}
    found = []
    for index, columns in enumerate(sets):
        rows = min(search.rows, int(answer[index]["unique"] or 0) * search.step)
        names = tuple(search.names[c] for c in columns)
        found.append(SinglingOut(columns=names, unique_rows=rows, unique_fraction=round(rows / search.rows, 6)))
    return found


def anonymity(
    table: Path, schema: TableSchema, quasi: Sequence[str], sensitive: Sequence[str], engine: Engine
) -> Anonymity:
    """k-anonymity, l-diversity and t-closeness of a canonical table.

    Args:
        table: Folder with part-*.parquet, or one file.
        schema: Its schema.
        quasi: Quasi-identifiers; rows that agree in all of them form a class.
        sensitive: Sensitive columns; a number or time with more than 20 distinct values is put into tenths first.
        engine: Memory limit and threads.

    Raises:
        ConfigError: a column is not in the table, or none is given, or the table has no row.

    Source:
        Sweeney 2002 (k); Machanavajjhala et al. 2007, distinct l-diversity; Li, Li, Venkatasubramanian 2007, t with the equal distance.
    """
    with engine.session() as session:
        return anonymity_of(session, session.parquet(table), schema, quasi, sensitive)


def anonymity_of(
    session: Session, table: ir.Table, schema: TableSchema, quasi: Sequence[str], sensitive: Sequence[str]
) -> Anonymity:
    """`anonymity` within an open session."""
    _check(schema, quasi, sensitive)
    grouped = table.group_by(**{f"q{i}": table[name] for i, name in enumerate(quasi)}).aggregate(n=ibis._.count())
    totals = grouped.aggregate(
        classes=grouped.count(),
        k=grouped.n.min(),
        rows=grouped.n.sum(),
        unique=(grouped.n == 1).sum(),
        below=ibis.ifelse(grouped.n < 5, grouped.n, 0).sum(),
    )
    found = totals.to_pyarrow().to_pylist()[0]
    if not found["classes"]:
        raise ConfigError(f"table {schema.name!r} has no row, so it has no classes.", key="quasi")
    return Anonymity(
        quasi=tuple(quasi),
        classes=found["classes"],
        k=found["k"],
        unique_rows=found["unique"],
        rows_below_5=found["below"],
        highest_risk=round(1 / found["k"], 6),
        mean_risk=round(found["classes"] / found["rows"], 6),
        sensitive=tuple(_disclosure(session, table, schema, quasi, name) for name in sensitive),
    )


def _check(schema: TableSchema, quasi: Sequence[str], sensitive: Sequence[str]) -> None:
    if not quasi:
        raise ConfigError("give at least one quasi-identifier.", key="quasi")
    for key, names in (("quasi", quasi), ("sensitive", sensitive)):
        for name in names:
            if name not in schema.names:
                raise ConfigError(
                    f"table {schema.name!r} has no such column.",
                    key=key,
                    column=name,
                    remedy=f"Its columns: {', '.join(schema.names[:20])}.",
                )
    both = [name for name in sensitive if name in quasi]
    if both:
        raise ConfigError(
            "a column cannot be a quasi-identifier and sensitive at once.", key="sensitive", column=both[0]
        )


def _disclosure(
    session: Session, table: ir.Table, schema: TableSchema, quasi: Sequence[str], name: str
) -> SensitiveDisclosure:
    """Diversity and closeness of one sensitive column from the joint counts of class and value."""
    values, binned = _sensitive_values(table, schema, name)
    classes = {f"q{i}": table[q] for i, q in enumerate(quasi)}
    with session.held(table.select(**classes, value=values)) as held:
        joint = held.group_by(*classes, "value").aggregate(n=ibis._.count())
        rows = held.count().as_scalar()
        whole = held.group_by("value").aggregate(share=held.count() / rows)
        joined = joint.left_join(whole, joint.value.identical_to(whole.value)).select(
            *classes, n=joint.n, share=whole.share
        )
        sizes = joined.mutate(size=joined.n.sum().over(ibis.window(group_by=list(classes))))
        per_class = sizes.group_by(*classes).aggregate(
            values=ibis._.count(), near=(sizes.n / sizes.size - sizes.share).abs().sum(), seen=sizes.share.sum()
        )
        distance = (per_class.near + (1 - per_class.seen)) / 2
        found = per_class.aggregate(l=per_class["values"].min(), t=distance.max()).to_pyarrow().to_pylist()[0]
    t = min(1.0, max(0.0, found["t"]))
    return SensitiveDisclosure(column=name, l_diversity=found["l"], t_closeness=round(t, 6), binned=binned)


def _sensitive_values(table: ir.Table, schema: TableSchema, name: str) -> tuple[Any, bool]:
    """The column, or its tenths where it is a number or time with many values."""
    column = schema.column(name)
    values: Any = table[name]
    if column.dtype not in {"int64", "double", "date32[day]", "timestamp[us]"} or column.kind == ColumnKind.CATEGORY:
        return values, False
    x = position(table, column)
    row = (
        table.aggregate(distinct=values.nunique(), cuts=x.quantile([i / TENTHS for i in range(1, TENTHS)]))
        .to_pyarrow()
        .to_pylist()[0]
    )
    if row["distinct"] <= 2 * TENTHS or row["cuts"] is None:
        return values, False
    tenth = functools.reduce(operator.add, ((x > cut).cast("int8") for cut in sorted(set(row["cuts"]))))
    return tenth, True
