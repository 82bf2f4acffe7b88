"""FF1, the format-preserving encryption of NIST, over whole columns: a keyed permutation of numeral strings, so no two values meet.

What belongs here: the permutation of numerals and of whole numbers, and keyed numbers of values. What does not: which characters of a
cell are numerals (shapes.py) and which form they keep (forms.py). No key is held in anything but the objects of this file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

ROUNDS = 10
_HALF_BITS = (
    56  # size of one half: its number fills at most seven bytes, so that a row's tweak, the round and it are one block
)
_MIXED = 26  # the largest alphabet of numerals that differ in theirs

Integers = npt.NDArray[np.uint64]
Tweak = bytes | Integers


@dataclass(frozen=True)
class FF1:
    """A keyed permutation.

    Vectors of the standard hold where every numeral has one radix. Numerals of different radices (a letter beside a digit) are
    permuted by the same network over the product of their radices.

    Args:
        key: AES key of 16, 24 or 32 bytes.

    Source:
        NIST SP 800-38G revision 1, algorithm 7. Its domain of a million or more is a matter of strength, not of being a permutation;
        short codes are permuted too, since their pseudonym would otherwise not be unique.
    """

    key: bytes = field(repr=False)

    def numerals(
        self, values: npt.NDArray[np.uint8], radix: int | npt.NDArray[np.uint8], tweak: Tweak = b""
    ) -> npt.NDArray[np.uint8]:
        """Permute rows of numerals.

        Args:
            values: Shape (n, length), length >= 1, each below its radix.
            radix: Of all numerals, or of each, shape (n, length), at most 26.
            tweak: Bytes for all rows, or one number per row, shape (n,). Another tweak, another permutation.

        Returns:
            Shape (n, length), in the same radices.
        """
        length = values.shape[1]
        cut = length // 2
        each = np.broadcast_to(np.asarray(radix, np.uint64), values.shape)
        sizes = [
            prod([radix] * m) if isinstance(radix, int) else each[:, s].prod(axis=1) for m, s in _sides(length, cut)
        ]
        left, right = (_number(values[:, s], each[:, s]) for _, s in _sides(length, cut))
        widest = radix if isinstance(radix, int) else _MIXED
        left, right = self.halves(left, right, *sizes, radix=widest, length=length, tweak=tweak)
        return np.concatenate([_digits(left, each[:, :cut]), _digits(right, each[:, cut:])], axis=1)

    def halves(
        self,
        left: Integers,
        right: Integers,
        left_size: int | Integers,
        right_size: int | Integers,
        *,
        radix: int,
        length: int,
        tweak: Tweak = b"",
    ) -> tuple[Integers, Integers]:
        """Permute pairs of whole numbers.

        Args:
            left: Shape (n,), below `left_size`.
            right: Shape (n,), below `right_size`.
            left_size: Size of the left half, for all rows or per row.
            right_size: Of the right one.
            radix: Of the numeral string that the pair stands for.
            length: Its length.
            tweak: See `numerals`.

        Returns:
            The permuted pairs.
        """
        most = max(radix ** (length - length // 2), _largest(left_size), _largest(right_size))
        width = (most - 1).bit_length() // 8 + bool((most - 1).bit_length() % 8)
        if (most - 1).bit_length() > _HALF_BITS:
            raise ValueError("the numeral string is too long for one permutation")
        mixer = _Mixer(self.key, width, tweak, radix=radix, length=length, rows=len(left))
        sizes = (_as_u64(left_size), _as_u64(right_size))
        for i in range(ROUNDS):
            size = sizes[i % 2]
            total = left + mixer.round(i, right, size)
            left, right = right, np.minimum(total, total - size)  # what is below 0 wraps around to the top
        return left, right

    def drawn(self, values: Integers, label: int = 0) -> Integers:
        """A keyed random number of 64 bits per value: no permutation, since a form may have less room than its values.

        Args:
            values: Shape (n,).
            label: Another label, other numbers.
        """
        blocks = np.zeros((len(values), 2), ">u8")
        blocks[:, 0] = (1 << 63) + label  # no first block of FF1 begins so
        blocks[:, 1] = values
        return encrypted(ecb(self.key), blocks)[:, 0].astype(np.uint64)


def longest(mixed: bool) -> int:
    """How many numerals one permutation takes: digits alone, or letters among them."""
    return 32 if not mixed else 22


class _Mixer:
    """The round function: the first bytes of CBC-MAC(P || Q), as a number modulo the size of a half."""

    def __init__(self, key: bytes, width: int, tweak: Tweak, *, radix: int, length: int, rows: int) -> None:
        self.encryptor, self.width = ecb(key), width
        self.bytes = 4 * -(-width // 4) + 4
        fixed = tweak if isinstance(tweak, bytes) else bytes(8)
        cut = length // 2
        p = (
            bytes([1, 2, 1])
            + radix.to_bytes(3, "big")
            + bytes([ROUNDS, cut % 256])
            + length.to_bytes(4, "big")
            + len(fixed).to_bytes(4, "big")
        )
        q = fixed + bytes((-len(fixed) - width - 1) % 16 + 1 + width)
        chained = bytes(16)
        for start in range(0, len(p + q) - 16, 16):
            block = np.frombuffer((p + q)[start : start + 16], ">u8") ^ np.frombuffer(chained, ">u8")
            chained = encrypted(self.encryptor, block.astype(">u8").reshape(1, 2)).tobytes()
        first, last = np.frombuffer(q[-16:], ">u8").astype(np.uint64) ^ np.frombuffer(chained, ">u8").astype(np.uint64)
        self.first = first if isinstance(tweak, bytes) else first ^ tweak
        self.last = last
        self.blocks = np.empty((rows, 2), ">u8")
        self.blocks[:, 0] = self.first

    def round(self, i: int, half: Integers, size: Integers) -> Integers:
        """The number to add in round i, shape (n,)."""
        self.blocks[:, 1] = half ^ (self.last ^ np.uint64(i << (8 * self.width)))
        made = encrypted(self.encryptor, self.blocks)
        high = made[:, 0].astype(np.uint64)
        if self.bytes == 8:
            return high - high // size * size  # numpy divides by one number much faster than it takes remainders
        low = made[:, 1].astype(np.uint64)
        rest = high % size
        for shift in (56, 48, 40, 32):  # 12 bytes: four more, one by one, so that nothing overflows
            rest = ((rest << np.uint64(8)) | ((low >> np.uint64(shift)) & np.uint64(255))) % size
        return rest


def ecb(key: bytes) -> Any:
    """AES of single blocks; made anew for each batch, since one may not serve two threads."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    return Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305 -- one block per value is what a PRF is


