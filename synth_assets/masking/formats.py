"""Format-preserving pseudonyms of numbers and addresses: the form, separators and check digits of the original, nothing of its value.

What belongs here: phone, SSN, card, IBAN, NPI, e-mail, URL, IP, MAC and the letter/digit shape of any other code. What does not: names
and places (people.py), and drawing again where two values meet (unique.py). Each recipe ends in a text or null.
"""

from __future__ import annotations

import itertools
import re
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from synth_assets.generation import lists
from synth_assets.masking.arrays import each, each_at, element
from synth_assets.masking.pseudonyms import digest, number
from synth_assets.masking.recipes import Cell, Recipe, Step
from synth_assets.pii.patterns import CELL

RESERVED_DOMAINS = ("example.com", "example.org", "example.net")  # RFC 2606
_STREAM = 30
_LETTERS = "BCDFGHJKLMNPRSTV"  # 16, for one hex digit each: none that a VIN forbids, no vowels, so no words


@ibis.udf.scalar.builtin(name="substring", signature=((dt.string, dt.int64, dt.int64), dt.string))  # type: ignore[untyped-decorator]
def substring(text: Any, start: Any, length: Any) -> Any:
    """Characters from the 1-based `start`."""


def padded(value: ir.IntegerValue, width: int) -> ir.StringValue:
    """A whole number below 10**width with leading zeros."""
    return (value + 10**width).cast("string").substr(1)


def only_digits(text: ir.StringValue) -> ir.StringValue:
    """The digits of a text."""
    return text.re_replace("[^0-9]", "")


def placed(digits: ir.StringValue, form: str) -> ir.StringValue:
    """Digits in the places of `_` in a form such as `___-__-____`."""
    made: ir.StringValue = ibis.literal("")
    start = 1
    for piece in re.findall("_+|[^_]+", form):
        if piece[0] == "_":
            made, start = made + substring(digits, start, len(piece)), start + len(piece)
        else:
            made = made + piece
    return made


def _pattern(form: str) -> str:
    return "^" + re.escape(form).replace("_", "[0-9]") + "$"


def fill(text: ir.StringValue, digits: ir.StringValue) -> ir.StringValue:
    """The text with its digits replaced one by one; separators stay.

    Args:
        text: The original.
        digits: As many digits as it has; the result of an earlier step, since it is read once per character.
    """
    filled = each_at(text.re_split("[0-9]"), lambda gap, i: gap + substring(digits, i + 1, 1)).join("")
    return text.re_search("[^0-9]").ifelse(filled, digits)


def fifteen(cell: Cell, start: int = 0) -> ir.StringValue:
    """Fifteen digits, even ones, from fifteen hex digits of the digest in step 0."""
    return padded(number(cell[0], start, 15) % 10**15, 15)


def letters(cell: Cell, count: int, start: int) -> ir.StringValue:
    """`count` times three capital letters, cut from the digest in step 0 from a hex digit on."""
    triples = cell.ring.words("letters", ["".join(t) for t in itertools.product(_LETTERS, repeat=3)])
    made = element(triples, number(cell[0], start, 3))
    for i in range(1, count):
        made = made + element(triples, number(cell[0], start + 3 * i, 3))
    return made


