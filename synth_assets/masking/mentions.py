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
from synth_assets.masking.texts import KIND, OTHER, Bytes, Flags, Places, Texts, looked_up, spans, words_at

WIDEST_GAP = 3  # bytes between two words of one mention, such as `, ` or `://`
_TABLE = 0x20000  # characters beyond it are ideographs: letters without a case
_FILTER_BITS = 18
_SPREAD, _STIR = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
_SHELF = np.uint64(48)
_ASCII_WORD = ((KIND > 0) & (KIND < OTHER)).tobytes()
_ASCII_SMALL = bytes(ord(chr(c).lower()) if c < 0x80 else c for c in range(256))


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
        inside, begins, folded, places = _characters(texts)
        edges = np.searchsorted(begins, texts.offsets) if begins is not None else texts.offsets
        before, after = np.zeros_like(inside), np.zeros_like(inside)
        before[1:], after[:-1] = inside[:-1], inside[1:]
        inner = edges[(edges > 0) & (edges < len(inside))]  # a word ends where its text does
        before[inner] = False
        after[inner - 1] = False
        starts, ends = np.flatnonzero(inside > before), np.flatnonzero(inside > after) + 1
        first = np.searchsorted(starts, edges)
        rows = np.repeat(np.arange(len(texts)), np.diff(first))
        if begins is None or places is None:
            return Words(starts, ends, rows, _hashes(folded, starts, ends), first)
        hashes = _hashes(folded, places[starts], places[ends])
        begins = np.append(begins, len(texts.data))
        return Words(begins[starts], begins[ends], rows, hashes, first)

    @property
    def counts(self) -> Places:
        """Words per text, shape (n,)."""
        return np.diff(self.first)

    def among(self, listed: Listed) -> Flags:
        """Which words are in a list, shape (w,)."""
        return self.marks(listed) > 0

    def marks(self, listed: Listed) -> Bytes:
        """In which of the lists each word is, one bit per list, shape (w,)."""
        made = listed.table.take((self.hashes >> listed.shift).view(np.int64))
        maybe = np.flatnonzero(made)
        at = np.minimum(np.searchsorted(listed.hashes, self.hashes[maybe]), len(listed.hashes) - 1)
        made[maybe] = np.where(listed.hashes[at] == self.hashes[maybe], listed.bits[at], 0) if len(listed.hashes) else 0
        return made

    def rows_with(self, marked: Flags) -> Flags:
        """Which texts have a marked word, shape (n,)."""
        made = np.zeros(len(self.first) - 1, bool)
        made[self.rows[marked]] = True
        return made


@dataclass(frozen=True)
class Listed:
    """Up to eight lists of words by their hashes.

    Args:
        hashes: Of the words of all lists, sorted.
        bits: In which lists each is, one bit per list.
        table: Shape (2**bits,): the lists with a hash that begins with these bits; most words are told apart by it alone.
    """

    hashes: Integers
    bits: Bytes
    table: Bytes

    shift = np.uint64(64 - _FILTER_BITS)

    @staticmethod
    def of(*lists: Iterable[str]) -> Listed:
        """From words; those of the i-th list have bit i."""
        hashed = [Words.of(joined(sorted(words))).hashes for words in lists]
        every = np.unique(np.concatenate(hashed))
        bits, table = np.zeros(len(every), np.uint8), np.zeros(1 << _FILTER_BITS, np.uint8)
        for i, hashes in enumerate(hashed):
            bits[np.searchsorted(every, hashes)] |= 1 << i
            table[hashes >> Listed.shift] |= 1 << i
        return Listed(every, bits, table)


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
    keys = (needles.first + needles.rows.view(np.uint64) * _SPREAD) * _SPREAD
    own = (words.hashes + words.rows.view(np.uint64) * _SPREAD) * _SPREAD
    seen = np.zeros(1 << _FILTER_BITS, bool)
    seen[keys >> Listed.shift] = True
    maybe = np.flatnonzero(seen.take((own >> Listed.shift).view(np.int64)))
    shelf = (keys >> _SHELF).astype(np.uint16)  # numbers of 16 bits are sorted in one pass
    order = np.argsort(shelf, kind="stable")
    upto = np.concatenate([[0], np.cumsum(np.bincount(shelf, minlength=1 << 16))])
    looked = (own[maybe] >> _SHELF).view(np.int64)
    low, counts = upto[looked], upto[looked + 1] - upto[looked]
    at = np.repeat(maybe, counts)
    needle = order[spans(low, counts)]
    same = keys[needle] == own[at]
    return _without_overlap(len(words.rows), *_confirmed(words, needles, at[same], needle[same]), needles)


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


def _characters(texts: Texts) -> tuple[Flags, Places | None, Bytes, Places | None]:
    """Of each character: whether it is part of a word, and its first byte (None: one byte each); all in small letters, as UTF-8;
    first byte of each character there, and the end (None: one byte each).
    """
    data = texts.data
    if not (data >= 0x80).any():
        return looked_up(data, _ASCII_WORD).view(bool), None, looked_up(data, _ASCII_SMALL), None
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
    widths = 1 + (folded >= 0x80) + (folded >= 0x800) + (folded >= 0x10000).astype(np.int64)
    encoded = np.frombuffer(folded.astype("<u4").tobytes().decode("utf-32-le").encode(), np.uint8)
    return word[known], begins, encoded, np.concatenate([[0], np.cumsum(widths)])


def _hashes(folded: Bytes, starts: Places, ends: Places) -> Integers:
    """A number per word of its bytes; words of up to eight bytes never share one, shape (w,)."""
    padded, lengths = np.concatenate([folded, np.zeros(8, np.uint8)]), ends - starts
    made = _mixed(words_at(padded, starts, lengths))
    rows = np.flatnonzero(lengths > 8)
    done = 8
    while len(rows):
        made[rows] = _mixed(made[rows] + words_at(padded, starts[rows] + done, lengths[rows] - done))
        done += 8
        rows = rows[lengths[rows] > done]
    return made


def _mixed(numbers: Integers) -> Integers:
    """Other numbers for other numbers, which differ in all bits."""
    made = numbers * _SPREAD
    made ^= made >> np.uint64(32)
    made *= _STIR
    made ^= made >> np.uint64(29)
    return made


@cache
def _unicode() -> tuple[Flags, npt.NDArray[np.uint32], Places]:
    """For each character of Unicode's first two planes: letter, mark or digit; its folded letters, shape (n, 3); how many they are."""
    surrogates = range(0xD800, 0xE000)  # no characters
    characters = pa.array([" " if c in surrogates else chr(c) for c in range(_TABLE)])
    word = pc.match_substring_regex(characters, r"[\pL\pM\pN]").to_numpy(zero_copy_only=False)
    folded = [c.casefold() for c in characters.to_pylist()]
    small = np.array([[ord(c) for c in f.ljust(3, "\0")] for f in folded] + [[_TABLE, 0, 0]], np.uint32)
    return np.append(word, True), small, np.array([len(f) for f in folded] + [1])
