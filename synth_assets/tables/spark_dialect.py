"""Ibis expressions as Spark SQL that gives what DuckDB gives: the differences between the two engines, one method each.

What belongs here: operations that ibis would compile into something that fails on Spark, or that has another result there. What does
not: connections (engine_spark.py), the dialect of regular expressions (spark_regex.py), and any expression of the chain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import ibis.expr.operations as ops
import sqlglot as sg
import sqlglot.expressions as sge
from ibis.backends.sql.compilers.base import NULL
from ibis.backends.sql.compilers.pyspark import PySparkCompiler
from ibis.expr.operations.udf import InputType

from synth_assets.tables.spark_regex import java_pattern, java_replacement

VARIABLES = "synth_assets_"  # views with one row that hold what `getvariable` reads
DOUBLE_TEXT = "synth_assets_double_text"  # registered by the engine: a double as the shortest text that reads back
_BLANKS = " \t\n\r\v\f"
_GAP = "[ \\t\\n\\x0B\\f\\r]*"
_DAY = r"([0-9]{1,4})([-/ \\])([0-9]{1,2})\2([0-9]{1,2})"
_CLOCK = r"([01]?[0-9]|2[0-3]):([0-5]?[0-9])(?::([0-5]?[0-9](?:\.[0-9]*)?))?(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?| UTC)?"
_DATE_TEXT = rf"^{_GAP}{_DAY}(?:{_GAP}|[T ] *{_CLOCK}{_GAP})\z"
_TIME_TEXT = rf"^{_GAP}{_DAY}(?:[T ] *{_CLOCK}{_GAP})?\z"
_NUMBER_TEXT = rf"^{_GAP}[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?{_GAP}\z"


# letters with a case since Unicode 15 to 17, which Spark knows and DuckDB 2.0 leaves as they are
_NEW_CAPITALS = "\u1c89\ua7cb\ua7cc\ua7ce\ua7d2\ua7d4\ua7da\ua7dc" + "".join(
    map(chr, [*range(0x10D50, 0x10D66), *range(0x16EA0, 0x16EB9)])
)
_NEW_SMALL = "\u019b\u0264\u1c8a\ua7cd\ua7cf\ua7d3\ua7d5\ua7db" + "".join(
    map(chr, [*range(0x10D70, 0x10D86), *range(0x16EBB, 0x16ED4)])
)


@cache
def lower_exceptions() -> dict[str, str]:
    """Characters whose small letter is not Spark's, and what DuckDB writes."""
    return {c: c for c in _NEW_CAPITALS}


@cache
def upper_exceptions() -> dict[str, str]:
    """Characters whose capital is not Spark's, and what DuckDB writes: one character, where Spark may write several."""
    found = {c: c.title() for c in map(chr, range(0x80, 0x10000)) if len(c.upper()) > 1}
    several = {c: made if len(made) == 1 else c for c, made in found.items()}
    return several | {c: c for c in _NEW_SMALL} | {"ß": "ẞ"}


