"""Free text: the row's own identifying values and those of its parents become the pseudonyms of their columns, then known forms go.

What belongs here: replacing inside running text. What does not: names of people who stand in no column; those need a language model or
a person, and docs/masking.md says so. Whole values go first, the longest kinds before shorter ones, then single words, then forms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from synth_assets.masking.arrays import chained, each, each_at, element, position_of
from synth_assets.masking.canonical import SHORTEST
from synth_assets.masking.recipes import Cell, Recipe, Step
from synth_assets.masking.words import NAMES, PLACES, WORD, name_words
from synth_assets.pii.patterns import TEXT
from synth_assets.pii.taxonomy import taxonomy

# private-use characters stand for what was replaced until all forms are gone, so that no form eats a pseudonym
_FIRST_MARK, _NEW_WORD, _EDGE = 0xE000, chr(0xE0FF), "\x01"
_MARKS = r"[\x{E000}-\x{E0FF}\x01]"
_OWN, _NEW = "\x1fown words", "\x1fnew words"
_MOST_VALUES = 200
_LONGEST_FIRST = {"url": 0, "email": 1, "street_address": 2}
_IDS = frozenset({"customer_id", "other_id"})
_FORMS = (
    "url",
    "email",
    "mac_address",
    "iban",
    "date",
    "ip_address",
    "ssn",
    "card_number",
    "phone",
    "mrn",
    "street_address",
    "person_name",
)
_LONG_NUMBER = r"\b(?:[A-Za-z]{1,4}-?)?\d{7,}\b"
_OLD_AGE = r"(?i)\b(?:9\d|1[0-4]\d)([- ]?(?:years?|yrs?|y)[- ]?(?:old|/?o)\b)"

Pass = Callable[[ir.Table, ir.Value], ir.Value]


@ibis.udf.scalar.builtin(name="replace", signature=((dt.string, dt.string, dt.string), dt.string))  # type: ignore[untyped-decorator]
def _replace(text: str, old: str, new: str) -> str: ...  # type: ignore[empty-body]


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


def is_told(entity_type: str) -> bool:
    """Whether values of this type are looked for in the texts of their rows."""
    return entity_type in NAMES | PLACES | _IDS or taxonomy()[entity_type].unique_by_nature


def token(entity_type: str) -> str:
    """What stands in a text for a value that has no pseudonym."""
    return f"[{entity_type.upper()}]"


def with_words(table: ir.Table, mentions: Sequence[Mention]) -> ir.Table:
    """Put beside every row the words to look for in its texts, and what replaces each: two arrays of equal length.

    A word gets the pseudonym's word at its place, counted from the end; where there are fewer, the first one; without a pseudonym, a
    token.

    Args:
        table: Holds the raw values and their pseudonyms.
        mentions: Where they stand.
    """
    parts = [m for m in mentions if m.entity_type in NAMES | PLACES]
    nothing = ibis.literal([], "array<string>")
    split: dict[str, ir.Value] = {}
    for i, mention in enumerate(parts):
        split[f"{_OWN}{i}"] = name_words(table[mention.source], mention.entity_type).fill_null(nothing)
        if mention.replacement is not None:
            split[f"{_NEW}{i}"] = table[mention.replacement].re_split(f"[^{WORD[1:-2]}]+").fill_null(nothing)
    table = table.mutate(**split)
    paired = {}
    for i, mention in enumerate(parts):
        own, made = table[f"{_OWN}{i}"], f"{_NEW}{i}"
        new = _aligned(own, table[made]) if made in split else _tokens(own, mention.entity_type)
        paired[made] = new
    table = table.mutate(**paired)
    joined = {
        side: chained([table[f"{side}{i}"] for i in range(len(parts))]) if parts else nothing for side in (_OWN, _NEW)
    }
    return table.mutate(**joined)


def _aligned(own: ir.ArrayValue, made: ir.ArrayValue) -> ir.ArrayValue:
    """Words counted from the end, since titles and middle names stand before a last name."""
    return each_at(
        own,
        lambda _, i: ibis.coalesce(element(made, i - own.length() + made.length()), element(made, ibis.literal(0)), ""),
    )


def _tokens(own: ir.ArrayValue, entity_type: str) -> ir.ArrayValue:
    return each(own, lambda _: ibis.literal(token(entity_type)))


def scrub(mentions: Sequence[Mention]) -> Recipe:
    """The recipe of a text column.

    Args:
        mentions: What to look for; `with_words` has prepared the table.
    """
    whole = sorted((m for m in mentions if m.whole), key=lambda m: _LONGEST_FIRST.get(m.entity_type, 9))[:_MOST_VALUES]
    marked = [(m, chr(_FIRST_MARK + i)) for i, m in enumerate(whole)]
    passes: list[Pass] = [_hide(m, mark) for m, mark in marked]
    if any(m.entity_type in NAMES | PLACES for m in mentions):
        passes += [lambda _, text: text.re_replace(f"({WORD})", rf"{_EDGE}\1{_EDGE}"), _without_words]
    passes += [_without_form(entity_type) for entity_type in _FORMS]
    passes += [
        lambda _, text: text.re_replace(_LONG_NUMBER, "[NUMBER]").re_replace(_OLD_AGE, r"90+\1").replace(_NEW_WORD, "")
    ]
    passes += [_show(m, mark) for m, mark in marked]
    return (lambda cell: cell.value.re_replace(_MARKS, ""), *(_step(i, p) for i, p in enumerate(passes)))


def _step(before: int, make: Pass) -> Step:
    def step(cell: Cell) -> ir.Value:
        return make(cell.table, cell[before])

    return step


def _hide(mention: Mention, mark: str) -> Pass:
    """A whole value becomes one private character; also where the text has it in capitals or small letters."""

    def make(table: ir.Table, text: ir.Value) -> ir.Value:
        raw = table[mention.source]
        gone = text
        for spelling in (raw, raw.upper(), raw.lower()):
            gone = _replace(gone, spelling, mark)
        return (raw.length() >= SHORTEST).fill_null(False).ifelse(gone, text)

    return make


def _show(mention: Mention, mark: str) -> Pass:
    """The private character becomes the pseudonym, or a token."""

    def make(table: ir.Table, text: ir.Value) -> ir.Value:
        name = token(mention.entity_type)
        new = name if mention.replacement is None else table[mention.replacement].cast("string").fill_null(name)
        return _replace(text, mark, new)

    return make


def _without_form(entity_type: str) -> Pass:
    """A known form becomes a token."""
    return lambda _, text: text.re_replace(TEXT[entity_type], token(entity_type))


def _without_words(table: ir.Table, text: ir.Value) -> ir.Value:
    """Words of names and addresses of the row become their pseudonym's words; whole words, any letter case."""

    def replaced(piece: ir.StringValue) -> ir.StringValue:
        made = element(table[_NEW], position_of(table[_OWN], piece.lower()))
        return (piece != "").ifelse((ibis.literal(_NEW_WORD) + made).fill_null(piece), piece)

    return each(text.split(_EDGE), replaced).join("")
