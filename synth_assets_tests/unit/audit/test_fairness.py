"""Fairness: differences between groups by hand, small groups, and what happens without an outcome."""

from __future__ import annotations

import numpy as np
import pytest

from synth_assets.audit.fairness.groups import attribute, groupings
from synth_assets.audit.fairness.module import fairness_findings
from synth_assets.audit.findings import fairness_gap, fairness_score
from synth_assets.audit.utility.models import Task
from synth_assets.audit.utility.module import Fitted
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


def _by_metric(data, protected=("sex",), target="y", fitted=None, minimum=30):
    found, reasons = fairness_findings(data, protected, target, fitted, minimum=minimum, levels=LEVELS)
    return {f.metric: f for f in found if f.column == protected[0]}, reasons


def test_demographic_parity_by_hand_without_the_small_group():
    found, reasons = _by_metric(prepared(train=REAL, synthetic=SYNTHETIC))
    parity = found["demographic_parity"]
    assert parity.value == pytest.approx(0.35)  # 0.60 - 0.25; X has 10 real rows
    assert parity.baseline == pytest.approx(0.20)
    assert parity.excess == pytest.approx(0.15)
    assert (parity.sample_size, parity.control_size) == (400, 200)
    assert parity.risk_level == "low"  # 100 real rows per group: 0.15 may be chance
    assert parity.excess_interval[0] < 0.02
    assert "too small to exclude 0.31" in parity.message
    assert fairness_gap([parity]) == 0
    assert "Left out: 1 group below 30 rows" in parity.message
    assert parity.interval[0] < 0.35 < parity.interval[1]
    assert "fairness.equalised_odds" in reasons


@pytest.mark.parametrize(("share", "level"), [(0.54, "low"), (0.56, "medium"), (0.62, "high")])
def test_the_level_goes_by_the_gap_that_is_added(share, level):
    real, size = _groups({"F": (20_000, 0.5), "M": (20_000, 0.5)}), 20_000
    data = prepared(train=real, synthetic=_groups({"F": (size, 0.50), "M": (size, share)}))
    found = _by_metric(data)[0]["demographic_parity"]
    assert found.risk_level == level
    assert found.decides
    assert found.excess == pytest.approx(share - 0.5)
    assert fairness_gap([found]) == pytest.approx(share - 0.5)
    assert fairness_score([found]) == pytest.approx(1 - fairness_gap([found]))


def test_a_faithful_copy_of_an_unfair_table_is_low_and_its_gap_is_shown():
    unfair = _groups({"F": (2000, 0.1), "M": (2000, 0.6)})
    found = _by_metric(prepared(train=unfair, synthetic=unfair))[0]["demographic_parity"]
    assert (found.value, found.baseline, found.excess, found.risk_level) == (0.5, 0.5, 0.0, "low")
    assert "0.50 between the extreme groups" in found.message
    assert fairness_score([found]) == 1.0


def test_flipped_labels_of_one_group_are_high_risk_though_the_gap_is_as_wide_as_before():
    real = _groups({"F": (2000, 0.3), "M": (2000, 0.5)})
    found = _by_metric(prepared(train=real, synthetic=_groups({"F": (2000, 0.7), "M": (2000, 0.5)})))[0]
    assert found["demographic_parity"].value == pytest.approx(0.2)
    assert found["demographic_parity"].baseline == pytest.approx(0.2)
    assert found["demographic_parity"].excess == pytest.approx(0.2)
    assert found["demographic_parity"].risk_level == "high"


def test_a_gap_that_only_an_intersection_shows_is_found():
    def table(shares):
        rows = [
            (s, r, y) for (s, r), p in shares.items() for y in ["yes"] * int(1000 * p) + ["no"] * int(1000 * (1 - p))
        ]
        return dict(zip(("sex", "race", "y"), (list(c) for c in zip(*rows, strict=True)), strict=True))

    even = {(s, r): 0.5 for s in "FM" for r in "AB"}
    crossed = {("F", "A"): 0.25, ("F", "B"): 0.75, ("M", "A"): 0.75, ("M", "B"): 0.25}
    data = prepared(train=table(even), synthetic=table(crossed))
    found, _ = fairness_findings(data, ("sex", "race"), "y", None, minimum=30, levels=LEVELS)
    levels = {f.column: f.risk_level for f in found if f.metric == "demographic_parity"}
    assert levels == {"sex": "low", "race": "low", "sex and race": "high"}
    assert {g.name for f in found for g in f.groups if f.column == "sex and race"} == {"F, A", "F, B", "M, A", "M, B"}


def test_rows_without_one_of_both_attributes_belong_to_no_intersection():
    columns = {"sex": ["F", "M", None, "F"], "race": ["A", "B", "A", None], "age": [1, 2, 3, 9], "y": ["n"] * 4}
    data = prepared(train=columns, synthetic=columns)
    made, beyond = groupings(data, ("sex", "race", "age"))
    assert [g.name for g in made] == ["sex", "race", "age", "sex and race", "sex and age", "race and age"]
    assert made[3].groups(data.parts["synthetic"]).tolist() == [0, 3, -1, -1]
    assert [made[3].label(i) for i in range(made[3].count)] == ["F, A", "F, B", "M, A", "M, B"]
    assert beyond == 0
    many = {f"c{i}": ["a", "b"] for i in range(6)}
    assert groupings(prepared(train=many, synthetic=many), tuple(many))[1] == 5


