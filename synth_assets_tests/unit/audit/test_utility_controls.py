"""Utility and fairness on tables where they must fail, and on real hold-outs where they must pass: 20 seeds each (one seed of every metric: `test_controls.py`)."""

from __future__ import annotations

import numpy as np
import pytest

from synth_assets.audit.clock import Clock
from synth_assets.audit.fairness.module import fairness_findings
from synth_assets.audit.utility.module import utility_findings
from synth_assets.audit.utility.queries import query_findings
from synth_assets.config.thresholds import AuditLevels, AuditLimits
from synth_assets_tests.unit.audit.worlds import noise, people, prepared

LIMITS, LEVELS = AuditLimits(draws=60, queries=200), AuditLevels()
PROTECTED = ("sex", "region", "age")
SEEDS = [pytest.param(seed, marks=pytest.mark.slow) for seed in range(20)]


def _columns(frame):
    frame = frame.drop(columns="joined").astype(object)
    return frame.where(frame.notna(), None).to_dict("list")


def _audit(synthetic, seed, rows=2000):
    """Findings that decide, and all of them by metric; train and holdout are fresh for each seed."""
    tables = {"train": people(rows, 100 + seed), "holdout": people(rows // 2, 200 + seed), "synthetic": synthetic}
    data = prepared(**{side: _columns(frame) for side, frame in tables.items()})
    utility = utility_findings(data, "good", limits=LIMITS, levels=LEVELS, seed=seed, clock=Clock())
    fairness, _ = fairness_findings(data, PROTECTED, "good", utility.fitted, minimum=LIMITS.group_rows, levels=LEVELS)
    found = [*utility.findings, *fairness, *query_findings(data, limits=LIMITS, levels=LEVELS, seed=seed)]
    return found, {(f.metric, f.column): f for f in found}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_real_hold_out_passes(seed):
    found, by_name = _audit(people(1500, 300 + seed), seed)
    assert [f.message for f in found if f.decides and f.risk_level != "low"] == []
    for metric in ("query_error", "query_error.p90", "feature_importance"):
        assert by_name[metric, None].risk_level == "low"
    for column in (*PROTECTED, "sex and region"):
        assert (
            by_name["group_shares", column].risk_level != "high"
        )  # shown; one audit in 20 may be told more than chance


@pytest.mark.parametrize("seed", SEEDS)
def test_flipped_labels_of_one_group_are_flagged(seed):
    synthetic = people(4000, 300 + seed)
    flipped = synthetic["good"].map({"yes": "no", "no": "yes"})
    synthetic["good"] = synthetic["good"].where(synthetic["sex"] != "F", flipped)
    _, by_name = _audit(synthetic, seed, rows=4000)
    odds, precision = by_name["equalised_odds", "sex"], by_name["predictive_parity", "sex"]
    assert "high" in (odds.risk_level, precision.risk_level)
    assert max(odds.excess, precision.excess) > 0.2
    assert by_name["group_shares", "sex"].risk_level == "low"


@pytest.mark.parametrize("seed", SEEDS)
def test_shuffled_columns_and_noise_fail_utility(seed):
    real = people(2000, 300 + seed)
    rng = np.random.default_rng(seed)
    shuffled = real.assign(**{name: rng.permutation(real[name].to_numpy()) for name in real.columns})
    for synthetic in (shuffled, noise(2000, seed)):
        found, by_name = _audit(synthetic, seed)
        assert by_name["predictive_score", None].risk_level == "high"
        assert all(
            by_name[f"{family}.roc_auc", None].excess > 0 for family in ("linear", "random_forest")
        )  # some AUC by luck
        assert found[0].metric == "predictive_score"
    assert by_name["query_error", None].risk_level == "high"  # noise has wrong marginals too
    assert by_name["group_shares", "region"].risk_level != "low"


def test_a_model_that_knows_one_answer_only_fails_utility():
    synthetic = people(1000, 5).assign(good="yes")
    _, by_name = _audit(synthetic, 5)
    assert by_name["predictive_score", None].value == 0.5
    assert by_name["predictive_score", None].risk_level == "high"


def test_the_same_seed_gives_the_same_findings():
    assert _audit(people(500, 1), 3, rows=600)[0] == _audit(people(500, 1), 3, rows=600)[0]
