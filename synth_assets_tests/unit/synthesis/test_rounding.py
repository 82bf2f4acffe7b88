"""Roundness: the shares of the steps hold over all cells, whatever cells can take which step."""

from __future__ import annotations

import numpy as np
import pytest

from synth_assets.synthesis.marginals.measurements import ColumnCells
from synth_assets.synthesis.marginals.rounding import finest_step, rounded, step_chances, step_shares

STEPS = (1, 10, 100, 1000)
COLUMN = ColumnCells(
    name="c", kind="number", dtype="int64", edges=(0, 1, 500, 1000, 1200, 2000, 2500, 5001), steps=STEPS
)
MASS = np.array([0.2, 0.1, 0.2, 0.1, 0.2, 0.2, 0.2])[:7] / 1.2


def test_the_coarsest_step_goes_to_the_cells_that_hold_a_multiple_of_it() -> None:
    shares = np.array([0.5, 0.1, 0.2, 0.2])
    chances = step_chances(COLUMN, shares, MASS)
    holds = np.array([0, 0, 0, 1, 0, 1, 1])  # 0 is special; 1000, 2000 and 3000 to 5000
    speaking = MASS[1:].sum()
    assert chances[3] == pytest.approx(holds * 0.2 * speaking / (MASS * holds).sum())
    assert (chances * MASS).sum(axis=1) == pytest.approx(shares * speaking)
    assert chances.sum(axis=0) == pytest.approx([0, 1, 1, 1, 1, 1, 1])


def test_more_round_values_than_cells_can_hold_are_as_round_as_they_can() -> None:
    chances = step_chances(COLUMN, np.array([0.0, 0.1, 0.0, 0.9]), MASS)
    assert chances[3].tolist() == [0, 0, 0, 1, 0, 1, 1]
    assert chances[1].tolist() == [0, 1, 1, 0, 1, 0, 0]


def test_values_are_multiples_inside_their_cells_as_often_as_the_shares_say() -> None:
    rng = np.random.default_rng(0)
    cells = rng.choice(7, 60_000, p=MASS / MASS.sum())
    edges = np.array(COLUMN.edges)
    units = edges[cells] + np.floor(rng.random(60_000) * np.diff(edges)[cells]).astype(np.int64)
    shares = np.array([0.5, 0.0, 0.3, 0.2])
    x = rounded(COLUMN, shares, MASS, units, cells, rng)
    assert ((x >= edges[cells]) & (x < edges[cells + 1])).all()
    spoken = x[cells > 0]
    assert (spoken % 1000 == 0).mean() == pytest.approx(0.2, abs=0.03)  # a few multiples of 100 are of 1000 too
    assert (spoken % 100 == 0).mean() == pytest.approx(0.5, abs=0.02)
    assert (x[cells == 0] == 0).all()


def test_a_cell_without_a_multiple_gives_the_nearest_one() -> None:
    column = ColumnCells(name="c", kind="number", dtype="int64", edges=(1, 3, 7, 100), steps=(1, 10, 100))
    x = rounded(
        column, np.array([0, 1.0, 0]), np.ones(3), np.array([4, 6, 55]), np.array([1, 1, 2]), np.random.default_rng(0)
    )
    assert x.tolist() == [1, 10, 50]  # 0 is below the domain


def test_without_significant_shares_there_are_two_digits_or_whole_numbers() -> None:
    cents = ColumnCells(name="c", kind="number", dtype="double", decimals=4, edges=(0, 10**6), steps=STEPS)
    assert finest_step(cents, np.zeros(4)) == 100
    assert step_shares(COLUMN, None).tolist() == [1, 0, 0, 0]
