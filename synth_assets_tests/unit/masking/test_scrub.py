"""Free text: the row's own values and its parents' become the pseudonyms of their columns, known forms become tokens, words stay words."""

from __future__ import annotations

import re
from typing import Any

from synth_assets_tests.unit.masking.conftest import House

NOTES = [
    "Maria Lopez (maria.lopez@mail.com, 617-555-0199) lives at 12 Oak Street, Boston. MRN MRN-0012345.",
    "MARIA said that lopez's knee hurts; Marianne and Lopezia were not here.",
    None,
]


def _people(house: House, notes: list[Any], policy: str = "dev_test", **options: Any) -> dict[str, list[Any]]:
    n = len(notes)
    house.table(
        "people",
        {
            "first": ["Maria"] * n,
            "last": ["Lopez"] * n,
            "email": ["maria.lopez@mail.com"] * n,
            "phone": ["617-555-0199"] * n,
            "street": ["12 Oak Street"] * n,
            "city": ["Boston"] * n,
            "mrn": ["MRN-0012345"] * n,
            "note": notes,
        },
        {
            "first": "first_name",
            "last": "last_name",
            "email": "email",
            "phone": "phone",
            "street": "street_address",
            "city": "city",
            "mrn": "mrn",
            "note": "free_text",
        },
        texts=("note",),
    )
    house.mask(policy, **options)
    return house.read("people")


def test_values_of_the_row_become_the_pseudonyms_of_their_columns(house: House) -> None:
    made = _people(house, NOTES)
    row = {c: v[0] for c, v in made.items()}
    expected = f"{row['first']} {row['last']} ({row['email']}, {row['phone']}) lives at {row['street']}, {row['city']}. MRN {row['mrn']}."
    assert row["note"] == expected


def test_words_are_replaced_in_any_letter_case_and_only_as_whole_words(house: House) -> None:
    made = _people(house, NOTES)
    first, last = made["first"][1], made["last"][1]
    assert made["note"][1] == f"{first} said that {last}'s knee hurts; Marianne and Lopezia were not here."


def test_missing_text_stays_missing(house: House) -> None:
    made = _people(house, NOTES)
    assert made["note"][2] is None


def test_where_columns_are_dropped_tokens_stand_in_the_text(house: House) -> None:
    made = _people(house, NOTES[:1], "hipaa_safe_harbor")
    assert set(made) == {"note"}
    assert made["note"][0] == (
        "[FIRST_NAME] [LAST_NAME] ([EMAIL], [PHONE]) lives at [STREET_ADDRESS], [CITY]. MRN [MRN]."
    )


def test_known_forms_of_others_become_tokens(house: House) -> None:
    text = (
        "Call (617) 555-0123 or mail bob@x.org; SSN 123-45-6789, card 4111 1111 1111 1111, see https://x.org/a?b=1 from 8.8.8.8, "
        "seen 2024-05-17 and 5/17/2024, account 123456789, a 93-year-old man, age 45 years old, dose 250 mg"
    )
    made = _people(house, [text])
    note = made["note"][0]
    for gone in ("555", "bob", "6789", "4111", "x.org", "8.8", "2024", "123456789", "93"):
        assert gone not in note
    for token in (
        "[PHONE]",
        "[EMAIL]",
        "[SSN]",
        "[CARD_NUMBER]",
        "[URL]",
        "[IP_ADDRESS]",
        "[DATE]",
        "[NUMBER]",
        "90+-year-old",
    ):
        assert token in note
    assert "age 45 years old, dose 250 mg" in note


def test_names_with_accents_titles_and_short_names_are_found(house: House) -> None:
    house.table(
        "people",
        {
            "name": ["Dr. José Ng", "Ng", "Anne-Marie Strauß"],
            "note": ["Jose? no, JOSÉ and ng.", "Ng came", "anne, Marie and STRAUß"],
        },
        {"name": "person_name", "note": "free_text"},
    )
    house.mask()
    made = house.read("people")
    words = [set(re.findall(r"\w+", n.lower())) for n in made["note"]]
    assert not words[0] & {"josé", "ng"}
    assert "jose" in words[0]
    assert "ng" not in words[1]
    assert not words[2] & {"anne", "marie", "strauß"}


def test_parents_and_their_parents_are_found_in_texts_below(house: House) -> None:
    house.table(
        "people",
        {"pid": [1, 2], "last": ["Lopez", "Stone"], "sex": ["F", "M"], "first": ["Maria", "Carl"]},
        {"pid": "customer_id", "last": "last_name", "sex": "sex", "first": "first_name"},
        key=("pid",),
    )
    house.table(
        "visits",
        {"vid": [7, 8], "pid": [2, 1]},
        {"vid": "other_id", "pid": "customer_id"},
        key=("vid",),
        parents={"pid": "people.pid"},
    )
    house.table(
        "lines",
        {"vid": [8, 7, None], "note": ["Ms. Lopez and Mr. Stone", "Carl STONE, Lopez", "Lopez"]},
        {"vid": "other_id", "note": "free_text"},
        parents={"vid": "visits.vid"},
    )
    house.mask()
    people, notes = house.read("people"), house.read("lines")["note"]
    lopez, stone = people["last"]
    assert notes[0] == f"Ms. {lopez} and [PERSON_NAME]"
    assert notes[1] == f"{people['first'][1]} {stone}, Lopez"
    assert notes[2] == "Lopez"


def test_a_pseudonym_in_a_text_is_not_eaten_by_a_form(house: House) -> None:
    made = _people(house, ["Mrs. Lopez, 12 Oak Street: 617-555-0199"])
    row = {c: v[0] for c, v in made.items()}
    assert row["note"] == f"Mrs. {row['last']}, {row['street']}: {row['phone']}"
