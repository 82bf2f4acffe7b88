"""How columns of a parent and of its children go together: SDMetrics' intertable trends, beside the same of held-out children.

Every child row is joined with its parent, and every pair of a parent's and a child's column is compared as the columns of one table are
(`quality.py`). What does not belong here: how many children a parent has (`relations.py`).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir

from synth_assets.audit.fidelity.quality import mean_of, pair_trends, view
from synth_assets.audit.fidelity.relations import Sides, keys_of, linked
from synth_assets.audit.fidelity.resampled import trend_halves
from synth_assets.audit.findings import added_level, added_words, number, told_apart
from synth_assets.audit.intervals import Pair, mover
from synth_assets.audit.prepare import Tables, prepare
from synth_assets.audit.records import Finding
from synth_assets.audit.spread import around, numbered
from synth_assets.config.thresholds import AuditLevels, AuditLimits
from synth_assets.seeds import child_seed
from synth_assets.tables.engine import Engine, Session
from synth_assets.tables.schema import ColumnKind, ColumnSchema, ForeignKey

TRENDS = "relations.trends"
OWNER = "parent"  # whose a joined row is


@dataclass(frozen=True)
class Related:
    """One table of a reference: its parts, its name, and the columns that are compared."""

    name: str
    sides: Sides
    columns: Sequence[ColumnSchema]


def trend_findings(
    child: Related,
    parent: Related,
    key: ForeignKey,
    *,
    engine: Engine,
    levels: AuditLevels,
    limits: AuditLimits,
    seed: int,
) -> list[Finding]:
    """The mean similarity over all pairs of a parent's and a child's column that hang together in the real tables; nothing without one.

    Args:
        child: The table with the reference.
        parent: The table it points at.
        key: The reference.
        engine: The table engine.
        levels: Cut-offs.
        limits: Rows to compare.
        seed: Seed of samples.
    """
    if child.sides.train is None or parent.sides.train is None or not child.columns or not parent.columns:
        return []
    with engine.files_session() as session:
        joined = _joined(session, child, parent, key)
        if joined is None:
            return []
        tables = Tables(session, joined["synthetic"], joined["train"], joined.get("holdout"))
        names = _columns(child, parent)
        prepared = prepare(
            tables, tuple(names), {}, limit=limits.compare_rows, seed=child_seed(seed, "trends"), owners=(OWNER,)
        )
    categories = {name: len(labels) for name, labels in prepared.labels.items()}
    times = [c.name for c in names if c.kind in (ColumnKind.DATE, ColumnKind.DATETIME)]
    sides = [prepared.parts[side] for side in ("train", "synthetic", "holdout") if side in prepared.parts]
    pairs = list(
        itertools.product((c.name for c in names if c.name[0] == "p"), (c.name for c in names if c.name[0] == "c"))
    )
    scores = pair_trends([view(part, categories, times) for part in sides], pairs)
    groups = [numbered(part.clusters) for part in sides]
    halves = trend_halves(sides, groups, categories, times, pairs, child_seed(seed, "trends drawn anew"))
    made = []
    for i, part in enumerate(sides[1:]):
        mean = mean_of([row[i] for row in scores])
        if mean is not None:
            made.append(Similarity(mean, around(mean, halves[i]), part.held))
        elif i == 0:
            return []
    counted = sum(row[0] is not None for row in scores)
    return [_finding(child, parent, made, counted, levels)]


@dataclass(frozen=True)
class Similarity:
    """A mean similarity, its 95 % interval with the rows of one parent as clusters, and the rows it was counted on."""

    value: float
    interval: Pair
    rows: int


def _columns(child: Related, parent: Related) -> list[ColumnSchema]:
    """The columns of the joined table: c0, c1, ... of the child and p0, p1, ... of the parent."""
    made = []
    for head, side in (("c", child), ("p", parent)):
        made += [column.model_copy(update={"name": f"{head}{i}"}) for i, column in enumerate(side.columns)]
    return made


def _joined(session: Session, child: Related, parent: Related, key: ForeignKey) -> dict[str, ir.Table] | None:
    """Child rows with their parents, per part; None where a column or a row is lacking. A real parent may be in the other part."""
    parents = session.parquet(parent.sides.real())
    sources = {
        "synthetic": (session.parquet(child.sides.synthetic), session.parquet(parent.sides.synthetic)),
        "train": (session.parquet(child.sides.real()[0]), parents),
    }
    if child.sides.holdout is not None:
        sources["holdout"] = (session.parquet(child.sides.holdout), parents)
    made = {}
    for side, (below, above) in sources.items():
        wanted = {c.name for c in child.columns} <= set(below.columns) and {c.name for c in parent.columns} <= set(
            above.columns
        )
        if not wanted or not linked(below, above, key):
            return None
        rows = session.arrow(
            _join(below, above, child, parent, key)
        )  # once, so that all columns have one order of rows
        if not rows.num_rows and side != "holdout":
            return None
        if rows.num_rows:
            made[side] = ibis.memtable(rows)
    return made


def _join(below: ir.Table, above: ir.Table, child: Related, parent: Related, key: ForeignKey) -> ir.Table:
    own: dict[str, Any] = {f"c{i}": below[column.name] for i, column in enumerate(child.columns)}
    other: dict[str, Any] = {f"p{i}": above[column.name] for i, column in enumerate(parent.columns)}
    first = below.select(**keys_of(below, key.columns), **own)
    second = above.select(**keys_of(above, key.parent_columns), **other)
    names = [f"k{i}" for i in range(len(key.columns))]
    joined = first.inner_join(second.distinct(on=names), names)
    whose: Any = joined[names[0]]
    for name in names[1:]:
        whose = whose + "\x1f" + joined[name]
    return joined.select(*own, *other, whose.name(OWNER))


def _finding(child: Related, parent: Related, made: Sequence[Similarity], counted: int, levels: AuditLevels) -> Finding:
    value, control = made[0].value, made[1] if len(made) > 1 else None
    baseline = control.value if control else None
    excess, above = None, None
    if control is not None:
        excess = control.value - value
        above = mover(control.value, control.interval, value, made[0].interval)
    added = None if control is None or excess is None or above is None else told_apart(excess, above, control.rows)
    level = added_level(levels.tvd, 1 - value, added)
    text = f"Columns of {parent.name} and of {child.name} together (as in SDMetrics): {number(value)} of 1 over {counted} pairs"
    told = f"; unseen real rows {number(control.value)}" if control else ""
    return Finding(
        metric=TRENDS,
        message=f"{text}{told}. {added_words(level, levels.tvd, added, 'The distance from 1')}",
        risk_level=level,
        value=value,
        interval=made[0].interval,
        baseline=baseline,
        excess=excess,
        excess_interval=above,
        sample_size=made[0].rows,
        control_size=control.rows if control else None,
        decides=False,
        table=child.name,
        details={"counted": counted},
    )
