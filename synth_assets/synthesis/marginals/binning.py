"""From noisy one-way tables to bins, coarser levels, and the distribution within each bin: post-processing, no budget.

What belongs here: pure functions of stored noisy tables and public cells; the noise decides the resolution. What does not: data,
pairs, the model. The measuring step makes the bins, the fit takes the stored ones and fills them in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from synth_assets.synthesis.marginals.measurements import ColumnCells
from synth_assets.synthesis.marginals.options import MarginalOptions
from synth_assets.synthesis.marginals.tails import last_used, tail_beyond

TINY = 1e-9
TAIL_SIGMAS = 4.0
RARE = 0.25  # of the noise, or of an even share: what a public value keeps that the noise has taken away


@dataclass(frozen=True)
class OneWay:
    """Estimated one-way tables of all columns.

    Attributes:
        rows: Noisy number of rows, at least 1.
        sigma: Noise of the one-way tables.
        estimates: Per column, rows per cell (may be negative); insignificant missing and other cells are 0.
        last: Of numbers of children: the last cell above the noise; what follows is extrapolated.
    """

    rows: float
    sigma: float
    estimates: dict[str, np.ndarray]
    last: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Bins:
    """The bins of one column.

    Attributes:
        group: Bin of each cell, shape (cells,).
        levels: Bin at each resolution of each bin, shape (levels, bins); level 0 is the identity.
        mass: Estimated rows per bin, nonnegative, shape (bins,).
        inside: Probability of each cell within its bin, shape (cells,).
    """

    group: np.ndarray
    levels: np.ndarray
    mass: np.ndarray
    inside: np.ndarray

    @property
    def count(self) -> int:
        """Number of bins."""
        return len(self.mass)


def block_of(column: ColumnCells, options: MarginalOptions) -> np.ndarray:
    """Block of each cell: `options.block` neighbours for wide columns (missing apart), else each cell is a block."""
    cells = np.arange(column.size)
    if not column.is_wide:
        return cells
    blocks = cells // options.block
    blocks[column.value_cells :] = blocks[column.value_cells - 1] + 1 + np.arange(column.size - column.value_cells)
    return blocks


def one_way(
    columns: tuple[ColumnCells, ...],
    ones: Mapping[str, np.ndarray],
    blocks: Mapping[str, np.ndarray],
    sigma: float,
    options: MarginalOptions,
) -> OneWay:
    """Combine cells and blocks, estimate the number of rows, and drop missing or other cells that are within the noise."""
    estimates, sums, variances, ends = {}, [], [], {}
    for column in (c for c in columns if not c.given):
        estimate = ones[column.name].astype(np.float64)
        block = block_of(column, options)
        if column.name in blocks:
            estimate = two_level(estimate, blocks[column.name].astype(np.float64), block)
        sums.append(estimate.sum())
        variances.append(float(block[-1] + 1) if column.name in blocks else float(len(estimate)))
        rest = estimate[column.value_cells :]
        estimate[column.value_cells :] = np.where(rest > options.keep_missing * sigma, rest, 0.0)
        if column.decay:
            last = last_significant(estimate[: column.value_cells], sigma)
            estimate[last + 1 :] = np.append(tail_beyond(estimate, column.edges, last), 0.0)
            ends[column.name] = last
        estimates[column.name] = estimate
    rows = float(np.average(sums, weights=1 / np.array(variances)))
    return OneWay(rows=max(rows, 1.0), sigma=sigma, estimates=estimates, last=ends)


def significant_cells(noisy: np.ndarray, sigma: float, *, sigmas: float, widths: tuple[int, ...]) -> np.ndarray:
    """Cells that stand out of the noise, alone or as part of a run; wider runs are looked for among the cells that are left.

    Args:
        noisy: Noisy counts of neighbouring cells.
        sigma: Their noise.
        sigmas: How many standard deviations the sum of a run must have.
        widths: Lengths of runs, ascending.

    Returns:
        bool array of the shape of `noisy`.
    """
    hit = np.zeros(len(noisy), dtype=bool)
    for width in widths:
        total = np.concatenate([[0], np.cumsum(np.where(hit, 0, noisy))])
        for start in np.flatnonzero(total[width:] - total[:-width] > sigmas * sigma * math.sqrt(width)):
            hit[start : start + width] |= noisy[start : start + width] > sigma
    return hit


def last_significant(estimate: np.ndarray, sigma: float) -> int:
    """Last cell of a table of numbers of children that is above the noise, at least 1; what follows is noise."""
    hit = np.flatnonzero(significant_cells(estimate, sigma, sigmas=TAIL_SIGMAS, widths=(1, 2, 4)))
    return max(1, int(hit[-1])) if len(hit) else 1


def two_level(fine: np.ndarray, coarse: np.ndarray, block: np.ndarray) -> np.ndarray:
    """Least squares estimate of cells from noisy cells and noisy sums of blocks of m of them, all of equal variance."""
    size = np.bincount(block)
    fitted: np.ndarray = fine + ((coarse - np.bincount(block, weights=fine)) / (size + 1))[block]
    return fitted


def make_bins(column: ColumnCells, one: OneWay, options: MarginalOptions, *, most_bins: int | None = None) -> Bins:
    """Bins of one column, its coarser levels, its mass and the distribution inside each bin.

    Args:
        column: Cells.
        one: The estimates.
        options: Numbers of the method.
        most_bins: At most so many bins (for the target).
    """
    estimate, rows = one.estimates[column.name], one.rows
    wanted = options.bins * (rows / one.sigma) ** 0.25
    if column.kind == "category":
        group = _category_groups(estimate, column.value_cells, rows, one.sigma, options)
    else:
        group = _number_groups(column, estimate, one, options, wanted)
    ordered = column.kind != "category"
    if column.decay:
        last = last_used(estimate)
        group = np.where(np.arange(len(group)) > last, group[last], group)
    if most_bins is not None:
        group = _at_most(group, estimate, most_bins, ordered=ordered)
    mass, inside = _contents(column, group, one)
    caps = [1.5 * 2**level * rows / wanted for level in range(1, options.levels)]
    alone = len(mass) - 1 if ordered and group[-1] not in group[:-1] else None
    return Bins(group, _levels(mass, caps, ordered=ordered, alone=alone), mass, inside)


def given_bins(bins: int, one: OneWay, options: MarginalOptions) -> Bins:
    """Bins of a column of the parent: they are known, and only tables with own columns tell about it."""
    each = np.arange(bins)
    return Bins(each, np.stack([each] * options.levels), np.full(bins, one.rows / bins), np.ones(bins))


def stored_bins(column: ColumnCells, group: np.ndarray, levels: np.ndarray, one: OneWay) -> Bins:
    """The bins that a measurement was made with, with their mass and contents."""
    if column.given:
        return Bins(group, levels, np.full(len(group), one.rows / len(group)), np.ones(len(group)))
    mass, inside = _contents(column, group, one)
    return Bins(group, levels, mass, inside)


def coarse_bins(bins: Bins, most: int, *, ordered: bool) -> np.ndarray:
    """At most `most` joined bins of a column, shape (bins,): its coarsest level, then the lightest (neighbours) joined."""
    start = bins.levels[-1]
    return _at_most(start, bins.mass, most, ordered=ordered)


def _contents(column: ColumnCells, group: np.ndarray, one: OneWay) -> tuple[np.ndarray, np.ndarray]:
    """Mass of each bin, and the distribution of the cells inside it."""
    estimate, bins = one.estimates[column.name], int(group.max()) + 1
    size = np.bincount(group, minlength=bins)
    mass = simplex(np.bincount(group, weights=estimate, minlength=bins), size.astype(np.float64), one.rows)
    prior = _prior(column, group) if column.is_wide or column.decay else np.ones(len(estimate))
    prior[column.value_cells :] *= estimate[column.value_cells :] > 0
    if column.decay:
        last = one.last[column.name]
        prior *= max(estimate[last], TINY) / prior[last]
        prior[last + 1 :] = estimate[last + 1 :]
    inside = np.zeros(len(estimate))
    for g in range(bins):
        ids = np.flatnonzero(group == g)
        inside[ids] = _inside(
            ids, estimate, prior, mass[g], one.sigma, rare=0.0 if column.is_wide or column.decay else RARE
        )
    return mass, inside


def simplex(y: np.ndarray, variance: np.ndarray, total: float) -> np.ndarray:
    """The closest nonnegative vector of this sum, where entry i has this variance (weighted L2 projection, by bisection)."""
    low, high = float((y / variance).min() - total / variance.min()), float((y / variance).max())
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if np.maximum(y - middle * variance, 0).sum() > total else (low, middle)
    out: np.ndarray = np.maximum(y - low * variance, 0)
    scaled: np.ndarray = out * (total / out.sum())
    return scaled


def _category_groups(
    estimate: np.ndarray, value_cells: int, rows: float, sigma: float, options: MarginalOptions
) -> np.ndarray:
    """Frequent categories alone, the small ones together; missing and other cells that are not modelled join some bin, with share 0."""
    projected = simplex(estimate, np.ones(len(estimate)), rows)
    small = (projected < options.pool * sigma) | (projected <= 0)
    group = share_bin(small)
    absent = np.arange(len(estimate)) >= value_cells
    absent &= estimate == 0
    if absent.any() and not absent.all() and not (small & ~absent).any():
        group[absent] = group[int(np.argmax(estimate))]
    return np.unique(group, return_inverse=True)[1]


def share_bin(small: np.ndarray) -> np.ndarray:
    """Categories to bins: the small ones share the last bin."""
    group: np.ndarray = np.where(small, (~small).sum(), np.cumsum(~small) - 1)
    return group


def _number_groups(
    column: ColumnCells, estimate: np.ndarray, one: OneWay, options: MarginalOptions, wanted: float
) -> np.ndarray:
    """Bins of neighbouring cells; missing values have a bin of their own where they are significant, else they count with bin 0."""
    values, missing = estimate[: column.value_cells], float(estimate[column.missing_cell])
    atom = one.rows / wanted
    rest = max(one.rows - values[values > max(atom, 4 * one.sigma)].sum() - missing, 0.0)
    target = max(rest / wanted, options.significance_mass * one.sigma)
    block = block_of(column, options)[: column.value_cells]
    group = merge_numbers(values, one.sigma, block, target, options.significance_sum, atom)
    return np.append(group, group.max() + 1 if missing > 0 else 0)


def merge_numbers(
    y: np.ndarray, sigma: float, block: np.ndarray, target: float, significance: float, atom: float
) -> np.ndarray:
    """Adjacent cells to bins: a cell heavier than `atom` stays alone; another bin closes when it holds `target` and is significant.

    The variance of a sum of k of the m cells of a block, after `two_level`, is sigma^2 (k - k^2 / (m + 1)).
    """
    size, group = np.bincount(block), np.zeros(len(y), dtype=np.int64)
    alone = y > max(atom, 4 * sigma)
    state = _Open()
    for i, v in enumerate(y):
        if i > 0 and (alone[i] or alone[i - 1]):
            state.close_rest(group, max(0.3 * target, 2 * sigma))
            state.next_bin(opened=False)
        elif i > 0 and block[i] != block[i - 1]:
            state.variance += state.cells - state.cells**2 / (size[block[i - 1]] + 1)
            state.cells = 0
        group[i] = state.bin
        state.mass, state.cells = state.mass + v, state.cells + 1
        spread = sigma * math.sqrt(state.variance + state.cells - state.cells**2 / (size[block[i]] + 1))
        if not alone[i] and state.mass >= max(target, significance * spread):
            state.next_bin(opened=True)
    state.close_rest(group, max(0.3 * target, 2 * sigma))
    return np.unique(group, return_inverse=True)[1]


class _Open:
    """The bin that is being filled: its number, mass, cells in the current block, variance of the earlier blocks."""

    def __init__(self) -> None:
        self.bin, self.opened = 0, False
        self.mass, self.variance, self.cells = 0.0, 0.0, 0

    def next_bin(self, *, opened: bool) -> None:
        """Start the next bin; `opened` where it follows a bin that closed by its mass."""
        self.bin, self.opened = self.bin + 1, opened
        self.mass, self.variance, self.cells = 0.0, 0.0, 0

    def close_rest(self, group: np.ndarray, least: float) -> None:
        """What is left before a lone cell or the end: too small for a bin, it joins its neighbour."""
        if self.opened and self.mass < least:
            group[group == self.bin] = self.bin - 1


def _at_most(group: np.ndarray, estimate: np.ndarray, most: int, *, ordered: bool) -> np.ndarray:
    """Join bins until at most `most` are left: the lightest categories, or the lightest neighbours."""
    while group.max() + 1 > most:
        mass = np.bincount(group, weights=np.maximum(estimate, 0))
        if ordered:
            last = int(np.argmin(mass[:-1] + mass[1:]))
            group = np.where(group > last, group - 1, group)
        else:
            first, second = sorted(np.argsort(mass, kind="stable")[:2].tolist())
            group = np.where(group == second, first, group)
            group = np.where(group > second, group - 1, group)
    return group


def _levels(mass: np.ndarray, caps: list[float], *, ordered: bool, alone: int | None) -> np.ndarray:
    levels = [np.arange(len(mass))]
    for cap in caps:
        before = levels[-1]
        joined = np.bincount(before, weights=mass)
        if not ordered:
            step = share_bin(joined < cap / 6)
        elif alone is None:
            step = _join_neighbours(joined, cap)
        else:
            step = _join_neighbours(joined[:-1], cap)
            step = np.append(step, step.max(initial=-1) + 1)
        levels.append(step[before])
    return np.stack(levels)


def _join_neighbours(mass: np.ndarray, cap: float) -> np.ndarray:
    """Join pairs of neighbours up to a mass."""
    group, g, i = np.zeros(len(mass), dtype=np.int64), 0, 0
    while i < len(mass):
        group[i] = g
        if i + 1 < len(mass) and mass[i] + mass[i + 1] <= cap:
            group[i + 1] = g
            i += 1
        i, g = i + 1, g + 1
    return group


def _prior(column: ColumnCells, group: np.ndarray) -> np.ndarray:
    """Prior mass of cells: log-uniform for wide numbers (Pareto, density x^-3, in the outer bins and for counts), uniform in time."""
    edges = np.array(column.edges, dtype=np.float64)
    extra = np.full(column.size - column.value_cells, 1.0)
    if column.kind != "number":
        return np.append(np.diff(edges), extra)
    anchor, scale = number_scale(column)
    log_uniform = np.diff(signed_log(edges - 0.5, anchor, scale))
    tail = np.abs(np.diff((np.abs(edges - 0.5 - anchor) / scale + 1) ** -2.0)) + 1e-15
    if column.decay:
        return np.append(tail, extra)
    values = group[: column.value_cells]
    return np.append(np.where((values == 0) | (values == values.max()), tail, log_uniform), extra)


def number_scale(column: ColumnCells) -> tuple[float, float]:
    """Anchor and unit of the logarithmic scale: 0 where the range holds it, else the lower bound; the smallest round step."""
    low, high = column.edges[0], column.edges[-1] - 1
    anchor = 0.0 if low <= 0 <= high else float(low)
    return anchor, 10.0 ** max(0, math.floor(math.log10(max(high - low, 1))) - 6)


def signed_log(x: np.ndarray, anchor: float, scale: float) -> np.ndarray:
    """Logarithmic on both sides of the anchor."""
    out: np.ndarray = np.sign(x - anchor) * np.log1p(np.abs(x - anchor) / scale)
    return out


def signed_exp(z: np.ndarray, anchor: float, scale: float) -> np.ndarray:
    """Inverse of `signed_log`."""
    out: np.ndarray = anchor + np.sign(z) * np.expm1(np.abs(z)) * scale
    return out


def _inside(
    ids: np.ndarray, estimate: np.ndarray, prior: np.ndarray, mass: float, sigma: float, *, rare: float
) -> np.ndarray:
    """Distribution over the cells of one bin: noisy counts shrunk (James-Stein) towards the prior shape.

    A cell that noise brought to nothing keeps the part `rare` of the noise's scale or of its prior mass, whichever is less: such is the
    mean of a count of 0 or more (a truncated normal) whose noisy value lies 2 to 4 sigma below 0.
    """
    if prior[ids].sum() <= 0:
        return np.full(len(ids), 1 / len(ids))
    shape = prior[ids] / prior[ids].sum()
    away = estimate[ids] - estimate[ids].sum() * shape
    keep = max(0.0, 1 - (len(ids) - 1) * sigma**2 / max(float((away**2).sum()), TINY)) if len(ids) > 1 else 0.0
    even = shape * max(mass, 1.0)
    share = np.maximum(even + keep * away, rare * np.minimum(even, sigma)) + TINY
    share[prior[ids] <= 0] = 0.0
    out: np.ndarray = share / share.sum()
    return out


def roundness_shares(counts: np.ndarray, sigma: float) -> np.ndarray:
    """How often values are multiples of each step (and of no larger one), from a noisy table; its last cell says nothing."""
    steps = counts[:-1].astype(np.float64)
    kept: np.ndarray = np.where(steps > 3 * sigma, steps, 0.0)  # one value with a digit too many looks wrong
    return kept / kept.sum() if kept.sum() > 0 else np.zeros(len(steps))
