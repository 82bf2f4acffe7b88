"""The report in a browser: offline, no sideways scrolling on any screen, reachable by keyboard, whole on paper."""

from __future__ import annotations

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


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(render(report_input(tables=WIDE)))
    return file


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
