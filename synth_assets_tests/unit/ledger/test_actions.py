"""No action of the audit ledger is a name only: the product records it, and a test looks for it in a ledger."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from synth_assets.ledger.events import Action

ROOT = Path(__file__).resolve().parents[3]
PRODUCT = [p.read_text() for p in (ROOT / "synth_assets").rglob("*.py") if p.name != "events.py"]
TESTS = [p.read_text() for p in (ROOT / "synth_assets_tests").rglob("test_*.py") if p != Path(__file__).resolve()]


@pytest.mark.parametrize("action", list(Action))
def test_each_action_is_recorded_somewhere_and_looked_for_by_a_test(action: Action) -> None:
    recorded = re.compile(rf"\bAction\.{action.name}\b")
    looked_for = re.compile(rf"""\bAction\.{action.name}\b|"{re.escape(action.value)}[" ]""")
    assert any(recorded.search(text) for text in PRODUCT)
    assert any("ledger" in text and looked_for.search(text) for text in TESTS)
