"""Free text: the row's own identifying values and those of its parents become the pseudonyms of their columns, then known forms go.

What belongs here: replacing inside running text, batch by batch. What does not: finding words (mentions.py), and names of people who
stand in no column; those need a language model or a person, and docs/privacy.md says so. Longer mentions go before shorter ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from synth_assets.masking.canonical import SHORTEST
from synth_assets.masking.codes import stretches
from synth_assets.masking.keyring import KeyRing
from synth_assets.masking.known_forms import suspects, without_forms
from synth_assets.masking.mentions import Listed, Needles, Words, find, joined
from synth_assets.masking.spans import cleaned, composed, merged
from synth_assets.masking.texts import DIGIT, KIND, Array, Bytes, Flags, Places, Stretches, Texts, assembled, with_rows
from synth_assets.masking.words import COMMON_WORDS, NAMES, PLACES, TITLE_WORDS
from synth_assets.pii.taxonomy import taxonomy

_IDS = frozenset({"customer_id", "other_id"})
# private-use characters stand for what was replaced until all forms are gone, so that no form eats a pseudonym
_FIRST_MARK, _MARKS = 0xE000, 6400
_TOO_MANY = b"[REDACTED]"  # stands in a text that has more mentions than there are marks


@dataclass(frozen=True)
class Mention:
    """A column whose values may be told in the text.

    Args:
        source: Column with the raw value, as text.
        entity_type: What it holds.
        replacement: Column with its pseudonym; None: a token such as [EMAIL].
    """

    source: str
    entity_type: str
    replacement: str | None

    @property
    def whole(self) -> bool:
        """Whether the whole value is looked for, and not only its words."""
        return self.entity_type not in NAMES | {"city", "county"}

    @property
    def by_word(self) -> bool:
        """Whether its words are looked for."""
        return self.entity_type in NAMES | PLACES


def is_told(entity_type: str) -> bool:
    """Whether values of this type are looked for in the texts of their rows."""
    return entity_type in NAMES | PLACES | _IDS or taxonomy()[entity_type].unique_by_nature


def token(entity_type: str) -> str:
    """What stands in a text for a value that has no pseudonym."""
    return f"[{entity_type.upper()}]"


def scrubbed(
    table: ir.Table,
    columns: Sequence[str],
    mentions: Sequence[Mention],
    ring: KeyRing,
    found: Mapping[str, Sequence[str]] | None = None,
) -> list[ir.StringValue]:
    """Text columns without what identifies.

    Args:
        table: Holds the texts, the raw values and their pseudonyms.
        columns: The texts.
        mentions: What to look for.
        ring: Gives the engine the function.
        found: Text column -> columns with what a detector found in it, see `spans.merged`.
    """
    kinds = tuple(mentions)
    own = [table[m.source] for m in kinds]
    new = [ibis.null("string") if m.replacement is None else table[m.replacement].cast("string") for m in kinds]
    lists = [ibis.array(values) if values else ibis.literal([], "array<string>") for values in (own, new)]
    more = ["array<int64>", "array<int64>", "array<string>"] if found else []
    arguments = ["string", "array<string>", "array<string>", *more]
    make = ring.function(
        f"scrub {kinds} {len(arguments)}", lambda: (Searched if found else Scrubber)(kinds), arguments, "string"
    )
    return [make(table[c], *lists, *(table[f] for f in (found or {}).get(c, ()))) for c in columns]


@dataclass(frozen=True)
class Scrubber:
    """The function over batches: texts, raw values and pseudonyms of the mentions -> texts.

    Args:
        mentions: In the order of the values in the lists.
    """

    mentions: tuple[Mention, ...]

    def __call__(self, column: Array, own: Array, new: Array) -> pa.Array:
        """Scrub a batch; missing stays missing.

        Args:
            column: n texts.
            own: n lists with the raw value of every mention.
            new: n lists with their pseudonyms.
        """
        return self.scrub(column, own, new)

    def scrub(self, column: Array, own: Array, new: Array, *found: Array) -> pa.Array:
        """Scrub a batch, with or without what a detector found: n lists of first bytes, of ends, of replacements."""
        texts = cleaned(column)
        words, made = Words.of(texts), _flat(new)
        places = self._places(texts, words, composed(_flat(own)), made)
        other = np.concatenate([made.data, self._tokens.data])
        if found:
            places, other = merged(texts, places, other, *found)
        done = assembled(texts, places, other)
        rows = np.flatnonzero(suspects(texts, words, places))
        if len(rows):
            done = with_rows(done, rows, _without_forms(texts, places, other, rows))
        return done.to_arrow()

    @cached_property
    def _tokens(self) -> Texts:
        return joined([token(m.entity_type) for m in self.mentions])

    @cached_property
    def _boring(self) -> Listed:
        """Words that tell of nobody: in names, in places."""
        return Listed.of(TITLE_WORDS.split(), (TITLE_WORDS + " " + COMMON_WORDS).split())

    def _places(self, texts: Texts, words: Words, own: Texts, new: Texts) -> Stretches:
        """Where mentions stand, and what they become: bytes of the pseudonyms and then the tokens."""
        if not self.mentions or not len(words.rows):
            return Stretches(*[np.zeros(0, np.int64)] * 5)
        told = Words.of(own)
        needles, value, word = self._needles(own, told)
        found = find(words, needles)
        starts, lengths = self._replacements(value[found.needles], word[found.needles], told, new)
        last = found.words + found.lengths - 1
        begins = words.starts[found.words]
        begins -= _led(texts, begins, words.rows[found.words], own, told, value[found.needles], word[found.needles])
        return Stretches(words.rows[found.words], begins, words.ends[last], starts, lengths)

    def _needles(self, own: Texts, told: Words) -> tuple[Needles, Places, Places]:
        """What to look for; of each needle the value it comes from, and which word of it (-1: the whole value)."""
        kinds, counts = len(self.mentions), told.counts
        whole = np.array([m.whole for m in self.mentions])
        values = np.arange(len(own))
        values = values[np.tile(whole, len(own) // kinds) & (counts > 0) & (own.lengths >= SHORTEST)]
        singles = self._telling(own, told)
        starts = np.concatenate([told.first[values], singles])
        lengths = np.concatenate([counts[values], np.ones(len(singles), np.int64)])
        value = np.concatenate([values, told.rows[singles]])
        word = np.concatenate([np.full(len(values), -1), singles - told.first[told.rows[singles]]])
        hashes = stretches(told.hashes, starts, starts + lengths)
        return Needles(value // kinds, lengths, told.hashes[starts], hashes), value, word

    def _telling(self, own: Texts, told: Words) -> Places:
        """Words of the values that tell of a person by themselves, as in `words.name_words`."""
        kind = np.tile(np.arange(len(self.mentions)), len(own) // len(self.mentions))
        place = np.array([m.entity_type in PLACES for m in self.mentions])
        by_word = np.array([m.by_word for m in self.mentions])
        words = np.flatnonzero(by_word[kind][told.rows])
        rows = told.rows[words]
        here = place[kind][rows]
        marks = told.marks(self._boring)[words]
        boring = (marks & np.where(here, 2, 1).astype(np.uint8)) > 0
        alone = (told.counts == 1)[rows] & ~here  # a last name such as Do or Le
        telling = alone | ~boring
        telling &= _within(told, words, (own.data & 0xC0) != 0x80) >= np.where(here, 4, 2)
        if here.any():
            telling &= ~here | (_within(told, words, KIND[own.data] == DIGIT) == 0)
        made: Places = words[telling]
        return made

    def _replacements(self, value: Places, word: Places, told: Words, new: Texts) -> tuple[Places, Places]:
        """Where each replacement begins, and its length.

        A word gets the pseudonym's word at its place, counted from the end, since titles and middle names stand before a last name;
        where there are fewer, the first one; without a pseudonym, a token.
        """
        kind = value % len(self.mentions)
        starts, lengths = new.offsets[value], new.lengths[value]
        single = np.flatnonzero(word >= 0)
        wanted, which = np.unique(value[single], return_inverse=True)
        some = new.take(wanted)
        made = Words.of(some)
        single, which = single[made.counts[which] > 0], which[made.counts[which] > 0]
        at = np.maximum(word[single] - told.counts[value[single]] + made.counts[which], 0) + made.first[which]
        starts[single] = made.starts[at] + (new.offsets[wanted] - some.offsets[:-1])[which]
        lengths[single] = made.ends[at] - made.starts[at]
        without, tokens = ~new.valid[value], self._tokens
        starts[without] = tokens.offsets[kind[without]] + len(new.data)
        lengths[without] = tokens.lengths[kind[without]]
        return starts, lengths


class Searched(Scrubber):
    """The same with three more columns: what a detector found, see `spans.merged`. The engine counts the arguments."""

    def __call__(  # type: ignore[override]
        self, column: Array, own: Array, new: Array, starts: Array, ends: Array, made: Array
    ) -> pa.Array:
        """Scrub a batch that was searched."""
        return self.scrub(column, own, new, starts, ends, made)


def _led(texts: Texts, begins: Places, rows: Places, own: Texts, told: Words, value: Places, word: Places) -> Flags:
    """Before which places the sign stands with which the whole value begins, as `(` of a telephone number."""
    first = own.offsets[value]
    led = (word < 0) & (told.starts[told.first[value]] == first + 1) & (begins > texts.offsets[rows])
    led[led] = texts.data[begins[led] - 1] == own.data[first[led]]
    made: Flags = led
    return made


def _flat(lists: Array) -> Texts:
    """The values of lists of equal length, one list after the other."""
    if isinstance(lists, pa.ChunkedArray):
        return Texts.of(pa.chunked_array([chunk.flatten() for chunk in lists.chunks], pa.string()))
    return Texts.of(lists.flatten())


def _within(words: Words, some: Places, marked: Flags) -> Places:
    """How many marked bytes some of the words have."""
    if marked.all():
        return words.ends[some] - words.starts[some]
    total = np.concatenate([np.zeros(1, np.int64), np.cumsum(marked)])
    made: Places = total[words.ends[some]] - total[words.starts[some]]
    return made


def _without_forms(texts: Texts, places: Stretches, other: Bytes, rows: Places) -> Texts:
    """Some rows with marks for what is replaced, then without known forms, then with the replacements."""
    index = np.full(len(texts), -1)
    index[rows] = np.arange(len(rows))
    here = np.flatnonzero(index[places.rows] >= 0)
    row = index[places.rows[here]]
    first = np.searchsorted(row, np.arange(len(rows)))
    serial = np.arange(len(here)) - first[row]
    some = texts.take(rows)
    shift = texts.offsets[:-1][places.rows[here]] - some.offsets[:-1][row]
    fits = serial < _MARKS
    at, length = np.where(fits, 3 * np.arange(len(here)), 3 * len(here)), np.where(fits, 3, len(_TOO_MANY))
    hidden = Stretches(row, places.starts[here] - shift, places.ends[here] - shift, at, length)
    marks = np.concatenate([_marks(serial % _MARKS), np.frombuffer(_TOO_MANY, np.uint8)])
    return _shown(without_forms(assembled(some, hidden, marks)), first, here, places, other)


def _marks(serial: Places) -> Bytes:
    """Private-use characters in UTF-8, three bytes each."""
    character = serial + _FIRST_MARK
    made = np.stack([0xE0 | character >> 12, 0x80 | character >> 6 & 63, 0x80 | character & 63], axis=1)
    return made.astype(np.uint8).reshape(-1)


def _shown(masked: Texts, first: Places, here: Places, places: Stretches, other: Bytes) -> Texts:
    """The texts with the replacements in the places of their marks."""
    data = masked.data
    starts = np.flatnonzero((data == 0xEE) | (data == 0xEF))
    bytes_ = [data[starts + i].astype(np.int64) for i in range(3)]
    serial = ((bytes_[0] & 15) << 12 | (bytes_[1] & 63) << 6 | (bytes_[2] & 63)) - _FIRST_MARK
    starts, serial = starts[(serial >= 0) & (serial < _MARKS)], serial[(serial >= 0) & (serial < _MARKS)]
    rows = np.searchsorted(masked.offsets, starts, "right") - 1
    which = here[first[rows] + serial]
    back = Stretches(rows, starts, starts + 3, places.new_starts[which], places.new_lengths[which])
    return assembled(masked, back, other)
