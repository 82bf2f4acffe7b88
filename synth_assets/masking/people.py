"""Made-up names and places from the generator's lists, chosen by digest: the same person's name stays the same made-up name.

What belongs here: first, last and whole names that fit the sex, streets, cities, ZIP codes, firms. What does not: numbers and codes
(formats.py). A made-up name may be somebody's; it is never the one it stands for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import ibis
import ibis.expr.types as ir

from synth_assets.config.base import LocaleName
from synth_assets.generation import lists, locales
from synth_assets.masking.arrays import element
from synth_assets.masking.formats import padded
from synth_assets.masking.forms import CODE
from synth_assets.masking.pseudonyms import digest, number
from synth_assets.masking.recipes import Cell, Recipe, Step

_TITLES = r"(?i)^(?:(?:mr|mrs|ms|miss|dr|prof|herr|frau|rev|sir)\.? +)+"
_SUFFIXES = r"(?i)(?:,? +(?:jr|sr|ii|iii|iv|md|phd|m\.d|ph\.d|rn|do|esq)\.?)+$"
_TRIES = 3


@dataclass(frozen=True)
class _Drawing:
    """How an entry of a list is drawn: steps `digest`, then `place` in the list, then the entry; `avoid` is the original.

    Args:
        name: Name of the list, for binding.
        entries: The list.
        original: The text that the entry stands for.
        start: First position and number of positions to choose from; the whole list when None.
    """

    name: str
    entries: tuple[str, ...]
    original: Step
    start: Callable[[Cell], tuple[ir.IntegerValue, ir.IntegerValue]] | None = None

    def entry(self, cell: Cell, digits: ir.StringValue, more: int = 0) -> ir.StringValue:
        """The entry that the digest points to, or one further on."""
        first, size = self.start(cell) if self.start else (0, len(self.entries))
        return element(cell.ring.words(self.name, self.entries), first + (number(digits, 0, 12) + more) % size)

    def steps(self, digits: Step, before: int) -> Recipe:
        """Two steps: an entry, and the same or the next one that the original does not hold (whatever the letter case).

        Args:
            digits: The digest, from an earlier step.
            before: Number of steps before these two.
        """

        def chosen(cell: Cell) -> ir.StringValue:
            avoid = self.original(cell).lower()
            others = [self.entry(cell, digits(cell), i) for i in range(1, _TRIES)]
            cases = [(~avoid.contains(m.lower()), m) for m in (cell[before], *others)]
            return ibis.cases((cell.value.isnull(), ibis.null("string")), *cases, else_=others[-1])

        return (lambda cell: self.entry(cell, digits(cell)), chosen)


def _cased(original: ir.StringValue, made: ir.StringValue) -> ir.StringValue:
    """Capitals where the original has only capitals, small letters where it has only those; `made` from an earlier step."""
    small, capital = original.re_search(r"\p{Ll}"), original.re_search(r"\p{Lu}")
    return ibis.cases(
        (original.isnull(), ibis.null("string")),
        (~small & capital & (original.length() > 1), made.upper()),
        (~capital & small, made.lower()),
        else_=made,
    )


def _text(cell: Cell) -> ir.StringValue:
    return cell.text


def _drawn(drawing: _Drawing, hashed: Step) -> Recipe:
    """Digest, entry, entry that is not the original, letter case."""
    return (hashed, *drawing.steps(lambda cell: cell[0], 1), lambda cell: _cased(cell.text, cell[2]))


def _name_digest(part: str, text: Step) -> Step:
    """Digest of one name part; letter case and outer blanks do not matter, and parts are shared by all name columns."""
    return lambda cell: (cell.ring.key(f"name/{part}") + text(cell).strip().lower()).hexdigest("sha256")


def _names(locale: LocaleName, kind: Literal["female", "male", "last"]) -> tuple[str, ...]:
    """Names of one word outside the United States: of "Anne-Marie" a Marie would keep her name."""
    return locales.words(locale, kind) if locale == locales.DEFAULT else locales.one_word(locale, kind)


def _firsts(original: Step, locale: LocaleName) -> _Drawing:
    """First names: women's, then men's; those of the row's sex where there is a sex column that says F or M in some way."""
    women, men = _names(locale, "female"), _names(locale, "male")

    def start(cell: Cell) -> tuple[ir.IntegerValue, ir.IntegerValue]:
        sex = cell.companion("sex")
        everyone = ibis.literal(len(women) + len(men), "int64")
        if sex is None:
            return ibis.literal(0, "int64"), everyone
        letter = sex.cast("string").re_extract(r"^\s*(\S)", 1).lower()
        size = ibis.cases((letter.isin(["f", "w"]), len(women)), (letter == "m", len(men)), else_=everyone)
        return (letter == "m").fill_null(False).ifelse(len(women), 0), size

    return _Drawing(f"first names {locale}", (*women, *men), original, start)


def _lasts(original: Step, locale: LocaleName) -> _Drawing:
    return _Drawing(f"last names {locale}", _names(locale, "last"), original)


def first_name(locale: LocaleName = locales.DEFAULT) -> Recipe:
    """A first name that fits the sex."""
    return _drawn(_firsts(_text, locale), _name_digest("first", _text))


