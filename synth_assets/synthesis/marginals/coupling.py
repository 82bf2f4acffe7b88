"""Where values stand inside their bins: numbers that go together between bins go together within them.

What belongs here: latent normal scores and the positions that they give. What does not: bins (features.py), values (sample.py), data.
The model knows how bins of two numbers depend, and nothing about places inside a bin; drawn apart, two nearly equal amounts differ by
the width of a wide bin. A Gaussian copula that fits the model's own bins says how they depend inside: post-processing, nothing is read.
Derivation and effect: docs/mechanisms/dp_marginals.md, "Inside the bins".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from synth_assets.seeds import child_seed
from synth_assets.synthesis.marginals.features import sample_features
from synth_assets.synthesis.marginals.model import MarginalModel

LEAST = 0.3
MOST = 0.99
LEAST_VARIANCE = 0.2
FLOOR = 1e-3
SWEEPS = 2
FAR = 8.0
WIDE = 4 * FAR
REFERENCE = 100_000


@dataclass(frozen=True)
class Coupling:
    """The copula of the numbers of one model that depend on each other.

    Attributes:
        names: Columns.
        cuts: Per column, the latent normal scores between which each of its bins lies, shape (bins, 2); a bin of missing values spans
            everything.
        start: Per column, mean latent score of each bin.
        precision: Inverse correlation matrix, shape (columns, columns).
    """

    names: tuple[str, ...]
    cuts: tuple[np.ndarray, ...]
    start: tuple[np.ndarray, ...]
    precision: np.ndarray


def coupling(model: MarginalModel) -> Coupling | None:
    """The copula that reproduces the model's dependence between bins; None where no two numbers depend strongly.

    The correlation of two latent scores is the covariance of the bins' mean scores over the product of their variances: the first
    term of Mehler's expansion, in which the loss by binning cancels.

    Source:
        Olsson 1979 (polychoric correlation); Mehler 1866.
    """
    weights = model.weights.astype(np.float64) / model.weights.sum()
    names, cuts, means, tables = [], [], [], []
    for name, table in model.tables.items():
        column = model.column(name)
        if column.kind == "category" or column.given:
            continue
        cut, mean = _scores(table.astype(np.float64) @ weights, _order(model, name))
        names.append(name)
        cuts.append(cut)
        means.append(mean)
        tables.append(mean @ table)
    if len(names) < 2:
        return None
    scores = np.array(tables)
    scores -= (scores @ weights)[:, None]
    variance = np.array(
        [model.tables[n].astype(np.float64) @ weights @ mean**2 for n, mean in zip(names, means, strict=True)]
    )
    correlation = (scores * weights) @ scores.T / np.maximum(np.outer(variance, variance), LEAST_VARIANCE**2)
    correlation = np.clip(correlation, -MOST, MOST)
    np.fill_diagonal(correlation, 1.0)
    apart = np.abs(correlation - np.eye(len(names)))
    kept = np.flatnonzero((apart.max(axis=1) >= LEAST) & (variance >= LEAST_VARIANCE))
    if len(kept) < 2:
        return None
    return Coupling(
        tuple(names[i] for i in kept),
        tuple(cuts[i] for i in kept),
        tuple(means[i] for i in kept),
        np.linalg.inv(_positive(correlation[np.ix_(kept, kept)])),
    )


@dataclass(frozen=True)
class Ranks:
    """Latent scores of rows of a model without conditions: what the scores of rows under conditions are ranked among.

    Attributes:
        scores: Per column, the sorted scores of all bins, each raised by its bin's number times `WIDE`.
        sizes: Per column, rows per bin.
    """

    scores: Mapping[str, np.ndarray]
    sizes: Mapping[str, np.ndarray]


def ranks(found: Coupling, model: MarginalModel) -> Ranks:
    """Scores of `REFERENCE` rows of a model; the same ones for every sample of it (their number bounds the error of a rank).

    Args:
        found: The copula of the model.
        model: The model without conditions.
    """
    rng = np.random.default_rng(child_seed(0, "rows without conditions"))
    others = sample_features(model, REFERENCE, rng)
    scores = _latent(found, others, rng)
    return Ranks(
        {n: np.sort(others[n] * WIDE + scores[:, i].astype(np.float64)) for i, n in enumerate(found.names)},
        {n: np.bincount(others[n], minlength=len(model.tables[n])) for n in found.names},
    )


def positions(
    found: Coupling, bins: Mapping[str, np.ndarray], rng: np.random.Generator, *, among: Ranks | None = None
) -> dict[str, np.ndarray]:
    """Position of each row's value inside its bin, in [0, 1), for the coupled columns.

    Latent scores are drawn given the bins by Gibbs sampling (each from its truncated normal, given the others); only their order
    within a bin is used. So positions of rows without conditions are uniform in every bin, and every column keeps the distribution that
    the model says.

    Args:
        found: The copula.
        bins: Bins of at least its columns, shape (rows,) each.
        rng: Source of randomness.
        among: For rows under conditions: scores of rows without them. A score is ranked among these, since rows with a large amount
            stand high in the bins of what goes with it.

    Source:
        Geweke 1991 (truncated normals by Gibbs sampling).
    """
    latent = _latent(found, bins, rng)
    if among is None:
        return {n: _ranked(bins[n], latent[:, i], rng) for i, n in enumerate(found.names)}
    return {n: _ranked_among(among, n, bins[n], latent[:, i], rng) for i, n in enumerate(found.names)}


def _latent(found: Coupling, bins: Mapping[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Latent scores given the bins, shape (rows, columns), float32."""
    latent = np.stack([start[bins[name]] for name, start in zip(found.names, found.start, strict=True)], axis=1)
    latent = latent.astype(np.float32)
    for _ in range(SWEEPS):
        for i, name in enumerate(found.names):
            cut = found.cuts[i].astype(np.float32)[bins[name]]
            latent[:, i] = _truncated(_mean(found, latent, i), found.precision[i, i] ** -0.5, cut, rng)
    return latent


