"""Fresh identities: coherent, unique, of the right type, from the seed alone, and never those of generated tables."""

from __future__ import annotations

import datetime as dt
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import stdnum.luhn
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_assets.config.generation import GenerationSchema
from synth_assets.errors import InputError
from synth_assets.generation import IdentifierRequest, fill_identifiers, lists, make_tables, new_keys, people

KINDS = [
    "person_name", "first_name", "last_name", "email", "phone", "fax", "street_address", "zip", "ssn", "itin", "passport",
    "driver_license", "national_id", "tax_id", "card_number", "iban", "swift", "routing_number", "account_number", "npi",
    "dea", "mrn", "health_plan_id", "vin", "license_plate", "device_id", "url", "ip_address", "mac_address", "username",
    "password_or_secret", "customer_id", "other_id", "coordinates", "photo_or_biometric", "free_text", "diagnosis_text",
    "city", "state", "county", "country", "icd10", "employer", "occupation", "organization", "something_new",
]  # fmt: skip
FEW = {
    "city", "coordinates", "country", "county", "diagnosis_text", "employer", "first_name", "free_text", "icd10", "last_name",
    "occupation", "organization", "state",
}  # fmt: skip
MANY = [k for k in KINDS if k not in FEW]


def request(kind: str, dtype: str = "string", unique: bool = False, column: str | None = None) -> IdentifierRequest:
    return IdentifierRequest(column=column or kind, entity_type=kind, dtype=dtype, unique=unique)  # type: ignore[arg-type]


def base(n: int = 500) -> pa.Table:
    i = np.arange(n)
    return pa.table(
        {
            "key": pa.array(i),
            "sex": pa.array(np.where(i % 2 == 0, "F", "M")),
            "state": pa.array(np.where(i % 3 == 0, "MA", "TX")),
            "birth_date": pa.array(np.datetime64("1940-01-01") + i * 60),
            "visit_date": pa.array(np.datetime64("2024-01-01") + i % 300),
        }
    )


def test_people_agree_with_themselves() -> None:
    table = people(2000, 3)
    rows = table.to_pylist()
    women, men = set(lists.first_names("F")), set(lists.first_names("M"))
    places = {(c.name, c.state): c for c in lists.cities()}
    for row in rows:
        assert row["full_name"] == f"{row['first_name']} {row['last_name']}"
        assert row["first_name"] in (women if row["sex"] == "F" else men)
        handle = row["username"]
        assert row["last_name"].lower() in handle
        assert handle.startswith(row["first_name"][0].lower())
        assert re.fullmatch(re.escape(handle) + r"@mail\.example\.(com|org|net)", row["email"])
        city = places[(row["city"], row["state"])]
        assert row["zip"].startswith(city.zip3)
        assert abs(row["latitude"] - city.latitude) < 0.1
        assert abs(row["longitude"] - city.longitude) < 0.1
        assert row["phone"][:3] in lists.area_codes(row["state"])
        assert dt.date(1920, 1, 1) < row["birth_date"] <= dt.date(2025, 12, 31)
    for column in ("email", "username", "phone", "ssn", "mrn"):
        assert len(pc.unique(table[column])) == 2000


def test_people_follow_what_is_given_and_the_seed() -> None:
    sex = np.array(["Female"] * 50 + ["m"] * 50)
    born = np.full(100, np.datetime64("1990-05-05"))
    table = people(100, 1, sex=sex, birth_date=born)
    assert table["sex"].to_pylist() == sex.tolist()
    assert set(table["first_name"].to_pylist()[:50]) <= set(lists.first_names("F"))
    assert set(table["first_name"].to_pylist()[50:]) <= set(lists.first_names("M"))
    assert set(table["birth_date"].to_pylist()) == {dt.date(1990, 5, 5)}
    assert table.equals(people(100, 1, sex=sex, birth_date=born))
    assert not table.equals(people(100, 2, sex=sex, birth_date=born))
    assert people(0, 1).num_rows == 0
    with pytest.raises(InputError):
        people(3, 1, sex=sex)
    with pytest.raises(InputError):
        people(-1, 1)


