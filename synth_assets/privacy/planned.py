"""The noisy steps of one table under a plan: every draw is an event, and what was not planned is refused before it is drawn.

What belongs here: the one place where noise meets numbers; the release and the attack on it (empirical/noise.py) run this same code.
What does not: the draws themselves (mechanisms.py), their cost (accounting.py), and the data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from synth_assets.errors import UnexpectedError
from synth_assets.privacy.mechanisms import NoiseSource
from synth_assets.privacy.records import Event, ExponentialEvent, GaussianEvent


class PlannedNoise:
    """Adds noise and makes choices under a plan.

    Args:
        noise: Where the noise comes from.
        planned: All mechanisms that may run.
        sensitivity: Rows of one unit of privacy, at most: of every table of counts (L2) and of every score.
    """

    def __init__(self, noise: NoiseSource, planned: Sequence[Event], sensitivity: int) -> None:
        self.noise, self.sensitivity = noise, sensitivity
        self._used: Counter[tuple[str, float]] = Counter()
        self._planned: Counter[tuple[str, float]] = Counter()
        for event in planned:
            if isinstance(event, GaussianEvent):
                self._planned["gaussian", event.sigma] += event.count
            elif isinstance(event, ExponentialEvent):
                self._planned["exponential", event.epsilon] += event.count

    def noisy(self, exact: np.ndarray, sigma: float) -> np.ndarray:
        """One table of counts with the exact discrete Gaussian on every cell, in integers.

        Args:
            exact: Integers, any shape.
            sigma: Scale of the noise, as planned.

        Raises:
            UnexpectedError: the plan holds no further table of this scale; nothing was drawn.
        """
        self._use("gaussian", sigma)
        noisy: np.ndarray = exact + self.noise.discrete_gaussian(sigma=sigma, size=exact.size).reshape(exact.shape)
        return noisy

    def choose(self, scores: np.ndarray, epsilon: float) -> int:
        """One choice by the exponential mechanism.

        Raises:
            UnexpectedError: the plan holds no further choice of this epsilon; nothing was drawn.
        """
        self._use("exponential", epsilon)
        return self.noise.exponential(scores, epsilon=epsilon, sensitivity=float(self.sensitivity))

    def choices(self, scores: np.ndarray, epsilon: float, size: int) -> np.ndarray:
        """One choice in each of `size` repetitions of a release, int64; for the attack only."""
        self._use("exponential", epsilon)
        return self.noise.selections(scores, epsilon=epsilon, sensitivity=float(self.sensitivity), size=size)

    def events(self) -> tuple[Event, ...]:
        """What was really used so far."""
        out: list[Event] = []
        for (kind, scale), count in sorted(self._used.items()):
            if kind == "gaussian":
                out.append(GaussianEvent(sigma=scale, l2_sensitivity=self.sensitivity, count=count))
            else:
                out.append(ExponentialEvent(epsilon=scale, count=count))
        return tuple(out)

    def _use(self, kind: str, scale: float) -> None:
        self._used[kind, scale] += 1
        if self._used[kind, scale] > self._planned[kind, scale]:
            raise UnexpectedError("the measuring step asks for more noisy counts than were planned.")
