"""No action of the audit ledger is a name only: the product records it, and a test looks for it in a ledger."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from synth_assets.ledger.events import Action

ROOT = Path(__file__).resolve().parents[3]
PRODUCT = [p.read_text() for p in (ROOT / "synth_assets").rglob("*.py") if p.name != "events.py"]
TESTS = [p.read_text() for p in (ROOT / "synth_assets_tests").rglob("test_*.py") if p != Path(__file__).resolve()]


def test_the_documentation_has_exactly_the_actions_of_the_code() -> None:
    text = (ROOT / "docs" / "howto" / "audit_ledger.md").read_text()
    table = text.partition("## What is recorded")[2].partition("\n\n")[0]
    told: list[str] = []
    for line in table.splitlines():
        for name in re.findall(r"`([^`]+)`", line.split("|")[1] if line.startswith("|") else ""):
            told.append(told[-1].partition(".")[0] + name if name.startswith(".") else name)
    assert sorted(told) == sorted(a.value for a in Action)


@pytest.mark.parametrize("action", list(Action))
def test_each_action_is_recorded_somewhere_and_looked_for_by_a_test(action: Action) -> None:
    recorded = re.compile(rf"\bAction\.{action.name}\b")
    looked_for = re.compile(rf"""\bAction\.{action.name}\b|"{re.escape(action.value)}[" ]""")
    assert any(recorded.search(text) for text in PRODUCT)
    assert any("ledger" in text and looked_for.search(text) for text in TESTS)
