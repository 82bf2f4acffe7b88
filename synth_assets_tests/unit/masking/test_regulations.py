"""The shipped policies against the texts of the rules: each of the 18 Safe Harbor identifiers as a column, and the GDPR's categories."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from synth_assets import api
from synth_assets.config.dataset import ColumnConfig
from synth_assets.generation import lists, people
from synth_assets.masking.generalise import RESTRICTED_ZIP3
from synth_assets.masking.policies import load_policy
from synth_assets.masking.vault import TOKEN_FORM
from synth_assets.pii.taxonomy import HIPAA_IDENTIFIERS, taxonomy
from synth_assets_tests.unit.masking.conftest import House, verdict

ROWS = 40
# 45 CFR 164.514(b)(2)(i): letter -> (column, entity type) of every kind of column it means
EIGHTEEN: dict[str, list[tuple[str, str]]] = {
    "A": [("name", "person_name"), ("first", "first_name"), ("last", "last_name"), ("employer", "employer")],
    "B": [("street", "street_address"), ("city", "city"), ("county", "county"), ("zip", "zip"), ("lat", "coordinates")],
    "C": [("born", "birth_date"), ("died", "death_date"), ("admitted", "event_date"), ("seen", "timestamp"), ("age", "age")],
    "D": [("phone", "phone")],
    "E": [("fax", "fax")],
    "F": [("email", "email")],
    "G": [("ssn", "ssn")],
    "H": [("mrn", "mrn")],
    "I": [("member", "health_plan_id")],
    "J": [("account", "account_number"), ("card", "card_number"), ("iban", "iban")],
    "K": [("licence", "driver_license"), ("passport", "passport"), ("npi", "npi"), ("dea", "dea")],
    "L": [("vin", "vin"), ("plate", "license_plate")],
    "M": [("device", "device_id"), ("mac", "mac_address")],
    "N": [("site", "url")],
    "O": [("ip", "ip_address")],
    "P": [("fingerprint", "photo_or_biometric")],
    "Q": [("photo", "photo_or_biometric")],
    "R": [("national", "national_id"), ("user", "username"), ("tax", "tax_id"), ("code", "customer_id"), ("itin", "itin")],
}  # fmt: skip
DATED = {"born", "died", "admitted"}
GENERALISED = {"zip", "born", "died", "admitted", "seen", "age"}
CODES = {"code"}  # (c): a random code


def _columns() -> tuple[dict[str, Any], dict[str, str]]:
    values: dict[str, Any] = {}
    types: dict[str, str] = {}
    for column, entity_type in (c for columns in EIGHTEEN.values() for c in columns):
        types[column] = entity_type
        values[column] = [f"{column}-{i:03d}-77{i}" for i in range(ROWS)]
    values["age"] = pa.array([*range(60, 60 + ROWS - 1), None])
    values["zip"] = [z + "01" for z in RESTRICTED_ZIP3] + ["02139"] * (ROWS - len(RESTRICTED_ZIP3))
    values["born"] = pa.array([date(1900 + 3 * i, 5, 17) for i in range(ROWS)])
    values["died"] = pa.array([date(1990 + i % 30, 6, 18) for i in range(ROWS)])
    values["admitted"] = pa.array([date(2015 + i % 10, 7, 19) for i in range(ROWS)])
    values["seen"] = pa.array([1_500_000_000_000_000 + i * 10**12 for i in range(ROWS)], pa.timestamp("us"))
    values["lat"] = pa.array([40 + i / 7 for i in range(ROWS)])
    return values, types


@pytest.fixture
def masked(house: House) -> dict[str, list[Any]]:
    values, types = _columns()
    house.table("t", values, types)
    house.mask("hipaa_safe_harbor")
    return house.read("t")


def test_the_eighteen_letters_are_those_of_the_rule() -> None:
    assert sorted(EIGHTEEN) == sorted(HIPAA_IDENTIFIERS) == [chr(ord("A") + i) for i in range(18)]
    by_letter = {letter: {t.name for t in taxonomy().values() if t.hipaa == letter} for letter in HIPAA_IDENTIFIERS}
    by_letter["Q"] = by_letter["P"]  # biometric identifiers and full face photographs are one type
    for letter, columns in EIGHTEEN.items():
        tested = {t for _, t in columns} - {"employer"}  # (b)(2)(i): "of the individual or of relatives, employers"
        assert tested <= by_letter[letter], letter


@pytest.mark.parametrize("letter", sorted(EIGHTEEN))
def test_safe_harbor_removes_or_generalises_each_of_the_eighteen(masked: dict[str, list[Any]], letter: str) -> None:
    for column, _ in EIGHTEEN[letter]:
        if column in masked and column not in GENERALISED:
            assert column in CODES, f"{column} is still there"
            raw = {str(v) for v in _columns()[0][column]}
            assert not raw & {str(v) for v in masked[column]}


def test_safe_harbor_cuts_zip_codes_dates_and_ages_as_the_rule_says(masked: dict[str, list[Any]]) -> None:
    assert masked["zip"] == ["000"] * 17 + ["021"] * (ROWS - 17)
    assert {(d.month, d.day) for c in DATED for d in masked[c]} == {(1, 1)}
    assert {(d.month, d.day, d.hour) for d in masked["seen"]} == {(1, 1, 0)}
    assert min(d.year for d in masked["born"]) == 1935  # 90 years old at the end of 2025, and everybody older
    assert masked["age"][:31] == [*range(60, 91)]
    assert set(masked["age"][31:]) == {90, None}


def test_codes_under_safe_harbor_are_random_and_not_derived_from_what_they_stand_for(house: House) -> None:
    """164.514(c)(1): the same table and the same key give other codes once the vault is gone."""
    house.table("people", {"pid": ["a", "b"], "room": ["X1", "X2"]}, {"pid": "mrn", "room": "other_id"}, key=("pid",))
    house.table("stays", {"pid": ["b", "b", None]}, {"pid": "mrn"}, parents={"pid": "people.pid"})
    house.mask("hipaa_safe_harbor")
    people, stays = house.read("people"), house.read("stays")
    assert all(re.fullmatch(TOKEN_FORM, code) for code in (*people["pid"], *people["room"]))
    assert stays["pid"] == [people["pid"][1], people["pid"][1], None]
    (house.folder / "vault.db").unlink()
    house.mask("hipaa_safe_harbor", out="again")
    again = house.read("people", "again")
    assert not {*people["pid"], *people["room"]} & {*again["pid"], *again["room"]}


def test_days_of_long_ago_do_not_show_an_age_over_89(house: House) -> None:
    days = pa.array([date(1929, 3, 1), date(1935, 3, 1), date(1936, 3, 1), date(2020, 3, 1)])
    house.table("t", {"day": days}, {"day": "event_date"})
    house.mask("hipaa_safe_harbor")
    assert [d.year for d in house.read("t")["day"]] == [1935, 1935, 1936, 2020]


def test_the_seventeen_areas_are_those_of_the_guidance() -> None:
    listed = "036 059 063 102 203 556 692 790 821 823 830 831 878 879 884 890 893"
    assert list(RESTRICTED_ZIP3) == listed.split()


def test_safe_harbor_holds_on_a_file_whose_columns_are_classified(tmp_path: Path) -> None:
    """Names, addresses, numbers and dates of made-up people: nothing but what the rule allows is left."""
    frame = people(400, 5).to_pandas()
    years = 2024 - pd.to_datetime(frame["birth_date"]).dt.year
    frame["age"] = years
    frame["admission_date"] = pd.Timestamp("2024-02-03") + pd.to_timedelta(np.arange(400) % 200, unit="D")
    frame["fax"] = [f"617-555-{i:04d}" for i in range(400)]
    made, summary = api.mask(frame, home=tmp_path)
    gone = {
        "first_name",
        "last_name",
        "full_name",
        "email",
        "username",
        "phone",
        "fax",
        "street_address",
        "city",
        "ssn",
        "mrn",
    }
    assert not gone & set(made.columns)
    assert not {"latitude", "longitude"} & set(made.columns)
    assert made["age"].max() <= 90
    assert set(made["zip"].str.len()) == {3}
    for column in ("birth_date", "admission_date"):
        days = pd.to_datetime(made[column])
        assert set(days.dt.dayofyear) == {1}, column
    assert {c.column: c.action for c in summary.columns}["sex"] == "keep"


SPECIAL = (
    "icd10",
    "loinc",
    "ndc",
    "procedure_code",
    "race_ethnicity",
    "religion",
    "diagnosis_text",
    "photo_or_biometric",
)


def test_gdpr_pseudonymisation_replaces_every_direct_identifier_and_withholds_special_categories(house: House) -> None:
    direct = [t.name for t in taxonomy().values() if t.identifier_class == "direct"]
    names = [*direct, *SPECIAL, "sex", "salary_or_income"]
    columns = {n: [f"{n} {i} 4{i}17" for i in range(30)] for n in dict.fromkeys(names)}
    house.table("t", columns, {n: n for n in columns}, texts=("diagnosis_text",))
    plan = house.plans("gdpr_pseudonymisation")["t"]
    assert {t.name for t in taxonomy().values() if t.gdpr == "special"} == set(SPECIAL)
    assert {plan.column(n).action for n in SPECIAL} == {"drop"}
    assert "Article 9" in plan.column("religion").reason
    house.mask("gdpr_pseudonymisation")
    masked = house.read("t")
    for name in set(direct) & set(masked):
        assert not set(masked[name]) & set(columns[name]), name
    for name in ("person_name", "email", "ssn", "phone", "mrn", "iban"):
        assert len(set(masked[name])) == 30  # pseudonyms: who has the key can still tell the people apart
    assert masked["sex"] == columns["sex"]


def test_a_category_of_article_9_without_a_type_of_its_own_is_withheld_too(house: House) -> None:
    union = verdict("member", "none", identifier_class="sensitive").model_copy(update={"gdpr_category": "special"})
    house.table("t", {"member": ["yes"], "n": [1]}, {"member": union, "n": "none"})
    assert [c.action for c in house.plans("gdpr_pseudonymisation")["t"].columns] == ["drop", "keep"]
    assert house.plans("dev_test")["t"].column("member").action == "keep"


def test_a_controller_keeps_a_special_category_on_purpose(house: House) -> None:
    house.table("t", {"faith": ["a", "b"], "icd": ["E11.9", "I10"]}, {"faith": "religion", "icd": "icd10"})
    plan = house.plans("gdpr_pseudonymisation", overrides={"t": {"icd": ColumnConfig(action="keep")}})["t"]
    assert [(c.action, c.overridden) for c in plan.columns] == [("drop", False), ("keep", True)]
    own = load_policy("gdpr_pseudonymisation").model_copy(update={"special_categories": "by_rule"})
    assert [c.action for c in house.plans(own)["t"].columns] == ["keep", "keep"]


def test_dates_of_one_person_keep_their_intervals_and_births_are_years_under_the_gdpr(house: House) -> None:
    house.table(
        "t",
        {
            "born": pa.array([date(1980, 5, 6), date(1920, 1, 2)]),
            "seen": pa.array([date(2024, 1, 10), date(2024, 1, 20)]),
            "died": pa.array([date(2024, 2, 10), date(2024, 3, 1)]),
        },
        {"born": "birth_date", "seen": "event_date", "died": "death_date"},
    )
    house.mask("gdpr_pseudonymisation")
    made = house.read("t")
    assert made["born"] == [date(1980, 1, 1), date(1935, 1, 1)]
    assert [(d - s).days for d, s in zip(made["died"], made["seen"], strict=True)] == [31, 41]
    assert made["seen"] != [date(2024, 1, 10), date(2024, 1, 20)]


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("file", "first", "sex"),
    [
        ("ehr_patients", "FIRST", "GENDER"),
        ("fake_names_intl", "GivenName", "Gender"),
        ("rcm_patients", "first_name", "gender"),
    ],
)
def test_made_up_names_fit_the_sex_column_of_tables_that_others_made(
    shared_data: Path, tmp_path: Path, file: str, first: str, sex: str
) -> None:
    raw = pd.read_csv(shared_data / "pii_dev" / "tables" / f"{file}.csv", dtype=str)
    made, _ = api.mask(raw, home=tmp_path, policy="dev_test")
    names = {"f": set(lists.first_names("F")), "m": set(lists.first_names("M"))}
    letters = raw[sex].str[0].str.lower()
    assert (made[sex].fillna("?") == raw[sex].fillna("?")).all()
    for letter in ("f", "m"):
        rows = made[letters == letter][first].dropna()
        assert len(rows) > 300
        assert set(rows.str.title()) <= {n.title() for n in names[letter]}
    other = {n.title() for n in names["f"]} - {n.title() for n in names["m"]}
    assert other & set(made[letters == "f"][first])
