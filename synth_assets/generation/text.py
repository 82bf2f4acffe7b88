"""Free text: sentences with slots that are filled from the other columns of the row.

What belongs here: choosing a sentence per row and filling it. What does not: the sentences (data/templates.csv, or the schema).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from synth_assets.generation import lists
from synth_assets.generation.spreads import weighted, weighted_rows
from synth_assets.generation.values import Ints, joined, to_text

_SLOT = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d{1,9})\.\.(\d{1,9})")
MISSING = "not recorded"


class Template(NamedTuple):
    """A sentence as pieces: literals at even places, slots at odd ones."""

    pieces: tuple[str, ...]
    weight: float
    condition: str | float | None

    @property
    def columns(self) -> tuple[str, ...]:
        """Slots that are columns, without number ranges and other domains."""
        return tuple(s for s in self.pieces[1::2] if not s.startswith("@") and not _RANGE.fullmatch(s))


def parse_template(text: str, weight: float = 1.0, condition: str | float | None = None) -> Template:
    """Split a sentence at its slots.

    Raises:
        ValueError: a brace without its partner, an empty slot, a range that is upside down, or an unknown domain.
    """
    pieces = tuple(_SLOT.split(text))
    if any("{" in p or "}" in p for p in pieces[::2]):
        raise ValueError("a `{` or `}` stands alone")
    for slot in pieces[1::2]:
        numbers = _RANGE.fullmatch(slot)
        if not slot or (numbers and int(numbers[1]) > int(numbers[2])):
            raise ValueError("a slot is {column}, {table.column}, {low..high} or {@domain}")
        if slot.startswith("@") and slot[1:] not in lists.domains():
            raise ValueError(f"text domains are {', '.join(lists.domains())}")
    return Template(pieces, weight, condition)


@cache
def domain_templates(domain: str) -> tuple[Template, ...]:
    """The sentences of a domain of `lists.domains()`."""
    return tuple(parse_template(s.text, s.weight, s.condition or None) for s in lists.sentences(domain))


def render(
    generator: np.random.Generator,
    n: int,
    templates: Sequence[Template],
    slots: Mapping[str, pa.Array],
    holds: Callable[[str | float], npt.NDArray[np.bool_]] | None = None,
) -> pa.Array:
    """One sentence per row.

    Args:
        generator: Chooses sentences and numbers.
        n: Number of rows.
        templates: At least one; one whose slot is null in a row, or whose condition fails there, is not used in that row.
        slots: The text of each slot, n values each.
        holds: Computes a condition, shape (n,).

    Returns:
        An Arrow string array without nulls; where no sentence fits, the first one with "not recorded" in its empty slots.
    """
    choice = _choose(generator, n, templates, slots, holds)
    parts, order = [], []
    for index, template in enumerate(templates):
        rows = np.flatnonzero(choice == index)
        if rows.size:
            parts.append(_fill(generator, template, slots, rows))
            order.append(rows)
    if not parts:
        return pa.array([], pa.string())
    back = np.empty(n, dtype=np.int64)
    back[np.concatenate(order)] = np.arange(n)
    return pa.concat_arrays(parts).take(pa.array(back))


def _choose(
    generator: np.random.Generator,
    n: int,
    templates: Sequence[Template],
    slots: Mapping[str, pa.Array],
    holds: Callable[[str | float], npt.NDArray[np.bool_]] | None,
) -> Ints:
    plain = np.array([t.weight for t in templates])
    conditions = [t.condition for t in templates]
    filled = {
        name: column.is_valid().to_numpy(zero_copy_only=False) for name, column in slots.items() if column.null_count
    }
    if not filled and (holds is None or not any(c is not None for c in conditions)):
        return weighted(generator, n, plain)
    matrix = np.broadcast_to(plain, (n, len(templates))).copy()
    for index, template in enumerate(templates):
        for name in template.columns:
            if name in filled:
                matrix[:, index] *= filled[name]
        if template.condition is not None and holds is not None:
            matrix[:, index] *= holds(template.condition)
    return np.where(matrix.any(axis=1), weighted_rows(generator, matrix), 0)


def _fill(generator: np.random.Generator, template: Template, slots: Mapping[str, pa.Array], rows: Ints) -> pa.Array:
    parts: list[pa.Array | str] = []
    for place, piece in enumerate(template.pieces):
        numbers = _RANGE.fullmatch(piece) if place % 2 else None
        if place % 2 == 0:
            parts.append(piece)
        elif numbers:
            parts.append(to_text(generator.integers(int(numbers[1]), int(numbers[2]) + 1, rows.size)))
        elif piece.startswith("@"):
            parts.append(render(generator, rows.size, domain_templates(piece[1:]), {}))
        else:
            parts.append(pc.fill_null(slots[piece].take(pa.array(rows)), MISSING))
    if len(parts) == 1:
        return pa.array([template.pieces[0]], pa.string()).take(pa.array(np.zeros(rows.size, dtype=np.int64)))
    return joined([p for p in parts if not isinstance(p, str) or p])
