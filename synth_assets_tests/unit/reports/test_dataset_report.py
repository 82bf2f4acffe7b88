"""The HTML report: one sound document at every size, offline, escaped, and without words that are not ours to say."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from synth_assets.errors import SynthAssetsError
from synth_assets.reports.dataset_report import ReportInput, render
from synth_assets_tests.unit.reports.builders import as_json, parts, privacy, report_input

VOID = {"meta", "link", "br", "hr", "img", "input", "rect", "path", "wbr"}
ATTACK = '<script>alert("x")</script>'
FORBIDDEN = (
    "compliant",
    "anonymous",
    "anonymised data",
    "anonymized data",
    "guarantees privacy",
    "fully private",
    "risk-free",
)


class Outline(HTMLParser):
    """Tags in balance, ids, links, headings."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.tags: list[str] = []
        self.faults: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        named = dict(attrs)
        if "id" in named:
            self.ids.append(named["id"])
        if tag == "a":
            self.targets.append(named["href"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)


def outline(html: str) -> Outline:
    found = Outline()
    found.feed(html)
    return found


LARGEST = 2_000_000
WIDE = {"wide": [f"column_{i}" for i in range(200)]}
CASES = {
    "demo": {},
    "one column": {"tables": {"t": ["only"]}},
    "two hundred columns": {"tables": WIDE},
    "one synthesizer": {"synthesizers": ("dp_marginals",)},
    "without DP": {"synthesizers": ("gaussian_copula",), "private": False},
    "null modules": {"modules": ()},
    "privacy alone": {"modules": ("membership",)},
    "no privacy": {"modules": ("fidelity", "utility")},
    "few rows": {"rows": None},
    "three tables": {"tables": {"a": ["x"], "b": ["y", "z"], "c": ["w"]}},
}


@pytest.fixture(params=CASES, scope="module")
def html(request) -> str:
    return render(report_input(**CASES[request.param]))


def test_the_document_is_well_formed(html):
    found = outline(html)
    assert found.faults == []
    assert found.open == []
    assert len(found.ids) == len(set(found.ids))


def test_every_link_leads_into_the_document(html):
    found = outline(html)
    assert found.targets
    assert {t.removeprefix("#") for t in found.targets} <= set(found.ids)


def test_headings_go_down_one_level_at_a_time(html):
    levels = [int(t[1]) for t in outline(html).tags if re.fullmatch("h[1-6]", t)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_nothing_is_requested_from_elsewhere(html):
    found = outline(html)
    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & set(found.tags)
    assert not any(name in {"src", "srcset", "action", "onload", "onclick"} for _, name, _ in found.attributes)
    drawn = {"svg", "path", "text", "image", "use", "g"}  # matplotlib writes colours as styles
    assert {tag for tag, name, _ in found.attributes if name == "style"} <= drawn
    links = [value for tag, name, value in found.attributes if name in {"href", "xlink:href"} and tag != "a"]
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in links)
    assert "url(" not in html
    assert "@import" not in html
    assert "http" not in html.lower().replace("http-equiv", "")


def test_words_that_are_not_ours_to_say_do_not_occur(html):
    assert [word for word in FORBIDDEN if word in html.lower()] == []


def test_tables_name_their_rows_and_columns_and_scroll_by_keyboard(html):
    heads = re.findall(r"<th\b[^>]*>", html)
    assert heads
    assert all("scope=" in head for head in heads)
    assert all("aria-label=" in region for region in re.findall(r'<div class="wide" tabindex="0"[^>]*>', html))
    assert html.startswith('<!doctype html>\n<html lang="en">')


def test_a_report_of_two_hundred_columns_stays_below_two_megabytes():
    synthesizers = ("dp_marginals", "gaussian_copula", "ctgan")
    assert len(render(report_input(tables=WIDE, synthesizers=synthesizers)).encode()) < LARGEST


def test_all_text_is_escaped():
    made = as_json(parts(tables={ATTACK: [ATTACK, f"{ATTACK}2"]}, message=f"finding {ATTACK}"))
    made |= {
        "description": ATTACK,
        "policy": ATTACK,
        "unit": ATTACK,
        "population": ATTACK,
        "target": ATTACK,
        "protected": [ATTACK],
    }
    made["privacy"][0] |= {
        "unit": ATTACK,
        "mechanism": ATTACK,
        "non_dp_inputs": [ATTACK],
        "notes": [ATTACK],
        "lower_bound_reason": ATTACK,
    }
    for row in made["leaderboard"]["rows"]:
        row["epsilon"] = None  # an epsilon needs a release of that name
    made["verdicts"][ATTACK][0] |= {"entity_type": ATTACK, "hipaa_identifier": ATTACK, "confidence": 0.1}
    for line in (made["contracts"][ATTACK][0], made["mask_checks"][ATTACK][0], made["gates"]["dp_marginals"][0]):
        line |= {"name": ATTACK, "description": ATTACK, "passed": False}
    del made["pictures"]["dp_marginals"]  # of what is blocked there are none; others are attacked below
    made["masks"][ATTACK]["columns"][0] |= {"reason": ATTACK, "withheld": True}
    for audit in made["audits"].values():
        audit["inputs"] |= {
            "notes": [ATTACK],
            "left_out": {ATTACK: ATTACK},
            "versions": {ATTACK: ATTACK},
            "columns": [ATTACK],
        }
        audit["reasons"] |= {"privacy.part": ATTACK}
        for findings in audit["detailed_findings"].values():
            findings["message"] = ATTACK
            for finding in findings["findings"]:
                finding |= {"table": ATTACK, "column": ATTACK, "metric": finding["metric"]}
                for group in finding["groups"]:
                    group["name"] = ATTACK
    made["leaderboard"]["reasons"] = [ATTACK]
    html = render(ReportInput.model_validate(made))
    assert "<script" not in html.lower()
    assert html.count("&lt;script&gt;") > 40
    assert outline(html).faults == []


def test_a_name_of_a_column_cannot_break_out_of_an_attribute():
    html = render(report_input(tables={'t" onfocus="alert(1)': ['c" onmouseover="alert(1)']}))
    assert not any(name.startswith("on") for _, name, _ in outline(html).attributes)


def test_values_of_the_data_are_not_shown():
    assert "hidden value" not in render(report_input())


READER = """
import json, sys
import synth_assets.reports.dataset_report as report
report._environment().get_template("report.html.j2")
for name in ("macros", "data", "masking", "privacy", "models", "gallery", "lineage", "words"):
    report._environment().get_template(name + ".html.j2")
report._environment().get_template("style.css.j2")
payload = json.load(sys.stdin)
report.render(report.ReportInput.model_validate(payload))  # everything is imported now
opened = []
sys.addaudithook(lambda event, arguments: opened.append(str(arguments[0])) if event in {"open", "os.listdir", "os.scandir"} else None)
html = report.render(report.ReportInput.model_validate(payload))
heavy = {"dagster", "duckdb", "pandas", "torch", "sdv", "great_expectations", "matplotlib"} & set(sys.modules)
print(json.dumps({"opened": opened, "size": len(html), "heavy": sorted(heavy)}))
"""


def test_a_report_renders_where_the_restricted_root_is_gone(tmp_path):
    restricted = tmp_path / "var" / "restricted"
    restricted.mkdir(parents=True)
    (restricted / "public.json").write_text(json.dumps(as_json(parts())))
    payload = (restricted / "public.json").read_text()
    (restricted / "public.json").unlink()
    restricted.rmdir()
    done = subprocess.run(
        [sys.executable, "-c", READER], input=payload, capture_output=True, text=True, check=True, cwd=tmp_path
    )
    found = json.loads(done.stdout)
    assert found["opened"] == []  # no file, in the restricted root or elsewhere
    assert found["size"] > 10_000
    assert not {"dagster", "duckdb", "torch", "sdv", "great_expectations"} & set(found["heavy"])


def test_the_audit_hook_of_that_test_would_see_a_file(tmp_path):
    code = READER.replace("html = report.render(", 'open("probe", "w").close(); html = report.render(', 1)
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(as_json(parts())),
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert json.loads(done.stdout)["opened"] == ["probe"]


def test_without_differential_privacy_no_epsilon_is_claimed():
    html = render(report_input(synthesizers=("gaussian_copula",), private=False))
    assert 'id="privacy"' not in html
    assert "nothing here is differentially private" in html
    assert "not private" in html


def test_the_privacy_report_states_every_field():
    html = render(report_input())
    stated = {
        "Epsilon", "Delta", "Level", "Unit of privacy", "Neighbours", "Contribution bounds (clipping)", "Sampling rate", "Noisy steps",
        "Primary accountant", "Simple bound", "Second accountant", "Empirical lower bound", "Review of the mechanisms", "Budget",
    }  # fmt: skip
    shown = set(re.findall(r'<tr><th scope="row">([^<]+)</th><td>', html))
    assert stated <= shown
    assert "2.998" in html  # 2.99791, rounded up
    assert "7.346" in html  # 7.34659, rounded down
    assert "sigma 12.5 rows" in html
    assert "visits.city: kind category was inferred" in html


def test_the_report_of_a_training_states_noise_rate_clipping_and_the_accountants_that_fit() -> None:
    from synth_assets.privacy.accounting import spent
    from synth_assets.privacy.crosscheck import verify
    from synth_assets.privacy.records import SampledGaussianEvent

    ran = (SampledGaussianEvent(noise_multiplier=1.25, sampling_rate=0.05, count=200),)
    cost = spent(ran, 1e-6)
    made = privacy(events=ran, spent=cost, crosscheck=verify(ran, cost), sampling_rate=0.05, clipping=0.5, steps=200)
    html = render(ReportInput.model_validate(parts() | {"privacy": [made]}))
    for words in (
        "L2 norm 0.5 per unit",
        "0.05: the chance of a unit to be in a step of DP-SGD",
        "sigma 1.25 times the clipping bound",
        "Rényi DP, conversion",
    ):
        assert words in html, words
    assert "Opacus, privacy random variables" in html
    assert "does NOT" not in html


def test_accountants_that_disagree_are_not_reported_as_agreeing():
    off = privacy(crosscheck=privacy().crosscheck.model_copy(update={"epsilon_lower": 3.1}))
    html = render(ReportInput.model_validate(parts() | {"privacy": [off]}))
    assert "does NOT" in html


def test_two_releases_are_told_apart_and_each_is_told_whole():
    second = privacy(mechanism="dp_tvae", sampling_rate=0.1, budget_left=1.5)
    html = render(ReportInput.model_validate(parts() | {"privacy": [privacy(), second]}))
    assert "dp_marginals was trained from noisy counts alone" in html
    assert "dp_tvae was trained from noisy counts and noisy gradients alone" in html
    assert 'id="privacy"' in html
    assert 'id="privacy-2"' in html
    assert "Epsilon of dp_tvae" in html
    assert html.count("<code>model_dp_tvae</code>") == 1


def test_an_undeclared_unit_is_said_to_protect_one_row():
    made = parts() | {"privacy": [privacy(unit="row", unit_is_declared=False)], "unit": None}
    html = render(ReportInput.model_validate(made))
    assert "one row is protected, not one person" in html
    assert "one single row" in html


def test_null_modules_give_their_reason():
    html = render(report_input(modules=()))
    assert html.count("Not computed. Not measured.") == 8  # four modules, two synthesizers
    assert "No synthesizer is recommended" in html


def test_the_same_input_gives_the_same_report():
    import datetime as dt

    day = dt.date(2026, 1, 2)
    first = render(report_input(), today=day)
    assert first == render(report_input(), today=day)
    assert "2026-01-02" in first


def test_an_error_of_the_input_is_one_of_ours():
    made = parts() | {"privacy": []}
    with pytest.raises(SynthAssetsError):
        ReportInput.model_validate(made)


def test_the_head_of_the_audit_ledger_stands_below_the_lineage():
    assert "audit ledger had" not in render(report_input())
    made = parts() | {"audit_entries": 41, "audit_head": "ab" * 32}
    html = render(ReportInput.model_validate(made))
    assert f"had 41 entries; the hash of the last one is <code>{'ab' * 32}</code>" in html
