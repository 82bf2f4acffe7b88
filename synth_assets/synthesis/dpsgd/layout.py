"""Which numbers of a network stand for which bin: blocks of one-hot columns, from noisy tables and public cells alone.

What belongs here: sizes, offsets, noisy one-way shares, and bins of cells. What does not: torch, rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from synth_assets.synthesis.marginals.model import MarginalModel

LEAST_SHARE = 1e-4


@dataclass(frozen=True)
class Layout:
    """Blocks of a network's input and output.

    Attributes:
        names: Modelled columns besides the target, in order.
        sizes: Bins of each.
        target: The column that conditions the decoder, or None.
        classes: Its bins; 0 where there is none.
        shares: Noisy share of each bin, one array per column, then the target's.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    target: str | None
    classes: int
    shares: tuple[np.ndarray, ...]

    @cached_property
    def offsets(self) -> np.ndarray:
        """First number of each block, and one past the last, int64."""
        return np.concatenate([[0], np.cumsum(self.sizes)]).astype(np.int64)

    @property
    def width(self) -> int:
        """Numbers of one row without the target's."""
        return int(self.offsets[-1])

    @property
    def order(self) -> tuple[str, ...]:
        """Columns in the order of codes: features, then the target."""
        return (*self.names, *([self.target] if self.target else []))


def layout_of(model: MarginalModel, target: str | None) -> Layout:
    """The blocks for the bins of a model that was fitted to noisy tables.

    Args:
        model: Knows bins and their noisy shares.
        target: Column that conditions the decoder, or None.
    """
    names = tuple(c.name for c in model.columns if c.name != target)
    order = (*names, *([target] if target else []))
    shares = tuple(bin_shares(model, name) for name in order)
    return Layout(
        names=names,
        sizes=tuple(len(s) for s in shares[: len(names)]),
        target=target,
        classes=len(shares[-1]) if target else 0,
        shares=shares,
    )


def bin_shares(model: MarginalModel, name: str) -> np.ndarray:
    """Share of each bin of a column in a fitted model, float64, sum 1."""
    weights = model.weights.astype(np.float64)
    found: np.ndarray
    if name == model.target and model.given_features is not None:
        found = model.given_features.share
    else:
        found = model.tables[name].astype(np.float64) @ weights
    found = np.maximum(found, LEAST_SHARE / len(found))
    shares: np.ndarray = found / found.sum()
    return shares
