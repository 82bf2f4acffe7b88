"""Codes by their shape: digits stay digits, capitals capitals and small letters small letters, by a permutation of all of one shape.

What belongs here: alphabets, permuting marked characters, check digits. What does not: what a form keeps besides (forms.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synth_assets.masking.codes import number
from synth_assets.masking.ff1 import FF1, Integers, longest
from synth_assets.masking.texts import Bytes, Flags, Places, Texts

_GROUP = 4
_FOUR_DIGITS = np.array([f"{i:04}" for i in range(10**_GROUP)], "S4").view("<u4")
_STEP = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Alphabet:
    """Kinds of characters that are permuted, each among itself.

    Args:
        of: Shape (256,): kind of each byte, 0 for those that stay.
        value: Shape (256,): which one of its kind it is.
        sizes: Shape (kinds,): how many there are of each kind.
        symbols: Shape (kinds, 26): the bytes of each kind.
    """

    of: Bytes
    value: Bytes
    sizes: Bytes
    symbols: Bytes

    @staticmethod
    def made(kinds: Sequence[str]) -> Alphabet:
        """From the characters of each kind; digits come first."""
        of, value = np.zeros(256, np.uint8), np.zeros(256, np.uint8)
        sizes, symbols = np.ones(len(kinds) + 1, np.uint8), np.zeros((len(kinds) + 1, 26), np.uint8)
        for i, kind in enumerate(kinds, 1):
            characters = np.frombuffer(kind.encode(), np.uint8)
            of[characters], value[characters] = i, np.arange(len(kind))
            sizes[i], symbols[i, : len(kind)] = len(kind), characters
        return Alphabet(of, value, sizes, symbols)


_DIGITS, _CAPITALS = "0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
PLAIN = Alphabet.made([_DIGITS, _CAPITALS, _CAPITALS.lower()])
_VIN = "ABCDEFGHJKLMNPRSTUVWXYZ"
VEHICLE = Alphabet.made([_DIGITS, _VIN, "IOQ", _VIN.lower(), "ioq"])  # I, O and Q stand in no vehicle number


def shaped(texts: Texts, cipher: FF1, alphabet: Alphabet = PLAIN) -> Texts:
    """Every character of the alphabet becomes another one of its kind, the rest stays; other letter case, same characters."""
    made = texts.data.copy()
    for _, places in texts.by_count(alphabet.of[texts.data] > 0):
        made[places] = permuted(texts.data[places], cipher, alphabet)
    return texts.replaced(made)


def permuted(characters: Bytes, cipher: FF1, alphabet: Alphabet = PLAIN, tweak: Integers | None = None) -> Bytes:
    """Permute rows of characters.

    Args:
        characters: ASCII, shape (n, length), all in the alphabet.
        cipher: The permutation.
        alphabet: Kinds of characters.
        tweak: One number per row, shape (n,).

    Returns:
        Shape (n, length), each character of the kind of the one before.
    """
    kinds, made = alphabet.of[characters], np.empty_like(characters)
    plain = (kinds == 1).all(axis=1)
    tweak = np.zeros(len(characters), np.uint64) if tweak is None else tweak
    for rows, radix in ((np.flatnonzero(plain), 10), (np.flatnonzero(~plain), None)):
        if len(rows):
            radices = alphabet.sizes[kinds[rows]]
            numerals = _long(alphabet.value[characters[rows]], radices, cipher, tweak[rows], radix)
            made[rows] = alphabet.symbols[kinds[rows], numerals]
    return made


def permuted_digits(digits: Bytes, cipher: FF1, tweak: Integers) -> Bytes:
    """Permute rows of ASCII digits, shape (n, length)."""
    length = digits.shape[1]
    if 1 < length <= longest(mixed=False):
        cut = length // 2
        first, second = number(digits[:, :cut]), number(digits[:, cut:])
        left, right = cipher.halves(first, second, 10**cut, 10 ** (length - cut), radix=10, length=length, tweak=tweak)
        return np.concatenate([digits_of(left, cut), digits_of(right, length - cut)], axis=1)
    return _long(digits - np.uint8(48), np.full(digits.shape, 10, np.uint8), cipher, tweak, 10) + np.uint8(48)


def _long(values: Bytes, radices: Bytes, cipher: FF1, tweak: Integers, radix: int | None) -> Bytes:
    """As FF1, for any length: the end is a tweak of the beginning, and moves by a keystream of what the beginning became."""
    if values.size == 0:
        return values
    cut = longest(mixed=radix is None)
    head, tail = values[:, :cut], values[:, cut:]
    made = cipher.numerals(head, radices[:, :cut] if radix is None else radix, tweak ^ _folded(tail))
    if not tail.shape[1]:
        return made
    seed, moved = _folded(made) ^ tweak, np.empty_like(tail)
    for i in range(tail.shape[1]):
        size = radices[:, cut + i].astype(np.uint64)
        moved[:, i] = (tail[:, i] + cipher.drawn(seed, i) % size) % size
    return np.concatenate([made, moved], axis=1)


def _folded(values: Bytes) -> Integers:
    """A number per row of numerals, shape (n,); 0 for no numerals."""
    made = np.zeros(len(values), np.uint64)
    for i in range(values.shape[1]):
        made = (made ^ (values[:, i] + np.uint64(1))) * _STEP
        made ^= made >> np.uint64(29)
    return made


def luhn_digit(digits: Bytes, *, add: int = 0) -> npt.NDArray[np.int64]:
    """The check digit (0 to 9) that makes digits + digit pass the Luhn test.

    Args:
        digits: ASCII, shape (n, length).
        add: What a constant prefix adds to the sum.
    """
    length = digits.shape[1]
    doubled = np.arange(length) % 2 == (length - 1) % 2
    values = (digits - np.uint8(48)).astype(np.float64)
    carried = (digits[:, doubled] > ord("4")).astype(np.float64)  # twice 5 to 9 has two digits, whose sum is 9 less
    total = values @ np.where(doubled, 2.0, 1.0) - carried @ np.full(carried.shape[1], 9.0)
    check: npt.NDArray[np.int64] = -(total.astype(np.int64) + add) % 10
    return check


def mod_97(characters: Bytes) -> npt.NDArray[np.int64]:
    """Remainder of rows of digits and capital letters (A is 10 ... Z is 35), shape (n,).

    Source:
        ISO 7064, mod 97-10.
    """
    rest = np.zeros(len(characters), np.int64)
    for i in range(characters.shape[1]):
        column = characters[:, i].astype(np.int64)
        letter = column > ord("9")
        rest = np.where(letter, rest * 100 + column - 55, rest * 10 + column - 48) % 97
    return rest


def digits_of(numbers: Integers, width: int) -> Bytes:
    """Whole numbers as rows of ASCII digits with leading zeros, shape (n, width)."""
    groups = -(-width // _GROUP)
    made = np.empty((len(numbers), groups), "<u4")
    for i in range(groups - 1, -1, -1):
        rest = numbers // np.uint64(10**_GROUP)
        made[:, i] = _FOUR_DIGITS[numbers - rest * np.uint64(10**_GROUP)]
        numbers = rest
    return made.view(np.uint8)[:, groups * _GROUP - width :]


def hex_of(numbers: Integers) -> Bytes:
    """Numbers of 64 bits as rows of 16 ASCII hex digits, shape (n, 16)."""
    nibbles = numbers.astype(">u8").view(np.uint8).reshape(-1, 8)
    both = np.stack([nibbles >> 4, nibbles & 15], axis=2).reshape(-1, 16)
    return np.frombuffer(b"0123456789abcdef", np.uint8)[both]


def places_of(texts: Texts, marked: Flags, count: int) -> tuple[Places, Places]:
    """Rows with exactly `count` marked bytes, shape (m,), and the places of these, shape (m, count)."""
    for rows, places in texts.by_count(marked):
        if places.shape[1] == count:
            return rows, places
    return np.zeros(0, np.int64), np.zeros((0, count), np.int64)
