"""Feature importance: shuffled columns, rank correlation by hand, and the control of two real models."""

from __future__ import annotations

import numpy as np
import pytest

from synth_assets.audit.importance import importance_finding, permutation_importance, spearman
from synth_assets.audit.models import Task, fit
from synth_assets.audit.scores import resamples
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


def test_reversed_importances_are_a_high_risk_and_equal_ones_a_low_one():
    real, refit = _losses([1, 2, 3, 4, 5]), _losses([1, 2, 3, 4, 5], seed=1)
    good = importance_finding(real, _losses([1, 2, 3, 4, 5], seed=2), refit, 300, AuditLevels())
    assert (good.value, good.baseline, good.excess, good.risk_level) == (1.0, 1.0, 0.0, "low")
    bad = importance_finding(real, _losses([5, 4, 3, 2, 1], seed=2), refit, 300, AuditLevels())
    assert (bad.value, bad.excess, bad.risk_level) == (-1.0, 2.0, "high")
    assert bad.excess_interval[0] > 1
    assert bad.sample_size == bad.control_size == 300


def test_a_difference_that_resampling_explains_is_low():
    real, refit = _losses([1, 2, 3, 4, 5], 1.0), _losses([1, 2, 3, 4, 5], 1.0, seed=1)
    made = importance_finding(real, _losses([2, 1, 3, 5, 4], 1.0, seed=2), refit, 300, AuditLevels())
    assert made.excess == pytest.approx(0.2)
    assert made.risk_level == "low"
    assert made.interval[0] <= made.value <= made.interval[1]
