"""The number of a public form in a result, and the gate that warns of too many looks at one hold-out."""

from __future__ import annotations

import pytest

from synth_assets.audit.findings import conclude
from synth_assets.audit.gates import GateOutcome, gate_outcomes, gate_texts
from synth_assets.audit.holdout_forms import NOT_COUNTED, form_of, looks_words, numbered
from synth_assets.audit.records import AuditInputs, AuditResult
from synth_assets.config.gates import ThresholdConfig
from synth_assets.config.thresholds import AuditLevels, AuditWeights


def result(holdout: int | None = 400, seconds: float = 1.0, rows: int = 100) -> AuditResult:
    inputs = AuditInputs(synthetic_rows=rows, holdout_rows=holdout, versions={"numpy": str(seconds)})
    return conclude({}, {}, inputs=inputs, levels=AuditLevels(), weights=AuditWeights(), seconds={"reading": seconds})


def gate(found: AuditResult, limit: object = None) -> GateOutcome:
    given = ThresholdConfig() if limit is None else ThresholdConfig.model_validate({"holdout_forms": limit})
    return next(g for g in gate_outcomes(given, found) if g.name == "holdout_forms")


def test_the_number_stands_in_both_forms_with_a_plain_sentence() -> None:
    for found in (numbered(result(), 7), numbered(result(), 7).public()):
        assert found.inputs.holdout_forms == 7
        assert found.inputs.notes[-1] == looks_words(7)
    assert looks_words(1).startswith("1 public form has been made against this hold-out")
    assert "look better than they are" in looks_words(2)


def test_without_a_hold_out_nothing_is_said_and_without_a_count_that_nobody_counts() -> None:
    assert numbered(result(None), None) == result(None)
    assert numbered(result(), None).inputs.notes == (NOT_COUNTED,)
    assert numbered(result(), None).inputs.holdout_forms is None


def test_a_form_is_known_by_what_it_tells_of_the_data() -> None:
    assert form_of(result(seconds=1.0)) == form_of(result(seconds=9.0))
    assert form_of(result()) != form_of(result(rows=101))


@pytest.mark.parametrize(
    ("number", "limit", "passed", "blocks"),
    [
        (20, None, True, False),
        (21, None, False, False),
        (3, 2, False, False),
        (3, {"limit": 2, "severity": "error"}, False, True),
    ],
)
def test_more_looks_than_the_limit_warn_or_block_where_it_is_asked(
    number: int, limit: object, passed: bool, blocks: bool
) -> None:
    found = gate(numbered(result(), number), limit)
    assert (found.passed, found.blocks, found.value) == (passed, blocks, number)
    assert f"public form {number} against this hold-out" in found.message
    assert ("hold other people out" in found.message) is not passed


def test_looks_that_nobody_counts_do_not_pass_and_no_hold_out_does() -> None:
    assert not gate(numbered(result(), None)).passed
    assert gate(result(None)).passed
    assert "holdout_forms" not in gate_texts(ThresholdConfig.model_validate({"holdout_forms": None}))
