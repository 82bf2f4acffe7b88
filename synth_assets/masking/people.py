"""Made-up names and places from the generator's lists, chosen by digest: the same person's name stays the same made-up name.

What belongs here: first, last and whole names that fit the sex, streets, cities, ZIP codes, firms. What does not: numbers and codes
(formats.py). A made-up name may be somebody's; it is never the one it stands for.
"""

from __future__ import annotations

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir

from synth_assets.generation import lists
from synth_assets.masking.arrays import element
from synth_assets.masking.formats import padded, shaped
from synth_assets.masking.pseudonyms import digest, number
from synth_assets.masking.recipes import Cell, Recipe

_TITLES = r"(?i)^(?:(?:mr|mrs|ms|miss|dr|prof|herr|frau|rev|sir)\.? +)+"
_SUFFIXES = r"(?i)(?:,? +(?:jr|sr|ii|iii|iv|md|phd|m\.d|ph\.d|rn|do|esq)\.?)+$"
_TRIES = 3


def pick(cell: Cell, name: str, values: Sequence[str], digits: ir.StringValue, avoid: ir.StringValue) -> ir.StringValue:
    """An entry of a list by a piece of the digest; the next one where the original holds it (case-insensitive).

    Args:
        cell: For the bound list.
        name: Name of the list, for binding.
        values: Its entries.
        digits: At least 12 hex digits.
        avoid: The original, in lower case.
    """
    entries = cell.ring.words(name, values)
    first = number(digits, 0, 12)
    made = [element(entries, (first + i) % len(values)) for i in range(_TRIES)]
    return ibis.cases(*((~avoid.contains(m.lower()), m) for m in made[:-1]), else_=made[-1])  # type: ignore[no-any-return]


def _cased(original: ir.StringValue, made: ir.StringValue) -> ir.StringValue:
    """Capitals where the original has only capitals, small letters where it has only those; null where it is null."""
    return ibis.cases(  # type: ignore[no-any-return]
        (original.isnull(), ibis.null("string")),
        ((original == original.upper()) & (original.length() > 1), made.upper()),
        (original == original.lower(), made.lower()),
        else_=made,
    )


def _first(cell: Cell, original: ir.StringValue, digits: ir.StringValue) -> ir.StringValue:
    """A first name by the sex column where there is one, else from the names of both."""
    women, men = lists.first_names("F"), lists.first_names("M")
    avoid = original.lower()
    everyone = pick(cell, "first names", tuple(dict.fromkeys((*women, *men))), digits, avoid)
    sex = cell.companion("sex")
    if sex is None:
        return everyone
    letter = sex.cast("string").strip().lower().substr(0, 1)
    return ibis.cases(  # type: ignore[no-any-return]
        (letter.isin(["f", "w"]), pick(cell, "first names F", women, digits, avoid)),
        (letter == "m", pick(cell, "first names M", men, digits, avoid)),
        else_=everyone,
    )


def _last(cell: Cell, original: ir.StringValue, digits: ir.StringValue) -> ir.StringValue:
    return pick(cell, "last names", lists.last_names(), digits, original.lower())


def _name_digest(cell: Cell, part: str, text: ir.StringValue) -> ir.StringValue:
    """Digest of one name part; letter case and outer blanks do not matter, and parts are shared by all name columns."""
    return (cell.ring.key(f"name/{part}") + text.strip().lower()).hexdigest("sha256")  # type: ignore[no-any-return]


def first_name() -> Recipe:
    """A first name."""
    return (lambda cell: _name_digest(cell, "first", cell.text), lambda cell: _cased(cell.text, _first(cell, cell.text, cell[0])))


def last_name() -> Recipe:
    """A last name."""
    return (lambda cell: _name_digest(cell, "last", cell.text), lambda cell: _cased(cell.text, _last(cell, cell.text, cell[0])))


def person_name() -> Recipe:
    """First and last name, made from the same parts as in first-name and last-name columns; "Last, First" keeps its order.

    Titles, suffixes and middle names are left out. One word alone counts as a last name.
    """

    def plain(cell: Cell) -> ir.StringValue:
        return cell.text.strip().re_replace(_TITLES, "").re_replace(_SUFFIXES, "")

    def first(cell: Cell) -> ir.StringValue:
        return cell[0].contains(",").ifelse(cell[0].re_extract(r",\s*(\S+)", 1), cell[0].re_extract(r"^(\S+)\s", 1))

    def last(cell: Cell) -> ir.StringValue:
        return cell[0].contains(",").ifelse(cell[0].re_extract(r"^\s*([^,]*)", 1), cell[0].re_extract(r"(\S+)$", 1))

    def result(cell: Cell) -> ir.StringValue:
        a, b = _first(cell, cell[0], cell[3]), _last(cell, cell[0], cell[4])
        made = ibis.cases((cell[1] == "", b), (cell[0].contains(","), b + ", " + a), else_=a + " " + b)
        return _cased(cell.text, made)

    return (
        plain,
        first,
        last,
        lambda cell: _name_digest(cell, "first", cell[1]),
        lambda cell: _name_digest(cell, "last", cell[2]),
        result,
    )


def street_address() -> Recipe:
    """House number and street."""

    def result(cell: Cell) -> ir.StringValue:
        street = pick(cell, "streets", lists.streets(), cell[0], cell.text.lower())
        return _cased(cell.text, (number(cell[0], 12, 8) % 9998 + 1).cast("string") + " " + street)

    return (digest, result)


def city() -> Recipe:
    """A US city; that it fits the state or the ZIP code is not promised."""
    names = tuple(dict.fromkeys(c.name for c in lists.cities()))
    return (
        lambda cell: digest(cell, cell.text.strip().lower()),
        lambda cell: _cased(cell.text, pick(cell, "cities", names, cell[0], cell.text.lower())),
    )


def company() -> Recipe:
    """An invented firm."""
    return (digest, lambda cell: _cased(cell.text, pick(cell, "firms", lists.companies(), cell[0], cell.text.lower())))


def zip_code() -> Recipe:
    """US codes keep the first three digits, so that state and region still fit, and get another end; others keep their shape."""

    def five(cell: Cell) -> ir.StringValue:  # a whole number has lost its leading zeros
        return cell.text if cell.target.dtype == "string" else cell.text.lpad(5, "0")

    def end(cell: Cell) -> ir.IntegerValue:  # 1 to 99 further than the original, so never the same
        return (cell[1].substr(3, 2).try_cast("int64") + number(cell[0], 0, 8) % 99 + 1) % 100

    def result(cell: Cell) -> ir.StringValue:
        short = cell[1].substr(0, 3) + padded(cell[2], 2)
        return ibis.cases(
            (cell[1].re_search(r"^\d{5}$"), short),
            (cell[1].re_search(r"^\d{5}-\d{4}$"), short + "-" + padded(number(cell[0], 8, 8) % 10_000, 4)),
            else_=shaped(cell[1], cell[0]),
        )

    return (digest, five, end, result)
