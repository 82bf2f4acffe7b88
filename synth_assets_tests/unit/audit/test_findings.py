"""Scores and the overall score, by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.audit.findings import (
    conclude,
    fairness_score,
    fidelity_score,
    figures,
    judged,
    number,
    overall,
    privacy_score,
    utility_score,
)
from synth_assets.audit.records import AuditInputs, Finding, ModuleScores
from synth_assets.config.thresholds import AuditLevels, AuditWeights


def finding(metric, **fields):
    return Finding(metric=metric, message="words", **{"risk_level": "low", **fields})


def test_the_published_example_of_the_overall_score():
    score, used, note = overall(ModuleScores(privacy=0.75, fairness=0.90, fidelity=0.88, utility=0.1), AuditWeights())
    assert score == pytest.approx(0.82, abs=1e-9)
    assert (used.privacy, used.fairness, used.fidelity) == (0.5, 0.25, 0.25)
    assert note is None


def test_the_weight_of_a_null_module_is_shared_and_the_result_says_so():
    score, used, note = overall(ModuleScores(privacy=0.6, fidelity=0.9), AuditWeights())
    assert score == pytest.approx((0.5 * 0.6 + 0.25 * 0.9) / 0.75)
    assert used.fairness == 0
    assert used.privacy == pytest.approx(2 / 3)
    assert note is not None
    assert "fairness" in note


def test_without_any_score_there_is_no_overall_score():
    score, used, note = overall(ModuleScores(utility=1.0), AuditWeights())
    assert score is None
    assert used.privacy == 0
    assert note


@given(st.tuples(*[st.floats(0, 1)] * 3), st.tuples(*[st.floats(0.01, 5)] * 3))
def test_the_overall_score_lies_between_its_parts(parts, weights):
    scores = ModuleScores(privacy=parts[0], fairness=parts[1], fidelity=parts[2])
    score, used, _ = overall(scores, AuditWeights(privacy=weights[0], fairness=weights[1], fidelity=weights[2]))
    assert min(parts) - 1e-9 <= score <= max(parts) + 1e-9
    assert used.privacy + used.fairness + used.fidelity == pytest.approx(1)


def test_privacy_is_one_less_the_largest_upper_bound_above_its_baseline():
    found = [
        finding("membership_inference.nearest", excess_interval=(-0.02, 0.08)),
        finding("attribute_inference", value=0.9, baseline=0.8, excess_interval=(0.05, 0.21)),
        finding("closest_record", excess_interval=(0.5, 0.9), decides=False),
    ]
    assert privacy_score(found, AuditLevels()) == pytest.approx(0.79)
    assert privacy_score(found[2:], AuditLevels()) is None


def test_the_score_of_privacy_is_no_better_than_its_level():
    """A few copied people make the level and hardly move a rate; bounds that are about few rows do not count as rates."""
    few = finding("exact_copies", risk_level="high", excess_interval=(0.009, 0.012))
    assert privacy_score([few], AuditLevels()) == pytest.approx(0.75)
    assert privacy_score([few.model_copy(update={"risk_level": "medium"})], AuditLevels()) == pytest.approx(0.90)
    assert privacy_score([finding("exposed_rows.membership", excess_interval=(-0.1, 0.3))], AuditLevels()) == 1.0


def test_the_gate_sees_copies_and_exposed_rows_beside_membership():
    low = finding("membership_inference.nearest", excess_interval=(-0.02, 0.08))
    for metric in (
        "exact_copies",
        "near_copies.one_column",
        "exposed_rows.near_copies",
        "membership_low_false_alarms.nearest",
    ):
        few = finding(metric, risk_level="high", excess_interval=(0.009, 0.012))
        made = figures({"privacy": [low, few], "fidelity": [], "utility": [], "fairness": []}, ModuleScores())
        assert (made.privacy_risk_level, made.privacy_risk) == ("high", 0.08)


def test_fidelity_is_one_less_the_mean_tvd():
    found = [
        finding("tvd_2way", value=0.12),
        finding("tvd_1way", value=0.5, decides=False),
        finding("domain_validity", value=0.2),
    ]
    assert fidelity_score(found) == pytest.approx(0.88)


def test_fairness_counts_only_what_lies_beyond_the_real_gap():
    found = [finding("demographic_parity", value=0.3, baseline=0.2, excess=0.1), finding("equalised_odds", excess=-0.2)]
    assert fairness_score(found) == pytest.approx(0.9)
    assert fairness_score(found[1:]) == 1.0
    assert fairness_score([]) is None


@pytest.mark.parametrize(
    ("synthetic", "real", "chance", "score"),
    [(0.8, 0.9, 0.5, 0.75), (0.95, 0.9, 0.5, 1.0), (0.4, 0.9, 0.5, 0.0), (0.3, 0.6, 0.0, 0.5), (0.5, 0.5, 0.5, None)],
)
def test_utility_is_the_share_of_the_real_score_above_chance(synthetic, real, chance, score):
    assert utility_score([finding("predictive_score", value=synthetic, baseline=real, naive=chance)]) == (
        None if score is None else pytest.approx(score)
    )


def test_figures_take_the_worst_attack():
    found = {
        "privacy": [
            finding("membership_inference.nearest", excess_interval=(0.0, 0.05)),
            finding("membership_inference.density", excess_interval=(0.0, 0.18), risk_level="medium"),
            finding("singling_out.univariate", excess_interval=(0.0, 0.9), risk_level="high"),
        ],
        "fairness": [],
        "fidelity": [finding("domain_validity", value=0.99)],
        "utility": [finding("predictive_score", value=0.8, baseline=0.9)],
    }
    made = figures(found, ModuleScores(fidelity=0.7))
    assert (made.privacy_risk, made.privacy_risk_level) == (0.18, "medium")
    assert made.utility_gap == pytest.approx(0.1)
    assert (made.quality_score, made.domain_validity, made.fairness_gap) == (0.7, 0.99, None)


def test_every_null_module_has_a_reason_and_every_module_a_list():
    made = conclude({}, {"privacy": "no people"}, inputs=AuditInputs(), levels=AuditLevels(), weights=AuditWeights())
    assert set(made.reasons) >= {"privacy", "fairness", "fidelity", "utility"}
    assert made.reasons["privacy"] == "no people"
    assert all(found.findings == () for found in made.detailed_findings.values())


def test_information_does_not_set_the_level_of_a_module():
    shown = finding("column_tvd", risk_level="high", decides=False)
    made = conclude({"fidelity": [shown]}, {}, inputs=AuditInputs(), levels=AuditLevels(), weights=AuditWeights())
    assert made.level("fidelity") is None


def test_fairness_speaks_through_the_gap_that_is_surest():
    wide = finding("demographic_parity", column="a and b", excess=0.3, excess_interval=(-0.2, 0.8))
    sure = finding("demographic_parity", column="a", excess=0.01, excess_interval=(-0.01, 0.03))
    made = conclude(
        {"fairness": [wide, sure], "privacy": [wide, sure]},
        {},
        inputs=AuditInputs(),
        levels=AuditLevels(),
        weights=AuditWeights(),
    )
    named = [sure.model_copy(update={"message": "sure"}), wide.model_copy(update={"message": "wide"})]
    assert judged(named, surest=True).message.startswith("sure")
    assert judged(named).message.startswith("wide")
    assert made.level("fairness") == "low"


@pytest.mark.parametrize(("value", "text"), [(0.006, "0.01"), (-0.0004, "0.00"), (0.12, "0.12"), (1, "1.00")])
def test_numbers_in_messages_have_two_digits(value, text):
    assert number(value) == text
