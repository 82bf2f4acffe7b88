"""The written forms of numbers, dates, times and booleans that a text cell may have, each as a pattern and an SQL expression.

A form is all or nothing: a column has it when every cell that is not missing parses. Digits with a leading zero, numbers beyond
int64 and words such as NaN have no number form, so that such columns stay text and keep their spelling.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

DType = Literal["int64", "double", "string", "bool", "date32[day]", "timestamp[us]"]
Family = Literal["number", "boolean", "date", "datetime"]


@dataclass(frozen=True)
class Form:
    """One written form.

    Attributes:
        key: Short name.
        family: What it writes.
        dtype: Arrow type of its values.
        pattern: Regular expression for a whole cell; the same in Python and RE2.
        sql: DuckDB expression over `{x}`; NULL where the cell is no such value.
        rival: Another form that reads the same cells differently; where both fit a whole column, nothing is guessed.
        fraction: Expression over `{x}` for the digits behind the decimal point.
        zoned: Whether its values carry a time zone and are given in UTC.
        written: For days: patterns of strftime that write the form, the most usual first.
    """

    key: str
    family: Family
    dtype: DType
    pattern: str
    sql: str
    rival: str | None = None
    fraction: str | None = None
    zoned: bool = False
    written: tuple[str, ...] = ()

    @cached_property
    def regex(self) -> re.Pattern[str]:
        """The compiled pattern."""
        return re.compile(self.pattern)

    def fits(self, cell: str) -> bool:
        """Whether the pattern takes a whole cell; the SQL expression may still refuse it."""
        return self.regex.fullmatch(cell) is not None

    def expression(self, x: str) -> str:
        """SQL for the value of the text expression `x`, NULL where it does not have this form."""
        return f"CASE WHEN regexp_full_match({x}, '{self.pattern}') THEN {self.sql.format(x=x)} END"


_PAD = r"[ \t]*"
_SIGN = r"[+-]?"
_WHOLE = r"(0|[1-9][0-9]{0,14})"
_EXPONENT = r"([eE][+-]?[0-9]{1,3})?"
_FINITE = "CASE WHEN isfinite(try_cast({0} AS DOUBLE)) THEN try_cast({0} AS DOUBLE) END"
_POINT_DIGITS = r"regexp_extract({x}, '\.([0-9]+)', 1)"
_COMMA_DIGITS = r"regexp_extract({x}, ',([0-9]+)', 1)"

INTEGER = Form("integer", "number", "int64", f"{_PAD}{_SIGN}(0|[1-9][0-9]{{0,18}}){_PAD}", "try_cast({x} AS BIGINT)")
DECIMAL = Form(
    "decimal",
    "number",
    "double",
    rf"{_PAD}{_SIGN}({_WHOLE}(\.[0-9]*)?|\.[0-9]+){_EXPONENT}{_PAD}",
    _FINITE.format("{x}"),
    fraction=_POINT_DIGITS,
)
COMMA_THOUSANDS = Form(
    "comma_thousands",
    "number",
    "double",
    rf"{_PAD}{_SIGN}([1-9][0-9]{{0,2}}(,[0-9]{{3}}){{1,4}}|{_WHOLE})(\.[0-9]+)?{_PAD}",
    _FINITE.format("replace({x}, ',', '')"),
    rival="comma_decimal",
    fraction=_POINT_DIGITS,
)
COMMA_DECIMAL = Form(
    "comma_decimal",
    "number",
    "double",
    rf"{_PAD}{_SIGN}([1-9][0-9]{{0,2}}(\.[0-9]{{3}}){{1,4}}|{_WHOLE})(,[0-9]+)?{_EXPONENT}{_PAD}",
    _FINITE.format("replace(replace({x}, '.', ''), ',', '.')"),
    rival="comma_thousands",
    fraction=_COMMA_DIGITS,
)
PLAIN_INTEGER = Form("plain_integer", "number", "int64", "0|-?[1-9][0-9]{0,18}", "try_cast({x} AS BIGINT)")
PADDED_INTEGER = Form(
    "padded_integer", "number", "int64", f"{_PAD}{_SIGN}0*[0-9]{{1,18}}{_PAD}", "try_cast({x} AS BIGINT)"
)
ANY_DECIMAL = Form(
    "any_decimal",
    "number",
    "double",
    rf"{_PAD}{_SIGN}([0-9]+(\.[0-9]*)?|\.[0-9]+){_EXPONENT}{_PAD}",
    _FINITE.format("{x}"),
    fraction=_POINT_DIGITS,
)
_TRUE_FALSE = "CASE lower({x}) WHEN 'true' THEN true WHEN 'false' THEN false END"
BOOLEANS = tuple(
    Form(f"boolean_{name}", "boolean", "bool", pattern, _TRUE_FALSE)
    for name, pattern in (("lower", "true|false"), ("title", "True|False"), ("upper", "TRUE|FALSE"))
)
ANY_BOOLEAN = Form(
    "any_boolean",
    "boolean",
    "bool",
    rf"{_PAD}(?i:true|false|t|f|yes|no|y|n|1|0){_PAD}",
    "lower(trim({x})) IN ('true', 't', 'yes', 'y', '1')",
)


def _parsed(formats: list[str], target: str) -> str:
    listed = ", ".join(f"'{f}'" for f in formats)
    return f"CAST(try_strptime(trim({{x}}), [{listed}]) AS {target})"


_TIMES = ("%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p")
_CLOCK = r" [0-9]{1,2}:[0-9]{2}(:[0-9]{2})?( [AaPp][Mm])?" + _PAD
_ISO_DATE = _PAD + r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
_ISO_CLOCK = r"[ T][0-9]{1,2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?"
_ZONE = r" ?(Z|z|UTC|[+-][0-9]{2}(:?[0-9]{2})?)" + _PAD
_OFFSET = r"([+-])([0-9]{2}):?([0-9]{2})?[ \t]*$"
_OFFSET_MINUTES = (
    f"(CASE regexp_extract({{x}}, '{_OFFSET}', 1) WHEN '-' THEN -1 ELSE 1 END"
    f" * (60 * coalesce(try_cast(regexp_extract({{x}}, '{_OFFSET}', 2) AS INTEGER), 0)"
    f" + coalesce(try_cast(regexp_extract({{x}}, '{_OFFSET}', 3) AS INTEGER), 0)))"
)


def _escaped(pattern: str) -> str:
    """Braces doubled, for use inside a format template."""
    return pattern.replace("{", "{{").replace("}", "}}")


_UTC = (
    f"try_cast(regexp_replace({{x}}, '{_escaped(_ZONE)}$', '') AS TIMESTAMP)"
    f" - to_minutes({_OFFSET_MINUTES.replace(_OFFSET, _escaped(_OFFSET))})"
)


def _with_short(*patterns: str) -> tuple[str, ...]:
    """Patterns, and the same with days and months without a leading zero."""
    return (*patterns, *(p.replace("%d", "%-d").replace("%m", "%-m") for p in patterns))


def _ordered(separator: str, name: str) -> list[Form]:
    """Day first and month first with one separator; with dots the day is always first."""
    between = re.escape(separator) if separator == "." else separator
    date = f"{_PAD}[0-9]{{1,2}}{between}[0-9]{{1,2}}{between}[0-9]{{4}}"
    forms = []
    for order, parts in (("day_first", "%d{0}%m{0}%Y"), ("month_first", "%m{0}%d{0}%Y")):
        if separator == "." and order == "month_first":
            continue
        written = parts.format(separator)
        other = {"day_first": "month_first", "month_first": "day_first"}[order] if separator != "." else None
        date_rival, time_rival = (f"{other}_{name}", f"{other}_{name}_time") if other else (None, None)
        times = [f"{written} {t}" for t in _TIMES]
        forms.append(
            Form(
                f"{order}_{name}",
                "date",
                "date32[day]",
                date + _PAD,
                _parsed([written], "DATE"),
                rival=date_rival,
                written=_with_short(written),
            )
        )
        forms.append(
            Form(
                f"{order}_{name}_time",
                "datetime",
                "timestamp[us]",
                date + _CLOCK,
                _parsed(times, "TIMESTAMP"),
                rival=time_rival,
            )
        )
    return forms


ISO_DATE = Form("iso_date", "date", "date32[day]", _ISO_DATE + _PAD, "try_cast({x} AS DATE)")
ISO_DATETIME = Form(
    "iso_datetime", "datetime", "timestamp[us]", _ISO_DATE + _ISO_CLOCK + _PAD, "try_cast({x} AS TIMESTAMP)"
)
ISO_DATETIME_ZONE = Form(
    "iso_datetime_zone", "datetime", "timestamp[us]", _ISO_DATE + _ISO_CLOCK + _ZONE, _UTC, zoned=True
)
_YEAR_FIRST = Form(
    "year_first_slash",
    "date",
    "date32[day]",
    _PAD + "[0-9]{4}/[0-9]{1,2}/[0-9]{1,2}" + _PAD,
    _parsed(["%Y/%m/%d"], "DATE"),
    written=("%Y/%m/%d", "%Y/%-m/%-d"),
)
_MONTH_NAMES = (
    Form(
        "day_month_name",
        "date",
        "date32[day]",
        _PAD + "[0-9]{1,2}[ -][A-Za-z]{3,9}[ -][0-9]{4}" + _PAD,
        _parsed(["%d-%b-%Y", "%d %b %Y", "%d-%B-%Y", "%d %B %Y"], "DATE"),
        written=_with_short("%d-%b-%Y", "%d %b %Y", "%d-%B-%Y", "%d %B %Y"),
    ),
    Form(
        "month_name_day",
        "date",
        "date32[day]",
        _PAD + "[A-Za-z]{3,9} [0-9]{1,2}, [0-9]{4}" + _PAD,
        _parsed(["%b %d, %Y", "%B %d, %Y"], "DATE"),
        written=_with_short("%b %d, %Y", "%B %d, %Y"),
    ),
)
_ORDERED = (*_ordered("/", "slash"), *_ordered("-", "dash"), *_ordered(".", "dot"))

NUMBERS = (INTEGER, DECIMAL, COMMA_THOUSANDS, COMMA_DECIMAL)
DATES = (ISO_DATE, ISO_DATETIME, ISO_DATETIME_ZONE)
MOMENTS = (*DATES, _YEAR_FIRST, *_ORDERED, *_MONTH_NAMES)
INFERRED_IN_TEXT = (*NUMBERS, *BOOLEANS, *MOMENTS)
INFERRED_IN_STRINGS = DATES
DECLARED: dict[str, tuple[Form, ...]] = {
    "number": (INTEGER, PADDED_INTEGER, DECIMAL, ANY_DECIMAL, COMMA_THOUSANDS, COMMA_DECIMAL),
    "boolean": (ANY_BOOLEAN,),
    "id": (PLAIN_INTEGER,),
    "date": MOMENTS,
    "datetime": MOMENTS,
}
BY_KEY = {form.key: form for form in (*INFERRED_IN_TEXT, *(f for forms in DECLARED.values() for f in forms))}
