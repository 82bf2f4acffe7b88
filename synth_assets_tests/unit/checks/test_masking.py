"""Words of the checks of masked tables."""

from __future__ import annotations

from synth_assets.checks.masking import leak_outcome
from synth_assets.masking.records import LEAK_REMEDY, LeakFinding, LeakReport


def test_a_leak_is_told_with_both_places_once_and_what_to_do() -> None:
    value = LeakFinding(
        kind="identifier", raw_table="people", raw_column="email", table="visits", column="note", cells=3
    )
    name = value.model_copy(update={"kind": "name", "raw_table": "visits", "raw_column": "people.name"})
    report = LeakReport(
        findings=(value, name), identifiers=10, too_short=0, columns_searched=4, names_checked=2, passed=False
    )
    outcome = leak_outcome(report)
    assert not outcome.passed
    assert outcome.metadata["cells_with_leak"] == 6
    places = "people.email in visits.note, people.name in visits.note"
    assert outcome.description == f"raw identifiers are left: {places}. {LEAK_REMEDY}"
