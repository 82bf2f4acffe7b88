"""Utility: tasks, and models trained on good and on useless tables."""

from __future__ import annotations

import numpy as np
import pytest

from synth_assets.audit.clock import Clock
from synth_assets.audit.utility.models import (
    Outcome,
    Task,
    features,
    fit,
    outcome_values,
)
from synth_assets.audit.utility.module import utility_findings
from synth_assets.config.thresholds import AuditLevels, AuditLimits
from synth_assets_tests.unit.audit.worlds import prepared

LEVELS = AuditLevels()
BINARY = Task("y", (0.0, 1.0))
LIMITS = AuditLimits()


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


def _table(rows, seed, *, signal=True, regression=False):
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=rows), rng.normal(size=rows)
    c = rng.choice(["a", "b"], rows)
    score = x + (c == "a") + 0.5 * rng.normal(size=rows) if signal else rng.normal(size=rows)
    outcome = score.round(3).tolist() if regression else np.where(score > 0.5, "yes", "no").tolist()
    return {"x": x.tolist(), "z": z.tolist(), "c": c.tolist(), "y": outcome}


def _run(synthetic, **options):
    data = prepared(train=_table(600, 1, **options), holdout=_table(400, 2, **options), synthetic=synthetic)
    made = utility_findings(data, "y", limits=LIMITS, levels=LEVELS, seed=5, clock=Clock())
    return made, {f.metric: f for f in made.findings}


def test_a_fresh_sample_keeps_utility():
    made, found = _run(_table(600, 3))
    assert made.reason is None
    head = found["predictive_score"]
    assert head.risk_level == "low"
    assert head.value == pytest.approx(head.baseline, abs=0.05)
    assert head.naive == 0.5
    assert {
        f"{way}{family}.{m}"
        for way in ("", "train_real_test_synthetic.")
        for family in ("gradient_boosting", "linear", "random_forest")
        for m in ("roc_auc", "average_precision", "accuracy", "f1", "precision", "recall")
    } == set(found) - {"predictive_score", "feature_importance"}
    assert found["train_real_test_synthetic.linear.roc_auc"].value > 0.8
    assert found["feature_importance"].value > 0.4


def test_every_figure_and_gap_has_an_interval_that_holds_it_and_its_sample_sizes():
    _, found = _run(_table(600, 3))
    for finding in found.values():
        assert finding.interval[0] <= finding.value <= finding.interval[1], finding.metric
        assert finding.excess_interval[0] <= finding.excess <= finding.excess_interval[1], finding.metric
        assert finding.sample_size == finding.control_size == 400, finding.metric
    head = found["predictive_score"]
    unpaired = np.diff(head.interval)[0] + head.details["baseline_high"] - head.details["baseline_low"]
    assert np.diff(head.excess_interval)[0] < unpaired / 2  # both models are tested on the same rows


def test_the_real_model_learns_from_no_more_rows_than_the_synthetic_one():
    made, found = _run(_table(100, 3))
    assert made.fitted.trained == 100
    assert found["predictive_score"].details["training_rows"] == 100
    assert found["train_real_test_synthetic.linear.f1"].sample_size == 100
    assert _run(_table(3000, 3))[0].fitted.trained == 600


def test_a_rare_outcome_is_measured_and_its_shuffled_copy_is_high_risk():
    def rare(rows, seed):
        table = _table(rows, seed)
        return table | {"y": ["sick" if x > 1.9 else "well" for x in table["x"]]}

    data = {"train": rare(2000, 1), "holdout": rare(2000, 2), "synthetic": rare(2000, 3)}
    truth = np.mean([y == "sick" for y in data["holdout"]["y"]])
    assert 0.01 < truth < 0.05
    good = utility_findings(prepared(**data), "y", limits=LIMITS, levels=LEVELS, seed=5, clock=Clock())
    head = {f.metric: f for f in good.findings}
    assert head["predictive_score"].risk_level == "low"
    assert head["linear.average_precision"].naive == pytest.approx(1 - truth)  # "well" sorts last
    data["synthetic"]["y"] = list(np.random.default_rng(0).permutation(data["synthetic"]["y"]))
    bad = utility_findings(prepared(**data), "y", limits=LIMITS, levels=LEVELS, seed=5, clock=Clock())
    assert bad.findings[0].risk_level == "high"


def test_several_classes_with_a_class_of_one_row_are_scored():
    def several(rows, seed, *, shuffled=False):
        table = _table(rows, seed)
        y = np.where(np.array(table["x"]) > 0.5, "high", np.where(np.array(table["x"]) < -0.5, "low", "mid"))
        y = np.random.default_rng(9).permutation(y) if shuffled else y
        return table | {"y": ["once", *y[1:].tolist()]}

    data = {"train": several(600, 1), "holdout": several(400, 2)}
    for shuffled, level in ((False, "low"), (True, "high")):
        tables = prepared(**data, synthetic=several(600, 3, shuffled=shuffled))
        found = utility_findings(tables, "y", limits=LIMITS, levels=LEVELS, seed=5, clock=Clock()).findings
        assert found[0].risk_level == level


def test_a_table_without_signal_loses_utility():
    _, found = _run(_table(600, 3, signal=False))
    assert found["predictive_score"].risk_level == "high"
    assert found["predictive_score"].excess > 0.2


def test_a_synthetic_table_with_one_outcome_scores_at_chance():
    table = _table(600, 3)
    table["y"] = ["no"] * 600
    _, found = _run(table)
    assert found["predictive_score"].value == 0.5
    assert "train_real_test_synthetic.linear.roc_auc" not in found


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
    assert (
        "fewer than 30 rows" in utility_findings(data, "y", limits=LIMITS, levels=LEVELS, seed=5, clock=Clock()).reason
    )


def test_held_out_rows_with_one_outcome_give_a_reason():
    holdout = _table(200, 2)
    holdout["y"] = ["no"] * 200
    data = prepared(train=_table(600, 1), holdout=holdout, synthetic=_table(600, 3))
    made = utility_findings(data, "y", limits=LIMITS, levels=LEVELS, seed=5, clock=Clock())
    assert "one outcome only" in made.reason
    assert made.findings == ()


def test_the_same_seed_gives_the_same_figures():
    first, second = _run(_table(600, 3))[0], _run(_table(600, 3))[0]
    assert first.findings == second.findings
