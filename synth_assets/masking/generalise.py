"""Coarser values: years, ZIP3, age bands, bins, rounding, limits. No key, no randomness.

What belongs here: one function per way to generalise. What does not: choosing one (plan.py), and generalising until k rows are
alike (a step of its own that looks at other rows).
"""

from __future__ import annotations

from datetime import date

import ibis
import ibis.expr.types as ir

from synth_assets.config.policy import Rule

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


def generalised(value: ir.Value, dtype: str, rule: Rule, *, entity_type: str, as_of: date) -> ir.Value | None:
    """The coarser value, or None where this rule cannot work on such a column.

    Args:
        value: The raw column.
        dtype: Its storage type.
        rule: A rule with the action `generalise`.
        entity_type: Chooses the way where the rule names none.
        as_of: Day on which a birth year implies an age.
    """
    way = rule.to or default_way(dtype, entity_type)
    if way in {"year", "month"}:
        return truncated_date(value, dtype, way, as_of=as_of if rule.over_89 else None)
    if way == "zip3":
        return zip3(value, dtype)
    if way is None or dtype not in (*NUMBER_TYPES, "string"):
        return None
    plain = value.try_cast("float64") if dtype == "string" else value
    if way == "age_band":
        return age_band(plain, rule.width or 5)
    made = _coarse(plain, way, rule)
    return made.cast("int64") if dtype == "int64" else made.cast("float64")  # a text of a number becomes a number


def default_way(dtype: str, entity_type: str) -> str | None:
    """How a column is generalised when nobody says how."""
    if entity_type == "zip":
        return "zip3"
    if entity_type == "age":
        return "age_band"
    if dtype in DATE_TYPES or entity_type in {"birth_date", "death_date", "event_date", "timestamp"}:
        return "year"
    return "round" if dtype in NUMBER_TYPES or entity_type == "coordinates" else None


def _coarse(value: ir.NumericValue, way: str, rule: Rule) -> ir.NumericValue:
    if way == "bin":
        width = rule.width or 10
        return (value / width).floor() * width
    factor = 10.0 ** -(rule.digits if rule.digits is not None else 0)
    scaled = value / factor
    whole = scaled.round() if way == "round" else (scaled >= 0).ifelse(scaled.floor(), scaled.ceil())
    return (whole * factor).round(max(0, rule.digits or 0))


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
    allowed = text.re_search(r"^\d{5}(?:-?\d{4})?$") & ~first.isin(RESTRICTED_ZIP3)
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
