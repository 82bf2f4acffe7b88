"""From a column's plan to its recipe: redact, partial, hash, keep, and the choice among all other masks.

What belongs here: the simple masks and the table of forms. What does not: the forms (formats.py, people.py), free text (scrub.py), and
deciding which action a column gets (plan.py).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import ibis
import ibis.expr.types as ir

from synth_assets.masking import formats, forms, people, perturb, pseudonyms, tokens
from synth_assets.masking.arrays import each
from synth_assets.masking.dates import DATED, date_shift, holds_dates, is_dated
from synth_assets.masking.forms import Form
from synth_assets.masking.generalise import (
    DATE_TYPES,
    NUMBER_TYPES,
    as_number,
    default_way,
    generalised,
    limited,
    rounded,
    truncated,
)
from synth_assets.masking.recipes import Cell, Recipe
from synth_assets.masking.records import ColumnPlan
from synth_assets.pii.taxonomy import taxonomy

REDACTED = "[REDACTED]"
_IBIS_TYPES = {
    "int64": "int64",
    "double": "float64",
    "string": "string",
    "bool": "boolean",
    "date32[day]": "date",
    "timestamp[us]": "timestamp",
}

_CODES = (
    "passport",
    "driver_license",
    "national_id",
    "tax_id",
    "account_number",
    "dea",
    "mrn",
    "health_plan_id",
    "license_plate",
    "device_id",
    "username",
    "customer_id",
    "other_id",
    "routing_number",
    "swift",
)
# entity type -> the form it keeps, where a pseudonym could be another value's or a real one: unique.py takes care that none is
NARROW: dict[str, Form] = {
    "phone": forms.PHONE,
    "fax": forms.PHONE,
    "ssn": forms.SSN,
    "itin": forms.ITIN,
    "card_number": forms.CARD,
    "iban": forms.IBAN,
    "npi": forms.NPI,
    "ip_address": forms.IP_ADDRESS,
    "mac_address": forms.MAC_ADDRESS,
    "vin": forms.VIN,
    **dict.fromkeys(_CODES, forms.CODE),
}
_LETTERED = (forms.CODE, forms.VIN)  # whole numbers in such columns are permuted as numbers
WIDE: dict[str, Callable[[], Recipe]] = {
    "email": formats.email,
    "url": formats.url,
    "person_name": people.person_name,
    "first_name": people.first_name,
    "last_name": people.last_name,
    "street_address": people.street_address,
    "city": people.city,
    "zip": people.zip_code,
    "employer": people.company,
    "organization": people.company,
}


def has_form(entity_type: str) -> bool:
    """Whether there is a format-preserving pseudonym for this entity type."""
    return entity_type in NARROW or entity_type in WIDE or entity_type in DATED


def narrow_form(plan: ColumnPlan) -> Form | None:
    """The column's form, where a pseudonym could be another value's or a real one; else None."""
    form = NARROW.get(plan.form)
    if plan.action != "format_preserving" or form is None or plan.dtype in DATE_TYPES:
        return None
    return None if (plan.dtype == "int64" or plan.joins_numbers) and form in _LETTERED else form


def suits(plan: ColumnPlan, *, as_of: date) -> str | None:
    """Why this action cannot work on this column, or None where it can."""
    action, dtype = plan.action, plan.dtype
    if action == "date_shift" and dtype not in (*DATE_TYPES, "string") and not holds_dates(plan):
        return f"dates cannot be shifted in a column of type {dtype}"
    if action == "top_code" and dtype not in (*NUMBER_TYPES, "string"):
        return f"a limit cannot be set in a column of type {dtype}"
    if action == "scrub" and dtype != "string":
        return f"only texts can be scrubbed, not {dtype}"
    if action in {"round", "truncate"}:
        return _digits_problem(plan)
    if action == "perturb":
        return perturb.unsuited(plan)
    return _generalise_problem(plan, as_of) if action == "generalise" else None


def _digits_problem(plan: ColumnPlan) -> str | None:
    """Why a column cannot be rounded or cut, or would stay as it is."""
    rule, dtype = plan.rule, plan.dtype
    if rule.length is not None:
        return None if dtype == "string" else f"`length` cuts texts, not a column of type {dtype}"
    if dtype not in (*NUMBER_TYPES, "string"):
        return f"`{plan.action}` cannot be applied to a column of type {dtype}"
    if dtype == "string" and rule.digits is None:
        more = ", or `length` for texts" if plan.action == "truncate" else ""
        return f"`{plan.action}` on a column of texts needs `digits`{more}"
    written = 0 if dtype == "int64" else plan.decimals
    if written is not None and (rule.digits or 0) >= written:
        return f"`{plan.action}` to {rule.digits or 0} digits after the point changes nothing here; give fewer `digits`"
    return None


def _generalise_problem(plan: ColumnPlan, as_of: date) -> str | None:
    if plan.rule.to == "jointly":  # any value can be blanked
        return None
    probe = ibis.table({"x": _IBIS_TYPES[plan.dtype]}, name="probe")["x"]
    if generalised(probe, plan.dtype, plan.rule, entity_type=plan.entity_type, as_of=as_of) is not None:
        return None
    way = plan.rule.to or default_way(plan.dtype, plan.entity_type)
    if way is None and plan.dtype in (*NUMBER_TYPES, "string"):
        return "`generalise` of such a column needs `to` or `width`"
    return f"`{way or 'generalise'}` cannot be applied to a column of type {plan.dtype}"


def recipe_for(plan: ColumnPlan, *, as_of: date) -> Recipe:
    """The recipe of a column that is neither dropped nor scrubbed.

    Args:
        plan: What to do.
        as_of: Day on which "over 89" is judged.
    """
    rule = plan.rule
    makers: dict[str, Callable[[], Recipe]] = {
        "keep": lambda: (lambda cell: cell.value,),
        "redact": lambda: redacted(rule.token),
        "partial": lambda: partial(plan.entity_type, rule.keep_last),
        "pseudonym": lambda: _pseudonym(plan),
        "hash": pseudonyms.double_hash,
        "tokenise": tokens.lookup,
        "date_shift": lambda: date_shift(plan.dtype, rule.max_days),
        "generalise": lambda: (
            _must(lambda c: generalised(c.value, plan.dtype, rule, entity_type=plan.entity_type, as_of=as_of)),
        ),
        "round": lambda: (lambda c: rounded(as_number(c.value, plan.dtype), plan.dtype, rule.digits or 0),),
        "truncate": lambda: (lambda c: _cut(c, plan),),
        "perturb": lambda: perturb.perturb(plan),
        "top_code": lambda: (_must(lambda c: limited(c.value, plan.dtype, upper=rule.upper, lower=rule.lower)),),
        "format_preserving": lambda: form_of(plan),
    }
    return makers[plan.action]()


def _cut(cell: Cell, plan: ColumnPlan) -> ir.Value:
    """The first characters of a text, or the first digits of a number."""
    if plan.rule.length is not None:
        return cell.text.substr(0, plan.rule.length)
    return truncated(as_number(cell.value, plan.dtype), plan.dtype, plan.rule.digits or 0)


def _pseudonym(plan: ColumnPlan) -> Recipe:
    """Whole numbers for whole numbers, for keys that are stored as fractions and for texts that join them; else hex digits."""
    if plan.joins_numbers:
        return pseudonyms.number_in_text()
    counts = plan.dtype == "int64" or (plan.dtype == "double" and plan.key)
    return pseudonyms.whole_number() if counts else pseudonyms.hex_pseudonym()


def form_of(plan: ColumnPlan) -> Recipe:
    """The format-preserving recipe; whole numbers stay whole numbers, dates are shifted."""
    if is_dated(plan):
        return date_shift(plan.dtype, None)
    form = narrow_form(plan)
    if form is not None:
        return (lambda cell: cell.ring.form(form, cell.domain)(cell.text),)
    local = people.LOCAL.get(plan.form)
    maker = WIDE.get(plan.form) if local is None else lambda: local(plan.locale)
    whole = plan.joins_numbers or (plan.dtype == "int64" and plan.form != "zip")
    return _pseudonym(plan) if whole or maker is None else maker()


def back_to_type(value: ir.Value, dtype: str) -> ir.Value:
    """A text pseudonym of a number column as a number again; null where it is none."""
    return value.try_cast(_IBIS_TYPES[dtype]) if dtype in NUMBER_TYPES else value


def redacted(token: str | None) -> Recipe:
    """One text for every value; null in columns that hold no text. Missing stays missing."""

    def step(cell: Cell) -> ir.Value:
        if cell.target.dtype != "string":
            return ibis.null(_IBIS_TYPES[cell.target.dtype])
        return cell.value.isnull().ifelse(ibis.null("string"), token or REDACTED)

    return (step,)


def partial(entity_type: str, keep_last: int | None) -> Recipe:
    """`J*** S****` for words, `***@***.com` for e-mail, `***-**-1234` for numbers where `keep_last` says 4."""

    def words(cell: Cell) -> ir.StringValue:
        stars = lambda word: word.substr(0, 1) + ibis.literal("*").repeat(ibis.greatest(word.length() - 1, 0))  # noqa: E731
        return each(cell.text.split(" "), stars).join(" ")

    def mail(cell: Cell) -> ir.StringValue:
        ending = cell.text.re_extract(r"(\.[A-Za-z]{2,24})\s*$", 1)
        return cell.text.isnull().ifelse(ibis.null("string"), ibis.literal("***@***") + ending)

    def code(cell: Cell) -> ir.StringValue:
        last = keep_last or 0
        hidden = cell.text.substr(0, ibis.greatest(cell.text.length() - last, 0)).re_replace(r"[\pL\pN]", "*")
        return hidden + cell.text.right(last) if last else hidden

    if entity_type == "email":
        return (mail,)
    unique = entity_type in taxonomy() and taxonomy()[entity_type].unique_by_nature
    return (code,) if unique or keep_last is not None else (words,)


def _must(step: Callable[[Cell], ir.Value | None]) -> Callable[[Cell], ir.Value]:
    def checked(cell: Cell) -> ir.Value:
        made = step(cell)
        if made is None:  # `suits` keeps such plans out
            raise ValueError("the action does not suit the column")
        return made

    return checked
