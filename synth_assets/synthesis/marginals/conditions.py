"""The target beside the features, drawn or given.

What belongs here: the draw of the target for drawn features, and rows under a condition on the target, by rejection. What does not: the
draw of the features (features.py), the target's model (target_model.py), data (this module must not import `tables`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from synth_assets.errors import InputError
from synth_assets.synthesis.marginals.features import sample_features
from synth_assets.synthesis.marginals.model import MarginalModel

BATCH = 200_000
MOST_DRAWS = 1_000_000
MOST_DRAWS_PER_ROW = 200


def with_target(model: MarginalModel, bins: dict[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Bins of all columns: the features as they are, the target drawn given them."""
    if model.target is None or model.given_features is None:
        return bins
    return {**bins, model.target: model.given_features.draw(bins, rng)}


def sample_given_target(
    model: MarginalModel, rng: np.random.Generator, given: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Bins of every column where the target, and perhaps some features, are given.

    Rejection: features are drawn under the conditions on features, a class is drawn given them, and the draw is kept for a row that
    asks for this class under the same conditions. So rows follow the exact conditional distribution, whatever the number of draws.

    Args:
        model: A model with a target.
        rng: Source of randomness.
        given: Bins of the target and of any features, each of shape (rows,).

    Returns:
        int64 array per column; the given columns as they were given.

    Raises:
        InputError: a class is so rare under its conditions that the draws did not find it.
    """
    search = _Search(model, given)
    while len(search.open):
        search.draw(rng)
    return search.out


class _Search:
    """Rows that still look for features, and those that have found them.

    Rows with equal conditions on features form a group; `wanted` is one code for group and class.
    """

    def __init__(self, model: MarginalModel, given: Mapping[str, np.ndarray]) -> None:
        if model.target is None or model.given_features is None:
            raise InputError("the model has no target.", remedy="Give no condition on a target.")
        target, self.model, self.given_features = model.target, model, model.given_features
        self.classes = self.given_features.classes
        self.out = {n: np.asarray(bins, dtype=np.int64) for n, bins in given.items()}
        self.features = {n: bins for n, bins in self.out.items() if n != target}
        rows = len(self.out[target])
        group = np.zeros(rows, dtype=np.int64)
        if self.features:
            group = np.unique(np.stack(list(self.features.values()), axis=1), axis=0, return_inverse=True)[1].ravel()
        self.group, self.wanted = group, group * self.classes + self.out[target]
        for name in model.tables:
            self.out.setdefault(name, np.zeros(rows, dtype=np.int64))
        self.open = np.arange(rows)
        self.repeat, self.draws, self.most = 1, 0, MOST_DRAWS + MOST_DRAWS_PER_ROW * rows

    def draw(self, rng: np.random.Generator) -> None:
        """One batch of draws for the first open rows; all open rows may use them.

        Raises:
            InputError: the number of draws is used up.
        """
        if self.draws >= self.most:
            raise InputError(
                f"{len(self.open):,} of {len(self.group):,} rows ask for a value of the target that is next to impossible "
                f"under their other conditions: {self.draws:,} draws did not find it.",
                remedy="Ask for fewer such rows, or drop a condition.",
            )
        asked = np.repeat(self.open[: max(1, BATCH // self.repeat)], self.repeat)
        self.repeat = min(2 * self.repeat, BATCH)
        self.draws += len(asked)
        asked = rng.permutation(asked)
        drawn = sample_features(self.model, len(asked), rng, given={n: b[asked] for n, b in self.features.items()})
        if not self.features:  # they come in the order of the components
            order = rng.permutation(len(asked))
            drawn = {n: b[order] for n, b in drawn.items()}
        found = self.given_features.draw_each(drawn, rng)
        row, source = _matched(self.wanted[self.open], self.group[asked] * self.classes + found)
        for name in self.model.tables:
            if name not in self.features:
                self.out[name][self.open[row]] = drawn[name][source]
        self.open = np.delete(self.open, row)


def _matched(wanted: np.ndarray, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions in both arrays of pairs of equal codes, each position at most once, the first ones first."""
    first, second = _ranked(wanted), _ranked(found)
    _, row, source = np.intersect1d(first, second, assume_unique=True, return_indices=True)
    return row, source


def _ranked(codes: np.ndarray) -> np.ndarray:
    """A number for each entry that tells its code and how many equal entries stand before it."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    starts = np.searchsorted(ordered, ordered)
    out = np.empty(len(codes), dtype=np.int64)
    out[order] = ordered * 2**31 + np.arange(len(codes)) - starts
    return out
