"""Computes formulas over whole columns. The formula's text was checked when the schema was loaded (config/formulas.py).

What belongs here: the meaning of each operator and function on arrays. What does not: parsing, random draws.
"""

from __future__ import annotations

import ast
import datetime as dt
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from synth_assets.config.formulas import parse_formula
from synth_assets.errors import ConfigError
from synth_assets.generation.values import Coded, Values

Lookup = Callable[[str], Values]
_DAY = np.timedelta64(1, "D")
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Mult: operator.mul, ast.Div: operator.truediv, ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
}  # fmt: skip


def evaluate(formula: float | str, column: Lookup, n: int, *, today: dt.date, key: str) -> Values:
    """The value of a formula in each row.

    Args:
        formula: A number, or the text of a formula.
        column: Gives the column of a name (`age`, `patients.age`), n values.
        n: Number of rows.
        today: What the name `today` stands for.
        key: Configuration key, for messages.

    Returns:
        n values: numbers, booleans, days, times or coded texts. A difference of days is a number of days.

    Raises:
        ConfigError: the formula mixes kinds that cannot be mixed, such as a text and a number.
    """
    tree = parse_formula(formula) if isinstance(formula, str) else ast.Constant(formula)
    try:
        with np.errstate(all="ignore"):
            value = _Evaluation(column, n, today).value(tree)
    except (TypeError, ValueError, KeyError, OverflowError, pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise ConfigError("this formula mixes kinds of values that do not go together.", key=key) from None
    if isinstance(value, str):
        return Coded(np.zeros(n, dtype=np.int64), (value,))
    return value if isinstance(value, Coded | pa.Array) else np.broadcast_to(np.asarray(value), n)


def numbers(formula: float | str, column: Lookup, n: int, *, today: dt.date, key: str) -> npt.NDArray[np.float64]:
    """A formula as numbers, shape (n,); a missing or infinite result is an error.

    Raises:
        ConfigError: it gives texts or days, or no finite number in some row.
    """
    value = evaluate(formula, column, n, today=today, key=key)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf":
        raise ConfigError("this formula must give a number.", key=key)
    result = value.astype(np.float64)
    if not np.isfinite(result).all():
        raise ConfigError("this formula divides by zero, or takes a root or logarithm of a negative number.", key=key)
    return result


class _Evaluation:
    """One walk over the tree of one formula."""

    def __init__(self, column: Lookup, n: int, today: dt.date) -> None:
        self.column, self.n, self.today = column, n, np.datetime64(today, "D")

    def value(self, node: ast.expr) -> Any:
        return getattr(self, f"_{type(node).__name__.lower()}")(node)

    def _constant(self, node: ast.Constant) -> Any:
        return node.value

    def _name(self, node: ast.Name) -> Any:
        return self.today if node.id == "today" else self.column(node.id)

    def _attribute(self, node: ast.Attribute) -> Any:
        return self.column(f"{node.value.id}.{node.attr}")  # type: ignore[attr-defined]  # the parser allows names only

    def _tuple(self, node: ast.Tuple) -> Any:
        return [self.value(e) for e in node.elts]

    _list = _tuple

    def _binop(self, node: ast.BinOp) -> Any:
        left, right = self.value(node.left), self.value(node.right)
        if isinstance(left, str | Coded) or isinstance(right, str | Coded):
            raise TypeError
        if isinstance(node.op, ast.Add | ast.Sub):
            return _add(left, right, minus=isinstance(node.op, ast.Sub))
        if isinstance(node.op, ast.Pow):
            return np.power(np.asarray(left, dtype=np.float64), np.asarray(right, dtype=np.float64))
        return _ARITHMETIC[type(node.op)](np.asarray(left), np.asarray(right))

    def _unaryop(self, node: ast.UnaryOp) -> Any:
        value = self.value(node.operand)
        if isinstance(node.op, ast.Not):
            return ~_truth(value)
        return -np.asarray(value) if isinstance(node.op, ast.USub) else np.asarray(value)

    def _boolop(self, node: ast.BoolOp) -> Any:
        values = [_truth(self.value(v)) for v in node.values]
        join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
        return join.reduce(np.broadcast_arrays(*values))

    def _compare(self, node: ast.Compare) -> Any:
        left, result = self.value(node.left), np.asarray(True)
        for op, right_node in zip(node.ops, node.comparators, strict=True):
            right = self.value(right_node)
            if isinstance(op, ast.In | ast.NotIn):
                if not isinstance(right, list):
                    raise TypeError
                found = np.logical_or.reduce([_compare(left, r, operator.eq) for r in right])
                result = result & (found if isinstance(op, ast.In) else ~found)
            else:
                result = result & _compare(left, right, _COMPARE[type(op)])
            left = right
        return result

    def _ifexp(self, node: ast.IfExp) -> Any:
        condition = np.broadcast_to(_truth(self.value(node.test)), self.n)
        yes, no = self.value(node.body), self.value(node.orelse)
        if isinstance(yes, str | Coded) and isinstance(no, str | Coded):
            return _choose(condition, self._coded(yes), self._coded(no))
        if isinstance(yes, str | Coded | pa.Array) or isinstance(no, str | Coded | pa.Array):
            raise TypeError
        return np.where(condition, np.asarray(yes), np.asarray(no))

    def _coded(self, value: str | Coded) -> Coded:
        return value if isinstance(value, Coded) else Coded(np.zeros(self.n, dtype=np.int64), (value,))

    def _subscript(self, node: ast.Subscript) -> Any:
        table = {k.value: self.value(v) for k, v in zip(node.value.keys, node.value.values, strict=True)}  # type: ignore[attr-defined]
        chosen = self.value(node.slice)
        result: Any = None
        covered = np.zeros(self.n, dtype=bool)
        for key, value in table.items():
            here = np.broadcast_to(_compare(chosen, key, operator.eq), self.n)
            covered |= here
            if isinstance(value, str | Coded):
                coded = self._coded(value)
                result = coded if result is None else _choose(here, coded, result)
            else:
                result = np.broadcast_to(np.asarray(value), self.n) if result is None else np.where(here, value, result)
        if not covered.all():
            raise KeyError
        return result

    def _call(self, node: ast.Call) -> Any:
        name = node.func.id  # type: ignore[attr-defined]  # the parser allows names only
        if name == "date":
            return np.datetime64(str(self.value(node.args[0])), "D")
        arguments = [self.value(a) for a in node.args]
        if any(isinstance(a, str | Coded | pa.Array) for a in arguments):
            raise TypeError
        return _FUNCTIONS[name](*[np.asarray(a) for a in arguments])


def _truth(value: Any) -> npt.NDArray[np.bool_]:
    if isinstance(value, str | Coded | pa.Array):
        raise TypeError
    return np.asarray(value).astype(bool)


def _compare(left: Any, right: Any, compare: Callable[[Any, Any], Any]) -> npt.NDArray[np.bool_]:
    if isinstance(left, str) and not isinstance(right, str):
        left, right, compare = right, left, _mirrored(compare)
    if isinstance(left, Coded | pa.Array | str) != isinstance(right, Coded | pa.Array | str):
        raise TypeError
    if isinstance(left, Coded) and isinstance(right, str):
        return np.array([compare(v, right) for v in left.values], dtype=bool)[left.codes]
    if isinstance(left, Coded) and isinstance(right, Coded):
        table = np.array([[compare(a, b) for b in right.values] for a in left.values], dtype=bool)
        return np.asarray(table[left.codes, right.codes])
    if isinstance(left, pa.Array) and compare in {operator.eq, operator.ne} and isinstance(right, str):
        same = pc.equal(left, right).to_numpy(zero_copy_only=False)
        return np.asarray(same if compare is operator.eq else ~same)
    if isinstance(left, Coded | pa.Array) or isinstance(right, Coded | pa.Array):
        raise TypeError
    return np.asarray(compare(left, right))


def _mirrored(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    mirror = {operator.lt: operator.gt, operator.le: operator.ge, operator.gt: operator.lt, operator.ge: operator.le}
    return mirror.get(compare, compare)


def _choose(condition: npt.NDArray[np.bool_], yes: Coded, no: Coded) -> Coded:
    values = tuple(dict.fromkeys((*yes.values, *no.values)))
    place = {v: i for i, v in enumerate(values)}
    yes_codes = np.array([place[v] for v in yes.values])[yes.codes]
    no_codes = np.array([place[v] for v in no.values])[no.codes]
    return Coded(np.where(condition, yes_codes, no_codes), values)


def _add(left: Any, right: Any, *, minus: bool) -> Any:
    """The sum or the difference; days and times take numbers of days."""
    a, b = np.asarray(left), np.asarray(right)
    if a.dtype.kind == "M" and b.dtype.kind == "M":
        if not minus:
            raise TypeError
        return (a - b) / _DAY
    if b.dtype.kind == "M":
        if minus:
            raise TypeError
        a, b = b, a
    if a.dtype.kind == "M":
        whole = np.datetime_data(a.dtype)[0] == "D"
        step = np.floor(b).astype("timedelta64[D]") if whole else np.round(b * 86_400.0).astype("timedelta64[s]")
        return a - step if minus else a + step
    a, b = (x.astype(np.int64) if x.dtype.kind == "b" else x for x in (a, b))
    return a - b if minus else a + b


def _days(value: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if value.dtype.kind != "M":
        raise TypeError
    return value.astype("datetime64[D]")


def _round(value: npt.NDArray[Any], decimals: npt.NDArray[Any] | int = 0) -> npt.NDArray[Any]:
    return np.round(value, int(decimals))


_FUNCTIONS: dict[str, Callable[..., npt.NDArray[Any]]] = {
    "abs": np.abs,
    "ceil": np.ceil,
    "clip": lambda x, low, high: np.minimum(np.maximum(x, low), high),
    "exp": np.exp,
    "floor": np.floor,
    "log": np.log,
    "max": lambda *values: np.maximum.reduce(np.broadcast_arrays(*values)),
    "min": lambda *values: np.minimum.reduce(np.broadcast_arrays(*values)),
    "month": lambda x: _days(x).astype("datetime64[M]").astype(np.int64) % 12 + 1,
    "round": _round,
    "sigmoid": lambda x: 1 / (1 + np.exp(-np.asarray(x, dtype=np.float64))),
    "sqrt": np.sqrt,
    "weekday": lambda x: (_days(x).astype(np.int64) + 3) % 7,
    "year": lambda x: _days(x).astype("datetime64[Y]").astype(np.int64) + 1970,
    "years": lambda days: np.floor(np.asarray(days, dtype=np.float64) / 365.25),
}
