"""Fidelity: the module's behaviour on copies, noise, shuffled columns and fresh samples."""

from __future__ import annotations

import numpy as np
import pytest

from synth_assets.audit.clock import Clock
from synth_assets.audit.fidelity.measures import fidelity_findings
from synth_assets.audit.marginals import MeanDistance, joint
from synth_assets.config.thresholds import AuditLevels
from synth_assets_tests.unit.audit.worlds import prepared


def _columns(rows, seed, shift=0.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    return {
        "x": (x + shift).tolist(),
        "y": (x + rng.normal(size=rows)).tolist(),
        "c": rng.choice(["a", "b", "c"], rows, p=[0.6, 0.3, 0.1]).tolist(),
        "d": np.where(x > 0, "high", "low").tolist(),
    }


def _by_metric(**tables):
    found, _ = fidelity_findings(prepared(**tables), AuditLevels(), 1, Clock())
    return {f.metric: f for f in found if f.column is None}, {(f.metric, f.column): f for f in found if f.column}


def test_a_copy_is_at_distance_zero():
    train = _columns(500, 1)
    summary, columns = _by_metric(train=train, synthetic=train)
    assert {f.value for name, f in summary.items() if name.startswith("tvd")} == {0.0}
    assert summary["column_shapes"].value == summary["column_pair_trends"].value == 1.0
    assert summary["quality_report"].value == 1.0
    assert summary["correlation_difference"].value == summary["association_difference"].value == 0.0
    assert summary["k_marginal"].value == 1000
    assert summary["k_marginal.subsample_share"].value == 1.0
    assert all(f.value == 0 for f in columns.values())
    assert summary["tvd_2way"].baseline is None  # no holdout


def test_a_fresh_sample_stands_beside_an_equal_baseline():
    summary, _ = _by_metric(train=_columns(2000, 1), holdout=_columns(1000, 2), synthetic=_columns(2000, 3))
    for finding in summary.values():
        scale = 1000 if finding.metric == "k_marginal" else 1
        assert finding.baseline == pytest.approx(
            finding.value, abs=(0.5 if "share" in finding.metric else 0.06) * scale
        )
        assert (finding.sample_size, finding.control_size) == (2000, 1000)
        if finding.metric != "tvd_3way":  # its many cells lie apart in any two samples of this size
            assert finding.risk_level == "low", finding.metric
    for metric in ("tvd_1way", "tvd_2way", "tvd_3way", "k_marginal"):
        low, high = summary[metric].excess_interval
        assert low < 0 < high


def test_noise_and_a_constant_table_are_high_on_every_distance():
    rng = np.random.default_rng(3)
    noise = {
        "x": rng.uniform(-9, 9, 1000).tolist(), "y": rng.uniform(-9, 9, 1000).tolist(),
        "c": rng.choice(["a", "b", "c"], 1000).tolist(), "d": rng.choice(["high", "low"], 1000).tolist(),
    }  # fmt: skip
    summary, _ = _by_metric(train=_columns(2000, 1), holdout=_columns(1000, 2), synthetic=noise)
    for metric in ("tvd_2way", "tvd_3way", "k_marginal", "column_pair_trends", "correlation_difference"):
        assert summary[metric].risk_level == "high", metric
    assert summary["k_marginal.subsample_share"].risk_level == "high"
    constant = {name: [values[0]] * 500 for name, values in _columns(2, 1).items()}
    summary, columns = _by_metric(train=_columns(2000, 1), holdout=_columns(1000, 2), synthetic=constant)
    assert summary["tvd_1way"].risk_level == "high"
    assert columns["column_chi_square", "c"].risk_level != "low"


def test_the_interval_of_a_mean_distance_covers_the_distance_of_the_populations():
    """95 of 100 is wanted; marginals that share columns are not independent, and the interval must know it."""
    true = (0.2 + 0.2 + 0.2) / 3  # a, its copy b, and the pair
    hits = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        codes = []
        for share in (0.6, 0.4):
            a = (rng.random(400) < share).astype(np.uint8)
            codes.append({"a": a, "b": a})
        distances = MeanDistance([400, 400])
        for clique in (("a",), ("b",), ("a", "b")):
            distances.add(joint(codes, {"a": 2, "b": 2}, clique))
        low, high = distances.results()[0].interval
        hits += low <= true <= high
    assert 182 <= hits <= 198


def test_a_shift_is_seen_in_its_column_and_in_its_pairs():
    tables = {"train": _columns(2000, 1), "holdout": _columns(1000, 2), "synthetic": _columns(2000, 3, shift=2.0)}
    summary, columns = _by_metric(**tables)
    assert columns["column_ks", "x"].value > 0.6
    assert columns["column_ks", "x"].risk_level == "high"
    assert columns["column_ks", "y"].risk_level == "low"
    assert summary["tvd_2way"].value > columns["column_tvd", "x"].value / 2


def test_independent_columns_keep_their_shapes_and_lose_their_trends():
    train = _columns(3000, 1)
    rng = np.random.default_rng(9)
    shuffled = {name: rng.permutation(np.array(values, dtype=object)).tolist() for name, values in train.items()}
    summary, columns = _by_metric(train=train, synthetic=shuffled)
    assert columns["column_tvd", "x"].value == 0
    assert summary["tvd_1way"].value == 0
    assert summary["correlation_difference"].value > 0.6  # |0.7 - 0|
    assert summary["association_difference"].value > 0.2
    assert summary["column_pair_trends"].value < 0.7 < summary["column_shapes"].value
    assert summary["tvd_2way"].decides
    assert not summary["tvd_1way"].decides


def test_one_column_is_judged_by_its_own_distance():
    found, _ = fidelity_findings(
        prepared(train={"x": [1, 2, 3]}, synthetic={"x": [1, 2, 2]}), AuditLevels(), 1, Clock()
    )
    assert [f.metric for f in found if f.decides] == ["tvd_1way"]


def test_a_column_without_numbers_is_compared_by_its_missing_values():
    tables = {"train": {"x": [None, None], "c": ["a", "b"]}, "synthetic": {"x": [None, None], "c": ["a", "b"]}}
    summary, columns = _by_metric(**tables)
    assert columns["column_tvd", "x"].value == 0
    assert ("column_ks", "x") not in columns
    assert summary["column_shapes"].value == 1.0


def test_messages_quote_the_cutoffs_and_the_baseline():
    summary, _ = _by_metric(train=_columns(300, 1), holdout=_columns(300, 2), synthetic=_columns(300, 3))
    found = summary["tvd_2way"]
    assert f"{found.risk_level} risk ({AuditLevels().tvd.met(found.risk_level)})" in found.message
    assert f"unseen real rows {found.baseline:.2f}" in found.message
