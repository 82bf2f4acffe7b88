"""The white-box attack on choosing and measuring: the mechanism itself, on worst-case neighbours, without data and without a model.

One unit of privacy adds all its rows to one cell of every table and moves two scores of every choice by their sensitivity in opposite
directions; no neighbours are easier to tell apart. Each repetition draws, through `PlannedNoise` as a release does, everything that
the plan allows, for one of the two by a fair coin, and the likelihood ratio guesses which (docs/mechanisms/empirical_audit.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from synth_assets.privacy.empirical.bounds import claimed_mu, critical_correct, mu_lower, mu_of_accuracy, power
from synth_assets.privacy.empirical.records import NoiseAttack, StepAttack
from synth_assets.privacy.mechanisms import NoiseSource
from synth_assets.privacy.planned import PlannedNoise
from synth_assets.privacy.records import Event, ExponentialEvent, GaussianEvent

REPETITIONS = 1_000_000
LEAST_REPETITIONS = 10_000
BLOCK = 1 << 15  # repetitions at a time
POWER = 0.95
WORST_FAULT = 100.0
Steps = Callable[[NoiseSource, Sequence[Event], int], PlannedNoise]


@dataclass
class _Tally:
    """Right answers of one attack."""

    correct: int = 0

    def add(self, ratio: np.ndarray, second: bool) -> None:
        self.correct += int(np.count_nonzero((ratio > 0) == second))


def attack_noise(
    events: Sequence[Event],
    noise: NoiseSource,
    *,
    repetitions: int = REPETITIONS,
    alpha: float = 1e-3,
    claim: Sequence[Event] | None = None,
    steps: Steps = PlannedNoise,
) -> NoiseAttack:
    """Attack everything that a plan allows.

    Args:
        events: The plan: scales and numbers of calls, as they will be charged.
        noise: What the release draws from.
        repetitions: Releases to attack.
        alpha: Chance of a false alarm; half for the whole release, half shared by its mechanisms.
        claim: What the release is charged for where that is not `events` (a group of tables that another group dominates).
        steps: What stands between the noise and the numbers; a release uses `PlannedNoise`.

    Returns:
        Lower bounds and claims. Every fault shows: noise that is too small, absent, or drawn twice.
    """
    noisy = [e for e in events if isinstance(e, GaussianEvent | ExponentialEvent)]
    most = max((round(e.l2_sensitivity) for e in noisy if isinstance(e, GaussianEvent)), default=1)
    moved = [round(e.l2_sensitivity) if isinstance(e, GaussianEvent) else most for e in noisy]
    whole, parts = _Tally(), [_Tally() for _ in noisy]
    coins = np.random.default_rng()  # as the noise, the attacker's coins come from the system
    done = 0
    while done < repetitions:
        size = min(BLOCK, repetitions - done)
        second = int(coins.binomial(size, 0.5))
        for world, count in ((False, size - second), (True, second)):
            ratios = [
                _ratio(e, steps(noise, events, rows), rows, world, count) for e, rows in zip(noisy, moved, strict=True)
            ]
            for tally, ratio in zip(parts, ratios, strict=True):
                tally.add(ratio, world)
            whole.add(np.sum(ratios, axis=0) if ratios else np.zeros(count), world)
        done += size
    found = tuple(
        _step(e, tally.correct, repetitions, alpha / 2 / max(1, len(noisy)))
        for e, tally in zip(noisy, parts, strict=True)
    )
    return _verdict(claim or events, events, whole.correct, repetitions, alpha / 2, found)


def _ratio(
    event: GaussianEvent | ExponentialEvent, steps: PlannedNoise, rows: int, second: bool, size: int
) -> np.ndarray:
    """Logarithm of the likelihood of the second neighbour against the first, of all calls of one event; shape (size,)."""
    total = np.zeros(size)
    if isinstance(event, GaussianEvent):
        exact = np.full(size, rows if second else 0, dtype=np.int64)
        for _ in range(event.count):
            total += steps.noisy(exact, event.sigma)
        return (total - event.count * rows / 2) * (rows / event.sigma**2)
    scores = np.array([0.0, 1.0] if second else [1.0, 0.0]) * rows
    for _ in range(event.count):
        total += steps.choices(scores, event.epsilon, size)
    return (2 * total - event.count) * (event.epsilon / 2)


def _step(event: GaussianEvent | ExponentialEvent, correct: int, repetitions: int, alpha: float) -> StepAttack:
    claimed, lower = claimed_mu([event]), mu_lower(correct, repetitions, alpha)
    return StepAttack(
        kind=event.kind,
        scale=event.sigma if isinstance(event, GaussianEvent) else event.epsilon,
        calls=event.count,
        mu_claimed=claimed,
        mu_lower=lower,
        passed=lower <= claimed,
    )


def _verdict(
    claim: Sequence[Event],
    events: Sequence[Event],
    correct: int,
    repetitions: int,
    alpha: float,
    steps: tuple[StepAttack, ...],
) -> NoiseAttack:
    claimed, lower = claimed_mu(claim), mu_lower(correct, repetitions, alpha)
    return NoiseAttack(
        repetitions=repetitions,
        correct=correct,
        confidence=1 - alpha,
        mu_claimed=claimed,
        mu_lower=lower,
        mu_ceiling=mu_of_accuracy(alpha ** (1 / repetitions)),
        least_fault=_least_fault(claimed, events, repetitions, alpha),
        steps=steps,
        passed=lower <= claimed and all(s.passed for s in steps),
    )


def attainable_mu(events: Sequence[Event], factor: float = 1.0) -> float:
    """The shift that the attack sees where all Gaussian noise is smaller than recorded by a factor.

    A worst-case choice has loss +-epsilon / 2, so that many of them weigh epsilon^2 / 4 each, and not the mu of lemma 5.
    """
    gaussians = claimed_mu([e for e in events if isinstance(e, GaussianEvent)])
    choices = math.fsum(e.count * e.epsilon**2 / 4 for e in events if isinstance(e, ExponentialEvent))
    return math.hypot(factor * gaussians, math.sqrt(choices))


def _least_fault(claimed: float, events: Sequence[Event], repetitions: int, alpha: float) -> float | None:
    """The smallest factor that is caught with probability POWER, to three digits, rounded up."""
    critical = critical_correct(repetitions, claimed, alpha)

    def caught(factor: float) -> bool:
        return power(repetitions, critical, attainable_mu(events, factor)) >= POWER

    if not caught(WORST_FAULT):
        return None
    low, high = 1.0, WORST_FAULT
    while high - low > 5e-4:
        middle = (low + high) / 2
        low, high = (low, middle) if caught(middle) else (middle, high)
    return math.ceil(high * 1000) / 1000
