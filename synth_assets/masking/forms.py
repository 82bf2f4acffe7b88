"""Format-preserving pseudonyms of numbers and codes: the form, separators and check digits of the original, nothing of its value.

What belongs here: phone, SSN, card, IBAN, NPI, IP, MAC and the shape of any other code, each from a batch of texts to a batch. What
does not: names and places (people.py), e-mail and URL (formats.py), drawing again where two values or a real one meet (unique.py).
A value has one pseudonym however it is spelled. Where all values of a form fit, they are permuted and never meet; forms that nobody
has (SSN from 900, private IP) have less room, so there they are drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_assets.generation import lists
from synth_assets.masking.codes import codes_of, exact_codes_of, number, of_plain
from synth_assets.masking.ff1 import FF1, Integers
from synth_assets.masking.shapes import (
    VEHICLE,
    digits_of,
    hex_of,
    luhn_digit,
    mod_97,
    permuted,
    permuted_digits,
    places_of,
    shaped,
)
from synth_assets.masking.texts import DIGIT, KIND, Bytes, Places, Texts, with_rows
from synth_assets.pii.patterns import CELL

_EXTENSION = r"(?i)\s*(?:x|ext\.?|#)\s*:?\s*[0-9]+\s*$"
_HEX = np.isin(np.arange(256), np.frombuffer(b"0123456789abcdefABCDEF", np.uint8))


@dataclass(frozen=True)
class Form:
    """One form.

    Args:
        name: Its name; columns of one domain and form share their pseudonyms.
        draw: Pseudonyms of a batch.
        codes: A number for each text; equal ones are the same value, and have the same characters in their pseudonym.
        comparable: Whether these are the numbers of `codes.codes`, by which values of all forms are compared.
        by_digits: Whether a text of digits alone, with any separators, has the pseudonym of these digits; its number is `codes.codes`.
    """

    name: str
    draw: Callable[[Texts, FF1], Texts] = field(repr=False)
    codes: Callable[[Texts], pa.Array] = field(default=codes_of, repr=False)
    comparable: bool = True
    by_digits: bool = False


def _digit_rows(texts: Texts, low: int, high: int) -> Iterator[tuple[Places, Places]]:
    """Rows without letters and with `low` to `high` digits, in groups: rows, and the places of their digits."""
    lettered = texts.counts(texts.kinds > DIGIT) > 0
    for rows, places in texts.by_count(texts.kinds == DIGIT):
        if low <= places.shape[1] <= high:
            plain = ~lettered[rows]
            yield rows[plain], places[plain]


def _with_digits(texts: Texts, cipher: FF1, low: int, high: int, make: Callable[[Bytes, Places], Bytes]) -> Texts:
    """Numbers of `low` to `high` digits get new digits, others keep their shape.

    Args:
        texts: The originals.
        cipher: For those of another form.
        low: Fewest digits.
        high: Most digits.
        make: ASCII digits, shape (m, count), and the rows they stand in -> as many new ones.
    """
    columns = texts.digit_columns
    if columns is not None and low <= len(columns) <= high:  # all of one form
        table = texts.data.reshape(len(texts), texts.width).copy()
        table[:, columns] = make(np.take(table, columns, axis=1), np.arange(len(texts)))
        return texts.with_digits(table.reshape(-1))
    made, other = texts.data.copy(), np.ones(len(texts), bool)
    for rows, places in _digit_rows(texts, low, high):
        made[places] = make(texts.data[places], rows)
        other[rows] = False
    changed = texts.replaced(made)
    rest = np.flatnonzero(other & (texts.lengths > 0))
    return with_rows(changed, rest, shaped(texts.take(rest), cipher)) if len(rest) else changed


def _ssn(texts: Texts, cipher: FF1) -> Texts:
    def make(digits: Bytes, _: Places) -> Bytes:
        drawn = cipher.drawn(number(digits))
        area, group, serial = 900 + drawn % 100, drawn // 100 % 49 + 1, drawn // 4900 % 9999 + 1
        return digits_of((area * 100 + group) * 10_000 + serial, 9)

    return _with_digits(texts, cipher, 9, 9, make)


def _itin(texts: Texts, cipher: FF1) -> Texts:
    def make(digits: Bytes, _: Places) -> Bytes:
        drawn = cipher.drawn(number(digits))
        area, group, serial = 900 + drawn % 100, drawn // 100 % 19 + 70, drawn // 1900 % 10_000
        return digits_of((area * 100 + group) * 10_000 + serial, 9)

    return _with_digits(texts, cipher, 9, 9, make)


@cache
def _prefixes() -> tuple[Integers, Integers, int]:
    """The first six digits of American numbers: those that can exist, then all others; the place of each; how many can exist."""
    areas = sorted({int(code) for state in lists.states() for code in state.area_codes})
    every = np.arange(10**6, dtype=np.uint64)
    exchange = every % 1000
    real = np.isin(every // 1000, areas) & (exchange >= 200) & (exchange % 100 != 11)
    ordered = np.concatenate([every[real], every[~real]])
    place = np.empty(10**6, np.uint64)
    place[ordered] = every
    return ordered, place, int(real.sum())


def american(numbers: Integers, cipher: FF1) -> Integers:
    """Ten digits as ten others: an area code that exists and an exchange of 200 to 999 (no N11) stay such, other numbers other ones.

    Args:
        numbers: Shape (n,), below 10**10.
        cipher: The permutation.
    """
    ordered, place, existing = _prefixes()
    prefix = numbers // np.uint64(10_000)
    left, line = place[prefix], numbers - prefix * np.uint64(10_000)
    usual = left < existing
    if usual.all():
        high, low = cipher.halves(left, line, existing, 10_000, radix=10, length=12)
        return ordered[high] * np.uint64(10_000) + low
    first = np.where(usual, np.uint64(0), np.uint64(existing))
    size = np.where(usual, np.uint64(existing), np.uint64(10**6 - existing))
    high, low = cipher.halves(left - first, line, size, 10_000, radix=10, length=12)
    return ordered[high + first] * np.uint64(10_000) + low


def _phone(texts: Texts, cipher: FF1) -> Texts:
    texts = _without_extension(texts)
    first = np.zeros(len(texts), np.uint8)
    filled = texts.lengths > 0
    first[filled] = texts.data[texts.offsets[:-1][filled]]

    def make(digits: Bytes, rows: Places) -> Bytes:
        count, made = digits.shape[1], digits.copy()
        here = (
            (first[rows] != ord("+")) & (first[rows] != ord("0"))
            if count == 10
            else (digits[:, 0] == ord("1")) & (count == 11)
        )
        if count >= 10 and here.all():
            made[:, count - 10 :] = digits_of(american(number(digits[:, count - 10 :]), cipher), 10)
            return made
        made[here, count - 10 :] = (
            digits_of(american(number(digits[here, count - 10 :]), cipher), 10) if here.any() else 0
        )
        for kept, abroad in ((1, ~here & (first[rows] != ord("+"))), (2, ~here & (first[rows] == ord("+")))):
            tweak = number(digits[abroad, :kept]) + np.uint64(1)
            made[abroad, kept:] = permuted_digits(digits[abroad, kept:], cipher, tweak)
        return made

    return _with_digits(texts, cipher, 7, 20, make)


def _phone_codes(texts: Texts) -> pa.Array:
    return codes_of(_without_extension(texts))


def _without_extension(texts: Texts) -> Texts:
    if not texts.lettered and not (texts.data == ord("#")).any():
        return texts
    return Texts.of(pc.replace_substring_regex(texts.to_arrow(), _EXTENSION, ""))


def _checked(low: int, high: int, kept: int, add: int) -> Callable[[Texts, FF1], Texts]:
    """Numbers that end in a Luhn digit: the first `kept` digits stay, the check digit is valid.

    How far the original's own check digit is off is a tweak, so that valid numbers are permuted among valid ones.
    """

    def draw(texts: Texts, cipher: FF1) -> Texts:
        def make(digits: Bytes, _: Places) -> Bytes:
            made = digits.copy()
            off = (digits[:, -1] - 48 - luhn_digit(digits[:, :-1], add=add)) % 10
            tweak = number(digits[:, :kept]) * np.uint64(10) + off.astype(np.uint64)
            made[:, kept:-1] = permuted_digits(digits[:, kept:-1], cipher, tweak)
            made[:, -1] = luhn_digit(made[:, :-1], add=add) + 48
            return made

        return _with_digits(texts, cipher, low, high, make)

    return draw


def _iban(texts: Texts, cipher: FF1) -> Texts:
    upper = pc.utf8_upper(texts.to_arrow())
    valid = pc.match_substring_regex(upper, rf"^{CELL['iban']}$").fill_null(False).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(valid)
    made = shaped(texts, cipher)
    if not len(rows):
        return made
    some = texts.take(rows)
    data, capital = some.data.copy(), Texts.of(upper).take(rows).data
    for _, places in some.by_count(KIND[some.data] > 0):
        country, account = capital[places[:, :2]], places[:, 4:]
        off = (number(capital[places[:, 2:4]]).astype(np.int64) - _iban_digits(country, capital[account])) % 97
        tweak = country[:, 0].astype(np.uint64) * 2**16 + country[:, 1].astype(np.uint64) * 2**8
        data[account] = permuted(some.data[account], cipher, tweak=tweak + off.astype(np.uint64))
        new = pc.utf8_upper(some.replaced(data).to_arrow())
        check = _iban_digits(country, Texts.of(new).data[account])
        data[places[:, 2:4]] = digits_of(check.astype(np.uint64), 2)
    return with_rows(made, rows, some.replaced(data))


def _iban_digits(country: Bytes, account: Bytes) -> Places:
    """The two check digits of IBANs, as numbers of 2 to 98."""
    zeros = np.full((len(account), 2), ord("0"), np.uint8)
    return 98 - mod_97(np.concatenate([account, country, zeros], axis=1))


def _ip_address(texts: Texts, cipher: FF1) -> Texts:
    drawn = cipher.drawn(exact_codes_of(texts).fill_null(0).to_numpy().view(np.uint64))
    more = cipher.drawn(drawn, 1)
    octets = [pa.array(drawn >> np.uint64(8 * i) & np.uint64(255)).cast(pa.string()) for i in range(3)]
    four = pc.binary_join_element_wise("10", *octets, ".")
    digits = np.concatenate([hex_of(drawn), hex_of(more)], axis=1)
    groups = [_fixed(digits[:, 4 * i : 4 * i + 4]) for i in range(6)]
    six = pc.binary_join_element_wise("2001:db8", *groups, ":")
    raw = texts.to_arrow()
    made = pc.if_else(pc.match_substring(raw, ":"), six, four)
    return Texts.of(pc.if_else(raw.is_valid(), made, None))


def _fixed(characters: Bytes) -> pa.Array:
    """Rows of ASCII characters as texts."""
    count, width = characters.shape
    return Texts(characters.reshape(-1), np.arange(count + 1) * width, np.ones(count, bool)).to_arrow()


def _mac_address(texts: Texts, cipher: FF1) -> Texts:
    return _with_hex(texts, cipher, 12, "02")


def _with_hex(texts: Texts, cipher: FF1, count: int, fixed: str) -> Texts:
    """Rows with `count` hex digits and no other letters get drawn ones; `fixed` says which stay as they are (blank: drawn)."""
    made = shaped(texts, cipher)
    rows, places = places_of(texts, KIND[texts.data] > 0, count)
    hexadecimal = _HEX[texts.data[places]].all(axis=1)
    rows, places = rows[hexadecimal], places[hexadecimal]
    if not len(rows):
        return made
    drawn = cipher.drawn(of_plain(_lower_rows(texts.data[places])))
    digits = np.concatenate([hex_of(drawn), hex_of(cipher.drawn(drawn, 1))], axis=1)[:, :count]
    for i, character in enumerate(fixed):
        if character != " ":
            digits[:, i] = ord(character)
    capital = (KIND[texts.data[places]] == KIND[ord("A")]).any(axis=1)
    digits[capital] = np.where(digits[capital] > ord("9"), digits[capital] - 32, digits[capital])
    data = made.data.copy()
    data[places] = digits
    return made.replaced(data)


def _lower_rows(characters: Bytes) -> Texts:
    lower = np.where(KIND[characters] == KIND[ord("A")], characters + 32, characters).astype(np.uint8)
    count, width = lower.shape
    return Texts(lower.reshape(-1), np.arange(count + 1) * width, np.ones(count, bool))


def _code(texts: Texts, cipher: FF1) -> Texts:
    """Any other code; a UUID stays a UUID of version 4."""
    made = shaped(texts, cipher)
    rows = np.flatnonzero((texts.lengths >= 36) & (texts.lengths <= 38))
    if not len(rows):
        return made
    some = texts.take(rows)
    uuid = (
        pc.match_substring_regex(some.to_arrow(), rf"^{CELL['uuid']}$").fill_null(False).to_numpy(zero_copy_only=False)
    )
    rows = rows[uuid]
    return (
        with_rows(made, rows, _with_hex(texts.take(rows), cipher, 32, " " * 12 + "4" + " " * 3 + "a"))
        if len(rows)
        else made
    )


PHONE = Form("phone", _phone, _phone_codes)
SSN = Form("ssn", _ssn, by_digits=True)
ITIN = Form("itin", _itin, by_digits=True)
CARD = Form("card", _checked(12, 19, 6, 0), by_digits=True)
NPI = Form("npi", _checked(10, 10, 1, 24), by_digits=True)  # Luhn over 80840 + number, which adds 24
IBAN = Form("iban", _iban)
IP_ADDRESS = Form("ip_address", _ip_address, exact_codes_of, comparable=False)
MAC_ADDRESS = Form("mac_address", _mac_address)
VIN = Form("vin", lambda texts, cipher: shaped(texts, cipher, VEHICLE))
CODE = Form("code", _code)
