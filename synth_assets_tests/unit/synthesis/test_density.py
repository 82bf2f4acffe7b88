"""The density inside cells: every unit in its cell, the mass of cells kept, and smooth where the neighbours are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.synthesis.marginals.density import units_at
from synth_assets.synthesis.marginals.measurements import ColumnCells


def dates(edges: tuple[int, ...]) -> ColumnCells:
    return ColumnCells(name="d", kind="date", dtype="date32[day]", edges=edges)


@given(
    widths=st.lists(st.integers(1, 500), min_size=1, max_size=12),
    low=st.integers(-1000, 1000),
    seed=st.integers(0, 1000),
    wide=st.booleans(),
)
def test_every_unit_lies_in_its_cell_and_follows_the_order_of_the_places(
    widths: list[int], low: int, seed: int, wide: bool
) -> None:
    rng = np.random.default_rng(seed)
    widths = widths + [3] * 130 if wide else widths
    edges = (low, *(low + int(w) for w in np.cumsum(widths)))
    column = ColumnCells(name="n", kind="number", dtype="int64", edges=edges) if wide else dates(edges)
    mass = rng.random(len(widths)) * (rng.random(len(widths)) < 0.7)
    cells, place = rng.integers(0, len(widths), 200), rng.random(200)
    units = units_at(column, cells, place, mass)
    assert ((units >= np.array(edges)[cells]) & (units < np.array(edges)[cells + 1])).all()
    order = np.lexsort((place, cells))
    assert (np.diff(units[order]) >= 0).all()


def test_a_cell_between_a_low_and_a_high_neighbour_rises() -> None:
    column = dates((0, 100, 200, 300))
    place = np.linspace(0, 1, 2000, endpoint=False)
    units = units_at(column, np.ones(2000, dtype=np.int64), place, np.array([1.0, 2.0, 3.0]))
    below = (units < 150).mean()
    assert below == pytest.approx(0.45, abs=0.03)  # a straight line from 1.5 to 2.5 gives 0.4375


def test_without_slope_the_density_is_even() -> None:
    units = units_at(dates((0, 100, 200, 300)), np.ones(1000, dtype=np.int64), np.linspace(0, 0.999, 1000), np.ones(3))
    assert np.histogram(units, bins=4, range=(100, 200))[0] == pytest.approx(250, abs=6)


def test_a_spike_at_one_value_does_not_bend_its_neighbours() -> None:
    units = units_at(
        dates((0, 1, 101, 201)), np.ones(1000, dtype=np.int64), np.linspace(0, 0.999, 1000), np.array([50.0, 1.0, 1.0])
    )
    assert np.histogram(units, bins=4, range=(1, 101))[0] == pytest.approx(250, abs=6)


def test_a_column_without_any_mass_gives_units_all_the_same() -> None:
    units = units_at(dates((0, 10, 20)), np.array([0, 1]), np.array([0.0, 0.5]), np.zeros(2))
    assert units.tolist() == [0, 15]
