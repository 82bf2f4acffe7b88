"""Distance to the closest record, and k-anonymity of the release: for information, they never decide.

A model can keep its distance and still leak (Yao, Krco, Ganev, de Montjoye, "The DCR Delusion", 2025). Copies: `copies`.
"""

from __future__ import annotations

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir
import numpy as np

from synth_assets.audit.findings import capital, number
from synth_assets.audit.findings import share as share_of
from synth_assets.audit.intervals import wilson
from synth_assets.audit.prepare import Floats, Tables, comparable
from synth_assets.audit.privacy.neighbours import Encoded, nearest_distances
from synth_assets.audit.records import Finding
from synth_assets.tables.schema import ColumnSchema

SMALLEST_GROUP = 5


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
        f"{number(closer)} of the synthetic rows are closer to a training row than to one of equally many unseen rows; 0.50 is even. "
        "For information only: distances say little about leaks."
    )
    return Finding(
        metric="closest_record",
        message=text,
        risk_level="low",
        value=closer,
        interval=wilson(closer * len(near), len(near)),
        baseline=0.5,
        sample_size=len(near),
        control_size=control.rows,
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
    smallest, share, rows = _groups(tables, tables.synthetic, columns)
    real = of_real = None
    if tables.train is not None and all(c.name in tables.train.columns for c in columns):
        _, real, of_real = _groups(tables, tables.train, columns)
    names = ", ".join(c.name for c in columns)
    text = (
        f"{capital(share_of(share))} of the synthetic rows stand in groups of fewer than {SMALLEST_GROUP} over {names}"
    )
    text += f"; of the real rows {share_of(real)}." if real is not None else "."
    return Finding(
        metric="k_anonymity",
        message=f"{text} For information only: a synthetic row is no person.",
        risk_level="low",
        value=share,
        baseline=real,
        sample_size=rows,
        control_size=of_real,
        decides=False,
        details={"smallest_group": smallest},
    )


def _groups(tables: Tables, table: ir.Table, columns: Sequence[ColumnSchema]) -> tuple[int, float, int]:
    """The smallest group, the share of rows in groups below 5, and all rows."""
    groups = table.group_by([comparable(table, c).name(c.name) for c in columns]).aggregate(rows=ibis._.count())
    small = (groups.rows < SMALLEST_GROUP).ifelse(groups.rows, 0).sum()
    row = tables.fetch(groups.aggregate(smallest=groups.rows.min(), small=small, rows=groups.rows.sum()))
    total = int(row["rows"][0].as_py())
    return int(row["smallest"][0].as_py()), float(row["small"][0].as_py()) / total, total
