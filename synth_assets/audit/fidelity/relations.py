"""How synthetic tables hang together: every foreign key points at a parent, and parents have as many children as real ones.

Counted inside the engine over whole tables. What does not belong here: how columns of parents and children go together
(`parent_child.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np

from synth_assets.audit.findings import added_level, added_words, number, told_apart, verdict
from synth_assets.audit.intervals import Pair, mover, newcombe, wilson
from synth_assets.audit.marginals import Distance, count_distance
from synth_assets.audit.prepare import Floats, Integers
from synth_assets.audit.records import Finding
from synth_assets.config.thresholds import AuditLevels
from synth_assets.tables.engine import Engine, Session
from synth_assets.tables.schema import ForeignKey

INTEGRITY = "relations.integrity"
CHILDREN = "relations.children"
_SINGLE = 20  # numbers of children up to here are told apart; beyond, by powers of two


@dataclass(frozen=True)
class Sides:
    """One table of a dataset: the synthetic one, and the parts of the real one where they are given."""

    synthetic: Path
    train: Path | None = None
    holdout: Path | None = None

    def real(self) -> list[Path]:
        """The parts of the real table."""
        return [path for path in (self.train, self.holdout) if path is not None]


def relation_findings(
    child: Sides, parent: Sides, key: ForeignKey, *, table: str, engine: Engine, levels: AuditLevels
) -> list[Finding]:
    """Integrity of one foreign key, and the distribution of children per parent.

    Args:
        child: The table with the reference.
        parent: The table it points at.
        key: The reference.
        table: Name of the child table.
        engine: The table engine.
        levels: Cut-offs.
    """
    with engine.files_session() as session:
        children, parents = session.parquet(child.synthetic), session.parquet(parent.synthetic)
        if not linked(children, parents, key):
            return []
        found = [
            _integrity(
                _references(session, children, parents, key), _real(session, child, parent, key), key, table, levels
            )
        ]
        if child.train is not None and parent.train is not None:
            found += _cardinality(session, child, parent, key, table, levels)
        return found


def linked(children: ir.Table, parents: ir.Table, key: ForeignKey) -> bool:
    """Whether both tables have the columns of the reference."""
    return set(key.columns) <= set(children.columns) and set(key.parent_columns) <= set(parents.columns)


def keys_of(table: ir.Table, columns: Sequence[str]) -> dict[str, Any]:
    """Keys as texts k0, k1, ...; texts, so that both sides have one type."""
    return {f"k{i}": table[name].cast("string") for i, name in enumerate(columns)}


def _keys(table: ir.Table, columns: Sequence[str]) -> ir.Table:
    """Complete keys."""
    return table.select(**keys_of(table, columns)).drop_null()


def _references(session: Session, children: ir.Table, parents: ir.Table, key: ForeignKey) -> tuple[int, int]:
    """Complete references, and how many of them point at no parent."""
    references, known = _keys(children, key.columns), _keys(parents, key.parent_columns).distinct()
    names = [f"k{i}" for i in range(len(key.columns))]
    total = int(session.arrow(references.count()).as_py())
    return total, int(session.arrow(references.anti_join(known, names).count()).as_py()) if total else 0


def _real(session: Session, child: Sides, parent: Sides, key: ForeignKey) -> tuple[int, int] | None:
    """The same of the held-out rows, without any of the training rows; a real parent may be in either part of the split."""
    own = child.holdout or child.train
    if own is None or not parent.real():
        return None
    children, parents = session.parquet(own), session.parquet(parent.real())
    return _references(session, children, parents, key) if linked(children, parents, key) else None


def _integrity(
    made: tuple[int, int], real: tuple[int, int] | None, key: ForeignKey, table: str, levels: AuditLevels
) -> Finding:
    total, orphans = made
    share = 1 - orphans / total if total else 1.0
    baseline = 1 - real[1] / real[0] if real and real[0] else None
    told = f"; of real ones {number(baseline)}" if baseline is not None else ""
    level = levels.invalid.level(1 - share)
    text = f"{table}.{'+'.join(key.columns)} -> {key.parent_table}: {number(share)} of the references point at a synthetic parent"
    return Finding(
        metric=INTEGRITY,
        message=f"{text}{told}. For the rest, {verdict(level, levels.invalid)}.",
        risk_level=level,
        value=share,
        interval=wilson(total - orphans, total),
        baseline=baseline,
        excess=None if baseline is None else baseline - share,
        excess_interval=newcombe((real[0] - real[1], real[0]), (total - orphans, total)) if real and real[0] else None,
        sample_size=total,
        control_size=real[0] if real and real[0] else None,
        table=table,
        details={"references": total, "orphans": orphans},
    )


@dataclass(frozen=True)
class Tally:
    """How many parents have how many children: different numbers of children, ascending, and parents with each."""

    children: Floats
    parents: Floats

    @property
    def count(self) -> int:
        """Number of parents."""
        return int(self.parents.sum())

    def binned(self) -> Integers:
        """Parents per number of children: position i holds those with i children (beyond 20: by powers of two)."""
        beyond = _SINGLE + 1 + np.floor(np.log2(np.maximum(self.children, 1) / _SINGLE)).clip(0)
        bins = np.where(self.children <= _SINGLE, self.children, beyond).astype(np.int64)
        return np.bincount(bins, weights=self.parents, minlength=96).astype(np.int64)

    def below(self, numbers: Floats) -> Floats:
        """Parents with at most so many children."""
        totals = np.append(0.0, np.cumsum(self.parents))
        made: Floats = totals[np.searchsorted(self.children, numbers, side="right")]
        return made


def children_per_parent(session: Session, children: ir.Table, parents: ir.Table, key: ForeignKey) -> Tally:
    """How many parents have how many children, parents without any included."""
    names = [f"k{i}" for i in range(len(key.columns))]
    counts = _keys(children, key.columns).group_by(names).aggregate(children=ibis._.count())
    joined = _keys(parents, key.parent_columns).distinct().left_join(counts, names)
    tally = joined.mutate(children=joined.children.fill_null(0)).group_by("children").aggregate(parents=ibis._.count())
    rows = session.arrow(tally.order_by("children"))
    return Tally(*(np.asarray(rows[name].to_numpy(), dtype=np.float64) for name in ("children", "parents")))


def shape_similarity(real: Tally, other: Tally) -> tuple[float, Pair]:
    """1 - Kolmogorov-Smirnov distance of the numbers of children per parent, and its 95 % interval; 0 where a side has no parents.

    The interval is that of the difference of the two shares of parents at the number of children where they differ most (Newcombe).

    Source:
        DataCebo, SDMetrics documentation, "CardinalityShapeSimilarity".
    """
    if not real.count or not other.count:
        return 0.0, (0.0, 0.0)
    numbers = np.union1d(real.children, other.children)
    first, second = real.below(numbers), other.below(numbers)
    apart = first / real.count - second / other.count
    at = int(np.argmax(np.abs(apart)))
    sides = [(float(first[at]), real.count), (float(second[at]), other.count)]
    low, high = newcombe(sides[0], sides[1]) if apart[at] >= 0 else newcombe(sides[1], sides[0])
    return 1 - float(np.abs(apart[at])), (1 - high, 1 - max(low, 0.0))


def _cardinality(
    session: Session, child: Sides, parent: Sides, key: ForeignKey, table: str, levels: AuditLevels
) -> list[Finding]:
    """Children per parent: of synthetic parents, and of held-out ones, against those of the training rows.

    A real parent's children are counted in both parts: where parents are split by themselves, their children lie on both sides.
    """
    real = session.parquet(child.real())
    tallies = [children_per_parent(session, session.parquet(child.synthetic), session.parquet(parent.synthetic), key)]
    for path in parent.real():
        parents = session.parquet(path)
        if not linked(real, parents, key):
            return []
        tallies.append(children_per_parent(session, real, parents, key))
    made, train, *rest = tallies
    if not train.count:
        return []
    holdout = rest[0] if rest and rest[0].count else None
    distances = [_distance(train, side) for side in (made, holdout) if side is not None]
    shapes = [shape_similarity(train, side) for side in (made, holdout) if side is not None]
    sizes = (made.count, holdout.count if holdout else None)
    return [
        _children(distances, sizes, key, table, levels),
        _shape(shapes, sizes, key, table, levels),
    ]


def _distance(real: Tally, other: Tally) -> Distance:
    """How far numbers of children lie apart; a table without parents is as far as can be."""
    return count_distance(real.binned(), other.binned()) if other.count else Distance(1.0, (1.0, 1.0), 1.0)


def _children(
    distances: Sequence[Distance], sizes: tuple[int, int | None], key: ForeignKey, table: str, levels: AuditLevels
) -> Finding:
    made, control = distances[0], distances[1] if len(distances) > 1 else None
    excess = made.value - control.value if control else None
    above = mover(made.value, made.interval, control.value, control.interval) if control else None
    added = None if excess is None or above is None else told_apart(excess, above, min(sizes[0], sizes[1] or 0))
    level = added_level(levels.tvd, made.value, added)
    text = f"Rows of {table} per row of {key.parent_table}: total variation distance {number(made.value)}"
    told = f"; unseen real parents {number(control.value)}" if control else ""
    return Finding(
        metric=CHILDREN,
        message=f"{text}{told}. {added_words(level, levels.tvd, added)}",
        risk_level=level,
        value=made.value,
        interval=made.interval,
        baseline=control.value if control else None,
        excess=excess,
        excess_interval=above,
        sample_size=sizes[0],
        control_size=sizes[1],
        table=table,
    )


def _shape(
    shapes: Sequence[tuple[float, Pair]],
    sizes: tuple[int, int | None],
    key: ForeignKey,
    table: str,
    levels: AuditLevels,
) -> Finding:
    (value, interval), control = shapes[0], shapes[1] if len(shapes) > 1 else None
    baseline = control[0] if control else None
    excess, above = (control[0] - value, mover(*control, value, interval)) if control else (None, None)
    added = None if excess is None or above is None else told_apart(excess, above, min(sizes[0], sizes[1] or 0))
    level = added_level(levels.tvd, 1 - value, added)
    text = f"Rows of {table} per row of {key.parent_table}, cardinality (as in SDMetrics): {number(value)} of 1"
    told = f"; unseen real parents {number(control[0])}" if control else ""
    return Finding(
        metric="relations.cardinality",
        message=f"{text}{told}. {added_words(level, levels.tvd, added, 'The distance from 1')}",
        risk_level=level,
        value=value,
        interval=interval,
        baseline=baseline,
        excess=excess,
        excess_interval=above,
        sample_size=sizes[0],
        control_size=sizes[1],
        decides=False,
        table=table,
    )
