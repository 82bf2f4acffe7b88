"""The density of a number inside its cells: a smooth one where its neighbours say so.

What belongs here: whole units at places inside cells. What does not: which cell, rounding (sample.py), data. The noisy tables count
cells; a monotone curve through the cumulative counts keeps the mass of every cell and follows the slope of its neighbours:
post-processing, nothing is read.
"""

from __future__ import annotations

import numpy as np

from synth_assets.synthesis.marginals.binning import number_scale, signed_exp, signed_log
from synth_assets.synthesis.marginals.measurements import ColumnCells

PARTS = 16


def units_at(column: ColumnCells, cells: np.ndarray, place: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """The whole unit at a place inside each cell.

    Wide numbers are spread over the logarithm of their distance from 0, dates and short ranges evenly; in both cases the density bends
    towards those of the neighbouring cells.

    Args:
        column: A column of numbers, dates or datetimes.
        cells: Cell of each row, shape (rows,).
        place: Place inside the cell, in [0, 1), shape (rows,).
        mass: Mass of each cell of values, shape (cells,).

    Returns:
        int64 array of shape (rows,); each unit lies in its cell.

    Source:
        Fritsch, Carlson 1980 (monotone piecewise cubic interpolation).
    """
    edges: np.ndarray = np.array(column.edges, dtype=np.int64)
    low, width = edges[cells], np.diff(edges)[cells]
    if column.decay:  # density (x + 1)^-3 inside a cell
        a, b = (low + 1.0) ** -2, (low + width + 1.0) ** -2
        x = np.floor((a + place * (b - a)) ** -0.5 - 1).astype(np.int64)
    elif np.diff(edges).max() == 1:
        x = low
    elif column.kind == "number" and column.is_wide:
        anchor, scale = number_scale(column)
        z = _along(signed_log(edges - 0.5, anchor, scale), np.diff(edges) == 1, mass, cells, place)
        x = np.rint(signed_exp(z, anchor, scale)).astype(np.int64)
    else:
        x = np.floor(_along(edges.astype(np.float64), np.diff(edges) == 1, mass, cells, place)).astype(np.int64)
    out: np.ndarray = np.clip(x, low, low + width - 1)
    return out


def _along(edges: np.ndarray, single: np.ndarray, mass: np.ndarray, cells: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Coordinates at places inside cells, by the inverse of the curve through the cumulative mass, shape (rows,)."""
    part = np.arange(PARTS + 1) / PARTS
    width = np.diff(edges)
    start, end = _slopes(width, mass, single)
    share = (  # cubic Hermite curve from 0 to 1 of the cell's mass
        np.outer(start, part * (1 - part) ** 2) + part**2 * (3 - 2 * part) - np.outer(end, part**2 * (1 - part))
    )
    share = np.maximum.accumulate(np.clip(share, 0.0, 1.0), axis=1)
    share[:, -1] = 1.0
    flat = (share + np.arange(len(mass))[:, None])[:, :-1].ravel()
    found = np.clip(np.searchsorted(flat, cells + place, side="right") - 1, cells * PARTS, cells * PARTS + PARTS - 1)
    k = found - cells * PARTS
    below, above = share[cells, k], share[cells, k + 1]
    inside = np.clip((place - below) / np.maximum(above - below, 1e-12), 0.0, 1.0)
    out: np.ndarray = edges[cells] + (k + inside) / PARTS * width[cells]
    return out


def _slopes(width: np.ndarray, mass: np.ndarray, single: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope of the curve at both ends of each cell, in units of the cell's mean density.

    The harmonic mean of both neighbours keeps the curve monotone. A single value beside a cell says nothing about it.
    """
    density = np.maximum(mass, 0.0) / width
    before, after = density[:-1], density[1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        first, second = 2 * width[1:] + width[:-1], width[1:] + 2 * width[:-1]
        joint = (first + second) / (first / before + second / after)
        joint = np.where((before > 0) & (after > 0), joint, 0.0)
        start = np.concatenate([[1.0], joint / after])
        end = np.concatenate([joint / before, [1.0]])
    alone = single[:-1] | single[1:]
    start[1:][alone] = 1.0
    end[:-1][alone] = 1.0
    return np.where(np.isfinite(start), start, 1.0), np.where(np.isfinite(end), end, 1.0)
