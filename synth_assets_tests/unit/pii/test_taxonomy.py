"""The closed list of types, and what follows from it."""

from __future__ import annotations

import importlib.util
import typing
from pathlib import Path

import pytest

from synth_assets.config.rules import Action
from synth_assets.pii.records import ColumnVerdict, table_level
from synth_assets.pii.taxonomy import HIPAA_IDENTIFIERS, action_for, entity_types, level_of, taxonomy


def test_there_are_62_types() -> None:
    assert len(entity_types()) == 62


@pytest.mark.shared_data
def test_the_types_are_those_of_the_label_file(shared_data: Path) -> None:
    spec = importlib.util.spec_from_file_location("score_pii", shared_data / "pii_dev" / "score_pii.py")
    assert spec is not None
    assert spec.loader is not None
    scorer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scorer)
    assert set(entity_types()) == scorer.TYPES


def test_every_action_is_one_of_masking() -> None:
    actions = set(typing.get_args(Action))
    assert {e.action for e in taxonomy().values()} <= actions


def test_all_18_safe_harbor_identifiers_have_a_type() -> None:
    letters = {e.hipaa for e in taxonomy().values() if e.hipaa}
    # (Q) full face photographs share a type with (P) biometric identifiers
    assert letters == set(HIPAA_IDENTIFIERS) - {"Q"}
    assert len(HIPAA_IDENTIFIERS) == 18


@pytest.mark.parametrize(
    "name", ["email", "phone", "ssn", "card_number", "mrn", "iban", "vin", "npi", "passport", "national_id"]
)
def test_identifiers_of_one_person_are_unique_by_nature(name: str) -> None:
    assert taxonomy()[name].unique_by_nature


@pytest.mark.parametrize("name", ["first_name", "city", "birth_date", "none", "other_id", "sex"])
def test_what_people_share_is_not_unique_by_nature(name: str) -> None:
    assert not taxonomy()[name].unique_by_nature


def test_article_9_categories_are_special() -> None:
    special = {n for n, e in taxonomy().items() if e.gdpr == "special"}
    assert {"race_ethnicity", "religion", "icd10", "diagnosis_text", "photo_or_biometric"} <= special


@pytest.mark.parametrize(
    ("kind", "cls", "level"),
    [
        ("ssn", "direct", "restricted"),
        ("icd10", "sensitive", "restricted"),
        ("salary_or_income", "sensitive", "confidential"),
        ("zip", "quasi", "confidential"),
        ("street_address", "none", "internal"),
        ("none", "none", "public"),
    ],
)
def test_level_follows_type_and_class(kind: str, cls: typing.Any, level: str) -> None:
    assert level_of(kind, cls) == level


def test_business_data_are_kept_and_keys_get_pseudonyms() -> None:
    assert action_for("street_address", "none") == "keep"
    assert action_for("street_address", "direct") == "pseudonym"
    assert action_for("other_id", "none") == "pseudonym"


def test_direct_columns_are_never_kept() -> None:
    assert all(action_for(name, "direct") != "keep" for name in entity_types())


def _verdict(level: typing.Any) -> ColumnVerdict:
    return ColumnVerdict(
        column="c", entity_type="none", identifier_class="none", confidence=0.98765, evidence=("counts: 7 distinct",), level=level,
        recommended_action="keep", distinct_count=7, missing_fraction=1 / 3,
    )  # fmt: skip


def test_a_table_has_the_highest_level_of_its_columns() -> None:
    assert table_level([_verdict("public"), _verdict("restricted"), _verdict("internal")]) == "restricted"
    assert table_level([]) == "public"


def test_the_public_form_has_no_counts() -> None:
    public = _verdict("public").public()
    assert public.distinct_count is None
    assert public.evidence == ()
    assert public.confidence == 0.99
    assert public.missing_fraction == 0.33
