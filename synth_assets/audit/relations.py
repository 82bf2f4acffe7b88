"""How synthetic tables hang together: every foreign key points at a parent, and parents have as many children as real ones.

Counted inside the engine over whole tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np

from synth_assets.audit.findings import number, verdict
from synth_assets.audit.marginals import total_variation_distance
from synth_assets.audit.prepare import Floats, Integers
from synth_assets.audit.records import Finding
from synth_assets.config.thresholds import AuditLevels
from synth_assets.tables.engine import Engine, Session
from synth_assets.tables.schema import ForeignKey

INTEGRITY = "relations.integrity"
CHILDREN = "relations.children"
_SINGLE = 20  # numbers of children up to here are told apart; beyond, by powers of two


def relation_findings(
    child: Sequence[Path], parent: Sequence[Path], key: ForeignKey, *, table: str, engine: Engine, levels: AuditLevels
) -> list[Finding]:
    """Integrity of one foreign key, and the distribution of children per parent.

    Args:
        child: The synthetic table, and the parts of the real one ([synthetic, train, holdout]; the real ones may be missing).
        parent: The same for the parent table.
        key: The reference.
        table: Name of the child table.
        engine: The table engine.
        levels: Cut-offs.
    """
    with engine.files_session() as session:
        return _findings(session, child, parent, key, table, levels)


def _findings(
    session: Session, child: Sequence[Path], parent: Sequence[Path], key: ForeignKey, table: str, levels: AuditLevels
) -> list[Finding]:
    children, parents = session.parquet(child[0]), session.parquet(parent[0])
    if not set(key.columns) <= set(children.columns) or not set(key.parent_columns) <= set(parents.columns):
        return []
    found = [_integrity(session, children, parents, key, table, levels)]
    if len(child) > 1 and len(parent) > 1:
        real_children, real_parents = session.parquet(list(child[1:])), session.parquet(list(parent[1:]))
        if set(key.columns) <= set(real_children.columns) and set(key.parent_columns) <= set(real_parents.columns):
            synthetic = children_per_parent(session, children, parents, key)
            real = children_per_parent(session, real_children, real_parents, key)
            found.append(_children(synthetic, real, key, table, levels))
    return found


def _keys(table: ir.Table, columns: Sequence[str]) -> ir.Table:
    """Complete keys as texts k0, k1, ...; texts, so that both sides have one type."""
    keys: dict[str, Any] = {f"k{i}": table[name].cast("string") for i, name in enumerate(columns)}
    return table.select(**keys).drop_null()


def _integrity(
    session: Session, children: ir.Table, parents: ir.Table, key: ForeignKey, table: str, levels: AuditLevels
) -> Finding:
    references, known = _keys(children, key.columns), _keys(parents, key.parent_columns).distinct()
    names = [f"k{i}" for i in range(len(key.columns))]
    total = int(session.arrow(references.count()).as_py())
    orphans = int(session.arrow(references.anti_join(known, names).count()).as_py()) if total else 0
    share = 1 - orphans / total if total else 1.0
    level = levels.invalid.level(1 - share)
    text = f"{table}.{'+'.join(key.columns)} -> {key.parent_table}: {number(share)} of the references point at a synthetic parent"
    return Finding(
        metric=INTEGRITY,
        message=f"{text}; for the share that does not, {verdict(level, levels.invalid)}.",
        risk_level=level,
        value=share,
        baseline=1.0,
        table=table,
        details={"references": total, "orphans": orphans},
    )


def children_per_parent(session: Session, children: ir.Table, parents: ir.Table, key: ForeignKey) -> Integers:
    """Number of parents per number of children: position i holds those with i children (beyond 20: by powers of two)."""
    names = [f"k{i}" for i in range(len(key.columns))]
    counts = _keys(children, key.columns).group_by(names).aggregate(children=ibis._.count())
    joined = _keys(parents, key.parent_columns).distinct().left_join(counts, names)
    tally = joined.mutate(children=joined.children.fill_null(0)).group_by("children").aggregate(parents=ibis._.count())
    rows = session.arrow(tally)
    children_of, parents_with = (
        np.asarray(rows[name].to_numpy(), dtype=np.float64) for name in ("children", "parents")
    )
    return np.bincount(_bins(children_of), weights=parents_with, minlength=96).astype(np.int64)


def _bins(children: Floats) -> Integers:
    beyond = _SINGLE + 1 + np.floor(np.log2(np.maximum(children, 1) / _SINGLE)).clip(0)
    return np.where(children <= _SINGLE, children, beyond).astype(np.int64)


def _children(synthetic: Integers, real: Integers, key: ForeignKey, table: str, levels: AuditLevels) -> Finding:
    distance = total_variation_distance(real, synthetic) if real.sum() and synthetic.sum() else 1.0
    level = levels.tvd.level(distance)
    text = f"Rows of {table} per row of {key.parent_table}: total variation distance {number(distance)} from the real tables"
    return Finding(
        metric=CHILDREN,
        message=f"{text}, {verdict(level, levels.tvd)}.",
        risk_level=level,
        value=distance,
        table=table,
    )
