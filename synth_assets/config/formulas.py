"""Formulas of a generation schema: a small part of Python's expressions, checked when the file is loaded.

What belongs here: parsing, the list of what is allowed, the names that a formula reads. What does not: computing a formula over
columns (generation/formulas.py). A formula never runs as Python code.
"""

from __future__ import annotations

import ast
import datetime as dt
from collections.abc import Iterator
from functools import cache
from typing import Annotated

from pydantic import AfterValidator

MAX_FORMULA_CHARACTERS = 2000
MAX_FORMULA_DEPTH = 60
MAX_CONSTANT = 2.0**62
FUNCTIONS = {
    "abs": (1, 1), "ceil": (1, 1), "clip": (3, 3), "date": (1, 1), "exp": (1, 1), "floor": (1, 1), "log": (1, 1),
    "max": (2, 9), "min": (2, 9), "month": (1, 1), "round": (1, 2), "sigmoid": (1, 1), "sqrt": (1, 1), "weekday": (1, 1),
    "year": (1, 1), "years": (1, 1),
}  # fmt: skip
CONSTANTS = frozenset({"today"})
_ALLOWED = (
    ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Call, ast.Name, ast.Attribute, ast.Constant, ast.Subscript,
    ast.Dict, ast.Tuple, ast.List, ast.Load, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.USub, ast.UAdd,
    ast.Not, ast.And, ast.Or, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn,
)  # fmt: skip


@cache
def parse_formula(text: str) -> ast.expr:
    """The syntax tree of a formula.

    Args:
        text: Such as ``"0.3 + 0.1 * (age >= 65)"`` or ``"patients.birth_date + 30"``.

    Raises:
        ValueError: it is no expression, or uses something that formulas do not have.
    """
    if len(text) > MAX_FORMULA_CHARACTERS:
        raise ValueError(f"a formula has at most {MAX_FORMULA_CHARACTERS} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError("this is not a formula (write it like `0.3 + 0.1 * (age >= 65)`)") from None
    level: list[ast.AST] = [tree]
    for _ in range(MAX_FORMULA_DEPTH):
        problem = next(filter(None, map(_problem, level)), None)
        if problem:
            raise ValueError(problem)
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    if level:
        raise ValueError("this formula is nested too deeply")
    return tree


def _problem(node: ast.AST) -> str | None:
    if not isinstance(node, _ALLOWED):
        return f"formulas cannot use {type(node).__name__.lower()}"
    if isinstance(node, ast.Constant):
        return _constant_problem(node)
    if isinstance(node, ast.Attribute) and not isinstance(node.value, ast.Name):
        return "write a column of another table as table.column"
    if isinstance(node, ast.Subscript) and not isinstance(node.value, ast.Dict):
        return "write a choice by value as {'a': 1, 'b': 2}[column]"
    if isinstance(node, ast.Dict) and not (node.keys and all(isinstance(k, ast.Constant) for k in node.keys)):
        return "the keys of a choice by value are constants, at least one"
    return _call_problem(node) if isinstance(node, ast.Call) else None


def _constant_problem(node: ast.Constant) -> str | None:
    if isinstance(node.value, bool | int | float):
        return None if abs(node.value) < MAX_CONSTANT else "a number in a formula is below 2 ** 62"
    return None if isinstance(node.value, str) else "formulas have numbers, texts, True and False as constants"


def _call_problem(node: ast.Call) -> str | None:
    name = node.func.id if isinstance(node.func, ast.Name) else None
    if name not in FUNCTIONS or node.keywords:
        return f"formulas have only these functions: {', '.join(sorted(FUNCTIONS))}"
    low, high = FUNCTIONS[name]
    if not low <= len(node.args) <= high:
        return f"`{name}` takes {low if low == high else f'{low} to {high}'} arguments"
    if name == "date" and not _is_date(node.args[0]):
        return "`date` takes one day in quotes, such as date('2024-02-29')"
    return None


def _is_date(node: ast.expr) -> bool:
    try:
        return isinstance(node, ast.Constant) and dt.date.fromisoformat(str(node.value)) is not None
    except ValueError:
        return False


def formula_names(formula: float | str) -> frozenset[str]:
    """The columns that a formula reads: ``column`` of its own row, or ``table.column`` of a row above it."""
    return frozenset(_names(parse_formula(formula))) if isinstance(formula, str) else frozenset()


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        yield f"{node.value.id}.{node.attr}"
    elif isinstance(node, ast.Name) and node.id not in CONSTANTS:
        yield node.id
    elif isinstance(node, ast.Call):
        for argument in node.args:
            yield from _names(argument)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _names(child)


def _valid(value: float | str) -> float | str:
    if isinstance(value, str):
        parse_formula(value)
    return value


Formula = Annotated[float | str, AfterValidator(_valid)]
