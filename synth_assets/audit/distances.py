"""Exact copies, distance to the closest record, and k-anonymity of the release.

Exact copies decide, since they are counted against a control. Distances and k-anonymity are shown for information and never decide:
a model can keep its distance and still leak (Yao, Krco, Ganev, de Montjoye, "The DCR Delusion", 2025).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np

from synth_assets.audit.findings import number, span, verdict
from synth_assets.audit.intervals import Pair, mover, wilson
from synth_assets.audit.neighbours import Encoded, nearest_distances
from synth_assets.audit.prepare import Floats, Integers, Tables, comparable
from synth_assets.audit.records import Finding
from synth_assets.config.thresholds import AuditLevels
from synth_assets.seeds import child_seed
from synth_assets.tables.schema import ColumnSchema

SMALLEST_GROUP = 5
_SEPARATOR, _MISSING = "\x1f", "\x00"


def row_hashes(tables: Tables, table: ir.Table, columns: Sequence[ColumnSchema]) -> Integers:
    """A 64-bit hash of every row over the compared columns, made inside the engine; equal rows have equal hashes."""
    texts: list[Any] = [comparable(table, column).cast("string").coalesce(_MISSING) for column in columns]
    row = texts[0]
    for text in texts[1:]:
        row = row + _SEPARATOR + text
    return np.asarray(tables.fetch(table.select(value=row.hash()))["value"].to_numpy(), dtype=np.int64)


@dataclass(frozen=True)
class Copies:
    """Synthetic rows that equal a real one.

    Args:
        rows: Synthetic rows.
        train: Synthetic rows that equal a training row.
        only_train: Those that equal a training row and no row of the control table.
        only_control: Those that equal a row of the control table and no training row.
        scale: Training rows per replaced row of the control table.
    """

    rows: int
    train: int
    only_train: int = 0
    only_control: int = 0
    scale: float = 1.0

    @property
    def share(self) -> float:
        """Share of the synthetic rows that equal a training row."""
        return self.train / self.rows

    @property
    def excess(self) -> float:
        """How far that share lies above what unseen rows would give."""
        return float(np.clip(self.scale * (self.only_train - self.only_control) / self.rows, -1, 1))

    @property
    def excess_interval(self) -> Pair:
        """95 % interval of the excess."""
        first, second = self.only_train / self.rows, self.only_control / self.rows
        low, high = mover(first, wilson(self.only_train, self.rows), second, wilson(self.only_control, self.rows))
        bounds = np.clip([self.scale * low, self.scale * high], -1, 1)
        return float(bounds[0]), float(bounds[1])


def count_copies(synthetic: Integers, train: Integers, holdout: Integers | None, seed: int) -> Copies:
    """Count exact copies from row hashes, with the control of singling out: held-out rows in the place of training rows.

    Args:
        synthetic: Hashes of the synthetic rows.
        train: Hashes of the training rows.
        holdout: Hashes of the held-out rows; without them there is no control.
        seed: Seed of the replaced rows.
    """
    copied = np.isin(synthetic, train)
    if holdout is None:
        return Copies(len(synthetic), int(copied.sum()))
    rng = np.random.default_rng(child_seed(seed, "copies"))
    rows = min(len(train), len(holdout))
    order = rng.permutation(len(train))
    kept = np.isin(synthetic, train[order[rows:]])
    control = kept | np.isin(synthetic, holdout[rng.permutation(len(holdout))[:rows]])
    return Copies(
        len(synthetic),
        int(copied.sum()),
        int((copied & ~control).sum()),
        int((control & ~copied).sum()),
        len(train) / rows,
    )


def copies_finding(copies: Copies, levels: AuditLevels, *, controlled: bool) -> Finding:
    """The share of exact copies; decides only with a control."""
    if not controlled:
        text = f"Exact copies: {number(copies.share)} of the synthetic rows equal a real row. Without held-out rows nobody can say"
        text += " how many would by chance, so no level is drawn from it."
        return Finding(metric="exact_copies", message=text, risk_level="low", value=copies.share, decides=False)
    interval = copies.excess_interval
    level = levels.disclosure.level(interval[1])
    text = (
        f"Exact copies: {number(copies.share)} of the synthetic rows equal a training row. Above what unseen rows give "
        f"{number(copies.excess)} (95 % interval {span(interval)}); by the upper bound {number(interval[1])}, "
        f"{verdict(level, levels.disclosure)}."
    )
    return Finding(
        metric="exact_copies",
        message=text,
        risk_level=level,
        value=copies.share,
        interval=wilson(copies.train, copies.rows),
        baseline=max(copies.share - copies.excess, 0.0),
        excess=copies.excess,
        excess_interval=interval,
        details={"synthetic_rows": copies.rows, "copies": copies.train},
    )


def closest_record_finding(synthetic: Encoded, train: Encoded, control: Encoded) -> Finding:
    """Distance of synthetic rows to the closest training row and to the closest of equally many held-out rows; information only.

    Args:
        synthetic: Synthetic rows (a sample).
        train: Training rows, as many as `control`.
        control: Held-out rows.
    """
    near: Floats = nearest_distances(synthetic, train, k=1)[:, 0]
    far: Floats = nearest_distances(synthetic, control, k=1)[:, 0]
    closer = float((near < far).mean() + 0.5 * (near == far).mean())
    width = len(synthetic.names)
    text = (
        f"Distance to the closest record: {number(closer)} of the synthetic rows are closer to a training row than to one of equally "
        "many unseen rows (0.50 is even). For information only: distances say little about leaks, and no level is drawn from them."
    )
    return Finding(
        metric="closest_record",
        message=text,
        risk_level="low",
        value=closer,
        interval=wilson(closer * len(near), len(near)),
        baseline=0.5,
        decides=False,
        details={"median_to_train": float(np.median(near)) / width, "median_to_holdout": float(np.median(far)) / width},
    )


def anonymity_finding(tables: Tables, columns: Sequence[ColumnSchema]) -> Finding:
    """k-anonymity of the synthetic table over quasi-identifiers; information only, since its rows are not people.

    Args:
        tables: The tables.
        columns: The quasi-identifiers, at least one.

    Source:
        Sweeney, "k-anonymity: a model for protecting privacy", 2002.
    """
    smallest, share = _groups(tables, tables.synthetic, columns)
    real = None
    if tables.train is not None and all(c.name in tables.train.columns for c in columns):
        _, real = _groups(tables, tables.train, columns)
    names = ", ".join(c.name for c in columns)
    text = f"k-anonymity over {names}: {number(share)} of the synthetic rows stand in groups of fewer than {SMALLEST_GROUP}"
    text += f" ({number(real)} of the real rows)." if real is not None else "."
    return Finding(
        metric="k_anonymity",
        message=f"{text} For information only: a synthetic row is no person.",
        risk_level="low",
        value=share,
        baseline=real,
        decides=False,
        details={"smallest_group": smallest},
    )


def _groups(tables: Tables, table: ir.Table, columns: Sequence[ColumnSchema]) -> tuple[int, float]:
    """The smallest group, and the share of rows in groups below 5."""
    groups = table.group_by([comparable(table, c).name(c.name) for c in columns]).aggregate(rows=ibis._.count())
    small = (groups.rows < SMALLEST_GROUP).ifelse(groups.rows, 0).sum()
    row = tables.fetch(groups.aggregate(smallest=groups.rows.min(), small=small, rows=groups.rows.sum()))
    return int(row["smallest"][0].as_py()), float(row["small"][0].as_py()) / float(row["rows"][0].as_py())