def last_name(locale: LocaleName = locales.DEFAULT) -> Recipe:
    """A last name."""
    return _drawn(_lasts(_text, locale), _name_digest("last", _text))


def person_name(locale: LocaleName = locales.DEFAULT) -> Recipe:
    """First and last name, made from the same parts as in first-name and last-name columns; "Last, First" keeps its order.

    Titles, suffixes and middle names are left out. One word alone counts as a last name.
    """

    def plain(cell: Cell) -> ir.StringValue:
        return cell.text.strip().re_replace(_TITLES, "").re_replace(_SUFFIXES, "")

    def first(cell: Cell) -> ir.StringValue:
        return cell[0].contains(",").ifelse(cell[0].re_extract(r",\s*(\S+)", 1), cell[0].re_extract(r"^(\S+)\s", 1))

    def last(cell: Cell) -> ir.StringValue:
        return cell[0].contains(",").ifelse(cell[0].re_extract(r"^\s*([^,]*)", 1), cell[0].re_extract(r"(\S+)$", 1))

    def whole(cell: Cell) -> ir.Value:
        return cell[0]

    def result(cell: Cell) -> ir.StringValue:
        a, b = cell[6], cell[8]
        return ibis.cases((cell[1] == "", b), (cell[0].contains(","), b + ", " + a), else_=a + " " + b)

    return (
        plain,
        first,
        last,
        _name_digest("first", lambda cell: cell[1]),
        _name_digest("last", lambda cell: cell[2]),
        *_firsts(whole, locale).steps(lambda cell: cell[3], 5),
        *_lasts(whole, locale).steps(lambda cell: cell[4], 7),
        result,
        lambda cell: _cased(cell.text, cell[9]),
    )


def street_address(locale: LocaleName = locales.DEFAULT) -> Recipe:
    """House number, street name of one word, suffix; elsewhere in the order and with the words of the country."""
    street = _Drawing(f"street names {locale}", locales.one_word(locale, "street"), _text)
    suffixes = lists.names("street_suffixes")

    def result(cell: Cell) -> ir.StringValue:
        drawn = number(cell[0], 12, 8)
        if locale != locales.DEFAULT:
            return _addressed(locale, cell[2], (drawn % 299 + 1).cast("string"))
        suffix = element(cell.ring.words("street suffixes", suffixes), drawn // 9998 % len(suffixes))
        return (drawn % 9998 + 1).cast("string") + " " + cell[2] + " " + suffix

    return (digest, *street.steps(lambda cell: cell[0], 1), result, lambda cell: _cased(cell.text, cell[3]))


def _addressed(locale: LocaleName, name: ir.StringValue, house: ir.StringValue) -> ir.StringValue:
    """An address as the country writes it."""
    of = locales.locale_of(locale)
    before, after = of.street.split("{}")
    street: ir.StringValue = ibis.literal(before) + name + ibis.literal(after)
    between = re.split(r"\{\w+\}", of.house)[1]
    return house + between + street if of.house.startswith("{n}") else street + between + house


def city(locale: LocaleName = locales.DEFAULT) -> Recipe:
    """A city of one word; that it fits the region or the postcode is not promised."""
    if locale == locales.DEFAULT:
        names = tuple(dict.fromkeys(c.name for c in lists.cities() if c.name.isalpha()))
    else:
        names = tuple(p.city for p in locales.places(locale) if p.city.isalpha())
    return _drawn(_Drawing(f"cities {locale}", names, _text), lambda cell: digest(cell, cell.text.strip().lower()))


LOCAL = {
    "person_name": person_name, "first_name": first_name, "last_name": last_name, "street_address": street_address, "city": city,
}  # fmt: skip


def company() -> Recipe:
    """An invented firm."""
    return _drawn(_Drawing("firms", lists.companies(), _text), digest)


def zip_code() -> Recipe:
    """US codes keep the first three digits, so that state and region still fit, and get another end; others keep their shape."""

    def five(cell: Cell) -> ir.StringValue:  # a whole number has lost its leading zeros
        return cell.text if cell.target.dtype == "string" else cell.text.lpad(5, "0")

    def end(cell: Cell) -> ir.IntegerValue:  # 1 to 99 further than the original, so never the same
        return (cell[1].substr(3, 2).try_cast("int64") + number(cell[0], 0, 8) % 99 + 1) % 100

    def usual(cell: Cell) -> ir.BooleanValue:
        return cell[1].isnull() | cell[1].re_search(r"^\d{5}(?:-\d{4})?$")

    def other(cell: Cell) -> ir.StringValue:
        return cell.ring.draw(CODE, cell.domain, 0)(cell[3].ifelse(ibis.null("string"), cell[1]))

    def result(cell: Cell) -> ir.StringValue:
        short = cell[1].substr(0, 3) + padded(cell[2], 2)
        long = short + "-" + padded(number(cell[0], 8, 8) % 10_000, 4)
        return ibis.cases((cell[3] & (cell[1].length() == 10), long), (cell[3], short), else_=cell[4])

    return (digest, five, end, usual, other, result)
