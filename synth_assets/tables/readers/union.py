"""Several staged files as one table: the same columns in the same order, and one type per column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from synth_assets.errors import SourceError
from synth_assets.tables.readers.naming import shown
from synth_assets.tables.readers.staging import ARROW, Part, Staged, StagedType, staged_schema, staged_writer

_WIDER: dict[frozenset[StagedType], StagedType] = {
    frozenset({"int64", "double"}): "double",
    frozenset({"date", "timestamp"}): "timestamp",
}
_EXACT_IN_DOUBLE = 2**53


def together(staged: list[Staged]) -> Staged:
    """Several files of one table.

    Whole numbers beside decimals become decimals, dates beside times become times, and a file in which a column has no value takes
    the type that the others give it.

    Raises:
        SourceError: a file has other columns, or another type; names the file.
    """
    first = staged[0]
    if len(staged) == 1:
        return first
    for other in staged[1:]:
        _require_same_names(first, other)
    types = tuple(_common(staged, i) for i in range(len(first.types)))
    parts = [_retyped(part, s.types, types) for s in staged for part in s.parts]
    return Staged(
        names=first.names,
        types=types,
        parts=tuple(parts),
        facts={**first.facts, "files": len(staged)},
        notes=list(dict.fromkeys(note for s in staged for note in s.notes)),
        decimals={i: max(s.decimals.get(i, 0) for s in staged) for s in staged for i in s.decimals},
        header_found=first.header_found,
    )


def _require_same_names(first: Staged, other: Staged) -> None:
    if other.names == first.names:
        return
    missing = [n for n in first.names if n not in other.names]
    extra = [n for n in other.names if n not in first.names]
    differ = f"missing: {shown(missing)}" if missing else f"more: {shown(extra)}" if extra else "their order differs"
    raise SourceError(
        "the columns differ from those of the folder's first file.",
        file=other.parts[0].origin,
        remedy=f"All files of a folder are one table ({differ}).",
    )


def _common(staged: Sequence[Staged], position: int) -> StagedType:
    """The one type of a column."""
    found = {s.types[position] for s in staged}
    if len(found) == 1:
        return found.pop()
    filled = [s for s in staged if _has_values(s, position)]
    types = frozenset(s.types[position] for s in filled)
    if len(types) < 2:
        return next(iter(types), "string")
    wider = _WIDER.get(types)
    if wider is not None:
        return wider
    other = next(s for s in filled if s.types[position] != filled[0].types[position])
    raise SourceError(
        "the column's type differs from that in the folder's first file.",
        file=other.parts[0].origin,
        column=other.names[position],
        remedy="Write the files with one schema.",
    )


def _has_values(staged: Staged, position: int) -> bool:
    for part in staged.parts:
        with pq.ParquetFile(part.path) as source:
            for batch in source.iter_batches(columns=[f"c{position}"]):
                if batch.column(0).null_count < batch.num_rows:
                    return True
    return False


def _retyped(part: Part, types: Sequence[StagedType], wanted: Sequence[StagedType]) -> Part:
    """A part in the types of the whole table."""
    if tuple(types) == tuple(wanted):
        return part
    path = part.path.with_suffix(".retyped.parquet")
    with pq.ParquetFile(part.path) as source, staged_writer(path, staged_schema(wanted)) as writer:
        for batch in source.iter_batches():
            columns = [_cast(c, t, part) for c, t in zip(batch.columns, wanted, strict=True)]
            writer.write_batch(pa.record_batch(columns, schema=staged_schema(wanted)))
    part.path.unlink()
    return replace(part, path=path)


def _cast(column: pa.Array, wanted: StagedType, part: Part) -> pa.Array:
    if column.null_count == len(column):
        return pa.nulls(len(column), ARROW[wanted])
    if wanted == "double" and pa.types.is_integer(column.type):
        largest = pc.max(pc.abs(column.cast(pa.float64(), safe=False))).as_py()
        if largest >= _EXACT_IN_DOUBLE:
            raise SourceError(
                "whole numbers stand beside decimals of other files, and are too large for these.",
                file=part.origin,
                remedy="Write the files with one schema.",
            )
    return column.cast(ARROW[wanted])