class SparkCompiler(PySparkCompiler):  # type: ignore[misc]  # ibis has no types
    """Spark SQL with the results of DuckDB. Naive times are TIMESTAMP_NTZ: the session sets `spark.sql.timestampType`."""

    __slots__ = ()

    SIMPLE_OPS = {ops.Hash: "xxhash64", ops.DateFromYMD: "make_date", ops.StartsWith: "startswith"}

    # missing and not a number are two things
    def visit_IsNull(self, op: Any, *, arg: Any) -> Any:
        """Null only; ibis counts NaN as well."""
        return arg.is_(NULL)

    def visit_NotNull(self, op: Any, *, arg: Any) -> Any:
        """Not null; ibis leaves NaN out."""
        return arg.is_(sg.not_(NULL))

    def visit_IsNan(self, op: Any, *, arg: Any) -> Any:
        """Null of null."""
        return self.if_(arg.is_(NULL), NULL, self.f.anon.isnan(arg))

    # numbers
    def visit_BitwiseXor(self, op: Any, *, left: Any, right: Any) -> Any:
        """Both sides in brackets."""
        return sge.paren(sge.BitwiseXor(this=sge.paren(left), expression=sge.paren(right)))

    def visit_Round(self, op: Any, *, arg: Any, digits: Any) -> Any:
        """Away from zero, in doubles: Spark rounds the decimal text of a double."""
        if not op.arg.dtype.is_floating() or op.digits is None or getattr(op.digits, "value", None) == 0:
            return self.cast(self.f.anon.round(arg), op.dtype)
        factor = self.f.anon.power(sge.convert(10.0), digits)
        return sge.paren(self.f.anon.round(sge.paren(arg) * factor) / factor)

    def visit_Cast(self, op: Any, *, arg: Any, to: Any) -> Any:
        """Casts whose results differ: hex digits, fractions to whole numbers, doubles to text."""
        if to.is_integer() and _is_hexadecimal(op.arg):
            return self.cast(self.f.anon.conv(self.f.anon.substring(arg, 3), 16, 10), to)
        if op.arg.dtype.is_floating() and to.is_integer():
            return self.cast(self.f.anon.rint(arg), to)
        if op.arg.dtype.is_floating() and to.is_string():
            return self.f.anon[DOUBLE_TEXT](arg)
        return super().visit_Cast(op, arg=arg, to=to)

    def visit_TryCast(self, op: Any, *, arg: Any, to: Any) -> Any:
        """Texts that DuckDB reads as a number, a date or a time, and no others (years 1 to 9999)."""
        if op.arg.dtype.is_string():
            if to.is_date():
                return self._date(arg, _DATE_TEXT)
            if to.is_timestamp():
                return self._timestamp(arg)
            if to.is_numeric():
                fits = self.f.anon.rlike(arg, sge.convert(_NUMBER_TEXT))
                return self.if_(fits, self._number(arg, to), NULL)
        if op.arg.dtype.is_floating() and to.is_integer():
            return super().visit_TryCast(op, arg=self.f.anon.rint(arg), to=to)
        if op.arg.dtype.is_floating() and to.is_string():
            return self.f.anon[DOUBLE_TEXT](arg)
        return super().visit_TryCast(op, arg=arg, to=to)

    def _number(self, arg: Any, to: Any) -> Any:
        text = self._stripped(arg)
        if not to.is_integer():
            return sge.TryCast(this=text, to=self.type_mapper.from_ibis(to), safe=True)
        whole = self.f.anon.rlike(text, sge.convert(r"^[+-]?[0-9]+\z"))
        half_up = self.f.anon.round(sge.TryCast(this=text, to=sge.DataType.build("DOUBLE")))
        kind = self.type_mapper.from_ibis(to)
        return self.if_(
            whole, sge.TryCast(this=text, to=kind, safe=True), sge.TryCast(this=half_up, to=kind, safe=True)
        )

    def _part(self, arg: Any, form: str, group: int) -> Any:
        return self.f.anon.regexp_extract(arg, sge.convert(form), group)

    def _date(self, arg: Any, form: str) -> Any:
        """The date of a text; null for none, also for a 30th of February."""
        year, month, day = (self._part(arg, form, group) for group in (1, 3, 4))
        pad = self.f.anon.lpad
        text = self.f.anon.concat(pad(year, 4, "0"), "-", pad(month, 2, "0"), "-", pad(day, 2, "0"))
        return sge.TryCast(this=text, to=sge.DataType.build("DATE"), safe=True)

    def _timestamp(self, arg: Any) -> Any:
        texts = [self.f.anon.nullif(self._part(arg, _TIME_TEXT, group), "") for group in (5, 6, 7)]
        hour, minute, second = (self.f.anon.coalesce(text, "0") for text in texts)
        exact = sge.cast(self.f.anon.substring(second, 1, 9), "decimal(18,6)")
        clock = self.f.anon.make_dt_interval(sge.convert(0), sge.cast(hour, "int"), sge.cast(minute, "int"), exact)
        midnight = sge.Cast(this=self._date(arg, _TIME_TEXT), to=sge.DataType.build("TIMESTAMP_NTZ", dialect="spark"))
        return midnight + clock

    # texts
    def _stripped(self, arg: Any) -> Any:
        return self.f.anon.btrim(arg, sge.convert(_BLANKS))

    def visit_Strip(self, op: Any, *, arg: Any) -> Any:
        """ASCII blanks, as DuckDB."""
        return self._stripped(arg)

    def visit_Lowercase(self, op: Any, *, arg: Any) -> Any:
        """One character for one character, whatever stands beside it."""
        return self._recased("lower", self.f.anon.translate(arg, "Σİ", "σi"), lower_exceptions())

    def visit_Uppercase(self, op: Any, *, arg: Any) -> Any:
        """One character for one character: ß becomes ẞ and no SS."""
        return self._recased("upper", arg, upper_exceptions())

    def _recased(self, function: str, text: Any, special: Mapping[str, str]) -> Any:
        """Spark's function, but for texts with one of the special characters, which go character by character."""
        f, one = self.f.anon, sg.to_identifier("c")
        known = f.map_from_arrays(f.array(*special), f.array(*special.values()))
        each = sge.Lambda(this=f.coalesce(f.try_element_at(known, one), f[function](one)), expressions=[one])
        apart = f.array_join(f.transform(f.split(text, sge.convert("")), each), sge.convert(""))
        found = f.rlike(text, sge.convert("[" + "".join(f"\\x{{{ord(c):x}}}" for c in special) + "]"))
        return self.if_(found, apart, f[function](text))

    def visit_StringSplit(self, op: Any, *, arg: Any, delimiter: Any) -> Any:
        """By a fixed text; by none into characters."""
        if isinstance(op.delimiter, ops.Literal):
            text = op.delimiter.value
            return self.f.anon.split(arg, sge.convert("".join(f"\\x{{{ord(c):x}}}" for c in text)))
        return super().visit_StringSplit(op, arg=arg, delimiter=delimiter)

    def visit_RegexSearch(self, op: Any, *, arg: Any, pattern: Any) -> Any:
        """Whether a pattern matches somewhere."""
        return self.f.anon.rlike(arg, _pattern(op.pattern))

    def visit_RegexSplit(self, op: Any, *, arg: Any, pattern: Any) -> Any:
        """The pieces between matches."""
        return self.f.anon.split(arg, _pattern(op.pattern))

    def visit_RegexExtract(self, op: Any, *, arg: Any, pattern: Any, index: Any) -> Any:
        """A group of the first match; the empty text where there is none."""
        return self.f.anon.regexp_extract(arg, _pattern(op.pattern), index)

    def visit_RegexReplace(self, op: Any, *, arg: Any, pattern: Any, replacement: Any) -> Any:
        """All matches."""
        return self.f.anon.regexp_replace(
            arg, _pattern(op.pattern), sge.convert(java_replacement(_text(op.replacement)))
        )

    def visit_StringReplace(self, op: Any, *, arg: Any, pattern: Any, replacement: Any) -> Any:
        """A fixed text by another."""
        return self.f.anon.replace(arg, pattern, replacement)

    def visit_StringAscii(self, op: Any, *, arg: Any) -> Any:
        """The code point of the first character."""
        return self.f.anon.ascii(arg)

    def visit_StringConcat(self, op: Any, *, arg: Any) -> Any:
        """Null where a part is null."""
        return self.f.anon.concat(*arg)

    def visit_Repeat(self, op: Any, *, arg: Any, times: Any) -> Any:
        """Spark wants an INT."""
        return self.f.anon.repeat(arg, sge.cast(times, "int"))

    def visit_Substring(self, op: Any, *, arg: Any, start: Any, length: Any) -> Any:
        """Spark wants INTs; positions count from 0, negative ones from the end."""
        first: Any = sge.cast(
            self.if_(sge.paren(start) >= 0, sge.paren(start) + 1, sge.paren(start) + 1 + self.f.length(arg)), "int"
        )
        if isinstance(op.start, ops.Literal) and op.start.value >= 0:
            first = sge.convert(op.start.value + 1)
        if length is None:
            return self.f.anon.substring(arg, first)
        return self.f.anon.substring(arg, first, sge.cast(length, "int"))

    # dates
    def visit_IntervalFromInteger(self, op: Any, *, arg: Any, unit: Any) -> Any:
        """An interval of whole days, hours, minutes or seconds."""
        names = {"D": 0, "h": 1, "m": 2, "s": 3}
        if unit.short not in names:
            return super().visit_IntervalFromInteger(op, arg=arg, unit=unit)
        parts: list[Any] = [sge.convert(0)] * names[unit.short]
        return self.f.anon.make_dt_interval(*parts, sge.cast(arg, "int"))

    def visit_ExtractEpochSeconds(self, op: Any, *, arg: Any) -> Any:
        """Seconds since 1970 with their fraction, also before it."""
        instant = sge.Cast(this=arg, to=sge.DataType.build("TIMESTAMP_LTZ", dialect="spark"))
        return sge.paren(self.f.anon.unix_micros(instant) / sge.convert(1e6))

    # lists
    def visit_ArrayDistinct(self, op: Any, *, arg: Any) -> Any:
        """Each element once, null among them."""
        return self.f.anon.array_distinct(arg)

    def visit_ArrayStringJoin(self, op: Any, *, arg: Any, sep: Any) -> Any:
        """As DuckDB: null for a list without a text."""
        return self.if_(self.f.anon.size(arg) > 0, self.f.anon.array_join(arg, sep), NULL)

    def visit_ScalarUDF(self, op: Any, **arguments: Any) -> Any:
        """DuckDB's functions by their names in Spark."""
        known = BUILTINS.get(op.__func_name__) if op.__input_type__ == InputType.BUILTIN else None
        return super().visit_ScalarUDF(op, **arguments) if known is None else known(self, op, *arguments.values())


