"""Countries that people can be made for: their name lists, places, forms of addresses and telephone numbers.

What belongs here: reading the lists of one locale, and how its addresses and numbers are written. What does not: drawing people
(residents.py), national numbers (national_ids.py), the United States, whose lists are larger (lists.py, places.py).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from synth_assets.config.base import LocaleName
from synth_assets.errors import InputError
from synth_assets.generation import lists

LOCALES: tuple[LocaleName, ...] = get_args(LocaleName)
DEFAULT: LocaleName = "en_US"
WordKind = Literal["female", "male", "last", "street"]


class Place(NamedTuple):
    """A city with its region, the patterns of its postcodes and telephone numbers, and its people in thousands."""

    city: str
    region: str
    postcode: str
    phone: str
    weight: float
    latitude: float
    longitude: float


@dataclass(frozen=True)
class Locale:
    """How one country writes what belongs to a person.

    Patterns: `{2-14}` a number of that range, with leading zeros where the lower end has them; # a digit; @ one of `letters`.

    Args:
        name: Such as de_DE.
        country: Its English name.
        names: Locale whose first and last names are used.
        streets: Locale whose streets are used.
        house: House number `{n}` and `{street}` in an address.
        phone: Pattern of telephone numbers that are bound to no place.
        surnames: How many surnames a person has.
        letters: Letters of its postcodes.
        street: `{}`, one word, in an invented street of one word, as masking makes them.
        source: Where the telephone numbers are reserved, or why nobody has them.
    """

    name: LocaleName
    country: str
    names: LocaleName
    streets: LocaleName
    house: str
    phone: str
    source: str
    surnames: int = 1
    letters: str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    street: str = "{} Road"


_NUMBER_FIRST, _NUMBER_LAST = "{n} {street}", "{street} {n}"
_UNALLOTTED = (
    "no reserved range is published; no number of the country begins like this (numbering plan, phonenumbers 9)"
)
_ABROAD: tuple[Locale, ...] = (
    Locale("en_GB", "United Kingdom", "en_GB", "en_GB", _NUMBER_FIRST, "07700 900{000-999}", letters="ABDEFGHJLNPQRSTUWXYZ",
           source="Ofcom, Telephone numbers for use in TV and radio drama programmes"),
    Locale("en_IE", "Ireland", "en_IE", "en_IE", _NUMBER_FIRST, "020 91{0-9} {0000-9999}", letters="ACDEFHKNPRTVWXY",
           source="ComReg, Numbering Conditions of Use: 020 91 for drama"),
    Locale("en_CA", "Canada", "en_US", "en_GB", _NUMBER_FIRST, "", letters="ABCEGHJKLMNPRSTVWXYZ",
           source="Canadian Numbering Administrator: 555-0100 to 555-0199 for fiction, in every area code"),
    Locale("en_AU", "Australia", "en_GB", "en_GB", _NUMBER_FIRST, "", source="ACMA, Phone numbers for use in creative works"),
    Locale("de_DE", "Germany", "de_DE", "de_DE", _NUMBER_LAST, "0176 040690{00-99}",
           street="{}", source="Bundesnetzagentur, Mitteilung 148/2021: Rufnummern für Medienproduktionen"),
    Locale("fr_FR", "France", "fr_FR", "fr_FR", "{n} {street}", "06 39 98 {00-99} {00-99}",
           street="rue {}", source="ARCEP, décision 2018-0881: numéros pour les œuvres audiovisuelles"),
    Locale("es_ES", "Spain", "es_ES", "es_ES", "{street}, {n}", "4{10-99} {000-999} {000-999}",
           street="Calle {}", source=_UNALLOTTED, surnames=2),
    Locale("it_IT", "Italy", "it_IT", "it_IT", "{street}, {n}", "6{00-99} {0000000-9999999}", street="Via {}", source=_UNALLOTTED),
    Locale("nl_NL", "Netherlands", "nl_NL", "nl_NL", _NUMBER_LAST, "06 9{0000000-9999999}", letters="ABCDEGHJKLMNPRSTVWXZ",
           street="{}", source=_UNALLOTTED),
    Locale("pt_PT", "Portugal", "pt_PT", "pt_PT", "{street}, {n}", "4{10-99} {000-999} {000-999}",
           street="Rua {}", source=_UNALLOTTED, surnames=2),
)  # fmt: skip


def locale_of(name: str) -> Locale:
    """A locale by its name, outside the United States.

    Raises:
        InputError: there is no such locale.
    """
    for locale in _ABROAD:
        if locale.name == name:
            return locale
    raise InputError(f"there are no people of {name!r}.", key="locale", remedy=f"Use one of {', '.join(LOCALES)}.")


def _rows(file: str) -> list[list[str]]:
    text = resources.files("synth_assets.generation").joinpath("data", file).read_text(encoding="utf-8")
    return list(csv.reader(text.splitlines()))[1:]


@cache
def _words() -> dict[tuple[str, str], tuple[tuple[str, ...], npt.NDArray[np.float64]]]:
    found: dict[tuple[str, str], list[tuple[str, float]]] = {}
    for locale, kind, text, weight in _rows("words_abroad.csv"):
        found.setdefault((locale, kind), []).append((text, float(weight)))
    return {
        key: (tuple(t for t, _ in rows), np.array([w for _, w in rows]) / sum(w for _, w in rows))
        for key, rows in found.items()
    }


def words(name: LocaleName, kind: WordKind) -> tuple[str, ...]:
    """First names of women or men, last names, or streets (without a house number) of a locale.

    Raises:
        InputError: there is no such locale.
    """
    if name == DEFAULT:
        return _american(kind)[0]
    locale = locale_of(name)
    own = locale.streets if kind == "street" else locale.names
    return _american(kind)[0] if own == DEFAULT else _words()[own, kind][0]


def weights(name: LocaleName, kind: WordKind) -> npt.NDArray[np.float64]:
    """Relative frequencies of `words`, sum 1; equal where the source tells none."""
    if name == DEFAULT:
        return _american(kind)[1]
    locale = locale_of(name)
    own = locale.streets if kind == "street" else locale.names
    return _american(kind)[1] if own == DEFAULT else _words()[own, kind][1]


def _american(kind: WordKind) -> tuple[tuple[str, ...], npt.NDArray[np.float64]]:
    if kind == "street":
        streets = lists.streets()
        return streets, np.full(len(streets), 1 / len(streets))
    name: lists.ListName = (
        "last_names" if kind == "last" else "first_names_female" if kind == "female" else "first_names_male"
    )
    return lists.names(name), lists.weights(name)


@cache
def places(name: LocaleName) -> tuple[Place, ...]:
    """The cities of a locale outside the United States.

    Raises:
        InputError: there is no such locale.
    """
    locale = locale_of(name)
    return tuple(
        Place(city, region, postcode, phone or locale.phone, float(weight), float(latitude), float(longitude))
        for of, city, region, postcode, phone, weight, latitude, longitude in _rows("places_abroad.csv")
        if of == name
    )


def one_word(name: LocaleName, kind: WordKind) -> tuple[str, ...]:
    """The entries of `words` that are one word of letters; of streets, the word that tells them apart, see `Locale.street`.

    Raises:
        InputError: there is no such locale.
    """
    if name == DEFAULT:
        return tuple(w for w in (lists.names("street_names") if kind == "street" else words(name, kind)) if w.isalpha())
    found = words(name, kind)
    if kind == "street":
        before, after = locale_of(name).street.split("{}")
        last = [w.split()[-1] for w in found] if before else [w.removesuffix(after) for w in found if w.endswith(after)]
        found = tuple(dict.fromkeys(last))
    return tuple(w for w in found if w.isalpha() and w[0].isupper() and not w.isupper())
