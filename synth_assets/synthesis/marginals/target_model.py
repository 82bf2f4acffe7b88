"""The target given the other columns: an additive model on the scale of log odds, and balanced draws from it.

What belongs here: the record of the model, probabilities, draws. What does not: its fit (target_fit.py), the other columns
(features.py), conditions (conditions.py), data (this module must not import `tables`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

ROWS_AT_ONCE = 32_768
STEPS = 1024  # of the probability, within rows that agree in the leading columns


@dataclass(frozen=True)
class Interaction:
    """What two columns add beyond each of them.

    Attributes:
        a: Position of the first column among the features.
        b: Position of the second one.
        values: Log odds of class 1, 2, ... against class 0, shape (classes - 1, bins of a, bins of b), float32.
    """

    a: int
    b: int
    values: np.ndarray


@dataclass(frozen=True)
class TargetModel:
    """Log odds of every class against class 0 = intercept + one term per column + one term per measured pair of columns.

    Attributes:
        features: Columns besides the target, in order.
        share: Share of each class in the noisy tables, shape (classes,).
        intercept: Shape (classes - 1,), float32.
        effects: Per feature, shape (classes - 1, bins), float32.
        interactions: Of pairs of features, each pair at most once.
        leading: Positions of the features that matter most, the first one most; their bins order the rows in `draw`.
    """

    features: tuple[str, ...]
    share: np.ndarray
    intercept: np.ndarray
    effects: tuple[np.ndarray, ...]
    interactions: tuple[Interaction, ...]
    leading: tuple[int, ...]

    @property
    def classes(self) -> int:
        """Number of bins of the target."""
        return len(self.intercept) + 1

    def probabilities(self, bins: Mapping[str, np.ndarray]) -> np.ndarray:
        """Probability of each class for each row.

        Args:
            bins: Bins of the features, each of shape (rows,).

        Returns:
            Shape (rows, classes), float64.
        """
        rows = len(bins[self.features[0]])
        out = np.empty((rows, self.classes))
        for start in range(0, rows, ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            scores = self._scores([np.asarray(bins[name])[part] for name in self.features])
            # the softmax with a zero for class 0, safe for large scores
            high = scores.max(axis=0, initial=0.0)
            weights = np.vstack([np.exp(-high)[None], np.exp(scores - high)])
            out[part] = (weights / weights.sum(axis=0)).T
        return out

    def _scores(self, codes: Sequence[np.ndarray]) -> np.ndarray:
        """Log odds against class 0, shape (classes - 1, rows)."""
        scores = np.repeat(self.intercept.astype(np.float64)[:, None], len(codes[0]), axis=1)
        for index, values in self._terms(codes):
            for k, row in enumerate(values):
                scores[k] += row.take(index)
        return scores

    def _terms(self, codes: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Cell of each row, and values of the cells, for every term."""
        yield from zip(codes, self.effects, strict=True)
        for pair in self.interactions:
            size = pair.values.shape[2]
            yield codes[pair.a] * size + codes[pair.b], pair.values.reshape(len(pair.values), -1)

    def draw(self, bins: Mapping[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """A class for each row, with exactly its probabilities; the draws of similar rows balance each other.

        Systematic sampling, class after class: rows are ordered by the columns that matter most, then by probability, and every run of
        rows gets the expected number of each class up to one row.

        Args:
            bins: Bins of the features, each of shape (rows,).
            rng: Source of randomness.

        Returns:
            Bin of the target, int64, shape (rows,).
        """
        p = self.probabilities(bins)
        left = self._order(bins, p)
        out = np.full(len(p), self.classes - 1, dtype=np.int64)
        rest = np.ones(len(p))
        for k in range(self.classes - 1):
            share = np.clip(p[left, k] / np.maximum(rest[left], 1e-300), 0.0, 1.0)
            ends = np.floor(np.cumsum(share) + rng.random())
            taken = np.diff(ends, prepend=0.0) > 0
            out[left[taken]] = k
            rest[left] -= p[left, k]
            left = left[~taken]
        return out

    def draw_each(self, bins: Mapping[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """A class for each row, every row on its own; shape (rows,), int64."""
        ends = np.cumsum(self.probabilities(bins), axis=1)[:, :-1]
        u = rng.random(len(ends))
        out: np.ndarray = (u[:, None] >= ends).sum(axis=1)
        return out

    def _order(self, bins: Mapping[str, np.ndarray], p: np.ndarray) -> np.ndarray:
        """Rows by the bins of the leading columns, then by the probability of class 0."""
        code = np.zeros(len(p), dtype=np.int64)
        for i in self.leading:
            code = code * self.effects[i].shape[1] + bins[self.features[i]]
        code = code * STEPS + np.minimum(p[:, 0] * STEPS, STEPS - 1).astype(np.int64)
        return np.argsort(code, kind="stable")

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it as named arrays; the names of the features are the caller's to keep."""
        out = {
            "target/share": self.share,
            "target/intercept": self.intercept,
            "target/leading": np.array(self.leading, dtype=np.int64),
        }
        out |= {f"target/effect/{i}": values for i, values in enumerate(self.effects)}
        out["target/pairs"] = np.array([(q.a, q.b) for q in self.interactions], dtype=np.int64).reshape(-1, 2)
        out |= {f"target/pair/{i}": q.values for i, q in enumerate(self.interactions)}
        return out

    @classmethod
    def of_arrays(cls, features: Sequence[str], arrays: Mapping[str, np.ndarray]) -> TargetModel:
        """The inverse of `arrays`."""
        pairs = arrays["target/pairs"].tolist()
        return cls(
            features=tuple(features),
            share=arrays["target/share"],
            intercept=arrays["target/intercept"],
            effects=tuple(arrays[f"target/effect/{i}"] for i in range(len(features))),
            interactions=tuple(Interaction(a, b, arrays[f"target/pair/{i}"]) for i, (a, b) in enumerate(pairs)),
            leading=tuple(int(i) for i in arrays["target/leading"]),
        )
