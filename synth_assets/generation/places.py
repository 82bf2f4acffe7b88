"""Places: cities drawn by size, and the addresses, ZIP codes and telephone numbers that agree with them.

What belongs here: whatever follows from a row's city. What does not: names of people (names.py).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from synth_assets.generation import lists
from synth_assets.generation.numbering import Space, free_codes, unique_codes
from synth_assets.generation.spreads import weighted
from synth_assets.generation.values import Coded, Codes, Ints, fixed_width, joined, to_text

# Central office codes that no subscriber has: 555 (fiction and directory use), service codes and test codes.
EXCHANGES = (555, 211, 311, 411, 511, 611, 711, 811, 911, 958, 959)
_LINES = 10_000
_NUMBERS = 4_999  # house numbers of one half: 1, 3 ... 9997 or 2, 4 ... 9998
_UNITS = ("", *(f" Apt {i}" for i in range(1, 31)), *(f" Unit {i}" for i in range(1, 10)))


@cache
def _arrays() -> dict[str, npt.NDArray[Any]]:
    cities, states = lists.cities(), lists.states()
    place = {s.code: i for i, s in enumerate(states)}
    areas = [s.area_codes for s in states]
    return {
        "weight": np.array([c.weight for c in cities]),
        "state": np.array([place[c.state] for c in cities]),
        "zip3": np.array([int(c.zip3) for c in cities]),
        "latitude": np.array([c.latitude for c in cities]),
        "longitude": np.array([c.longitude for c in cities]),
        "areas": np.array([int(a) for of_state in areas for a in of_state]),
        "first_area": np.cumsum([0, *(len(a) for a in areas)]),
    }


def draw_cities(generator: np.random.Generator, n: int, states: tuple[str, ...] = ()) -> Ints:
    """Indices into `lists.cities()`, by population, in some states or in all; shape (n,)."""
    arrays = _arrays()
    inside: npt.NDArray[Any] = np.ones(len(arrays["weight"]))
    if states:
        inside = np.isin(arrays["state"], [i for i, s in enumerate(lists.states()) if s.code in states])
    return weighted(generator, n, arrays["weight"] * inside)


def cities_in(generator: np.random.Generator, states: pa.Array) -> Ints:
    """A city for each row, within the row's state (two-letter code or name); anywhere where the state is not known."""
    n = len(states)
    out = draw_cities(generator, n)
    texts = pc.utf8_upper(pc.utf8_trim_whitespace(states))
    for i, state in enumerate(lists.states()):
        rows = np.flatnonzero(
            pc.is_in(texts, pa.array([state.code, state.name.upper()])).to_numpy(zero_copy_only=False)
        )
        if rows.size:
            weights = np.where(_arrays()["state"] == i, _arrays()["weight"], 0.0)
            out[rows] = weighted(generator, rows.size, weights)
    return out


def cities_called(names: pa.Array, otherwise: Ints) -> Ints:
    """The listed city of each name, in the state of the row's city `otherwise`; that city where there is no such."""
    keys = [f"{c.name.upper()}|{c.state}" for c in lists.cities()]
    wanted = joined([pc.utf8_upper(pc.utf8_trim_whitespace(names)), "|", to_text(state_codes(otherwise))])
    index = pc.fill_null(pc.index_in(wanted, pa.array(keys)), -1).to_numpy(zero_copy_only=False)
    return np.where(index >= 0, index, otherwise)


def city_names(cities: Ints) -> Coded:
    """The names of cities."""
    return Coded(cities, tuple(c.name for c in lists.cities()))


def state_codes(cities: Ints) -> Coded:
    """The two-letter states of cities."""
    return Coded(np.asarray(_arrays()["state"][cities]), tuple(s.code for s in lists.states()))


def zips(generator: np.random.Generator, cities: Ints) -> pa.Array:
    """Five-digit ZIP codes with the first three digits of the city."""
    return fixed_width(len(cities), [(_arrays()["zip3"][cities], 3), (generator.integers(1, 99, len(cities)), 2)])


