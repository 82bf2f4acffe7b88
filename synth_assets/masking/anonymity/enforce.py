"""k-anonymity, l-diversity and t-closeness of one table: count, search by both methods, take the one that loses less, recode by a join.

What belongs here: the order of these. What does not: each of them; and checking the written table (verify.py, of its own on purpose).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from synth_assets.errors import CheckFailedError
from synth_assets.masking.anonymity import lattice, mondrian
from synth_assets.masking.anonymity.bases import Base
from synth_assets.masking.anonymity.counts import Counts, collect
from synth_assets.masking.anonymity.criteria import Criteria
from synth_assets.masking.anonymity.records import AnonymityDemand, AnonymityOutcome, ColumnRecoding, MethodLoss
from synth_assets.masking.anonymity.solution import Solution, of_classes, of_levels
from synth_assets.masking.kin import MARK
from synth_assets.storage import atomic
from synth_assets.tables.engine import Session
from synth_assets.tables.schema import TableSchema


@dataclass(frozen=True)
class Recoding:
    """What stands in the quasi-identifiers of every row, as a table of the engine.

    Args:
        table: One row per combination: base values, texts, whether it is blanked.
        bases: The bases, in the order of the quasi-identifiers.
        raw: Which columns keep their raw values.
        outcome: What was done.
    """

    table: ir.Table
    bases: tuple[Base, ...]
    raw: tuple[bool, ...]
    outcome: AnonymityOutcome

    def apply(self, table: ir.Table, names: Mapping[str, str]) -> ir.Table:
        """Put the recoded columns beside the raw ones, by a join; the order of rows is not kept.

        Args:
            table: Rows with the raw columns.
            names: Quasi-identifier -> name of its recoded column.
        """
        keyed = table.mutate(
            **{f"{MARK}anonb{i}": b.expression(table[b.column.name]) for i, b in enumerate(self.bases)}
        )
        on = [keyed[f"{MARK}anonb{i}"].identical_to(self.table[f"{MARK}b{i}"]) for i in range(len(self.bases))]
        joined = keyed.inner_join(self.table, on)
        made = {}
        for i, base in enumerate(self.bases):
            value = joined[f"{MARK}anonb{i}"] if self.raw[i] else joined[f"{MARK}name{i}"]
            made[names[base.column.name]] = joined[f"{MARK}blank"].ifelse(ibis.null(value.type()), value)
        return joined.select(*table.columns, **made)


def enforce(
    session: Session,
    stack: ExitStack,
    table: ir.Table,
    schema: TableSchema,
    demand: AnonymityDemand,
    person: str | None,
) -> Recoding:
    """Find the recoding of a table that reaches what is asked for with the least loss.

    Args:
        session: The open session.
        stack: Keeps the engine's intermediate tables until the result is written.
        table: The raw table.
        schema: Its schema.
        demand: What must hold.
        person: Column of `table` that names the person of a row; None where every row is one.

    Raises:
        CheckFailedError: not even a table without any quasi-identifier would reach it.
    """
    counts = collect(session, stack, table, schema, demand, person)
    solution, tried = solve(counts, demand)
    if solution is None:
        raise _impossible(counts, schema, demand)
    outcome = _outcome(counts, demand, solution, tried)
    uploaded = stack.enter_context(session.held(_uploaded(session, stack, counts, solution)))
    return Recoding(uploaded, tuple(h.base for h in counts.hierarchies), tuple(c.raw for c in solution.cells), outcome)


def solve(counts: Counts, demand: AnonymityDemand) -> tuple[Solution | None, tuple[MethodLoss, ...]]:
    """The solution with the least loss, and what was tried; of two that lose the same, the one with one recoding for all rows."""
    criteria = Criteria(demand.rule, counts)
    found: list[Solution] = []
    tried: list[MethodLoss] = []
    if demand.rule.method != "multidimensional":
        full = lattice.search(counts, criteria)
        if full.levels is not None:
            found.append(of_levels(counts, full.group, full.levels))
        loss = None if full.levels is None else round(full.loss, 6)
        tried.append(MethodLoss(method="full_domain", loss=loss, exact=full.exact, checked=full.checked))
    if demand.rule.method != "full_domain":
        free = mondrian.cut(counts, criteria)
        if free.group is not None:
            found.append(of_classes(counts, free.group))
        loss = None if free.group is None else round(found[-1].loss(counts), 6)
        tried.append(MethodLoss(method="multidimensional", loss=loss, exact=False, checked=free.rounds))
    best = min(found, key=lambda s: round(s.loss(counts), 9), default=None)
    return best, tuple(tried)


def _impossible(counts: Counts, schema: TableSchema, demand: AnonymityDemand) -> CheckFailedError:
    """Why not even one class of all rows reaches it."""
    rule = demand.rule
    if counts.persons is None:
        people, unit = int(counts.rows.sum()), "rows"
    else:
        people, unit = len(set(counts.persons[1].tolist())), "persons"
    if people < rule.k:
        return CheckFailedError(
            f"table {schema.name!r} cannot reach k = {rule.k}: it has {people} {unit}.",
            key="anonymity.k",
            remedy="Ask for a smaller k, mask more rows together, or choose another policy.",
        )
    names = ", ".join(demand.sensitive)
    return CheckFailedError(
        f"table {schema.name!r} cannot reach l = {rule.l_diversity:g} ({rule.diversity}): the whole table has too few, or too uneven, "
        f"values in a sensitive column ({names}).",
        key="anonymity.l_diversity",
        remedy="Ask for a smaller l, or take the column off the sensitive ones.",
    )


def _uploaded(session: Session, stack: ExitStack, counts: Counts, solution: Solution) -> ir.Table:
    """Per combination: its base values, the texts of its class, whether it is blanked."""
    scratch = stack.enter_context(session.scratch())
    group = pa.table({"id": pa.array(range(len(solution.group)), pa.int64()), "class": pa.array(solution.group)})
    names = {f"{MARK}name{i}": pa.array(c.names, pa.string()) for i, c in enumerate(solution.cells)}
    size = len(solution.cells[0].names)
    classes = pa.table({"number": pa.array(range(size), pa.int64()), **names})
    for name, made in (("group", group), ("classes", classes)):
        with atomic.replacing(scratch / f"{name}.parquet") as file:
            pq.write_table(made, file)
    of, texts = (session.parquet(scratch / f"{name}.parquet") for name in ("group", "classes"))
    combinations = counts.table.rename({f"{MARK}b{i}": f"b{i}" for i in range(len(solution.cells))})
    joined = combinations.inner_join(of, combinations.id == of.id)
    joined = joined.left_join(texts, joined["class"] == texts.number)
    keys = [f"{MARK}b{i}" for i in range(len(solution.cells))]
    return joined.select(*keys, *names, **{f"{MARK}blank": joined["class"] < 0})


def _outcome(
    counts: Counts, demand: AnonymityDemand, solution: Solution, tried: tuple[MethodLoss, ...]
) -> AnonymityOutcome:
    sizes, rows = solution.class_sizes(counts), int(counts.rows.sum())
    losses = solution.column_losses(counts)
    return AnonymityOutcome(
        quasi=demand.quasi,
        k=demand.rule.k,
        method=solution.method,
        tried=tried,
        unit="rows" if counts.persons is None else "persons",
        rows=rows,
        combinations=len(counts.rows),
        classes=len(sizes),
        suppressed_rows=int(counts.rows[solution.group < 0].sum()),
        loss=round(solution.loss(counts), 6),
        discernibility=solution.discernibility(counts),
        average_class_size=round(rows / max(len(sizes), 1) / demand.rule.k, 6),
        columns=tuple(
            ColumnRecoding(
                column=h.base.column.name,
                hierarchy=h.base.kind,
                level=c.level,
                levels=len(h.steps) - 1,
                loss=round(min(x, 1.0), 6),
            )
            for h, c, x in zip(counts.hierarchies, solution.cells, losses, strict=True)
        ),
    )
