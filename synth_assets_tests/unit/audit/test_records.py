"""Records: what is stored, and what the public form leaves out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from synth_assets.audit.findings import conclude
from synth_assets.audit.records import (
    AuditInputs,
    AuditResult,
    Finding,
    GroupFigure,
    accepted,
    coarse,
    read_result,
    worst_level,
)
from synth_assets.config.thresholds import AuditLevels, AuditWeights, Cutoffs
from synth_assets.errors import InputError


def result(**findings: list[Finding]) -> AuditResult:
    return conclude(
        findings,  # type: ignore[arg-type]  # module names
        {},
        inputs=AuditInputs(
            tables=("people",),
            synthetic_rows=1234,
            train_rows=32561,
            holdout_rows=7,
            samples={"rows_under_attack": 1998},
        ),
        levels=AuditLevels(),
        weights=AuditWeights(),
    )


FINDING = Finding(
    metric="demographic_parity",
    message="words",
    risk_level="low",
    value=0.12345,
    interval=(0.1111, 0.2222),
    baseline=0.3333,
    excess=-0.0049,
    groups=(
        GroupFigure(name="many", synthetic_rows=1234, real_rows=4321, synthetic=0.12345, real=0.2),
        GroupFigure(name="few", synthetic_rows=500, real_rows=10, synthetic=0.5, real=0.5),
    ),
    details={"smallest_group": 3},
)


def test_the_json_has_the_required_keys_and_reads_back_equal():
    full = result(fairness=[FINDING])
    data = json.loads(full.model_dump_json())
    assert set(data["module_scores"]) == {"privacy", "fairness", "fidelity", "utility"}
    assert set(data["detailed_findings"]) == {"privacy", "fairness", "fidelity", "utility"}
    assert all({"risk_level", "message"} <= set(found) for found in data["detailed_findings"].values())
    assert all({"risk_level", "message"} <= set(f) for f in data["detailed_findings"]["fairness"]["findings"])
    assert AuditResult.model_validate_json(full.model_dump_json()) == full


def test_the_public_form_rounds_and_drops_details_and_small_groups():
    public = result(fairness=[FINDING]).public()
    found = public.findings("fairness")[0]
    assert public.form == "public"
    assert (found.value, found.interval, found.baseline, found.excess) == (0.12, (0.11, 0.22), 0.33, 0.0)
    assert str(found.excess) == "0.0"
    assert [(g.name, g.synthetic_rows, g.synthetic) for g in found.groups] == [("many", 1200, 0.12)]
    assert found.details == {}


def test_the_public_form_has_no_exact_count_of_real_rows():
    inputs = result().public().inputs
    assert (inputs.train_rows, inputs.holdout_rows, inputs.synthetic_rows) == (33000, None, 1234)
    assert inputs.samples == {"rows_under_attack": 2000}


@given(st.integers(0, 10**9))
def test_a_coarse_count_is_within_five_percent_and_hides_small_cells(rows):
    shown = coarse(rows)
    if rows < 11:
        assert shown is None
    else:
        assert shown is not None
        assert abs(shown - rows) <= 0.05 * rows


def test_findings_are_found_by_module_and_metric():
    full = result(fairness=[FINDING], privacy=[FINDING.model_copy(update={"metric": "exact_copies"})])
    assert [f.metric for f in full.findings()] == ["exact_copies", "demographic_parity"]
    assert [f.metric for f in full.findings("fairness", "demographic")] == ["demographic_parity"]
    assert full.findings("utility") == ()


def test_levels_are_ordered():
    assert worst_level(("low", "high", "medium")) == "high"
    assert worst_level(()) is None
    assert accepted("medium", "medium")
    assert not accepted("high", "medium")


@pytest.mark.parametrize(
    ("figure", "level"), [(0.0, "low"), (0.0999, "low"), (0.10, "medium"), (0.18, "medium"), (0.25, "high")]
)
def test_a_cutoff_belongs_to_the_higher_level(figure, level):
    assert AuditLevels().membership.level(figure) == level


def test_default_cutoffs_agree_with_the_published_examples():
    levels = AuditLevels()
    assert levels.membership.level(0.18) == "medium"
    assert levels.fairness.level(0.049) == "low"
    assert levels.tvd.level(0.12) == "low"


def test_cutoffs_in_the_wrong_order_are_refused():
    with pytest.raises(ValidationError, match="must not be larger"):
        Cutoffs(medium=0.3, high=0.2)


def test_weights_of_zero_are_refused():
    with pytest.raises(ValidationError, match="above 0"):
        AuditWeights(privacy=0, fairness=0, fidelity=0)


def test_a_finding_refuses_a_number_that_is_not_finite():
    with pytest.raises(ValidationError):
        Finding(metric="m", message="w", risk_level="low", value=float("nan"))


def test_records_import_no_heavy_library():
    code = (
        "import sys, synth_assets.audit, synth_assets.audit.records, synth_assets.audit.leaderboard;"
        "print(sorted({'numpy','pandas','sklearn','scipy','ibis','pyarrow','duckdb'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_stored_result_reads_back_and_one_of_another_version_says_what_to_do(tmp_path: Path) -> None:
    kept = tmp_path / "result.json"
    full = result(fairness=[FINDING])
    kept.write_text(full.model_dump_json())
    assert read_result(kept) == full
    old = json.loads(kept.read_text()) | {"format_version": 1, "module_levels": {"privacy": "secret-731931"}}
    kept.write_text(json.dumps(old))
    with pytest.raises(InputError, match="none of this version") as caught:
        read_result(kept)
    assert caught.value.file == str(kept)
    assert "731931" not in str(caught.value)
