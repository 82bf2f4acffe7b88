"""Identifiers inside running text: a fast built-in detector for text cells, by forms, check digits and name lists.

What belongs here: finding spans, and the share of a column's cells that hold one. What does not: replacing them (masking). It finds
much and not all: no detector of free text is complete, so a released text column needs more than this.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc

from synth_assets.pii import checksums
from synth_assets.pii.dictionaries import normalise, word_list, word_set
from synth_assets.pii.patterns import TEXT
from synth_assets.pii.places_in_text import cities, labelled_addresses

# Types in order of trust: where two spans overlap, the earlier type wins, then the longer span.
_ORDER = (
    "email", "url", "iban", "card_number", "ssn", "npi", "mac_address", "ip_address", "mrn", "date", "phone", "street_address",
    "person_name",
)  # fmt: skip
_CONFIDENCE = {
    "email": 0.99, "url": 0.97, "iban": 0.99, "card_number": 0.97, "ssn": 0.9, "npi": 0.97, "mac_address": 0.97, "ip_address": 0.9,
    "mrn": 0.95, "date": 0.9, "phone": 0.85, "street_address": 0.85, "person_name": 0.9,
}  # fmt: skip
_LABELLED, _PLACED = 0.8, 0.75
_PAIR = re.compile(
    r"\b[A-ZÀ-ÖØ-Þ][a-zà-öø-ÿ'\u2019\-]+,?(?: [A-Z]\.)?(?: (?:van|von|de|der|den|da|di|del|la|ten|ter|te)){0,2}"
    r" [A-ZÀ-ÖØ-Þ][\wà-öø-ÿ'\u2019\-]+"
)
_NO_NAMES = (
    "calendar_words",
    "countries",
    "nationalities",
    "languages",
    "organization_words",
    "diagnosis_words",
    "occupation_words",
)
_NOT_FIRST = word_set(
    "the this that a an in on at for to from and or but no not all any may will can new old good ",
    "he she it we they you is was are ",
    "been has had patient doctor nurse clinic hospital general memorial regional medical street avenue north south east west ",
    "january april june august mark page chase rose lane",
)


@dataclass(frozen=True)
class Span:
    """One identifier in a text.

    Attributes:
        entity_type: Type of `taxonomy.entity_types()`; dates of unknown role are "event_date".
        start: First character, from 0.
        end: One past the last character.
        confidence: 0 to 1, by type and check.
    """

    entity_type: str
    start: int
    end: int
    confidence: float


@cache
def _compiled() -> dict[str, re.Pattern[str]]:
    return {name: re.compile(pattern) for name, pattern in TEXT.items()}


def find_entities(text: str) -> tuple[Span, ...]:
    """Identifiers in one text, in order, without overlaps.

    Args:
        text: Any text, of any length.

    Returns:
        Spans with 0 <= start < end <= len(text), each start at or after the end of the one before.
    """
    found: list[tuple[int, Span]] = []
    for rank, kind in enumerate(_ORDER):
        matches = (m for m in _compiled()[kind].finditer(text) if _accepts(kind, m.group()))
        found += [(rank, Span(_type_of(kind), m.start(), m.end(), _CONFIDENCE[kind])) for m in matches]
    street = _ORDER.index("street_address")
    labelled = [Span("street_address", *place, _LABELLED) for place in labelled_addresses(text)]
    found += [(street, span) for span in labelled]
    addresses = sorted({(s.start, s.end) for _, s in found if s.entity_type == "street_address"})
    found += [(street, Span("city", *place, _PLACED)) for place in cities(text, addresses)]
    found += [(len(_ORDER), span) for span in _name_pairs(text)]
    return _without_overlaps(found)


def _type_of(kind: str) -> str:
    return "event_date" if kind == "date" else kind


def _accepts(kind: str, value: str) -> bool:
    check: Callable[[str], bool] | None = {"card_number": checksums.card_number, "iban": checksums.iban}.get(kind)
    if kind == "ssn":
        return checksums.ssn(value) or checksums.digits(value)[:1] == "9"
    return check is None or check(value)


def _name_pairs(text: str) -> Iterable[Span]:
    """Two capitalised words that begin with a known first name, or a last name, a comma and a first name."""
    position = 0
    while match := _PAIR.search(text, position):
        sure = _is_name(match.group())
        if sure:
            yield Span("person_name", match.start(), match.end(), sure)
            position = match.end()
        else:
            blank = text.find(" ", match.start())
            position = blank + 1 if blank >= 0 else match.end()


def _is_name(pair: str) -> float:
    """How sure two capitalised words are a name: 0.7 where both are known, 0.5 where the first name is, else 0."""
    first, last = word_list("first_names"), word_list("last_names")
    words = normalise(pair).split()
    if len(words) < 2 or words[0] in _NOT_FIRST or words[-1] in _NOT_FIRST:
        return 0.0
    if "," in pair:
        return 0.7 if words[0] in last and words[-1] in first else 0.0
    if words[0] not in first:
        return 0.0
    if words[-1] in last:
        return 0.7
    return 0.5 if len(words[-1]) > 2 and not any(words[-1] in word_list(name) for name in _NO_NAMES) else 0.0


def _without_overlaps(found: Sequence[tuple[int, Span]]) -> tuple[Span, ...]:
    kept: list[Span] = []
    for _, span in sorted(found, key=lambda item: (item[0], item[1].start - item[1].end, item[1].start)):
        if all(span.end <= other.start or span.start >= other.end for other in kept):
            kept.append(span)
    return tuple(sorted(kept, key=lambda s: s.start))


def entity_shares(cells: pa.Array | pa.ChunkedArray | Sequence[str | None]) -> dict[str, float]:
    """Share of cells with at least one form of each entity type, by vectorised matching without check digits.

    Args:
        cells: Texts; missing cells do not count.

    Returns:
        Entity type -> share in (0, 1]; types that occur nowhere are left out.
    """
    texts = cells if isinstance(cells, pa.Array | pa.ChunkedArray) else pa.array(list(cells), pa.string())
    texts = texts.drop_null()
    if not len(texts):
        return {}
    shares = {
        _type_of(kind): float(pc.mean(pc.match_substring_regex(texts, TEXT[kind]).cast(pa.float64())).as_py())
        for kind in _ORDER
    }
    return {kind: share for kind, share in shares.items() if share > 0}
