"""Arrays: element by element with arguments of their own names, and the engine's plain list functions.

What belongs here: mapping, picking, joining. What does not: what is done with an element. Ibis 12 rewrites every argument of one name
in a whole query, lambdas of other columns included, so a name must never come twice; and it wraps `array[i]`, `index` and `concat`
in cases for null and negative positions, which the engine would evaluate for every element.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir

_serial = count()
_TEXTS = dt.Array(dt.string)


@ibis.udf.scalar.builtin(name="list_extract", signature=((_TEXTS, dt.int64), dt.string))  # type: ignore[untyped-decorator]
def _list_extract(array: Any, place: Any) -> Any: ...


@ibis.udf.scalar.builtin(name="list_position", signature=((_TEXTS, dt.string), dt.int64))  # type: ignore[untyped-decorator]
def _list_position(array: Any, item: Any) -> Any: ...


@ibis.udf.scalar.builtin(name="list_concat", signature=((_TEXTS, _TEXTS), _TEXTS))  # type: ignore[untyped-decorator]
def _list_concat(left: Any, right: Any) -> Any: ...


@ibis.udf.scalar.builtin(name="list_concat", signature=((dt.Array(dt.int64), dt.Array(dt.int64)), dt.Array(dt.int64)))  # type: ignore[untyped-decorator]
def _list_concat_integers(left: Any, right: Any) -> Any: ...


@ibis.udf.scalar.builtin(name="regexp_extract_all", signature=((dt.string, dt.string), _TEXTS))  # type: ignore[untyped-decorator]
def _extract_all(text: Any, pattern: Any) -> Any: ...


@ibis.udf.scalar.builtin(name="list_has_any", signature=((_TEXTS, _TEXTS), dt.boolean))  # type: ignore[untyped-decorator]
def has_any(left: Any, right: Any) -> Any:
    """Whether two lists of texts share an element."""


@ibis.udf.scalar.builtin(name="list_intersect", signature=((_TEXTS, _TEXTS), _TEXTS))  # type: ignore[untyped-decorator]
def shared(left: Any, right: Any) -> Any:
    """The elements that two lists of texts share, once each."""


def each(array: ir.ArrayValue, make: Callable[[ir.Value], ir.Value]) -> ir.ArrayValue:
    """The array with `make` done to every element."""
    item = _argument(array, "item", array.type().value_type)
    return ops.ArrayMap(array, param=item, index=None, body=make(item.to_expr())).to_expr()


def each_at(array: ir.ArrayValue, make: Callable[[ir.Value, ir.IntegerValue], ir.Value]) -> ir.ArrayValue:
    """The array with `make` done to every element and its position, from 0."""
    item, at = _argument(array, "item", array.type().value_type), _argument(array, "at", dt.int64)
    return ops.ArrayMap(array, param=item, index=at, body=make(item.to_expr(), at.to_expr())).to_expr()


def only(array: ir.ArrayValue, keep: Callable[[ir.Value], ir.BooleanValue]) -> ir.ArrayValue:
    """The elements for which `keep` holds."""
    item = _argument(array, "item", array.type().value_type)
    return ops.ArrayFilter(array, param=item, index=None, body=keep(item.to_expr())).to_expr()


def holds(array: ir.ArrayValue, item: ir.StringValue) -> ir.BooleanValue:
    """Whether a text stands in a list; False for a missing list."""
    return (_list_position(array, item) > 0).fill_null(False)


def element(array: ir.ArrayValue, position: ir.IntegerValue) -> ir.StringValue:
    """The text at a position, from 0; null beyond the end."""
    return _list_extract(array, position + 1)


def position_of(array: ir.ArrayValue, item: ir.StringValue) -> ir.IntegerValue:
    """First position of a text, from 0; negative or null where it is not there."""
    return _list_position(array, item) - 1


def chained(arrays: Sequence[ir.ArrayValue]) -> ir.ArrayValue:
    """Lists of texts one after the other; a missing one counts as empty."""
    made = arrays[0]
    for more in arrays[1:]:
        made = _list_concat(made, more)
    return made


def hashes_joined(arrays: Sequence[ir.ArrayValue]) -> ir.ArrayValue:
    """The hashes of all texts of some lists, in one list; null for a missing text."""
    hashed = [each(array, lambda text: text.isnull().ifelse(ibis.null("int64"), text.hash())) for array in arrays]
    made = hashed[0]
    for more in hashed[1:]:
        made = _list_concat_integers(made, more)
    return made


def extract_all(text: ir.StringValue, pattern: str) -> ir.ArrayValue:
    """All matches of a pattern."""
    return _extract_all(text, pattern)


def _argument(array: ir.ArrayValue, name: str, dtype: dt.DataType) -> ops.Argument:
    return ops.Argument(name=f"{name}{next(_serial)}", shape=array.op().shape, dtype=dtype)