def encrypted(encryptor: Any, blocks: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Each block on its own; numbers stand in memory as their dtype says, in both."""
    made = encryptor.update(np.ascontiguousarray(blocks).view(np.uint8).reshape(-1).data)
    return np.frombuffer(made, blocks.dtype).reshape(-1, 2)


def _sides(length: int, cut: int) -> tuple[tuple[int, slice], tuple[int, slice]]:
    return (cut, slice(0, cut)), (length - cut, slice(cut, length))


def _largest(size: int | Integers) -> int:
    return size if isinstance(size, int) else int(size.max(initial=1))


def _as_u64(size: int | Integers) -> Integers:
    return np.asarray(size, np.uint64)


def _number(values: npt.NDArray[np.uint8], radices: Integers) -> Integers:
    """Rows of numerals as whole numbers, the most significant first."""
    made = np.zeros(len(values), np.uint64)
    for i in range(values.shape[1]):
        made = made * radices[:, i] + values[:, i]
    return made


def _digits(numbers: Integers, radices: Integers) -> npt.NDArray[np.uint8]:
    """Whole numbers as rows of numerals."""
    made = np.empty(radices.shape, np.uint8)
    for i in range(radices.shape[1] - 1, -1, -1):
        radix = radices[0, i] if len(radices) and radices.strides[0] == 0 else radices[:, i]
        rest = numbers // radix
        made[:, i] = numbers - rest * radix
        numbers = rest
    return made
