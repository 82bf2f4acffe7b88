"""Any table that is written in a dialect that we read comes back equal: cells, types, missing cells, names, rows."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_assets.config.dataset import ColumnConfig, SourceConfig, TableConfig
from synth_assets.errors import SourceError
from synth_assets.exports.formats import write_table
from synth_assets.tables.engine import Engine
from synth_assets.tables.readers import delimited, encoding, quotes
from synth_assets.tables.sources import ingest

TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters="\x00\ufeff\ufffd\x1a", exclude_categories=["Cs"]),
    min_size=1,
    max_size=12,
) | st.sampled_from(
    [",", ";", "\t", "|", '"', '""', "'", "#", "# a", " ", "\n", "\r\n", "\r", "NA", "null", "0012", "=1+1", "-", " x "]
)
EXAMPLES = max(10, settings.default.max_examples // 4)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": TEXT,
    "whole": st.integers(-(2**63), 2**63 - 1),
    "number": st.floats(-1e14, 1e14).map(lambda x: round(x, 3) + 0.0),
    "date": st.dates(date(1, 1, 1), date(9999, 12, 31)),
    "time": st.datetimes(datetime(1600, 1, 1), datetime(2262, 1, 1)),
    "flag": st.booleans(),
}


@dataclass(frozen=True)
class Table:
    """Names, kinds and columns, with at least one cell that is filled."""

    names: list[str]
    kinds: list[str]
    columns: list[list[Any]]

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        return list(zip(*self.columns, strict=True))


@st.composite
def tables(draw: st.DrawFn) -> Table:
    kinds = draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=5))
    rows = draw(st.integers(1, 12))
    columns = []
    for kind in kinds:
        some = draw(st.lists(VALUES[kind] | st.none(), min_size=rows, max_size=rows))
        columns.append(some)
    columns[0][0] = draw(VALUES[kinds[0]])
    return Table([f"{kind}_{'abcde'[i]}" for i, kind in enumerate(kinds)], kinds, columns)


def _spelled(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else format(value, "f") if isinstance(value, float) else str(value)


def _read(content: bytes, name: str, table: Table, **options: Any) -> list[tuple[Any, ...]]:
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        (base / name).write_bytes(content)
        return _canonical(base, SourceConfig(path=name, **options), table)


def _canonical(base: Path, source: SourceConfig, table: Table) -> list[tuple[Any, ...]]:
    texts = {n: ColumnConfig(kind="text") for n, k in zip(table.names, table.kinds, strict=True) if k == "text"}
    config = TableConfig(source=source, columns=texts)
    schema = ingest(source, name="t", base_dir=base, out=base / "out", engine=Engine(threads=1), table=config)
    found = pq.read_table(base / "out" / "part-00000.parquet")
    assert list(schema.names) == table.names
    return list(zip(*(c.to_pylist() for c in found.columns), strict=True))


@settings(max_examples=EXAMPLES)
@given(
    table=tables(),
    delimiter=st.sampled_from([",", "\t", ";", "|"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    ends=st.sampled_from(["\n", "\r\n"]),
    code=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"]),
    told=st.booleans(),
    block=st.sampled_from([16, 64, 1024**2]),
)
def test_a_table_written_as_delimited_text_comes_back(
    table: Table, delimiter: str, quoting: int, ends: str, code: str, told: bool, block: int
) -> None:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=delimiter, quoting=quoting, lineterminator=ends)  # type: ignore[arg-type]
    writer.writerow(table.names)
    writer.writerows([_spelled(v) for v in row] for row in table.rows)
    options = {"delimiter": delimiter, "encoding": None if code.startswith("utf-8") else code} if told else {}
    with pytest.MonkeyPatch.context() as patch:
        for module in (delimited, quotes, encoding):
            patch.setattr(module, "BLOCK_BYTES", block)
        try:
            found = _read(buffer.getvalue().encode(code), "t.csv", table, **options)
        except SourceError:
            assert not told, "refused, though delimiter and encoding were named"
        else:
            assert found == table.rows


@settings(max_examples=EXAMPLES)
@given(table=tables(), compact=st.booleans(), array=st.booleans())
def test_a_table_written_as_json_comes_back(table: Table, compact: bool, array: bool) -> None:
    rows = [dict(zip(table.names, row, strict=True)) for row in table.rows]
    separators = (",", ":") if compact else None
    lines = [json.dumps(r, default=str, separators=separators, ensure_ascii=compact) for r in rows]
    text = f"[{', '.join(lines)}]" if array else "\n".join(lines)
    found = _read(text.encode(), "t.json" if array else "t.jsonl", table)
    assert found == table.rows


@settings(max_examples=EXAMPLES)
@given(table=tables())
def test_a_table_written_as_parquet_comes_back(table: Table) -> None:
    target = pa.BufferOutputStream()
    pq.write_table(pa.table(dict(zip(table.names, table.columns, strict=True))), target)
    assert _read(target.getvalue().to_pybytes(), "t.parquet", table) == table.rows


@settings(max_examples=EXAMPLES)
@given(table=tables(), name=st.sampled_from(["t.csv", "t.tsv", "t.json", "t.jsonl", "t.parquet"]))
def test_our_own_exports_are_read_back(table: Table, name: str) -> None:
    """All but the apostrophe that guards a formula, which stays in the text."""
    target = pa.BufferOutputStream()
    pq.write_table(pa.table(dict(zip(table.names, table.columns, strict=True))), target)
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        (base / "in.parquet").write_bytes(target.getvalue().to_pybytes())
        source = SourceConfig(path="in.parquet")
        schema = ingest(source, name="t", base_dir=base, out=base / "raw", engine=Engine(threads=1))
        write_table(base / "raw", base / name, schema=schema, engine=Engine(threads=1))
        found = _canonical(base, SourceConfig(path=name), table)
    guarded = name in {"t.csv", "t.tsv"}
    expected = [tuple(_guarded(v) if guarded else v for v in row) for row in table.rows]
    assert found == expected


def _guarded(value: Any) -> Any:
    import re

    from synth_assets.exports.formats import _PYTHON_START, PLAIN_NUMBER

    armed = isinstance(value, str) and re.search(_PYTHON_START, value) and not re.search(PLAIN_NUMBER, value)
    return f"'{value}" if armed else value


_EXCEL_TEXT = st.text(
    st.characters(min_codepoint=32, max_codepoint=0xFFFD, exclude_categories=["Cs"], exclude_characters="\ufffe\uffff"),
    min_size=1,
    max_size=12,
)


@settings(max_examples=EXAMPLES)
@given(
    rows=st.lists(
        st.tuples(
            _EXCEL_TEXT.filter(lambda t: not t.startswith("=")), st.integers(-(2**53), 2**53), st.booleans() | st.none()
        ),
        min_size=1,
        max_size=10,
    )
)
def test_a_table_written_as_a_workbook_comes_back(rows: list[tuple[str, int, bool | None]]) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["text_a", "whole_b", "flag_c"])
    for row in rows:
        sheet.append(row)
    target = io.BytesIO()
    book.save(target)
    table = Table(
        ["text_a", "whole_b", "flag_c"], ["text", "whole", "flag"], [list(c) for c in zip(*rows, strict=True)]
    )
    assert _read(target.getvalue(), "t.xlsx", table) == rows
