"""Every metric of the audit fails in a world that is broken for it, and passes where a real hold-out stands in for synthetic rows."""

from __future__ import annotations

import re

import pytest

from synth_assets.audit.glossary import METRICS, family
from synth_assets.audit.methods import INTERVALS, WITHOUT_BASELINE, WITHOUT_INTERVAL
from synth_assets_tests.unit.audit.control_worlds import audit, masked_audits

FAILS = {
    "exact_copies": "copied",
    "near_copies": "copied",
    "membership_inference": "copied",
    "membership_low_false_alarms": "copied",
    "exposed_rows": "copied",
    "singling_out": "copied",
    "linkability": "copied",
    "attribute_inference": "copied",
    "closest_record": "copied",
    "k_anonymity": "noise",
    "tvd_1way": "noise",
    "tvd_2way": "noise",
    "tvd_3way": "noise",
    "k_marginal": "noise",
    "k_marginal.subsample_share": "noise",
    "column_shapes": "noise",
    "column_pair_trends": "noise",
    "quality_report": "noise",
    "correlation_difference": "noise",
    "association_difference": "noise",
    "inconsistency": "noise",
    "inconsistency.declared": "noise",
    "discriminator": "noise",
    "column_tvd": "noise",
    "column_chi_square": "noise",
    "column_ks": "noise",
    "domain_validity": "noise",
    "column_validity": "noise",
    "sequence.autocorrelation": "noise",
    "sequence.transitions": "noise",
    "sequence.gaps": "noise",
    "relations.children": "noise",
    "relations.cardinality": "noise",
    "relations.trends": "noise",
    "relations.integrity": "broken",
    "primary_key_unique": "broken",
    "predictive_score": "noise",
    "gradient_boosting": "noise",
    "linear": "noise",
    "random_forest": "noise",
    "train_real_test_synthetic": "noise",
    "feature_importance": "broken",
    "query_error": "noise",
    "group_shares": "noise",
    "demographic_parity": "noise",
    "equalised_odds": "broken",
    "predictive_parity": "broken",
}
MASKED_FAILS = {
    "prosecutor_risk": "open",
    "journalist_risk": "open",
    "marketer_risk": "open",
    "unique_rows": "open",
    "smallest_class": "open",
    "l_diversity": "open",
    "t_closeness": "open",
    "information_loss": "crowded",
    "anonymity_loss": "crowded",
    "tvd_marginal": "coarse",
}
WITHOUT_LEVEL = {  # shown for information; the figure itself must move
    "closest_record": "distances say little about leaks, so no level is drawn from them",
    "k_anonymity": "a synthetic row is no person",
    "information_loss": "a loss is a price and no risk",
    "anonymity_loss": "a loss is a price and no risk",
}
WORLDS = ("fresh", "copied", "noise", "broken")
BETTER_WHEN_LARGE = {"smallest_class", "l_diversity"}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return {name: audit(name, tmp_path_factory.mktemp(name)) for name in WORLDS}


@pytest.fixture(scope="module")
def masked_results(tmp_path_factory):
    return masked_audits(tmp_path_factory.mktemp("masked"))


def _of(result, name):
    found = [f for f in result.findings() if family(f.metric) == name]
    assert found, f"{name} was not measured"
    return found


def _clearly_worse(finding):
    """Whether a figure stands apart from its control: by its interval, else by a fifth of its scale."""
    if finding.excess_interval is not None:
        return finding.excess_interval[0] > 0
    if finding.interval is not None:
        return finding.interval[0] > finding.baseline
    return finding.value > (finding.baseline or 0.0) + 0.2


def test_every_metric_has_a_control():
    assert set(METRICS) == set(FAILS) | set(MASKED_FAILS)
    assert set(WITHOUT_LEVEL) <= set(METRICS)


@pytest.mark.parametrize("name", FAILS)
def test_it_fails_where_its_world_is_broken(results, name):
    found = _of(results[FAILS[name]], name)
    if name in WITHOUT_LEVEL:
        assert any(_clearly_worse(f) for f in found)
    else:
        assert any(f.risk_level != "low" for f in found)
        assert {f.risk_level for f in found} - {"low"} <= {"medium", "high"}


