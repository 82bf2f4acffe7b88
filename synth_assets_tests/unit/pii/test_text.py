"""Identifiers in running text."""

from __future__ import annotations

import itertools

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.pii.patterns import TEXT, sql_regex
from synth_assets.pii.text import entity_shares, find_entities

CASES = [
    ("Write to jane.doe+x@mail.example.org today.", "email", "jane.doe+x@mail.example.org"),
    ("SSN 219-09-9998 on file", "ssn", "219-09-9998"),
    ("call (212) 555-0147 x12 now", "phone", "(212) 555-0147 x12"),
    ("ruf +49 30 901820 an", "phone", "+49 30 901820"),
    ("see https://example.org/a?b=1 for it", "url", "https://example.org/a?b=1"),
    ("from 192.168.10.77 at noon", "ip_address", "192.168.10.77"),
    ("paid with 4111 1111 1111 1111 ok", "card_number", "4111 1111 1111 1111"),
    ("IBAN DE89 3704 0044 0532 0130 00 bitte", "iban", "DE89 3704 0044 0532 0130 00"),
    ("admitted 2023-04-05 early", "event_date", "2023-04-05"),
    ("seen on March 3, 2021 again", "event_date", "March 3, 2021"),
    ("am 03.05.2021 entlassen", "event_date", "03.05.2021"),
    ("MRN: 00123456 was used", "mrn", "MRN: 00123456"),
    ("Dr. Okonkwo called", "person_name", "Dr. Okonkwo"),
    ("Frau Müller-Lüdenscheidt kam", "person_name", "Frau Müller-Lüdenscheidt"),
    ("then Maria Garcia left", "person_name", "Maria Garcia"),
    ("lives at 12 Oak Street since", "street_address", "12 Oak Street"),
    ("wohnt Lindenstraße 5 seit", "street_address", "Lindenstraße 5"),
    ("mac 00:1A:2b:3c:4d:5e up", "mac_address", "00:1A:2b:3c:4d:5e"),
]

PLACED = [
    ("lives in Boston with her son", "city", "Boston"),
    ("She was born in St. Louis and left.", "city", "St. Louis"),
    ("moved from Lancaster to Grand Rapids", "city", "Lancaster"),
    ("moved from Lancaster to Grand Rapids", "city", "Grand Rapids"),
    ("grew up in Zzyzxville, alone", "city", "Zzyzxville"),
    ("at 12 Oak Street, Waltham. Mail", "city", "Waltham"),
    ("12 Oak Street, Oberquembach", "city", "Oberquembach"),
    ("Lindenstraße 5, 35578 Wetzlar", "city", "Wetzlar"),
    ("sent to Mason City, IA", "city", "Mason City"),
    ("wohnt in Mörfelden-Walldorf bei", "city", "Mörfelden-Walldorf"),
    ("née à Aix-en-Provence en mai", "city", "Aix-en-Provence"),
    ("natural de Zaragoza, casado", "city", "Zaragoza"),
    ("woont in Lutjewinkel, tel", "city", "Lutjewinkel"),
    ("Ort: Frankfurt am Main", "city", "Frankfurt am Main"),
    ("adressé par la clinique de Rambouillet hier", "city", "Rambouillet"),
    ("mit dem Zug aus Detmold gekommen", "city", "Detmold"),
    ("trabaja en Alcobendas, dos hijos", "city", "Alcobendas"),
    ("Werkt in Spijkdorp, geen klachten", "city", "Spijkdorp"),
    ("invoices go to 40 Harrow Reach.", "street_address", "40 Harrow Reach"),
    ("bij haar dochter, Kalverdijkje 97, tot mei", "street_address", "Kalverdijkje 97"),
    ("her address is 12 Kingsmead Rise, Hull", "street_address", "12 Kingsmead Rise"),
    ("Anschrift: Kolonie Wiesengrund 84.", "street_address", "Kolonie Wiesengrund 84"),
    ("adres Agnetenwal 433.", "street_address", "Agnetenwal 433"),
    ("at 904 Oneida Canyon today", "street_address", "904 Oneida Canyon"),
]


@pytest.mark.parametrize(("text", "kind", "part"), PLACED)
def test_surroundings_tell_a_place(text: str, kind: str, part: str) -> None:
    assert (kind, part) in [(s.entity_type, text[s.start : s.end]) for s in find_entities(text)]


@pytest.mark.parametrize(
    "text",
    [
        "Reading glasses lost, Mobile number unknown, Nice response, Bath daily.",
        "Nach Essen Bauchschmerz, in Halle 3, in Behandlung.",
        "in March and in Surgery; from Monday on; in Recovery since noon",
        "a letter from Mason and one from Jackson",
        "Boston brace fitted, Denver scale, Lincoln sign",
        "in Houston's opinion",
        "moved from Ward to Surgery",
        "address unknown, 3 doses of 20 mg",
    ],
)
def test_words_that_are_also_places_are_no_place_by_themselves(text: str) -> None:
    assert [s for s in find_entities(text) if s.entity_type in {"city", "street_address"}] == []


@pytest.mark.parametrize(("text", "kind", "part"), CASES)
def test_an_identifier_is_found_whole(text: str, kind: str, part: str) -> None:
    assert (kind, part) in [(s.entity_type, text[s.start : s.end]) for s in find_entities(text)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Blood pressure 120/80, weight 72.5 kg, pulse 64.",
        "version 1.2.3 of the tool took 45 minutes",
        "paid with 4111 1111 1111 1112 ok",  # fails Luhn
        "DE89 3704 0044 0532 0130 01",  # fails mod 97
        "The patient was Well and Happy",
        "ratio 3:1 and 10-12 items",
    ],
)
def test_plain_text_holds_no_identifier(text: str) -> None:
    assert [
        s
        for s in find_entities(text)
        if s.entity_type in ("card_number", "iban", "person_name", "email", "ssn", "ip_address")
    ] == []


@given(st.text(alphabet=st.sampled_from("ab@. 0123456789-/:+()ADMr"), max_size=80))
def test_spans_are_in_order_inside_the_text_and_apart(text: str) -> None:
    spans = find_entities(text)
    assert all(0 <= s.start < s.end <= len(text) and 0 <= s.confidence <= 1 for s in spans)
    assert all(a.end <= b.start for a, b in itertools.pairwise(spans))


def test_shares_count_cells_and_skip_missing_ones() -> None:
    shares = entity_shares(["mail a@b.org", "nothing", None, "c@d.org and e@f.org", "on 2024-01-02"])
    assert shares["email"] == 0.5
    assert shares["event_date"] == 0.25
    assert "ssn" not in shares
    assert entity_shares(pa.array([None], pa.string())) == {}


@pytest.mark.parametrize("kind", TEXT)
def test_every_form_runs_in_sql(kind: str) -> None:
    row = duckdb.execute("select regexp_matches('nothing', $1)", [sql_regex(kind)]).fetchone()
    assert row == (False,)


def test_sql_and_python_find_the_same() -> None:
    kinds = {"event_date": "date"}
    for text, kind, part in CASES:
        if part == "Maria Garcia":
            continue  # by the name lists, not by form
        row = duckdb.execute("select regexp_extract($1, $2)", [text, sql_regex(kinds.get(kind, kind))]).fetchone()
        assert row == (part,), kind
