"""Words of running texts, and where in them the words of other columns stand: whole words, any letter case, any punctuation between.

What belongs here: taking a batch apart into words, and finding sequences of words row by row. What does not: what is looked for,
and what stands there afterwards (scrub.py). Words are compared by 64-bit hashes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from synth_assets.masking.codes import stretches
from synth_assets.masking.ff1 import Integers
from synth_assets.masking.texts import KIND, OTHER, Flags, Places, Texts

WIDEST_GAP = 3  # bytes between two words of one mention, such as `, ` or `://`
_TABLE = 0x20000  # characters beyond it are ideographs: letters without a case
_FILTER_BITS = 18
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_ASCII_WORD = (KIND > 0) & (KIND < OTHER)
_ASCII_SMALL: Integers = np.array([ord(chr(c).lower()) if c < 0x80 else c for c in range(256)], np.uint64)


@dataclass(frozen=True)
class Words:
    """The words of a batch of n texts, in order.

    Args:
        starts: First byte of each word, shape (w,).
        ends: The byte after its last one.
        rows: The text it stands in, rising.
        hashes: Of its letters in small, equal for equal words.
        first: Shape (n + 1,): which words belong to which text.
    """

    starts: Places
    ends: Places
    rows: Places
    hashes: Integers
    first: Places

    @staticmethod
    def of(texts: Texts) -> Words:
        """The words of some texts: runs of letters, marks and digits."""
        inside, folded, begins = _characters(texts)
        edges = np.searchsorted(begins, texts.offsets) if begins is not None else texts.offsets
        padded = np.concatenate([[False], inside, [False]])
        opens, closes = inside & ~padded[:-2], inside & ~padded[2:]
        inner = edges[(edges > 0) & (edges < len(inside))]  # a word ends where its text does
        opens[inner] |= inside[inner]
        closes[inner - 1] |= inside[inner - 1]
        starts, ends = np.flatnonzero(opens), np.flatnonzero(closes) + 1
        hashes = stretches(folded, starts, ends)
        first = np.searchsorted(starts, edges)
        rows = np.repeat(np.arange(len(texts)), np.diff(first))
        if begins is not None:
            begins = np.append(begins, len(texts.data))
            starts, ends = begins[starts], begins[ends]
        return Words(starts, ends, rows, hashes, first)

    @property
    def counts(self) -> Places:
        """Words per text, shape (n,)."""
        return np.diff(self.first)

    def among(self, listed: Listed) -> Flags:
        """Which words are in a list, shape (w,)."""
        made: Flags = listed.table[self.hashes >> listed.shift]
        maybe = np.flatnonzero(made)
        made[maybe] = np.isin(self.hashes[maybe], listed.hashes)
        return made

    def rows_with(self, marked: Flags) -> Flags:
        """Which texts have a marked word, shape (n,)."""
        made = np.zeros(len(self.first) - 1, bool)
        made[self.rows[marked]] = True
        return made


@dataclass(frozen=True)
class Listed:
    """A list of words by their hashes.

    Args:
        hashes: Of the words.
        table: Shape (2**bits,): whether any hash begins with these bits; most words are told apart by it alone.
    """

    hashes: Integers
    table: Flags

    shift = np.uint64(64 - _FILTER_BITS)

    @staticmethod
    def of(words: Iterable[str]) -> Listed:
        """From words."""
        return Listed.hashed(Words.of(joined(sorted(words))).hashes)

    @staticmethod
    def hashed(hashes: Integers) -> Listed:
        """From hashes."""
        table = np.zeros(1 << _FILTER_BITS, bool)
        table[hashes >> Listed.shift] = True
        return Listed(hashes, table)


def joined(values: list[str]) -> Texts:
    """Texts from Python's, none missing."""
    encoded = [v.encode() for v in values]
    offsets = np.concatenate([[0], np.cumsum([len(e) for e in encoded])]).astype(np.int64)
    return Texts(np.frombuffer(b"".join(encoded), np.uint8), offsets, np.ones(len(values), bool))


@dataclass(frozen=True)
class Needles:
    """Sequences of words to look for, each in one text.

    Args:
        rows: The text, shape (q,).
        lengths: Number of words, at least 1.
        first: Hash of the first word.
        whole: Hash of the hashes of all words (`codes.stretches`).
    """

    rows: Places
    lengths: Places
    first: Integers
    whole: Integers


@dataclass(frozen=True)
class Found:
    """Where needles stand, in order, none over another.

    Args:
        words: First word of each place, shape (f,).
        lengths: Number of words.
        needles: Which needle.
    """

    words: Places
    lengths: Places
    needles: Places


