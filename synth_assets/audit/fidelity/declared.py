"""Rules that a person declared: `impossible` combinations, and lines of the contract about several columns of one row.

What belongs here: reading them into rules that can be counted on any table. What does not: other lines of a contract, which run as
checks of their own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime

import numpy as np

from synth_assets.audit.fidelity.rules import Flags, Rule, impossible, order, total
from synth_assets.audit.prepare import Prepared
from synth_assets.config.dataset import ExpectationConfig
from synth_assets.config.sampling import SEPARATOR
from synth_assets.errors import InputError
from synth_assets.tables.expectation_names import columns_of, full_name
from synth_assets.tables.schema import ColumnKind

Combinations = Sequence[Mapping[str, Sequence[str | None]]]
DOTS = ".."
_DAY = 86_400.0


def declared_rules(
    prepared: Prepared, combinations: Combinations, contract: Sequence[ExpectationConfig]
) -> tuple[list[Rule], list[str]]:
    """The declared rules whose columns are compared, and a note about those whose columns are not.

    Args:
        prepared: The compared columns.
        combinations: Combinations of values that no row can have.
        contract: Lines of the contract; those about one column or about keys are not rules of a row.

    Raises:
        InputError: a range cannot be read.
    """
    rules: list[Rule] = []
    left = 0
    for combination in combinations:
        if set(combination) <= set(prepared.names):
            rules.append(_combination(prepared, combination))
        else:
            left += 1
    for line in contract:
        rule = _line(line)
        if rule is not None and set(rule.columns) <= {n for n in prepared.names if prepared.numeric(n)}:
            rules.append(rule)
    many = f"{left} declared combination{'s' if left > 1 else ''}"
    return rules, [f"{many} could not be counted: a column is not compared."] if left else []


def _line(line: ExpectationConfig) -> Rule | None:
    """A line of the contract as a rule; None where it is no rule about several columns of one row."""
    columns, name = columns_of(line), full_name(line.expect)
    if len(columns) == 2 and name == "expect_column_pair_values_a_to_be_greater_than_b":
        return order(columns[1], columns[0], strict=not line.arguments.get("or_equal", False), kind="declared")
    if len(columns) == 2 and name == "expect_column_pair_values_to_be_equal":
        return total(columns[0], columns[1:], kind="declared")
    return None


def _combination(prepared: Prepared, combination: Mapping[str, Sequence[str | None]]) -> Rule:
    kinds = {column.name: column.kind for column in prepared.columns}
    allowed: dict[str, Flags] = {}
    ranges: dict[str, list[tuple[float, float]]] = {}
    for name, terms in combination.items():
        if prepared.numeric(name):
            ranges[name] = [r for term in terms for r in _ranges(name, kinds[name], term)]
        else:
            allowed[name] = _labels(prepared.labels[name], terms)
    parts = (
        f"{name!r} is {' or '.join('missing' if term is None else term for term in terms)}"
        for name, terms in combination.items()
    )
    return impossible(" and ".join(parts), allowed, ranges)


def _labels(labels: Sequence[str], terms: Sequence[str | None]) -> Flags:
    """Whether each label, and last a missing value, meets one of the terms."""
    texts = {part for term in terms if term is not None for part in (term, *term.split(SEPARATOR))}
    wanted = {_plain(text) for text in texts}
    return np.array([*(_plain(label) in wanted for label in labels), None in terms], dtype=bool)


def _plain(text: str) -> str | float:
    """Numbers as numbers: 1 and 1.0 are one category."""
    try:
        return float(text)
    except ValueError:
        return text


def _ranges(name: str, kind: ColumnKind, term: str | None) -> list[tuple[float, float]]:
    """First and last number of each range of a term, both belonging to it; NaN for missing."""
    if term is None:
        return [(math.nan, math.nan)]
    found = []
    for part in term.split(SEPARATOR):
        low, dots, high = part.partition(DOTS)
        if not dots:
            low = high = part
        try:
            first = _number(kind, low.strip(), last=False) if low else -math.inf
            end = _number(kind, high.strip(), last=True) if high else math.inf
        except (ValueError, OverflowError):
            raise InputError(
                f"a declared combination on a column of kind {kind} cannot be read.", column=name, key="impossible",
                remedy=f"Write a value, or a range as LOW{DOTS}HIGH, LOW{DOTS} or {DOTS}HIGH.",
            ) from None  # fmt: skip
        found.append((first, end))
    return found


def _number(kind: ColumnKind, text: str, *, last: bool) -> float:
    """A number, or the seconds of a date or time; a day that ends a range of times ends with its last moment."""
    if kind is ColumnKind.NUMBER:
        return float(text)
    if kind is ColumnKind.DATE:
        return (date.fromisoformat(text) - date(1970, 1, 1)).days * _DAY
    at = datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
    return at + _DAY - 1e-6 if last and len(text) <= len("2020-12-31") else at
