"""Rows of one class of the target, drawn from the mixture tilted towards it: a rare class costs few draws more than a frequent one.

What belongs here: the proposal and the chance to keep what it draws. What does not: conditions (terms.py, conditional.py), data (this
module must not import `tables`). Derivation: docs/mechanisms/dp_marginals.md, "Conditions".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from synth_assets.synthesis.marginals.features import sample_features
from synth_assets.synthesis.marginals.model import MarginalModel
from synth_assets.synthesis.marginals.target_model import TargetModel


@dataclass(frozen=True)
class Tilt:
    """A proposal for the rows of one class.

    With r the most frequent class, P(c | x) = e^(s_c - s_r) P(r | x) is at most e^bound(x), where bound is the main effects of
    s_c - s_r plus, for each pair of columns, half of the largest in the row and half of the largest in the column of its table. A
    mixture of products times e^bound is a mixture of products again. A row of it is kept with probability P(c | x) / e^bound(x).

    Attributes:
        model: The tilted mixture.
        wanted: The class c.
        constant: Part of the bound that no column changes.
        bound: The rest, per feature, shape (bins,).
        mass: Of the mixture times e^bound; the share of the class among all rows is this times the share of drawn rows that are kept.
    """

    model: MarginalModel
    wanted: int
    constant: float
    bound: Mapping[str, np.ndarray]
    mass: float

    def draw(self, rows: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Those of so many drawn rows that are kept, in random order, with their class."""
        drawn = sample_features(self.model, rows, rng)
        order = rng.permutation(rows)
        bins = {n: b[order] for n, b in drawn.items()}
        target, given = self.model.target, self.model.given_features
        if target is None or given is None:
            return bins
        limit = np.full(rows, self.constant)
        for name, values in self.bound.items():
            limit += values[bins[name]]
        chance = given.probabilities(bins)[:, self.wanted] * np.exp(-limit)
        kept = np.flatnonzero(rng.random(rows) < chance)
        return {n: b[kept] for n, b in bins.items()} | {target: np.full(len(kept), self.wanted, dtype=np.int64)}


def tilted(model: MarginalModel, given: TargetModel, wanted: int) -> Tilt:
    """The mixture tilted towards a class.

    Args:
        model: A mixture, perhaps under conditions on features: bins without mass do not count in the bound.
        given: The target given the features.
        wanted: The class.
    """
    reference = int(np.argmax(given.share))
    live = {n: model.tables[n].max(axis=1) > 0 for n in given.features}
    bound = {n: _difference(e, wanted, reference) for n, e in zip(given.features, given.effects, strict=True)}
    for pair in given.interactions:
        a, b = given.features[pair.a], given.features[pair.b]
        table = _difference(pair.values, wanted, reference)
        bound[a] = bound[a] + table[:, live[b]].max(axis=1) / 2
        bound[b] = bound[b] + table[live[a]].max(axis=0) / 2
    constant = float(_difference(given.intercept, wanted, reference))
    log_mass = np.log(np.maximum(model.weights.astype(np.float64), 1e-300)) + constant
    tables = dict(model.tables)
    for name, values in bound.items():
        high = float(values[live[name]].max())
        table = model.tables[name].astype(np.float64) * np.exp(np.minimum(values - high, 0.0))[:, None]
        mass = table.sum(axis=0)
        tables[name] = np.divide(table, mass, out=np.full_like(table, 1 / len(table)), where=mass > 0)
        log_mass = log_mass + np.log(np.maximum(mass, 1e-300)) + high
    high = float(log_mass.max())
    weights = np.exp(log_mass - high)
    total = float(weights.sum())
    return Tilt(
        model=replace(model, weights=weights / total, tables=tables),
        wanted=wanted,
        constant=constant,
        bound=bound,
        mass=float(total * np.exp(min(high, 700.0)) / model.weights.sum(dtype=np.float64)),
    )


def _difference(effects: np.ndarray, wanted: int, reference: int) -> np.ndarray:
    """Log odds of one class against another, from those of all classes against class 0."""
    whole = np.concatenate([np.zeros((1, *effects.shape[1:])), effects.astype(np.float64)])
    out: np.ndarray = whole[wanted] - whole[reference]
    return out
