"""How round the values of a column are: multiples of 10, 100, ..., or of minutes and hours, as often as measured.

What belongs here: the chance of each step in each cell, and the move to a multiple. What does not: places inside cells (density.py),
the measurement (select_measure.py), data.
"""

from __future__ import annotations

import numpy as np

from synth_assets.synthesis.marginals.measurements import ColumnCells

DEFAULT_DECIMALS = 2


def step_shares(column: ColumnCells, shares: np.ndarray | None) -> np.ndarray:
    """The measured shares of the steps; where nothing was significant, two digits after the point, whole numbers or whole minutes."""
    if shares is not None and shares.sum() > 0:
        out: np.ndarray = shares / shares.sum()
        return out
    default = np.zeros(len(column.steps))
    default[1 if column.kind == "datetime" else max(0, column.decimals - DEFAULT_DECIMALS)] = 1.0
    return default


def finest_step(column: ColumnCells, shares: np.ndarray | None) -> int:
    """The finest step in use, of a column with steps."""
    return column.steps[int(np.flatnonzero(step_shares(column, shares) > 0)[0])]


def step_chances(column: ColumnCells, shares: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Chance that a value of a cell is moved to a multiple of each step, so that the shares hold over all cells.

    Only a cell that holds a multiple of a step can take it: the coarsest step is given first, to as much of the mass that can take it
    as its share of all mass asks for. Half of all amounts from 2,000 to 2,499 may be 2,000, where a fifth of all amounts is a multiple
    of 1,000. What is left takes the finest step in use. Special values (0 and the bounds) say nothing about roundness and take none.

    Args:
        column: A column with steps.
        shares: Of the steps, sum 1.
        mass: Of each cell of values, shape (cells,).

    Returns:
        Shape (steps, cells); columns sum to at most 1. A cell without any multiple of a step in use has only zeros.
    """
    edges = np.array(column.edges, dtype=np.int64)
    low, high = edges[:-1], edges[1:]
    special = (high - low == 1) & np.isin(low, column.special_units)
    left = np.where(special, 0.0, 1.0)
    total = float((mass * left).sum())
    out = np.zeros((len(column.steps), len(mass)))
    used = np.flatnonzero(shares > 0).tolist()
    for k in reversed(used):
        fits = (-(-low // column.steps[k]) * column.steps[k] < high) * left
        room = float((mass * fits).sum())
        taken = 1.0 if k == used[0] else min(1.0, float(shares[k]) * total / room) if room > 0 else 0.0
        out[k] = taken * fits
        left = left - out[k]
    return out


def rounded(
    column: ColumnCells,
    shares: np.ndarray,
    mass: np.ndarray,
    units: np.ndarray,
    cells: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Move values to multiples of steps inside their cells.

    A cell that holds no multiple of a step in use gives the nearest one of the finest, so that no value has more digits than the data
    show.

    Args:
        column: A column with steps.
        shares: Of the steps, sum 1.
        mass: Of each cell of values, shape (cells,).
        units: Whole units, shape (rows,), int64.
        cells: Cell of each row.
        rng: Source of randomness.
    """
    edges = np.array(column.edges, dtype=np.int64)
    chances, finest = step_chances(column, shares, mass), finest_step(column, shares)
    u = rng.random(len(units))
    x, todo = units, np.ones(len(units), dtype=bool)
    for k in reversed(np.flatnonzero(shares > 0).tolist()):
        chance = chances[k][cells]
        takes = todo & (u < chance)
        down = units // column.steps[k] * column.steps[k]
        x = np.where(takes, np.where(down < edges[cells], down + column.steps[k], down), x)
        todo &= ~takes
        u = u - chance
    bare = todo & ~np.isin(units, column.special_units)
    nearest = np.clip((units + finest // 2) // finest * finest, column.edges[0], column.edges[-1] - 1)
    return np.where(bare, nearest, x)
