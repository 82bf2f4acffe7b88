"""Different numbers for different rows: a keyed permutation of the row number, and the two halves of every number space.

What belongs here: who gets which number. What does not: what the number looks like (codes.py). The even half of a space is used
by tables made from a schema, the odd half by fresh identities, so that a synthetic table of generated data never repeats one.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from synth_assets.errors import InputError
from synth_assets.generation.values import Codes, Ints

Space = Literal["schema", "fresh"]
_ROUNDS = 4
_BLOCK = 32_768


def permute(numbers: Codes, size: int, seed: int) -> Codes:
    """A bijection of 0 ... size - 1 that looks random; the same for the same seed.

    Args:
        numbers: Shape (n,), each below `size`.
        size: How many numbers there are, 1 to 2**62.
        seed: Which bijection.

    Returns:
        Shape (n,): different where `numbers` are different.

    Source:
        Feistel network with cycle walking: Black, Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002. The round
        function is SplitMix64's finaliser: for looks and uniqueness, not for secrecy.
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    keys = np.random.default_rng(seed).integers(0, 2**63, size=_ROUNDS, dtype=np.uint64)
    out = numbers.astype(np.uint64)
    for start in range(0, len(out), _BLOCK):  # blocks that fit the processor's cache
        block = out[start : start + _BLOCK]
        block[:] = _feistel(block, half, keys)
        outside = np.flatnonzero(block >= size)
        while outside.size:
            block[outside] = _feistel(block[outside], half, keys)
            outside = outside[block[outside] >= size]
    return out


def _feistel(numbers: Codes, half: int, keys: Codes) -> Codes:
    shift, mask = np.uint64(half), np.uint64((1 << half) - 1)
    left, right = numbers >> shift, numbers & mask
    for key in keys:
        left, right = right, left ^ (_mix(right + key) & mask)
    return (left << shift) | right


def _mix(x: Codes) -> Codes:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def row_numbers(first: int, n: int) -> Codes:
    """Row numbers first, first + 1 ... of n rows."""
    return np.arange(first, first + n, dtype=np.uint64)


def unique_codes(first: int, n: int, capacity: int, seed: int, *, space: Space, column: str) -> Codes:
    """A different code for each row, below `capacity`.

    Args:
        first: Number of the first row.
        n: Number of rows.
        capacity: Size of the whole space; half of it belongs to each `space`.
        seed: Which permutation.
        space: Which half.
        column: For the message.

    Raises:
        InputError: the space has fewer numbers than rows.
    """
    half = max(1, capacity // 2)
    if first + n > half:
        raise InputError(
            f"there are {half} different values of this kind, and more rows.",
            column=column,
            remedy="Make fewer rows, or allow repeats.",
        )
    return permute(row_numbers(first, n), half, seed) * np.uint64(2) + np.uint64(space == "fresh")


def free_codes(generator: np.random.Generator, n: int, capacity: int, *, space: Space) -> Codes:
    """Random codes below `capacity`, from the half of `space`; they may repeat."""
    half = max(1, capacity // 2)
    return generator.integers(0, half, size=n, dtype=np.uint64) * np.uint64(2) + np.uint64(space == "fresh")


def ranks(index: Ints) -> Ints:
    """For each place, how many equal values stand before it."""
    order = np.argsort(index, kind="stable")
    ordered = index[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(index) else np.array([], dtype=np.int64)
    lengths = np.diff(np.r_[starts, len(index)])
    ranks = np.empty(len(index), dtype=np.int64)
    ranks[order] = np.arange(len(index)) - np.repeat(starts, lengths)
    return ranks
