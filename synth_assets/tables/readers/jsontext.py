"""JSON lines and JSON arrays of objects to staged Parquet. DuckDB parses, out of core; keys become columns in order of appearance.

A key whose values are all whole numbers, numbers, booleans or strings keeps that type; mixed or nested values become text.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any, Literal

from synth_assets.errors import SourceError, is_full
from synth_assets.tables.engine import DuckSession
from synth_assets.tables.readers.encoding import TextFile, as_utf8
from synth_assets.tables.readers.limits import Limits
from synth_assets.tables.readers.staging import Part, Staged, StagedType

_INTEGERS = {"BIGINT", "UBIGINT"}
_NUMBERS = _INTEGERS | {"DOUBLE"}
_SQL: dict[StagedType, str] = {"int64": "BIGINT", "double": "DOUBLE", "bool": "BOOLEAN", "string": "VARCHAR"}
_KEYS_PER_QUERY = 100
_OBJECT_BYTES = 64 * 1024**2
_HEAD_BYTES = 1024**2  # in which the rows of a document must begin
_TAIL_BYTES = 64  # in which it must end
_DATA = re.compile(rb'"data"\s*:\s*\[\s*\{')
_END = re.compile(rb"\]\s*\}\s*$")


def read_json(
    path: Path, *, encoding: str | None, session: DuckSession, workspace: Path, limits: Limits, label: str
) -> Staged:
    """Stage one JSON or JSONL file.

    Args:
        path: Local file, not compressed.
        encoding: As the configuration names it; recognised when None.
        session: An open engine session.
        workspace: Private folder for staged files.
        limits: Bounds of one read.
        label: How messages name the file.

    Raises:
        SourceError: the text is no JSON, or holds something else than objects; names the line.
    """
    text = _without_bom(as_utf8(path, declared=encoding, workspace=workspace, label=label), workspace)
    text = _rows_of_document(text, workspace)
    layout = _layout(text.path, label)
    objects = f"read_json_objects('{_literal(text.path)}', format='{layout}', maximum_object_size={_OBJECT_BYTES})"
    parsed = workspace / f"{path.name}.objects.parquet"
    backend = session.backend
    try:
        backend.raw_sql(
            f"COPY (SELECT json FROM {objects}) TO '{_literal(parsed)}' (FORMAT parquet, COMPRESSION lz4)"
        ).fetchall()
        source = f"read_parquet('{_literal(parsed)}', file_row_number=true)"
        keys = _keys(backend, source, limits, label, text, layout)
        types = _types(backend, source, keys)
        columns = ", ".join(f"{_expression(k, t)} AS c{i}" for i, (k, t) in enumerate(zip(keys, types, strict=True)))
        staged = workspace / f"{path.name}.staged.parquet"
        backend.raw_sql(
            f"COPY (SELECT {columns} FROM {source} ORDER BY file_row_number) TO '{_literal(staged)}' (FORMAT parquet, COMPRESSION lz4)"
        ).fetchall()
    except SourceError:
        raise
    except Exception as error:
        if is_full(error):
            raise
        raise _fault(text, layout, label) from None
    finally:
        parsed.unlink(missing_ok=True)
    return Staged(
        names=keys,
        types=types,
        parts=(Part(staged, label),),
        facts={"format": "json", "layout": layout, "encoding": text.encoding},
    )


def _literal(path: Path) -> str:
    return str(path).replace("'", "''")


def _without_bom(text: TextFile, workspace: Path) -> TextFile:
    if not text.start:
        return text
    copy = workspace / f"{text.path.name}.plain"
    with text.path.open("rb") as source, copy.open("wb") as target:
        source.seek(text.start)
        while block := source.read(16 * 1024**2):
            target.write(block)
    return TextFile(copy, 0, text.encoding, text.notes)


def _rows_of_document(text: TextFile, workspace: Path) -> TextFile:
    """The array of a document `{..., "data": [...]}`, as our own export and the table schema of other tools write it."""
    with text.path.open("rb") as source:
        head = source.read(_HEAD_BYTES)
        found = _DATA.search(head)
        first, _, others = head.partition(b"\n")
        if found is None or not _is_object(head[: found.end() - 1] + b"]}") or (others.strip() and _is_object(first)):
            return text
        source.seek(max(0, text.path.stat().st_size - _TAIL_BYTES))
        if _END.search(source.read()) is None:
            return text
        copy = workspace / f"{text.path.name}.data"
        source.seek(head.index(b"[", found.start()))
        with copy.open("wb") as target:
            shutil.copyfileobj(source, target, 16 * 1024**2)
    with copy.open("rb+") as target:
        start = max(0, copy.stat().st_size - _TAIL_BYTES)
        target.seek(start)
        target.truncate(start + target.read().rindex(b"]") + 1)
    return TextFile(copy, 0, text.encoding, text.notes)


def _is_object(text: bytes) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _layout(path: Path, label: str) -> Literal["array", "newline_delimited"]:
    with path.open("rb") as handle:
        start = handle.read(4096).lstrip(b" \t\r\n")[:1]
    if start == b"[":
        return "array"
    if start == b"{":
        return "newline_delimited"
    raise SourceError(
        "the file holds no JSON objects.", file=label, row=1, remedy="Give an array of objects, or one object per line."
    )


def _pointer(key: str) -> str:
    """A JSON pointer (RFC 6901) to a key, as SQL text."""
    return "'/" + key.replace("~", "~0").replace("/", "~1").replace("'", "''") + "'"


def _keys(backend: Any, source: str, limits: Limits, label: str, text: TextFile, layout: str) -> tuple[str, ...]:
    total, objects = backend.raw_sql(
        f"SELECT count(*), count(*) FILTER (json_type(json) = 'OBJECT') FROM {source}"
    ).fetchone()
    if not total:
        raise SourceError(
            "the file holds no objects.", file=label, remedy="An empty table cannot be used; give at least one row."
        )
    if objects < total:
        raise _fault(text, layout, label)
    rows = backend.raw_sql(
        f"SELECT key, min(file_row_number) AS first, arg_min(place, file_row_number) AS place FROM ("
        f"SELECT file_row_number, unnest(json_keys(json)) AS key, generate_subscripts(json_keys(json), 1) AS place FROM {source}) "
        f"GROUP BY key ORDER BY first, place"
    ).fetchall()
    if len(rows) > limits.columns:
        raise SourceError(f"the objects have {len(rows)} keys; at most {limits.columns} are read.", file=label)
    if not rows:
        raise SourceError("the objects have no keys.", file=label)
    return tuple(str(row[0]) for row in rows)


def _types(backend: Any, source: str, keys: tuple[str, ...]) -> tuple[StagedType, ...]:
    found: list[StagedType] = []
    for first in range(0, len(keys), _KEYS_PER_QUERY):
        some = keys[first : first + _KEYS_PER_QUERY]
        columns = ", ".join(f"list(DISTINCT json_type(json, {_pointer(k)}))" for k in some)
        whole = ", ".join(
            f"count(*) FILTER (json_type(json, {_pointer(k)}) IN ('UBIGINT', 'DOUBLE') AND "
            f"regexp_full_match(json_extract_string(json, {_pointer(k)}), '-?[0-9]+') AND "
            f"try_cast(json_extract_string(json, {_pointer(k)}) AS BIGINT) IS NULL)"
            for k in some
        )
        row = backend.raw_sql(f"SELECT {columns}, {whole} FROM {source}").fetchone()
        found += [
            _type({str(t) for t in row[i] or () if t not in {None, "NULL"}}, row[len(some) + i])
            for i in range(len(some))
        ]
    return tuple(found)


def _type(kinds: set[str], too_large: int) -> StagedType:
    if kinds and kinds <= _INTEGERS:
        return "string" if too_large else "int64"
    if kinds and kinds <= _NUMBERS:
        return "string" if too_large else "double"
    return "bool" if kinds == {"BOOLEAN"} else "string"


def _expression(key: str, kind: StagedType) -> str:
    text = f"json_extract_string(json, {_pointer(key)})"
    return f"nullif({text}, '')" if kind == "string" else f"CAST({text} AS {_SQL[kind]})"


def _fault(text: TextFile, layout: str, label: str) -> SourceError:
    """Where the text stops being JSON objects; slow, for messages only."""
    remedy = "Give an array of objects, or one object per line."
    if layout == "array":
        return SourceError(
            "the file is no valid JSON array of objects.", file=label, row=_array_line(text.path), remedy=remedy
        )
    with text.path.open(encoding="utf-8") as handle:
        for number, line in enumerate(handle, 1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                return SourceError("the line is no valid JSON.", file=label, row=number, remedy=remedy)
            if not isinstance(value, dict):
                return SourceError("the line is JSON, but no object.", file=label, row=number, remedy=remedy)
    return SourceError("the file cannot be parsed as JSON.", file=label, remedy=remedy)


def _array_line(path: Path) -> int | None:
    """Line of the first syntax error of a file that fits in memory."""
    if path.stat().st_size > _OBJECT_BYTES:
        return None
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        return error.lineno
    except RecursionError:
        return None
    return None
