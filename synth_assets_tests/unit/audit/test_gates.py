"""Gates in words: both numbers, the side of the limit where two digits hide it, the severity, and no figure is no pass."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from synth_assets.audit.findings import conclude
from synth_assets.audit.gates import INTEGRITY, GateOutcome, gate_outcomes, gate_texts
from synth_assets.audit.records import AuditFigures, AuditInputs, AuditResult, Finding, ModuleScores
from synth_assets.checks.thresholds import threshold_outcomes
from synth_assets.config.gates import LevelGate, ShareGate, ThresholdConfig
from synth_assets.config.thresholds import AuditLevels, AuditWeights, Cutoffs

NONE = dict.fromkeys(ThresholdConfig.model_fields)


def attack(metric: str, level: str, upper: float) -> Finding:
    return Finding(metric=metric, message="words", risk_level=level, value=upper / 2, excess_interval=(0.0, upper))


def audit(privacy: tuple[Finding, ...] = (), fidelity: float | None = None, **figures: float) -> AuditResult:
    found = conclude(
        {"privacy": privacy},
        {"fidelity": "No real table was given."},
        inputs=AuditInputs(),
        levels=AuditLevels(),
        weights=AuditWeights(),
    )
    scores = found.module_scores.model_copy(update={"fidelity": fidelity})
    return found.model_copy(update={"module_scores": scores, "figures": found.figures.model_copy(update=figures)})


def outcomes(gates: dict[str, object], result: AuditResult) -> dict[str, GateOutcome]:
    return {o.name: o for o in gate_outcomes(ThresholdConfig.model_validate({**NONE, **gates}), result)}


@pytest.mark.parametrize(
    ("gap", "score", "passed", "words"),
    [
        (
            0.004,
            0.896,
            (False, False),
            ("0.00 (rounded, just above), configured", "0.90 (rounded, just below), configured"),
        ),
        (0.2, 0.5, (False, False), ("gap 0.20, configured maximum 0.00", "fidelity 0.50, configured minimum 0.90")),
        (0.0, 0.9, (True, True), ("gap 0.00, configured maximum 0.00", "fidelity 0.90, configured minimum 0.90")),
    ],
)
def test_a_figure_that_rounds_to_its_limit_says_on_which_side_it_is(
    gap: float, score: float, passed: tuple[bool, bool], words: tuple[str, str]
) -> None:
    found = outcomes({"fairness_gap": 0.0, "fidelity": 0.9}, audit(fidelity=score, fairness_gap=gap))
    assert (found["fairness_gap"].passed, found["fidelity"].passed) == passed
    assert words[0] in found["fairness_gap"].message
    assert words[1] in found["fidelity"].message


def test_membership_and_the_other_attacks_have_gates_of_their_own() -> None:
    result = audit((attack("membership_inference.nearest", "low", 0.05), attack("linkability", "high", 0.4)))
    found = outcomes({"privacy_risk": "medium", "disclosure_risk": "medium"}, result)
    assert (found["privacy_risk"].passed, found["disclosure_risk"].passed) == (True, False)
    assert found["disclosure_risk"].message == "disclosure risk high (0.40), accepted up to medium"
    other = audit((attack("membership_inference.nearest", "high", 0.5), attack("linkability", "low", 0.02)))
    found = outcomes({"privacy_risk": "medium", "disclosure_risk": "medium"}, other)
    assert (found["privacy_risk"].passed, found["disclosure_risk"].passed) == (False, True)


def test_copies_gate_with_membership_and_are_named() -> None:
    few = attack("membership_inference.nearest", "low", 0.05), attack("exact_copies", "high", 0.02)
    found = outcomes({"privacy_risk": "medium"}, audit(few))["privacy_risk"]
    assert found.blocks
    assert found.message == "privacy risk high (0.05) by exact_copies, accepted up to medium"


def test_a_finding_for_information_does_not_gate() -> None:
    shown = attack("distance_to_closest_record", "high", 0.9).model_copy(update={"decides": False})
    result = audit((attack("singling_out", "low", 0.05), shown))
    assert outcomes({"disclosure_risk": "low"}, result)["disclosure_risk"].passed


@pytest.mark.parametrize("name", [n for n in ThresholdConfig.model_fields if n != "holdout_forms"])
def test_a_figure_that_could_not_be_computed_fails_its_gate_and_says_why(name: str) -> None:
    limit = "high" if name.endswith("_risk") else 1.0 if name.endswith("_gap") else 0.0
    found = outcomes({name: limit}, audit())[name]
    assert not found.passed
    assert "could not be computed" in found.message
    assert found.blocks


@pytest.mark.parametrize(("limit", "passed"), [(0.9, True), (0.8, False)])
def test_rows_that_are_told_apart_too_well_fail_their_gate_in_the_worst_table(limit: float, passed: bool) -> None:
    told = [
        Finding(metric="discriminator", message="words", risk_level="low", value=auc, decides=False, table=table)
        for table, auc in (("people", 0.6), ("visits", 0.85))
    ]
    result = conclude({"fidelity": told}, {}, inputs=AuditInputs(), levels=AuditLevels(), weights=AuditWeights())
    assert outcomes({"discriminator": limit}, result)["discriminator"].passed is passed


def test_a_part_that_could_not_run_gives_its_own_reason() -> None:
    result = audit().model_copy(update={"reasons": {"fidelity.discriminator.people": "Too few rows."}})
    message = outcomes({"discriminator": 0.8}, result)["discriminator"].message
    assert message == "discriminator could not be computed: Too few rows."


def test_a_gate_that_warns_does_not_block() -> None:
    result = audit(fidelity=0.5, domain_validity=0.99)
    gates = {"fidelity": {"limit": 0.9, "severity": "warn"}, "domain_validity": 0.999}
    found = outcomes(gates, result)
    assert (found["fidelity"].passed, found["fidelity"].blocks) == (False, False)
    assert found["domain_validity"].blocks
    checks = {c.name: c for c in threshold_outcomes(ThresholdConfig.model_validate({**NONE, **gates}), result)}
    assert (checks["fidelity"].blocking, checks["domain_validity"].blocking) == (False, True)
    assert checks["fidelity"].metadata == {"value": 0.5}


def test_every_gate_that_is_set_is_described_and_judged() -> None:
    every = ThresholdConfig.model_validate(
        {"privacy_risk": "low", "disclosure_risk": "low"}
        | dict.fromkeys(("utility_gap", "fairness_gap", "fidelity", "domain_validity", "discriminator"), 0.5)
    )
    assert set(gate_texts(every)) == {*ThresholdConfig.model_fields, INTEGRITY}
    assert {o.name for o in gate_outcomes(every, audit())} == set(gate_texts(every))
    assert set(gate_texts(ThresholdConfig.model_validate(NONE))) == {INTEGRITY}
    assert "at most 0.5" in gate_texts(every)["utility_gap"][0]


def test_a_gate_is_a_limit_or_a_limit_with_its_severity() -> None:
    found = ThresholdConfig.model_validate({"privacy_risk": "low", "fidelity": {"limit": 0.8, "severity": "warn"}})
    assert found.privacy_risk == LevelGate(limit="low")
    assert found.fidelity == ShareGate(limit=0.8, severity="warn")
    assert found.disclosure_risk == LevelGate(limit="medium", severity="warn")


@pytest.mark.parametrize(
    "wrong",
    [
        {"fidelity": 1.2},
        {"fidelity": True},
        {"fidelity": {"severity": "warn"}},
        {"fidelity": {"limit": 0.5, "severity": "maybe"}},
        {"privacy_risk": "tiny"},
        {"privacy_risk": 0.1},
        {"overall_score": 0.8},
    ],
)
def test_a_gate_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ThresholdConfig.model_validate(wrong)


def test_cut_offs_are_quoted_with_all_their_digits() -> None:
    assert Cutoffs(medium=0.1, high=0.25).text() == "low below 0.10, high from 0.25"
    assert [Cutoffs(medium=0.1, high=0.25).met(level) for level in ("low", "medium", "high")] == [
        "below 0.10", "0.10 to 0.25", "0.25 or more",
    ]  # fmt: skip
    assert Cutoffs(medium=0.001, high=0.125).text() == "low below 0.001, high from 0.125"


def test_the_default_verdicts_agree_with_the_published_example() -> None:
    levels = AuditLevels()
    assert levels.membership.level(0.18) == "medium"
    assert levels.fairness.level(0.049) == "low"
    assert levels.tvd.level(0.12) == "low"
    from synth_assets.audit.findings import overall

    score, used, note = overall(ModuleScores(privacy=0.75, fairness=0.90, fidelity=0.88), AuditWeights())
    assert round(score or 0, 2) == 0.82
    assert (used.privacy, note) == (0.5, None)
    assert AuditFigures().privacy_risk is None
