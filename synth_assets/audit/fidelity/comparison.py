"""The tables that figures of fidelity compare: the real one, the synthetic one, and equally many unseen and synthetic rows.

What does not belong here: the figures (`measures.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from synth_assets.audit.findings import told_apart
from synth_assets.audit.intervals import Pair
from synth_assets.audit.marginals import Grid, quantile_grid
from synth_assets.audit.prepare import Integers, Part, Prepared
from synth_assets.audit.spread import Spread, numbered
from synth_assets.config.thresholds import AuditLevels
from synth_assets.seeds import child_seed


@dataclass(frozen=True)
class Comparison:
    """The real train table, what is compared with it, and the bins. `same_size` is None without a holdout."""

    prepared: Prepared
    levels: AuditLevels
    grid: Grid
    train: Part
    synthetic: Part
    same_size: Part | None
    holdout: Part | None
    seed: int

    def sides(self) -> list[Part]:
        """Train, then what is measured against it: synthetic, and with a holdout synthetic at its size and the holdout."""
        extra = [part for part in (self.same_size, self.holdout) if part is not None]
        return [self.train, self.synthetic, *extra]

    def told_apart(self, excess: float, interval: Pair) -> tuple[float, Pair] | None:
        """What a distance adds to that of the holdout, for its level; None where too few rows are compared."""
        return told_apart(excess, interval, 0 if self.holdout is None else self.holdout.held)

    @cached_property
    def groups(self) -> list[Integers | None]:
        """Unit of each row of each side, from 0; None where every row is its own."""
        return [numbered(part.clusters) for part in self.sides()]

    def spread(self) -> Spread:
        """Takes the influences of the rows of the sides."""
        return Spread([part.held for part in self.sides()], self.groups, seed=child_seed(self.seed, "spread"))


def compare(prepared: Prepared, levels: AuditLevels, seed: int) -> Comparison:
    """Bins, and equal sizes for the holdout and the synthetic rows that are set beside it."""
    synthetic, holdout = prepared.parts["synthetic"], prepared.parts.get("holdout")
    same = None
    if holdout is not None:
        rows = min(synthetic.held, holdout.held)
        same = _subset(synthetic, rows, child_seed(seed, "same size", "synthetic"))
        holdout = _subset(holdout, rows, child_seed(seed, "same size", "holdout"))
    return Comparison(
        prepared, levels, quantile_grid(prepared), prepared.parts["train"], synthetic, same, holdout, seed
    )


def _subset(part: Part, rows: int, seed: int) -> Part:
    if part.held == rows:
        return part
    return part.take(np.sort(np.random.default_rng(seed).choice(part.held, rows, replace=False)))
