"""Elements of dates, small areas, location codes and short texts: told from counts, durations, and from what is nobody's."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from synth_assets.pii.classify import classify_frame
from synth_assets_tests.unit.pii import builders

ROWS = 90
RNG = np.random.default_rng(7)


def _numbers(low: int, high: int) -> list[str]:
    return [str(v) for v in RNG.integers(low, high + 1, ROWS)]


def _found(column: str, values: list[str], *, persons: bool) -> tuple[str, str]:
    columns = (
        {"first_name": builders.column("first_name", ROWS), "dob": builders.column("birth_date", ROWS)}
        if persons
        else {}
    )
    columns[column] = values
    verdict = classify_frame(pa.table({n: pa.array(v, pa.string()) for n, v in columns.items()}))[-1]
    return verdict.entity_type, verdict.identifier_class


@pytest.mark.parametrize(
    ("column", "low", "high", "expected"),
    [
        ("birth_month", 1, 12, "birth_date"),
        ("GeburtsMonat", 1, 12, "birth_date"),
        ("mois_naissance", 1, 12, "birth_date"),
        ("day_of_death", 1, 31, "death_date"),
        ("discharge_qtr", 1, 4, "event_date"),
        ("admit_weekday", 0, 6, "event_date"),
        ("hour_of_admission", 0, 23, "event_date"),
    ],
)
def test_an_element_of_what_a_person_did_is_a_date_in_any_table(
    column: str, low: int, high: int, expected: str
) -> None:
    assert _found(column, _numbers(low, high), persons=False)[0] == expected
    assert _found(column, _numbers(low, high), persons=True) == (expected, "quasi")


@pytest.mark.parametrize(
    ("column", "low", "high"), [("month", 1, 12), ("quartal", 1, 4), ("hora", 0, 23), ("week", 1, 53)]
)
def test_a_bare_element_is_a_date_beside_persons_only(column: str, low: int, high: int) -> None:
    assert _found(column, _numbers(low, high), persons=True) == ("event_date", "quasi")
    assert _found(column, _numbers(low, high), persons=False) == ("none", "none")


@pytest.mark.parametrize(
    ("column", "low", "high"),
    [("admission_count_month", 0, 12), ("visits_per_week", 0, 9), ("days_supply", 1, 31), ("birth_month", 1, 400)],
)
def test_counts_durations_and_numbers_out_of_range_are_no_elements(column: str, low: int, high: int) -> None:
    assert _found(column, [*_numbers(low, high)[1:], str(high)], persons=True)[0] != "event_date"
    assert _found(column, [*_numbers(low, high)[1:], str(high)], persons=True)[1] != "direct"


def test_open_location_codes_are_coordinates_without_a_telling_name() -> None:
    letters = np.array(list("23456789CFGHJMPQRVWX"))
    codes = ["8F" + "".join(RNG.choice(letters, 6)) + "+" + "".join(RNG.choice(letters, 2)) for _ in range(ROWS)]
    assert _found("col3", codes, persons=True) == ("coordinates", "direct")


def test_a_text_around_an_address_is_free_text_and_a_grouped_number_alone_is_none() -> None:
    texts = [f"Patient asks to be called at 212-555-{1000 + i} after noon" for i in range(ROWS)]
    phones = [f"+1 {200 + i} 555 {1000 + 7 * i}" for i in range(ROWS)]
    assert _found("col3", texts, persons=True)[0] == "free_text"
    assert _found("col3", phones, persons=True) == ("phone", "direct")


def test_two_letters_over_and_over_name_nobody() -> None:
    assert _found("dr_cr", ["D", "C"] * (ROWS // 2), persons=False) == ("none", "none")
