"""National numbers of people who do not exist, country by country: right in form, and never issued to anybody.

What belongs here: one number of one country for each row. What does not: names, places and dates (residents.py), US numbers
(codes.py). Where an authority keeps a range free, that range is used; where its rules leave numbers out, those are used; where
neither holds (BSN, TFN), the check digit is wrong on purpose, since a right one could be somebody's. docs/howto/generate.md lists it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import combinations, permutations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from synth_assets.errors import InputError
from synth_assets.generation.codes import LETTERS, luhn_digit
from synth_assets.generation.numbering import permute, ranks, row_numbers
from synth_assets.generation.values import Codes, Ints, fixed_width, from_matrix, to_matrix

_PRIME = 379  # shares no factor with the number of places below, so that its multiples visit all of them


class Residents(NamedTuple):
    """What national numbers are made of: one entry per person.

    Args:
        seed: Which numbers.
        male: Shape (n,), bool.
        born: Shape (n,), datetime64[D].
        first: Codes into `first_names`.
        last: Codes into `last_names`; shape (n,).
        first_names: The list.
        last_names: The list.
    """

    seed: int
    male: npt.NDArray[np.bool_]
    born: npt.NDArray[np.datetime64]
    first: Ints
    last: Ints
    first_names: tuple[str, ...]
    last_names: tuple[str, ...]

    @property
    def n(self) -> int:
        """How many people."""
        return len(self.male)

    @property
    def days(self) -> tuple[Ints, Ints, Ints]:
        """Years, months from 1, and days of the month of birth."""
        months = self.born.astype("datetime64[M]")
        since = months.astype(np.int64)
        days: Ints = (self.born - months).astype(np.int64) + 1
        return since // 12 + 1970, since % 12 + 1, days

    def different(self, capacity: int) -> Codes:
        """A different number below `capacity` for each person.

        Raises:
            InputError: there are more people than numbers.
        """
        if self.n > capacity:
            raise InputError(
                f"there are {capacity:,} national numbers of this kind that nobody has, and more people.",
                key="n",
                remedy="Make fewer people at once.",
            )
        return permute(row_numbers(0, self.n), capacity, self.seed)


def _digits(texts: pa.Array, width: int) -> Ints:
    return to_matrix(texts, width).astype(np.int64) - ord("0")


def _british(people: Residents) -> pa.Array:
    """National Insurance numbers with the first letter Q.

    Source:
        HMRC, National Insurance Manual NIM39110: D, F, I, Q, U and V are not used in a prefix; "QQ 12 34 56 A" is its example.
    """
    number, rest = np.divmod(people.different(4 * 20 * 10**6), np.uint64(80))
    second, last = np.divmod(rest, np.uint64(4))
    parts = [number // np.uint64(10**4), number // np.uint64(100) % np.uint64(100), number % np.uint64(100)]
    pairs = [p for part in parts for p in (" ", (part, 2))]
    return fixed_width(people.n, ["Q", (second, 1, "ABCEGHJKLMNPQRSTWXYZ"), *pairs, " ", (last, 1, "ABCD")])


def _irish(people: Residents) -> pa.Array:
    """Personal Public Service numbers whose check letter is X, Y or Z.

    Source:
        Department of Social Protection: the check letter is the remainder of a division by 23, W for 0 and else A to V.
    """
    number, letter = np.divmod(people.different(3 * 10**7), np.uint64(3))
    return fixed_width(people.n, [(number, 7), (letter, 1, "XYZ"), "A"])


def _canadian(people: Residents) -> pa.Array:
    """Social Insurance Numbers that begin with 8, with a right check digit.

    Source:
        Service Canada's first digits 1 to 7 (provinces), 9 (temporary residents); 0 and 8 are given to no person.
    """
    number = people.different(10**7)
    check = luhn_digit(_digits(fixed_width(people.n, ["8", (number, 7)]), 8))
    return fixed_width(people.n, ["8", (number // np.uint64(10**5), 2), " ", (number // np.uint64(100) % np.uint64(1000), 3),
                                  " ", (number % np.uint64(100), 2), (check, 1)])  # fmt: skip


def _wrongly_checked(people: Residents, leading: tuple[int, ...]) -> pa.Array:
    """Nine digits that fail a test modulo 11 in which the last digit counts -1: the digit after the right one."""
    number = people.different(9 * 10**7) + np.uint64(10**7)
    right = _digits(fixed_width(people.n, [(number, 8)]), 8) @ np.array(leading) % 11
    return fixed_width(people.n, [(number, 8), ((right + 1) % 10, 1)])


def _australian(people: Residents) -> pa.Array:
    """Tax file numbers with a wrong check digit: no range is reserved, so a right one could be somebody's.

    Source:
        The weights 1, 4, 3, 7, 5, 8, 6, 9, 10 and the divisor 11, as in python-stdnum's `au.tfn`; 10 is -1 modulo 11.
    """
    return _wrongly_checked(people, (1, 4, 3, 7, 5, 8, 6, 9))


def _dutch(people: Residents) -> pa.Array:
    """Citizen service numbers (BSN) that fail the eleven test: RvIG publishes no range that is never issued.

    Source:
        Rijksdienst voor Identiteitsgegevens, Logisch ontwerp BSN: weights 9 to 2, and -1 for the last digit; divisible by 11.
    """
    return _wrongly_checked(people, (9, 8, 7, 6, 5, 4, 3, 2))


@cache
def _german_tables() -> tuple[Ints, Ints, Ints]:
    """Places of a pair among nine, with the seven others; pair and seven other digits; orders of seven."""
    pairs = [(*p, *(i for i in range(9) if i not in p)) for p in combinations(range(9), 2)]
    digits = [(d, *(i for i in range(1, 10) if i not in (d, e))) for d, e in permutations(range(1, 10), 2)]
    return np.array(pairs), np.array(digits), np.array(list(permutations(range(7))))


def _german(people: Residents) -> pa.Array:
    """Tax identification numbers that begin with 0, with a right check digit.

    Source:
        Bayerisches Landesamt für Steuern (ELSTER), Prüfung der Steuer- und Steueridentifikationsnummer, 2.2: the first digit is
        not 0; of the first ten one digit stands twice or thrice, the others once or not at all; check digit by ISO 7064 mod 11, 10.
    """
    pairs, digits, orders = _german_tables()
    rest, pair = np.divmod(people.different(len(pairs) * len(digits) * len(orders)), np.uint64(len(pairs)))
    order, chosen = np.divmod(rest, np.uint64(len(digits)))
    places, values, order = (
        pairs[pair.astype(np.int64)],
        digits[chosen.astype(np.int64)],
        orders[order.astype(np.int64)],
    )
    body = np.zeros((people.n, 10), np.int64)
    row = np.arange(people.n)[:, None]
    body[row, places[:, :2] + 1] = values[:, :1]
    body[row, places[:, 2:] + 1] = np.take_along_axis(values[:, 1:], order, axis=1)
    product = np.full(people.n, 10)
    for digit in body.T:
        total = (digit + product) % 10
        product = np.where(total == 0, 10, total) * 2 % 11
    check = (11 - product) % 10
    return from_matrix((np.column_stack([body, check]) + ord("0")).astype(np.uint8))


def _french(people: Residents) -> pa.Array:
    """Numbers of the national register (NIR) of the right sex, year and month, with order number 000 and a right key.

    Source:
        INSEE, Répertoire national d'identification des personnes physiques: order numbers run from 001 to 999.
    """
    years, months, _ = people.days
    departments = np.array([d for d in range(1, 96) if d != 20])
    department = departments[np.random.default_rng(people.seed).integers(0, len(departments), people.n)]
    head = (np.where(people.male, 1, 2) * 100 + years % 100) * 100 + months
    commune = 1 + _apart(head * 100 + department, 990, people.seed)
    body = (head * 100 + department) * 1000 + commune
    key = 97 - body * 1000 % 97
    return fixed_width(people.n, [(body, 10), "000", (key, 2)])


def _spanish(people: Residents) -> pa.Array:
    """Identity numbers (DNI) whose letter is I, O or U.

    Source:
        Ministerio del Interior, Cálculo del dígito de control del NIF/NIE: the letters TRWAGMYFPDXBNJZSQVHLCKE, so never I, O or U.
    """
    number, letter = np.divmod(people.different(3 * 10**8), np.uint64(3))
    return fixed_width(people.n, [(number, 8), (letter, 1, "IOU")])


def _portuguese(people: Residents) -> pa.Array:
    """Tax numbers (NIF) that begin with 0, with a right check digit.

    Source:
        Autoridade Tributária: the first digits of persons are 1, 2, 3 and 45; weights 9 to 2 modulo 11.
    """
    number = people.different(10**7)
    body = fixed_width(people.n, ["0", (number, 7)])
    left = 11 - _digits(body, 8) @ np.arange(9, 1, -1) % 11
    return fixed_width(people.n, ["0", (number, 7), (np.where(left > 9, 0, left), 1)])


_MONTHS = "ABCDEHLMPRST"
_BELFIORE = "NOPQRSTUVWXY"  # first letters of place codes that no municipality and no country has
_ODD = dict(zip("0123456789" + LETTERS, (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3,
            6, 8, 12, 14, 16, 10, 22, 25, 24, 23), strict=True))  # fmt: skip
_EVEN = {c: i if i < 10 else i - 10 for i, c in enumerate("0123456789" + LETTERS)}


def name_code(name: str, *, first: bool = False) -> str:
    """Three letters of a name in a codice fiscale: consonants, then vowels, then X; of four consonants in a first name 1, 3, 4."""
    letters = [c for c in name.upper().translate(str.maketrans("ÀÁÈÉÌÍÒÓÙÚ", "AAEEIIOOUU")) if c in LETTERS]
    vowels, consonants = [c for c in letters if c in "AEIOU"], [c for c in letters if c not in "AEIOU"]
    if first and len(consonants) > 3:
        consonants = [consonants[0], *consonants[2:]]
    return "".join([*consonants, *vowels, *"XXX"])[:3]


def _italian(people: Residents) -> pa.Array:
    """Tax codes of the right name, sex and date, with a place of birth that does not exist and a right check letter.

    Source:
        D.M. 12 marzo 1974, n. 2227; Agenzia delle Entrate, Archivio comuni e stati esteri: place codes begin with A to M, or Z abroad.
    """
    years, months, days = people.days
    days = np.where(people.male, days, days + 40)
    lasts, firsts = [name_code(n) for n in people.last_names], [name_code(n, first=True) for n in people.first_names]
    known = {code: i for i, code in enumerate(sorted({*lasts, *firsts}))}
    last = np.array([known[c] for c in lasts])[people.last]
    first = np.array([known[c] for c in firsts])[people.first]
    day = (years % 100 * 12 + months - 1) * 100 + days
    place = _apart((last * len(known) + first) * 120_000 + day, 999 * len(_BELFIORE), people.seed)
    spelled = np.frombuffer("".join(sorted(known)).encode(), np.uint8).reshape(-1, 3)
    dates = fixed_width(
        people.n,
        [(years % 100, 2), (months - 1, 1, _MONTHS), (days, 2), (place // 999, 1, _BELFIORE), (place % 999 + 1, 3)],
    )
    body = np.hstack([spelled[last], spelled[first], to_matrix(dates, 9)])
    tables = [np.zeros(128, np.int64) for _ in range(2)]
    for table, values in zip(tables, (_ODD, _EVEN), strict=True):
        table[[ord(c) for c in values]] = list(values.values())
    total = tables[0][body[:, ::2]].sum(axis=1) + tables[1][body[:, 1::2]].sum(axis=1)
    return from_matrix(np.column_stack([body, (total % 26 + ord("A")).astype(np.uint8)]))


def _apart(groups: Ints, size: int, seed: int) -> Ints:
    """A number below `size` for each row, different for rows of one group.

    Raises:
        InputError: a group has more rows than numbers.
    """
    _, group = np.unique(groups, return_inverse=True)
    rank = ranks(group)
    if len(rank) and rank.max() >= size:
        raise InputError(
            f"more than {size:,} people share what their national number is made of.",
            key="n",
            remedy="Make fewer people.",
        )
    starts = np.random.default_rng(seed).integers(0, size, int(group.max(initial=0)) + 1)
    made: Ints = (starts[group] + rank * _PRIME) % size
    return made


def _nhs(people: Residents) -> pa.Array:
    """NHS numbers that begin with 999, with a right check digit; 909,091 of them, so further people have none.

    Source:
        NHS England, NHS number: 999 000 0000 to 999 999 9999 are for tests and never issued; weights 10 to 2 modulo 11.
    """
    serial = np.arange(10**6)
    left = 11 - (9 * (10 + 9 + 8) + _spread(serial, 6) @ np.arange(7, 1, -1)) % 11
    usable = serial[left != 10]
    order = permute(row_numbers(0, min(people.n, len(usable))), len(usable), people.seed).astype(np.int64)
    chosen = usable[order]
    check = np.where(left[chosen] == 11, 0, left[chosen])
    made = fixed_width(len(chosen), ["999 ", (chosen // 1000, 3), " ", (chosen % 1000, 3), (check, 1)])
    return pa.concat_arrays([made, pa.nulls(people.n - len(made), pa.string())])


def _spread(numbers: Ints, width: int) -> Ints:
    """Decimal digits, shape (n, width)."""
    return np.stack([numbers // 10**p % 10 for p in range(width - 1, -1, -1)], axis=1)


def _medicare(people: Residents) -> pa.Array:
    """Medicare card numbers that begin with 8, with a right check digit.

    Source:
        Services Australia: first digits are 2 to 6; weights 1, 3, 7, 9, 1, 3, 7, 9 modulo 10, then the issue of the card.
    """
    number = people.different(10**7)
    check = (8 + _spread(number.astype(np.int64), 7) @ np.array([3, 7, 9, 1, 3, 7, 9])) % 10
    return fixed_width(
        people.n, ["8", (number // np.uint64(10**4), 3), " ", (number % np.uint64(10**4), 4), (check, 1), " 1"]
    )


Maker = Callable[[Residents], pa.Array]
NATIONAL: dict[str, Maker] = {
    "en_GB": _british, "en_IE": _irish, "en_CA": _canadian, "en_AU": _australian, "de_DE": _german, "fr_FR": _french,
    "es_ES": _spanish, "it_IT": _italian, "nl_NL": _dutch, "pt_PT": _portuguese,
}  # fmt: skip
HEALTH: dict[str, Maker] = {"en_GB": _nhs, "en_AU": _medicare}
