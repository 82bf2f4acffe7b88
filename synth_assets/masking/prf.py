"""The keyed random function of texts: CBC-MAC of AES-256 over a text and its length, a batch of texts at once.

What belongs here: 128 bits per text. What does not: permutations (ff1.py) and what is made of the bits (pseudonyms.py).
The length stands in front, so no text's blocks begin with those of another one, and CBC-MAC is then a pseudorandom function: who sees
q texts of up to b blocks tells it from a random one with odds of about (bq)**2 / 2**128 (Bellare, Kilian, Rogaway, JCSS 2000;
Petrank and Rackoff, J. Cryptology 2000, for texts of several lengths).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from synth_assets.masking.ff1 import Integers, ecb, encrypted
from synth_assets.masking.texts import Array, Bytes, Texts, words_at

_BLOCK, _LENGTH = 16, 4  # bytes of a block, and of the length before the text
_BLOCK_TYPE = np.complex128  # sixteen bytes that are moved as one
_HEX = np.frombuffer(b"".join(b"%02x" % i for i in range(256)), "<u2").astype(np.uint32)
_TWICE_HEX = (_HEX[np.arange(1 << 16) & 255] | _HEX[np.arange(1 << 16) >> 8] << 16).astype("<u4")


@dataclass(frozen=True)
class Prf:
    """The function of one key.

    Args:
        key: AES key of 32 bytes; it serves this function alone.
    """

    key: bytes = field(repr=False)

    def bits(self, texts: Texts) -> Integers:
        """128 bits per text as two little-endian numbers, shape (n, 2); a missing text counts as the empty one."""
        lengths, starts = texts.lengths, texts.offsets[:-1]
        padded = np.concatenate([texts.data, np.zeros(2 * _BLOCK, np.uint8)])
        encryptor = ecb(self.key)
        whole = np.empty((len(texts), 2), "<u8")
        np.bitwise_or(words_at(padded, starts, lengths) << np.uint64(8 * _LENGTH), lengths.view(np.uint64), whole[:, 0])
        whole[:, 1] = words_at(padded, starts + 4, lengths - 4)
        whole = encrypted(encryptor, whole)
        done, longest = _BLOCK - _LENGTH, int(lengths.max(initial=0))
        rows = np.arange(len(texts))
        while done < longest:
            longer = lengths > done
            if not longer.all():
                whole = whole if whole.flags.writeable else whole.copy()
                rows, starts, lengths = rows[longer], starts[longer], lengths[longer]
            some = whole.view(_BLOCK_TYPE).take(rows).view("<u8").reshape(-1, 2)
            some[:, 0] ^= words_at(padded, starts + done, lengths - done)
            some[:, 1] ^= words_at(padded, starts + (done + 8), lengths - (done + 8))
            some = encrypted(encryptor, some)
            if len(rows) == len(texts):
                whole = some
            else:
                whole.view(_BLOCK_TYPE)[rows] = some.view(_BLOCK_TYPE)
            done += _BLOCK
        return whole


@dataclass(frozen=True)
class Hexadecimal:
    """The function over batches that gives 32 hex digits, all bits of the random function.

    Args:
        prf: The keyed random function.
    """

    prf: Prf

    def __call__(self, column: Array) -> pa.Array:
        """Texts to texts; missing stays missing."""
        texts = Texts.of(column)
        bits = self.prf.bits(texts).view("<u2")
        digits: Bytes = _TWICE_HEX.take(bits).view(np.uint8).reshape(-1)
        count = len(texts)
        lengths = np.full(count, 2 * _BLOCK)
        if texts.valid.all():
            return Texts(digits, np.arange(count + 1) * 2 * _BLOCK, texts.valid).to_arrow()
        lengths[~texts.valid] = 0
        kept = digits.reshape(count, -1)[texts.valid].reshape(-1)
        return Texts(kept, np.concatenate([[0], np.cumsum(lengths)]), texts.valid).to_arrow()


@dataclass(frozen=True)
class Numbers:
    """The function over batches that gives whole numbers of 60 bits.

    Args:
        prf: The keyed random function.
    """

    prf: Prf

    def __call__(self, column: Array) -> pa.Array:
        """Texts to int64; missing stays missing."""
        texts = Texts.of(column)
        made = (self.prf.bits(texts)[:, 0] >> np.uint64(4)).astype(np.int64)
        return pa.array(made, mask=None if texts.valid.all() else ~texts.valid)
