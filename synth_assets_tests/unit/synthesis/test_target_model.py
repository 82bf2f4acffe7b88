"""The target given the features: known optima, recovery, empirical Bayes, exact draws and conditions, storage."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_assets.errors import InputError
from synth_assets.synthesis.marginals import conditions
from synth_assets.synthesis.marginals.budget import TableBudget, TableShape
from synth_assets.synthesis.marginals.measurements import ColumnCells, Measurements, NoisyPair
from synth_assets.synthesis.marginals.model import MarginalModel
from synth_assets.synthesis.marginals.options import MarginalOptions
from synth_assets.synthesis.marginals.sample import sample_bins, sample_table
from synth_assets.synthesis.marginals.target_fit import conjugate_gradients, contrasts, fit_target
from synth_assets.synthesis.marginals.target_model import Interaction, TargetModel


def category(name: str, size: int) -> ColumnCells:
    return ColumnCells(name=name, kind="category", dtype="string", categories=tuple(f"v{i}" for i in range(size - 1)))


def measurements_of(
    bins: Mapping[str, np.ndarray],
    p: np.ndarray,
    sizes: Mapping[str, int],
    *,
    sigma: float,
    pairs: tuple[tuple[int, int], ...] = (),
    rows: float = 100_000.0,
    rng: np.random.Generator | None = None,
) -> Measurements:
    """Tables of the expected numbers of rows per class, plus noise where a generator is given."""
    names, classes = list(sizes), p.shape[1]
    factor = rows / len(p)

    def table(code: np.ndarray, cells: int) -> np.ndarray:
        out = np.stack([np.bincount(code, weights=factor * p[:, k], minlength=cells) for k in range(classes)])
        return out if rng is None else out + rng.normal(0, sigma, out.shape)

    chosen = []
    for a, b in pairs:
        first, second = names[a], names[b]
        values = table(bins[first] * sizes[second] + bins[second], sizes[first] * sizes[second])
        chosen.append(NoisyPair(a, b, 0, True, values.reshape(classes, sizes[first], sizes[second])))
    return Measurements(
        columns=(*(category(n, s) for n, s in sizes.items()), category("y", classes)),
        target="y",
        budget=TableBudget(
            shape=TableShape(columns=len(sizes) + 1, wide=0, round=0, has_target=True),
            sigma_one=sigma,
            sigma_target=sigma,
            sigma_pair=sigma,
            pairs=len(pairs),
        ),
        options=MarginalOptions(),
        ones={},
        targets=[table(bins[n], s) for n, s in sizes.items()],
        pairs=chosen,
        levels={n: np.stack([np.arange(s)] * 3) for n, s in sizes.items()},
    )


def drawn(sizes: Mapping[str, int], rows: int = 6_000, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {n: rng.choice(s, rows, p=rng.dirichlet(np.full(s, 5.0))) for n, s in sizes.items()}


def additive(sizes: Mapping[str, int], classes: int, seed: int, scale: float = 1.0) -> TargetModel:
    rng = np.random.default_rng(seed)
    return TargetModel(
        features=tuple(sizes),
        share=np.full(classes, 1 / classes),
        intercept=rng.normal(0, 0.3, classes - 1).astype(np.float32),
        effects=tuple(rng.normal(0, scale, (classes - 1, s)).astype(np.float32) for s in sizes.values()),
        interactions=(),
        leading=tuple(range(len(sizes))),
    )


# the fit


def test_one_column_with_precise_tables_gives_the_odds_of_each_bin() -> None:
    sizes = {"a": 3}
    bins = {"a": np.repeat([0, 1, 2], [10_000, 6_000, 4_000])}
    p = np.array([0.9, 0.5, 0.2])[bins["a"]]
    model = fit_target(measurements_of(bins, np.column_stack([p, 1 - p]), sizes, sigma=0.01), bins)
    fitted = model.probabilities({"a": np.arange(3)})[:, 0]
    assert fitted == pytest.approx([0.9, 0.5, 0.2], abs=0.003)


def test_tables_of_noise_alone_leave_the_shares_of_the_classes() -> None:
    sizes = {"a": 6, "b": 4}
    bins = drawn(sizes)
    p = np.tile([0.7, 0.3], (6_000, 1))
    noisy = measurements_of(bins, p, sizes, sigma=40.0, rows=2_000, rng=np.random.default_rng(3), pairs=((0, 1),))
    fitted = fit_target(noisy, bins).probabilities(bins)[:, 0]
    assert fitted.mean() == pytest.approx(0.7, abs=0.06)
    raw = np.clip(noisy.targets[0] / noisy.targets[0].sum(0), 0, 1)[0]
    assert fitted.std() < 0.65 * raw[bins["a"]].std()


@pytest.mark.parametrize("classes", [2, 3, 6])
def test_an_additive_target_with_precise_tables_is_recovered(classes: int) -> None:
    sizes = {"a": 5, "b": 8, "c": 3}
    bins, truth = drawn(sizes), additive(sizes, classes, seed=1)
    p = truth.probabilities(bins)
    fitted = fit_target(measurements_of(bins, p, sizes, sigma=0.5), bins).probabilities(bins)
    assert np.abs(fitted - p).mean() < 0.01


def test_an_interaction_is_seen_only_where_its_table_was_measured() -> None:
    sizes = {"a": 2, "b": 2, "c": 3}
    bins = drawn(sizes)
    odd = (bins["a"] + bins["b"]) % 2
    p = np.column_stack([0.35 + 0.3 * odd, 0.65 - 0.3 * odd])
    error = {}
    for pairs in ((), ((0, 1),)):
        noisy = measurements_of(bins, p, sizes, sigma=1.0, pairs=pairs, rows=2e6)
        error[pairs] = np.abs(fit_target(noisy, bins).probabilities(bins) - p).mean()
    assert error[((0, 1),)] < 0.2 * error[()]


def test_a_column_that_says_nothing_is_shrunk_more_than_one_that_says_much() -> None:
    sizes = {"much": 12, "nothing": 12}
    bins = drawn(sizes)
    p = 1 / (1 + np.exp(-np.linspace(-2, 2, 12)[bins["much"]]))
    noisy = measurements_of(
        bins, np.column_stack([1 - p, p]), sizes, sigma=60.0, rows=20_000, rng=np.random.default_rng(5)
    )
    much, nothing = (e.std() for e in fit_target(noisy, bins).effects)
    assert much > 1.0
    assert nothing < 0.15


def test_the_same_measurements_give_the_same_model() -> None:
    sizes = {"a": 4, "b": 7}
    bins, truth = drawn(sizes), additive(sizes, 3, seed=2)
    noisy = measurements_of(
        bins, truth.probabilities(bins), sizes, sigma=20.0, rng=np.random.default_rng(0), pairs=((0, 1),)
    )
    one, two = (fit_target(noisy, bins).arrays() for _ in range(2))
    assert all(one[n].tobytes() == two[n].tobytes() for n in one)


def test_a_target_with_one_bin_is_that_bin(tmp_path: Path) -> None:
    sizes = {"a": 3}
    bins = drawn(sizes, 500)
    model = fit_target(measurements_of(bins, np.ones((500, 1)), sizes, sigma=1.0), bins)
    assert model.probabilities(bins).tolist() == [[1.0]] * 500
    assert (model.draw(bins, np.random.default_rng(0)) == 0).all()
    whole = replace(
        hand_model(), given_features=replace(model, features=("a", "b"), effects=(*model.effects, np.zeros((0, 4))))
    )
    whole.save(tmp_path)
    assert sample_table(MarginalModel.load(tmp_path), 10, np.random.default_rng(0)).num_rows == 10


@pytest.mark.parametrize("classes", [2, 5, 10])
def test_contrasts_are_orthonormal_and_blind_to_a_common_shift(classes: int) -> None:
    q = contrasts(classes)
    assert q.T @ q == pytest.approx(np.eye(classes - 1), abs=1e-12)
    assert q.sum(axis=0) == pytest.approx(np.zeros(classes - 1), abs=1e-12)


def test_conjugate_gradients_solve_a_positive_definite_system() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(6, 6))
    matrix, right = root @ root.T + np.eye(6), rng.normal(size=(6, 1))
    found = conjugate_gradients(lambda v: matrix @ v, right, np.diag(matrix)[:, None])
    assert np.linalg.norm(matrix @ found - right) < 0.2 * np.linalg.norm(right)


# draws


@settings(max_examples=30)
@given(classes=st.integers(2, 6), rows=st.integers(0, 300), seed=st.integers(0, 10_000))
def test_every_class_gets_its_expected_number_of_rows(classes: int, rows: int, seed: int) -> None:
    sizes = {"a": 4, "b": 5}
    model, bins = additive(sizes, classes, seed), drawn(sizes, rows, seed)
    y = model.draw(bins, np.random.default_rng(seed))
    assert y.shape == (rows,)
    expected = model.probabilities(bins).sum(axis=0)
    assert np.abs(np.bincount(y, minlength=classes) - expected).max() <= classes


def test_each_row_has_exactly_its_probabilities_over_many_draws() -> None:
    sizes = {"a": 3, "b": 2}
    model, bins = additive(sizes, 3, seed=4), drawn(sizes, 40, 0)
    rng, times = np.random.default_rng(0), 4000
    counts = np.zeros((40, 3))
    for _ in range(times):
        counts[np.arange(40), model.draw(bins, rng)] += 1
    assert np.abs(counts / times - model.probabilities(bins)).max() < 4.5 * 0.5 / np.sqrt(times)


def test_groups_of_the_leading_column_are_balanced() -> None:
    sizes = {"a": 10, "b": 6}
    model, bins = additive(sizes, 2, seed=0), drawn(sizes, 3000, 1)
    y, p = model.draw(bins, np.random.default_rng(2)), model.probabilities(bins)[:, 0]
    away = np.bincount(bins["a"], weights=(y == 0) - p, minlength=10)
    assert np.abs(away).max() < 2


# conditions


def hand_model(rare: float = 0.0) -> MarginalModel:
    """Two features in two components, three classes; `rare` lowers the log odds of class 2."""
    sizes = {"a": 3, "b": 4}
    rng = np.random.default_rng(7)
    given_features = additive(sizes, 3, seed=11)
    given_features = replace(
        given_features,
        intercept=given_features.intercept - np.array([0, rare], dtype=np.float32),
        interactions=(Interaction(0, 1, rng.normal(0, 1, (2, 3, 4)).astype(np.float32)),),
    )
    return MarginalModel(
        columns=(category("a", 3), category("b", 4), category("y", 3)),
        target="y",
        rows=100,
        weights=np.array([0.3, 0.7], dtype=np.float32),
        tables={n: rng.dirichlet(np.ones(s), 2).T.astype(np.float32) for n, s in sizes.items()},
        group={n: np.arange(s) for n, s in (*sizes.items(), ("y", 3))},
        inside={n: np.ones(s) for n, s in (*sizes.items(), ("y", 3))},
        roundness={},
        given_features=given_features,
    )


def joint(model: MarginalModel) -> np.ndarray:
    """P(a, b, y) by enumeration."""
    features = np.einsum("k,ak,bk->ab", model.weights.astype(float), model.tables["a"], model.tables["b"])
    a, b = (g.ravel() for g in np.meshgrid(np.arange(3), np.arange(4), indexing="ij"))
    assert model.given_features is not None
    p = model.given_features.probabilities({"a": a, "b": b}).reshape(3, 4, 3)
    return features[:, :, None] * p


def assert_follows(found: np.ndarray, expected: np.ndarray) -> None:
    """Counts of cells against probabilities: no cell further than five standard deviations."""
    total, expected = found.sum(), expected / expected.sum()
    spread = np.sqrt(total * expected * (1 - expected)) + 1
    assert (np.abs(found - total * expected) < 5 * spread).all()


@pytest.mark.parametrize("names", [n for r in range(4) for n in itertools.combinations(("a", "b", "y"), r)])
def test_any_condition_gives_the_exact_conditional_distribution(names: tuple[str, ...]) -> None:
    model, rows = hand_model(), 12_000
    whole = joint(model)
    rng = np.random.default_rng(1)
    wanted = {n: rng.integers(0, {"a": 3, "b": 4, "y": 3}[n], rows) for n in names}
    bins = sample_bins(model, rows, rng, given=wanted)
    for name, values in wanted.items():
        np.testing.assert_array_equal(bins[name], values)
    for values in itertools.product(*(range({"a": 3, "b": 4, "y": 3}[n]) for n in names)):
        match = np.all([bins[n] == v for n, v in zip(names, values, strict=True)], axis=0) | (not names)
        found = np.zeros(whole.shape)
        np.add.at(found, (bins["a"][match], bins["b"][match], bins["y"][match]), 1)
        index = tuple(values[names.index(n)] if n in names else slice(None) for n in ("a", "b", "y"))
        assert_follows(np.atleast_1d(found[index]), np.atleast_1d(whole[index]))


@settings(max_examples=25)
@given(shares=st.lists(st.integers(0, 40), min_size=3, max_size=3), seed=st.integers(0, 1000))
def test_classes_can_be_asked_for_in_any_numbers(shares: list[int], seed: int) -> None:
    wanted = np.random.default_rng(seed).permutation(np.repeat([0, 1, 2], shares))
    bins = sample_bins(hand_model(), len(wanted), np.random.default_rng(seed), given={"y": wanted})
    np.testing.assert_array_equal(bins["y"], wanted)
    assert all(b.shape == wanted.shape for b in bins.values())


def test_a_rare_class_is_found_and_an_impossible_one_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    rare = sample_bins(hand_model(rare=5.0), 50, np.random.default_rng(0), given={"y": np.full(50, 2)})
    assert (rare["y"] == 2).all()
    monkeypatch.setattr(conditions, "MOST_DRAWS", 20_000)
    with pytest.raises(InputError, match="next to impossible"):
        sample_bins(hand_model(rare=60.0), 5, np.random.default_rng(0), given={"y": np.full(5, 2)})


def test_conditions_with_one_seed_give_one_sample() -> None:
    wanted = {"y": np.tile([0, 1, 2], 100), "a": np.repeat([0, 1, 2], 100)}
    one, two = (sample_bins(hand_model(), 300, np.random.default_rng(3), given=wanted) for _ in range(2))
    assert all((one[n] == two[n]).all() for n in one)


# storage


def test_a_stored_model_gives_the_same_sample_and_the_same_bytes(tmp_path: Path) -> None:
    model = hand_model()
    model.save(tmp_path / "one")
    loaded = MarginalModel.load(tmp_path / "one")
    loaded.save(tmp_path / "two")
    for name in ("model.safetensors", "model.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    first, second = (sample_table(m, 500, np.random.default_rng(0)) for m in (model, loaded))
    assert first.equals(second)


def test_a_model_of_an_older_version_says_that_fitting_again_is_free(tmp_path: Path) -> None:
    hand_model().save(tmp_path)
    record = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps({**record, "format_version": 1}))
    with pytest.raises(InputError, match="another version") as caught:
        MarginalModel.load(tmp_path)
    assert "spends nothing" in str(caught.value.remedy)
