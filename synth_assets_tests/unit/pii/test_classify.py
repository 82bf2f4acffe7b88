"""Verdicts on tables: evidence, overrides, relations between columns, determinism, and no value in any record."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_assets.config.dataset import ColumnConfig
from synth_assets.errors import ConfigError, InputError
from synth_assets.pii.classify import classify_frame, classify_table, column_counts
from synth_assets.pii.evidence import calibration
from synth_assets.pii.records import ColumnVerdict
from synth_assets.tables.engine import Engine
from synth_assets.tables.schema import ColumnKind, ColumnSchema, TableSchema
from synth_assets_tests.unit.pii import builders

ROWS = 150


def people(rows: int = ROWS) -> pa.Table:
    rng = np.random.default_rng(1)
    columns = {
        "id": [str(i) for i in range(1, rows + 1)],
        "fname": builders.column("first_name", rows),
        "lname": builders.column("last_name", rows, 8),
        "contact": builders.column("email", rows),
        "dob": builders.column("birth_date", rows),
        "sex": builders.column("sex", rows),
        "home_addr": builders.column("street_address", rows),
        "city": builders.column("city", rows),
        "zip": builders.column("zip", rows),
        "dx": builders.column("icd10", rows),
        "notes": builders.column("free_text", rows),
        "balance": [f"{v:.2f}" for v in rng.normal(1000, 300, rows)],
    }
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


def by_name(verdicts: tuple[ColumnVerdict, ...]) -> dict[str, ColumnVerdict]:
    return {v.column: v for v in verdicts}


def write(table: pa.Table, folder: Path) -> TableSchema:
    folder.mkdir()
    pq.write_table(table, folder / "part-0.parquet", row_group_size=64)
    columns = tuple(ColumnSchema(name=f.name, kind=ColumnKind.TEXT, dtype=str(f.type)) for f in table.schema)
    return TableSchema(name="people", columns=columns, row_count=table.num_rows)


def test_a_table_of_persons_is_classified() -> None:
    found = {v.column: (v.entity_type, v.identifier_class) for v in classify_frame(people())}
    assert found == {
        "id": ("customer_id", "quasi"),
        "fname": ("first_name", "direct"),
        "lname": ("last_name", "direct"),
        "contact": ("email", "direct"),
        "dob": ("birth_date", "quasi"),
        "sex": ("sex", "quasi"),
        "home_addr": ("street_address", "direct"),
        "city": ("city", "quasi"),
        "zip": ("zip", "quasi"),
        "dx": ("icd10", "sensitive"),
        "notes": ("free_text", "sensitive"),
        "balance": ("none", "none"),
    }


def test_no_value_stands_in_any_verdict() -> None:
    table = people()
    text = json.dumps([v.model_dump() for v in classify_frame(table)])
    for name in table.column_names:
        for value in set(table[name].to_pylist()):
            if len(value) > 3:
                assert value not in text, name


def test_parquet_and_frame_give_the_same_verdicts(tmp_path: Path) -> None:
    table = people()
    schema = write(table, tmp_path / "t")
    assert classify_table(tmp_path / "t", schema, Engine(threads=1)) == classify_frame(table, table_name="people")


def test_the_order_of_rows_does_not_matter() -> None:
    table = people()
    order = np.random.default_rng(9).permutation(table.num_rows)
    assert classify_frame(table.take(pa.array(order))) == classify_frame(table)


def test_pandas_frames_are_accepted() -> None:
    frame = pd.DataFrame({"age": [31, 45, 52], "mixed": [1, "a", None], "when": pd.to_datetime(["2024-01-01"] * 3)})
    assert classify_frame(frame)[0].entity_type == "age"


def test_a_person_wins_and_is_recorded() -> None:
    overrides = {"city": ColumnConfig(entity_type="organization"), "zip": ColumnConfig(identifier_class="none")}
    found = by_name(classify_frame(people(), overrides=overrides))
    assert found["city"].entity_type == "organization"
    assert found["city"].overridden
    assert found["city"].confidence == 1.0
    assert "configuration says entity_type organization (the classifier said city)" in found["city"].evidence[0]
    assert (found["zip"].entity_type, found["zip"].identifier_class) == ("zip", "none")
    assert found["zip"].overridden
    assert "identifier_class none (the classifier said quasi)" in found["zip"].evidence[0]
    assert not found["fname"].overridden


def test_an_override_of_the_action_alone_is_no_override_of_the_verdict() -> None:
    assert not by_name(classify_frame(people(), overrides={"city": ColumnConfig(action="drop")}))["city"].overridden


def test_an_override_with_an_unknown_type_is_refused() -> None:
    with pytest.raises(ConfigError, match="no entity type"):
        classify_frame(people(), overrides={"city": ColumnConfig(entity_type="town")})


def test_a_folder_without_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    with pytest.raises(InputError, match="no Parquet file"):
        classify_table(tmp_path / "t", TableSchema(name="t", columns=()), Engine(threads=1))


def test_contact_data_of_firms_identify_nobody() -> None:
    table = pa.table(
        {
            "hospital_name": builders.column("organization"),
            "street": builders.column("street_address"),
            "phone": builders.column("phone"),
        }
    )
    verdicts = classify_frame(table)
    assert [v.identifier_class for v in verdicts] == ["none", "none", "none"]
    assert [v.hipaa_identifier for v in verdicts] == [None, None, None]
    assert [v.gdpr_category for v in verdicts] == [None, None, None]


def test_identifiers_of_persons_have_their_letter_and_category() -> None:
    found = by_name(classify_frame(people()))
    letters = {name: found[name].hipaa_identifier for name in ("fname", "contact", "dob", "home_addr", "dx")}
    assert letters == {"fname": "A", "contact": "F", "dob": "C", "home_addr": "B", "dx": None}
    assert (found["dx"].gdpr_category, found["fname"].gdpr_category, found["balance"].gdpr_category) == (
        "special",
        "personal",
        None,
    )


def test_the_name_of_a_column_tells_firm_from_person() -> None:
    table = people().append_column("store_phone", pa.array(builders.column("phone", ROWS)))
    table = table.append_column("patient_phone", pa.array(builders.column("phone", ROWS, 5)))
    found = by_name(classify_frame(table))
    assert (found["store_phone"].entity_type, found["store_phone"].identifier_class) == ("phone", "none")
    assert (found["patient_phone"].entity_type, found["patient_phone"].identifier_class) == ("phone", "direct")


def test_a_bare_name_beside_a_first_name_is_a_last_name() -> None:
    table = pa.table({"Vorname": builders.column("first_name"), "Name": builders.column("last_name", seed=2)})
    assert [v.entity_type for v in classify_frame(table)] == ["first_name", "last_name"]


def test_a_bare_key_belongs_to_the_subject_of_its_table() -> None:
    keys = pa.array([str(i) for i in range(ROWS)])
    about_people = people().drop_columns(["id"]).add_column(0, "id", keys)
    about_things = pa.table(
        {"id": keys, "product": [f"Chair {i}" for i in range(ROWS)], "price": [str(i * 1.5) for i in range(ROWS)]}
    )
    assert classify_frame(about_people)[0].entity_type == "customer_id"
    assert classify_frame(about_things)[0].entity_type == "other_id"


def test_unnamed_neighbours_within_the_globe_are_coordinates() -> None:
    rng = np.random.default_rng(4)
    table = pa.table({"col1": rng.uniform(42, 43, 80).round(6), "col2": rng.uniform(-72, -70, 80).round(6)})
    assert [v.entity_type for v in classify_frame(table)] == ["coordinates", "coordinates"]


def test_three_digits_beside_a_card_are_its_security_code() -> None:
    rng = np.random.default_rng(4)
    codes = [f"{int(v):03d}" for v in rng.integers(0, 1000, 200)]
    table = pa.table({"col1": builders.column("card_number"), "col2": codes})
    assert [v.entity_type for v in classify_frame(table)] == ["card_number", "password_or_secret"]


def test_animals_have_no_quasi_identifiers() -> None:
    table = pa.table(
        {"species": ["dog", "cat"] * 30, "name": builders.column("first_name", 60), "sex": builders.column("sex", 60)}
    )
    found = by_name(classify_frame(table, table_name="pets"))
    assert found["sex"].identifier_class == "none"
    assert found["name"].entity_type == "none"


def test_an_empty_column_says_so() -> None:
    table = people().append_column("ssn", pa.nulls(ROWS, pa.string()))
    verdict = by_name(classify_frame(table))["ssn"]
    assert verdict.entity_type == "none"
    assert "every cell is empty; by its name it could hold ssn" in verdict.evidence[0]
    assert verdict.missing_fraction == 1.0


def test_marks_of_missing_values_are_no_evidence() -> None:
    values = [v if i % 3 else "N/A" for i, v in enumerate(builders.column("email"))]
    verdict = classify_frame(pa.table({"col1": values}))[0]
    assert verdict.entity_type == "email"


def test_free_text_with_identifiers_is_sensitive_even_without_persons() -> None:
    texts = [
        f"{t} please write to {m}" for t, m in zip(builders.column("free_text"), builders.column("email"), strict=True)
    ]
    verdict = classify_frame(pa.table({"remarks": texts}))[0]
    assert (verdict.entity_type, verdict.identifier_class) == ("free_text", "sensitive")
    assert any(e.startswith("text:") and "email" in e for e in verdict.evidence)


def test_a_verdict_without_evidence_is_unsure() -> None:
    clear = classify_frame(pa.table({"email": builders.column("email")}))[0]
    vague = classify_frame(pa.table({"col1": [f"{a}{b}" for a in "klmn" for b in "pqrs"] * 3}))[0]
    assert clear.confidence > 0.95
    assert vague.confidence < clear.confidence
    assert vague.evidence


def test_flights_and_measures_name_nobody() -> None:
    rng = np.random.default_rng(2)
    table = pa.table(
        {
            "tailnum": [f"N{int(v)}UA" for v in rng.integers(100, 999, 200)],
            "dep_delay": rng.normal(10, 30, 200).round(),
            "capital-gain": rng.integers(0, 99999, 200),
            "fnlwgt": rng.integers(10_000, 999_999, 200),
        }
    )
    assert {v.identifier_class for v in classify_frame(table, table_name="flights")} == {"none"}


@settings(max_examples=25)
@given(
    st.dictionaries(
        st.text(max_size=12), st.lists(st.none() | st.text(max_size=20), min_size=3, max_size=3), max_size=4
    ),
)
def test_any_table_of_texts_gets_one_verdict_per_column(columns: dict[str, list[str | None]]) -> None:
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    verdicts = classify_frame(table)
    assert [v.column for v in verdicts] == list(columns)
    assert all(0 <= v.confidence <= 1 and v.evidence for v in verdicts)


@settings(max_examples=15)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True) | st.none(), max_size=20))
def test_any_numbers_get_a_verdict(values: list[float | None]) -> None:
    assert len(classify_frame(pa.table({"x": pa.array(values, pa.float64())}))) == 1


@pytest.mark.parametrize("name", ["birth_date", "date_of_birth", "dob", "BIRTHDATE"])
@pytest.mark.parametrize("rows", [1, 3, 20])
def test_a_date_that_is_named_a_birth_is_one_in_the_smallest_table(name: str, rows: int) -> None:
    table = pa.table(
        {name: [f"19{50 + i % 40}-0{1 + i % 9}-10" for i in range(rows)], "visit_date": ["2024-01-02"] * rows}
    )
    assert [v.entity_type for v in classify_frame(table)] == ["birth_date", "event_date"]


@pytest.mark.parametrize("name", ["named", "opaque"])
def test_the_fitted_confidence_rises_with_the_lead_and_is_never_certain(name: str) -> None:
    points = calibration(name)
    assert len(points) >= 5
    assert all(a < c and b <= d for (a, b), (c, d) in itertools.pairwise(points))
    assert all(0 < share < 1 for _, share in points)


def test_a_policy_number_beside_health_codes_is_that_of_a_health_plan() -> None:
    codes = ["E11.9", "I10", "J45.909", "F32.9", "K21.9", "M54.5"] * 10
    numbers = [f"{7_300_000 + 37 * i}" for i in range(60)]
    with_codes = classify_frame(pa.table({"policy_number": numbers, "diagnosis_code": codes}), table_name="cases")
    alone = classify_frame(pa.table({"policy_number": numbers}), table_name="cases")
    assert (with_codes[0].entity_type, alone[0].entity_type) == ("health_plan_id", "other_id")
    assert any(e.startswith("context:") for e in with_codes[0].evidence)


def test_the_key_of_a_table_that_refers_to_patients_is_no_key_of_a_person() -> None:
    frame = pa.table(
        {"id": [f"{i}" for i in range(60)], "patient_id": [f"{i % 9}" for i in range(60)], "ssn": ["219-09-9998"] * 60}
    )
    verdicts = {v.column: v.entity_type for v in classify_frame(frame, table_name="plans")}
    assert (verdicts["id"], verdicts["patient_id"]) == ("other_id", "customer_id")


def test_codes_and_descriptions_in_a_table_about_patients_are_health_data() -> None:
    frame = pa.table(
        {
            "patient": [f"{i % 9}" for i in range(60)],
            "code": [f"{314_000 + i % 7}" for i in range(60)],
            "birth_date": ["1961-04-07"] * 60,
        }
    )
    (_, code, _) = classify_frame(frame, table_name="procedures")
    assert (code.entity_type, code.identifier_class, code.level) == ("none", "sensitive", "restricted")
    assert code.gdpr_category == "special"


@pytest.mark.parametrize(
    "name",
    ["political_party_affiliation", "tradeUnion", "trade_union_member", "sexual_orientation", "genotype", "Partei"],
)
def test_categories_of_article_9_without_a_type_are_sensitive_in_a_table_about_persons(name: str) -> None:
    people = {"birth_date": ["1961-04-07", "1974-11-30"] * 30, "first_name": ["Anna", "Bruno", "Carla"] * 20}
    verdicts = classify_frame(pa.table({**people, name: ["yes", "no", "unknown"] * 20}), table_name="members")
    assert (verdicts[-1].identifier_class, verdicts[-1].gdpr_category, verdicts[-1].level) == (
        "sensitive",
        "special",
        "restricted",
    )
    assert any("Article 9" in e for e in verdicts[-1].evidence)


def test_words_of_article_9_tell_nothing_in_a_table_about_things() -> None:
    (_, verdict) = classify_frame(
        pa.table({"sku": ["A1", "B2"] * 30, "genotype": ["a", "b", "c"] * 20}), table_name="products"
    )
    assert verdict.identifier_class == "none"


def test_a_table_of_hundreds_of_columns_is_counted_within_the_memory_limit(tmp_path: Path) -> None:
    names = [f"c{i}" for i in range(260)]
    pq.write_table(pa.table({n: ["a", "b", None] for n in names}), tmp_path / "part-00000.parquet")
    columns = tuple(ColumnSchema(name=n, kind=ColumnKind.TEXT, dtype="string") for n in names)
    schema = TableSchema(name="wide", columns=columns, row_count=3)
    counts = column_counts(tmp_path, schema, Engine(memory_limit="1GB", threads=2))
    assert counts == {"rows": 3} | {f"m{i}": 1 for i in range(260)} | {f"d{i}": 2 for i in range(260)}


def test_initials_and_census_tracts_are_parts_of_names_and_places() -> None:
    """Parts of an identifier are identifiers under 45 CFR 164.514(b)(2), and a census tract is smaller than a county."""
    rng = np.random.default_rng(4)
    letters = np.array(list("ABCDEFGHJKLMNPRSTW"))
    frame = pd.DataFrame(
        {
            "last_name": builders.column("last_name", ROWS),
            "initials": ["".join(rng.choice(letters, 2)) for _ in range(ROWS)],
            "census_tract": [f"25{rng.integers(1, 27):03d}{rng.integers(100, 9999):06d}" for _ in range(ROWS)],
            "initial_amount": rng.integers(1, 900, ROWS),
        }
    )
    found = {v.column: v.entity_type for v in classify_frame(frame)}
    assert found["initials"] == "person_name"
    assert found["census_tract"] == "county"
    assert found["initial_amount"] == "none"


def test_the_unit_of_privacy_is_an_identifier_though_its_numbers_do_not_look_like_one(tmp_path: Path) -> None:
    numbers = [str(n) for n in range(40) for _ in range(5)]
    table = pa.table({"patient": pa.array([int(n) for n in numbers]), "mail": [f"p{n}@example.org" for n in numbers]})
    schema = write(table, tmp_path / "t")

    def verdict(column: str, unit: str | None, **said: str) -> tuple[str, str]:
        overrides = {column: ColumnConfig(**said)} if said else {}
        found = by_name(classify_table(tmp_path / "t", schema, Engine(), overrides=overrides, unit=unit))[column]
        return found.entity_type, found.identifier_class

    assert verdict("patient", None) == ("none", "none")
    assert verdict("patient", "patient") == ("customer_id", "quasi")
    assert verdict("mail", "mail") == ("email", "direct")  # what is known stays
    assert verdict("patient", "patient", entity_type="mrn") == ("mrn", "direct")  # a person's word wins


def test_long_numbers_that_repeat_are_somebodys_and_never_stay() -> None:
    """Numbers of insured persons with wrong check digits, under a name that says nothing, several rows of each."""
    rng = np.random.default_rng(5)
    owners = rng.integers(0, 300, 1000)
    lettered = np.array([f"{'ABCDEFG'[rng.integers(7)]}{n}" for n in rng.integers(10**8, 10**9, 300)])
    plain = rng.integers(10**6, 10**7, 300)
    frame = pd.DataFrame({"KV#": lettered[owners], "zzz": plain[owners], "price": plain[owners] // 100 * 100})
    found = by_name(classify_frame(frame))
    assert [found[c].recommended_action for c in ("KV#", "zzz")] == ["pseudonym", "pseudonym"]
    assert found["price"].entity_type != "other_id"  # round, so an amount


def test_few_codes_that_repeat_are_categories() -> None:
    codes = [f"B{n}" for n in range(12_345_600, 12_345_640)]  # 40 different ones
    frame = pd.DataFrame({"article": codes * 25, "kind": ["x", "y"] * 500})
    assert by_name(classify_frame(frame))["article"].identifier_class == "none"
