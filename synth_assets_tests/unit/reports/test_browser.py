"""The report in a browser: offline, no sideways scrolling on any screen, reachable by keyboard, whole on paper, WCAG 2.1 AA by axe."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synth_assets.reports.dataset_report import render
from synth_assets_tests.unit.reports.builders import report_input

pytestmark = pytest.mark.chromium
WIDE = {"wide": [f"a_rather_long_column_name_{i}" for i in range(200)], "t": ["x"]}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    binary = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if binary is None:
        pytest.skip("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=binary, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}
PAGE_WIDTH = 680  # pixels of CSS between the margins of an A4 page
INTERACTIVE_SECONDS = 1.0


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(render(report_input(tables=WIDE)))
    return file


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("small") / "report.html"
    file.write_text(render(report_input()))
    return file


def violations(page: Any) -> list[str]:
    """Rules that axe finds broken, with the first place."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, options=RULES).response
    assert len(found["passes"]) > 10  # the rules did run
    return [f"{v['id']}: {v['nodes'][0]['html'][:200]} {v['nodes'][0]['failureSummary']}" for v in found["violations"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1360])
def test_the_report_keeps_wcag_2_1_aa(browser, small, scheme, width):
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True)
    page.goto(small.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert violations(page) == []
    page.close()


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("document.querySelector('svg[role=img]').removeAttribute('aria-label')", "svg-img-alt"),
        ("document.querySelector('p').style.color = '#eeeeee'", "color-contrast"),
        ("document.documentElement.removeAttribute('lang')", "html-has-lang"),
    ],
)
def test_that_check_finds_a_planted_fault(browser, small, fault, rule):
    page = browser.new_page(viewport={"width": 1360, "height": 900}, bypass_csp=True)
    page.goto(small.as_uri())
    page.evaluate(fault)
    assert any(v.startswith(rule) for v in violations(page))
    page.close()


def test_the_pictures_of_both_colour_schemes_stand_out_from_the_page(browser, small):
    """Graphics need a contrast of 3 to 1 (WCAG 1.4.11), which axe does not measure; the filled ones have the outline of others on them."""
    ratio = """([fore, back]) => {
      const light = c => { const v = c.match(/[0-9.]+/g).slice(0, 3).map(x => x / 255).map(x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
        return 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2]; };
      const probe = document.createElement('i'); document.body.append(probe);
      const rgb = c => { probe.style.color = c; return getComputedStyle(probe).color; };
      const [a, b] = [light(rgb(fore)), light(rgb(back))].sort((x, y) => y - x);
      return (a + 0.05) / (b + 0.05); }"""
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.goto(small.as_uri())
        for colour in ("--synthetic", "--holdout", "--ink", "--muted", "--high"):
            assert page.evaluate(ratio, [f"var({colour})", "var(--paper)"]) >= 3, (scheme, colour)
        assert page.evaluate(ratio, ["var(--synthetic)", "var(--real)"]) >= 2.4, scheme
        page.close()


def test_headings_are_in_order(browser, small):
    page = browser.new_page()
    page.goto(small.as_uri())
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4,h5')].map(h => +h.tagName[1])")
    assert levels[0] == 1
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))
    assert page.evaluate("document.querySelector('h2').id") == "verdict"
    page.close()


def test_a_report_of_two_hundred_columns_can_be_used_within_a_second(browser, report):
    """Time to interactive of a page without scripts: when it has been laid out and painted. The least of three, since others use the machine."""
    taken = []
    for _ in range(3):
        page = browser.new_page(viewport={"width": 1360, "height": 900})
        page.goto(report.as_uri())
        page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done, 0)))")
        taken.append(page.evaluate("performance.now()") / 1000)
        page.close()
    assert min(taken) < INTERACTIVE_SECONDS, taken


@pytest.mark.parametrize("name", ["report", "small"])
def test_nothing_is_cut_on_paper(browser, request, name):
    page = browser.new_page(viewport={"width": PAGE_WIDTH, "height": 1000})
    page.goto(request.getfixturevalue(name).as_uri())
    page.emulate_media(media="print")
    wide = f"[...document.querySelectorAll('table, figure, svg, p, ul, dl')].filter(e => e.getBoundingClientRect().right > {PAGE_WIDTH} + 1)"
    page.wait_for_function("matchMedia('print').matches")
    assert page.evaluate(f"{wide}.map(e => e.outerHTML.slice(0, 200))") == []
    assert page.evaluate(
        "[...document.querySelectorAll('figure')].every(f => getComputedStyle(f).breakInside.startsWith('avoid'))"
    )
    pages = len(re.findall(rb"/Type /Page\b", page.pdf(prefer_css_page_size=True)))
    assert 3 <= pages <= (60 if name == "report" else 20)
    page.close()


@pytest.mark.parametrize("width", [320, 390, 768, 1360, 1920])
def test_only_tables_scroll_sideways_and_nothing_is_requested(browser, report, width):
    page = browser.new_page(viewport={"width": width, "height": 900})
    requests, messages = [], []
    page.on("request", lambda r: requests.append(r.url))
    page.on("console", lambda m: messages.append(m.text))
    page.goto(report.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert requests == [report.as_uri()]
    assert messages == []
    page.close()


def test_the_keyboard_reaches_the_links_the_folds_and_the_tables(browser, report):
    page = browser.new_page(viewport={"width": 1360, "height": 900})
    page.goto(report.as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.evaluate("document.querySelector('summary').focus()")
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector('details').open")
    assert page.evaluate("[...document.querySelectorAll('.wide[tabindex]')].every(e => e.tabIndex === 0)")
    page.close()


def test_folds_are_open_on_paper(browser, report):
    page = browser.new_page(viewport={"width": 794, "height": 1123})
    page.goto(report.as_uri())
    folded = "[...document.querySelectorAll('details:not([open]) table')]"
    hidden = f"{folded}.filter(t => !t.checkVisibility({{contentVisibilityAuto: true}})).length"
    assert page.evaluate(hidden) > 0
    page.emulate_media(media="print")
    page.wait_for_function(f"{hidden} === 0")  # the browser takes a moment to change its media
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")
    page.close()
