"""The leaderboard: privacy first, then utility, then fidelity, and reasons that say so."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from synth_assets.audit import audit_frames
from synth_assets.audit.findings import conclude
from synth_assets.audit.leaderboard import FitCost, Leaderboard, rank
from synth_assets.audit.pairing import Score, difference, is_paired, scores_of
from synth_assets.audit.records import AuditInputs, AuditResult, Finding, ModuleFindings, ModuleScores
from synth_assets.config.thresholds import AuditLevels, AuditLimits, AuditWeights
from synth_assets.errors import InputError
from synth_assets_tests.unit.audit.worlds import SCHEMA, people


def audit(level, utility=None, fidelity=None, privacy=0.9, around=None):
    """An audit; `around` is half the width of the interval of its headline figure, on the scale of the utility score."""
    headline = [
        Finding(
            metric="predictive_score", message="w", risk_level="low", value=0.5 + 0.4 * utility, baseline=0.9, naive=0.5,
            interval=(0.5 + 0.4 * (utility - around), 0.5 + 0.4 * (utility + around)),
        )
    ] if around is not None else []  # fmt: skip
    found = (
        []
        if level is None
        else [Finding(metric="membership_inference.nearest", message="w", risk_level=level, excess_interval=(0, 0.1))]
    )
    return conclude(
        {"privacy": found, "utility": headline},
        {},
        inputs=AuditInputs(),
        levels=AuditLevels(),
        weights=AuditWeights(),
        scores=ModuleScores(privacy=privacy, utility=utility, fidelity=fidelity),
    )


def test_a_better_privacy_level_beats_any_utility():
    board = rank({"a": audit("medium", 1.0, 1.0), "b": audit("low", 0.1, 0.1)}, {})
    assert [row.synthesizer for row in board.rows] == ["b", "a"]
    assert board.recommended == "b"
    assert any("a" in reason and "medium" in reason for reason in board.reasons)


def test_utility_then_fidelity_decide_among_equals():
    board = rank({"a": audit("low", 0.80, 0.9), "b": audit("low", 0.85, 0.1), "c": audit("low", 0.85, 0.2)}, {})
    assert [row.synthesizer for row in board.rows] == ["c", "b", "a"]
    assert [row.rank for row in board.rows] == [1, 2, 3]
    assert any("fidelity 0.20 against 0.10" in reason for reason in board.reasons)
    assert any("utility 0.85 against 0.80" in reason for reason in board.reasons)


def test_a_score_that_was_not_measured_stands_last():
    board = rank({"a": audit("low", None, 0.9), "b": audit("low", 0.2, 0.1)}, {})
    assert board.recommended == "b"


@pytest.mark.parametrize(("level", "word"), [("high", "high privacy risk"), (None, "could be measured")])
def test_nothing_is_recommended_where_nothing_can_be(level, word):
    board = rank({"a": audit(level, 1.0, 1.0)}, {})
    assert board.recommended is None
    assert word in board.reasons[0]


def test_equal_synthesizers_are_ordered_by_name():
    board = rank({"b": audit("low", 0.5, 0.5), "a": audit("low", 0.5, 0.5)}, {})
    assert board.recommended == "a"
    assert any("cannot be told apart" in reason and "the name decides" in reason for reason in board.reasons)


def test_a_thousandth_more_is_not_called_better():
    board = rank({"a": audit("low", 0.900, 0.7), "b": audit("low", 0.901, 0.6)}, {})
    assert board.recommended == "a"  # fidelity decides, since utility does not
    assert any("fidelity 0.70 against 0.60" in reason for reason in board.reasons)
    assert not any("utility" in reason for reason in board.reasons)


def test_two_scores_are_told_apart_by_the_interval_of_their_difference():
    close = rank({"a": audit("low", 0.80, 0.5, around=0.05), "b": audit("low", 0.86, 0.5, around=0.05)}, {})
    assert close.recommended == "a"  # 0.06 lies within hypot(0.05, 0.05) = 0.07
    assert any("difference -0.13 to 0.01" in reason for reason in close.reasons)
    apart = rank({"a": audit("low", 0.80, 0.5, around=0.05), "b": audit("low", 0.88, 0.5, around=0.05)}, {})
    assert apart.recommended == "b"
    assert any("utility 0.88 against 0.80, difference 0.01 to 0.15" in reason for reason in apart.reasons)


def test_among_equals_a_formal_guarantee_wins_and_then_the_smaller_epsilon():
    same = {name: audit("low", 0.5, 0.5) for name in "abc"}
    costs = {"b": FitCost(fit_seconds=1, epsilon=3.0), "c": FitCost(fit_seconds=1, epsilon=1.0)}
    board = rank(same, costs)
    assert [row.synthesizer for row in board.rows] == ["c", "b", "a"]
    assert any("smaller epsilon" in r for r in board.reasons) and any(
        "formal guarantee decides" in r for r in board.reasons
    )


def test_what_failed_a_gate_stands_last_and_is_never_recommended():
    board = rank({"a": audit("low", 0.9, 0.9), "b": audit("medium", 0.2, 0.2)}, {}, {"a": ("fidelity",)})
    assert [row.synthesizer for row in board.rows] == ["b", "a"]
    assert board.recommended == "b"
    assert any("a, which failed fidelity" in reason for reason in board.reasons)
    none = rank({"a": audit("low", 0.9, 0.9)}, {}, {"a": ("fidelity",)})
    assert none.recommended is None
    assert "failed a gate" in none.reasons[0]


def test_intervals_stand_in_the_rows_and_are_rounded_in_the_public_form():
    row = rank({"a": audit("low", 0.8, 0.5, around=0.0512)}, {}).public().rows[0]
    assert row.utility_interval == (0.75, 0.85)
    assert row.risk_interval == (0, 0.1)


def test_costs_stand_in_the_row_and_epsilon_in_the_reasons():
    cost = FitCost(fit_seconds=12.345, sample_seconds=0.55, peak_bytes=10**9, epsilon=1.0)
    board = rank({"a": audit("low", 0.512345)}, {"a": cost})
    row = board.public().rows[0]
    assert (row.fit_seconds, row.sample_seconds, row.peak_bytes, row.epsilon, row.utility) == (
        12.3,
        0.6,
        10**9,
        1.0,
        0.51,
    )
    assert any("epsilon 1.00" in reason for reason in board.reasons)
    assert Leaderboard.model_validate_json(board.model_dump_json()) == board


def test_without_a_guarantee_the_reasons_say_so():
    assert any("no formal guarantee" in reason for reason in rank({"a": audit("low")}, {}).reasons)


def test_no_audit_is_an_error():
    with pytest.raises(InputError, match="no audit"):
        rank({}, {})


def drawn(name: str, utility: float, draws: list[float | None], on: str = "people") -> AuditResult:
    """An audit whose headline figure has resamples, on the scale of the utility score; each alone varies by 0.2."""
    headline = Finding(
        metric="predictive_score", message=name, risk_level="low", value=0.5 + 0.4 * utility, baseline=0.9, naive=0.5,
        interval=(0.5 + 0.4 * (utility - 0.2), 0.5 + 0.4 * (utility + 0.2)), drawn_on=on,
        draws=tuple(None if d is None else 0.5 + 0.4 * d for d in draws),
    )  # fmt: skip
    result = audit("low", utility, 0.5)
    found = {**result.detailed_findings, "utility": ModuleFindings(message="w", findings=(headline,))}
    return result.model_copy(update={"detailed_findings": found})


WAVES = [0.2 * math.sin(i) for i in range(200)]


def test_a_small_difference_that_every_resample_shows_is_told_apart_on_the_same_people():
    better = drawn("b", 0.65, [0.65 + w for w in WAVES])
    worse = drawn("a", 0.60, [0.60 + w for w in WAVES])
    board = rank({"a": worse, "b": better}, {})
    assert board.recommended == "b"
    assert any("utility 0.65 against 0.60, difference on the same people 0.05 to 0.05" in r for r in board.reasons)


@pytest.mark.parametrize(
    "worse",
    [
        drawn("a", 0.60, [0.60 + w for w in WAVES], on="other people"),
        drawn("a", 0.60, [0.60 + w for w in WAVES[:150]]),
        drawn("a", 0.60, [None] * 200),
        drawn("a", 0.60, [0.60 - w for w in WAVES]),
    ],
    ids=["other rows", "other draws", "no draw has a score", "the difference itself varies"],
)
def test_without_shared_resamples_or_with_a_difference_that_varies_nothing_is_told_apart(worse):
    better = drawn("b", 0.65, [0.65 + w for w in WAVES])
    board = rank({"a": worse, "b": better}, {})
    assert board.recommended == "a"  # the name decides
    assert any("cannot be told apart" in reason for reason in board.reasons)


def test_the_paired_interval_is_the_percentiles_of_the_differences_and_the_other_rule_adds_half_widths():
    draws = np.arange(41) / 100
    first, second = Score(0.6, (0.5, 0.7), "x", draws), Score(0.4, (0.3, 0.5), "x", np.zeros(41))
    assert difference(first, second) == pytest.approx((0.01, 0.39))
    apart = difference(first, Score(0.4, (0.3, 0.5), "y", np.zeros(41)))
    assert apart == pytest.approx((0.2 - math.hypot(0.1, 0.1), 0.2 + math.hypot(0.1, 0.1)))
    assert difference(first, Score(0.4)) == pytest.approx((0.18, 0.22))
    assert difference(first, Score(None)) is None


def test_audits_of_two_tables_on_one_hold_out_are_paired_and_the_public_form_keeps_no_draw():
    limits = AuditLimits(attack_rows=100, predicates=100, secrets=1, draws=60, queries=20)
    real, holdout, made = people(600, 1), people(600, 2), people(600, 5)
    results = [
        audit_frames(made, real, holdout, schema=SCHEMA, target="good", limits=limits, seed=3)
        for made in (made, pd.concat([made[:560], people(40, 6)], ignore_index=True))
    ]
    scores = [scores_of(result)["utility"] for result in results]
    assert is_paired(*scores)
    assert scores[0].interval is not None
    assert scores[1].interval is not None
    low, high = difference(*scores)
    apart = math.hypot(*((s.interval[1] - s.interval[0]) for s in scores))
    assert high - low < 0.9 * apart
    (kept,) = results[0].public().findings("utility", "predictive_score")
    assert (kept.draws, kept.drawn_on) == ((), None)
