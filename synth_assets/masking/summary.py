"""What masking did: counts per column before and after, the schema of the masked table, information loss.

What belongs here: counts. What does not: values; none is read out of the engine.
"""

from __future__ import annotations

import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from synth_assets.errors import CheckFailedError
from synth_assets.masking.anonymity.records import AnonymityOutcome
from synth_assets.masking.records import ONE_TO_ONE, ColumnPlan, ColumnSummary, MaskingPlan, MaskSummary
from synth_assets.tables.engine import Session, parquet_files
from synth_assets.tables.schema import ColumnKind, ColumnSchema, TableSchema

_DTYPES = {
    pa.int64(): "int64",
    pa.float64(): "double",
    pa.string(): "string",
    pa.bool_(): "bool",
    pa.date32(): "date32[day]",
}
_KINDS_OF = {
    "int64": (ColumnKind.NUMBER, ColumnKind.CATEGORY, ColumnKind.ID),
    "double": (ColumnKind.NUMBER,),
    "bool": (ColumnKind.BOOLEAN,),
    "date32[day]": (ColumnKind.DATE,),
    "timestamp[us]": (ColumnKind.DATETIME,),
    "string": (ColumnKind.CATEGORY, ColumnKind.TEXT, ColumnKind.ID),
}


def summarise(
    session: Session,
    *,
    raw: Path,
    masked: Path,
    schema: TableSchema,
    plan: MaskingPlan,
    redrawn: int,
    key_fingerprint: str,
    anonymity: AnonymityOutcome | None = None,
) -> MaskSummary:
    """Count both tables.

    Args:
        session: The open session.
        raw: The raw table.
        masked: The masked table, a Parquet file or a folder of them.
        schema: Schema of the raw table.
        plan: What was done.
        redrawn: Pseudonyms that were drawn again.
        key_fingerprint: Of the release key.
        anonymity: What was done to the columns that are generalised jointly.

    Raises:
        CheckFailedError: the masked table has another number of rows.
    """
    coarser = frozenset(c.column for c in plan.columns if c.action not in ONE_TO_ONE | {"date_shift"})
    left = [c for c in plan.columns if c.action != "drop"]
    counted = frozenset(c.column for c in left if not _one_to_one(c))
    before = _counts(session, raw, [c.column for c in plan.columns], counted)
    after = _counts(session, masked, [c.column for c in left], counted)
    if before["rows"] != after["rows"]:
        raise CheckFailedError(
            f"masking changed the number of rows of table {plan.table!r} from {before['rows']} to {after['rows']}."
        )
    output = masked_schema(masked, schema, after["rows"], coarser=coarser)
    dtypes = {c.name: c.dtype for c in output.columns}
    losses = {c.column: c.loss for c in anonymity.columns} if anonymity else {}
    columns = tuple(_column(c, dtypes.get(c.column), before, after, losses.get(c.column)) for c in plan.columns)
    return MaskSummary(
        table=plan.table,
        policy=plan.policy,
        rows=after["rows"],
        columns=columns,
        output_schema=output,
        redrawn=redrawn,
        key_fingerprint=key_fingerprint,
        anonymity=anonymity,
        locale=plan.columns[0].locale,
    )


def _one_to_one(plan: ColumnPlan) -> bool:
    """Whether a column has as many values after its mask as before, as far as 128 or 60 random bits tell values apart."""
    return plan.action == "keep" or (
        plan.action in {"pseudonym", "hash", "tokenise"} and plan.dtype in {"string", "int64"}
    )


def _counts(session: Session, path: Path, columns: list[str], counted: frozenset[str]) -> dict[str, int]:
    """`rows`, per column `n:<column>` nulls, and `d:<column>` distinct values (HyperLogLog) of those that are counted."""
    table = session.parquet(path)
    measures = {"rows": table.count()}
    for i, name in enumerate(columns):
        measures[f"f{i}"] = table[name].count()  # stands in the files, unlike a sum over nulls
        if name in counted:
            measures[f"d{i}"] = table[name].approx_nunique()
    row = table.aggregate(**measures).to_pyarrow().to_pylist()[0]
    rows = int(row["rows"])
    named = {f"n:{name}": rows - int(row[f"f{i}"]) for i, name in enumerate(columns)}
    distinct = {f"d:{name}": int(row[f"d{i}"] or 0) for i, name in enumerate(columns) if name in counted}
    return {"rows": rows, **named, **distinct}


