"""Free text: the row's own values and its parents' become the pseudonyms of their columns, known forms become tokens, words stay words."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_assets.config.dataset import ColumnConfig
from synth_assets.masking.known_forms import suspects, without_forms
from synth_assets.masking.mentions import Words
from synth_assets.masking.scrub import Mention, Scrubber
from synth_assets.masking.texts import Stretches, Texts
from synth_assets_tests.unit.masking.conftest import House

OTHERS = (
    "Call (617) 555-0123 or mail bob@x.org; SSN 123-45-6789, card 4111 1111 1111 1111, see https://x.org/a?b=1 from 8.8.8.8, "
    "seen 2024-05-17 and 5/17/2024, account 123456789, a 93-year-old man, age 45 years old, dose 250 mg"
)
NOTES = [
    "Maria Lopez (maria.lopez@mail.com, 617-555-0199) lives at 12 Oak Street, Boston. MRN MRN-0012345.",
    "MARIA said that lopez's knee hurts; Marianne and Lopezia were not here.",
    None,
    OTHERS,
    "Mrs. Lopez, 12 Oak Street: 617-555-0199",
]
TYPES = {
    "first": "first_name",
    "last": "last_name",
    "email": "email",
    "phone": "phone",
    "street": "street_address",
    "city": "city",
    "mrn": "mrn",
    "note": "free_text",
}
VALUES = ("Maria", "Lopez", "maria.lopez@mail.com", "617-555-0199", "12 Oak Street", "Boston", "MRN-0012345")


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> House:
    """One person, five notes, masked by both policies."""
    house = House(tmp_path_factory.mktemp("scrub"), {})
    columns: dict[str, list[str | None]] = {c: [v] * len(NOTES) for c, v in zip(TYPES, VALUES, strict=False)}
    house.table("people", {**columns, "note": NOTES}, TYPES, texts=("note",))
    house.mask()
    house.mask("hipaa_safe_harbor", out="safe")
    return house


def _row(house: House, at: int) -> dict[str, Any]:
    return {c: v[at] for c, v in house.read("people").items()}


def test_values_of_the_row_become_the_pseudonyms_of_their_columns(people: House) -> None:
    row = _row(people, 0)
    expected = f"{row['first']} {row['last']} ({row['email']}, {row['phone']}) lives at {row['street']}, {row['city']}. MRN {row['mrn']}."
    assert row["note"] == expected


def test_words_are_replaced_in_any_letter_case_and_only_as_whole_words(people: House) -> None:
    row = _row(people, 1)
    assert row["note"] == f"{row['first']} said that {row['last']}'s knee hurts; Marianne and Lopezia were not here."


def test_missing_text_stays_missing(people: House) -> None:
    assert _row(people, 2)["note"] is None


def test_where_columns_are_dropped_tokens_stand_in_the_text(people: House) -> None:
    made = people.read("people", "safe")
    assert set(made) == {"note"}
    assert (
        made["note"][0] == "[FIRST_NAME] [LAST_NAME] ([EMAIL], [PHONE]) lives at [STREET_ADDRESS], [CITY]. MRN [MRN]."
    )


def test_known_forms_of_others_become_tokens(people: House) -> None:
    note = _row(people, 3)["note"]
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


def test_a_pseudonym_in_a_text_is_not_eaten_by_a_form(people: House) -> None:
    row = _row(people, 4)
    assert row["note"] == f"Mrs. {row['last']}, {row['street']}: {row['phone']}"


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


def _scrub(texts: list[str | None], **columns: list[str | None]) -> list[str | None]:
    """Scrub texts by columns named after their entity type; every value's pseudonym is `<its column's name without _>`."""
    kinds = tuple(Mention(c, c, c) for c in columns)
    own = pa.array([list(values) for values in zip(*columns.values(), strict=True)], pa.list_(pa.string()))
    new = pa.array([[f"<{c.replace('_', '')}>" for c in columns]] * len(texts), pa.list_(pa.string()))
    return Scrubber(kinds)(pa.array(texts, pa.string()), own, new).to_pylist()


def test_the_longest_mention_wins_where_two_overlap() -> None:
    made = _scrub(["Ann Annan, ann.annan@x.org"], first_name=["Ann"], last_name=["Annan"], email=["ann.annan@x.org"])
    assert made == ["firstname lastname, <email>"]


def test_a_number_is_found_in_any_spelling_of_its_groups() -> None:
    made = _scrub(["at (617) 555-0199 or 617.555.0199, not 617-555-0198"], phone=["617-555-0199"])
    assert made == ["at (<phone> or <phone>, not [PHONE]"]


def test_words_of_other_rows_stay() -> None:
    assert _scrub(["Ann and Bo", "Ann and Bo"], first_name=["Ann", "Bo"]) == ["firstname and Bo", "Ann and firstname"]


@settings(max_examples=60)
@given(
    names=st.lists(st.text("abéßЖ", min_size=2, max_size=4), min_size=1, max_size=8),
    words=st.lists(st.text("abcéßЖ", min_size=1, max_size=5), max_size=12),
)
def test_no_whole_word_of_the_row_is_left_and_all_others_are(names: list[str], words: list[str]) -> None:
    texts = [" ".join([*words, name.upper(), name]) for name in names]
    for name, made in zip(names, _scrub(list(texts), last_name=list(names)), strict=True):
        expected = ["lastname" if w.casefold() == name.casefold() else w for w in [*words, name.upper(), name]]
        assert made is not None
        assert made.split(" ") == expected


@settings(max_examples=60)
@given(
    pieces=st.lists(
        st.sampled_from(
            [
                "bob@x.org",
                "www.x.org/a",
                "https://x.org",
                "00:1A:2B:3C:4D:5E",
                "ab-cd-ef-ab-cd-ef",
                "DE89 3704 0044 0532 0130 00",
                "GB12ABCDEFGHIJ",
                "1/2/24",
                "May 5, 2024",
                "5. Mai 2024",
                "8.8.8.8",
                "123-45-6789",
                "4111 1111 1111 1111",
                "(617) 555-0123",
                "030 1234",
                "MRN 1234",
                "chart no. 00123",
                "12 Oak Street",
                "Hauptstraße 5",
                "Am Weg 4",
                "Lindenallee 12a",
                "12 rue de la Paix",
                "Calle Mayor 5",
                "Kerkstraat 7",
                "Ring 4",
                "Am Hafen 3",
                "www.example.org",
                "room 2",
                "Mr. Stone",
                "Señora Lopez",
                "M. Petit",
                "Dr Prof. Kim",
                "93-year-old",
                "101 yo",
                "AB1234567",
                "a 45-year-old",
                "20 mg",
                "Ann",
                "the",
                ".",
            ]
        ),
        max_size=6,
    )
)
def test_texts_that_are_not_suspected_hold_no_known_form(pieces: list[str]) -> None:
    texts = Texts.of(pa.array([" ".join(pieces)]))
    nothing = Stretches(*[np.zeros(0, np.int64)] * 5)
    if not suspects(texts, Words.of(texts), nothing)[0]:
        assert without_forms(texts).to_arrow().to_pylist() == [" ".join(pieces)]


def test_a_text_with_more_mentions_than_marks_loses_them_all() -> None:
    (made,) = _scrub(["Ann, 1/2/24 " + "Ann " * 7000], first_name=["Ann"])
    assert made is not None
    assert "Ann" not in made
    assert made.count("firstname") == 6400
    assert made.count("[REDACTED]") == 601


def test_marks_in_the_original_bring_nothing_back() -> None:
    assert _scrub(["\ue000 \ue001 Ann 1/2/24 \uf8ff"], first_name=["Ann"]) == ["  firstname [DATE] "]


def test_every_name_of_a_table_with_many_is_found_in_its_notes(house: House) -> None:
    columns = {f"n{i}": ["Ann Lee", "Bo Kim"] for i in range(60)}
    house.table(
        "people",
        {**columns, "note": ["ann LEE", "Bo, Ann"]},
        {**dict.fromkeys(columns, "person_name"), "note": "free_text"},
    )
    house.mask(overrides={"people": {c: ColumnConfig(action="pseudonym") for c in columns}})
    made = house.read("people")
    assert made["note"][1].endswith(", Ann")
    assert "lee" not in made["note"][0].lower()


def test_a_name_is_found_however_unicode_spells_it(house: House) -> None:
    """Two letters for one (ß, ligatures), a capital of two characters (İ), accents apart from their letters."""
    names = ["Strauß", "İpek", "Ræfﬁ", "Jose\u0301", "José"]
    notes = ["STRAUSS, strauß", "i\u0307pek, İPEK", "RÆFFI", "JOSÉ", "JOSE\u0301 and jose\u0301"]
    house.table("people", {"name": names, "note": notes}, {"name": "last_name", "note": "free_text"}, texts=("note",))
    house.mask("hipaa_safe_harbor")
    assert house.read("people")["note"] == [
        "[LAST_NAME], [LAST_NAME]",
        "[LAST_NAME], [LAST_NAME]",
        "[LAST_NAME]",
        "[LAST_NAME]",
        "[LAST_NAME] and [LAST_NAME]",
    ]


def test_the_sign_before_a_telephone_number_goes_with_it(house: House) -> None:
    phones = ["(617) 555-0199", "+49 30 1234567"]
    notes = ["call (617) 555-0199!", "+49 30 1234567, not (1)"]
    house.table("people", {"phone": phones, "note": notes}, {"phone": "phone", "note": "free_text"}, texts=("note",))
    house.mask()
    made = house.read("people")
    assert made["note"] == [f"call {made['phone'][0]}!", f"{made['phone'][1]}, not (1)"]


@pytest.mark.parametrize("mail", ["zoë@hôpital.fr", "иван@почта.рф", "a.b@mail.xn--80ak6aa92e", "ann@clinic.org"])
def test_addresses_with_letters_of_any_alphabet_are_recognised(house: House, mail: str) -> None:
    house.table("t", {"note": [f"write to {mail} or {mail.upper()}."]}, {"note": "free_text"}, texts=("note",))
    house.mask()
    assert house.read("t")["note"] == ["write to [EMAIL] or [EMAIL]."]


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("seen March 2020 and on 3rd of May", "seen [DATE] and on [DATE]"),
        ("on May 14th, since 05/2019", "on [DATE], since [DATE]"),
        ("may take 5 mg in 2019", "may take 5 mg in 2019"),
        ("aged 93, age: 101, 94 years, 95F", "aged 90+, age: 90+, 90+ years, 90+F"),
        ("aged 115 years old", "aged 90+ years old"),
        ("aged 83, 90 mg, 95 beats", "aged 83, 90 mg, 95 beats"),
    ],
)
def test_parts_of_dates_and_ages_over_89_are_not_told(house: House, said: str, left: str) -> None:
    house.table("t", {"note": [said]}, {"note": "free_text"}, texts=("note",))
    house.mask("hipaa_safe_harbor")
    assert house.read("t")["note"] == [left]


def test_the_row_of_the_same_table_that_a_row_refers_to_is_told_with_its_pseudonyms(house: House) -> None:
    house.table(
        "staff",
        {
            "id": ["a", "b", "c"],
            "boss": [None, "a", "b"],
            "first": ["Nancy", "Andrew", "Robert"],
            "last": ["Edwardsen", "Adamsky", "Kingsley"],
            "note": ["head", "reports to Nancy Edwardsen", "ANDREW ADAMSKY decides, not Nancy"],
        },
        {"id": "customer_id", "boss": "customer_id", "first": "first_name", "last": "last_name", "note": "free_text"},
        key=("id",),
        parents={"boss": "staff.id"},
        texts=("note",),
    )
    house.mask()
    made = house.read("staff")
    assert made["note"][:2] == ["head", f"reports to {made['first'][0]} {made['last'][0]}"]
    assert made["note"][2] == f"{made['first'][1]} {made['last'][1]} decides, not Nancy"


def test_a_parents_name_is_drawn_by_its_own_sex_and_not_by_that_of_the_row_that_tells_it(house: House) -> None:
    house.table(
        "doctors", {"id": [1], "name": ["Kim Abernath"]}, {"id": "customer_id", "name": "person_name"}, key=("id",)
    )
    house.table(
        "visits",
        {"doctor": [1] * 40, "sex": ["F", "M"] * 20, "note": ["seen by Kim Abernath"] * 40},
        {"doctor": "customer_id", "sex": "sex", "note": "free_text"},
        parents={"doctor": "doctors.id"},
        texts=("note",),
    )
    house.mask()
    assert set(house.read("visits")["note"]) == {f"seen by {house.read('doctors')['name'][0]}"}
