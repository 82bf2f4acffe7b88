"""Identifiers by kind: form, check digits and number space. A number in, a text out; different numbers give different texts.

What belongs here: the form of one kind of identifier. What does not: which row gets which number (numbering.py). Ranges that were
never issued are used where a numbering plan has such: SSN and ITIN groups, EIN prefixes, NPIs that start with 2, test BICs and
card prefixes, documentation addresses. Where there are none (passports, plates, VINs) a made-up number may exist somewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from synth_assets.generation.values import Codes, Part, fixed_width, from_matrix, to_matrix

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
PLATE_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
VIN_ALPHABET = "ABCDEFGHJKLMNPRSTUVWXYZ0123456789"
_HEX = "0123456789abcdef"
_BASE32 = "abcdefghijkmnpqrstuvwxyz23456789"
_ITIN_GROUPS = (66, 67, 68, 69, 89, 93)  # groups that the IRS does not use
_EIN_PREFIXES = (7, 8, 9, 17, 18, 19, 28, 29, 49, 69, 70, 78, 79, 89, 96, 97)  # no campus has these
_ABA_PREFIXES = (*range(1, 13), *range(21, 33))
_DOC_NETWORKS = ("192.0.2.", "198.51.100.", "203.0.113.")  # RFC 5737


class CodeForm(NamedTuple):
    """How many different codes there are, and how a code's number becomes its text."""

    capacity: int
    build: Callable[[Codes], pa.Array]


def _split(codes: Codes, *sizes: int) -> list[Codes]:
    """Mixed-radix digits, the fastest one first."""
    digits = []
    for size in sizes:
        codes, digit = np.divmod(codes, np.uint64(size))
        digits.append(digit)
    return digits


def _pick(table: tuple[int, ...], index: Codes) -> Codes:
    return np.asarray(table, dtype=np.uint64)[index.astype(np.int64)]


def _digits(texts: pa.Array, width: int) -> npt.NDArray[np.int64]:
    return to_matrix(texts, width).astype(np.int64) - ord("0")


def luhn_digit(digits: npt.NDArray[np.int64], start: int = 0) -> npt.NDArray[np.int64]:
    """The Luhn check digit of each row.

    Args:
        digits: Shape (n, k), the payload without its check digit.
        start: A constant added to the sum, for prefixes that are not written (24 for the 80840 of an NPI).

    Source:
        ISO/IEC 7812-1, annex B.
    """
    doubled = digits[:, ::-1].copy()
    doubled[:, ::2] *= 2
    doubled[doubled > 9] -= 9
    return np.asarray(-(doubled.sum(axis=1) + start) % 10)


def _ssn(codes: Codes) -> pa.Array:
    serial, group, area = _split(codes, 9999, 49, 100)
    return fixed_width(len(codes), [(area + 900, 3), "-", (group + 1, 2), "-", (serial + 1, 4)])


def _itin(codes: Codes) -> pa.Array:
    serial, group, area = _split(codes, 10_000, len(_ITIN_GROUPS), 100)
    return fixed_width(len(codes), [(area + 900, 3), "-", (_pick(_ITIN_GROUPS, group), 2), "-", (serial, 4)])


def _tax_id(codes: Codes) -> pa.Array:
    serial, prefix = _split(codes, 10_000_000, len(_EIN_PREFIXES))
    return fixed_width(len(codes), [(_pick(_EIN_PREFIXES, prefix), 2), "-", (serial, 7)])


def _card(codes: Codes) -> pa.Array:
    body = fixed_width(len(codes), ["400000", (codes, 9)])
    return fixed_width(len(codes), ["400000", (codes, 9), (luhn_digit(_digits(body, 15)), 1)])


def _npi(codes: Codes) -> pa.Array:
    body = fixed_width(len(codes), ["2", (codes, 8)])
    return fixed_width(len(codes), ["2", (codes, 8), (luhn_digit(_digits(body, 9), start=24), 1)])