def coordinates(
    generator: np.random.Generator, cities: Ints
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Latitudes and longitudes in degrees, within about 10 km of the city, six decimals."""
    shift = generator.uniform(-0.08, 0.08, size=(2, len(cities)))
    return np.round(_arrays()["latitude"][cities] + shift[0], 6), np.round(_arrays()["longitude"][cities] + shift[1], 6)


def streets(
    generator: np.random.Generator,
    n: int,
    *,
    first: int = 0,
    seed: int | None = None,
    space: Space = "schema",
    column: str = "",
) -> pa.Array:
    """House numbers and streets, some with a flat.

    Args:
        generator: For everything that may repeat.
        n: Number of rows.
        first: Number of the first row, where they must all differ.
        seed: The permutation of row numbers; None where addresses may repeat.
        space: Half of the house numbers.
        column: For messages.
    """
    names = lists.streets()
    capacity = 2 * _NUMBERS * len(names)
    if seed is None:
        by_name = weighted(generator, n, lists.weights("street_names"))
        street = by_name * len(lists.names("street_suffixes")) + weighted(
            generator, n, lists.weights("street_suffixes")
        )
        house = np.floor(_NUMBERS ** generator.uniform(0.25, 1.0, n)).astype(np.int64) - 1
    else:
        codes = (unique_codes(first, n, capacity, seed, space=space, column=column) >> np.uint64(1)).astype(np.int64)
        house, street = codes % _NUMBERS, codes // _NUMBERS
    numbers = 2 * house + (2 if space == "fresh" else 1)
    unit = np.where(generator.random(n) < 0.82, 0, generator.integers(1, len(_UNITS), n))
    return joined([to_text(numbers), " ", to_text(Coded(street, names)), to_text(Coded(unit, _UNITS))])


def phones(
    generator: np.random.Generator,
    cities: Ints,
    *,
    first: int = 0,
    total: int | None = None,
    seed: int | None = None,
    space: Space = "schema",
    column: str = "",
) -> pa.Array:
    """Telephone numbers that no subscriber has, as 617-555-0123.

    The area code is one of the row's state. Up to 55,000 rows of a half's numbers (27,500) all differ without being asked; where
    more must differ, the area code is drawn anywhere, as of people who moved and kept their number.

    Args:
        generator: For what may repeat.
        cities: Indices of cities, shape (n,).
        first: Number of the first row.
        total: Rows of the whole table, None where that is not known.
        seed: The permutation of row numbers; None where numbers may repeat.
        space: Half of the line numbers.
        column: For messages.
    """
    n, arrays = len(cities), _arrays()
    lines = _LINES * len(EXCHANGES)
    few = total is not None and total <= lines // 2
    if seed is None or (total is not None and total <= _LINES // 2):
        lines = _LINES
    if seed is not None and not few:
        code = unique_codes(first, n, lines * len(arrays["areas"]), seed, space=space, column=column)
        low, area_index = np.divmod(code, np.uint64(lines))[::-1]
        return _phone_text(arrays["areas"][area_index.astype(np.int64)], low)
    state = arrays["state"][cities]
    start, stop = arrays["first_area"][state], arrays["first_area"][state + 1]
    area = arrays["areas"][start + (generator.random(n) * (stop - start)).astype(np.int64)]
    if seed is not None:
        return _phone_text(area, unique_codes(first, n, lines, seed, space=space, column=column))
    return _phone_text(area, free_codes(generator, n, lines, space=space))


def _phone_text(area: npt.NDArray[Any], code: Codes) -> pa.Array:
    exchange, line = np.divmod(code, np.uint64(_LINES))
    return fixed_width(
        len(code), [(area, 3), "-", (np.asarray(EXCHANGES)[exchange.astype(np.int64)], 3), "-", (line, 4)]
    )
