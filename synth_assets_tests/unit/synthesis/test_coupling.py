"""Positions inside bins: dependence goes on within them, and every column keeps its own distribution."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_assets.synthesis.marginals.coupling import coupling, positions, ranks
from synth_assets.synthesis.marginals.measurements import ColumnCells
from synth_assets.synthesis.marginals.model import MarginalModel
from synth_assets.synthesis.marginals.sample import decode

EDGES = tuple(range(0, 1001, 10))


def two_numbers(correlation: float, *, bins: int = 8, parts: int = 400, seed: int = 0) -> MarginalModel:
    """A model of two numbers whose latent scores have this correlation, with few and wide bins; every cell equally likely."""
    rng = np.random.default_rng(seed)
    score = rng.standard_normal(parts)
    columns = tuple(ColumnCells(name=n, kind="number", dtype="int64", edges=EDGES) for n in ("a", "b"))
    cells = len(EDGES) - 1
    group = np.append(np.arange(cells) * bins // cells, bins)
    table = {}
    for name in ("a", "b"):
        latent = np.sqrt(abs(correlation)) * score[:, None] * (np.sign(correlation) if name == "b" else 1)
        latent = latent + np.sqrt(1 - abs(correlation)) * rng.standard_normal((parts, 400))
        cut = np.searchsorted(np.quantile(latent, np.arange(1, bins) / bins), latent)
        table[name] = np.stack([np.bincount(c, minlength=bins + 1) for c in cut], axis=1).astype(np.float32) / 400
    return MarginalModel(
        columns=columns,
        target=None,
        rows=1000,
        weights=np.full(parts, 1 / parts, dtype=np.float32),
        tables=table,
        group={"a": group, "b": group},
        inside={n: np.append(np.full(cells, bins / cells), 1.0) for n in ("a", "b")},
        roundness={},
    )


@pytest.mark.parametrize("correlation", [0.8, -0.8, 0.5])
def test_the_correlation_of_the_latent_scores_is_found_from_the_bins(correlation: float) -> None:
    found = coupling(two_numbers(correlation))
    assert found is not None
    covariance = np.linalg.inv(found.precision)
    assert covariance[0, 1] == pytest.approx(correlation, abs=0.06)


def test_numbers_that_do_not_depend_are_left_alone() -> None:
    assert coupling(two_numbers(0.0)) is None


@pytest.mark.parametrize("correlation", [0.9, -0.9])
def test_within_one_bin_the_values_depend_as_the_bins_do(correlation: float) -> None:
    model = two_numbers(correlation)
    rng = np.random.default_rng(1)
    same = np.zeros(4000, dtype=np.int64)  # the widest reach of the latent score: the outermost bins
    bins = {"a": same, "b": same if correlation > 0 else same + 7}
    made = decode(model, bins, rng)
    r = np.corrcoef(made["a"].to_numpy(), made["b"].to_numpy())[0, 1]
    assert abs(r) > 0.3 and np.sign(r) == np.sign(correlation)


@settings(max_examples=30)
@given(rows=st.integers(0, 300), seed=st.integers(0, 1000))
def test_positions_are_evenly_spread_within_every_bin(rows: int, seed: int) -> None:
    model = two_numbers(0.8)
    found = coupling(model)
    assert found is not None
    rng = np.random.default_rng(seed)
    bins = {n: rng.integers(0, 9, rows) for n in ("a", "b")}  # bin 8 is the missing one
    for name, place in positions(found, bins, rng).items():
        assert ((place >= 0) & (place < 1)).all()
        for b in range(9):
            inside = np.sort(place[bins[name] == b])
            rank = np.floor(inside * max(1, len(inside)))
            assert rank.tolist() == list(range(len(inside)))


def test_under_a_condition_a_value_stands_where_the_other_one_puts_it() -> None:
    """Rows with a high `a` stand high in the middle bin of `b`: ranks among themselves would not tell."""
    model = two_numbers(0.9)
    found = coupling(model)
    assert found is not None
    rng = np.random.default_rng(4)
    high = {"a": np.full(3000, 5), "b": np.full(3000, 4)}
    low = {"a": np.full(3000, 2), "b": np.full(3000, 4)}
    among = ranks(found, model)
    above, below = (positions(found, bins, rng, among=among)["b"] for bins in (high, low))
    assert above.mean() > 0.53 and below.mean() < 0.47
    assert ((above >= 0) & (above < 1)).all()
    assert positions(found, high, rng)["b"].mean() == pytest.approx(0.5, abs=1e-3)


def test_one_seed_gives_one_result() -> None:
    model = two_numbers(0.8)
    found = coupling(model)
    assert found is not None
    bins = {n: np.random.default_rng(3).integers(0, 8, 200) for n in ("a", "b")}
    first, again = (positions(found, bins, np.random.default_rng(5)) for _ in range(2))
    assert all((first[n] == again[n]).all() for n in first)
