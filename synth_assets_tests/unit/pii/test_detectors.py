"""Detectors on values alone: positives, near misses, and check digits that fail."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from synth_assets.pii.columns import ColumnSample
from synth_assets.pii.evidence import Case, gather
from synth_assets.pii.plausible import fit
from synth_assets_tests.unit.pii import builders


def case_of(values: list[str], name: str = "col1") -> Case:
    distinct = pc.unique(pa.array(values, pa.string()).drop_null())
    return gather(ColumnSample(name, "string", distinct, rows=len(values), missing=0, distinct=len(distinct)))


@pytest.mark.parametrize("kind", builders.MAKERS)
def test_values_alone_tell_the_type(kind: str) -> None:
    assert case_of(builders.column(kind)).top == kind


@pytest.mark.parametrize("kind", ["card_number", "npi", "dea", "iban", "routing_number", "vin", "loinc"])
def test_the_same_form_with_wrong_check_digits_is_something_else(kind: str) -> None:
    rng = np.random.default_rng(3)
    last = [v[:-1] + str((int(v[-1]) + 1 + int(rng.integers(0, 8))) % 10) for v in builders.column(kind)]
    found = case_of(last)
    assert found.top != kind
    assert found.score(kind) < 5


def test_names_with_titles_are_told_by_them() -> None:
    rare = ["Xrzeb", "Quillot", "Brntzka", "Zwylof", "Oxtrup", "Jvarn"]
    titles = ["Dr.", "Dr. med.", "Frau", "Sig.", "Mme", "Prof. Dr."]
    assert case_of([f"{t} {n}" for t in titles for n in rare]).top == "person_name"
    assert case_of([f"{t}{n}" for t in ("Drum ", "Mristen ", "Smooth ") for n in rare]).top != "person_name"


def test_codes_of_two_letters_are_no_names() -> None:
    assert case_of(["PA", "TO", "MI", "RM", "BO", "NA", "AL", "ED"] * 9).top not in ("first_name", "last_name")


NEAR_MISSES = [
    ("ip_address", ["1.2.3.4", "2.10.3.1", "4.5.74.7", "8.10.84.6", "4.18.82.8", "9.9.72.9", "3.1.0.2"]),  # versions
    ("ssn", [f"000-{i:02d}-{i:04d}" for i in range(10, 60)]),  # no such area
    ("ssn", [f"666-{i:02d}-{i:04d}" for i in range(10, 60)]),
    ("ndc", [f"{i:04d}-{i % 900 + 100}-{i % 800 + 100}" for i in range(1000, 1060)]),  # part numbers 4-3-3
    ("email", ["@home", "a at b.de", "user@", "x@y z.com", "mail"]),
    ("phone", [f"2023-01-{i:02d}" for i in range(1, 29)]),
    ("birth_date", [f"2022-{m:02d}-{d:02d}" for m in range(1, 13) for d in range(1, 20)]),
    ("sex", ["yes", "no"]),
    ("race_ethnicity", ["black", "white", "blue", "green", "red"]),  # colours
    ("marital_status", ["open", "closed", "single"]),
    ("person_name", ["Emma Mirror", "Hugo Bookcase", "Bella Stool", "Oscar Lampshade", "Anna Wardrobe"]),
    ("first_name", ["Widget", "Gadget", "Doohickey", "Gizmo9", "Thingamajig", "Sprocket"]),
    ("icd10", ["A1", "B2", "C3", "D4", "E5"]),
    ("mac_address", ["aa:bb:cc", "00:11:22:33:44", "zz:11:22:33:44:55"]),
    ("url", ["example", "a.b", "not a link", "file name.txt"]),
    ("free_text", ["short", "tiny", "small words"]),
    ("vin", ["IIIIIIIIIIIIIIIII", "OOOOOOOOOOOOOOOOO", "QQQQQQQQQQQQQQQQQ"]),
    ("zip", ["12", "1234567", "123"]),
    ("username", ["report.csv", "slides.pptx", "photo.jpeg", "notes.txt", "song.mp3", "data.json"]),
    ("first_name", ["April", "May", "June", "August", "January", "March"]),
    ("password_or_secret", ["#a1B2c3", "#00ff99", "#123abc", "#fedcba", "#0f0f0f", "#abcdef"]),
    (
        "person_name",
        ["Jones, Morris and Stephens", "Harrison-Reynolds", "Clark, Lewis and Young", "Taylor-Brown", "Wilson Ltd"],
    ),
    ("coordinates", ["12.5", "13.25", "99.75", "100.00"]),
]


@pytest.mark.parametrize(("kind", "values"), NEAR_MISSES)
def test_a_near_miss_is_not_the_type(kind: str, values: list[str]) -> None:
    assert case_of(values * 5).top != kind


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("iban", ["DE89 3704 0044 0532 0130 00", "GB82 WEST 1234 5698 7654 32", "FR14 2004 1010 0505 0001 3M02 606"]),
        ("phone", ["+49 30 901820", "+33 1 42 68 53 00", "+44 20 7946 0958", "+1 212-555-0147"]),
        ("ip_address", ["2001:db8::ff00:42:8329", "fe80::1", "2001:db8:85a3::8a2e:370:7334"]),
        ("card_number", ["XXXX-XXXX-XXXX-1234", "XXXX-XXXX-XXXX-9999", "****-****-****-4321"]),
        ("county", ["Kent County", "Orleans Parish", "Clark County"]),
        ("street_address", ["Hauptstraße 5", "Lindenweg 12a", "Am Ring 3", "Goethestr. 44", "Schillerplatz 7"]),
        ("street_address", ["Rua das Flores, 123", "Av. Paulista, 1000", "Calle Mayor 5", "Via Roma 12"]),
        ("device_id", ["(01)66787356111650(11)170913(17)420928", "(01)70600030320845(11)170810(17)420825"]),
        (
            "street_address",
            ["12 Oak St\nDenver, CO 80014", "5 Elm Ave\nBoston, MA 02108", "77 Hill Rd\nDallas, TX 75201"],
        ),
        ("password_or_secret", ["aB3$kkpo", "Zu!8tree", "pq_9RRst", "k#Lm44vv", "Tt&7uuee"]),
        ("other_id", ["978-0-306-40615-7", "978-3-16-148410-0", "978-1-86197-271-2"]),
        ("national_id", ["AB 12 34 56 C", "CD 98 76 54 A", "EF 11 22 33 D"]),
        ("national_id", ["123.456.789-09", "987.654.321-00", "111.222.333-44"]),
        (
            "username",
            [
                "jsmith",
                "mgarcia",
                "krossi",
                "tjohnson",
                "abrown",
                "lweber",
                "pdubois",
                "nclark",
                "sjones",
                "rtaylor",
                "hlewis",
            ],
        ),
        (
            "username",
            [
                "anna.smith",
                "bruno.rossi",
                "carla.weber",
                "david.jones",
                "elena.brown",
                "frank.clark",
                "hugo.young",
                "nora.garcia",
                "maria.lewis",
                "paula.taylor",
                "sarah.moreau",
            ],
        ),
        ("timestamp", ["2024-05-01T12:30:00Z", "2024-05-02T08:15:30Z", "2024-05-03T22:01:09Z"]),
        ("event_date", ["03.05.2021", "17.11.2022", "29.01.2021"]),
        ("event_date", ["May 3, 2021", "November 17, 2022", "Jan 29, 2021"]),
    ],
)
def test_other_spellings_are_found(kind: str, values: list[str]) -> None:
    assert case_of(values * 2).top == kind


def test_national_numbers_are_found_by_their_check_digits() -> None:
    rng = np.random.default_rng(5)
    numbers = []
    while len(numbers) < 60:  # Dutch BSN: 9 8 7 6 5 4 3 2 -1 weights, mod 11
        body = builders.digits(rng, 8)
        check = sum(int(c) * w for c, w in zip(body, range(9, 1, -1), strict=True)) % 11
        numbers += [body + str(check)] if check < 10 and body[0] != "0" else []
    found = case_of(numbers)
    assert found.top == "national_id"
    assert any("nl.bsn" in reason for reason in found.reasons("national_id"))


def test_a_name_that_the_values_contradict_counts_little() -> None:
    found = case_of(["yes", "no", "no"] * 20, name="email")
    assert found.top == "none"
    assert any("but only 0% of the values" in reason for reason in found.reasons("email"))


@pytest.mark.parametrize("kind", builders.MAKERS)
def test_values_of_a_type_fit_a_name_of_that_type(kind: str) -> None:
    distinct = pc.unique(pa.array(builders.column(kind), pa.string()))
    assert fit(kind, ColumnSample("c", "string", distinct, rows=200, missing=0, distinct=len(distinct))) >= 0.6


def test_numbers_under_a_plural_are_counts() -> None:
    assert case_of([str(i % 7) for i in range(200)], name="passengers").top == "none"
    assert case_of([str(i % 7) for i in range(200)], name="number_of_patients").top == "none"
