"""Utility: scores against scikit-learn, tasks, and models trained on good and on useless tables."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.audit.clock import Clock
from synth_assets.audit.models import (
    Outcome,
    Task,
    area_under_curve,
    features,
    fit,
    outcome_values,
    permutation_importance,
    scores,
)
from synth_assets.audit.utility import utility_findings
from synth_assets.config.thresholds import AuditLevels
from synth_assets_tests.unit.audit.worlds import prepared

LEVELS = AuditLevels()
BINARY = Task("y", (0.0, 1.0))


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=60).filter(
        lambda v: len({a for a, _ in v}) == 2
    )
)
def test_the_area_under_the_curve_is_scikit_learns(rows):
    from sklearn.metrics import roc_auc_score

    truth, score = np.array([a for a, _ in rows]), np.array([b for _, b in rows], dtype=float)
    assert area_under_curve(truth, score) == pytest.approx(roc_auc_score(truth, score))


def test_the_area_without_positives_is_not_a_number():
    assert np.isnan(area_under_curve(np.zeros(3, dtype=bool), np.arange(3.0)))


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=4, max_size=60).filter(
        lambda v: len({a for a, _ in v}) == 2
    )
)
def test_two_class_scores_are_scikit_learns(rows):
    from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

    truth, guess = (np.array(v) for v in zip(*rows, strict=True))
    made = scores(BINARY, truth.astype(float), np.column_stack([1 - guess, guess]).astype(float))
    assert made["accuracy"] == pytest.approx(accuracy_score(truth, guess))
    assert made["precision"] == pytest.approx(precision_score(truth, guess, zero_division=0))
    assert made["recall"] == pytest.approx(recall_score(truth, guess, zero_division=0))
    assert made["f1"] == pytest.approx(f1_score(truth, guess, zero_division=0))


def test_scores_of_several_classes_are_means_over_the_classes_that_occur():
    task = Task("y", (0.0, 1.0, 2.0, 3.0))
    truth = np.array([0.0, 0.0, 1.0, 2.0])
    made = scores(task, truth, np.eye(4)[[0, 1, 1, 2]])
    assert made["accuracy"] == 0.75
    assert made["precision"] == pytest.approx((1 + 0.5 + 1) / 3)
    assert made["recall"] == pytest.approx((0.5 + 1 + 1) / 3)
    assert 0.5 < made["roc_auc"] <= 1


def test_regression_scores_by_hand():
    task = Task("y", (), scale=2.0)
    made = scores(task, np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 5.0]))
    assert made["r2"] == pytest.approx(1 - 4 / 2)
    assert made["mae"] == pytest.approx(2 / 3 / 2)


@pytest.mark.parametrize(
    ("column", "classes"),
    [
        (["no", "yes", "no", None], (0.0, 1.0)),
        ([0, 1, 1, 0], (0.0, 1.0)),
        ([1.5, 2.5, 3, 4], ()),
        (list(range(40)), ()),
    ],
)
def test_the_task_follows_from_the_outcome(column, classes):
    task = Outcome(prepared(train={"y": column}, synthetic={"y": column}), "y").task()
    assert isinstance(task, Task)
    assert task.classes == classes


@pytest.mark.parametrize(
    ("column", "reason"), [(["a", "a"], "fewer than two"), ([f"c{i}" for i in range(30)], "more than 20")]
)
def test_an_outcome_that_cannot_be_modelled_is_a_reason(column, reason):
    assert reason in Outcome(prepared(train={"y": column}, synthetic={"y": column}), "y").task()


def test_a_class_that_real_rows_do_not_have_is_unknown():
    data = prepared(train={"y": ["a", "b"]}, synthetic={"y": ["b", "z"]})
    task = Outcome(data, "y").task()
    assert outcome_values(task, data.parts["synthetic"]).tolist() == [1.0, -1.0]


def test_features_keep_missing_apart_and_drop_unknown_categories():
    data = prepared(
        train={"x": [1, 2, None], "c": ["a", "b", "a"], "y": ["n", "p", "p"]},
        synthetic={"x": [1, None, 9], "c": ["b", "z", None], "y": ["n", "p", "p"]},
    )
    trees = features(data, data.parts["synthetic"], "y", "gradient_boosting")
    assert np.array_equal(trees, [[1, 1], [np.nan, np.nan], [9, np.nan]], equal_nan=True)
    linear = features(data, data.parts["synthetic"], "y", "linear")
    assert linear.shape == (3, 5)
    assert linear[:, 2].tolist() == [0, 1, 0]  # missing
    assert linear[:, 3:].tolist() == [[0, 1], [0, 0], [0, 0]]


def test_one_class_only_gives_a_constant_model():
    model = fit(BINARY, "linear", np.zeros((5, 1)), np.ones(5), categorical=[False], seed=0)
    assert model.predict(np.zeros((2, 1))).tolist() == [[0, 1], [0, 1]]


def test_importance_finds_the_column_that_matters():
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(500, 3))
    truth = (matrix[:, 1] > 0).astype(float)
    model = fit(BINARY, "gradient_boosting", matrix, truth, categorical=[False] * 3, seed=0)
    weights = permutation_importance(BINARY, model, matrix, truth, 1)
    assert weights.argmax() == 1
    assert abs(weights[0]) < 0.05


def _table(rows, seed, *, signal=True, regression=False):
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=rows), rng.normal(size=rows)
    c = rng.choice(["a", "b"], rows)
    score = x + (c == "a") + 0.5 * rng.normal(size=rows) if signal else rng.normal(size=rows)
    outcome = score.round(3).tolist() if regression else np.where(score > 0.5, "yes", "no").tolist()
    return {"x": x.tolist(), "z": z.tolist(), "c": c.tolist(), "y": outcome}


def _run(synthetic, **options):
    data = prepared(train=_table(600, 1, **options), holdout=_table(400, 2, **options), synthetic=synthetic)
    made = utility_findings(data, "y", rows=50_000, levels=LEVELS, seed=5, clock=Clock())
    return made, {f.metric: f for f in made.findings}


def test_a_fresh_sample_keeps_utility():
    made, found = _run(_table(600, 3))
    assert made.reason is None
    head = found["predictive_score"]
    assert head.risk_level == "low"
    assert head.value == pytest.approx(head.baseline, abs=0.05)
    assert head.naive == 0.5
    assert {
        f"{family}.{m}"
        for family in ("gradient_boosting", "linear")
        for m in ("roc_auc", "accuracy", "f1", "precision", "recall")
    } <= set(found)
    assert found["linear.roc_auc"].details["train_real_test_synthetic"] > 0.8
    assert found["feature_importance"].value > 0.4


def test_a_table_without_signal_loses_utility():
    _, found = _run(_table(600, 3, signal=False))
    assert found["predictive_score"].risk_level == "high"
    assert found["predictive_score"].excess > 0.2


def test_a_synthetic_table_with_one_outcome_scores_at_chance():
    table = _table(600, 3)
    table["y"] = ["no"] * 600
    _, found = _run(table)
    assert found["predictive_score"].value == 0.5
    assert found["linear.roc_auc"].details["train_real_test_synthetic"] is None


def test_regression_is_scored_by_r2():
    _, found = _run(_table(600, 3, regression=True), regression=True)
    assert found["predictive_score"].naive == 0.0
    assert found["linear.r2"].value > 0.7
    assert found["linear.mae"].excess == pytest.approx(0, abs=0.1)


def test_an_outcome_that_nothing_predicts_gives_a_reason():
    made, found = _run(_table(600, 3, regression=True, signal=False), regression=True, signal=False)
    assert "better than by chance" in made.reason
    assert found


def test_too_few_rows_give_a_reason():
    data = prepared(train=_table(600, 1), holdout=_table(20, 2), synthetic=_table(600, 3))
    assert "fewer than 30 rows" in utility_findings(data, "y", rows=50_000, levels=LEVELS, seed=5, clock=Clock()).reason


def test_held_out_rows_with_one_outcome_give_a_reason():
    holdout = _table(200, 2)
    holdout["y"] = ["no"] * 200
    data = prepared(train=_table(600, 1), holdout=holdout, synthetic=_table(600, 3))
    made = utility_findings(data, "y", rows=50_000, levels=LEVELS, seed=5, clock=Clock())
    assert "one outcome only" in made.reason
    assert made.findings == ()


def test_the_same_seed_gives_the_same_figures():
    first, second = _run(_table(600, 3))[0], _run(_table(600, 3))[0]
    assert first.findings == second.findings
