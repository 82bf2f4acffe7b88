"""Made-up names and places from the generator's lists, chosen by digest: the same person's name stays the same made-up name.

What belongs here: first, last and whole names that fit the sex, streets, cities, ZIP codes, firms. What does not: numbers and codes
(formats.py). A made-up name may be somebody's; it is never the one it stands for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from synth_assets.generation import lists
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


def _firsts(original: Step) -> _Drawing:
    """First names: women's, then men's; those of the row's sex where there is a sex column that says F or M in some way."""
    women, men = lists.first_names("F"), lists.first_names("M")

    def start(cell: Cell) -> tuple[ir.IntegerValue, ir.IntegerValue]:
        sex = cell.companion("sex")
        everyone = ibis.literal(len(women) + len(men), "int64")
        if sex is None:
            return ibis.literal(0, "int64"), everyone
        letter = sex.cast("string").re_extract(r"^\s*(\S)", 1).lower()
        size = ibis.cases((letter.isin(["f", "w"]), len(women)), (letter == "m", len(men)), else_=everyone)
        return (letter == "m").fill_null(False).ifelse(len(women), 0), size

    return _Drawing("first names", (*women, *men), original, start)


def _lasts(original: Step) -> _Drawing:
    return _Drawing("last names", lists.last_names(), original)


def first_name() -> Recipe:
    """A first name that fits the sex."""
    return _drawn(_firsts(_text), _name_digest("first", _text))


def last_name() -> Recipe:
    """A last name."""
    return _drawn(_lasts(_text), _name_digest("last", _text))


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
        *_firsts(whole).steps(lambda cell: cell[3], 5),
        *_lasts(whole).steps(lambda cell: cell[4], 7),
        result,
        lambda cell: _cased(cell.text, cell[9]),
    )


def street_address() -> Recipe:
    """House number, street name of one word, suffix."""
    street = _Drawing("street names", tuple(n for n in lists.names("street_names") if n.isalpha()), _text)
    suffixes = lists.names("street_suffixes")

    def result(cell: Cell) -> ir.StringValue:
        drawn = number(cell[0], 12, 8)
        suffix = element(cell.ring.words("street suffixes", suffixes), drawn // 9998 % len(suffixes))
        return (drawn % 9998 + 1).cast("string") + " " + cell[2] + " " + suffix

    return (digest, *street.steps(lambda cell: cell[0], 1), result, lambda cell: _cased(cell.text, cell[3]))


def city() -> Recipe:
    """A US city of one word; that it fits the state or the ZIP code is not promised."""
    names = tuple(dict.fromkeys(c.name for c in lists.cities() if c.name.isalpha()))
    return _drawn(_Drawing("cities", names, _text), lambda cell: digest(cell, cell.text.strip().lower()))


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