def _is_hexadecimal(value: Any) -> bool:
    """Whether a text is put together as `0x` and digits."""
    return isinstance(value, ops.StringConcat) and isinstance(value.arg[0], ops.Literal) and value.arg[0].value == "0x"


def _text(value: Any) -> str:
    if not isinstance(value, ops.Literal):
        raise NotImplementedError("a pattern that is no constant")
    return str(value.value)


def _pattern(value: Any) -> Any:
    return sge.convert(java_pattern(_text(value)))


def _variable(compiler: SparkCompiler, op: Any, name: Any) -> Any:
    """A bound list is a variable; a bound text, such as a key, one cell of a view: unlike a constant it stands in no plan."""
    del compiler, name
    bound = sg.to_identifier(VARIABLES + op.args[0].value)
    if op.dtype.is_array():
        return sge.Column(this=bound)
    return sge.Subquery(this=sg.select(sg.column("v", quoted=True)).from_(sge.Table(this=bound)))


def _element(compiler: SparkCompiler, _: Any, array: Any, place: Any) -> Any:
    at = sge.cast(compiler.f.anon.nullif(place, 0), "int")
    return compiler.f.anon.try_element_at(array, at)


def _concat(compiler: SparkCompiler, op: Any, *arrays: Any) -> Any:
    nothing = compiler.cast(compiler.f.anon.array(), op.dtype)
    return compiler.f.anon.concat(*(compiler.f.anon.coalesce(a, nothing) for a in arrays))