def find(words: Words, needles: Needles) -> Found:
    """All needles in their texts; where two overlap the one of more words, then the one that was given first.

    Args:
        words: Of the texts.
        needles: What to look for.
    """
    keys = needles.first + needles.rows.astype(np.uint64) * _SPREAD
    keys = keys * _SPREAD
    own = (words.hashes + words.rows.astype(np.uint64) * _SPREAD) * _SPREAD
    maybe = np.flatnonzero(Listed.hashed(keys).table[own >> Listed.shift])
    order = np.argsort(keys, kind="stable")
    low = np.searchsorted(keys[order], own[maybe], "left")
    counts = np.searchsorted(keys[order], own[maybe], "right") - low
    at = np.repeat(maybe, counts)
    within = np.arange(len(at)) - np.repeat(np.cumsum(counts) - counts, counts)
    needle = order[np.repeat(low, counts) + within]
    return _without_overlap(len(words.rows), *_confirmed(words, needles, at, needle), needles)


def _confirmed(words: Words, needles: Needles, at: Places, needle: Places) -> tuple[Places, Places]:
    """The pairs of word and needle of which not only the first word fits."""
    ends = at + needles.lengths[needle]
    fits = ends <= words.first[1:][words.rows[at]] if len(at) else np.zeros(0, bool)
    at, needle, ends = at[fits], needle[fits], ends[fits]
    gaps = np.concatenate([[0], np.cumsum(words.starts[1:] - words.ends[:-1] > WIDEST_GAP), [0]])
    fits = stretches(words.hashes, at, ends) == needles.whole[needle]
    fits &= gaps[ends - 1] == gaps[at]
    return at[fits], needle[fits]


def _without_overlap(count: int, at: Places, needle: Places, needles: Needles) -> Found:
    taken = np.zeros(count, bool)
    chosen: list[tuple[Places, Places]] = []
    lengths = needles.lengths[needle]
    for length in np.unique(lengths)[::-1]:
        rows = np.flatnonzero(lengths == length)
        rows = rows[np.lexsort((needle[rows], at[rows]))]
        rows = rows[np.concatenate([[True], np.diff(at[rows]) > 0])]  # the first needle of each place
        before = np.concatenate([[0], np.cumsum(taken)])
        rows = rows[before[at[rows] + length] == before[at[rows]]]
        while length > 1 and len(rows) > 1:
            close = np.concatenate([[False], np.diff(at[rows]) < length])
            drop = close & ~np.concatenate([[False], close[:-1]])
            if not drop.any():
                break
            rows = rows[~drop]
        for i in range(length):
            taken[at[rows] + i] = True
        chosen.append((at[rows], needle[rows]))
    if not chosen:
        nothing = np.zeros(0, np.int64)
        return Found(nothing, nothing, nothing)
    words, which = (np.concatenate(parts) for parts in zip(*chosen, strict=True))
    order = np.argsort(words)
    return Found(words[order], needles.lengths[which[order]], which[order])


def _characters(texts: Texts) -> tuple[Flags, Integers, Places | None]:
    """Of each character: whether it is part of a word, its number in small letters, and its first byte (None: one byte each)."""
    data = texts.data
    if not (data >= 0x80).any():
        return _ASCII_WORD.take(data), _ASCII_SMALL.take(data), None
    characters = np.frombuffer(data.tobytes().decode().encode("utf-32-le"), np.uint32)
    word, small, counts = _unicode()
    known, begins = np.minimum(characters, _TABLE), np.flatnonzero((data & 0xC0) != 0x80)
    many = counts[known]
    if (many > 1).any():  # ß is two letters, as in STRASSE
        at = np.repeat(np.arange(len(known)), many)
        within = np.arange(len(at)) - np.repeat(np.cumsum(many) - many, many)
        characters, known, begins = characters[at], known[at], begins[at]
        folded = np.where(characters < _TABLE, small[known, within], characters)
    else:
        folded = np.where(characters < _TABLE, small[known, 0], characters)
    return word[known], folded.astype(np.uint64), begins


@cache
def _unicode() -> tuple[Flags, npt.NDArray[np.uint32], Places]:
    """For each character of Unicode's first two planes: letter, mark or digit; its folded letters, shape (n, 3); how many they are."""
    surrogates = range(0xD800, 0xE000)  # no characters
    characters = pa.array([" " if c in surrogates else chr(c) for c in range(_TABLE)])
    word = pc.match_substring_regex(characters, r"[\pL\pM\pN]").to_numpy(zero_copy_only=False)
    folded = [c.casefold() for c in characters.to_pylist()]
    small = np.array([[ord(c) for c in f.ljust(3, "\0")] for f in folded] + [[_TABLE, 0, 0]], np.uint32)
    return np.append(word, True), small, np.array([len(f) for f in folded] + [1])
