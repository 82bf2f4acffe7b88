"""Membership inference: thresholds by hand, no optimism, and attacks that bite where rows were copied."""

from __future__ import annotations

import numpy as np
import pytest

from synth_assets.audit.intervals import newcombe
from synth_assets.audit.prepare import Part, Prepared
from synth_assets.audit.privacy.membership import (
    Advantage,
    advantage,
    attack_scores,
    best_threshold,
    draw_targets,
    membership_findings,
)
from synth_assets.audit.privacy.neighbours import Encoder
from synth_assets.config.thresholds import AuditLevels
from synth_assets_tests.unit.audit.worlds import prepared

FOLDS = (slice(0, 50), slice(50, 100))


def test_the_best_threshold_by_hand():
    # >= 3 catches 2 of 3 members and 0 of 3 others; >= 2 catches 3 and 2
    assert best_threshold(np.array([2.0, 3.0, 4.0]), np.array([1.0, 2.0, 2.5])) == 3.0


def test_a_perfect_score_has_advantage_one():
    made = advantage(np.ones(100), np.zeros(100), FOLDS)
    assert made.value == 1.0
    assert made.interval[0] > 0.9


def test_a_constant_score_has_no_advantage():
    made = advantage(np.zeros(100), np.zeros(100), FOLDS)
    assert made.value == 0.0


def test_luck_is_not_called_leakage():
    """Scores without any signal: the mean advantage over many draws is 0; a threshold judged on its own rows would not be."""
    rng = np.random.default_rng(0)
    fair, own = [], []
    for _ in range(300):
        members, others = rng.normal(size=100), rng.normal(size=100)
        fair.append(advantage(members, others, FOLDS).value)
        threshold = best_threshold(members, others)
        own.append(float((members >= threshold).mean() - (others >= threshold).mean()))
    assert abs(np.mean(fair)) < 0.02
    assert np.mean(own) > 0.08  # the negative control: this is what the halves are for


def test_the_interval_is_that_of_two_proportions():
    assert Advantage(56, 48, 80).interval == newcombe((56, 80), (48, 80))


def test_members_and_non_members_are_as_many_and_the_reference_is_apart():
    train, holdout = Part(500, {"x": np.arange(500.0)}), Part(400, {"x": 1000 + np.arange(400.0)})
    targets = draw_targets(train, holdout, rows=2000, reference_rows=10_000, seed=1)
    assert targets is not None
    assert targets.each == targets.others.held == 300
    assert not set(targets.others.values["x"]) & set(targets.reference.values["x"])
    assert targets.reference.held == 100


def test_targets_are_one_row_per_unit_and_their_siblings_are_no_reference():
    units = np.repeat(np.arange(300), 3)
    part = Part(900, {"x": np.arange(900.0)}, units)
    targets = draw_targets(part, part, rows=2000, reference_rows=10_000, seed=1)
    assert targets is not None
    assert targets.others.units is not None
    assert targets.reference.units is not None
    assert len(np.unique(targets.others.units)) == targets.each == 225
    assert not set(targets.others.units) & set(targets.reference.units)


def test_too_few_rows_give_no_attack():
    part = Part(12, {"x": np.arange(12.0)})
    assert draw_targets(part, part, rows=2000, reference_rows=100, seed=1) is None


def _table(rows, rng):
    z = rng.normal(size=rows)
    return {
        "x": z + rng.normal(size=rows),
        "y": (z + rng.normal(size=rows)).round(1),
        "c": rng.integers(0, 4, rows),
        "w": np.where(rng.random(rows) < 0.8, 0.0, rng.gamma(1, 50, rows)),
    }


def _prepared(**tables):
    labels = tuple("abcd")
    data = prepared(
        **{s: {n: v.tolist() if n != "c" else [labels[i] for i in v] for n, v in t.items()} for s, t in tables.items()}
    )
    return Prepared(data.columns, data.labels, data.parts, {})


def _findings(data):
    targets = draw_targets(data.parts["train"], data.parts["holdout"], rows=1000, reference_rows=5000, seed=3)
    encoder = Encoder(data)
    return {
        f.metric.partition(".")[2]: f
        for f in membership_findings(data, targets, encoder, encoder.encode(data.parts["synthetic"]), AuditLevels())
    }


def test_a_copy_of_the_training_rows_is_high_risk():
    rng = np.random.default_rng(1)
    train = _table(600, rng)
    found = _findings(_prepared(synthetic=train, train=train, holdout=_table(600, rng)))
    assert {name: found[name].risk_level for name in ("nearest", "density", "classifier")} == dict.fromkeys(
        ("nearest", "density", "classifier"), "high"
    )
    assert found["nearest"].value > 0.95


def test_a_fresh_sample_is_low_risk_and_every_attack_is_fair_on_average():
    means = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        found = _findings(_prepared(synthetic=_table(600, rng), train=_table(900, rng), holdout=_table(900, rng)))
        means.append([f.value for f in found.values()])
    assert np.abs(np.mean(means, axis=0)).max() < 0.04  # 6 x 675 rows: standard error 0.011


def test_copies_of_a_few_rows_show_in_proportion():
    rng = np.random.default_rng(2)
    train, fresh = _table(1000, rng), _table(1000, rng)
    mixed = {name: np.concatenate([train[name][:300], fresh[name][:300]]) for name in train}
    found = _findings(_prepared(synthetic=mixed, train=train, holdout=_table(1300, rng)))
    assert found["nearest"].value == pytest.approx(0.3, abs=0.1)
    assert found["nearest"].risk_level == "high"


def test_scores_are_larger_for_copies():
    rng = np.random.default_rng(3)
    train = _table(400, rng)
    data = _prepared(synthetic=train, train=train, holdout=_table(400, rng))
    targets = draw_targets(data.parts["train"], data.parts["holdout"], rows=1000, reference_rows=5000, seed=3)
    encoder = Encoder(data)
    scores = attack_scores(data, targets, encoder, encoder.encode(data.parts["synthetic"]))
    for name in ("nearest", "density", "marginals"):
        assert scores[name][0].mean() > scores[name][1].mean()


def test_the_message_quotes_the_bound_and_the_cutoff():
    rng = np.random.default_rng(1)
    train = _table(300, rng)
    message = _findings(_prepared(synthetic=train, train=train, holdout=_table(300, rng)))["nearest"].message
    assert message.endswith("By its upper end, high risk (0.25 or more).")
