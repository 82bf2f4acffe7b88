"""Figures in words: never better than they are; points for the reviewer; an explanation for every metric."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

import synth_assets.audit
from synth_assets.audit.glossary import METRICS, family, metric
from synth_assets.config.rules import Action
from synth_assets.reports import narrative
from synth_assets.reports.data_card import ACTIONS, listing, percent
from synth_assets.reports.dataset_report import ReportInput
from synth_assets.reports.narrative import claim_words, delta_text, epsilon_text, left_text, points, rounded_up, summary
from synth_assets.reports.privacy_card import level_rows
from synth_assets.reports.svg import bars, gauge, interval_strip, score_bar
from synth_assets_tests.unit.reports.builders import as_json, parts, privacy, report_input

ROOT = Path(__file__).resolve().parents[3]


@given(st.floats(1e-6, 1000))
def test_an_epsilon_is_never_shown_smaller_and_what_is_left_never_larger(value):
    assert value <= float(epsilon_text(value)) + 1e-9
    assert float(epsilon_text(value)) - value < 0.00101
    assert float(left_text(value)) <= value + 1e-9


@given(st.floats(1e-12, 0.5))
def test_a_delta_is_never_shown_smaller(value):
    assert float(delta_text(value)) >= value * (1 - 1e-6)
    assert float(delta_text(value)) <= value * 1.011


@given(st.floats(1.0, 1e12))
def test_a_bound_is_never_shown_smaller(value):
    shown = float(rounded_up(value).replace(",", ""))
    assert value * (1 - 1e-6) <= shown <= value * 1.1


def test_the_claim_says_what_epsilon_three_means():
    # e^2.99791 = 20.04..; 1 / (1 + e^-2.99791) = 0.9525
    words = claim_words(privacy())
    assert "epsilon 2.998 at delta 1e-6" in words
    assert "a factor of at most 20.1" in words
    assert "at most 96 % sure" in words
    assert "all rows of one patients.id" in words


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (0.004, "< 1 %"), (0.126, "13 %"), (0.999, "> 99 %"), (1, "100 %")],
)  # fmt: skip
def test_a_share_is_never_rounded_to_nothing_or_everything(share, text):
    assert percent(share).replace("\u00a0", " ") == text


def test_lists_read_as_sentences():
    assert [listing(list(items)) for items in ("", "a", "ab", "abc")] == ["", "a", "a and b", "a, b and c"]


def test_the_summary_counts_what_was_masked():
    words = summary(report_input())
    assert "1 identifies a person directly" in words[0]
    assert "4 columns were dropped" in words[1]


def test_every_metric_of_the_audit_has_an_explanation():
    found: set[str] = set()
    for file in Path(synth_assets.audit.__file__).parent.rglob("*.py"):
        found |= _metrics(ast.parse(file.read_text()))
    assert {"exact_copies", "k_anonymity", "near_copies.", "column_tvd"} <= found  # the search finds them
    assert [name for name in sorted(found) if not metric(name).text] == []


def _metrics(tree: ast.Module) -> set[str]:
    """Literal metric names, and the literal heads of names that are put together."""
    names = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "metric":
            value = node.value
            first = value.values[0] if isinstance(value, ast.JoinedStr) else value
            if isinstance(first, ast.FormattedValue):
                first, dot = first.value, "."
            else:
                dot = ""
            if isinstance(first, ast.Constant):
                found.add(str(first.value))
            elif isinstance(first, ast.Name) and first.id in names | {"MEMBERSHIP": "membership_inference"}:
                found.add((names | {"MEMBERSHIP": "membership_inference"})[first.id] + dot)
    return found


def test_a_metric_that_nobody_explained_still_has_a_title():
    assert metric("new_thing.of_ours").title == "New thing: of ours"
    assert family("linear.f1") == "linear"
    assert family("relations.integrity") in METRICS


def test_the_review_state_is_that_of_the_mechanism_notes():
    notes = [p.read_text() for p in (ROOT / "docs" / "mechanisms").glob("*.md")]
    assert any(re.search(r"Review: unreviewed", n) for n in notes) == narrative.UNREVIEWED


def test_one_level_of_the_scale_is_marked():
    assert [row.name for row in level_rows({"strong"}) if row.mine] == ["strong"]
    assert [row.mine for row in level_rows(())] == [False] * 5


def told(made: dict) -> dict[str, str]:
    return {p.text: p.weight for p in points(ReportInput.model_validate(made))}


def has(found: dict[str, str], words: str, weight: str) -> bool:
    return any(words in text and w == weight for text, w in found.items())


def test_a_reviewer_is_told_what_to_look_at():
    made = as_json(parts())
    made["contracts"]["patients"][0]["passed"] = False
    made["verdicts"]["patients"][1]["confidence"] = 0.4
    made["masks"]["patients"]["columns"][0]["action"] = "keep"  # the direct identifier
    made["masks"]["patients"]["columns"][2]["withheld"] = True
    made["mask_checks"]["patients"][0] |= {"passed": False, "description": "an identifier is left"}
    made["gates"]["dp_marginals"][0] |= {"passed": False, "description": "privacy risk high"}
    del made["pictures"]["dp_marginals"]
    made["privacy"][0] |= {"unit_is_declared": False, "level": "weak", "budget_left": 1.0}
    found = told(made)
    assert has(found, "Direct identifiers are kept in the masked tables: patients.id", "stop")
    assert has(found, "an identifier is left", "stop")
    assert has(found, "dp_marginals: privacy risk high", "stop")
    assert has(found, "1 expectation of the contract of patients does not hold", "check")
    assert has(found, "1 column was classified with a confidence below 0.8: patients.sex", "check")
    assert has(found, "development key", "check")
    assert has(found, "No unit of privacy is declared", "check")
    assert has(found, "The privacy level is weak", "check")
    assert has(found, "1 fact about the data went into the release without noise", "check")
    assert has(found, "findings of level high in fairness", "check")
    assert has(found, "1 column without a usable verdict was withheld", "know")
    assert has(found, "does not fit into what is left", "know")
    assert has(found, "unreviewed", "know")
    assert has(found, "gaussian_copula is not differentially private", "know")
    weights = [p.weight for p in points(ReportInput.model_validate(made))]
    assert weights == sorted(weights, key=["stop", "check", "know"].index)


def test_a_sound_release_has_no_false_alarm():
    made = as_json(parts(modules=("membership",), synthesizers=("dp_marginals",))) | {"development_key": False}
    made["privacy"][0] |= {"non_dp_inputs": [], "epsilon_lower_bound": 0.5}
    assert {p.weight for p in points(ReportInput.model_validate(made))} == {"know"}


@given(st.lists(st.one_of(st.none(), st.integers(0, 10**9)), max_size=40))
def test_bars_stay_inside_their_picture(counts):
    text = str(bars(counts, label="x"))
    heights = [float(h) for h in re.findall(r' height="([\d.]+)"', text)]
    assert all(0 <= h <= 26 for h in heights)
    assert "nan" not in text
    assert "inf" not in text


@given(st.floats(-2, 2), st.floats(-2, 2))
def test_intervals_and_gauges_stay_inside_their_picture(low, high):
    for text in (
        str(interval_strip(low, high, medium=0.1, worst=0.25, label="x")),
        str(gauge(low, 1.0, high, label="x")),
        str(score_bar(low, label="x")),
    ):
        for x, width in re.findall(r'x="([-\d.]+)"[^>]*? width="([-\d.]+)"', text):
            assert float(x) >= 0
            assert 0 <= float(width) <= 400


def test_labels_of_pictures_are_escaped():
    assert "<b>" not in str(bars([1, 2], label='"<b>'))


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_text_has_the_contrast_that_wcag_aa_asks_for(mode):
    """Contrast as WCAG 2.1 defines it; 4.5 for text."""
    style = (ROOT / "synth_assets" / "reports" / "templates" / "style.css.j2").read_text()
    blocks = re.findall(r":root \{(.*?)\}", style, flags=re.DOTALL)
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", blocks[mode]))
    pairs = [
        (text, ground) for text in ("ink", "muted", "accent", "low", "medium", "high") for ground in ("paper", "wash")
    ]
    pairs += [(level, f"{level}-soft") for level in ("low", "medium", "high")]
    for text, ground in pairs:
        light, dark = sorted((_luminance(colours[text]), _luminance(colours[ground])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ground)


def test_every_masking_action_has_words_in_the_data_card() -> None:
    assert set(ACTIONS) == set(get_args(Action))
