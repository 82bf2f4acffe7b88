"""One Parquet table as CSV (with CSVW metadata), TSV, JSON with schema, JSON lines, or Parquet with provenance in its footer.

Text cells that a spreadsheet would run as a formula get a leading apostrophe in CSV and TSV (OWASP, "CSV Injection"); plain numbers
are left alone, and the metadata counts what was changed. Column names, order, and the spelling of integers, decimals and days are kept.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow.parquet as pq

from synth_assets.errors import InputError, SynthAssetsError
from synth_assets.storage import atomic
from synth_assets.storage.unwritable import naming_place
from synth_assets.tables.engine import DuckSession, Engine
from synth_assets.tables.schema import ColumnSchema, TableSchema

FORMULA_START = (
    r"^[=+\-@\t\r\n\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}]"  # the last four: their wide forms (East Asian keyboards)
)
PLAIN_NUMBER = r"^([+-]?[0-9]+([.,][0-9]+)*([eE][+-]?[0-9]+)?%?|\+[0-9][0-9 ().-]{6,20})$"  # or a telephone number
_PYTHON_START = re.sub(r"\\x\{(\w+)\}", r"\\u\1", FORMULA_START)
_TR35 = {"%-d": "d", "%d": "dd", "%-m": "M", "%m": "MM", "%Y": "yyyy", "%b": "MMM", "%B": "MMMM"}
PROVENANCE_KEY = b"synth_assets"
XSD = {
    "int64": "integer",
    "double": "number",
    "string": "string",
    "bool": "boolean",
    "date32[day]": "date",
    "timestamp[us]": "datetime",
}


def write_table(
    source: Path, out: Path, *, schema: TableSchema, engine: Engine, provenance: Mapping[str, Any] | None = None
) -> None:
    """Write a table in the format of the suffix of `out`, atomically.

    Args:
        source: Parquet file, or folder of part-*.parquet.
        out: File ending in .csv, .tsv, .json, .jsonl or .parquet.
        schema: Names, kinds and decimals of the columns.
        engine: The table engine.
        provenance: What to record about the table's origin: in the Parquet footer, the JSON's `provenance`, or a sidecar of the CSV.

    Raises:
        InputError: the suffix names no known format, or the file cannot be written.
    """
    writer = _writer(out)
    try:
        with naming_place(out.parent):
            out.parent.mkdir(parents=True, exist_ok=True)
        with engine.files_session() as session:
            writer(session, session.parquet(source), out, schema, dict(provenance or {}))
    except SynthAssetsError:
        raise
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else type(error).__name__
        raise InputError(
            f"the file cannot be written ({why}).", file=str(out), remedy="Name another place, or make room."
        ) from None


def check_suffix(out: Path) -> None:
    """Raise before any work is done for a file whose format nobody knows.

    Raises:
        InputError: the suffix names no known format.
    """
    _writer(out)


Writer = Callable[[DuckSession, ir.Table, Path, TableSchema, dict[str, Any]], None]


def _writer(out: Path) -> Writer:
    writers: dict[str, Writer] = {
        ".csv": _csv, ".tsv": _tsv, ".json": _json, ".jsonl": _json_lines, ".parquet": _parquet,
    }  # fmt: skip
    writer = writers.get(out.suffix.lower())
    if writer is None:
        raise InputError(
            f"the suffix {out.suffix!r} names no known format.",
            file=str(out),
            remedy=f"Use one of {', '.join(writers)}.",
        )
    return writer


def _csv(
    session: DuckSession,
    table: ir.Table,
    out: Path,
    schema: TableSchema,
    provenance: dict[str, Any],
    delimiter: str = ",",
) -> None:
    shown = spelled(_safe(table, schema), schema, days=True)
    armed = [n for n in schema.names if re.match(_PYTHON_START, n) and not re.match(PLAIN_NUMBER, n)]
    session.write_csv(shown.rename({f"'{n}": n for n in armed}), out, delimiter=delimiter)
    escaped = _escaped_cells(table, schema)
    record = {
        "@context": "http://www.w3.org/ns/csvw",
        "url": out.name,
        "dialect": {"delimiter": delimiter, "header": True, "encoding": "utf-8"},
        "tableSchema": {"columns": _fields(schema), "primaryKey": list(schema.primary_key)},
        "null": "",
        "escaped_formula_cells": escaped,
        "provenance": provenance,
    }
    atomic.write_text(out.with_name(f"{out.name}-metadata.json"), json.dumps(record, indent=1))


def _tsv(session: DuckSession, table: ir.Table, out: Path, schema: TableSchema, provenance: dict[str, Any]) -> None:
    _csv(session, table, out, schema, provenance, delimiter="\t")


def _json_lines(
    session: DuckSession, table: ir.Table, out: Path, schema: TableSchema, provenance: dict[str, Any]
) -> None:
    del provenance  # a line per row and nothing else
    session.write_json_lines(_times_as_text(table, schema), out)


def _json(session: DuckSession, table: ir.Table, out: Path, schema: TableSchema, provenance: dict[str, Any]) -> None:
    """{"schema": ..., "provenance": ..., "data": [...]}, written row by row from JSON lines."""
    with atomic.staging_folder(out.parent) as scratch:
        lines = scratch / "rows.jsonl"
        session.write_json_lines(_times_as_text(table, schema), lines)
        head = {"schema": {"fields": _fields(schema), "primaryKey": list(schema.primary_key)}, "provenance": provenance}
        with (
            atomic.replacing(out) as path,
            path.open("w", encoding="utf-8") as target,
            lines.open(encoding="utf-8") as rows,
        ):
            target.write(json.dumps(head, indent=1)[:-2] + ',\n "data": [\n')
            first = True
            for row in rows:
                target.write(("  " if first else ",\n  ") + row.rstrip("\n"))
                first = False
            target.write("\n ]\n}\n")


def _parquet(session: DuckSession, table: ir.Table, out: Path, schema: TableSchema, provenance: dict[str, Any]) -> None:
    with atomic.staging_folder(out.parent) as scratch:
        plain = scratch / "table.parquet"
        session.write(table.select(*schema.names), plain)
        if not provenance:
            with atomic.replacing(out) as path:
                shutil.copyfile(plain, path)
            return
        reader = pq.ParquetFile(plain)
        footer = {
            **(reader.schema_arrow.metadata or {}),
            PROVENANCE_KEY: json.dumps(provenance, sort_keys=True).encode(),
        }
        arrow = reader.schema_arrow.with_metadata(footer)
        with atomic.replacing(out) as path, pq.ParquetWriter(path, arrow, compression="zstd") as writer:
            for batch in reader.iter_batches():
                writer.write_batch(batch.cast(arrow))


def _fields(schema: TableSchema) -> list[dict[str, Any]]:
    return [
        {"name": c.name, "type": XSD[c.dtype], "datatype": _datatype(c), "kind": c.kind.value} for c in schema.columns
    ]


def _datatype(column: ColumnSchema) -> str | dict[str, str]:
    """The CSVW datatype; days in another form than ISO 8601 with their pattern (Unicode TR35, as CSVW asks for)."""
    if column.date_form is None:
        return XSD[column.dtype]
    return {"base": "date", "format": re.sub("|".join(_TR35), lambda m: _TR35[m[0]], column.date_form)}


def _texts(schema: TableSchema) -> list[str]:
    return [c.name for c in schema.columns if c.dtype == "string"]


def _formula(column: ir.StringValue) -> ir.BooleanValue:
    return column.re_search(FORMULA_START) & ~column.re_search(PLAIN_NUMBER)


def _safe(table: ir.Table, schema: TableSchema) -> ir.Table:
    changed = {n: ibis.ifelse(_formula(table[n]), ibis.literal("'") + table[n], table[n]) for n in _texts(schema)}
    return table.mutate(**changed) if changed else table


def _escaped_cells(table: ir.Table, schema: TableSchema) -> int:
    names = _texts(schema)
    if not names:
        return 0
    sums = {f"n{i}": _formula(table[n]).fill_null(False).sum() for i, n in enumerate(names)}
    found = table.aggregate(**sums).to_pyarrow().to_pylist()[0]
    return int(sum(v or 0 for v in found.values()))


@ibis.udf.scalar.builtin(name="printf", signature=(("string", "float64"), "string"))  # type: ignore[untyped-decorator]
def _printf(form: str, value: float) -> str:  # type: ignore[empty-body]
    """DuckDB's printf."""


def spelled(table: ir.Table, schema: TableSchema, *, days: bool = False) -> ir.Table:
    """Decimals as the source shows them, as text; columns in the order of the schema.

    Args:
        table: The table.
        schema: Its columns.
        days: Also days in the form of the source.
    """
    changed = {
        c.name: _printf(ibis.literal(f"%.{c.decimals}f"), table[c.name].cast("float64"))
        for c in schema.columns
        if c.dtype == "double" and c.decimals
    }
    changed |= {c.name: table[c.name].strftime(c.date_form) for c in schema.columns if days and c.date_form}
    return (table.mutate(**changed) if changed else table).select(*schema.names)


def _times_as_text(table: ir.Table, schema: TableSchema) -> ir.Table:
    """Times in ISO 8601, days too, or as the source shows them; columns in the order of the schema."""
    changed = {}
    for c in schema.columns:
        if c.dtype == "timestamp[us]":
            changed[c.name] = table[c.name].cast("string").replace(" ", "T")
        elif c.dtype == "date32[day]":
            changed[c.name] = table[c.name].strftime(c.date_form or "%Y-%m-%d")
    return (table.mutate(**changed) if changed else table).select(*schema.names)
