"""Mechanisms that are broken on purpose: what the auditor must reject."""

from __future__ import annotations

import numpy as np

from synth_assets.privacy.mechanisms import SystemNoise
from synth_assets.privacy.planned import PlannedNoise
from synth_assets.privacy.records import Event, ExponentialEvent, GaussianEvent

HONEST: tuple[Event, ...] = (
    GaussianEvent(sigma=20.0, count=8),
    GaussianEvent(sigma=60.0, count=2),
    GaussianEvent(sigma=10.0, count=12),
    ExponentialEvent(epsilon=0.03, count=12),
)


class NoNoise(SystemNoise):
    """Exact counts."""

    def discrete_gaussian(self, *, sigma: float, size: int) -> np.ndarray:
        return np.zeros(size, dtype=np.int64)


class HalfNoise(SystemNoise):
    """Sigma divided by 2."""

    def discrete_gaussian(self, *, sigma: float, size: int) -> np.ndarray:
        return super().discrete_gaussian(sigma=sigma / 2, size=size)


class OneScaleWithout(SystemNoise):
    """Only the smallest part of the release has no noise."""

    def discrete_gaussian(self, *, sigma: float, size: int) -> np.ndarray:
        return super().discrete_gaussian(sigma=sigma, size=size) if sigma < 50 else np.zeros(size, dtype=np.int64)


class BestChoice(SystemNoise):
    """The best score is always chosen."""

    def selections(self, scores: np.ndarray, *, epsilon: float, sensitivity: float, size: int) -> np.ndarray:
        return np.full(size, int(np.argmax(scores)), dtype=np.int64)


class EagerChoice(SystemNoise):
    """Choices at ten times the epsilon."""

    def selections(self, scores: np.ndarray, *, epsilon: float, sensitivity: float, size: int) -> np.ndarray:
        return super().selections(scores, epsilon=10 * epsilon, sensitivity=sensitivity, size=size)


class Redrawing(PlannedNoise):
    """A step that is retried draws fresh noise and charges once; who sees both answers sees their mean."""

    def noisy(self, exact: np.ndarray, sigma: float) -> np.ndarray:
        first = super().noisy(exact, sigma)
        again = exact + self.noise.discrete_gaussian(sigma=sigma, size=exact.size).reshape(exact.shape)
        return (first + again) / 2


BROKEN = {
    "without noise": NoNoise(),
    "sigma divided by 2": HalfNoise(),
    "one scale without noise": OneScaleWithout(),
    "the best score chosen": BestChoice(),
    "ten times the epsilon of a choice": EagerChoice(),
}
