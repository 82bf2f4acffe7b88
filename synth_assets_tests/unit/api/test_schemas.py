"""The published JSON Schemas: current, valid, and true of real results and requests."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from jsonschema import Draft202012Validator

from synth_assets import api
from synth_assets.api.requests import read_request
from synth_assets.api.schemas import file_name, schema
from synth_assets.audit.records import AuditResult
from synth_assets.errors import InputError
from synth_assets_tests.chain import ROOT

FILE_JOBS = ("profile", "classify", "mask", "generate", "synthesize")
NAMES = ("audit", "audit-public", "audit-request", *(f"{j}-{k}" for j in FILE_JOBS for k in ("request", "reply")))
PUBLISHED = ROOT / "docs" / "schemas"


def faults(name: str, value: Any) -> list[str]:
    return [error.message for error in Draft202012Validator(schema(name)).iter_errors(value)]


@pytest.fixture(scope="module")
def result(tables: Path) -> AuditResult:
    frames = [pd.read_csv(tables / f"{name}.csv") for name in ("synthetic", "real", "holdout")]
    return api.audit(*frames, protected=["sex"], target="ill")


def plain(value: AuditResult) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(value.model_dump_json())
    return found


def test_no_other_file_is_published() -> None:
    assert {p.name for p in PUBLISHED.iterdir()} == {file_name(name) for name in NAMES}
    for file in PUBLISHED.iterdir():
        Draft202012Validator.check_schema(json.loads(file.read_text()))
    assert file_name("audit") == "audit-2.json"
    with pytest.raises(InputError, match="no schema 'report'"):
        schema("report")


def test_real_results_are_of_the_schema(result: AuditResult, tables: Path) -> None:
    alone = api.audit(tables / "synthetic.csv")
    for found in (result, alone):
        assert faults("audit", plain(found)) == []
        assert faults("audit", plain(found.public())) == []
        assert faults("audit-public", plain(found.public())) == []
    assert faults("audit-public", plain(result))


@pytest.mark.parametrize("key", ["overall_score", "module_scores", "detailed_findings", "definitions", "seconds"])
def test_a_result_without_a_key_is_not_of_the_schema(result: AuditResult, key: str) -> None:
    value = plain(result)
    del value[key]
    assert faults("audit", value)


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        (("format_version",), 1),
        (("overall_score",), "good"),
        (("detailed_findings", "privacy", "risk_level"), "tiny"),
        (("detailed_findings", "privacy", "message"), None),
        (("detailed_findings", "privacy", "findings"), [{"metric": "x"}]),
        (("module_scores", "privacy"), [1]),
    ],
)
def test_a_wrong_value_is_not_of_the_schema(result: AuditResult, path: tuple[str, ...], wrong: Any) -> None:
    value = copy.deepcopy(plain(result))
    place = value
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = wrong
    assert faults("audit", value)


def test_the_published_example_is_a_part_of_every_result(result: AuditResult) -> None:
    value = plain(result.public())
    for module in ("privacy", "fairness", "fidelity"):
        assert 0 <= value["module_scores"][module] <= 1
        assert {"risk_level", "message"} <= set(value["detailed_findings"][module])
    assert 0 <= value["overall_score"] <= 1


def test_every_field_of_a_result_is_explained() -> None:
    made = schema("audit")
    parts = {"result": made, **made["$defs"]}
    silent = [
        f"{part}.{name}"
        for part, found in parts.items()
        for name, field in found["properties"].items()
        if "description" not in field and part not in {"Cutoffs", "AuditWeights", "ModuleScores", "WeightsUsed"}
    ]
    assert silent == []


@pytest.mark.parametrize(
    "request_",
    [
        {"synthetic_data_url": "https://h.example/a.csv"},
        {"synthetic_data_url": "a.csv", "real_data_url": None, "protected_attributes": ["sex"], "target": "ill"},
        {},
        {"synthetic_data_url": ""},
        {"synthetic_data_url": "a.csv", "more": 1},
        {"synthetic_data_url": "a.csv", "seed": -1},
        {"synthetic_data_url": "a.csv", "protected_attributes": [""]},
        {"synthetic_data_url": "a.csv", "levels": {"tvd": {"medium": 0.1, "high": 0.2}}, "weights": {"privacy": 1}},
        {"synthetic_data_url": "a.csv", "levels": {"tvd": {"medium": 0.1}}},
        {"synthetic_data_url": "a.csv", "weights": {"utility": 1}},
    ],
)
def test_the_schema_of_a_request_says_what_the_code_does(request_: dict[str, Any]) -> None:
    try:
        read_request(request_)
        accepted = True
    except InputError:
        accepted = False
    assert (faults("audit-request", request_) == []) is accepted


def test_requests_and_replies_of_file_jobs_are_of_their_schemas() -> None:
    from synth_assets.api.file_requests import MaskReply, MaskRequest

    asked = MaskRequest(file="a.csv", out="b.csv").model_dump(mode="json")
    assert faults("mask-request", asked) == []
    assert faults("mask-request", {**asked, "rows": [{"name": "Ann"}]})
    assert faults("mask-request", {"file": "a.csv"})
    reply = MaskReply(row_count=3, path="b.csv", policy="dev_test").model_dump(mode="json")
    assert faults("mask-reply", {**reply, "of_a_later_version": 1}) == []
    assert faults("mask-reply", {"path": "b.csv"})
