"""k, l and t of a written table, measured by the engine alone, and whether they are what was asked for.

What belongs here: measuring. It shares no code with the search on purpose: what a fault of the search lets through is found here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir

from synth_assets.config.anonymity import AnonymityConfig
from synth_assets.errors import ConfigError, withhold_values
from synth_assets.masking.anonymity.counts import is_ordered, sensitive_value
from synth_assets.masking.anonymity.records import (
    AnonymityDemand,
    AnonymityMeasure,
    AnonymityReport,
    SensitiveMeasure,
)
from synth_assets.masking.records import ONE_TO_ONE, MaskingPlan, MaskSummary
from synth_assets.tables.engine import Engine, Session
from synth_assets.tables.schema import ForeignKey, TableSchema

_SLACK = 1e-6


def check_anonymity(
    masked: Path,
    *,
    schema: TableSchema,
    demand: AnonymityDemand | None,
    engine: Engine,
    persons: Sequence[str] = (),
    above: Sequence[tuple[Path, ForeignKey]] = (),
) -> AnonymityReport:
    """Measure a masked table as it was written, and compare with what it had to reach.

    Args:
        masked: The masked table, Parquet.
        schema: Its schema.
        demand: What must hold; None where the table has no quasi-identifier.
        engine: The table engine.
        persons: Columns that name the person of a row; () counts rows.
        above: The way to the table in which they stand, as (masked parent, foreign key); () where it is this one.
    """
    if demand is None:
        return AnonymityReport(passed=True)
    quasi = tuple(c for c in demand.quasi if c in schema.names)
    asked = demand.sensitive if demand.rule.looks_at_values else ()
    sensitive = tuple(c for c in asked if c in schema.names)
    with withhold_values("the check of k-anonymity"), engine.files_session() as session:
        table = session.parquet(masked)
        for step, (path, key) in enumerate(above):
            table, persons = _with_parent(session, table, path, key, step, last=step == len(above) - 1, persons=persons)
        if not quasi or not schema.row_count:
            return AnonymityReport(passed=True)
        found = measure(session, table, schema, quasi, sensitive, persons=persons, rule=demand.rule)
    failures = list(_failures(found, demand.rule))
    return AnonymityReport(passed=not failures, failures=tuple(failures), measure=found)


def check_masked(
    table: str, masked: Mapping[str, Path], summaries: Mapping[str, MaskSummary], plan: MaskingPlan, engine: Engine
) -> AnonymityReport:
    """`check_anonymity` of one table of a masked dataset; persons are counted where the masked tables still tell them apart.

    Args:
        table: The table.
        masked: Masked table -> Parquet; with the parents of the table.
        summaries: Masked table -> what was done to it.
        plan: The plan of the table.
        engine: The table engine.
    """
    ends = [table, *(fk.parent_table for fk in plan.person_route)]
    there = all(name in masked and name in summaries for name in ends)
    if there:
        steps = zip(ends, plan.person_route, strict=False)
        there = all(_one_to_one(summaries[n], fk.columns) for n, fk in steps)
        there = there and _one_to_one(summaries[ends[-1]], plan.person)
    return check_anonymity(
        masked[table],
        schema=summaries[table].output_schema,
        demand=plan.anonymity,
        engine=engine,
        persons=plan.person if there else (),
        above=[(masked[fk.parent_table], fk) for fk in plan.person_route] if there else (),
    )


def persons_of(plan: MaskingPlan, summary: MaskSummary) -> tuple[str, ...]:
    """Columns that name the person of a row in the raw and in the masked table; () where no column of this table does."""
    return plan.person if not plan.person_route and _one_to_one(summary, plan.person) else ()


def _one_to_one(summary: MaskSummary, columns: Sequence[str]) -> bool:
    """Whether a masked table still tells the values of some columns apart."""
    kept = {c.column for c in summary.columns if c.dtype is not None and c.action in ONE_TO_ONE}
    return bool(columns) and set(columns) <= kept


def _with_parent(
    session: Session, table: ir.Table, path: Path, key: ForeignKey, step: int, *, last: bool, persons: Sequence[str]
) -> tuple[ir.Table, tuple[str, ...]]:
    """A table with the columns of a parent beside it that lead further up, or name the person."""
    parent = session.parquet(path)
    names = {c: f"above{step}_{c}" for c in parent.columns}
    renamed = parent.rename({new: old for old, new in names.items()})
    own = [f"above{step - 1}_{c}" if step else c for c in key.columns]
    on = [table[c] == renamed[names[p]] for c, p in zip(own, key.parent_columns, strict=True)]
    return table.left_join(renamed, on), tuple(names[p] for p in persons) if last else tuple(persons)


def measure(
    session: Session,
    table: ir.Table,
    schema: TableSchema,
    quasi: Sequence[str],
    sensitive: Sequence[str] = (),
    *,
    persons: Sequence[str] = (),
    rule: AnonymityConfig | None = None,
) -> AnonymityMeasure:
    """k, l and t of a table as it stands.

    Args:
        session: The open session.
        table: The table.
        schema: Its schema.
        quasi: Columns that make the classes; a missing value is a value.
        sensitive: Columns for l and t.
        persons: Columns that name the person of a row; () counts rows.
        rule: For the recursive form: its l.

    Raises:
        ConfigError: there is no quasi-identifier, or no row.
    """
    if not quasi:
        raise ConfigError("give at least one quasi-identifier.", key="quasi_identifiers")
    classes = {f"q{i}": table[name] for i, name in enumerate(quasi)}
    named = {f"p{i}": table[name] for i, name in enumerate(persons)}
    base = table.select(**classes, **named)
    sizes = base.group_by(*classes).aggregate(n=ibis._.count())
    totals = sizes.aggregate(classes=sizes.count(), rows=sizes.n.sum(), k=sizes.n.min(), unique=(sizes.n == 1).sum())
    row = totals.to_pyarrow().to_pylist()[0]
    if not row["classes"]:
        raise ConfigError(f"table {schema.name!r} has no row, so it has no classes.", key="quasi_identifiers")
    k = int(row["k"])
    if persons:
        people = base.distinct().group_by(*classes).aggregate(n=ibis._.count())
        k = int(people.aggregate(k=people.n.min()).to_pyarrow().to_pylist()[0]["k"])
    return AnonymityMeasure(
        quasi=tuple(quasi),
        unit="persons" if persons else "rows",
        rows=int(row["rows"]),
        classes=int(row["classes"]),
        k=k,
        unique_rows=int(row["unique"]),
        sensitive=tuple(_sensitive(session, table, schema, list(classes.values()), name, rule) for name in sensitive),
    )


def _sensitive(
    session: Session,
    table: ir.Table,
    schema: TableSchema,
    quasi: Sequence[ir.Value],
    name: str,
    rule: AnonymityConfig | None,
) -> SensitiveMeasure:
    """From the joint counts of class and value; the ordered distance needs every value in every class, also those not there."""
    column = schema.column(name)
    value, _ = sensitive_value(table, table[name], column)
    keys = [f"q{i}" for i in range(len(quasi))]
    joint = (
        table.select(**dict(zip(keys, quasi, strict=True)), v=value).group_by(*keys, "v").aggregate(n=ibis._.count())
    )
    of_class = ibis.window(group_by=keys)
    with session.held(joint.mutate(size=joint.n.sum().over(of_class), values=joint.n.count().over(of_class))) as held:
        share = held.n / held["size"]
        per_class = held.group_by(*keys).aggregate(
            distinct=held["values"].max(), entropy=-(share * share.ln()).sum(), size=held["size"].max()
        )
        bounds = per_class.aggregate(distinct=per_class["distinct"].min(), entropy=per_class["entropy"].min())
        row = bounds.to_pyarrow().to_pylist()[0]
        ordered = is_ordered(column)
        return SensitiveMeasure(
            column=name,
            ordered=ordered,
            distinct=int(row["distinct"]),
            entropy=round(math.exp(max(row["entropy"], 0.0)), 6),
            recursive=_recursive(held, keys, rule),
            t=round(min(1.0, max(0.0, _t(held, per_class, keys, ordered=ordered))), 6),
        )


def _recursive(held: ir.Table, keys: Sequence[str], rule: AnonymityConfig | None) -> float | None:
    """Largest r_1 / (r_l + ... + r_m) over the classes: recursive (c, l)-diversity holds for every larger c."""
    if rule is None or rule.l_diversity is None:
        return None
    place = ibis.row_number().over(ibis.window(group_by=list(keys), order_by=[ibis.desc("n"), "v"]))
    ranked = held.mutate(place=place)
    tail = (ranked.place >= int(rule.l_diversity) - 1).ifelse(ranked.n, 0)
    per_class = ranked.group_by(*keys).aggregate(first=ranked.n.max(), rest=tail.sum())
    ratio = (per_class["rest"] > 0).ifelse(
        per_class["first"] / per_class["rest"].cast("float64").nullif(0.0), float("inf")
    )
    worst = float(per_class.aggregate(worst=ratio.max()).to_pyarrow().to_pylist()[0]["worst"])
    return round(worst, 6) if math.isfinite(worst) else None


def _t(held: ir.Table, per_class: ir.Table, keys: Sequence[str], *, ordered: bool) -> float:
    whole = held.group_by("v").aggregate(all=ibis._.n.sum())
    whole = whole.mutate(all=whole["all"] / whole["all"].sum().over(ibis.window()))
    numbered = per_class.select(*keys, "size").mutate(number=ibis.row_number())
    every: Any = numbered.cross_join(whole)
    on = [every[k].identical_to(held[k]) for k in keys] + [every.v.identical_to(held.v)]
    full = every.left_join(held.select(*keys, "v", "n"), on)
    gap = (full.n.fill_null(0) / full["size"] - full["all"]).name("gap")
    gaps = full.select("number", every.v.name("v"), gap)
    if not ordered:
        distances = gaps.group_by("number").aggregate(d=gaps.gap.abs().sum() / 2)
        return _largest(distances)
    running = gaps.gap.sum().over(
        ibis.window(group_by="number", order_by=[gaps.v.asc(nulls_first=False)], preceding=None, following=0)
    )
    sums = gaps.select("number", running=running)
    counted = sums.group_by("number").aggregate(total=sums.running.abs().sum(), values=sums.count())
    distances = counted.mutate(d=counted.total / ibis.greatest(counted["values"] - 1, 1))
    return _largest(distances)


def _largest(distances: ir.Table) -> float:
    return float(distances.aggregate(t=distances.d.max()).to_pyarrow().to_pylist()[0]["t"] or 0.0)


def _failures(found: AnonymityMeasure, rule: AnonymityConfig) -> list[str]:
    failures = [f"k is {found.k}, not {rule.k} ({found.unit})"] if found.k < rule.k else []
    for one in found.sensitive:
        if rule.l_diversity is not None and not _diverse(one, rule):
            failures.append(f"{rule.diversity} l of column {one.column!r} is below {rule.l_diversity:g}")
        if rule.t_closeness is not None and one.t > rule.t_closeness + _SLACK:
            failures.append(f"t of column {one.column!r} is {one.t:.3f}, above {rule.t_closeness:g}")
    return failures


def _diverse(one: SensitiveMeasure, rule: AnonymityConfig) -> bool:
    wanted = float(rule.l_diversity or 1.0)
    if rule.diversity == "entropy":
        return one.entropy >= wanted - _SLACK
    if rule.diversity == "recursive":
        return one.recursive is not None and one.recursive < rule.c
    return one.distinct >= wanted
