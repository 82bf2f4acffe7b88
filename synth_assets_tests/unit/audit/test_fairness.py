"""Fairness: differences between groups by hand, small groups, and what happens without an outcome."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.audit.fairness import attribute, fairness_findings, gap, large_enough, rates
from synth_assets.audit.models import Task
from synth_assets.audit.utility import Fitted
from synth_assets.config.thresholds import AuditLevels
from synth_assets_tests.unit.audit.worlds import prepared

LEVELS = AuditLevels()


def _groups(spec):
    """{group: (rows, share with outcome)} as a table."""
    group, outcome = [], []
    for name, (rows, share) in spec.items():
        hits = round(rows * share)
        group += [name] * rows
        outcome += ["yes"] * hits + ["no"] * (rows - hits)
    return {"sex": group, "y": outcome}


REAL = _groups({"F": (100, 0.30), "M": (100, 0.50), "X": (10, 1.0)})
SYNTHETIC = _groups({"F": (200, 0.25), "M": (200, 0.60), "X": (40, 0.0)})


def _by_metric(data, protected=("sex",), target="y", fitted=None):
    found, reasons = fairness_findings(data, protected, target, fitted, LEVELS)
    return {f.metric: f for f in found}, reasons


def test_demographic_parity_by_hand_without_the_small_group():
    found, reasons = _by_metric(prepared(train=REAL, synthetic=SYNTHETIC))
    parity = found["demographic_parity"]
    assert parity.value == pytest.approx(0.35)  # 0.60 - 0.25; X has 10 real rows
    assert parity.baseline == pytest.approx(0.20)
    assert parity.excess == pytest.approx(0.15)
    assert parity.risk_level == "high"
    assert "Left out: 1 group below 30 rows" in parity.message
    assert parity.interval[0] < 0.35 < parity.interval[1]
    assert "fairness.equalised_odds" in reasons


@pytest.mark.parametrize(("share", "level"), [(0.54, "low"), (0.56, "medium"), (0.62, "high")])
def test_levels_of_demographic_parity(share, level):
    data = prepared(train=REAL, synthetic=_groups({"F": (100, 0.50), "M": (100, share), "X": (40, 0.5)}))
    assert _by_metric(data)[0]["demographic_parity"].risk_level == level


def test_group_names_stand_in_groups_and_never_in_a_message():
    found, _ = _by_metric(prepared(train=REAL, synthetic=SYNTHETIC))
    assert {g.name for g in found["demographic_parity"].groups} == {"F", "M", "X"}
    assert all("'F'" not in f.message and " M" not in f.message for f in found.values())
    assert {g.name for g in found["demographic_parity"].public().groups} == {"F", "M"}  # X has 10 real rows


def test_group_shares_are_compared_without_an_outcome_and_the_rest_is_null_with_a_reason():
    found, reasons = _by_metric(prepared(train=REAL, synthetic=SYNTHETIC), target=None)
    assert set(found) == {"group_shares"}
    assert found["group_shares"].value == pytest.approx(40 / 440 - 10 / 210)
    assert "No outcome column" in reasons["fairness"]


def test_without_protected_columns_there_is_a_reason():
    _, reasons = _by_metric(prepared(train=REAL, synthetic=SYNTHETIC), protected=())
    assert reasons == {"fairness": "No protected column is named."}


def test_without_a_real_table_the_synthetic_gap_is_shown_alone():
    found, reasons = _by_metric(prepared(synthetic=SYNTHETIC))
    assert found["demographic_parity"].value == pytest.approx(0.60)  # X counts: 0.60 - 0.00
    assert found["demographic_parity"].excess is None
    assert "No real table" in reasons["fairness"]


def test_groups_that_are_all_small_give_a_reason():
    small = _groups({"F": (20, 0.5), "M": (20, 0.5)})
    found, reasons = _by_metric(prepared(train=small, synthetic=small))
    assert "demographic_parity" not in found
    assert "two groups of 30 rows" in reasons["fairness"]


def test_numbers_are_binned_into_quarters_of_the_real_table():
    data = prepared(train={"age": list(range(100))}, synthetic={"age": [0, 30, 60, 90, None]})
    made = attribute(data, "age")
    assert made.labels == ("quarter 1", "quarter 2", "quarter 3", "quarter 4")
    assert made.groups(data.parts["synthetic"]).tolist() == [0, 1, 2, 3, -1]


def test_a_number_with_few_values_has_a_group_per_value():
    data = prepared(train={"flag": [0, 1, 1]}, synthetic={"flag": [0, 1, 1, 0]})
    made = attribute(data, "flag")
    assert made.labels == ("value 1", "value 2")
    assert made.groups(data.parts["synthetic"]).tolist() == [0, 1, 1, 0]


def test_a_numeric_outcome_counts_above_the_real_median():
    rng = np.random.default_rng(0)
    table = {"sex": ["F"] * 100 + ["M"] * 100, "y": [*rng.uniform(0, 1, 100), *rng.uniform(1, 2, 100)]}
    found, _ = _by_metric(prepared(train=table, synthetic=table))
    assert found["demographic_parity"].value == pytest.approx(1.0)


def _fitted(data, real, synthetic):
    """Predictions for the held-out rows as probabilities of (no, yes)."""
    both = [np.column_stack([1 - np.array(p), np.array(p)]).astype(float) for p in (real, synthetic)]
    test = data.parts["holdout"]
    return Fitted(Task("y", (0.0, 1.0)), test, test.values["y"].astype(float), *both, trained=400)


def test_equalised_odds_and_predictive_parity_by_hand():
    table = _groups({"F": (100, 0.5), "M": (100, 0.5)})
    data = prepared(train=table, synthetic=table, holdout=table)
    truth = data.parts["holdout"].values["y"]
    perfect = truth.astype(float)
    harsh = perfect.copy()
    harsh[np.flatnonzero((data.parts["holdout"].values["sex"] == 0) & (truth == 1))[:20]] = (
        0  # 20 of 50 women are missed
    )
    found, reasons = _by_metric(data, fitted=_fitted(data, perfect, harsh))
    assert found["equalised_odds"].value == pytest.approx(0.4)  # TPR 0.6 against 1; FPR 0 and 0
    assert found["equalised_odds"].baseline == 0
    assert found["predictive_parity"].value == 0  # everyone who is chosen is right
    assert reasons == {}
    lenient = perfect.copy()
    lenient[np.flatnonzero((data.parts["holdout"].values["sex"] == 1) & (truth == 0))[:25]] = 1
    found, _ = _by_metric(data, fitted=_fitted(data, perfect, lenient))
    assert found["equalised_odds"].value == pytest.approx(0.5)  # FPR 0.5 against 0
    assert found["predictive_parity"].value == pytest.approx(1 - 50 / 75)


def test_the_outcome_itself_and_missing_groups_do_not_count():
    assert rates(np.array([-1, 0, 0]), np.array([True, True, False]), 1) == [(1, 2)]


@given(
    st.lists(st.integers(30, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=2, max_size=5)
)
def test_a_gap_is_a_fraction_and_zero_for_equal_rates(counts):
    made = gap(counts, large_enough(counts))
    assert 0 <= made.value <= 1
    assert made.interval[0] <= made.value <= made.interval[1] + 1e-9
    assert gap([counts[0], counts[0]], [True, True]).value == 0
