"""From measurements to the model's starting point and targets: shared by the adaptive measuring and by the fit.

What belongs here: the translation of noisy tables into shares and weights. What does not: counting, choosing, files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from synth_assets.seeds import child_seed
from synth_assets.synthesis.marginals.binning import Bins, OneWay
from synth_assets.synthesis.marginals.measurements import NoisyPair
from synth_assets.synthesis.marginals.mixture import Mixture, PairTable
from synth_assets.synthesis.marginals.options import MarginalOptions

ENTROPY_REFERENCE = 0.04  # variance per row at which `options.entropy` was tuned
STEPS_REFERENCE = 0.07  # variance per row at which `options.final_steps` was tuned


@dataclass(frozen=True)
class Problem:
    """One table's fit.

    Attributes:
        features: Columns besides the target.
        bins: Bins of every column.
        target: Name of the target, or None.
        one: One-way estimates.
        sigma_pair: Noise of pair tables.
        sigma_target: Noise of the tables with the target.
        options: Numbers of the method.
        given: Columns of the parent, which have no one-way table.
    """

    features: list[str]
    bins: dict[str, Bins]
    target: str | None
    one: OneWay
    sigma_pair: float
    sigma_target: float | None
    options: MarginalOptions
    given: frozenset[str] = frozenset()

    def start(self, seed: int, device: str = "cpu") -> Mixture:
        """The model before any step: every column at its noisy one-way distribution."""
        masses = [np.maximum(self.bins[c].mass, 0.5) for c in self.features]
        class_mass = np.ones(1)
        if self.target is not None:
            class_mass = np.maximum(self.bins[self.target].mass, self.one.rows / 500)
        return Mixture(
            [self.bins[c].count for c in self.features],
            [self.bins[c].levels for c in self.features],
            [m / m.sum() for m in masses],
            class_mass,
            components=self.options.components,
            spread=self.options.spread,
            rate=self.options.rate,
            seed=child_seed(seed, "mixture"),
            device=device,
        )

    def aim(self, mixture: Mixture, targets: list[np.ndarray], pairs: list[NoisyPair]) -> None:
        """Hand the noisy tables to the model, as shares; weight 1 is the precision of a cell of a pair table."""
        rows, sigma = self.one.rows, self.one.sigma
        ones = np.concatenate([self.bins[c].mass / rows for c in self.features])
        cells = np.concatenate([np.bincount(self.bins[c].group, minlength=self.bins[c].count) for c in self.features])
        known = np.concatenate([np.full(self.bins[c].count, c not in self.given) for c in self.features])
        mixture.set_targets(
            [PairTable(p.a, p.b, p.level, p.with_target, p.values / rows) for p in pairs],
            [t / rows for t in targets],
            (self.sigma_pair / self.sigma_target) ** 2 if self.sigma_target else 0.0,
            ones,
            np.where(known, (self.sigma_pair / sigma) ** 2 / cells, 0.0),
        )

    @property
    def final_steps(self) -> int:
        """Steps of the final fit: more where the tables are precise, fewer where they are mostly noise."""
        effort = (STEPS_REFERENCE * self.one.rows / self.sigma_pair**2) ** 0.2
        return int(self.options.final_steps * min(max(effort, 0.7), 2.0))

    @property
    def entropy(self) -> float:
        """Weight of the entropy term: grows with the noise per row."""
        rows = self.one.rows
        return (
            self.options.entropy * ENTROPY_REFERENCE * math.sqrt(self.sigma_pair**2 / rows / ENTROPY_REFERENCE) / rows
        )
