"""Scores of predictions against scikit-learn and by hand, and their bootstrap draws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.audit.utility.models import Task
from synth_assets.audit.utility.scores import (
    area_under_curve,
    counted,
    evident,
    headline,
    measure,
    naive,
    percentiles,
    ranking,
    resamples,
)
from synth_assets.config.thresholds import Cutoffs

BINARY = Task("y", (0.0, 1.0))
BOTH = st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=60).filter(
    lambda v: len({a for a, _ in v}) == 2
)


def _points(task, truth, predicted):
    """The figures without draws."""
    made = measure(task, truth, predicted, np.ones((len(truth), 1), dtype=np.float32))
    return {name: values[0] for name, values in made.items()}


@given(BOTH)
def test_area_and_average_precision_are_scikit_learns(rows):
    from sklearn.metrics import average_precision_score, roc_auc_score

    truth, score = np.array([a for a, _ in rows]), np.array([b for _, b in rows], dtype=float)
    area, steps = ranking(truth, score, np.ones((len(truth), 1), dtype=np.float32))
    assert area[0] == pytest.approx(roc_auc_score(truth, score))
    assert steps[0] == pytest.approx(average_precision_score(truth, score))
    assert area_under_curve(truth, score) == area[0]


@given(BOTH, st.integers(0, 1000))
def test_a_weighted_figure_is_that_of_the_repeated_rows(rows, seed):
    from sklearn.metrics import average_precision_score, roc_auc_score

    truth, score = np.array([a for a, _ in rows]), np.array([b for _, b in rows], dtype=float)
    weights = np.random.default_rng(seed).integers(0, 3, (len(rows), 1))
    repeated = np.repeat(np.arange(len(rows)), weights[:, 0])
    area, steps = ranking(truth, score, weights.astype(np.float32))
    if len(set(truth[repeated])) == 2:
        assert area[0] == pytest.approx(roc_auc_score(truth[repeated], score[repeated]))
        assert steps[0] == pytest.approx(average_precision_score(truth[repeated], score[repeated]))


def test_the_area_without_positives_is_not_a_number():
    assert np.isnan(area_under_curve(np.zeros(3, dtype=bool), np.arange(3.0)))


def test_area_and_average_precision_by_hand():
    # from the top: positive, negative, positive, negative
    area, steps = ranking(np.array([True, False, True, False]), np.array([4.0, 3, 2, 1]), np.ones((4, 1), np.float32))
    assert area[0] == pytest.approx(3 / 4)
    assert steps[0] == pytest.approx((1 / 1 + 2 / 3) / 2)


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=4, max_size=60).filter(
        lambda v: len({a for a, _ in v}) == 2
    )
)
def test_two_class_scores_are_scikit_learns(rows):
    from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

    truth, guess = (np.array(v) for v in zip(*rows, strict=True))
    made = _points(BINARY, truth.astype(float), np.column_stack([1 - guess, guess]).astype(float))
    assert made["accuracy"] == pytest.approx(accuracy_score(truth, guess))
    assert made["precision"] == pytest.approx(precision_score(truth, guess, zero_division=0))
    assert made["recall"] == pytest.approx(recall_score(truth, guess, zero_division=0))
    assert made["f1"] == pytest.approx(f1_score(truth, guess, zero_division=0))


def test_scores_of_several_classes_are_means_over_the_classes_that_occur():
    task = Task("y", (0.0, 1.0, 2.0, 3.0))
    truth = np.array([0.0, 0.0, 1.0, 2.0])
    made = _points(task, truth, np.eye(4)[[0, 1, 1, 2]])
    assert made["accuracy"] == 0.75
    assert made["precision"] == pytest.approx((1 + 0.5 + 1) / 3)
    assert made["recall"] == pytest.approx((0.5 + 1 + 1) / 3)
    assert made["roc_auc"] == pytest.approx((0.75 + 5 / 6 + 1) / 3)
    assert made["average_precision"] == pytest.approx(((1 + 2 / 4) / 2 + 1 / 2 + 1) / 3)


def test_a_class_of_few_rows_does_not_count_beside_common_ones():
    truth = np.repeat([0.0, 1.0, 2.0, -1.0], [10, 12, 9, 3])
    assert counted(Task("y", (0.0, 1.0, 2.0)), truth) == [0, 1]
    assert counted(Task("y", (0.0, 1.0, 2.0)), truth[5:20]) == [0, 1]
    assert counted(BINARY, truth) == [1]


def test_a_gap_that_resampling_explains_is_low():
    cutoffs = Cutoffs(medium=0.05, high=0.15)
    assert evident(cutoffs, 0.2, (0.01, 0.4)) == "high"
    assert evident(cutoffs, 0.2, (-0.01, 0.4)) == "low"
    assert evident(cutoffs, 0.2, None) == "low"
    assert evident(cutoffs, 0.2, (0.01, 0.4), figures=36) == "low"  # 0.2 - 0.19 * 3.2 / 1.96 is below 0
    assert evident(cutoffs, 0.2, (0.09, 0.3), figures=36) == "high"


def test_regression_scores_by_hand():
    task = Task("y", (), scale=2.0)
    made = _points(task, np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 5.0]))
    assert made["r2"] == pytest.approx(1 - 4 / 2)
    assert made["mae"] == pytest.approx(2 / 3 / 2)
    assert made["rmse"] == pytest.approx(np.sqrt(4 / 3) / 2)


def test_an_outcome_without_spread_has_no_r2():
    assert np.isnan(_points(Task("y", ()), np.ones(3), np.ones(3))["r2"])


def test_the_headline_is_the_same_figure_as_among_all_scores():
    rng = np.random.default_rng(0)
    truth, predicted, weights = rng.integers(0, 3, 60).astype(float), rng.dirichlet([1, 1, 1], 60), resamples(60, 5, 1)
    task = Task("y", (0.0, 1.0, 2.0))
    assert np.array_equal(
        headline(task, truth, predicted, weights), measure(task, truth, predicted, weights)["roc_auc"]
    )


def test_resamples_start_with_ones_and_draw_as_many_rows():
    weights = resamples(50, 20, 3)
    assert weights.shape == (50, 21)
    assert (weights[:, 0] == 1).all()
    assert (weights.sum(axis=0) == 50).all()
    assert (weights == resamples(50, 20, 3)).all()
    assert (weights != resamples(50, 20, 4)).any()


def test_rows_of_one_unit_are_drawn_together():
    weights = resamples(6, 30, 3, units=np.array([7, 7, 9, 9, 9, 2]))
    assert (weights[0] == weights[1]).all()
    assert (weights[2] == weights[4]).all()
    assert (weights[0] != weights[2]).any()


def test_percentiles_leave_out_the_figure_and_draws_without_one():
    assert percentiles(np.array([99.0, np.nan, *np.arange(101.0)])) == pytest.approx((2.5, 97.5))
    assert percentiles(np.array([99.0, np.nan])) is None


def test_the_interval_of_the_area_agrees_with_hanley_and_mcneil():
    rng = np.random.default_rng(1)
    truth = np.arange(2000) < 600
    score = rng.normal(size=2000) + truth
    area, _ = ranking(truth, score, resamples(2000, 400, 2))
    low, high = percentiles(area)
    a, p, n = area[0], 600, 1400
    q1, q2 = a / (2 - a), 2 * a * a / (1 + a)
    spread = np.sqrt((a * (1 - a) + (p - 1) * (q1 - a * a) + (n - 1) * (q2 - a * a)) / p / n)
    assert (high - low) / 2 / 1.96 == pytest.approx(spread, rel=0.2)


def test_what_a_guess_reaches_follows_from_the_classes():
    made = naive(BINARY, np.array([0.0, 0, 0, 1]))
    assert made == {"roc_auc": 0.5, "accuracy": 0.75, "average_precision": 0.25}
    assert naive(Task("y", ()), np.ones(3)) == {"r2": 0.0}
