"""Reading column names: words, concepts, and the types they hint at."""

from __future__ import annotations

from pathlib import Path

import pytest

from synth_assets.pii import headers
from synth_assets.pii.names import fold, read_header, vocabulary
from synth_assets.pii.taxonomy import entity_types

_LINES = [
    line
    for line in (Path(__file__).parent / "headers.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]
EXPECTED = [(kind, name) for kind, _, names in (line.partition(": ") for line in _LINES) for name in names.split()]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("customerFirstName", ("customer", "first", "name")),
        ("CUSTOMER_FIRST_NM", ("customer", "first", "nm")),
        ("DateofHire", ("date", "of", "hire")),
        ("dateofhire", ("date", "of", "hire")),
        ("PatientID", ("patient", "id")),
        ("patientid", ("patient", "id")),
        ("Prénom", ("prenom",)),
        ("Führerschein", ("fuhrerschein",)),
        ("fuehrerschein", ("fuhrerschein",)),
        ("zip5", ("zip5",)),
        ("ICD10Code", ("icd10code",)),
        ("2020 Census Tract", ("2020", "census", "tract")),
    ],
)
def test_a_name_is_split_into_words(name: str, words: tuple[str, ...]) -> None:
    assert read_header(name).words == words


@pytest.mark.parametrize("name", ["dosage", "usage", "storage", "mileage", "package"])
def test_an_age_inside_a_word_is_no_age(name: str) -> None:
    assert "age" not in read_header(name).all


@pytest.mark.parametrize("name", ["valid", "covid", "lipid", "hybrid"])
def test_a_word_that_ends_in_id_is_no_key(name: str) -> None:
    assert "id" not in read_header(name).all


@pytest.mark.parametrize("name", ["col1", "COL_17", "c2", "field7", "Unnamed: 0", "x", "7", "column12", ""])
def test_a_name_that_says_nothing_is_opaque(name: str) -> None:
    assert read_header(name).opaque


@pytest.mark.parametrize(
    ("name", "concept"),
    [
        ("nacionalid", "nationality"),
        ("rlgn_cd", "religion"),
        ("mrtl_stat", "marital"),
        ("diagn", "diagnosis"),
        ("ptnt_nm", "patient"),
    ],
)
def test_a_shortened_word_is_the_one_it_can_only_stand_for(name: str, concept: str) -> None:
    assert concept in read_header(name).all


@pytest.mark.parametrize("name", ["super", "inter", "contr", "prct", "qrst"])
def test_a_shortened_word_that_may_be_several_is_none(name: str) -> None:
    assert not read_header(name).known


@pytest.mark.parametrize("name", ["name", "city", "col_name", "cx"])
def test_a_name_with_words_is_not_opaque(name: str) -> None:
    assert not read_header(name).opaque


def test_fold_removes_accents_and_case() -> None:
    assert fold("Straße ÉTÉ Øl ł") == "strasse ete ol l"


@pytest.mark.parametrize(("kind", "name"), EXPECTED)
def test_a_usual_column_name_is_read(kind: str, name: str) -> None:
    found = [h for h in headers.hints(read_header(name)) if h.weight > 2.5]
    assert (found[0].entity_type if found else "none") == kind


def test_the_table_of_names_covers_every_type() -> None:
    assert {kind for kind, _ in EXPECTED} == set(entity_types())


def test_every_rule_names_known_types_and_groups() -> None:
    for rule in headers.rules():
        assert rule.entity_type in entity_types()
        assert rule.needed
        assert all(term in headers.GROUPS for term in (*rule.needed, *rule.excluded) if term.startswith("@"))


def test_groups_and_spoilers_are_concepts_of_the_vocabulary() -> None:
    known = frozenset().union(*vocabulary().values())
    assert known >= headers.PERSONS | headers.THINGS | headers.ORGANIZATIONS | headers.SPOILERS


@pytest.mark.parametrize("name", ["email_status", "phone_type", "city_count", "country_population"])
def test_a_kind_or_count_of_something_is_not_the_thing(name: str) -> None:
    strongest = headers.hints(read_header(name))
    assert not strongest or strongest[0].entity_type == "none" or strongest[0].weight < 3.5
