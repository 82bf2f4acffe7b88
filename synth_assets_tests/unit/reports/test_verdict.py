"""The first sentence of a report: what the gates say, and BLOCKED where one of them failed."""

from __future__ import annotations

from typing import Any

import pytest

from synth_assets.audit.leaderboard import rank
from synth_assets.errors import ReleaseRefusedError
from synth_assets.reports.dataset_report import ReportInput, render
from synth_assets.reports.verdict import verdict
from synth_assets_tests.unit.reports.builders import as_json, parts, report_input

FAILED = {"name": "privacy_risk", "passed": False, "description": "privacy risk high (0.91), accepted up to medium", "blocking": True}  # fmt: skip


def blocked(*names: str) -> ReportInput:
    made: dict[str, Any] = parts()
    made["gates"] |= {name: [*made["gates"][name], FAILED] for name in names}
    made["pictures"] = {name: shown for name, shown in made["pictures"].items() if name not in names}
    made["leaderboard"] = rank(made["audits"], {}, dict.fromkeys(names, ("privacy_risk",))).public()
    return ReportInput.model_validate(made | {"privacy": []})


def test_where_all_gates_hold_the_first_sentence_says_so_with_the_levels():
    found = verdict(report_input())
    assert found.state == "open"
    assert "passed all their blocking gates" in found.text
    assert "privacy medium, fidelity low, utility low and fairness high" in found.each[0].text


def test_one_failed_gate_blocks_and_says_which_figure_was_over_which_limit():
    found = verdict(blocked("gaussian_copula"))
    assert (found.state, found.title) == ("blocked", "BLOCKED")
    assert "because of gaussian_copula, until it passes" in found.text
    assert found.each[-1].text.startswith(
        "gaussian_copula is blocked: privacy risk high (0.91), accepted up to medium."
    )
    assert not found.each[0].blocked


def test_where_everything_is_blocked_nothing_is_recommended():
    page = render(blocked("dp_marginals", "gaussian_copula"))
    assert page.index("BLOCKED") < page.index('class="tiles"')
    assert "No synthesizer is recommended" in page
    assert "because of dp_marginals and gaussian_copula, until they pass" in page


def test_a_warning_does_not_block():
    made: dict[str, Any] = parts()
    made["gates"]["dp_marginals"] = [FAILED | {"blocking": False}]
    assert verdict(ReportInput.model_validate(made)).state == "open"


def test_a_module_that_was_not_measured_is_called_so():
    found = verdict(report_input(modules=("membership", "fidelity")))
    assert "utility not measured and fairness not measured" in found.each[0].text


def test_a_picture_of_what_is_blocked_is_refused_and_its_absence_is_explained() -> None:
    made = as_json(parts())
    assert "dp_marginals" in made["pictures"]
    made["gates"] |= {"dp_marginals": [*made["gates"]["dp_marginals"], FAILED]}
    with pytest.raises(ReleaseRefusedError, match="no picture of them"):
        ReportInput.model_validate(made)
    html = render(blocked("dp_marginals"))
    assert "Not drawn: the tables of dp_marginals are not released" in html