def _dea(codes: Codes) -> pa.Array:
    number, kind, initial = _split(codes, 1_000_000, 5, 26)
    d = _digits(fixed_width(len(codes), [(number, 6)]), 6)
    check = (d[:, 0] + d[:, 2] + d[:, 4] + 2 * (d[:, 1] + d[:, 3] + d[:, 5])) % 10
    return fixed_width(len(codes), [(kind, 1, "ABFMP"), (initial, 1, LETTERS), (number, 6), (check, 1)])


def _routing(codes: Codes) -> pa.Array:
    number, prefix = _split(codes, 1_000_000, len(_ABA_PREFIXES))
    body = fixed_width(len(codes), [(_pick(_ABA_PREFIXES, prefix), 2), (number, 6)])
    check = -(_digits(body, 8) @ np.array([3, 7, 1, 3, 7, 1, 3, 7])) % 10
    return fixed_width(len(codes), [(_pick(_ABA_PREFIXES, prefix), 2), (number, 6), (check, 1)])


def _iban(codes: Codes) -> pa.Array:
    # GB, bank code TEST: as numbers T E S T = 29 14 28 29, G B = 16 11, and the check digits stand for 00 while they are computed
    remainder = (int("29142829") * pow(10, 20, 97) + int("161100")) % 97
    low = codes % np.uint64(97) * np.uint64(pow(10, 6, 97))
    check = 98 - ((low + np.uint64(remainder)) % np.uint64(97)).astype(np.int64)
    return fixed_width(len(codes), ["GB", (check, 2), "TEST", (codes, 14)])


def _swift(codes: Codes) -> pa.Array:
    bank, place = _split(codes, 26**4, 34)
    return fixed_width(len(codes), [(bank, 4, LETTERS), "US", (place, 1, "23456789" + LETTERS), "0"])


def _vin(codes: Codes) -> pa.Array:
    serial, plant, year, body = _split(codes, 1_000_000, 23, 23, 23**4)
    parts: list[Part] = [
        "1FA",
        (body, 4, PLATE_LETTERS),
        "7",
        "0",
        (year, 1, PLATE_LETTERS),
        (plant, 1, PLATE_LETTERS),
        (serial, 6),
    ]
    matrix = to_matrix(fixed_width(len(codes), parts), 17).copy()
    values = np.zeros(128, dtype=np.int64)
    for letters, first in (("ABCDEFGH", 1), ("JKLMN", 1), ("STUVWXYZ", 2), ("0123456789", 0)):
        for i, letter in enumerate(letters):
            values[ord(letter)] = first + i
    values[ord("P")], values[ord("R")] = 7, 9
    check = values[matrix] @ np.array([8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2]) % 11
    matrix[:, 8] = np.frombuffer(b"0123456789X", dtype=np.uint8)[check]
    return from_matrix(matrix)


def _plate(codes: Codes) -> pa.Array:
    number, letters = _split(codes, 10_000, 23**3)
    return fixed_width(len(codes), [(letters, 3, PLATE_LETTERS), "-", (number, 4)])


def _ip(codes: Codes) -> pa.Array:
    texts = [f"{network}{host}" for network in _DOC_NETWORKS for host in range(256)]
    return pa.array(texts).take(pa.array(codes.astype(np.int64)))


def ipv6_text(codes: Codes) -> pa.Array:
    """Addresses of the documentation prefix 2001:db8::/32 (RFC 3849), for more rows than IPv4 documentation addresses."""
    low, high = _split(codes, 65_536, 65_536)
    return fixed_width(len(codes), ["2001:db8:", (high, 4, _HEX), ":", (low, 4, _HEX), "::1"])


def _mac(codes: Codes) -> pa.Array:
    parts: list[Part] = ["02"]  # locally administered: no maker has it
    for byte in reversed(_split(codes, 256, 256, 256, 256, 256)):
        parts += [":", (byte, 2, _HEX)]
    return fixed_width(len(codes), parts)


def _photo(codes: Codes) -> pa.Array:
    return fixed_width(len(codes), ["https://images.example.org/", (codes, 12, _HEX), ".jpg"])


