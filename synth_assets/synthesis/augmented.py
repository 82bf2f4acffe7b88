"""Augmentation: a real table with synthetic rows of its rare classes behind it, each row marked. Raw-equivalent: it holds real rows.

What belongs here: counting the classes of real rows, and putting both kinds of rows into one table. What does not: drawing rows
(marginals/strata.py), and anything that may leave the restricted zone: how many rows are added depends on exact private counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from synth_assets.errors import InputError
from synth_assets.storage import atomic
from synth_assets.synthesis.marginals.sample import arrow_type
from synth_assets.synthesis.marginals.strata import Stratum, topped_up
from synth_assets.synthesis.marginals.terms import Allowed
from synth_assets.tables.schema import ColumnKind, ColumnSchema, TableSchema

MARK = "is_synthetic"
PART = "part-00000.parquet"


@dataclass(frozen=True)
class Missing:
    """What a real table lacks.

    Attributes:
        strata: Classes with their share of the rows to add.
        rows: Rows to add.
        counts: Real rows of each class.
        real_rows: All real rows.
    """

    strata: tuple[Stratum, ...]
    rows: int
    counts: dict[str, int]
    real_rows: int


def missing_rows(table: Path, column: str, strata: Sequence[Stratum]) -> Missing:
    """How many rows of each class a real table lacks; it is read for this.

    Args:
        table: Folder of the real table in canonical form.
        column: The balanced column.
        strata: Its classes.

    Raises:
        InputError: the table has no such column, or no row of any class; or it has the shares already.
    """
    counts, total = dict.fromkeys((s.label for s in strata), 0), 0
    conditions = {s.label: _of(s, column) for s in strata}
    for file in sorted(table.glob("part-*.parquet")):
        source = pq.ParquetFile(file)
        if column not in source.schema_arrow.names:
            raise InputError("the table has no such column.", column=column, key="balance")
        for batch in source.iter_batches(columns=[column]):
            total += batch.num_rows
            for label, condition in conditions.items():
                counts[label] += int(condition.met(_plain(batch.column(0), condition)).sum())
    if not any(counts.values()):
        raise InputError("the table has no row of any of the classes.", column=column, key="balance")
    strata, rows = topped_up(strata, counts)
    if not rows:
        raise InputError("the table has these shares already.", column=column, key="balance")
    return Missing(strata, rows, counts, total)


def _of(stratum: Stratum, column: str) -> Allowed:
    return next(c for c in stratum.rows.conditions if c.column.name == column)


def _plain(values: pa.Array, condition: Allowed) -> pa.Array:
    """Values in the type that the model makes: a table read anew may have inferred another one."""
    wanted = arrow_type(condition.column.dtype)
    if values.type == wanted:
        return values
    try:
        return values.cast(wanted)
    except pa.ArrowException:
        raise InputError(
            f"the column is no {condition.column.kind} as in the model.", column=condition.column.name, key="balance",
            remedy="Give the table that the model was made for.",
        ) from None  # fmt: skip


def augmented(real: Path, synthetic: Path, out: Path, schema: TableSchema) -> TableSchema:
    """Write real rows and then synthetic ones as `out/part-00000.parquet`, with a column `is_synthetic`.

    Columns that only the real table has are missing in synthetic rows. Keys of synthetic rows go on behind those of the real ones.

    Args:
        real: Folder of the real table.
        synthetic: Folder of the synthetic rows.
        out: Folder to fill.
        schema: Of the real table.

    Returns:
        The schema of the new table.

    Raises:
        InputError: the real table has a column of that name.
    """
    if MARK in schema.names:
        raise InputError("the table has a column of the name that marks synthetic rows.", column=MARK)
    made = pq.read_table(sorted(synthetic.glob("part-*.parquet")))
    rows, writer = 0, None
    largest: dict[str, int] = dict.fromkeys(schema.primary_key, 0)
    with atomic.replacing(out / PART) as path:
        for file in sorted(real.glob("part-*.parquet")):
            for batch in pq.ParquetFile(file).iter_batches():
                part = pa.Table.from_batches([batch]).select([n for n in schema.names if n in batch.schema.names])
                if writer is None:
                    fields = [*part.schema, pa.field(MARK, pa.bool_())]
                    writer = pq.ParquetWriter(path, pa.schema(fields), compression="zstd")
                largest = {n: max(v, _largest(part[n])) for n, v in largest.items()}
                writer.write_table(part.append_column(MARK, pa.array(np.zeros(len(part), dtype=bool))))
                rows += len(part)
        if writer is None:
            raise InputError("the table has no rows.", key="augment")
        fresh = _behind(made, writer.schema, schema, largest)
        writer.write_table(fresh)
        writer.close()
    mark = ColumnSchema(name=MARK, kind=ColumnKind.BOOLEAN, dtype="bool", inferred=False)
    kept = tuple(c for c in schema.columns if c.name in fresh.column_names)
    return schema.model_copy(update={"columns": (*kept, mark), "row_count": rows + len(fresh), "foreign_keys": ()})


def _largest(values: pa.ChunkedArray) -> int:
    """The largest whole number of a key column; 0 for other types."""
    return int(pc.max(values).as_py() or 0) if pa.types.is_integer(values.type) else 0


def _behind(made: pa.Table, wanted: pa.Schema, schema: TableSchema, largest: dict[str, int]) -> pa.Table:
    """Synthetic rows in the columns of the real table, their keys after the real ones."""
    columns = []
    for field in wanted:
        if field.name == MARK:
            values = pa.array(np.ones(len(made), dtype=bool))
        elif field.name not in made.column_names:
            values = pa.nulls(len(made), field.type)
        elif field.name in schema.primary_key and pa.types.is_integer(field.type):
            values = pa.array(np.arange(1, len(made) + 1) + largest[field.name], field.type)
        elif field.name in schema.primary_key and pa.types.is_string(field.type):
            values = pc.binary_join_element_wise("synthetic", made[field.name], "-")
        else:
            values = made[field.name].cast(field.type)
        columns.append(values)
    return pa.table(columns, schema=wanted)