def _column(
    plan: ColumnPlan, dtype: str | None, before: dict[str, int], after: dict[str, int], loss: float | None
) -> ColumnSummary:
    """One column; `loss` is the penalty of its cells where it was generalised jointly."""
    rows, nulls, distinct = before["rows"], before[f"n:{plan.column}"], before.get(f"d:{plan.column}")
    dropped = plan.action == "drop"
    nulls_after = None if dropped else after[f"n:{plan.column}"]
    distinct_after = after.get(f"d:{plan.column}")
    if loss is None:
        filled_after = 0 if nulls_after is None else rows - nulls_after
        # what is not counted was dropped, or has as many values as before
        loss = information_loss(
            rows - nulls, distinct or 1, filled_after, 1 if distinct_after is None else distinct_after
        )
    return ColumnSummary(
        column=plan.column,
        action=plan.action,
        reason=plan.reason,
        overridden=plan.overridden,
        withheld=plan.withheld,
        dtype=dtype,
        nulls_before=nulls,
        nulls_after=nulls_after,
        distinct_before=distinct,
        distinct_after=distinct_after,
        information_loss=0.0 if plan.action == "keep" else round(loss, 3),
    )


def information_loss(filled_before: int, distinct_before: int, filled_after: int, distinct_after: int) -> float:
    """How much less a column tells its rows apart: 1 - (filled cells left) * log(distinct after) / log(distinct before).

    Args:
        filled_before: Cells that are not missing in the raw table.
        distinct_before: Different values in it.
        filled_after: The same in the masked table; 0 where the column was dropped.
        distinct_after: Different values in it.

    Returns:
        0 (nothing lost; pseudonyms, shifted dates) to 1 (nothing left), rounded to 0.001. A column without filled cells loses nothing;
        one with a single value loses it when that value is gone.
    """
    if not filled_before or distinct_before < 1:
        return 0.0
    if not filled_after or not distinct_after:
        return 1.0
    kept = min(1.0, filled_after / filled_before)
    told = 1.0 if distinct_before == 1 else min(1.0, math.log(distinct_after) / math.log(distinct_before))
    return round(1.0 - kept * told, 3)


def masked_schema(masked: Path, schema: TableSchema, rows: int, *, coarser: frozenset[str]) -> TableSchema:
    """Schema of the masked table: columns that are left, with their storage types; keys of which every column is left.

    A primary key of several columns is none any more where one of them became coarser.

    Args:
        masked: The masked Parquet file or folder.
        schema: Schema of the raw table.
        rows: Number of rows.
        coarser: Columns that no longer tell apart what they told apart before.
    """
    fields = {f.name: _DTYPES.get(f.type, "timestamp[us]") for f in pq.read_schema(parquet_files(masked)[0])}
    columns = tuple(_column_schema(c, fields[c.name]) for c in schema.columns if c.name in fields)
    return TableSchema(
        name=schema.name,
        columns=columns,
        primary_key=schema.primary_key if set(schema.primary_key) <= set(fields) - coarser else (),
        foreign_keys=tuple(fk for fk in schema.foreign_keys if set(fk.columns) <= set(fields)),
        row_count=rows,
    )


def _column_schema(raw: ColumnSchema, dtype: str) -> ColumnSchema:
    kinds = _KINDS_OF[dtype]
    kind = raw.kind if raw.kind in kinds else kinds[0]
    return raw.model_copy(
        update={
            "dtype": dtype,
            "kind": kind,
            "decimals": raw.decimals if dtype == "double" else None,
            "date_form": raw.date_form if dtype == "date32[day]" else None,
        }
    )
