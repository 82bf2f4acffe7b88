"""Format-preserving pseudonyms of numbers and addresses: the form, separators and check digits of the original, nothing of its value.

What belongs here: phone, SSN, card, IBAN, NPI, e-mail, URL, IP, MAC and the letter/digit shape of any other code. What does not: names
and places (people.py), and drawing again where two values meet (unique.py). Each recipe ends in a text or null.
"""

from __future__ import annotations

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from synth_assets.generation import lists
from synth_assets.masking.arrays import each, each_at, element
from synth_assets.masking.pseudonyms import digest, number
from synth_assets.masking.recipes import Cell, Recipe, Step
from synth_assets.pii.patterns import CELL

DIGITS, LOWER, UPPER = "0123456789", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
RESERVED_DOMAINS = ("example.com", "example.org", "example.net")  # RFC 2606
_SLOTS = "".join(chr(0xE000 + i) for i in range(16))  # stand for digits while a text is filled
_HEX_PAIRS = 32  # pairs of hex digits in a digest


@ibis.udf.scalar.builtin(name="substring", signature=((dt.string, dt.int64, dt.int64), dt.string))
def substring(text: str, start: int, length: int) -> str:  # type: ignore[empty-body]
    """Characters from the 1-based `start`."""


def padded(value: ir.IntegerValue, width: int) -> ir.StringValue:
    """A whole number with leading zeros."""
    return value.cast("string").lpad(width, "0")  # type: ignore[no-any-return]


def only_digits(text: ir.StringValue) -> ir.StringValue:
    """The digits of a text."""
    return text.re_replace("[^0-9]", "")  # type: ignore[no-any-return]


def fill(text: ir.StringValue, digits: ir.StringValue, *groups: int) -> ir.StringValue:
    """The text with its digits replaced one by one; separators stay.

    Args:
        text: The original.
        digits: As many digits as it has; the result of an earlier step, since it is read once per character.
        groups: Lengths of the usual groups, such as 3, 2, 4; texts of that form are filled by one translation, which is faster.
    """
    slots = iter(_SLOTS)
    form = "".join(rf"(\D*)\d{{{n}}}" for n in groups)
    template = "".join(rf"\{i + 1}" + "".join(next(slots) for _ in range(n)) for i, n in enumerate(groups))
    usual = text.re_replace(f"^{form}(\\D*)$", rf"{template}\{len(groups) + 1}").translate(_SLOTS, digits)
    other = each_at(text.re_split("[0-9]"), lambda gap, i: gap + substring(digits, i + 1, 1)).join("")
    cases = [(text.re_search(f"^{form}\\D*$"), usual)] if groups else []
    return ibis.cases((~text.re_search("[^0-9]"), digits), *cases, else_=other)  # type: ignore[no-any-return]


def shaped(text: ir.StringValue, pieces: ir.StringValue) -> ir.StringValue:
    """Every letter becomes a letter of the same case, every digit a digit, the rest stays.

    Args:
        text: The original.
        pieces: 64 hex digits, of which two decide about one character; the result of an earlier step.
    """

    def character(c: ir.StringValue, i: ir.IntegerValue) -> ir.StringValue:
        code = (ibis.literal("0x") + substring(pieces, 2 * (i % _HEX_PAIRS) + 1, 2)).cast("int64")
        position = lambda letters: substring(ibis.literal(letters), 1 + code % len(letters), 1)  # noqa: E731
        return ibis.cases(
            (c.between("0", "9"), position(DIGITS)),
            (c.between("A", "Z"), position(UPPER)),
            (c.between("a", "z"), position(LOWER)),
            (c.re_search(r"^\pL$"), (c == c.upper()).ifelse(position(UPPER), position(LOWER))),
            else_=c,
        )

    return each_at(text.split(""), character).join("")  # type: ignore[no-any-return]


