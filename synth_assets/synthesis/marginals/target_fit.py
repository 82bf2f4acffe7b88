"""The fit of the target's model to noisy tables: empirical Bayes for the columns, a fixed small scale for pairs of columns.

What belongs here: moments, Newton steps, the evidence. What does not: data (this module must not import `tables`), draws
(target_model.py). Derivation: docs/mechanisms/dp_marginals.md, "The target".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from synth_assets.seeds import child_seed
from synth_assets.synthesis.marginals.measurements import Measurements
from synth_assets.synthesis.marginals.target_model import Interaction, TargetModel

NEWTON_STEPS = 14
CONJUGATE_STEPS = 60
CONJUGATE_TOLERANCE = 0.05
SETTLED = 1e-3  # a Newton step that lowers the loss by a smaller share is the last
CALM = 0.05  # scales are estimated once a step lowers the loss by a smaller share
PROBES = 2
PSEUDO_VARIANCE = (
    0.3  # one pseudo cell of this variance per table: where the noise hides everything, the scale is about half
)
SCALES = (0.02, 2.0)
LEADING = 6
CODES = 2**40


@dataclass(frozen=True)
class MomentTable:
    """One noisy table with the target.

    Attributes:
        columns: Positions of its one or two columns among the features.
        cells: Cell of each row of the drawn features, shape (rows,).
        counts: Noisy counts, shape (cells, classes), float64.
        sigma: Their noise.
    """

    columns: tuple[int, ...]
    cells: np.ndarray
    counts: np.ndarray
    sigma: float


def fit_target(measurements: Measurements, bins: Mapping[str, np.ndarray]) -> TargetModel:
    """Fit the target given the features.

    Args:
        measurements: The noisy tables; the target must have been measured with every feature.
        bins: Bins of the features in rows drawn from the model of the features; their distribution is taken as that of the data.

    Returns:
        The same model for the same input; no random choice depends on anything but the sizes.
    """
    features = measurements.features
    tables = moment_tables(measurements, bins)
    singles = [t for t in tables if len(t.columns) == 1]
    start = _Fit(singles, scales=np.ones(len(singles)))
    start.run(estimate_scales=True)
    pair_scale = np.full(len(tables) - len(singles), measurements.options.interaction_scale)
    whole = _Fit(tables, scales=np.concatenate([start.scales, pair_scale]))
    whole.effects[: len(start.effects)] = start.effects
    whole.run(estimate_scales=False)
    return _assembled(measurements, features, whole, bins)


def moment_tables(measurements: Measurements, bins: Mapping[str, np.ndarray]) -> list[MomentTable]:
    """The tables of every feature with the target, in order, then the chosen pairs with the target."""
    features, budget = measurements.features, measurements.budget
    if budget.sigma_target is None:
        return []
    out = [
        MomentTable((i,), bins[name], counts.T.astype(np.float64), budget.sigma_target)
        for i, (name, counts) in enumerate(zip(features, measurements.targets, strict=True))
    ]
    for pair in (p for p in measurements.pairs if p.with_target):
        a, b = (measurements.levels[features[i]][pair.level] for i in (pair.a, pair.b))
        cells = a[bins[features[pair.a]]] * (int(b.max()) + 1) + b[bins[features[pair.b]]]
        counts = pair.values.reshape(len(pair.values), -1).T.astype(np.float64)
        out.append(MomentTable((pair.a, pair.b), cells, counts, budget.sigma_pair or budget.sigma_target))
    return out


def contrasts(classes: int) -> np.ndarray:
    """Orthonormal directions of log odds, shape (classes, classes - 1): equal priors on them treat all classes alike."""
    q, _ = np.linalg.qr(np.column_stack([np.ones(classes), np.eye(classes)[:, 1:]]))
    out: np.ndarray = q[:, 1:]
    return out


class _Fit:
    """Maximum a posteriori effects of all cells of some tables, in contrasts of the classes.

    The loss is half the squared distance of the tables to their expectation under the model, over the variance of noise and sampling,
    plus half the squared effects over their prior variance. Steps are Gauss-Newton steps by conjugate gradients.
    """

    def __init__(self, tables: Sequence[MomentTable], *, scales: np.ndarray) -> None:
        from scipy.sparse import csr_matrix

        sizes = [len(t.counts) for t in tables]
        rows = len(tables[0].cells)
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        index = np.stack([t.cells + offsets[i] for i, t in enumerate(tables)], axis=1).astype(np.int32).ravel()
        starts = np.arange(0, rows * len(tables) + 1, len(tables), dtype=np.int32)
        shape = (rows, int(offsets[-1]))
        self.design: Any = csr_matrix((np.ones(len(index)), index, starts), shape=shape)
        self.transposed: Any = self.design.T.tocsr()
        self.tables, self.offsets, self.scales = list(tables), offsets, np.asarray(scales, dtype=np.float64)
        self.table_of = np.repeat(np.arange(len(tables)), sizes)
        self.contrasts = contrasts(tables[0].counts.shape[1])
        singles = [t.counts.sum(0) for t in tables if len(t.columns) == 1]
        total = np.maximum(np.mean(singles, axis=0), 1.0)
        self.share, self.factor = total / total.sum(), float(total.sum()) / rows
        self._aim()
        self.effects = np.zeros((len(self.table_of), self.contrasts.shape[1]))
        self.intercept = np.log(self.share)

    def _aim(self) -> None:
        """Moments to reach and their weights, from the noisy counts.

        A table's rows per cell are known from the model of the features as well; its counts are scaled to the best of both, so that
        the odds in a cell count, and not an error in the number of rows.
        """
        counts = np.concatenate([t.counts for t in self.tables])
        noise = np.repeat([t.sigma**2 for t in self.tables], [len(t.counts) for t in self.tables])
        mass = self.factor * np.asarray(self.design.sum(axis=0)).ravel()
        classes = len(self.share)
        seen = (counts.sum(1) * mass + mass * classes * noise) / (mass + classes * noise)
        ratio = np.where(mass > 0, mass / np.maximum(seen, 1e-9), 1.0)
        counts = counts * np.clip(ratio, 0.5, 2.0)[:, None]
        self.moments = counts @ self.contrasts
        odds = np.maximum(counts, 0.0) + 5 * self.share
        odds = np.maximum(odds / odds.sum(axis=1, keepdims=True), 1e-3)
        sampling = mass[:, None] * self._variance(odds)
        self.weights = 1 / (noise[:, None] + sampling)

    def _variance(self, p: np.ndarray) -> np.ndarray:
        """Variance of each contrast of one draw with probabilities p, shape (len(p), classes - 1)."""
        out: np.ndarray = p @ self.contrasts**2 - (p @ self.contrasts) ** 2
        return out

    def run(self, *, estimate_scales: bool) -> None:
        """Newton steps until the loss, and the scales where they are estimated, have settled."""
        self._predict(self.effects)
        for _ in range(NEWTON_STEPS):
            before = self._loss(self.effects, self.rest)
            step = self._newton_step()
            after = self._move(step, before)
            gain = (before - after) / max(before, 1e-12)
            if estimate_scales and gain < CALM:
                if self._estimate_scales():
                    return
            elif gain < SETTLED:
                return

    def _predict(self, effects: np.ndarray) -> None:
        """Probabilities of the drawn rows under these effects (the classes keep their shares), and what is left of the moments."""
        scores = (self.design @ effects) @ self.contrasts.T
        for _ in range(3):
            p = np.exp(scores + self.intercept - (scores + self.intercept).max(axis=1, keepdims=True))
            p /= p.sum(axis=1, keepdims=True)
            self.intercept = self.intercept + np.log(self.share / np.maximum(p.mean(axis=0), 1e-300))
        self.p = p
        self.rest = self.moments - self.factor * (self.transposed @ (p @ self.contrasts))

    def _prior(self) -> np.ndarray:
        """Precision of each cell's effects, shape (cells, 1)."""
        precision: np.ndarray = (1 / self.scales**2)[self.table_of][:, None]
        return precision

    def _loss(self, effects: np.ndarray, rest: np.ndarray) -> float:
        return 0.5 * float((self.weights * rest**2).sum() + (self._prior() * effects**2).sum())

    def _curve(self, v: np.ndarray) -> np.ndarray:
        """Change of the expected moments for a change of the effects (symmetric)."""
        u = (self.design @ v) @ self.contrasts.T
        u = self.p * (u - (self.p * u).sum(axis=1, keepdims=True))
        out: np.ndarray = self.factor * (self.transposed @ (u @ self.contrasts))
        return out

    def _operator(self) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]:
        """Curvature of the loss (Gauss-Newton), and its diagonal without the links between columns."""
        prior, weights = self._prior(), self.weights
        own = self.factor * (self.transposed @ self._variance(self.p))
        return lambda v: self._curve(weights * self._curve(v)) + prior * v, weights * own**2 + prior

    def _newton_step(self) -> np.ndarray:
        apply, diagonal = self._operator()
        gradient = self._curve(self.weights * self.rest) - self._prior() * self.effects
        return conjugate_gradients(apply, gradient, diagonal)

    def _move(self, step: np.ndarray, before: float) -> float:
        """Go along the step as far as the loss falls; returns the loss there."""
        start, length = self.effects, 1.0
        while length > 0.01:
            effects = start + length * step
            self._predict(effects)
            after = self._loss(effects, self.rest)
            if after < before:
                self.effects = effects
                return after
            length /= 2
        self._predict(start)
        return before

    def _estimate_scales(self) -> bool:
        """The scale of each table's effects by its evidence (MacKay's fixed point); True where none moved by more than a tenth.

        The number of effects that a table determines is a trace, estimated with random signs that are the same every time.
        """
        apply, diagonal = self._operator()
        prior = self._prior()
        rng = np.random.default_rng(child_seed(0, "target scales"))
        determined = np.zeros(len(self.scales))
        for _ in range(PROBES):
            signs = rng.choice([-1.0, 1.0], size=self.effects.shape)
            solved = conjugate_gradients(apply, signs, diagonal)
            determined += self._by_table(1 - signs * solved * prior) / PROBES
        cells = self._by_table(np.ones_like(self.effects))
        determined = np.clip(determined, 0.02 * cells, cells)
        squared = (self._by_table(self.effects**2) + PSEUDO_VARIANCE) / (determined + 1)
        scales = np.clip(np.sqrt(squared), *SCALES)
        settled = bool(np.abs(np.log(scales / self.scales)).max() < 0.05)
        self.scales = scales
        return settled

    def _by_table(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self.table_of, weights=values.sum(axis=1), minlength=len(self.scales))


