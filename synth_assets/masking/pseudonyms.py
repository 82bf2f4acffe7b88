"""Keyed consistent pseudonyms: the same value gets the same one in every table and run of a release domain, and only there.

What belongs here: the digest, pieces of it, hex pseudonyms, whole numbers by permutation, hashes. What does not: pseudonyms that keep a
form (formats.py, people.py). A hex pseudonym is the 128 bits of a CBC-MAC (prf.py). Where pieces of a digest choose from lists it is
sha256(K || value) with K of fixed length, cut (chop-MD: Coron, Dodis, Malinaud, Puniya, CRYPTO 2005); where a whole one leaves, it is
hashed twice, as in HMAC.
"""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from synth_assets.masking.ff1 import FF1, Integers
from synth_assets.masking.keyring import text_function
from synth_assets.masking.prf import Hexadecimal
from synth_assets.masking.recipes import Cell, Recipe
from synth_assets.masking.texts import Array
from synth_assets.storage.secrets import SecretKey

WHOLE_NUMBERS = (
    2**32
)  # integers in [0, 2**32) are permuted into [2**32, 2**33): injective, and never one of the raw ones


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
    return (lambda cell: cell.ring.pseudonyms(cell.domain)(cell.text),)


def double_hash() -> Recipe:
    """64 hex digits; hashed twice, since all of them leave."""
    return (digest, lambda cell: digest(cell, cell[0], part="/outer"))


def whole_number() -> Recipe:
    """A keyed permutation of the integers in [0, 2**32); any other integer gets 60 bits of its digest, above them.

    FF1 over 32 bits. Joins and uniqueness survive without a look at the other values. The results of both branches are disjoint.
    """
    return (_whole,)


def number_in_text() -> Recipe:
    """The pseudonym of the whole number that a text writes, as text, so that it joins columns of numbers; else 32 hex digits."""

    def made(cell: Cell) -> ir.StringValue:
        written = cell.text == cell.value.try_cast("int64").cast("string")  # 007 joins no number
        return written.fill_null(False).ifelse(
            _whole(cell).cast("string"), cell.ring.pseudonyms(cell.domain)(cell.text)
        )

    return (made,)


def _whole(cell: Cell) -> ir.IntegerValue:
    permute = cell.ring.function(
        f"whole {cell.domain}", lambda: WholeNumbers(cell.ring.cipher(cell.domain)), ["int64"], "int64"
    )
    made: ir.IntegerValue = permute(cell.value if cell.target.dtype == "int64" else cell.value.try_cast("int64"))
    return made


@dataclass(frozen=True)
class WholeNumbers:
    """The permutation of whole numbers as a function over batches.

    Args:
        cipher: The keyed permutation.
    """

    cipher: FF1

    def __call__(self, column: Array) -> pa.Array:
        """int64 to int64; missing stays missing."""
        array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        missing = array.is_null().to_numpy(zero_copy_only=False) if array.null_count else None
        values = (array.fill_null(0) if array.null_count else array).to_numpy()
        small = values.view(np.uint64) < WHOLE_NUMBERS  # negative ones are large without their sign
        if small.all():
            return pa.array(self._permuted(values.view(np.uint64)).view(np.int64), mask=missing)
        made = np.empty(len(values), np.uint64)
        made[small] = self._permuted(values[small].view(np.uint64))
        made[~small] = (self.cipher.drawn(values[~small].view(np.uint64)) >> np.uint64(4)) + np.uint64(
            2 * WHOLE_NUMBERS
        )
        return pa.array(made.view(np.int64), mask=missing)

    def _permuted(self, number: Integers) -> Integers:
        """Numbers below 2**32 among those from 2**32 to 2**33."""
        high, low = number >> np.uint64(16), number & np.uint64(0xFFFF)
        left, right = self.cipher.halves(high, low, 2**16, 2**16, radix=2, length=32)
        made: Integers = (left << np.uint64(16) | right) + np.uint64(WHOLE_NUMBERS)
        return made


def pseudonym_of(value: str, key: SecretKey, domain: str) -> str:
    """The hex pseudonym of one text, computed outside the engine; the same text as `hex_pseudonym` gives inside.

    Args:
        value: The raw text.
        key: Key of the release domain (`keyring.release_key`).
        domain: Pseudonym domain, such as "email".
    """
    made: str = Hexadecimal(text_function(key, domain))(pa.array([value]))[0].as_py()
    return made