def _uuid(pieces: ir.StringValue) -> ir.StringValue:
    """A random-looking UUID, version 4."""
    start = pieces.substr(0, 8) + "-" + pieces.substr(8, 4) + "-4" + pieces.substr(13, 3)
    return start + "-a" + pieces.substr(17, 3) + "-" + pieces.substr(20, 12)  # type: ignore[no-any-return]


def shape() -> Recipe:
    """Codes of any kind: MRN, account, licence, plate, device. UUIDs stay UUIDs."""

    def result(cell: Cell) -> ir.StringValue:
        is_uuid = cell.text.re_search(rf"^{CELL['uuid']}$")
        return is_uuid.ifelse(_uuid(cell[0]), shaped(cell.text, cell[0]))

    return (digest, result)


def _of_length(low: int, high: int, *made: Step, groups: tuple[int, ...] = ()) -> Recipe:
    """Fill the digits that `made` ends in into originals with `low` to `high` digits and no letters; others keep their shape.

    Step 0 is the digest, step 1 the original's digits, then come the steps of `made`.
    """

    last = 1 + len(made)

    def cut(cell: Cell) -> ir.StringValue:
        return substring(cell[last], 1, cell[1].length())

    def result(cell: Cell) -> ir.StringValue:
        fits = cell[1].length().between(low, high) & ~cell.text.re_search(r"\pL")
        return fits.ifelse(fill(cell.text, cell[last + 1], *groups), shaped(cell.text, cell[0]))

    return (digest, lambda cell: only_digits(cell.text), *made, cut, result)


def ssn() -> Recipe:
    """Area 900 to 999, which is never issued, group 01 to 49, which no ITIN has either, serial 0001 to 9999."""

    def made(cell: Cell) -> ir.StringValue:
        area = number(cell[0], 0, 8) % 100
        group = number(cell[0], 8, 8) % 49 + 1
        serial = number(cell[0], 16, 8) % 9999 + 1
        return ibis.literal("9") + padded(area, 2) + padded(group, 2) + padded(serial, 4)

    return _of_length(9, 9, made, groups=(3, 2, 4))


def itin() -> Recipe:
    """9xx with a group of 70 to 88."""

    def made(cell: Cell) -> ir.StringValue:
        area, group, serial = number(cell[0], 0, 8) % 100, number(cell[0], 8, 8) % 19 + 70, number(cell[0], 16, 8) % 10_000
        return ibis.literal("9") + padded(area, 2) + padded(group, 2) + padded(serial, 4)

    return _of_length(9, 9, made, groups=(3, 2, 4))


def phone() -> Recipe:
    """US numbers get an area code that exists, an exchange of 200 to 999 (no N11) and any line; others keep prefix and form.

    The number may be somebody's: a reserved range that is large enough for a table does not exist. It is never one of the raw ones.
    """
    areas = sorted({code for state in lists.states() for code in state.area_codes})

    def base(cell: Cell) -> ir.StringValue:
        return cell.text.re_replace(r"(?i)\s*(?:x|ext\.?|#)\s*:?\s*[0-9]+\s*$", "")

    def us(cell: Cell) -> ir.BooleanValue:
        plain = (cell[2].length() == 10) & ~cell[1].startswith("+") & ~cell[1].startswith("0")
        return plain | ((cell[2].length() == 11) & cell[2].startswith("1"))  # type: ignore[no-any-return]

    def american(cell: Cell) -> ir.StringValue:
        area = element(cell.ring.words("area codes", areas), number(cell[0], 0, 8) % len(areas))
        last_two = number(cell[0], 16, 8) % 99
        exchange = (number(cell[0], 8, 8) % 8 + 2).cast("string") + padded(last_two + (last_two >= 11).cast("int64"), 2)
        line = padded(number(cell[0], 24, 8) % 10_000, 4)
        return (cell[2].length() == 11).ifelse("1", "") + area + exchange + line

    def other(cell: Cell) -> ir.StringValue:
        kept = cell[1].startswith("+").ifelse(2, 1)
        random = padded(number(cell[0], 32, 15) % 10**15, 15) + padded(number(cell[0], 47, 15) % 10**15, 15)
        return substring(substring(cell[2], 1, kept) + random, 1, cell[2].length())

    def made(cell: Cell) -> ir.StringValue:
        return us(cell).ifelse(american(cell), other(cell))

    def result(cell: Cell) -> ir.StringValue:
        return cell[2].length().between(7, 20).ifelse(fill(cell[1], cell[3], 3, 3, 4), shaped(cell.text, cell[0]))

    return (digest, base, lambda cell: only_digits(cell[1]), made, result)


