"""Coarser values: years, ZIP3, age bands, bins, rounding, cutting, limits. No key, no randomness.

What belongs here: one function per way to generalise. What does not: choosing one (plan.py), and generalising until k rows are
alike (a step of its own that looks at other rows).
"""

from __future__ import annotations

from datetime import date

import ibis
import ibis.expr.types as ir

from synth_assets.config.rules import Rule

# ZIP3 areas with 20,000 people or fewer at the 2000 census: HHS guidance on 45 CFR 164.514(b)(2)(i)(B)
RESTRICTED_ZIP3 = (
    "036",
    "059",
    "063",
    "102",
    "203",
    "556",
    "692",
    "790",
    "821",
    "823",
    "830",
    "831",
    "878",
    "879",
    "884",
    "890",
    "893",
)
OLDEST = 89
DATE_TYPES = ("date32[day]", "timestamp[us]")
NUMBER_TYPES = ("int64", "double")
COORDINATE_BIN = 0.1  # degrees, about 11 km
_TINY = 1e-9  # of a bin: 42.3 / 0.1 is 422.99..., and 42.3 belongs into the bin that it starts
_DECIMALS = 12


def generalised(value: ir.Value, dtype: str, rule: Rule, *, entity_type: str, as_of: date) -> ir.Value | None:
    """The coarser value, or None where this rule cannot work on such a column.

    Args:
        value: The raw column.
        dtype: Its storage type.
        rule: A rule with the action `generalise`.
        entity_type: Chooses the way where the rule names none.
        as_of: Day on which a birth year implies an age.
    """
    way = rule.to or ("bin" if rule.width else default_way(dtype, entity_type))
    if way in {"year", "month"}:
        return truncated_date(value, dtype, way, as_of=as_of if rule.over_89 else None)
    if way == "zip3":
        return zip3(value, dtype)
    if way is None or dtype not in (*NUMBER_TYPES, "string"):
        return None
    plain = as_number(value, dtype)
    if way == "age_band":
        return age_band(plain, rule.width or 5)
    width = rule.width or (COORDINATE_BIN if entity_type == "coordinates" else 10)
    return binned(plain, dtype, width)


def default_way(dtype: str, entity_type: str) -> str | None:
    """How a column is generalised when nobody says how; None where only a person can say it, as for most numbers."""
    if entity_type == "zip":
        return "zip3"
    if entity_type == "age":
        return "age_band"
    if dtype in DATE_TYPES or entity_type in {"birth_date", "death_date", "event_date", "timestamp"}:
        return "year"
    return "bin" if entity_type == "coordinates" else None


def as_number(value: ir.Value, dtype: str) -> ir.NumericValue:
    """A number column as it is; the number that a text says, or null."""
    return value.try_cast("float64") if dtype == "string" else value


def binned(value: ir.NumericValue, dtype: str, width: float) -> ir.NumericValue:
    """The lower end of the value's bin; bins of one width start at 0."""
    if dtype == "int64" and width == int(width):
        step = int(width)
        return value - (value % step + step) % step
    place = value / width + _TINY
    whole = toward_zero(place)
    low = (whole - (whole > place).ifelse(1.0, 0.0)) * width
    return low.cast("int64") if dtype == "int64" else low.round(_DECIMALS)


def toward_zero(value: ir.FloatingValue) -> ir.FloatingValue:
    """A fraction without its digits after the point, as a fraction: ibis' own floor and round make an int64, which 1e300 is not."""
    return value - value % 1.0


def rounded(value: ir.NumericValue, dtype: str, digits: int) -> ir.NumericValue:
    """The nearest number with `digits` digits after the point (negative: before it); halves go away from 0."""
    if dtype != "int64" and digits > 0:
        return value.round(digits)
    if dtype != "int64":
        scaled = value / float(10**-digits)
        return toward_zero(scaled + (scaled < 0).ifelse(-0.5, 0.5)) * float(10**-digits)
    step = 10 ** max(0, -digits)
    rest = value % step
    up = (rest * 2 >= step).ifelse(step, 0) - (rest * 2 <= -step).ifelse(step, 0) if step > 1 else ibis.literal(0)
    return value - rest + up


def truncated(value: ir.NumericValue, dtype: str, digits: int) -> ir.NumericValue:
    """The number without what stands after `digits` digits after the point (negative: before it)."""
    if dtype == "int64":
        return value - value % 10 ** max(0, -digits)
    near = rounded(value, dtype, digits)  # 1.15 * 100 is 114.99..., so cutting a product would give 1.14
    step = 10.0**-digits
    cut = near - (near > 0).ifelse(step, -step)
    made = (near.abs() > value.abs()).ifelse(cut, near)
    return made.round(max(0, digits))


def truncated_date(value: ir.Value, dtype: str, unit: str, *, as_of: date | None) -> ir.Value | None:
    """The first day of the year or month; a text date becomes ISO text, one that cannot be read becomes null.

    Args:
        value: A date, a time, a text date, or a whole number that is a year.
        dtype: Its storage type.
        unit: "year" or "month".
        as_of: Where given, years that imply an age over 89 on this day become the year of that age: 164.514(b)(2)(i)(C).
    """
    oldest = None if as_of is None else as_of.year - OLDEST - 1
    if dtype == "int64":
        year = value.between(1000, 2999).ifelse(value, ibis.null("int64"))
        return year if oldest is None else (year < oldest).ifelse(oldest, year)
    if dtype not in (*DATE_TYPES, "string"):
        return None
    day = value.try_cast("date") if dtype == "string" else value.cast("date")
    start = ibis.date(day.year(), 1 if unit == "year" else day.month(), 1)
    if oldest is not None:
        start = (day.year() < oldest + 1).ifelse(ibis.literal(date(oldest, 1, 1)), start)
    if dtype == "string":
        return start.strftime("%Y-%m-%d")
    return start if dtype == "date32[day]" else start.cast("timestamp")


def zip3(value: ir.Value, dtype: str) -> ir.StringValue:
    """The first three digits; 000 for the 17 restricted areas and for anything that is no US ZIP code."""
    text = value if dtype == "string" else value.cast("int64").cast("string").lpad(5, "0")
    first = text.substr(0, 3)
    restricted = ibis.literal(" ".join(RESTRICTED_ZIP3)).contains(first)  # the engine would make a join of a long list
    allowed = text.re_search(r"^\d{5}(?:-?\d{4})?$") & ~restricted
    return ibis.cases((text.isnull(), ibis.null("string")), (allowed, first), else_="000")


def age_band(age: ir.NumericValue, width: float) -> ir.StringValue:
    """Bands such as 40-44; one band for 90 and over."""
    step = max(1, int(width))
    low = (age / step).floor().try_cast("int64") * step
    band = low.cast("string") + "-" + ibis.least(low + step - 1, OLDEST).cast("string")
    made = (age > OLDEST).ifelse(f"{OLDEST + 1}+", band)
    return age.isnull().ifelse(ibis.null("string"), made)


def limited(value: ir.Value, dtype: str, *, upper: float | None, lower: float | None) -> ir.Value | None:
    """Values beyond a limit become the limit; a text that is no number becomes null."""
    if dtype not in (*NUMBER_TYPES, "string"):
        return None
    made = value.try_cast("float64") if dtype == "string" else value
    if upper is not None:
        made = (made > upper).ifelse(upper, made)
    if lower is not None:
        made = (made < lower).ifelse(lower, made)
    return made.cast("int64") if dtype == "int64" else made.cast("float64")
