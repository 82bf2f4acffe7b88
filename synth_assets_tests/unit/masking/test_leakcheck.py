"""The leak check bites: every kind of leak, planted into a table that passes, makes it fail; chance does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synth_assets.config.dataset import ColumnConfig
from synth_assets.masking.leakcheck import check_leaks
from synth_assets.masking.namecheck import vocabulary
from synth_assets.masking.records import LeakReport
from synth_assets_tests.unit.masking.conftest import ENGINE, House, verdict

ROWS = 12
FIRST = ["Maria", "John", "Aisha", "Wei", "Olga", "Pedro", "Nina", "Omar", "Lena", "Ivan", "Rosa", "Karl"]
LAST = [
    "Quesnelberg",
    "Zabrowsky",
    "O'Dwyer",
    "Ng",
    "Ivanova",
    "Souzaleão",
    "Hartigan",
    "Elmasry",
    "Brandtner",
    "Kowalczyk",
    "White",
    "Maier",
]
Check = Callable[..., LeakReport]


def _build(house: House) -> None:
    house.table(
        "people",
        {
            "pid": list(range(1, ROWS + 1)),
            "first": FIRST,
            "last": LAST,
            "email": [f"{f.lower()}.q{i}@clinicmail.com" for i, f in enumerate(FIRST)],
            "phone": [f"(617) 555-01{i:02d}" for i in range(ROWS)],
            "ssn": [f"123-45-67{i:02d}" for i in range(ROWS)],
            "mrn": [f"MRN-00{i:02d}345" for i in range(ROWS)],
            "iban": [f"DE89 3704 0044 0532 0130 {i:02d}" for i in range(ROWS)],
            "login": [f"zz_user{i:02d}" for i in range(ROWS)],
            "street": [f"{i} Bergamot Lane" for i in range(ROWS)],
            "city": ["Swampscott"] * ROWS,
            "race": ["White"] * 9 + ["Black"] * 3,
            "note": ["no complaints"] * ROWS,
            "cents": [100 + i for i in range(ROWS)],
        },
        {
            "pid": "customer_id",
            "first": "first_name",
            "last": "last_name",
            "email": "email",
            "phone": "phone",
            "ssn": "ssn",
            "mrn": "mrn",
            "iban": "iban",
            "login": "username",
            "street": "street_address",
            "city": "city",
            "race": "race_ethnicity",
            "note": "free_text",
            "cents": "none",
        },
        key=("pid",),
        texts=("note",),
    )
    house.table(
        "visits",
        {
            "vid": [f"V{i}" for i in range(ROWS)],
            "pid": list(range(ROWS, 0, -1)),
            "note": [f"{FIRST[-1 - i]} {LAST[-1 - i]} was seen" for i in range(ROWS)],
            "unit": ["ward 7"] * ROWS,
        },
        {"vid": "other_id", "pid": "customer_id", "note": "free_text", "unit": "none"},
        key=("vid",),
        parents={"pid": "people.pid"},
        texts=("note",),
    )


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Check:
    """Put one value into a cell of the masked tables and check: plant(table, column, row, value)."""
    house = House(tmp_path_factory.mktemp("leaks"), {})
    _build(house)
    summaries = house.mask(unit=("people", "pid"))

    def check(table: str = "people", columns: str | list[str] = "", row: int = 0, value: Any = None) -> LeakReport:
        paths = {n: house.folder / "masked" / n for n in house.tables}
        masked, raw = pq.read_table(paths[table] / "part-00000.parquet"), pq.read_table(house.tables[table].path)
        for column in [columns] if isinstance(columns, str) and columns else columns:
            cells = masked[column].to_pylist()
            cells[row] = raw[column][row].as_py() if value is None else value
            changed = pa.array(cells, masked.schema.field(column).type)
            masked = masked.set_column(masked.column_names.index(column), column, changed)
            paths[table] = house.folder / "planted.parquet"
            pq.write_table(masked, paths[table])
        return check_leaks(
            {n: t.path for n, t in house.tables.items()},
            paths,
            verdicts={n: t.verdicts for n, t in house.tables.items()},
            schemas={n: t.schema for n, t in house.tables.items()},
            summaries=summaries,
            engine=ENGINE,
            tables=[table] if columns else None,
        )

    return check


def test_a_table_masked_by_us_passes_and_the_report_says_what_was_searched(plant: Check) -> None:
    report = plant()
    assert report.findings == ()
    assert report.passed
    assert report.identifiers == 6 * ROWS
    assert report.too_short == 0
    assert report.columns_searched == 14 + 4
    assert report.names_checked == 12 + 3


def test_one_raw_cell_in_its_own_column_is_found(plant: Check) -> None:
    columns = ["email", "phone", "ssn", "mrn", "iban", "login", "first", "last", "street", "city"]
    report = plant("people", columns, 3)
    assert not report.passed
    assert {(f.raw_column if f.kind == "identifier" else None, f.column) for f in report.findings if f.cells == 1} == {
        *((c, c) for c in columns[:6]),
        *((None, c) for c in columns[6:]),
        (None, "email"),  # the address spells the first name
    }


SPELLINGS = {
    "123-45-6705": "ssn",
    "123456705": "ssn",
    "123 45 6705": "ssn",
    "ward 7, SSN:123.45.6705!": "ssn",
    "x-123-45-6705": "ssn",
    "call 617-555-0107 now": "phone",
    "call +1 617.555.0107 now": "phone",
    "call 6175550107 now": "phone",
    "617-5550107": "phone",
    "write MARIA.Q0@CLINICMAIL.COM please": "email",
    "mailto:maria.q0@clinicmail.com?x=1": "email",
    "see mrn 0007345 of today": "mrn",
    "see MRN0007345": "mrn",
    "https://intra/p/MRN-0007345/view": "mrn",
    "paid from DE89370400440532013003.": "iban",
    "paid from de89 3704 0044 0532 0130 03": "iban",
    "login=zz_user04;": "login",
}


def test_an_identifier_is_found_in_any_column_row_and_spelling(house: House) -> None:
    """One kept column per spelling; the mask leaves them alone, so the check has to find every one."""
    _build(house)
    spelled = {f"c{i}": [None, text] for i, text in enumerate(SPELLINGS)}
    house.table("wards", {"w": ["a", "b"], **spelled}, {"w": "none", **dict.fromkeys(spelled, "none")})
    found = {
        f.column: f.raw_column
        for f in _check(house).findings
        if f.kind == "identifier" and f.table == "wards" and f.cells == 1
    }
    assert {text: found.get(f"c{i}") for i, text in enumerate(SPELLINGS)} == SPELLINGS


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [("visits", "note", "SSN 123 45 6705"), ("people", "cents", 123456705), ("people", "street", "123-45-6705")],
)
def test_an_identifier_is_found_in_scrubbed_number_and_made_up_columns(
    plant: Check, table: str, column: str, value: Any
) -> None:
    report = plant(table, column, 1, value)
    assert [(f.raw_table, f.raw_column, f.table, f.column, f.cells) for f in report.findings] == [
        ("people", "ssn", table, column, 1)
    ]


@pytest.mark.parametrize(
    ("table", "column", "row", "value"),
    [
        ("visits", "note", 0, "seen with MAIER again"),  # visits are in reverse order: row 0 is Karl Maier's
        ("visits", "note", 11, "the wife of john, Quesnelberg's sister"),
        ("visits", "unit", 9, "dwyer"),  # part of a name, in a kept column
        ("visits", "unit", 8, "the SOUZALEÃO, Ng family"),
        ("people", "note", 0, "she moved from bergamot lane"),
        ("people", "race", 1, "Zabrowsky"),
        ("people", "city", 1, "Zabrowsky"),  # a made-up column of another kind
        ("people", "email", 1, "zabrowsky@example.com"),
        ("people", "street", 1, "7 Zabrowsky Street"),
    ],
)
def test_a_part_of_a_name_or_address_is_found_in_the_rows_of_its_person(
    plant: Check, table: str, column: str, row: int, value: str
) -> None:
    report = plant(table, column, row, value)
    assert [(f.kind, f.table, f.column, f.cells) for f in report.findings] == [("name", table, column, 1)]


HARMLESS = (
    "ward 12345-6705",  # the digits of an SSN in the groups of a ZIP code
    "room 5 01 07, 45 6705",
    "de la Clinic, 3 days",
    "maierhof and Karlsruhe",  # no whole words
)


def test_what_is_no_leak_passes(plant: Check) -> None:
    assert plant(
        "visits", "note", 0, "; ".join([*HARMLESS, "seen with Zabrowsky"])
    ).passed  # the name is somebody else's
    assert plant("visits", "unit", 0, "; ".join(HARMLESS)).passed


def test_the_race_white_beside_the_name_white_is_chance_and_a_made_up_name_in_a_text_too(plant: Check) -> None:
    assert LAST[10] == "White"
    assert plant().passed  # row 10 has race Black; rows with race White are other people's
    assert plant("people", "race", 10, "White").passed


def test_a_column_kept_on_purpose_is_still_a_leak_unless_it_is_declared_harmless(house: House) -> None:
    house.table("t", {"email": ["a.b@mail.com"], "n": [1]}, {"email": "email", "n": "none"})
    overrides = {"t": {"email": ColumnConfig(action="keep")}}
    assert not _check(house, overrides).passed
    house.table(
        "t",
        {"email": ["a.b@mail.com"], "n": [1]},
        {"email": verdict("email", "email", identifier_class="none"), "n": "none"},
    )
    assert _check(house, overrides).passed


def test_a_name_column_that_was_not_recognised_is_found_by_the_names_beside_it(house: House) -> None:
    house.table(
        "t",
        {"name": ["Ann Quesnel", "Bob Zabrow"], "contact": ["c/o Quesnel", "c/o Zabrow"]},
        {"name": "person_name", "contact": "none"},
    )
    report = _check(house)
    assert [(f.kind, f.column, f.cells) for f in report.findings] == [("name", "contact", 2)]


@pytest.mark.parametrize(("region", "passes"), [("state", True), ("country", True), ("none", False)])
def test_a_kept_state_or_country_may_be_told_by_the_birthplace_of_its_row(
    house: House, region: str, passes: bool
) -> None:
    house.table(
        "t",
        {
            "town": ["Fitchburg Massachusetts", "Salem Massachusetts", "Nashua Hampshire"],
            "at": ["Massachusetts", "Massachusetts", "Hampshire"],
        },
        {"town": "city", "at": region},
    )
    assert _check(house).passed is passes


def test_identifiers_too_short_to_look_for_are_counted(house: House) -> None:
    house.table("t", {"mrn": ["12", "345", "1234567"], "n": ["12", "345", "x"]}, {"mrn": "mrn", "n": "none"})
    report = _check(house)
    assert (report.identifiers, report.too_short, report.passed) == (1, 2, True)


def test_safe_harbor_leaves_nothing_of_the_same_tables(house: House) -> None:
    _build(house)
    assert _check(house, policy="hipaa_safe_harbor").passed


def test_a_report_holds_counts_and_no_value(plant: Check) -> None:
    text = plant("people", "race", 1, "123-45-6705").model_dump_json()
    assert "6705" not in text


def test_made_up_names_come_from_known_words() -> None:
    assert {"mary", "james"} <= vocabulary("first_name")
    assert "smith" in vocabulary("person_name")
    assert vocabulary("ssn") == frozenset()


def _check(house: House, overrides: dict[str, Any] | None = None, policy: str = "dev_test") -> LeakReport:
    summaries = house.mask(policy, overrides=overrides or {})
    paths: dict[str, Path] = {n: house.folder / "masked" / n for n in house.tables}
    return check_leaks(
        {n: t.path for n, t in house.tables.items()},
        paths,
        verdicts={n: t.verdicts for n, t in house.tables.items()},
        schemas={n: t.schema for n, t in house.tables.items()},
        summaries=summaries,
        engine=ENGINE,
    )


def test_each_of_two_addresses_in_one_cell_is_looked_for(house: House) -> None:
    house.table(
        "people",
        {"mails": ["ann@x.org; ann.b@y.org", "cy@x.org"], "told": ["by ann.b@y.org", "nothing"]},
        {"mails": "email", "told": "none"},
    )
    report = _check(house, policy="dev_test")
    assert [(f.raw_column, f.column, f.cells) for f in report.findings] == [("mails", "told", 1)]


def test_a_page_of_a_person_is_looked_for_as_an_address_is(house: House) -> None:
    pages = ["https://www.ann-lee.net/~x?id=1", "http://bo.example-clinic.org"]
    house.table(
        "people",
        {"site": pages, "home": pages, "note": [f"see {pages[0]}", "no page"]},
        {"site": "url", "home": "url", "note": "none"},
    )
    report = _check(house, overrides={"people": {"home": ColumnConfig(action="keep")}})
    assert {(f.column, f.cells) for f in report.findings} == {("home", 2), ("note", 1)}
