"""`classify FILE --json` says the same of a table in every format, in the form that the scorer of labelled columns reads."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from synth_assets.pii.taxonomy import entity_types
from synth_assets_tests.unit.cli.conftest import Command

FRAME = pd.DataFrame(
    {
        "patient_id": [f"P{i:05d}" for i in range(60)],
        "first_name": ["Anna", "Bruno", "Carla", "David", "Elena", "Frank"] * 10,
        "email": [f"person{i}@example.org" for i in range(60)],
        "date_of_birth": [f"19{40 + i % 60:02d}-0{1 + i % 9}-1{i % 10}" for i in range(60)],
        "diagnosis_code": ["E11.9", "I10", "J45.909", "F32.9", "K21.9", "M54.5"] * 10,
        "systolic_bp": [100 + i for i in range(60)],
    }
)
EXPECTED = {
    "patient_id": ("customer_id", "quasi"),
    "first_name": ("first_name", "direct"),
    "email": ("email", "direct"),
    "date_of_birth": ("birth_date", "quasi"),
    "diagnosis_code": ("icd10", "sensitive"),
    "systolic_bp": ("none", "sensitive"),
}
WRITERS = {
    "csv": lambda path: FRAME.to_csv(path, index=False, lineterminator="\r\n"),
    "tsv": lambda path: FRAME.to_csv(path, index=False, sep="\t"),
    "parquet": FRAME.to_parquet,
    "jsonl": lambda path: FRAME.to_json(path, orient="records", lines=True),
    "json": lambda path: FRAME.to_json(path, orient="records"),
    "xlsx": lambda path: FRAME.to_excel(path, index=False),
    "csv.gz": lambda path: FRAME.to_csv(path, index=False),
}


@pytest.mark.parametrize("suffix", sorted(WRITERS))
def test_every_format_gives_one_scorable_record_per_column(cli: Command, people: Path, suffix: str) -> None:
    file = people.parent / f"patients.{suffix}"
    WRITERS[suffix](file)
    told = cli("classify", file.name, "--json").json
    assert [r["column"] for r in told] == list(FRAME.columns)
    assert {r["column"]: (r["entity_type"], r["identifier_class"]) for r in told} == EXPECTED
    for record in told:
        assert record["entity_type"] in entity_types()
        assert 0 <= record["confidence"] <= 1
        assert record["evidence"]


def test_evidence_of_the_command_quotes_no_value(cli: Command, people: Path) -> None:
    file = people.parent / "patients.csv"
    FRAME.to_csv(file, index=False)
    told = json.dumps(cli("classify", file.name, "--json").json)
    assert not [v for name in ("patient_id", "email", "date_of_birth") for v in FRAME[name] if str(v) in told]


def test_an_unknown_text_detector_is_one_clear_error(cli: Command, people: Path) -> None:
    answer = cli("classify", people.name, "--text-detector", "gliner", "--json")
    assert answer.code != 0
    assert "no text detector" in answer.error["message"]