@pytest.mark.parametrize("name", FAILS)
def test_it_passes_where_unseen_real_rows_stand_in(results, name):
    found = [f for f in results["fresh"].findings() if family(f.metric) == name]
    assert found or name == "column_validity"  # shown only for columns with a value outside their domain
    for finding in found:
        assert finding.risk_level == "low" or not finding.decides, finding.message
        if finding.risk_level != "low":
            assert finding.excess_interval[0] <= 0, finding.message


def test_each_kind_of_attack_fails_on_a_model_that_memorises(results):
    for metric in (
        "membership_inference.nearest", "membership_inference.density", "membership_inference.marginals",
        "membership_inference.classifier", "near_copies.one_column", "near_copies.moved_numbers", "exposed_rows.membership",
        "exposed_rows.near_copies", "singling_out.univariate", "singling_out.multivariate",
    ):  # fmt: skip
        levels = [f.risk_level for f in results["copied"].findings("privacy", metric)]
        assert set(levels) & {"medium", "high"}, metric
    assert results["copied"].figures.privacy_risk_level == "high"
    assert results["copied"].module_scores.privacy < 0.05


def test_scores_follow_the_worlds(results):
    scores = {name: result.module_scores for name, result in results.items()}
    assert scores["copied"].fidelity == 1.0
    assert results["copied"].overall_score < results["fresh"].overall_score - 0.2
    assert (results["noise"].level("privacy"), results["noise"].level("fidelity")) == ("low", "high")
    assert scores["noise"].fidelity < 0.7 < scores["fresh"].fidelity
    assert scores["noise"].utility < 0.5 < scores["fresh"].utility
    assert scores["broken"].fairness < 0.9 < scores["fresh"].fairness


@pytest.mark.parametrize("name", MASKED_FAILS)
def test_figures_of_masked_tables_fail_and_pass(masked_results, name):
    bad = _of(masked_results[MASKED_FAILS[name]], name)
    good = _of(
        masked_results["tight" if name == "anonymity_loss" else "open" if name in WITHOUT_BASELINE else "tight"], name
    )
    if name in WITHOUT_LEVEL:
        assert max(f.value for f in bad) > max(f.value for f in good) + 0.2
        return
    assert any(f.risk_level == "high" for f in bad) or name == "unique_rows"
    assert any(f.risk_level != "low" for f in bad)
    if name in WITHOUT_BASELINE:
        assert all(f.risk_level == "low" for f in good)
    else:  # the raw table is the control
        worse = [f.value < f.baseline if name in BETTER_WHEN_LARGE else f.value > f.baseline for f in good]
        assert not any(worse)
        assert all(f.value != f.baseline for f in good)


def test_every_finding_says_what_it_was_counted_on_and_how_sure_it_is(results, masked_results):
    for finding in (f for r in (*results.values(), *masked_results.values()) for f in r.findings()):
        name = family(finding.metric)
        assert finding.sample_size, finding.metric
        assert (finding.interval is not None) == (name in INTERVALS), finding.metric
        assert (finding.baseline is None) <= (name in WITHOUT_BASELINE), finding.metric
        if finding.interval is not None:
            assert finding.interval[0] - 1e-9 <= finding.value <= finding.interval[1] + 1e-9, finding.metric
    assert set(INTERVALS) | set(WITHOUT_INTERVAL) == set(METRICS)
    assert not set(INTERVALS) & set(WITHOUT_INTERVAL)


def test_definitions_say_how_an_interval_is_made(results):
    for name, text in results["fresh"].definitions.items():
        assert ("95 % interval: " in text) == (name in INTERVALS)
        assert ("No interval: " in text) == (name in WITHOUT_INTERVAL)


def test_messages_are_short_and_quote_nothing_finer_than_a_hundredth(results, masked_results):
    for finding in (f for r in (*results.values(), *masked_results.values()) for f in r.findings()):
        text = finding.message
        assert text.endswith("."), text
        assert len(re.findall(r"[.](?= [A-Z]|$)", text)) <= 4, text
        assert len(text) < 360, text
        assert not re.search(r"\d[.]\d{3}|\d[.]\d\s?%", text), text


def test_the_public_form_is_no_finer_than_a_hundredth_of_a_scale(results):
    (score, *_) = [f for f in results["noise"].public().findings() if f.metric == "k_marginal"]
    assert score.value % 10 == 0
    assert all(bound % 10 == 0 for bound in (*score.interval, score.baseline, score.excess))