@pytest.mark.slow
def test_a_million_people_have_a_million_different_identifiers() -> None:
    requests = [request(k, unique=True) for k in ("email", "phone", "ssn", "person_name", "card_number", "npi")]
    requests += [request("mrn", "int64", unique=True), request("customer_id", unique=True)]
    table = fill_identifiers(pa.table({"key": np.arange(1_000_000)}), requests, seed=1)
    for r in requests:
        assert len(pc.unique(table[r.column])) == 1_000_000, r.column


@pytest.mark.parametrize("dtype", ["string", "int64", "double", "bool", "date32[day]", "timestamp[us]"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_type_fills_every_dtype(kind: str, dtype: str) -> None:
    unique = dtype != "bool" and kind in MANY
    table = fill_identifiers(base(), [request(kind, dtype, unique)], seed=5)
    column = table[kind]
    assert str(column.type) == {"string": "string", "int64": "int64", "double": "double", "bool": "bool"}.get(
        dtype, dtype
    )
    assert column.null_count == 0
    assert len(column) == 500
    if unique:
        assert len(pc.unique(column)) == 500


def test_columns_keep_their_place_and_new_ones_come_last() -> None:
    table = (
        base()
        .append_column("email", pa.array(["real@person.com"] * 500))
        .append_column("amount", pa.array(np.ones(500)))
    )
    filled = fill_identifiers(table, [request("email"), request("ssn")], seed=1)
    assert filled.column_names == [*table.column_names, "ssn"]
    assert filled.drop_columns(["email", "ssn"]).equals(table.drop_columns(["email"]))
    assert not pc.any(pc.equal(filled["email"], "real@person.com")).as_py()


def test_identifiers_of_a_row_agree_whatever_the_order_of_requests() -> None:
    kinds = ["free_text", "email", "person_name", "last_name", "first_name", "phone", "zip", "city", "username", "url"]
    table = fill_identifiers(base(), [request(k) for k in kinds], seed=2)
    zips = {(c.name, c.state): c.zip3 for c in lists.cities()}
    phones = set(table["phone"].to_pylist())
    named = 0
    for row in table.to_pylist():
        assert row["person_name"] == f"{row['first_name']} {row['last_name']}"
        assert row["first_name"] in lists.first_names(row["sex"])
        assert row["email"].startswith(row["username"] + "@")
        assert row["url"].endswith("/" + row["username"])
        assert row["zip"].startswith(zips[(row["city"], row["state"])])
        assert row["phone"][:3] in lists.area_codes(row["state"])
        named += row["last_name"] in row["free_text"]
        for found in re.findall(r"\d{3}-\d{3}-\d{4}", row["free_text"]):
            assert found == row["phone"]
            assert found in phones
    assert named > 300


def test_two_columns_of_one_type_differ() -> None:
    requests = [
        request("phone"),
        request("phone", column="phone2"),
        request("last_name"),
        request("last_name", column="maiden"),
    ]
    table = fill_identifiers(base(), requests, seed=2)
    assert pc.sum(pc.equal(table["phone"], table["phone2"])).as_py() < 5
    assert pc.sum(pc.equal(table["last_name"], table["maiden"])).as_py() < 30


def test_a_note_in_a_child_table_names_the_person_it_is_told() -> None:
    parent = people(200, 9)
    child = pa.table(
        {
            "icd10_code": pa.array(["I10", "E11.9"] * 100),
            "visit_date": pa.array(np.full(200, np.datetime64("2024-03-04"))),
        }
    )
    context = {k: parent[k] for k in ("first_name", "last_name", "mrn", "phone", "sex", "birth_date")}
    notes = fill_identifiers(
        child, [request("free_text", column="note"), request("diagnosis_text")], seed=4, context=context
    )
    last, mrns = parent["last_name"].to_pylist(), parent["mrn"].to_pylist()
    words = {"I10": "Essential (primary) hypertension", "E11.9": "Type 2 diabetes mellitus without complications"}
    for i, row in enumerate(notes.to_pylist()):
        assert row["diagnosis_text"] == words[row["icd10_code"]]
        assert row["diagnosis_text"] in row["note"]
        assert set(re.findall(r"MRN-\d+", row["note"])) <= {mrns[i]}
        assert set(re.findall(r"\d{4}-\d\d-\d\d", row["note"])) <= {"2024-03-04"}
    assert sum(n in note for n, note in zip(last, notes["note"].to_pylist(), strict=True)) > 120


def test_known_names_in_the_table_are_kept_and_used() -> None:
    table = pa.table(
        {
            "first_name": ["Zoë", None, "Ann-Marie"],
            "surname": ["O'Hara", "Li", "Smith"],
            "town": ["Boston"] * 3,
            "state": ["Massachusetts"] * 3,
        }
    )
    filled = fill_identifiers(table, [request("email"), request("person_name"), request("zip")], seed=1).to_pylist()
    assert [r["first_name"] for r in filled] == ["Zoë", None, "Ann-Marie"]
    assert filled[0]["person_name"] == "Zoë O'Hara"
    assert re.fullmatch(r"(zo|z)[._]?ohara\d+@mail\.example\.\w+", filled[0]["email"])
    assert filled[1]["person_name"].endswith(" Li")
    assert all(r["zip"].startswith("02") for r in filled)


def test_coordinates_follow_the_name_of_their_column() -> None:
    requests = [request("coordinates", "double", column=c) for c in ("LAT", "lon")] + [
        request("coordinates", column="where")
    ]
    row = fill_identifiers(base(), requests, seed=1).to_pylist()[1]
    assert 25 < row["LAT"] < 37  # Texas
    assert -107 < row["lon"] < -93
    assert row["where"] == f"{row['LAT']}, {row['lon']}"


def test_fresh_numbers_never_repeat_those_of_a_generated_table() -> None:
    columns = {k: {"type": k, "unique": True} for k in ("ssn", "mrn", "npi", "card_number", "phone", "email")}
    schema = GenerationSchema.model_validate({"name": "made", "tables": {"t": {"rows": 5000, "columns": columns}}})
    made = make_tables(schema, seed=7)["t"]
    fresh = fill_identifiers(pa.table({"i": np.arange(5000)}), [request(c) for c in columns], seed=7)
    for column in columns:
        assert not set(made[column].to_pylist()) & set(fresh[column].to_pylist()), column


@given(st.integers(0, 2**40), st.integers(1, 60))
@settings(max_examples=15)
def test_the_same_seed_gives_the_same_values_and_valid_ones(seed: int, n: int) -> None:
    requests = [request(k, unique=k in MANY) for k in KINDS]
    table = fill_identifiers(base(n), requests, seed=seed)
    assert table.equals(fill_identifiers(base(n), requests, seed=seed))
    for row in table.to_pylist():
        assert stdnum.luhn.is_valid(row["card_number"])
        assert re.fullmatch(r"9\d\d-[0-4]\d-\d{4}", row["ssn"])


def test_keys_are_running_numbers_or_texts_from_the_seed() -> None:
    assert new_keys(3, "int64", 1).to_pylist() == [1, 2, 3]
    assert new_keys(2, "double", 1).to_pylist() == [1.0, 2.0]
    texts = new_keys(1000, "string", 1)
    assert len(pc.unique(texts)) == 1000
    assert texts.equals(new_keys(1000, "string", 1))
    assert not texts.equals(new_keys(1000, "string", 2))
    with pytest.raises(InputError):
        new_keys(3, "bool", 1)


def test_what_cannot_be_asked_for_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        fill_identifiers(base(), [request("ssn"), request("email", column="ssn")], seed=1)
    assert caught.value.column == "ssn"
    with pytest.raises(InputError) as caught:
        fill_identifiers(base(), [request("ssn")], seed=1, context={"sex": pa.array(["F"])})
    assert caught.value.key == "sex"
    with pytest.raises(InputError):
        fill_identifiers(base(30_000), [request("birth_date", "date32[day]", unique=True)], seed=1)