def conjugate_gradients(
    apply: Callable[[np.ndarray], np.ndarray], right: np.ndarray, diagonal: np.ndarray
) -> np.ndarray:
    """An approximate solution x of apply(x) = right, for a positive definite operator with about this diagonal."""
    x, r = np.zeros_like(right), right.copy()
    z = r / diagonal
    direction, rz = z.copy(), float((r * z).sum())
    aim = CONJUGATE_TOLERANCE**2 * rz
    for _ in range(CONJUGATE_STEPS):
        if rz <= aim:
            break
        image = apply(direction)
        length = rz / float((direction * image).sum())
        x += length * direction
        r -= length * image
        z = r / diagonal
        rz, last = float((r * z).sum()), rz
        direction = z + (rz / last) * direction
    return x


def _assembled(
    measurements: Measurements, features: Sequence[str], fitted: _Fit, bins: Mapping[str, np.ndarray]
) -> TargetModel:
    """Contrasts to log odds against class 0; tables of the same pair at several levels become one at full resolution."""
    odds = fitted.effects @ (fitted.contrasts[1:] - fitted.contrasts[0]).T
    effects: list[np.ndarray] = []
    pairs: dict[tuple[int, int], np.ndarray] = {}
    chosen = iter([p for p in measurements.pairs if p.with_target])
    for i, table in enumerate(fitted.tables):
        values = odds[fitted.offsets[i] : fitted.offsets[i + 1]].T
        if len(table.columns) == 1:
            effects.append(np.ascontiguousarray(values, dtype=np.float32))
            continue
        pair = next(chosen)
        a, b = (measurements.levels[features[c]][pair.level] for c in table.columns)
        square = values.reshape(len(values), int(a.max()) + 1, int(b.max()) + 1)[:, a][:, :, b]
        pairs[pair.a, pair.b] = pairs.get((pair.a, pair.b), 0.0) + square
    spread = [float(e[:, bins[name]].var(axis=1).sum()) for e, name in zip(effects, features, strict=True)]
    return TargetModel(
        features=tuple(features),
        share=fitted.share,
        intercept=(fitted.intercept[1:] - fitted.intercept[0]).astype(np.float32),
        effects=tuple(effects),
        interactions=tuple(Interaction(a, b, v.astype(np.float32)) for (a, b), v in sorted(pairs.items())),
        leading=_leading(spread, [e.shape[1] for e in effects]),
    )


def _leading(spread: Sequence[float], sizes: Sequence[int]) -> tuple[int, ...]:
    """The features whose effects vary most, as many as one code can hold."""
    out: list[int] = []
    size = 1
    for i in np.argsort(-np.asarray(spread), kind="stable")[:LEADING].tolist():
        size *= sizes[i]
        if size > CODES:
            break
        out.append(i)
    return tuple(out)
