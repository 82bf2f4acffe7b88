"""From sampled columns to complete tables: direct identifiers and free text are made anew, coherent within a row and with its parent.

No value of the real identifiers is read here; only their entity types are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from synth_assets.generation.identities import IdentifierRequest, fill_identifiers
from synth_assets.pii.taxonomy import taxonomy
from synth_assets.seeds import child_seed
from synth_assets.storage import atomic
from synth_assets.tables.relations import parents_first
from synth_assets.tables.schema import TableSchema

PART = "part-00000.parquet"


def complete_release(
    sampled: Mapping[str, Path],
    out: Path,
    *,
    schemas: Mapping[str, TableSchema],
    identifiers: Mapping[str, Mapping[str, str]],
    seed: int,
) -> dict[str, int]:
    """Write `out/<table>/part-00000.parquet` with every column of the schema, in its order.

    Args:
        sampled: Folder of each sampled table: modelled columns and keys.
        out: Folder to fill.
        schemas: Schemas of the real tables; their values are not needed.
        identifiers: Per table, the columns to make anew and their entity types.
        seed: Same sample and seed, same values.

    Returns:
        Row count of each table.
    """
    done: dict[str, pa.Table] = {}
    for name in parents_first(schemas):
        table = pq.read_table(sorted(sampled[name].glob("part-*.parquet")))
        wanted = identifiers[name]
        requests = [
            IdentifierRequest(
                column=c.name, entity_type=wanted[c.name], dtype=c.dtype, unique=_is_unique(wanted[c.name])
            )
            for c in schemas[name].columns
            if c.name in wanted
            and c.name not in table.column_names  # the key that links the rows of a unit is made already
        ]
        context = _context(table, schemas[name], done, identifiers)
        filled = fill_identifiers(table, requests, seed=child_seed(seed, name), context=context) if requests else table
        done[name] = filled.select([c for c in schemas[name].names if c in filled.column_names])
        with atomic.replacing(out / name / PART) as path:
            pq.write_table(done[name], path, compression="zstd")
    return {name: table.num_rows for name, table in done.items()}


def _is_unique(entity_type: str) -> bool:
    known = taxonomy().get(entity_type)
    return known is not None and known.unique_by_nature


def _context(
    table: pa.Table, schema: TableSchema, done: Mapping[str, pa.Table], identifiers: Mapping[str, Mapping[str, str]]
) -> dict[str, pa.ChunkedArray]:
    """The parents' fresh identifiers, one value per row of the child, so that a note names its own patient."""
    found: dict[str, pa.ChunkedArray] = {}
    for key in schema.foreign_keys:
        parent = done.get(key.parent_table)
        if parent is None or len(key.columns) != 1 or key.columns[0] not in table.column_names:
            continue
        at = pc.index_in(table[key.columns[0]], value_set=parent[key.parent_columns[0]].combine_chunks())
        for column, entity_type in identifiers[key.parent_table].items():
            if entity_type not in {"free_text", "diagnosis_text"} and column in parent.column_names:
                found.setdefault(entity_type, parent[column].take(at))
    return found
