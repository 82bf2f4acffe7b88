"""From results to Dagster metadata: the only way in. Counts, scores, names and pictures of aggregates; never a cell value."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from synth_assets.tables.schema import TableSchema

MAX_PICTURE_BYTES = 50_000  # the event log holds a picture whole


def table(
    schema: TableSchema,
    rows: int,
    *,
    tags: Mapping[str, Mapping[str, str]] | None = None,
    notes: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Column schema and row count of a table.

    Args:
        schema: The table.
        rows: Its row count.
        tags: Tags per column.
        notes: Description per column, in place of its kind.
    """
    columns = [
        dg.TableColumn(
            name=c.name,
            type=c.dtype,
            description=(notes or {}).get(c.name, c.kind.value),
            constraints=dg.TableColumnConstraints(
                nullable=c.name not in schema.primary_key, unique=(c.name,) == schema.primary_key
            ),
            tags=(tags or {}).get(c.name, {}),
        )
        for c in schema.columns
    ]
    return {"dagster/column_schema": dg.TableSchema(columns=columns), "dagster/row_count": rows}


def lineage(sources: Mapping[str, Sequence[tuple[dg.AssetKey, str]]]) -> dict[str, Any]:
    """Column lineage: column -> (asset, column) pairs that it is made from."""
    deps = {c: [dg.TableColumnDep(asset_key=k, column_name=n) for k, n in found] for c, found in sources.items()}
    return {"dagster/column_lineage": dg.TableColumnLineage(deps_by_column=deps)}


def columns_from(names: Sequence[str], source: dg.AssetKey) -> dict[str, Any]:
    """Columns, as `table.column`, that an asset without rows knows of, each from the column of the same name in its source."""
    known = dg.TableSchema(columns=[dg.TableColumn(name, type="modelled or key") for name in names])
    return {"dagster/column_schema": known, **lineage({name: [(source, name)] for name in names})}


def epsilon(value: float) -> float:
    """An epsilon with four digits, rounded up: what is shown is never less than what was spent."""
    return math.ceil(value * 1e4) / 1e4


def left(value: float) -> float:
    """What is left of a budget with four digits, rounded down."""
    return math.floor(value * 1e4) / 1e4


def picture(png: bytes, title: str) -> dg.MarkdownMetadataValue | None:
    """A small PNG as Markdown; None where it is too large for the event log."""
    if len(png) > MAX_PICTURE_BYTES:
        return None
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{base64.b64encode(png).decode()})")


def rows(records: Sequence[Mapping[str, Any]]) -> dg.TableMetadataValue | str:
    """A small table inline; every cell a text, number or boolean."""
    if not records:
        return "none"
    cells = [{k: v if isinstance(v, str | int | float | bool) else str(v) for k, v in r.items()} for r in records]
    return dg.MetadataValue.table(records=[dg.TableRecord(r) for r in cells])
