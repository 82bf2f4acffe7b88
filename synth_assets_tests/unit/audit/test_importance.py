"""Feature importance: shuffled columns, rank correlation by hand, and the control of two real models."""

from __future__ import annotations

import numpy as np
import pytest

from synth_assets.audit.utility.importance import importance_finding, permutation_importance, spearman
from synth_assets.audit.utility.models import Task, fit
from synth_assets.audit.utility.scores import resamples
from synth_assets.config.thresholds import AuditLevels

BINARY = Task("y", (0.0, 1.0))


def test_importance_finds_the_column_that_matters():
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(500, 3))
    truth = (matrix[:, 1] > 0).astype(float)
    model = fit(BINARY, "gradient_boosting", matrix, truth, categorical=[False] * 3, seed=0)
    losses = permutation_importance(BINARY, model, matrix, truth, resamples(500, 20, 1), 1)
    assert losses.shape == (3, 21)
    assert (losses.argmax(axis=0) == 1).all()
    assert abs(losses[0, 0]) < 0.05


def test_rank_correlation_is_scipys_with_ties():
    from scipy.stats import spearmanr

    rng = np.random.default_rng(3)
    first, second = rng.integers(0, 4, (7, 5)).astype(float), rng.integers(0, 4, (7, 5)).astype(float)
    wanted = [spearmanr(first[:, i], second[:, i]).statistic for i in range(5)]
    assert spearman(first, second) == pytest.approx(wanted)


def test_without_an_order_there_is_no_agreement():
    assert spearman(np.ones((4, 1)), np.arange(4.0)[:, None])[0] == 0


def _losses(order, spread=0.01, seed=0):
    draws = np.random.default_rng(seed).normal(scale=spread, size=(len(order), 51))
    draws[:, 0] = 0
    return np.asarray(order, dtype=float)[:, None] / 10 + draws


def _finding(order, spread=0.01, columns=7):
    real, *halves = (_losses(range(1, columns + 1), spread, seed) for seed in range(5))
    pairs = [(halves[0], halves[1]), (halves[2], halves[3])]
    return importance_finding(real, _losses(order, spread, 9), pairs, 300, AuditLevels())


def test_reversed_importances_are_a_high_risk_and_equal_ones_a_low_one():
    good = _finding([1, 2, 3, 4, 5, 6, 7])
    assert (good.value, good.baseline, good.excess) == pytest.approx((1.0, 1.0, 0.0))
    assert good.risk_level == "low"
    bad = _finding([7, 6, 5, 4, 3, 2, 1])
    assert (bad.value, bad.excess) == pytest.approx((-1.0, 2.0))
    assert bad.risk_level == "high"
    assert bad.excess_interval[0] > 1
    assert bad.sample_size == bad.control_size == 300


def test_a_difference_that_resampling_explains_is_low():
    made = _finding([2, 1, 3, 5, 4, 7, 6], spread=0.1)
    assert made.excess > 0
    assert made.risk_level == "low"
    assert made.interval[0] <= made.value <= made.interval[1]


def test_columns_that_resampling_does_not_tell_from_none_share_a_rank():
    made = _finding([0.01, 0.02, 0.03, 0.04, 0.05, 6, 7], spread=0.05)
    swapped = _finding([0.05, 0.04, 0.03, 0.02, 0.01, 6, 7], spread=0.05)
    assert made.value == swapped.value


def test_ranks_of_few_columns_are_shown_and_judge_nothing():
    made = _finding([4, 3, 2, 1], columns=4)
    assert made.value == pytest.approx(-1.0)
    assert made.risk_level == "low"
    assert "too few" in made.message
