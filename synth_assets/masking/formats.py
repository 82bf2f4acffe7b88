"""Made-up e-mail addresses and pages at reserved domains, and pieces of digits.

What belongs here: forms whose room is so large that two values never meet. What does not: numbers and codes (forms.py), names and
places (people.py). Each recipe ends in a text or null.
"""

from __future__ import annotations

import ibis.expr.types as ir

from synth_assets.generation import lists
from synth_assets.masking.arrays import element
from synth_assets.masking.pseudonyms import digest, number
from synth_assets.masking.recipes import Cell, Recipe

RESERVED_DOMAINS = ("example.com", "example.org", "example.net")  # RFC 2606


def padded(value: ir.IntegerValue, width: int) -> ir.StringValue:
    """A whole number below 10**width with leading zeros."""
    return (value + 10**width).cast("string").substr(1)


def email() -> Recipe:
    """first.last.<12 hex digits> at a reserved domain; letter case of the original does not matter."""
    firsts = _plain((*lists.first_names("F"), *lists.first_names("M")))
    lasts = _plain(lists.last_names())

    def address(cell: Cell) -> ir.StringValue:
        drawn = number(cell[0], 0, 12)
        first = element(cell.ring.words("e-mail first", firsts), drawn % len(firsts))
        last = element(cell.ring.words("e-mail last", lasts), drawn // len(firsts) % len(lasts))
        domain = element(
            cell.ring.words("e-mail domain", RESERVED_DOMAINS),
            drawn // (len(firsts) * len(lasts)) % len(RESERVED_DOMAINS),
        )
        return first + "." + last + "." + cell[0].substr(12, 12) + "@" + domain

    return (lambda cell: digest(cell, cell.text.lower()), address)


def _plain(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({n.lower() for n in names if n.isascii() and n.isalpha()}))


def url() -> Recipe:
    """A page of a reserved domain; the scheme stays."""

    def address(cell: Cell) -> ir.StringValue:
        scheme = cell.text.re_extract(r"^([A-Za-z][A-Za-z0-9+.-]*://)", 1)
        return scheme + "www.example.com/" + cell[0].substr(0, 16)

    return (digest, address)
