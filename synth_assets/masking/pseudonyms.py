"""Keyed consistent pseudonyms: the same value gets the same one in every table and run of a release domain, and only there.

What belongs here: the digest, pieces of it, hex pseudonyms, whole numbers by permutation, hashes. What does not: pseudonyms that keep a
form (formats.py, people.py). Base: the first 128 bits of sha256(K || value) with K of fixed length; since the digest is cut, one hash
is enough (chop-MD: Coron, Dodis, Malinaud, Puniya, CRYPTO 2005). Where the whole digest leaves, it is hashed twice, as in HMAC.
"""

from __future__ import annotations

import hashlib

import ibis
import ibis.expr.types as ir

from synth_assets.masking.keyring import domain_key
from synth_assets.masking.recipes import Cell, Recipe, Step
from synth_assets.storage.secrets import SecretKey

PSEUDONYM_DIGITS = 32  # 128 bits
WHOLE_NUMBERS = (
    2**32
)  # integers in [0, 2**32) are permuted into [2**32, 2**33): injective, and never one of the raw ones
_ROUNDS = 8
_HALF_BITS = 16


def digest(cell: Cell, text: ir.StringValue | None = None, *, part: str = "") -> ir.StringValue:
    """sha256(K || value) as 64 hex digits; K belongs to the cell's domain and, where given, to one part of it."""
    key = cell.ring.key(f"{cell.domain}{part}")
    return (key + (cell.text if text is None else text)).hexdigest("sha256")


def number(digits: ir.StringValue, start: int, length: int) -> ir.IntegerValue:
    """A piece of a digest as a whole number.

    Args:
        digits: Hex digits.
        start: First digit, from 0.
        length: 1 to 15 digits (4 bits each), so that it fits an int64.
    """
    return (ibis.literal("0x") + digits.substr(start, length)).cast("int64")


def hex_pseudonym() -> Recipe:
    """32 hex digits."""
    return (digest, lambda cell: cell[0].substr(0, PSEUDONYM_DIGITS))


def double_hash() -> Recipe:
    """64 hex digits; hashed twice, since all of them leave."""
    return (digest, lambda cell: digest(cell, cell[0], part="/outer"))


def whole_number() -> Recipe:
    """A keyed permutation of the integers in [0, 2**32); any other integer gets 60 bits of its digest, above them.

    Eight rounds of a balanced Feistel network whose round functions are keyed SHA-256 cut to 16 bits. Joins and uniqueness survive
    without a look at the other values. The results of both branches are disjoint.

    Source:
        Luby, Rackoff, "How to construct pseudorandom permutations from pseudorandom functions", SIAM J. Comput. 17 (1988);
        eight rounds as in NIST SP 800-38G.
    """
    mask = 2**_HALF_BITS - 1

    def raw(cell: Cell) -> ir.IntegerValue:
        return cell.value if cell.target.dtype == "int64" else cell.value.try_cast("int64")

    def small(cell: Cell) -> ir.BooleanValue:
        return (raw(cell) >= 0) & (raw(cell) < WHOLE_NUMBERS)

    def left(cell: Cell) -> ir.Value:
        return small(cell).ifelse(raw(cell), 0) >> _HALF_BITS

    def right(cell: Cell) -> ir.Value:
        return small(cell).ifelse(raw(cell), 0) & mask

    def turn(i: int) -> Step:  # step i + 2 holds the new right half; step i + 1 is the new left half
        def step(cell: Cell) -> ir.Value:
            mixed = number(digest(cell, cell[i + 1].cast("string"), part=f"/round{i}"), 0, _HALF_BITS // 4)
            return cell[i] ^ mixed

        return step

    def join(cell: Cell) -> ir.Value:
        permuted = (cell[_ROUNDS] << _HALF_BITS) | cell[_ROUNDS + 1]
        large = number(digest(cell), 0, 15) + 2 * WHOLE_NUMBERS
        return small(cell).ifelse(permuted + WHOLE_NUMBERS, large).cast("int64")

    return (left, right, *(turn(i) for i in range(_ROUNDS)), join)


def pseudonym_of(value: str, key: SecretKey, domain: str) -> str:
    """The hex pseudonym of one text, computed outside the engine; the same text as `hex_pseudonym` gives inside.

    Args:
        value: The raw text.
        key: Key of the release domain (`keyring.release_key`).
        domain: Pseudonym domain, such as "email".
    """
    return hashlib.sha256((domain_key(key, domain) + value).encode()).hexdigest()[:PSEUDONYM_DIGITS]
