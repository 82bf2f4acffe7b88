"""Draws of the features from the mixture, exact and vectorised, also under conditions on some of them.

What belongs here: components of rows, bins of the features. What does not: the target (target_model.py, sample.py), values of bins
(sample.py), data (this module must not import `tables`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from synth_assets.synthesis.marginals.model import MarginalModel

CONDITION_CELLS = 20_000_000


def sample_features(
    model: MarginalModel, rows: int, rng: np.random.Generator, *, given: Mapping[str, np.ndarray] | None = None
) -> dict[str, np.ndarray]:
    """Bins of every column besides the target for `rows` rows.

    Without conditions the draw is stratified by component, which lowers its variance. With conditions every row's component is drawn
    from the exact posterior (weight times the probabilities of the given bins), and the other columns from that component.

    Args:
        model: A fitted model.
        rows: How many.
        rng: Source of randomness.
        given: Bins of some features, each of shape (rows,).

    Returns:
        int64 array per column; the given columns as they were given.
    """
    given = given or {}
    if not model.columns:
        return {}
    weights = model.weights.astype(np.float64)
    telling = {name: bins for name, bins in given.items() if np.ptp(model.tables[name], axis=1).any()}
    if telling:
        component = _posterior_draw(model, rows, rng, telling)
        order = np.argsort(component, kind="stable")
        starts = np.searchsorted(component[order], np.arange(len(weights) + 1))
    else:
        starts = _starts(weights, rows)
        order = rng.permutation(rows) if given else np.arange(rows)
    out = {name: np.asarray(bins, dtype=np.int64) for name, bins in given.items()}
    for name, table in model.tables.items():
        if name in out:
            continue
        bins = np.empty(rows, dtype=np.int64)
        bins[order] = _inverse(table, starts, rng)
        out[name] = bins
    return out


def components(model: MarginalModel, rows: int) -> np.ndarray:
    """Component of each row that `sample_features` draws without conditions, ascending, shape (rows,)."""
    return np.repeat(np.arange(len(model.weights)), np.diff(_starts(model.weights.astype(np.float64), rows)))


def _starts(weights: np.ndarray, rows: int) -> np.ndarray:
    """First row of each component, and the end of the last: the rounded shares of the rows."""
    out: np.ndarray = np.rint(np.concatenate([[0.0], np.cumsum(weights / weights.sum())]) * rows).astype(np.int64)
    return out


def _inverse(table: np.ndarray, starts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Bins of rows that stand in blocks of one component each, stratified within each block."""
    size = np.diff(starts)
    component = np.repeat(np.arange(len(size)), size)
    return inverse(cumulative(table), component, stratified(component, size, rng))


def cumulative(table: np.ndarray) -> np.ndarray:
    """Cumulative distribution of the bins in every component, shape (components, bins), from a table of shape (bins, components)."""
    out: np.ndarray = np.cumsum(table.astype(np.float64), axis=0).T
    return out


def inverse(weights: np.ndarray, row: np.ndarray, u: np.ndarray) -> np.ndarray:
    """The entry of its row of cumulative weights in which each u of [0, 1) falls; one search for all: row r occupies [r, r + 1)."""
    last = weights.shape[1] - 1
    scale = np.maximum(weights[:, -1:], 1e-300)
    flat = (np.minimum(weights / scale, 1.0) + np.arange(len(weights))[:, None]).ravel()
    found = np.searchsorted(flat, row + np.minimum(u, 1 - 1e-9), side="right")
    out: np.ndarray = np.clip(found - row * (last + 1), 0, last)
    return out


def stratified(group: np.ndarray, size: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Uniform numbers in [0, 1), one per stratum of width 1 / (rows of the group), in random order within each group.

    Args:
        group: Group of each row, shape (rows,), in any order.
        size: Rows of each group.
        rng: Source of randomness.
    """
    rows = len(group)
    shuffled = rng.permutation(rows)
    short = group.astype(np.int16) if len(size) < 2**15 else group  # numpy sorts short integers by radix
    order = shuffled[np.argsort(short[shuffled], kind="stable")]
    start = np.concatenate([[0], np.cumsum(size)[:-1]])
    rank = np.arange(rows) - np.repeat(start, size)
    out = np.empty(rows)
    out[order] = (rank + np.repeat(rng.random(len(size)), size)) / np.repeat(size, size)
    return out


def posterior(model: MarginalModel, given: Mapping[str, np.ndarray]) -> np.ndarray:
    """Probability of each component under each row of conditions on features, shape (rows, components)."""
    log = np.log(np.maximum(model.weights.astype(np.float64), 1e-300))[None, :]
    for name, bins in given.items():
        log = log + np.log(np.maximum(model.tables[name].astype(np.float64), 1e-300))[np.asarray(bins)]
    log = log - log.max(axis=1, keepdims=True)
    p = np.exp(log)
    out: np.ndarray = p / p.sum(axis=1, keepdims=True)
    return out


def _posterior_draw(
    model: MarginalModel, rows: int, rng: np.random.Generator, given: Mapping[str, np.ndarray]
) -> np.ndarray:
    """One component per row; rows with equal conditions share one posterior, and are stratified among themselves."""
    names = list(given)
    table = np.stack([np.asarray(given[n], dtype=np.int64) for n in names], axis=1)
    distinct, where = np.unique(table, axis=0, return_inverse=True)
    order = np.argsort(where.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(where.ravel(), minlength=len(distinct)))
    out = np.empty(rows, dtype=np.int64)
    step = max(1, CONDITION_CELLS // len(model.weights))
    for first in range(0, len(distinct), step):
        some = distinct[first : first + step]
        chances = np.cumsum(posterior(model, {n: some[:, i] for i, n in enumerate(names)}), axis=1)
        begin = int(ends[first - 1]) if first else 0
        rows_here = order[begin : int(ends[min(first + step, len(distinct)) - 1])]
        group = where.ravel()[rows_here] - first
        u = stratified(group, np.bincount(group, minlength=len(some)), rng)
        out[rows_here] = inverse(chances, group, u)
    return out
