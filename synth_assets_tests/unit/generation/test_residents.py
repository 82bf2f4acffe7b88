"""People of other countries: what belongs to one person agrees, and no number of theirs is anybody's."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable

import numpy as np
import phonenumbers
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import stdnum.es.dni
import stdnum.fr.nir
import stdnum.gb.nhs
import stdnum.ie.pps
import stdnum.it.codicefiscale
import stdnum.luhn
import stdnum.nl.bsn
import stdnum.pt.nif
from stdnum.exceptions import InvalidChecksum
from stdnum.iso7064 import mod_11_10

from synth_assets.config.base import LocaleName
from synth_assets.errors import InputError
from synth_assets.generation import locales, people
from synth_assets.generation.national_ids import NATIONAL, Residents, name_code
from synth_assets.generation.residents import patterned

ABROAD = [name for name in locales.LOCALES if name != locales.DEFAULT]
POSTCODES = {
    "en_GB": r"[A-Z]{1,2}\d{1,2} \d[A-Z]{2}", "en_IE": r"[A-Z]\d{2} [A-Z0-9]{4}", "en_CA": r"[A-Z]\d[A-Z] \d[A-Z]\d",
    "en_AU": r"\d{4}", "de_DE": r"\d{5}", "fr_FR": r"\d{5}", "es_ES": r"\d{5}", "it_IT": r"\d{5}", "nl_NL": r"\d{4} [A-Z]{2}",
    "pt_PT": r"\d{4}-\d{3}",
}  # fmt: skip


def matcher(pattern: str, letters: str) -> re.Pattern[str]:
    """A pattern of `locales.Locale` as a regular expression; ranges as digits only."""
    parts = re.split(r"(\{\d+-\d+\}|#|@)", pattern)
    known = {"#": r"\d", "@": f"[{letters}]"}
    return re.compile("".join(r"\d+" if p.startswith("{") else known.get(p, re.escape(p)) for p in parts))


@pytest.mark.parametrize("name", ABROAD)
def test_what_belongs_to_one_person_agrees(name: LocaleName) -> None:
    locale, table = locales.locale_of(name), people(1500, 3, locale=name)
    women, men = set(locales.words(name, "female")), set(locales.words(name, "male"))
    places = {(p.city, p.region): p for p in locales.places(name)}
    for row in table.to_pylist():
        assert row["full_name"] == f"{row['first_name']} {row['last_name']}"
        assert row["first_name"] in (women if row["sex"] == "F" else men)
        assert re.fullmatch(re.escape(row["username"]) + r"@mail\.example\.(com|org|net)", row["email"])
        assert re.fullmatch(r"[a-z]+[._]?[a-z]+\d+", row["username"])
        place = places[row["city"], row["state"]]
        assert matcher(place.postcode, locale.letters).fullmatch(row["zip"])
        assert re.fullmatch(POSTCODES[name], row["zip"])
        assert abs(row["latitude"] - place.latitude) < 0.06
        assert abs(row["longitude"] - place.longitude) < 0.06
        forms = [matcher(p, "") for p in (place.phone, locale.phone) if p]
        assert any(f.fullmatch(row["phone"]) for f in forms)
        assert re.search(r"\d", row["street_address"])
        assert dt.date(1920, 1, 1) < row["birth_date"] <= dt.date(2025, 12, 31)
    for column in ("email", "username", "national_id", "mrn"):
        assert len(pc.unique(table[column])) == 1500
    assert not any(table[c].null_count for c in table.column_names)


@pytest.mark.parametrize("name", ABROAD)
def test_the_seed_decides_and_given_sex_and_birth_dates_are_kept(name: LocaleName) -> None:
    sex, born = np.array(["Female", "m"] * 20), np.full(40, np.datetime64("1990-05-05"))
    table = people(40, 5, sex=sex, birth_date=born, locale=name)
    assert table.equals(people(40, 5, sex=sex, birth_date=born, locale=name))
    assert not table.equals(people(40, 6, sex=sex, birth_date=born, locale=name))
    assert table["sex"].to_pylist() == sex.tolist()
    assert set(table["first_name"].to_pylist()[1::2]) <= set(locales.words(name, "male"))
    assert set(table["birth_date"].to_pylist()) == {dt.date(1990, 5, 5)}
    assert people(0, 1, locale=name).num_rows == 0


def _is_unissued_dutch(number: str) -> bool:
    with pytest.raises(InvalidChecksum):
        stdnum.nl.bsn.validate(number)
    return True


def _is_unissued_portuguese(number: str) -> bool:
    return number[0] == "0" and stdnum.pt.nif.calc_check_digit(number[:-1]) == number[-1]


def _is_unissued_australian(number: str) -> bool:
    return sum(w * int(c) for w, c in zip((1, 4, 3, 7, 5, 8, 6, 9, 10), number, strict=True)) % 11 != 0


def _is_unissued_german(number: str) -> bool:
    counts = sorted((number[:10].count(c) for c in set(number[:10])), reverse=True)
    return number[0] == "0" and counts[0] == 2 and counts[1] == 1 and mod_11_10.is_valid(number)


def _is_unissued_canadian(number: str) -> bool:
    return bool(re.fullmatch(r"8\d\d \d{3} \d{3}", number)) and stdnum.luhn.is_valid(number.replace(" ", ""))


UNISSUED: dict[str, Callable[[str], bool]] = {
    "en_GB": lambda v: bool(re.fullmatch(r"Q[ABCEGHJ-NPQRSTW-Z] \d\d \d\d \d\d [A-D]", v)),
    "en_IE": lambda v: bool(re.fullmatch(r"\d{7}[XYZ]A", v)) and not stdnum.ie.pps.is_valid(v),
    "en_CA": _is_unissued_canadian,
    "en_AU": _is_unissued_australian,
    "de_DE": _is_unissued_german,
    "fr_FR": lambda v: stdnum.fr.nir.is_valid(v) and v[10:13] == "000",
    "es_ES": lambda v: v[-1] in "IOU" and not stdnum.es.dni.is_valid(v),
    "it_IT": lambda v: stdnum.it.codicefiscale.is_valid(v) and "N" <= v[11] <= "Y",
    "nl_NL": _is_unissued_dutch,
    "pt_PT": _is_unissued_portuguese,
}


@pytest.mark.parametrize("name", ABROAD)
def test_national_numbers_have_the_form_of_the_country_and_are_nobodys(name: LocaleName) -> None:
    numbers = people(3000, 11, locale=name)["national_id"].to_pylist()
    assert all(UNISSUED[name](number) for number in numbers)


def test_italian_numbers_hold_name_sex_and_birth_date() -> None:
    assert name_code("Rossi") == "RSS"
    assert name_code("Fo") == "FOX"
    assert name_code("D'Angelò") == "DNG"
    assert name_code("Gianfranco", first=True) == "GFR"
    assert name_code("Maria", first=True) == "MRA"
    for row in people(500, 4, locale="it_IT").to_pylist():
        number = row["national_id"]
        assert number[:6] == name_code(row["last_name"]) + name_code(row["first_name"], first=True)
        assert stdnum.it.codicefiscale.get_gender(number) == row["sex"]
        assert stdnum.it.codicefiscale.get_birth_date(number, minyear=row["birth_date"].year) == row["birth_date"]


def test_french_numbers_hold_sex_and_month_of_birth() -> None:
    for row in people(500, 4, locale="fr_FR").to_pylist():
        number = row["national_id"]
        assert number[0] == ("2" if row["sex"] == "F" else "1")
        assert number[1:5] == row["birth_date"].strftime("%y%m")


def test_people_of_one_birthday_have_different_numbers() -> None:
    born = np.full(9000, np.datetime64("1980-02-29"))
    for name in ("fr_FR", "it_IT"):
        table = people(9000, 2, birth_date=born, locale=name)
        assert len(pc.unique(table["national_id"])) == 9000


def test_more_people_than_free_numbers_are_refused() -> None:
    none = np.zeros(0, np.int64)
    for name, size in (("pt_PT", 10**7), ("en_CA", 10**7)):
        crowd = Residents(1, np.zeros(size + 1, bool), np.zeros(0, "datetime64[D]"), none, none, (), ())
        with pytest.raises(InputError, match="more people"):
            NATIONAL[name](crowd)
    twins = np.full(200_000, np.datetime64("1980-02-29"))
    with pytest.raises(InputError, match="share what their national number is made of"):
        people(200_000, 2, sex=np.full(200_000, "F"), birth_date=twins, locale="fr_FR")


def test_nhs_numbers_are_of_the_test_range_and_end_when_it_ends() -> None:
    numbers = people(2000, 8, locale="en_GB")["health_id"].to_pylist()
    assert len(set(numbers)) == 2000
    assert all(n.startswith("999 ") and stdnum.gb.nhs.is_valid(n) for n in numbers)
    from synth_assets.generation.national_ids import HEALTH

    none = np.zeros(0, np.int64)
    crowd = Residents(1, np.zeros(1_000_000, bool), np.zeros(0, "datetime64[D]"), none, none, (), ())
    made = HEALTH["en_GB"](crowd)
    assert (len(made), made.null_count) == (1_000_000, 1_000_000 - 909_091)
    assert pc.count_distinct(made).as_py() == 909_091


def test_medicare_numbers_have_a_right_check_digit_and_a_first_digit_that_nobody_has() -> None:
    for number in people(500, 8, locale="en_AU")["health_id"].to_pylist():
        assert re.fullmatch(r"8\d{3} \d{5} 1", number)
        digits = [int(c) for c in number.replace(" ", "")]
        assert sum(w * d for w, d in zip((1, 3, 7, 9, 1, 3, 7, 9), digits, strict=False)) % 10 == digits[8]


@pytest.mark.parametrize("name", ["es_ES", "it_IT", "nl_NL", "pt_PT"])
def test_telephone_numbers_without_a_reserved_range_are_not_allotted(name: LocaleName) -> None:
    for text in people(500, 8, locale=name)["phone"].to_pylist():
        number = phonenumbers.parse(text, name[3:])
        assert phonenumbers.is_possible_number(number)
        assert not phonenumbers.is_valid_number(number)


def test_patterns_keep_leading_zeros_and_draw_from_the_whole_range() -> None:
    generator = np.random.default_rng(3)
    which = np.arange(4000) % 3
    made = patterned(generator, which, ("0{00-12}", "B{1-38} #@", "fixed"), "XY")
    assert isinstance(made, pa.Array)
    assert set(made.to_pylist()[::3]) == {f"0{i:02}" for i in range(13)}
    assert {m[1:].split(" ")[0] for m in made.to_pylist()[1::3]} == {str(i) for i in range(1, 39)}
    assert all(re.fullmatch(r"B\d+ \d[XY]", m) for m in made.to_pylist()[1::3])
    assert set(made.to_pylist()[2::3]) == {"fixed"}


def test_accents_are_written_out_in_user_names() -> None:
    rows = people(3000, 5, locale="de_DE").to_pylist()
    made = [r for r in rows if "ü" in r["last_name"].lower()]
    assert made
    assert all(r["last_name"].lower().replace("ü", "ue")[:3] in r["username"] for r in made if r["last_name"].isalpha())


def test_an_unknown_locale_is_one_clear_error() -> None:
    with pytest.raises(InputError, match="no people of 'xx_XX'"):
        people(3, 1, locale="xx_XX")  # type: ignore[arg-type]


def test_births_are_spread_over_the_years() -> None:
    born = people(100_000, 1, locale="nl_NL")["birth_date"].combine_chunks()
    commonest = pc.max(pc.struct_field(pc.value_counts(born), "counts")).as_py()
    assert commonest < 40
