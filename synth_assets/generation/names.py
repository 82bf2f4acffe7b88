"""Names of people and what is made of a name: e-mail, user name, web page.

What belongs here: whatever follows from a row's name and sex. What does not: places and telephone numbers (places.py).
"""

from __future__ import annotations

import unicodedata
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from synth_assets.generation import lists
from synth_assets.generation.numbering import Space, unique_codes
from synth_assets.generation.spreads import weighted
from synth_assets.generation.values import Coded, Ints, Values, joined, to_arrow, to_text

FEMALE, MALE, UNKNOWN = 0, 1, 2
_SEX_TEXTS = {
    "f": FEMALE,
    "female": FEMALE,
    "w": FEMALE,
    "woman": FEMALE,
    "2": FEMALE,
    "m": MALE,
    "male": MALE,
    "man": MALE,
    "1": MALE,
}
_WRITTEN_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "ø": "oe", "æ": "ae"})
# RFC 2606: names that nobody can register
_MAIL_DOMAINS: dict[Space, tuple[str, ...]] = {
    "schema": ("example.com", "example.org", "example.net"),
    "fresh": ("mail.example.com", "mail.example.org", "mail.example.net"),
}


@cache
def _all_first_names() -> tuple[str, ...]:
    return (*lists.first_names("F"), *lists.first_names("M"))


def sex_codes(values: Values) -> Ints:
    """FEMALE, MALE or UNKNOWN for each row, from codes and words such as F, Male, 2; shape (n,)."""
    array = to_arrow(values)
    encoded = array.dictionary_encode() if not pa.types.is_dictionary(array.type) else array
    words = [str(v).strip().lower().removesuffix(".0") for v in encoded.dictionary.to_pylist()]
    table = np.array([*(_SEX_TEXTS.get(w, UNKNOWN) for w in words), UNKNOWN], dtype=np.int64)
    return np.asarray(table[encoded.indices.fill_null(len(words)).to_numpy(zero_copy_only=False)])


def draw_first_names(generator: np.random.Generator, n: int, sex: Ints | None = None) -> Coded:
    """Given names that fit the sex; half and half where it is not known."""
    female = weighted(generator, n, lists.weights("first_names_female"))
    male = weighted(generator, n, lists.weights("first_names_male")) + len(lists.first_names("F"))
    coin = generator.random(n) < 0.5
    is_male = coin if sex is None else np.where(sex == UNKNOWN, coin, sex == MALE)
    return Coded(np.where(is_male, male, female), _all_first_names())


def draw_last_names(generator: np.random.Generator, n: int) -> Coded:
    """Surnames by frequency."""
    return Coded(weighted(generator, n, lists.weights("last_names")), lists.last_names())


def full_names(first: Values, last: Values) -> pa.Array:
    """First and last name with a blank."""
    return joined([to_text(first), " ", to_text(last)])


def _plain(name: str) -> str:
    """A name without accents."""
    if name.isascii():
        return name
    folded = unicodedata.normalize("NFKD", name.lower().translate(_WRITTEN_OUT))
    return "".join(c for c in folded if not unicodedata.combining(c))


def _letters(values: Values) -> pa.Array:
    """Lower-case ASCII letters of names, ö as oe and é as e; a coded list is cleaned once, not per row."""
    if isinstance(values, Coded):
        return _letters(pa.array([_plain(v) for v in values.values], pa.string())).take(pa.array(values.codes))
    return pc.fill_null(pc.replace_substring_regex(pc.utf8_lower(to_text(values)), "[^a-z]", ""), "")


def handles(
    generator: np.random.Generator,
    first: Values,
    last: Values,
    *,
    row: int = 0,
    total: int | None = None,
    seed: int | None = None,
    space: Space = "schema",
    column: str = "",
) -> pa.Array:
    """User names such as mary.smith4711, msmith4711; all different where a `seed` is given.

    Args:
        generator: For what may repeat.
        first: Given names, n of them.
        last: Surnames.
        row: Number of the first row.
        total: Rows of the whole table, None where that is not known.
        seed: The permutation of row numbers; None where handles may repeat.
        space: Half of the numbers.
        column: For messages.
    """
    n = len(first)
    if seed is None:
        numbers: npt.NDArray[np.uint64] = generator.integers(1, 1000, n, dtype=np.uint64)
    else:
        size = 10**10 if total is None else max(1_000, 10 ** len(str(4 * total)))
        numbers = unique_codes(row, n, size, seed, space=space, column=column)
    given, family = _letters(first), _letters(last)
    initial = pc.utf8_slice_codeunits(given, 0, 1)
    style = generator.choice(3, n, p=[0.6, 0.25, 0.15])
    head = pc.choose(pa.array(style), given, initial, given)
    joint = to_text(Coded(np.where(style == 1, 1, np.where(style == 2, 2, 0)), (".", "", "_")))
    return joined([head, joint, family, to_text(numbers.astype(np.int64))])


def emails(generator: np.random.Generator, user_names: pa.Array, *, space: Space = "schema") -> pa.Array:
    """Addresses in domains that are reserved for examples."""
    domain = Coded(generator.integers(0, 3, len(user_names)), _MAIL_DOMAINS[space])
    return joined([user_names, "@", to_text(domain)])


def urls(user_names: pa.Array, *, space: Space = "schema") -> pa.Array:
    """Personal pages below a reserved domain."""
    return joined([f"https://{'www' if space == 'schema' else 'home'}.example.org/", user_names])


def initials(rank: Ints) -> pa.Array:
    """Middle initials for ranks 1, 2 ...: A. to Z., then two letters; different for different ranks up to 17,576."""
    letters = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    index = np.maximum(rank - 1, 0)
    one = letters[index % 26]
    two, three = letters[index // 26 % 26], letters[index // 676 % 26]
    text = np.where(
        index < 26, one, np.where(index < 702, np.char.add(two, one), np.char.add(np.char.add(three, two), one))
    )
    return joined([pa.array(text), "."])
