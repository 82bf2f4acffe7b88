"""What a report refuses: full forms, and claims of differential privacy that lack what gives them a meaning."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from synth_assets.audit.findings import conclude
from synth_assets.audit.records import AuditInputs, Finding
from synth_assets.config.thresholds import AuditLevels, AuditWeights
from synth_assets.errors import InputError, ReleaseRefusedError
from synth_assets.reports.dataset_report import ReportInput, render
from synth_assets_tests.unit.reports.builders import as_json, parts, privacy


def test_public_forms_are_accepted_as_records_and_as_json():
    made = parts()
    assert render(ReportInput.model_validate(made)) == render(ReportInput.model_validate(as_json(made)))


def test_a_full_audit_is_refused():
    made = parts()
    finding = Finding(metric="exact_copies", message="w", risk_level="low", value=0.0123)
    full = conclude({"privacy": [finding]}, {}, inputs=AuditInputs(), levels=AuditLevels(), weights=AuditWeights())
    made["audits"]["dp_marginals"] = full
    with pytest.raises(ReleaseRefusedError, match="audit of dp_marginals"):
        ReportInput.model_validate(made)


def test_a_full_audit_that_calls_itself_public_is_refused():
    made = as_json(parts())
    made["audits"]["dp_marginals"]["detailed_findings"]["privacy"]["findings"][0]["value"] = 0.0123
    with pytest.raises(ReleaseRefusedError, match="audit of dp_marginals"):
        ReportInput.model_validate(made)


def test_a_full_profile_is_refused():
    made = as_json(parts())
    made["profiles"]["patients"]["form"] = "full"
    with pytest.raises(ReleaseRefusedError, match="profile of table 'patients'"):
        ReportInput.model_validate(made)


def test_a_full_classification_is_refused():
    made = as_json(parts())
    made["verdicts"]["patients"][0]["distinct_count"] = 4999
    with pytest.raises(ReleaseRefusedError, match="classification of table 'patients'"):
        ReportInput.model_validate(made)


def test_an_unrounded_leaderboard_is_refused():
    made = as_json(parts())
    made["leaderboard"]["rows"][0]["privacy"] = 0.87654
    with pytest.raises(ReleaseRefusedError, match="leaderboard"):
        ReportInput.model_validate(made)


@pytest.mark.parametrize("field", ["unit", "spent", "crosscheck", "events", "unit_is_declared"])
def test_a_claim_without_one_of_its_fields_is_no_input(field):
    made = as_json(parts())
    del made["privacy"][0][field]
    with pytest.raises((ValidationError, ReleaseRefusedError)):
        ReportInput.model_validate(made)


@pytest.mark.parametrize("field", ["non_dp_inputs", "contribution_bounds"])
def test_a_claim_that_leaves_a_field_to_its_default_is_refused(field):
    made = as_json(parts())
    del made["privacy"][0][field]
    with pytest.raises(ReleaseRefusedError, match=field):
        ReportInput.model_validate(made)


@pytest.mark.parametrize("delta", [0.0, 1.0, None])
def test_a_claim_without_a_delta_is_no_input(delta):
    made = as_json(parts())
    made["privacy"][0]["spent"]["delta"] = delta
    with pytest.raises(ValidationError):
        ReportInput.model_validate(made)


@pytest.mark.parametrize("changes", [{"unit": ""}, {"contribution_bounds": {}}, {"events": ()}])
def test_a_claim_with_an_empty_field_is_refused(changes):
    made = parts() | {"privacy": [privacy(**changes)]}
    with pytest.raises(ReleaseRefusedError, match=next(iter(changes))):
        ReportInput.model_validate(made)


def test_an_epsilon_of_the_leaderboard_needs_a_privacy_report():
    made = parts() | {"privacy": []}
    with pytest.raises(ReleaseRefusedError, match="without a privacy report"):
        ReportInput.model_validate(made)


def test_an_empty_list_of_non_dp_inputs_is_a_statement():
    made = parts() | {"privacy": [privacy(non_dp_inputs=())]}
    assert "None: every kind, bound and category list was declared" in render(ReportInput.model_validate(made))


@pytest.mark.parametrize("part", ["contracts", "verdicts", "masks", "mask_checks"])
def test_parts_of_other_tables_are_refused(part):
    made = parts()
    made[part] = {"somewhere": next(iter(made[part].values()))}
    with pytest.raises((InputError, ValidationError), match=f"{part}"):
        ReportInput.model_validate(made)


@pytest.mark.parametrize("part", ["audits", "gates"])
def test_parts_of_other_synthesizers_are_refused(part):
    made = parts()
    made[part] = {**made[part], "another": next(iter(made[part].values()))}
    with pytest.raises((InputError, ValidationError), match="synthesizers"):
        ReportInput.model_validate(made)


def test_counts_of_raw_rows_do_not_enter_the_masking_part():
    made = as_json(parts())
    made["masks"]["patients"] |= {"rows": 31337, "redrawn": 31337}
    made["masks"]["patients"]["columns"][0] |= {"distinct_before": 31337, "nulls_before": 31337}
    found = ReportInput.model_validate(made)
    assert "31337" not in found.model_dump_json()
    assert "31,337" not in render(found)
