"""One spelling per identifier, so that 555-123-4567 and (555) 123 4567 are found to be the same.

What belongs here: canonical forms of identifiers, and the table of all raw ones. What does not: searching for them (leakcheck.py), and
drawing pseudonyms that avoid them (unique.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import ibis
import ibis.expr.types as ir

SHORTEST = 5  # letters and digits; shorter identifiers stand in every text by chance
SHORTEST_NUMBER = 7  # digits; house numbers, ZIP codes and amounts are shorter
LONG_NUMBER = 9  # digits that identify without their letters, and inside other text
_TEN = "^([0-9]{3})([0-9]{3})([0-9]{4})$"
_NINE = "^([0-9]{3})([0-9]{2})([0-9]{4})$"
_GROUPS: dict[str, tuple[tuple[str, str], ...]] = {
    "ssn": ((_NINE, r"\1|\2|\3"),),
    "itin": ((_NINE, r"\1|\2|\3"),),
    "phone": ((_TEN, r"\1|\2|\3"), (_TEN, r"\1|\2\3"), (_TEN, r"\1\2|\3")),
    "fax": ((_TEN, r"\1|\2|\3"), (_TEN, r"\1|\2\3"), (_TEN, r"\1\2|\3")),
    "card_number": (
        ("^([0-9]{4})([0-9]{4})([0-9]{4})([0-9]{4})$", r"\1|\2|\3|\4"),
        ("^([0-9]{4})([0-9]{6})([0-9]{5})$", r"\1|\2|\3"),
    ),
    "iban": (("(.{4})", r"\1|"),),
}


@dataclass(frozen=True)
class RawColumn:
    """A raw column that holds identifiers."""

    table: str
    column: str
    dtype: str
    path: Path


def canonical(text: ir.StringValue) -> ir.StringValue:
    """Letters and digits only, in lower case; the country code 1 of an 11-digit number is left out."""
    return text.lower().re_replace(r"[^\pL\pN]", "").re_replace("^1([0-9]{10})$", r"\1")


def digits_alone(text: ir.StringValue) -> ir.StringValue:
    """The digits of a text that also has letters, where they are many enough to identify; else null."""
    enough = text.re_search(r"\pL") & text.re_search(rf"(?:[0-9][^0-9]*){{{LONG_NUMBER}}}")
    return enough.ifelse(text.re_replace("[^0-9]", ""), ibis.null("string"))


def grouped(text: ir.StringValue) -> ir.StringValue:
    """Letters and digits in lower case, `|` for whatever stands between them; a country code 1 in front is left out."""
    return text.lower().re_replace(r"[^\pL\pN]+", "|").re_replace(r"^\|?(?:1\|)?|\|$", "")


def spellings(text: ir.StringValue, plain: ir.StringValue, own: ir.StringValue, entity_type: str) -> ir.ArrayValue:
    """All spellings under which an identifier is looked for.

    As it stands, without separators, parted between letters and digits, parted as numbers of its kind usually are, digits alone. Groups
    are compared as groups: that 02139-1234 has the digits of somebody's SSN is chance.

    Args:
        text: The identifier.
        plain: Its canonical form.
        own: Its groups.
        entity_type: What it is.
    """
    parted = plain.re_replace(r"(\pL)([0-9])", r"\1|\2").re_replace(r"([0-9])(\pL)", r"\1|\2")
    usual = [plain.re_replace(form, groups) for form, groups in _GROUPS.get(entity_type, ())]
    return ibis.array([plain, own, parted, digits_alone(text), *usual])


def is_searchable(spelling: ir.StringValue) -> ir.BooleanValue:
    """Whether a spelling can be looked for: five letters and digits with a letter, seven digits, or four numbers in a row (IP)."""
    with_letter = spelling.re_search(r"\pL") & (spelling.length() >= SHORTEST)
    return (
        with_letter
        | spelling.re_search(rf"^(?:[0-9]\|?){{{SHORTEST_NUMBER},}}$")
        | spelling.re_search(r"^[0-9]+(?:\|[0-9]+){3}$")
    )