def test_pairs_of_attributes_that_are_not_compared_are_named():
    many = {f"c{i}": ["a", "b"] * 40 for i in range(6)} | {"y": ["n", "n", "p", "p"] * 20}
    _, reasons = fairness_findings(
        prepared(train=many, synthetic=many), [f"c{i}" for i in range(6)], "y", None, minimum=30, levels=LEVELS
    )
    assert reasons["fairness.intersections"].startswith("5 pairs")


def test_unseen_real_rows_stand_beside_the_added_gap():
    holdout = _groups({"F": (100, 0.30), "M": (100, 0.60)})
    found = _by_metric(prepared(train=REAL, synthetic=SYNTHETIC, holdout=holdout))[0]["demographic_parity"]
    assert found.details["holdout_excess"] == pytest.approx(0.10)
    assert ", unseen real rows 0.10;" in found.message


def test_the_smallest_group_is_configurable():
    data = prepared(train=REAL, synthetic=SYNTHETIC)
    assert _by_metric(data, minimum=11)[0]["demographic_parity"].details["small_groups"] == 1
    found = _by_metric(data, minimum=200)
    assert "demographic_parity" not in found[0]
    assert "200 rows" in found[1]["fairness"]


def test_group_names_stand_in_groups_and_never_in_a_message():
    found, _ = _by_metric(prepared(train=REAL, synthetic=SYNTHETIC))
    assert {g.name for g in found["demographic_parity"].groups} == {"F", "M", "X"}
    assert all("'F'" not in f.message and " M" not in f.message for f in found.values())
    assert {g.name for g in found["demographic_parity"].public().groups} == {"F", "M"}  # X has 10 real rows


def test_group_shares_are_compared_without_an_outcome_and_the_rest_is_null_with_a_reason():
    found, reasons = _by_metric(prepared(train=REAL, synthetic=SYNTHETIC), target=None)
    assert set(found) == {"group_shares"}
    shares = found["group_shares"]
    assert shares.value == pytest.approx(40 / 440 - 10 / 210)
    assert shares.interval[0] < shares.value < shares.interval[1]
    assert (shares.sample_size, shares.control_size, shares.decides) == (440, 210, False)
    assert {(g.name, g.synthetic_rows, g.real_rows) for g in shares.groups} == {
        ("F", 200, 100),
        ("M", 200, 100),
        ("X", 40, 10),
    }
    assert [g.synthetic for g in shares.groups if g.name == "X"] == [pytest.approx(40 / 440)]
    assert "No outcome column" in reasons["fairness"]


def test_without_protected_columns_there_is_a_reason():
    _, reasons = _by_metric(prepared(train=REAL, synthetic=SYNTHETIC), protected=())
    assert reasons == {"fairness": "No protected column is named."}


def test_without_a_real_table_the_synthetic_gap_is_shown_alone():
    found, reasons = _by_metric(prepared(synthetic=SYNTHETIC))
    assert found["demographic_parity"].value == pytest.approx(0.60)  # X counts: 0.60 - 0.00
    assert found["demographic_parity"].excess is None
    assert "No real table" in reasons["fairness"]


def test_a_group_that_vanished_is_a_high_risk_of_the_shares():
    real = _groups({"F": (400, 0.3), "M": (600, 0.5)})
    found = _by_metric(prepared(train=real, synthetic=_groups({"F": (50, 0.3), "M": (950, 0.5)})), target=None)[0]
    assert found["group_shares"].risk_level == "high"
    assert _by_metric(prepared(train=real, synthetic=real), target=None)[0]["group_shares"].risk_level == "low"


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


def test_each_of_several_classes_is_compared():
    def table(shares):
        rows = [(g, y) for g, counts in shares.items() for y, n in zip("abc", counts, strict=True) for _ in range(n)]
        return {"sex": [g for g, _ in rows], "y": [y for _, y in rows]}

    real = table({"F": (500, 300, 200), "M": (500, 300, 200)})
    found = _by_metric(prepared(train=real, synthetic=table({"F": (500, 450, 50), "M": (500, 300, 200)})))[0]
    assert found["demographic_parity"].value == pytest.approx(0.15)  # "b" and "c", not the most frequent class
    assert found["demographic_parity"].risk_level == "high"


def test_the_figures_of_a_model_are_fairlearns():
    """Recorded with fairlearn 0.15.0: demographic_parity_difference, equalized_odds_difference, MetricFrame(precision).difference()."""
    rng = np.random.default_rng(12)
    group = rng.integers(0, 3, 600)
    truth = (rng.random(600) < 0.3 + 0.1 * group).astype(int)
    guess = (rng.random(600) < 0.15 + 0.5 * truth + 0.08 * group).astype(int)
    other = rng.integers(0, 2, 600)
    table = {
        "sex": [f"g{g}" for g in group],
        "race": [f"h{h}" for h in other],
        "y": ["yes" if t else "no" for t in truth],
    }
    data = prepared(train=table, synthetic=table, holdout=table)
    found, _ = fairness_findings(data, ("sex", "race"), "y", _fitted(data, guess, guess), minimum=11, levels=LEVELS)
    values = {(f.column, f.metric): f.value for f in found}
    assert values["sex", "demographic_parity.predicted"] == pytest.approx(0.22667964946445956)
    assert values["sex", "equalised_odds"] == pytest.approx(0.1685267857142857)
    assert values["sex", "predictive_parity"] == pytest.approx(0.035543403964456544)
    assert values["sex", "demographic_parity"] == pytest.approx(0.12476468679000324)
    assert values["sex and race", "demographic_parity.predicted"] == pytest.approx(0.25721153846153844)
    assert values["sex and race", "equalised_odds"] == pytest.approx(0.22023809523809523)
    assert all(f.excess == 0 for f in found if f.decides)
