"""Draws numbers from the distributions of a schema, with bounds.

What belongs here: distributions and weighted choices on arrays. What does not: what the numbers stand for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from synth_assets.config.generation import Spread
from synth_assets.errors import ConfigError
from synth_assets.generation.values import Ints

Floats = npt.NDArray[np.float64]
_TRIES = 30


def draw(
    spread: Spread, parameter: Callable[[str], Floats | None], generator: np.random.Generator, n: int, *, key: str
) -> Floats:
    """Numbers of a distribution.

    Args:
        spread: The distribution.
        parameter: Gives a parameter by its key (`mean`, `minimum` ...), shape (n,), or None where the schema has none.
        generator: Where the draws come from.
        n: How many.
        key: Configuration key, for messages.

    Returns:
        Shape (n,), within the bounds: a draw outside is repeated (so the distribution is truncated), in the end clipped.

    Raises:
        ConfigError: a parameter is out of range in some row.
    """
    given = {k: parameter(k) for k in ("minimum", "maximum", "value", "mean", "std", "median", "sigma")}
    low = given["minimum"] if given["minimum"] is not None else np.full(n, -np.inf)
    high = given["maximum"] if given["maximum"] is not None else np.full(n, np.inf)
    _check(given, low, high, spread, key)
    out = _draw(spread, {k: v for k, v in given.items() if v is not None}, generator, n)
    if spread.distribution in {"uniform", "fixed", "zipf"}:
        return np.clip(out, low, high)
    for _ in range(_TRIES):
        outside = np.flatnonzero((out < low) | (out > high))
        if not outside.size:
            return out
        out[outside] = _draw(
            spread, {k: v[outside] for k, v in given.items() if v is not None}, generator, outside.size
        )
    return np.clip(out, low, high)


def _check(given: dict[str, Floats | None], low: Floats, high: Floats, spread: Spread, key: str) -> None:
    if (low > high).any():
        raise ConfigError("`minimum` is above `maximum` in some row.", key=key)
    for name in ("std", "sigma"):
        value = given[name]
        if value is not None and (value < 0).any():
            raise ConfigError(f"`{name}` is negative in some row.", key=key)
    positive = {"lognormal": "median", "exponential": "mean"}.get(spread.distribution)
    value = given[positive] if positive else None
    if value is not None and (value <= 0).any():
        raise ConfigError(f"`{positive}` is not above 0 in some row.", key=key)
    if (
        spread.distribution == "poisson"
        and given["mean"] is not None
        and ((given["mean"] < 0) | (given["mean"] > 1e6)).any()
    ):
        raise ConfigError("`mean` is not from 0 to 1,000,000 in some row.", key=key)


def _draw(spread: Spread, p: dict[str, Floats], generator: np.random.Generator, n: int) -> Floats:
    kind = spread.distribution
    out: npt.NDArray[Any]
    if kind == "uniform":
        out = p["minimum"] + generator.random(n) * (p["maximum"] - p["minimum"])
    elif kind == "normal":
        out = p["mean"] + generator.standard_normal(n) * p["std"]
    elif kind == "lognormal":
        out = p["median"] * np.exp(generator.standard_normal(n) * p["sigma"])
    elif kind == "exponential":
        out = generator.standard_exponential(n) * p["mean"]
    elif kind == "poisson":
        out = generator.poisson(p["mean"]).astype(np.float64)
    elif kind == "zipf":
        out = zipf(generator, n, int(p["maximum"].max(initial=1)), float(spread.exponent or 2)) + 1.0
    else:
        out = p["value"].copy()
    return np.asarray(out)


def zipf(generator: np.random.Generator, n: int, size: int, exponent: float) -> Ints:
    """Numbers 0 ... size - 1 with probability falling like 1 / (rank ** exponent), shape (n,)."""
    ranks = np.arange(1, min(size, 1_000_000) + 1, dtype=np.float64)
    return weighted(generator, n, ranks**-exponent)


def weighted(generator: np.random.Generator, n: int, weights: npt.NDArray[Any]) -> Ints:
    """Indices 0 ... k - 1 with the given relative weights (shape (k,), one at least above 0), shape (n,)."""
    total = np.cumsum(weights, dtype=np.float64)
    index = np.searchsorted(total, generator.random(n) * total[-1], side="right")
    return np.asarray(np.minimum(index, len(total) - 1), dtype=np.int64)


def weighted_rows(generator: np.random.Generator, weights: Floats) -> Ints:
    """One index per row, from weights that differ by row.

    Args:
        generator: Where the draws come from.
        weights: Shape (n, k), not negative; one at least above 0 in each row.

    Returns:
        Shape (n,).
    """
    total = np.cumsum(weights, axis=1)
    target = generator.random(len(weights)) * total[:, -1]
    index = (total <= target[:, None]).sum(axis=1)
    return np.asarray(np.minimum(index, weights.shape[1] - 1), dtype=np.int64)