def _order(model: MarginalModel, name: str) -> np.ndarray:
    """Mean cell of each bin of values; infinite for the bin of missing values."""
    group, column = model.group[name], model.column(name)
    cells = np.arange(len(group), dtype=np.float64)
    count = np.bincount(group, minlength=len(model.tables[name]))
    mean = np.bincount(group, weights=cells, minlength=len(count)) / np.maximum(count, 1)
    missing = np.unique(group[column.value_cells :])
    mean[missing[count[missing] == np.bincount(group[column.value_cells :], minlength=len(count))[missing]]] = np.inf
    return mean


def _scores(mass: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Latent scores at both ends of each bin, and its mean score."""
    from scipy.special import ndtri

    cut = np.tile([-FAR, FAR], (len(mass), 1))
    mean = np.zeros(len(mass))
    ranked = np.argsort(order, kind="stable")
    ranked = ranked[np.isfinite(order[ranked])]
    share = np.maximum(mass[ranked], 1e-12)
    ends = np.concatenate([[0.0], np.cumsum(share) / share.sum()])
    z = np.clip(ndtri(np.minimum(ends, 1.0)), -FAR, FAR)
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    cut[ranked] = np.stack([z[:-1], z[1:]], axis=1)
    mean[ranked] = (density[:-1] - density[1:]) / (share / share.sum())
    return cut, mean


def _positive(correlation: np.ndarray) -> np.ndarray:
    """The nearest correlation matrix without tiny eigenvalues."""
    value, vector = np.linalg.eigh(correlation)
    fixed = (vector * np.maximum(value, FLOOR * len(value))) @ vector.T
    scale = np.sqrt(np.diag(fixed))
    out: np.ndarray = fixed / np.outer(scale, scale)
    return out


def _mean(found: Coupling, latent: np.ndarray, i: int) -> np.ndarray:
    """Mean of one latent score given the others."""
    weights = (-found.precision[i] / found.precision[i, i]).astype(np.float32)
    weights[i] = 0.0
    out: np.ndarray = latent @ weights
    return out


def _truncated(mean: np.ndarray, deviation: float, cut: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Normal draws between two cuts; where the cuts are too far out for the arithmetic, the nearer one."""
    from scipy.special import ndtr, ndtri

    low, high = ndtr((cut[:, 0] - mean) / deviation), ndtr((cut[:, 1] - mean) / deviation)
    drawn = mean + deviation * ndtri(low + rng.random(len(mean), dtype=np.float32) * (high - low))
    out: np.ndarray = np.clip(drawn, cut[:, 0], cut[:, 1])
    return out


def _ranked(bins: np.ndarray, latent: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Evenly spaced positions within each bin, in the order of the latent score."""
    order = np.lexsort((latent, bins))
    size = np.bincount(bins)
    rank = np.arange(len(bins)) - np.repeat(np.cumsum(size) - size, size)
    out = np.empty(len(bins))
    out[order] = (rank + rng.random(len(bins))) / np.repeat(size, size)
    return out


def _ranked_among(
    among: Ranks, name: str, bins: np.ndarray, latent: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Share of the other scores of the same bin that each latent score exceeds, between two of them at random."""
    known, size = among.scores[name], among.sizes[name]
    below = np.searchsorted(known, bins * WIDE + latent.astype(np.float64)) - (np.cumsum(size) - size)[bins]
    out: np.ndarray = (below + rng.random(len(bins))) / (size[bins] + 1)
    return out
