"""People of other countries than the United States: names, places, telephone and national numbers that agree with each other.

What belongs here: drawing one person per row from the lists of a locale. What does not: the lists (locales.py), the national
numbers (national_ids.py), people of the United States and identifiers of tables (identities.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from synth_assets.generation import codes, locales, names
from synth_assets.generation.national_ids import HEALTH, NATIONAL, Residents
from synth_assets.generation.numbering import unique_codes
from synth_assets.generation.spreads import weighted
from synth_assets.generation.values import Coded, Ints, Part, fixed_width, joined, to_text
from synth_assets.seeds import child_seed

_PIECE = re.compile(r"\{(\d+)-(\d+)\}|.", re.DOTALL)
_NUMBERS = 200  # highest house number
_Draw = Callable[[str], np.random.Generator]
_MOBILE = 0.4  # share of people whose number is bound to no place


def residents(
    locale: locales.Locale, sex: npt.NDArray[np.str_], born: npt.NDArray[np.datetime64], seed: int
) -> pa.Table:
    """One person of a country for each row.

    Args:
        locale: The country.
        sex: Shape (n,): F, M, Female, Male ...
        born: Shape (n,), days.
        seed: Same seed, same people.

    Returns:
        The columns of `identities.people` without sex and birth_date.

    Raises:
        InputError: there are fewer national numbers that nobody has than people.
    """
    n = len(sex)

    def draw(purpose: str) -> np.random.Generator:
        return np.random.default_rng(child_seed(seed, "residents", locale.name, purpose))

    def own(purpose: str) -> int:
        return child_seed(seed, "residents", locale.name, purpose)

    first, male = _first_names(draw("first"), locale, sex)
    lasts = locales.words(locale.name, "last")
    surnames = [_indices(draw(f"last {i}"), n, locale, "last") for i in range(locale.surnames)]
    last = _with_blanks([Coded(s, lasts) for s in surnames])
    people = Residents(own("national"), male, born, first.codes, surnames[0], first.values, lasts)
    handles = names.handles(
        draw("handles"), first, Coded(surnames[0], lasts), total=n, seed=own("handles"), space="fresh", column="email"
    )
    cities = weighted(draw("cities"), n, np.array([p.weight for p in locales.places(locale.name)]))
    columns = {
        "first_name": to_text(first),
        "last_name": last,
        "full_name": joined([to_text(first), " ", last]),
        "email": names.emails(draw("email"), handles, space="fresh"),
        "username": handles,
        **_whereabouts(draw, locale, cities),
        "national_id": NATIONAL[locale.name](people),
        **({"health_id": HEALTH[locale.name](people)} if locale.name in HEALTH else {}),
        "mrn": _record_numbers(n, own("mrn")),
    }
    return pa.table(columns)


def _with_blanks(parts: list[Coded]) -> pa.Array:
    """Texts of several lists with a blank between them."""
    return to_text(parts[0]) if len(parts) == 1 else pc.binary_join_element_wise(*[to_text(p) for p in parts], " ")


def _record_numbers(n: int, seed: int) -> pa.Array:
    form = codes.FORMS["mrn"]
    return form.build(unique_codes(0, n, form.capacity, seed, space="fresh", column="mrn"))


def _indices(generator: np.random.Generator, n: int, locale: locales.Locale, kind: locales.WordKind) -> Ints:
    return weighted(generator, n, locales.weights(locale.name, kind))


def _first_names(
    generator: np.random.Generator, locale: locales.Locale, sex: npt.NDArray[np.str_]
) -> tuple[Coded, npt.NDArray[np.bool_]]:
    """Given names that fit the sex, and whether each is a man's; half and half where the sex is not known."""
    n, code = len(sex), names.sex_codes(pa.array(sex, pa.string()))
    female, male = _indices(generator, n, locale, "female"), _indices(generator, n, locale, "male")
    women, men = locales.words(locale.name, "female"), locales.words(locale.name, "male")
    is_male = np.where(code == names.UNKNOWN, generator.random(n) < 0.5, code == names.MALE)
    return Coded(np.where(is_male, male + len(women), female), (*women, *men)), is_male


def _whereabouts(draw: _Draw, locale: locales.Locale, cities: Ints) -> dict[str, pa.Array]:
    """Telephone, address and coordinates that follow from the city."""
    places, n = locales.places(locale.name), len(cities)
    mobile = draw("mobile").random(n) < (_MOBILE if locale.phone else 0.0)
    phones = tuple(dict.fromkeys([*(p.phone for p in places), locale.phone]))
    of_city = np.array([phones.index(p.phone) for p in places])
    house = to_text(np.ceil(_NUMBERS ** draw("house").random(n)).astype(np.int64))
    street = to_text(Coded(_indices(draw("street"), n, locale, "street"), locales.words(locale.name, "street")))
    between = re.split(r"\{\w+\}", locale.house)[1]
    address = [house, between, street] if locale.house.startswith("{n}") else [street, between, house]
    shift = draw("coordinates").uniform(-0.05, 0.05, size=(2, n))
    return {
        "phone": patterned(draw("phone"), np.where(mobile, phones.index(locale.phone), of_city[cities]), phones, ""),
        "street_address": joined(address),
        "city": to_text(Coded(cities, tuple(p.city for p in places))),
        "state": to_text(Coded(cities, tuple(p.region for p in places))),
        "zip": patterned(draw("zip"), cities, tuple(p.postcode for p in places), locale.letters),
        "latitude": pa.array(np.round(np.array([p.latitude for p in places])[cities] + shift[0], 6)),
        "longitude": pa.array(np.round(np.array([p.longitude for p in places])[cities] + shift[1], 6)),
    }


def patterned(generator: np.random.Generator, which: Ints, patterns: tuple[str, ...], letters: str) -> pa.Array:
    """Texts of the form of a pattern, see `locales.Locale`.

    Args:
        generator: Where digits and letters come from.
        which: The pattern of each row, shape (n,).
        patterns: Patterns, ASCII.
        letters: What @ stands for.

    Returns:
        An Arrow string array, shape (n,).
    """
    order = np.argsort(which, kind="stable")
    counts = np.bincount(which, minlength=len(patterns))
    made = [_of_pattern(generator, int(k), p, letters) for k, p in zip(counts, patterns, strict=True) if k]
    back = np.empty(len(which), np.int64)
    back[order] = np.arange(len(which))
    return pa.concat_arrays(made).take(pa.array(back)) if made else pa.array([], pa.string())


def _of_pattern(generator: np.random.Generator, n: int, pattern: str, letters: str) -> pa.Array:
    columns: list[pa.Array | str] = []
    for piece in _PIECE.finditer(pattern):
        low, high = piece.groups()
        if low is not None:
            drawn = generator.integers(int(low), int(high) + 1, n)
            columns.append(to_text(drawn) if low[0] != "0" and len(low) < len(high) else _fixed(drawn, len(high)))
        elif piece[0] == "#":
            columns.append(_fixed(generator.integers(0, 10, n), 1))
        elif piece[0] == "@":
            columns.append(fixed_width(n, [(generator.integers(0, len(letters), n), 1, letters)]))
        else:
            columns.append(piece[0])
    if all(isinstance(c, str) for c in columns):
        return pa.array([pattern] * n, pa.string())
    return joined(columns)


def _fixed(numbers: npt.NDArray[np.int64], width: int) -> pa.Array:
    parts: list[Part] = [(numbers, width)]
    return fixed_width(len(numbers), parts)