def _lettered(letters: int, digits: int, prefix: str = "") -> CodeForm:
    def build(codes: Codes) -> pa.Array:
        number, head = _split(codes, 10**digits, 26**letters)
        parts: list[Part] = [prefix, (head, letters, LETTERS), (number, digits)]
        return fixed_width(len(codes), [p for p in parts if p != ""])

    return CodeForm(26**letters * 10**digits, build)


def _prefixed(prefix: str, digits: int) -> CodeForm:
    return CodeForm(10**digits, lambda codes: fixed_width(len(codes), [prefix, (codes, digits)]))


FORMS: dict[str, CodeForm] = {
    "ssn": CodeForm(9999 * 49 * 100, _ssn),
    "itin": CodeForm(10_000 * len(_ITIN_GROUPS) * 100, _itin),
    "passport": _lettered(1, 8),
    "driver_license": _lettered(1, 7),
    "national_id": _prefixed("99", 10),
    "tax_id": CodeForm(10_000_000 * len(_EIN_PREFIXES), _tax_id),
    "card_number": CodeForm(10**9, _card),
    "iban": CodeForm(10**14, _iban),
    "swift": CodeForm(26**4 * 34, _swift),
    "routing_number": CodeForm(1_000_000 * len(_ABA_PREFIXES), _routing),
    "account_number": _prefixed("9", 11),
    "npi": CodeForm(10**8, _npi),
    "dea": CodeForm(1_000_000 * 5 * 26, _dea),
    "mrn": _prefixed("MRN-", 8),
    "health_plan_id": _lettered(3, 9),
    "vin": CodeForm(1_000_000 * 23 * 23 * 23**4, _vin),
    "license_plate": CodeForm(23**3 * 10_000, _plate),
    "device_id": CodeForm(16**10, lambda codes: fixed_width(len(codes), ["DEV-", (codes, 10, _HEX)])),
    "ip_address": CodeForm(256 * len(_DOC_NETWORKS), _ip),
    "mac_address": CodeForm(2**40, _mac),
    "password_or_secret": CodeForm(32**12, lambda codes: fixed_width(len(codes), [(codes, 12, _BASE32)])),
    "customer_id": _prefixed("C", 10),
    "other_id": _prefixed("ID-", 10),
    "token": CodeForm(16**14, lambda codes: fixed_width(len(codes), ["x", (codes, 14, _HEX)])),
    "photo_or_biometric": CodeForm(16**12, _photo),
}


def pattern_form(pattern: str) -> CodeForm:
    """The form of a pattern: # a digit, ? a capital letter, a backslash takes the next character as it is."""
    pieces = re.findall(r"\\.|.", pattern)
    parts = [c if c in {"#", "?"} else "=" + c[-1] for c in pieces]
    capacity = int(np.prod([{"#": 10, "?": 26}.get(p, 1) for p in parts], dtype=object))

    def build(codes: Codes) -> pa.Array:
        columns: list[Part] = []
        for p in reversed(parts):
            if p not in {"#", "?"}:
                columns.append(p[1:])
                continue
            alphabet = "0123456789" if p == "#" else LETTERS
            codes, digit = np.divmod(codes, np.uint64(len(alphabet)))
            columns.append((digit, 1, alphabet))
        return fixed_width(len(codes), columns[::-1])

    return CodeForm(min(capacity, 2**62), build)


def uuids(generator: np.random.Generator, n: int) -> pa.Array:
    """Random UUIDs of version 4, as text with hyphens, shape (n,)."""
    raw = generator.integers(0, 256, size=(n, 16), dtype=np.uint8)
    raw[:, 6] = (raw[:, 6] & 0x0F) | 0x40
    raw[:, 8] = (raw[:, 8] & 0x3F) | 0x80
    hexes = np.frombuffer(_HEX.encode(), dtype=np.uint8)
    text = np.empty((n, 32), dtype=np.uint8)
    text[:, ::2], text[:, 1::2] = hexes[raw >> 4], hexes[raw & 0x0F]
    out = np.full((n, 36), ord("-"), dtype=np.uint8)
    start = 0
    for at, width in ((0, 8), (9, 4), (14, 4), (19, 4), (24, 12)):
        out[:, at : at + width] = text[:, start : start + width]
        start += width
    return from_matrix(out)
