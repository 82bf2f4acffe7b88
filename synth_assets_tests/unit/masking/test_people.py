"""Made-up names and places: from the lists, by sex, the same in all name columns, never the original."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from synth_assets import api
from synth_assets.config.base import LocaleName
from synth_assets.generation import lists, locales
from synth_assets.masking import people
from synth_assets_tests.unit.masking.conftest import House

Brew = Callable[..., Any]
WOMEN, MEN = set(lists.first_names("F")), set(lists.first_names("M"))


def test_first_names_fit_the_sex_column_however_it_is_written(brew: Brew) -> None:
    names = [f"Name{i}" for i in range(200)]
    for women, men in (("F", "M"), ("female", "male"), ("Woman", "Man"), (" f", " m")):
        sexes = [women if i % 2 else men for i in range(200)]
        made = brew(people.first_name(), names, companions={"sex": sexes})
        assert all(m in (WOMEN if i % 2 else MEN) for i, m in enumerate(made))


def test_without_a_known_sex_a_name_of_either_is_taken(brew: Brew) -> None:
    names = [f"Name{i}" for i in range(300)]
    for made in (brew(people.first_name(), names), brew(people.first_name(), names, companions={"sex": ["?"] * 300})):
        assert set(made) <= WOMEN | MEN
        assert set(made) - WOMEN
        assert set(made) - MEN


def test_no_name_or_place_stands_for_itself(brew: Brew) -> None:
    for recipe, entries in (
        (people.first_name(), (*lists.first_names("F"), *lists.first_names("M"))),
        (people.last_name(), lists.last_names()),
        (people.city(), tuple(c.name for c in lists.cities())),
    ):
        for raw in (entries, [e.upper() for e in entries]):
            made = brew(recipe, list(raw))
            assert not [m for m, r in zip(made, raw, strict=True) if m.lower() in r.lower().split()]


def test_no_part_of_a_street_is_left(brew: Brew) -> None:
    raw = [f"12 {street}" for street in lists.streets()]
    for made, original in zip(brew(people.street_address(), raw), raw, strict=True):
        assert re.fullmatch(r"\d{1,4} [A-Z][A-Za-z]+ [A-Z][a-z]+", made)
        assert made.split()[1] not in original.split()


def test_a_whole_name_is_made_of_the_same_parts_as_the_columns_of_its_parts(brew: Brew) -> None:
    first = brew(people.first_name(), ["Maria", "maria ", "MARIA"])
    last = brew(people.last_name(), ["Lopez", "LOPEZ"])
    whole = brew(
        people.person_name(),
        ["Maria Lopez", "Lopez, Maria", "Dr. Maria J. Lopez", "MARIA LOPEZ", "Maria Lopez, MD", "maria lopez"],
    )
    assert first[0] == first[1].title()
    assert first[2] == first[0].upper()
    assert whole[0] == f"{first[0]} {last[0]}"
    assert whole[1] == f"{last[0]}, {first[0]}"
    assert whole[2] == whole[4] == whole[0]
    assert whole[3] == whole[0].upper()
    assert whole[5] == whole[0].lower()


def test_one_word_counts_as_a_last_name_and_missing_stays_missing(brew: Brew) -> None:
    made = brew(people.person_name(), ["Lopez", None])
    assert made == [brew(people.last_name(), ["Lopez"])[0], None]
    for recipe in (
        people.first_name(),
        people.last_name(),
        people.street_address(),
        people.city(),
        people.company(),
        people.zip_code(),
    ):
        assert brew(recipe, [None]) == [None]


def test_zip_codes_keep_their_area_and_change_their_end(brew: Brew) -> None:
    raw = [f"{i:05d}" for i in range(501, 99_950, 97)]
    for made, original in zip(brew(people.zip_code(), raw), raw, strict=True):
        assert re.fullmatch(r"\d{5}", made)
        assert made[:3] == original[:3]
        assert made != original
    made = brew(people.zip_code(), ["02139-1234", "SW1A 1AA", "75008 "])
    assert re.fullmatch(r"021\d\d-\d{4}", made[0])
    assert re.fullmatch(r"[A-Z]{2}\d[A-Z] \d[A-Z]{2}", made[1])


def test_a_zip_code_stored_as_a_number_keeps_its_area(brew: Brew) -> None:
    (made,) = brew(people.zip_code(), [2139], dtype=pa.int64())
    assert made.startswith("021")


def test_firms_come_from_the_list(brew: Brew) -> None:
    assert set(brew(people.company(), ["Acme", "Initech"])) <= set(lists.companies())


def test_names_of_a_unique_column_stay_unique_and_are_the_same_in_other_tables(house: House) -> None:
    """Five thousand bands have five thousand names, and there are fewer made-up cities than real ones."""
    bands = [f"Band{i} Player{i % 71}" for i in range(5_000)]
    cities = [f"Town{i}" for i in range(5_000)]
    house.table("bands", {"name": bands, "city": cities}, {"name": "person_name", "city": "city"})
    sold = {"band": bands[::-1] * 2, "note": [f"a song of {b}" for b in bands[::-1]] * 2}
    house.table("sales", sold, {"band": "person_name", "note": "free_text"}, texts=("note",))
    house.mask()
    made, sales = house.read("bands"), house.read("sales")
    assert len(set(made["name"])) == len(set(made["city"])) == 5_000
    assert sales["band"] == made["name"][::-1] * 2
    assert sales["note"] == [f"a song of {name}" for name in sales["band"]]
    plain = sum(bool(re.fullmatch(r"\D+", name)) for name in made["name"])
    assert 4_500 < plain < 5_000  # few have drawn a name that another one has


def test_names_of_a_column_with_repeated_names_need_no_digits(house: House) -> None:
    house.table("people", {"name": [f"A{i} B" for i in range(900)] * 2}, {"name": "person_name"})
    house.mask()
    assert not any(re.search(r"\d", name) for name in house.read("people")["name"])


@pytest.mark.parametrize("locale", ["en_GB", "de_DE", "fr_FR"])
def test_made_up_people_are_of_the_country_and_none_stands_for_itself(brew: Brew, locale: LocaleName) -> None:
    women, men = (set(locales.one_word(locale, kind)) for kind in ("female", "male"))
    raw = [*sorted(women | men), "Maria", "Bo"]
    made = brew(people.first_name(locale), raw, companions={"sex": ["F" if i % 2 else "M" for i in range(len(raw))]})
    assert all(m in (women if i % 2 else men) for i, m in enumerate(made))
    assert not [m for m, r in zip(made, raw, strict=True) if m == r]
    lasts = locales.one_word(locale, "last")
    assert set(brew(people.last_name(locale), list(lasts))) <= set(lasts)
    assert not [
        m for m, r in zip(brew(people.last_name(locale), list(lasts)), lasts, strict=True) if m.lower() in r.lower()
    ]
    first, last = brew(people.first_name(locale), ["Maria"])[0], brew(people.last_name(locale), ["Lopez"])[0]
    assert brew(people.person_name(locale), ["Maria Lopez"]) == [f"{first} {last}"]
    cities = {p.city for p in locales.places(locale)}
    assert set(brew(people.city(locale), [f"Town {i}" for i in range(50)])) <= cities
    streets = locales.one_word(locale, "street")
    assert len(streets) >= 8
    of = locales.locale_of(locale)
    for address in brew(people.street_address(locale), [f"{i} Main Street" for i in range(40)]):
        number = re.search(r"\d+", address)
        assert number
        street = re.sub(r",? ?\d+ ?", "", address)
        assert street in {of.street.format(s) for s in streets}
        assert address.startswith(number[0]) == of.house.startswith("{n}")


@pytest.mark.parametrize("locale", locales.LOCALES)
def test_every_country_has_words_to_choose_from(locale: LocaleName) -> None:
    for kind in ("female", "male", "last", "street"):
        entries = locales.one_word(locale, kind)  # type: ignore[arg-type]
        assert len(entries) == len(set(entries)) >= (8 if kind == "street" else 80)
        assert all(e.isalpha() and e[0].isupper() and not e.isupper() for e in entries)


def test_names_of_a_country_pass_the_leak_check_and_other_rows_stay_as_they_were(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    rows = [f"{f} {n},{f},{n},Hauptstraße {i},Berlin" for i, (f, n) in enumerate(zip(("Anne", "Karl", "Uwe", "Ida") * 30,
            ("Berger", "Wagner", "Vogel", "Koch", "Lang") * 24, strict=True))]  # fmt: skip
    file.write_text("full_name,first_name,last_name,street_address,city\n" + "\n".join(rows) + "\n")
    home = tmp_path / "home"
    german, summary = api.mask(file, policy="dev_test", home=home, locale="de_DE")
    american, before = api.mask(file, policy="dev_test", home=home)
    assert (summary.locale, before.locale) == ("de_DE", "en_US")
    assert set(german["last_name"]) <= set(locales.one_word("de_DE", "last"))
    assert set(american["last_name"]) <= set(lists.last_names())
    assert all(
        f"{f} {n}" == w for w, f, n in zip(german["full_name"], german["first_name"], german["last_name"], strict=True)
    )
    assert set(german["city"]) <= {p.city for p in locales.places("de_DE")}
