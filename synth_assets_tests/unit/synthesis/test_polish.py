"""Polish: only values that the row's component allows, closer pair and one-way tables, dependence not made up."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_assets.synthesis.marginals.features import components, sample_features
from synth_assets.synthesis.marginals.measurements import ColumnCells
from synth_assets.synthesis.marginals.model import MarginalModel
from synth_assets.synthesis.marginals.polish import polish


def random_model(sizes: list[int], parts: int, seed: int) -> MarginalModel:
    rng = np.random.default_rng(seed)
    names = [f"c{i}" for i in range(len(sizes))]
    columns = [
        ColumnCells(name=n, kind="category", dtype="string", categories=tuple(f"v{k}" for k in range(s - 1)))
        for n, s in zip(names, sizes, strict=True)
    ]
    tables = {n: rng.dirichlet(np.full(s, 0.5), parts).T.astype(np.float32) for n, s in zip(names, sizes, strict=True)}
    weights = rng.dirichlet(np.ones(parts)).astype(np.float32)
    return MarginalModel(
        columns=tuple(columns),
        target=None,
        rows=1000,
        weights=weights,
        tables=tables,
        group={n: np.arange(s) for n, s in zip(names, sizes, strict=True)},
        inside={n: np.ones(s) for n, s in zip(names, sizes, strict=True)},
        roundness={},
    )


def distance(model: MarginalModel, bins: dict[str, np.ndarray]) -> float:
    """Mean total variation distance of the sample's pair tables to the model's."""
    weights, out = model.weights.astype(float), []
    rows = len(bins["c0"])
    for a, b in itertools.combinations(model.tables, 2):
        expected = (model.tables[a] * weights) @ model.tables[b].T
        table = np.zeros(expected.shape)
        np.add.at(table, (bins[a], bins[b]), 1 / rows)
        out.append(0.5 * np.abs(table - expected).sum())
    return float(np.mean(out))


def one_way_distance(model: MarginalModel, bins: dict[str, np.ndarray]) -> float:
    """Mean total variation distance of the sample's one-way tables to the model's."""
    weights = model.weights.astype(float)
    found = [
        (np.bincount(b, minlength=len(model.tables[n])) / len(b), model.tables[n] @ weights) for n, b in bins.items()
    ]
    return float(np.mean([0.5 * np.abs(sample - expected).sum() for sample, expected in found]))


@settings(max_examples=40)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=6),
    parts=st.integers(1, 8),
    rows=st.integers(0, 400),
    seed=st.integers(0, 10_000),
)
def test_every_row_has_values_that_its_component_allows(sizes: list[int], parts: int, rows: int, seed: int) -> None:
    model = random_model(sizes, parts, seed)
    rng = np.random.default_rng(seed)
    for name, table in model.tables.items():  # structural zeros
        kept = table * (rng.random(table.shape) < 0.6)
        kept[rng.integers(len(table)), kept.sum(axis=0) == 0] = 1.0
        model.tables[name] = kept
    before, component = sample_features(model, rows, rng), components(model, rows)
    after = polish(model, before, component, rng)
    assert set(after) == set(before)
    for name, bins in after.items():
        assert bins.dtype == before[name].dtype
        assert (model.tables[name][bins, component] > 0).all()


@pytest.mark.parametrize("seed", range(3))
def test_pair_tables_come_closer_to_the_model(seed: int) -> None:
    model = random_model([6, 9, 4, 12, 7], 20, seed)
    before = sample_features(model, 3000, np.random.default_rng(seed))
    after = polish(model, before, components(model, 3000), np.random.default_rng(seed))
    assert distance(model, after) < 0.6 * distance(model, before)
    assert one_way_distance(model, after) < 0.5 * one_way_distance(model, before)


def test_dependence_within_a_component_stays_that_of_chance() -> None:
    """Triples are not aimed at; they must not get worse while the pairs get better."""
    model = random_model([4, 5, 6], 3, 1)
    weights = model.weights.astype(float)
    expected = np.einsum("ak,bk,ck,k->abc", *model.tables.values(), weights)

    def away(bins: dict[str, np.ndarray]) -> float:
        table = np.zeros(expected.shape)
        np.add.at(table, (bins["c0"], bins["c1"], bins["c2"]), 1 / 5000)
        return float(np.abs(table - expected).sum())

    before = [sample_features(model, 5000, np.random.default_rng(s)) for s in range(5)]
    after = [polish(model, b, components(model, 5000), np.random.default_rng(9)) for b in before]
    assert np.mean([away(b) for b in after]) < np.mean([away(b) for b in before])


def test_one_seed_gives_one_result() -> None:
    model = random_model([5, 6, 7], 4, 2)
    before, component = sample_features(model, 500, np.random.default_rng(0)), components(model, 500)
    first, again = (polish(model, before, component, np.random.default_rng(5)) for _ in range(2))
    assert all((first[n] == again[n]).all() for n in first)


def test_a_table_too_large_for_the_work_stays_as_it_was_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synth_assets.synthesis.marginals.polish.WORK", 100_000)
    model = random_model([3] * 10, 2, 3)
    before, component = sample_features(model, 5000, np.random.default_rng(0)), components(model, 5000)
    after = polish(model, before, component, np.random.default_rng(0))
    assert all(after[n] is before[n] for n in before)
