"""The model: the hand-written gradient is that of the loss, and what is sampled is what the model says."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest
import torch  # noqa: TID253  a test of torch code

from synth_assets.synthesis.marginals.features import posterior
from synth_assets.synthesis.marginals.measurements import ColumnCells
from synth_assets.synthesis.marginals.mixture import Mixture, PairTable
from synth_assets.synthesis.marginals.model import MarginalModel
from synth_assets.synthesis.marginals.sample import decode, sample_bins, sample_table, values
from synth_assets.synthesis.marginals.target_model import TargetModel

SIZES = [3, 4, 2]
LEVELS = [np.array([[0, 1, 2], [0, 0, 1]]), np.array([[0, 1, 2, 3], [0, 0, 1, 1]]), np.array([[0, 1], [0, 1]])]


def small_mixture(classes: int = 2) -> Mixture:
    rng = np.random.default_rng(0)
    mixture = Mixture(
        SIZES,
        LEVELS,
        [np.full(s, 1 / s) for s in SIZES],
        np.array([0.7, 0.3])[:classes],
        components=6,
        spread=0.8,
        rate=0.05,
        seed=1,
    )
    pairs = [
        PairTable(0, 1, 0, True, rng.random((classes, 3, 4)) / 12),
        PairTable(0, 2, 0, False, rng.random((1, 3, 2)) / 6),
        PairTable(1, 2, 0, True, rng.random((classes, 4, 2)) / 8),
        PairTable(0, 1, 1, False, rng.random((1, 2, 2)) / 4),
        PairTable(1, 2, 1, True, rng.random((classes, 2, 2)) / 4),
    ]
    with_target = [rng.random((classes, s)) / s for s in SIZES]
    mixture.set_targets(pairs, with_target, 0.4, rng.random(9) / 3, rng.random(9))
    mixture.test_parts = (pairs, with_target)  # type: ignore[attr-defined]
    return mixture


def loss(mixture: Mixture, logits: torch.Tensor, entropy: float) -> torch.Tensor:
    """The loss in plain torch: half squared distances times 2, as the gradient counts them."""
    pairs, with_target = mixture.test_parts  # type: ignore[attr-defined]
    blocks = [torch.softmax(logits[int(a) : int(b)], 0) for a, b in itertools.pairwise(mixture.offsets)]
    w = mixture.weights
    total = torch.zeros(())
    for q in pairs:
        tables = []
        for s in mixture.class_slices:
            left, right = blocks[q.a][:, s], blocks[q.b][:, s]
            t = (left * w[s]) @ right.T
            low = torch.zeros(int(mixture.levels[q.a][q.level].max()) + 1, t.shape[1]).index_add(
                0, torch.tensor(mixture.levels[q.a][q.level]), t
            )
            t = torch.zeros(low.shape[0], int(mixture.levels[q.b][q.level].max()) + 1).index_add(
                1, torch.tensor(mixture.levels[q.b][q.level]), low
            )
            tables.append(t)
        model = torch.stack(tables) if q.with_target else torch.stack(tables).sum(0, keepdim=True)
        total = total + ((model - torch.tensor(q.values, dtype=torch.float32)) ** 2).sum()
    p = torch.cat(blocks)
    means = torch.stack([p[:, s] @ w[s] for s in mixture.class_slices], 1)
    total = total + (mixture.one_weights * (means.sum(1) - mixture.ones) ** 2).sum()
    aim = torch.tensor(np.concatenate([t.T for t in with_target]), dtype=torch.float32)
    total = total + 0.4 * ((means - aim) ** 2).sum()
    return total + entropy * (w * (p * torch.log(p + 1e-9) - p)).sum()


@pytest.mark.parametrize("entropy", [0.0, 0.01])
def test_the_hand_written_gradient_is_the_derivative_of_the_loss(entropy: float) -> None:
    mixture = small_mixture()
    logits = mixture.logits.clone().requires_grad_(True)
    torch.autograd.backward(loss(mixture, logits, entropy))
    p = mixture.probabilities()
    g = mixture.gradient(p, entropy) * p
    by_hand = (g - p * mixture._column_sums(g)[mixture.segment]) * mixture.weights
    assert logits.grad is not None
    torch.testing.assert_close(by_hand, logits.grad, rtol=1e-3, atol=1e-6)


def test_every_column_of_every_component_is_a_distribution() -> None:
    mixture = small_mixture()
    mixture.optimise(20, 0.001)
    sums = mixture._column_sums(mixture.probabilities())
    torch.testing.assert_close(sums, torch.ones_like(sums))


def test_the_fit_comes_close_to_tables_that_a_model_can_have() -> None:
    truth = np.array([[0.30, 0.05], [0.05, 0.20], [0.10, 0.30]])
    mixture = Mixture(
        [3, 2],
        [np.arange(3)[None], np.arange(2)[None]],
        [np.full(3, 1 / 3), np.full(2, 0.5)],
        np.ones(1),
        components=20,
        spread=0.5,
        rate=0.05,
        seed=0,
    )
    ones = np.concatenate([truth.sum(1), truth.sum(0)])
    mixture.set_targets([PairTable(0, 1, 0, False, truth[None])], [], 0.0, ones, np.ones(5))
    mixture.optimise(400, 0.0)
    full, offsets = mixture.tables()[0]
    assert full[0, : offsets[1], offsets[1] :] == pytest.approx(truth, abs=0.004)


def test_two_runs_with_one_seed_give_equal_models() -> None:
    results = []
    for _ in range(2):
        mixture = small_mixture()
        mixture.optimise(15, 0.001)
        results.append(mixture.probabilities())
    assert torch.equal(results[0], results[1])


# sampling and conditioning of a model made by hand


def hand_model() -> MarginalModel:
    """Two components: mostly (a, x) with weight 0.6, mostly (b, y) with 0.4; log odds of the target -1, +2 for b, +0.5 for y."""
    columns = (
        ColumnCells(name="c", kind="category", dtype="string", categories=("a", "b")),
        ColumnCells(name="d", kind="category", dtype="string", categories=("x", "y")),
        ColumnCells(name="t", kind="category", dtype="bool", categories=("false", "true")),
    )
    given_features = TargetModel(
        features=("c", "d"),
        share=np.array([0.5, 0.5]),
        intercept=np.array([-1.0], dtype=np.float32),
        effects=(np.array([[0.0, 2.0, 0.0]], dtype=np.float32), np.array([[0.0, 0.5, 0.0]], dtype=np.float32)),
        interactions=(),
        leading=(0, 1),
    )
    return MarginalModel(
        columns=columns,
        target="t",
        rows=100,
        weights=np.array([0.6, 0.4], dtype=np.float32),
        tables={
            "c": np.array([[0.9, 0.2], [0.1, 0.8], [0.0, 0.0]], dtype=np.float32),
            "d": np.array([[0.7, 0.1], [0.3, 0.9], [0.0, 0.0]], dtype=np.float32),
        },
        group={"c": np.arange(3), "d": np.arange(3), "t": np.array([0, 1, 0])},
        inside={"c": np.ones(3), "d": np.ones(3), "t": np.array([1.0, 1.0, 0.0])},
        roundness={},
        given_features=given_features,
    )


# P(c, d) of the hand model, and P(t = 1 | c, d)
JOINT = np.array(
    [
        [0.6 * 0.9 * 0.7 + 0.4 * 0.2 * 0.1, 0.6 * 0.9 * 0.3 + 0.4 * 0.2 * 0.9],
        [0.6 * 0.1 * 0.7 + 0.4 * 0.8 * 0.1, 0.6 * 0.1 * 0.3 + 0.4 * 0.8 * 0.9],
    ]
)
TRUE = 1 / (1 + np.exp(1.0 - np.array([[0.0, 0.5], [2.0, 2.5]])))


def test_the_posterior_is_the_rule_of_bayes() -> None:
    # P(1 | c=b) = .6 * .1 / (.6 * .1 + .4 * .8); with d=x as well: .06 * .7 / (.06 * .7 + .32 * .1)
    one = posterior(hand_model(), {"c": np.array([1])})
    two = posterior(hand_model(), {"c": np.array([1]), "d": np.array([0])})
    assert one[0, 0] == pytest.approx(0.06 / 0.38, rel=1e-5)
    assert two[0, 0] == pytest.approx(0.042 / (0.042 + 0.032), rel=1e-5)


def test_sampling_under_conditions_follows_the_conditional_distribution() -> None:
    rows = 40_000
    given = {"c": np.repeat([0, 1], rows // 2)}
    bins = sample_bins(hand_model(), rows, np.random.default_rng(0), given=given)
    np.testing.assert_array_equal(bins["c"], given["c"])
    for value in (0, 1):
        expected = JOINT[value] / JOINT[value].sum()  # P(d | c)
        assert np.mean(bins["d"][given["c"] == value] == 1) == pytest.approx(expected[1], abs=0.012)
        assert np.mean(bins["t"][given["c"] == value] == 1) == pytest.approx(expected @ TRUE[value], abs=0.012)


def test_conditions_that_are_interleaved_stay_with_their_rows() -> None:
    given = {"c": np.tile([0, 1], 5000)}
    bins = sample_bins(hand_model(), 10_000, np.random.default_rng(3), given=given)
    for value in (0, 1):
        expected = JOINT[value] @ TRUE[value] / JOINT[value].sum()
        assert np.mean(bins["t"][given["c"] == value] == 1) == pytest.approx(expected, abs=0.02)


def test_sampling_without_conditions_has_the_shares_of_the_model() -> None:
    table = sample_table(hand_model(), 10_000, np.random.default_rng(0))
    assert table.schema == pa.schema([("c", pa.string()), ("d", pa.string()), ("t", pa.bool_())])
    assert np.mean(np.array(table.column("c").to_pylist()) == "a") == pytest.approx(0.6 * 0.9 + 0.4 * 0.2, abs=0.002)
    assert np.mean(table.column("t").to_pylist()) == pytest.approx((JOINT * TRUE).sum(), abs=0.005)


def test_one_seed_gives_one_sample_and_another_seed_another() -> None:
    first, again, other = (sample_table(hand_model(), 500, np.random.default_rng(s)) for s in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_very_few_rows_can_be_sampled(rows: int) -> None:
    assert sample_table(hand_model(), rows, np.random.default_rng(0)).num_rows == rows


def one_column(column: ColumnCells, *, roundness: np.ndarray | None = None) -> MarginalModel:
    cells = column.size
    inside = np.r_[np.full(column.value_cells, 0.8 / column.value_cells), 0.2, np.zeros(int(column.open))]
    return MarginalModel(
        columns=(column,),
        target=None,
        rows=100,
        weights=np.ones(1, dtype=np.float32),
        tables={column.name: np.ones((1, 1), dtype=np.float32)},
        group={column.name: np.zeros(cells, dtype=np.int64)},
        inside={column.name: inside},
        roundness={} if roundness is None else {column.name: roundness},
    )


def test_missing_cells_become_null() -> None:
    column = ColumnCells(name="c", kind="category", dtype="int64", categories=("1", "2"))
    sampled = decode(one_column(column), {"c": np.zeros(1000, dtype=np.int64)}, np.random.default_rng(0)).column("c")
    assert sampled.type == pa.int64()
    assert sampled.null_count == 200
    assert set(sampled.drop_null().to_pylist()) == {1, 2}


def test_other_categories_become_listed_ones() -> None:
    column = ColumnCells(name="c", kind="category", dtype="string", categories=("a", "b"), open=True)
    model = one_column(column)
    model.inside["c"][:] = [0.3, 0.1, 0.0, 0.6]
    sampled = values(model, "c", np.zeros(4000, dtype=np.int64), np.random.default_rng(0)).to_pylist()
    assert set(sampled) == {"a", "b"}
    assert np.mean(np.array(sampled) == "a") == pytest.approx(0.75, abs=0.03)


def test_amounts_are_rounded_as_the_measured_steps_say() -> None:
    edges = (0, 1, 10**6, 50 * 10**6, 100 * 10**6 + 1)
    column = ColumnCells(
        name="c", kind="number", dtype="double", decimals=6, edges=edges, steps=tuple(10**k for k in range(8))
    )
    cents = np.zeros(8)
    cents[4] = 1.0  # 10^4 units of 10^-6: two digits after the point
    sampled = values(one_column(column, roundness=cents), "c", np.zeros(2000, dtype=np.int64), np.random.default_rng(0))
    amounts = np.array(sampled.drop_null().to_pylist())
    assert (np.round(amounts, 2) == amounts).all()
    assert ((amounts >= 0) & (amounts <= 100)).all()


def test_a_difference_is_added_to_its_base_and_keeps_the_order() -> None:
    from datetime import date

    column = ColumnCells(name="c", kind="date", dtype="date32[day]", edges=(0, 1, 5, 30), minus="first")
    base = pa.array([date(2020, 1, 1), None] * 500, pa.date32())
    late = values(one_column(column), "c", np.zeros(1000, dtype=np.int64), np.random.default_rng(0), base=base)
    assert late.type == pa.date32()
    for first, second in zip(base.to_pylist(), late.to_pylist(), strict=True):
        assert second is None or (first is not None and second >= first)
    assert late.null_count >= 500


def test_the_model_is_fitted_on_one_thread_and_the_number_of_threads_is_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        seen = []
        mixture = small_mixture()
        monkeypatch.setattr(mixture, "_step", lambda rate, entropy: seen.append(torch.get_num_threads()))
        mixture.optimise(3, 0.01)
        assert seen == [1, 1, 1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