def luhn_digit(digits: ir.StringValue, *, add: int = 0) -> ir.StringValue:
    """The check digit that makes `digits` + digit pass the Luhn test; `add` stands for a constant prefix."""

    def weighted(c: ir.StringValue, i: ir.IntegerValue) -> ir.IntegerValue:
        value = c.try_cast("int64")
        doubled = value * 2 - (value > 4).ifelse(9, 0)
        return (i % 2 == 0).ifelse(doubled, value)

    total = each_at(digits.reverse().split(""), weighted).sums() + add
    return ((10 - total % 10) % 10).cast("string")  # type: ignore[no-any-return]


def card() -> Recipe:
    """The issuer's six digits and the length stay; the rest is new, with a valid check digit."""

    def made(cell: Cell) -> ir.StringValue:
        random = padded(number(cell[0], 0, 15) % 10**15, 15)
        return substring(cell[1], 1, 6) + substring(random, 1, cell[1].length() - 7)

    return _of_length(12, 19, made, lambda cell: cell[2] + luhn_digit(cell[2]), groups=(4, 4, 4, 4))


def npi() -> Recipe:
    """National Provider Identifier: first digit kept, valid check digit (Luhn over 80840 + number, which adds 24)."""

    def made(cell: Cell) -> ir.StringValue:
        body = substring(cell[1], 1, 1) + padded(number(cell[0], 0, 15) % 10**8, 8)
        return body + luhn_digit(body, add=24)

    return _of_length(10, 10, made)


def iban() -> Recipe:
    """Country and length stay, letters and digits of the account part are new, check digits are valid (ISO 7064, mod 97-10)."""

    def account(cell: Cell) -> ir.StringValue:
        return shaped(cell.text.substr(4), cell[0])

    def numeric(cell: Cell) -> ir.StringValue:
        tail = (cell[1] + cell.text.substr(0, 2)).upper().re_replace("[^0-9A-Z]", "")
        as_number = lambda c: c.between("0", "9").ifelse(c, (c.ascii_str() - 55).cast("string"))  # noqa: E731
        return each(tail.split(""), as_number).join("") + "00"

    def result(cell: Cell) -> ir.StringValue:
        check = padded(98 - _mod_97(cell[2]), 2)
        is_iban = cell.text.upper().re_search(rf"^{CELL['iban']}$")
        return is_iban.ifelse(cell.text.substr(0, 2) + check + cell[1], shaped(cell.text, cell[0]))

    return (digest, account, numeric, result)


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
        first = element(cell.ring.words("e-mail first", firsts), number(cell[0], 0, 12) % len(firsts))
        last = element(cell.ring.words("e-mail last", lasts), number(cell[0], 12, 12) % len(lasts))
        domain = element(cell.ring.words("e-mail domain", RESERVED_DOMAINS), number(cell[0], 36, 6) % len(RESERVED_DOMAINS))
        return first + "." + last + "." + cell[0].substr(24, 12) + "@" + domain

    return (lambda cell: digest(cell, cell.text.strip().lower()), address)


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
        return cell.text.isnull().ifelse(ibis.null("string"), (cell.text == cell.text.upper()).ifelse(made.upper(), made))

    return (digest, address)