def _extract_all(compiler: SparkCompiler, op: Any, text: Any, _: Any) -> Any:
    return compiler.f.anon.regexp_extract_all(text, _pattern(op.args[1]), 0)


def _piece(compiler: SparkCompiler, _: Any, text: Any, start: Any, length: Any) -> Any:
    return compiler.f.anon.substring(text, sge.cast(start, "int"), sge.cast(length, "int"))


def _named(name: str) -> Callable[..., Any]:
    return lambda compiler, _, *arguments: compiler.f.anon[name](*arguments)


def _shared(compiler: SparkCompiler, _: Any, left: Any, right: Any) -> Any:
    return compiler.f.anon.array_compact(compiler.f.anon.array_intersect(left, right))


def _has_any(compiler: SparkCompiler, _: Any, left: Any, right: Any) -> Any:
    f = compiler.f.anon
    return f.arrays_overlap(f.array_compact(left), f.array_compact(right))


BUILTINS: dict[str, Callable[..., Any]] = {
    "getvariable": _variable,
    "list_concat": _concat,
    "list_extract": _element,
    "list_has_any": _has_any,
    "list_intersect": _shared,
    "list_position": _named("array_position"),
    "regexp_extract_all": _extract_all,
    "replace": _named("replace"),
    "substring": _piece,
}
