"""The gates of a masked table: what the leak check and the key check found, in counts and words."""

from __future__ import annotations

from synth_assets.assets.stage import CheckOutcome
from synth_assets.masking.anonymity.records import AnonymityReport
from synth_assets.masking.records import LEAK_REMEDY, KeyReport, LeakFinding, LeakReport


def leak_outcome(report: LeakReport) -> CheckOutcome:
    """The outcome of the check `leak`."""
    numbers = {"identifiers_searched": report.identifiers, "columns_searched": report.columns_searched}
    if report.passed:
        words = f"none of {report.identifiers:,} raw identifiers is left in {report.columns_searched} columns"
        return CheckOutcome("leak", passed=True, description=words, metadata=numbers)
    places = sorted({f"{_source(f)} in {f.table}.{f.column}" for f in report.findings})
    words = f"raw identifiers are left: {', '.join(places[:5])}{' ...' if len(places) > 5 else ''}. {LEAK_REMEDY}"
    cells = sum(f.cells for f in report.findings)
    return CheckOutcome("leak", passed=False, description=words, metadata={**numbers, "cells_with_leak": cells})


def _source(finding: LeakFinding) -> str:
    """The raw column with its table; a finding of the name check gives its columns together, each with its table."""
    return finding.raw_column if finding.kind == "name" else f"{finding.raw_table}.{finding.raw_column}"


def key_outcome(report: KeyReport) -> CheckOutcome:
    """The outcome of the check `keys`."""
    broken = [f"{k.table}.{'+'.join(k.columns)}" for k in report.keys if not k.passed]
    holds = "1 key holds" if len(report.keys) == 1 else f"{len(report.keys)} keys hold"
    words = (
        f"{holds} as before"
        if not broken
        else (f"keys are broken: {', '.join(broken)}. Give these columns the action `pseudonym`, or drop them.")
    )
    return CheckOutcome("keys", passed=report.passed, description=words, metadata={"keys_checked": len(report.keys)})


def anonymity_outcome(report: AnonymityReport) -> CheckOutcome:
    """The outcome of the check `k_anonymity`."""
    found = report.measure
    if found is None:
        words = "the table has no quasi-identifier, so there is nothing to tell its rows apart by"
        return CheckOutcome("k_anonymity", passed=report.passed, description=words)
    words = f"at least {found.k} {found.unit} share each combination of {', '.join(found.quasi)}"
    numbers = {"k": found.k, "classes": found.classes}
    words = words if report.passed else "; ".join(report.failures)
    return CheckOutcome("k_anonymity", passed=report.passed, description=words, metadata=numbers)