def streams(cell: Cell) -> ir.StringValue:
    """30 digits, then 30 capital and 30 small letters, for `shaped`."""
    capitals = letters(cell, _STREAM // 3, 30)
    return fifteen(cell) + fifteen(cell, 15) + capitals + capitals.lower()


def shaped(text: ir.StringValue, material: ir.StringValue) -> ir.StringValue:
    """Every letter becomes a letter of the same case, every digit a digit, the rest stays.

    Args:
        text: The original.
        material: Result of `streams`, in an earlier step.
    """

    def character(c: ir.StringValue, i: ir.IntegerValue) -> ir.StringValue:
        at = i % _STREAM + 1
        return ibis.cases(
            (c.between("0", "9"), substring(material, at, 1)),
            (c.between("A", "Z"), substring(material, at + _STREAM, 1)),
            (c.between("a", "z"), substring(material, at + 2 * _STREAM, 1)),
            (c.re_search(r"^\pL$"), substring(material, at + (c == c.upper()).ifelse(_STREAM, 2 * _STREAM), 1)),
            else_=c,
        )

    return each_at(text.split(""), character).join("")


def _uuid(digits: ir.StringValue) -> ir.StringValue:
    """A random-looking UUID, version 4."""
    start = digits.substr(0, 8) + "-" + digits.substr(8, 4) + "-4" + digits.substr(13, 3)
    return start + "-a" + digits.substr(17, 3) + "-" + digits.substr(20, 12)


def shape() -> Recipe:
    """Codes of any kind: MRN, account, licence, plate, device. UUIDs stay UUIDs.

    Capitals followed by digits, the most common form, are put together at once; other forms character by character.
    """

    def usual(cell: Cell) -> ir.BooleanValue:
        return cell.text.isnull() | cell.text.re_search("^[A-Z]{0,6}[-_ ]?[0-9]{1,15}$")

    def quick(cell: Cell) -> ir.StringValue:
        head = cell.text.re_extract("^[A-Z]*", 0).length()
        gap = cell.text.re_extract("^[A-Z]*([-_ ]?)", 1)
        return (
            substring(letters(cell, 2, 30), 1, head)
            + gap
            + substring(fifteen(cell), 1, cell.text.length() - head - gap.length())
        )

    def result(cell: Cell) -> ir.StringValue:
        is_uuid = cell.text.re_search(rf"^{CELL['uuid']}$")
        return ibis.cases((cell[1], quick(cell)), (is_uuid, _uuid(cell[0])), else_=shaped(cell.text, cell[2]))

    return (digest, usual, lambda cell: cell[1].ifelse(ibis.null("string"), streams(cell)), result)


def _of_length(low: int, high: int, *made: Step, forms: tuple[str, ...] = (), extension: str | None = None) -> Recipe:
    """Numbers with `low` to `high` digits and no letters get the digits that `made` ends in; others keep their shape.

    Step 0 is the digest, step 1 whether the original is missing or has one of `forms` (put together at once), steps 2 and 3 the text
    and the digits of other originals, without the `extension`; then come the steps of `made`.
    """
    last = 3 + len(made)
    nothing = ibis.null("string")

    def usual(cell: Cell) -> ir.BooleanValue:
        found = cell.text.isnull()
        for form in forms:
            found = found | cell.text.re_search(_pattern(form))
        return found

    def other(cell: Cell) -> ir.StringValue:
        return cell[1].ifelse(nothing, cell.text.re_replace(extension, "") if extension else cell.text)

    def fits(cell: Cell) -> ir.BooleanValue:
        return cell[3].length().between(low, high) & ~cell[2].re_search(r"\pL")

    def cut(cell: Cell) -> ir.StringValue:
        return cell[1].ifelse(nothing, substring(cell[last], 1, cell[3].length()))

    def material(cell: Cell) -> ir.StringValue:
        return (cell[1] | fits(cell)).ifelse(nothing, streams(cell))

    def result(cell: Cell) -> ir.StringValue:
        at_once = [(cell.text.re_search(_pattern(form)), placed(cell[last], form)) for form in forms]
        missing = (cell.text.isnull(), nothing)
        return ibis.cases(
            missing, *at_once, (fits(cell), fill(cell[2], cell[last + 1])), else_=shaped(cell.text, cell[last + 2])
        )

    return (digest, usual, other, lambda cell: only_digits(cell[2]), *made, cut, material, result)


def ssn() -> Recipe:
    """Area 900 to 999, which is never issued, group 01 to 49, which no ITIN has either, serial 0001 to 9999."""

    def made(cell: Cell) -> ir.StringValue:
        drawn = number(cell[0], 0, 15)
        area, group, serial = 900 + drawn % 100, drawn // 100 % 49 + 1, drawn // 4900 % 9999 + 1
        return ((area * 100 + group) * 10_000 + serial).cast("string")

    return _of_length(9, 9, made, forms=("___-__-____",))


def itin() -> Recipe:
    """9xx with a group of 70 to 88."""

    def made(cell: Cell) -> ir.StringValue:
        drawn = number(cell[0], 0, 15)
        area, group, serial = 900 + drawn % 100, drawn // 100 % 19 + 70, drawn // 1900 % 10_000
        return ((area * 100 + group) * 10_000 + serial).cast("string")

    return _of_length(9, 9, made, forms=("___-__-____",))


def phone() -> Recipe:
    """US numbers get an area code that exists, an exchange of 200 to 999 (no N11) and any line; others keep prefix and form.

    An extension is left out. The number may be somebody's, since no reserved range is large enough for a table; it is none of the
    raw ones.
    """
    areas = sorted({code for state in lists.states() for code in state.area_codes})

    def american(cell: Cell) -> ir.StringValue:
        drawn = number(cell[0], 0, 15)
        area = element(cell.ring.words("area codes", areas), drawn % len(areas)).cast("int64")
        rest = drawn // len(areas)
        last_two = rest % 99
        exchange = (rest // 99 % 8 + 2) * 100 + last_two + (last_two >= 11).cast("int64")
        return ((area * 1000 + exchange) * 10_000 + rest // 792 % 10_000).cast("string")

    def made(cell: Cell) -> ir.StringValue:
        plain = (cell[3].length() == 10) & ~cell[2].re_search(r"^[+0]")
        with_country = (cell[3].length() == 11) & cell[3].startswith("1")
        kept = substring(cell[3], 1, cell[2].startswith("+").ifelse(2, 1))
        foreign = kept + fifteen(cell, 15) + fifteen(cell, 30)
        return ibis.cases(
            (cell[1] | plain, american(cell)), (with_country, ibis.literal("1") + american(cell)), else_=foreign
        )

    extension = r"(?i)\s*(?:x|ext\.?|#)\s*:?\s*[0-9]+\s*$"
    return _of_length(7, 20, made, forms=("___-___-____", "(___) ___-____", "___.___.____"), extension=extension)


def luhn_digit(digits: ir.StringValue, *, add: int = 0) -> ir.StringValue:
    """The check digit that makes `digits` + digit pass the Luhn test; `add` stands for a constant prefix."""

    def weighted(c: ir.StringValue, i: ir.IntegerValue) -> ir.IntegerValue:
        value = c.try_cast("int64")
        doubled = value * 2 - (value > 4).ifelse(9, 0)
        return (i % 2 == 0).ifelse(doubled, value)

    total = each_at(digits.reverse().split(""), weighted).sums() + add
    return ((10 - total % 10) % 10).cast("string")


def card() -> Recipe:
    """The issuer's six digits and the length stay; the rest is new, with a valid check digit."""

    def made(cell: Cell) -> ir.StringValue:
        return substring(cell[3], 1, 6) + substring(fifteen(cell), 1, cell[3].length() - 7)

    return _of_length(12, 19, made, lambda cell: cell[4] + luhn_digit(cell[4]))


def npi() -> Recipe:
    """National Provider Identifier: first digit kept, valid check digit (Luhn over 80840 + number, which adds 24)."""

    def made(cell: Cell) -> ir.StringValue:
        return substring(cell[3], 1, 1) + substring(fifteen(cell), 1, 8)

    return _of_length(10, 10, made, lambda cell: cell[4] + luhn_digit(cell[4], add=24))


def iban() -> Recipe:
    """Country and length stay, letters and digits of the account part are new, check digits are valid (ISO 7064, mod 97-10)."""

    def account(cell: Cell) -> ir.StringValue:
        return shaped(cell.text.substr(4), cell[1])

    def numeric(cell: Cell) -> ir.StringValue:
        tail = (cell[2] + cell.text.substr(0, 2)).upper().re_replace("[^0-9A-Z]", "")
        as_number = lambda c: c.between("0", "9").ifelse(c, (c.ascii_str() - 55).cast("string"))  # noqa: E731
        return each(tail.split(""), as_number).join("") + "00"

    def result(cell: Cell) -> ir.StringValue:
        check = padded(98 - _mod_97(cell[3]), 2)
        is_iban = cell.text.upper().re_search(rf"^{CELL['iban']}$")
        return is_iban.ifelse(cell.text.substr(0, 2) + check + cell[2], shaped(cell.text, cell[1]))

    return (digest, streams, account, numeric, result)


def _mod_97(digits: ir.StringValue) -> ir.IntegerValue:
    """Remainder of a number of up to 72 digits, in pieces that fit an int64."""
    rest: ir.StringValue = ibis.literal("0")
    for start in range(0, 72, 12):
        rest = ((rest + digits.substr(start, 12)).try_cast("int64") % 97).cast("string")
    return rest.cast("int64")


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


def ip_address() -> Recipe:
    """IPv4 within 10.0.0.0/8 (RFC 1918), IPv6 within 2001:db8::/32 (RFC 3849)."""

    def address(cell: Cell) -> ir.StringValue:
        octets = [ibis.literal("10"), *((number(cell[0], 8 * i, 8) % 256).cast("string") for i in range(3))]
        groups = [ibis.literal("2001:db8"), *(cell[0].substr(24 + 4 * i, 4) for i in range(6))]
        return cell.text.contains(":").ifelse(ibis.literal(":").join(groups), ibis.literal(".").join(octets))

    return (digest, lambda cell: cell.text.isnull().ifelse(ibis.null("string"), address(cell)))


def mac_address() -> Recipe:
    """A locally administered address (first byte 02), separators as in the original."""

    def address(cell: Cell) -> ir.StringValue:
        separator = cell.text.contains("-").ifelse("-", ":")
        made: ir.StringValue = ibis.literal("02")
        for i in range(5):
            made = made + separator + cell[0].substr(2 * i, 2)
        return cell.text.isnull().ifelse(
            ibis.null("string"), (cell.text == cell.text.upper()).ifelse(made.upper(), made)
        )

    return (digest, address)
