"""Files of every format, folders, and compressed files."""

from __future__ import annotations

import gzip
import json
import zipfile
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synth_assets.config.dataset import SourceConfig
from synth_assets.errors import ConfigError, SourceError
from synth_assets.tables.readers.limits import Limits
from synth_assets.tables.sources import read_frame

at = datetime.fromisoformat


def _parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def _workbook(path: Path, sheets: dict[str, list[list[Any]]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


@pytest.mark.parametrize(
    ("content", "name", "options"),
    [
        ("a;b\n1;x, y\n2;z\n", "t.csv", {}),
        ("a\tb\n1\tx, y\n2\tz\n", "t.tsv", {}),
        ("a\tb\n1\tx, y\n2\tz\n", "t.csv", {}),
        ("a|b\n1|x, y\n2|z\n", "t.txt", {}),
        ("a^b\n1^x, y\n2^z\n", "t.csv", {"delimiter": "^"}),
        ("sep=;\r\na;b\r\n1;x, y\r\n2;z\r\n", "t.csv", {}),
        ("a,b\n1,'x, y'\n2,z\n".replace("'", '"'), "upper.CSV", {}),
        ("a,b\r1,'x, y'\r2,z\r".replace("'", '"'), "old_mac.csv", {}),
        ('"a", "b"\n1, "x, y"\n2, "z"\n', "blanks.csv", {}),
        ("a,b\n1,'x, y'\n2,z\n".replace("'", '"').encode("utf-16"), "wide.csv", {}),
        ("\ufeff\ufeffa,b\n1,'x, y'\n2,z\n".replace("'", '"'), "glued.csv", {}),
        ("a,b\n1,'x, y'\n2,z\n".replace("'", '"').encode("utf-32"), "wider.csv", {}),
        ("a,b\n1,'x, y'\n2,z".replace("'", '"'), "no_suffix", {}),
        ("a,b\n1,'x, y',\n2,z,\n".replace("'", '"'), "commas_at_the_end.csv", {}),
    ],
)
def test_delimiter_encoding_and_header_are_sniffed(
    read: Any, content: str | bytes, name: str, options: dict[str, Any]
) -> None:
    table = read.text(content, name, **options)
    assert table.schema.names == ("a", "b")
    assert table.rows == [(1, "x, y"), (2, "z")]


@pytest.mark.parametrize("text", ['"a", "b"\n1, "x\ry\nz"\n', 'a,b\n1,"x\ry\nz",\n'])
def test_line_ends_inside_cells_survive_where_the_file_is_rewritten(read: Any, text: str) -> None:
    assert read.text(text).rows == [(1, "x\ry\nz")]


def test_windows_text_is_read_and_the_note_says_so(read: Any) -> None:
    table = read.text("id,name\n1,Ren\xe9 \u201cM\u201d\n2,\u20ac\n".encode("cp1252"))
    assert table.column("name") == ["Ren\xe9 \u201cM\u201d", "\u20ac"]
    assert "cp1252" in table.notes


def test_a_declared_encoding_is_used(read: Any) -> None:
    text = "id,name\n1,\u6771\u4eac\n2,\u5927\u962a\n"
    assert read.text(text.encode("shift_jis"), encoding="shift_jis").column("name") == ["\u6771\u4eac", "\u5927\u962a"]


@pytest.mark.parametrize("encoding", ["no-such", "rot13", "base64"])
def test_an_unknown_encoding_is_an_error_of_the_configuration(read: Any, encoding: str) -> None:
    with pytest.raises(ConfigError, match="encoding is not known"):
        read.text("a,b\n1,2\n", encoding=encoding)


def test_a_wrong_encoding_names_the_line(read: Any) -> None:
    with pytest.raises(SourceError) as caught:
        read.text("id,name\n1,Ren\xe9\n".encode("latin-1"), encoding="utf-8")
    assert caught.value.row == 2


def test_the_first_row_is_the_header_where_the_configuration_names_its_cells(read: Any) -> None:
    assert read.text("1999,x\n5,6\n7,8\n", primary_key="1999").schema.names == ("1999", "x")
    assert read.text("7,8\n5,6\n7,9\n").schema.names == ("column_1", "column_2")


def test_parquet_of_every_type_becomes_canonical(read: Any) -> None:
    _parquet(
        read.base / "t.parquet",
        small=pa.array([1, None], pa.int8()),
        unsigned=pa.array([1, 2], pa.uint32()),
        price=pa.array([Decimal("1.50"), None], pa.decimal128(10, 2)),
        whole=pa.array([Decimal(7), None], pa.decimal128(10, 0)),
        half=pa.array([0.5, float("nan")], pa.float32()),
        text=pa.array(["", "b"], pa.large_string()),
        level=pa.array(["lo", "hi"]).dictionary_encode(),
        flag=pa.array([True, None]),
        day=pa.array([date(2020, 1, 2), None], pa.date64()),
        zoned=pa.array([datetime(2020, 1, 2, 3, tzinfo=UTC), None], pa.timestamp("ns", "Asia/Tokyo")),
        naive=pa.array([at("2020-01-02T03:00"), None], pa.timestamp("s")),
        clock=pa.array([time(3, 4), None]),
        nested=pa.array([{"k": [1, 2]}, None]),
        nothing=pa.array([None, None], pa.null()),
        code=pa.array(["00123", "7"]),
        moment=pa.array(["2020-01-02T03:04:05Z", None]),
    )
    table = read.source(SourceConfig(path="t.parquet"))
    assert table.rows[0] == (
        1, 1, 1.5, 7, 0.5, None, "lo", True, date(2020, 1, 2), at("2020-01-02T03:00"), at("2020-01-02T03:00"),
        "03:04:00", '{"k":[1,2]}', None, "00123", at("2020-01-02T03:04:05"),
    )  # fmt: skip
    assert table.rows[1][4] is None
    allowed = {"int64", "double", "string", "bool", "date32[day]", "timestamp[us]"}
    assert {c.dtype for c in table.schema.columns} == allowed
    assert {str(f.type) for f in pq.read_schema(table.folder / "part-00000.parquet")} == allowed
    assert table.schema.column("price").decimals == 2
    assert "1 NaN value(s) count as missing" in table.notes


def test_infinity_in_a_typed_source_is_refused(read: Any) -> None:
    _parquet(read.base / "t.parquet", x=[1.0, float("inf")])
    with pytest.raises(SourceError, match="infinite") as caught:
        read.source(SourceConfig(path="t.parquet"))
    assert caught.value.column == "x"


@pytest.mark.parametrize("columns", [{"x": [b"a"]}, {"x": pa.array([b"abc"], pa.binary(3))}])
def test_binary_columns_are_refused_by_name(read: Any, columns: dict[str, Any]) -> None:
    _parquet(read.base / "t.parquet", **columns)
    with pytest.raises(SourceError, match="binary data") as caught:
        read.source(SourceConfig(path="t.parquet"))
    assert caught.value.column == "x"


def test_damaged_and_empty_parquet_are_refused(read: Any) -> None:
    whole = _parquet(read.base / "t.parquet", x=[1, 2]).read_bytes()
    with pytest.raises(SourceError, match="damaged"):
        read.text(whole[:-20], "cut.parquet")
    with pytest.raises(SourceError, match="not Parquet"):
        read.text("a,b\n1,2\n", "text.parquet")
    _parquet(read.base / "none.parquet", x=pa.array([], pa.int64()))
    with pytest.raises(SourceError, match="no rows"):
        read.source(SourceConfig(path="none.parquet"))


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ('[{"a":1,"b":"x","c":true},{"a":2.5,"d":{"k":[1]}}]', "t.json"),
        ('{"a":1,"b":"x","c":true}\n\n{"a":2.5,"d":{"k":[1]}}\n', "t.jsonl"),
        ('\ufeff{"a":1,"b":"x","c":true}\n{"a":2.5,"d":{"k":[1]}}', "bom.ndjson"),
        ('{"a":1,"b":"x","c":true}\n{"a":2.5,"d":{"k":[1]}}', "lines.json"),
        ('[{"a":1,"b":"x","c":true},{"a":2.5,"d":{"k":[1]}}]', "no_suffix"),
    ],
)
def test_json_objects_become_rows_and_keys_columns_in_order(read: Any, content: str, name: str) -> None:
    table = read.text(content, name)
    assert table.schema.names == ("a", "b", "c", "d")
    assert table.rows == [(1.0, "x", True, None), (2.5, None, None, '{"k":[1]}')]


def test_json_texts_keep_their_spelling_and_mixed_values_become_text(read: Any) -> None:
    objects = [{"z/~'p": "00123", "n": "12", "m": 1, "big": 2**70}, {"z/~'p": "", "n": "13", "m": "one", "big": 1}]
    table = read.text("\n".join(map(json.dumps, objects)), "t.jsonl")
    assert table.rows == [("00123", "12", "1", str(2**70)), (None, "13", "one", "1")]


@pytest.mark.parametrize(
    "content",
    [
        '{"schema": {"fields": [{"name": "a"}]}, "data": [{"a": 1}, {"a": 2}]}',
        '{\n "provenance": {"note": "[\\"data\\": [{"},\n "data" : [\n  {"a": 1},\n  {"a": 2}\n ]\n}\n',
        '\ufeff{"data":[{"a":1},{"a":2}]}',
    ],
)
def test_a_json_document_with_its_rows_under_data_is_a_table(read: Any, content: str) -> None:
    assert read.text(content, "t.json").rows == [(1,), (2,)]


def test_objects_with_a_key_data_are_rows_where_each_stands_on_its_own_line(read: Any) -> None:
    assert read.text('{"data":[{"a":1}]}\n{"data":[{"a":2}]}\n', "t.jsonl").rows == [('[{"a":1}]',), ('[{"a":2}]',)]


@pytest.mark.parametrize(
    ("content", "row"),
    [
        ('{"a":1}\n{"a":2\n{"a":3}\n', 2),
        ('{"a":1}\n[1,2]\n', 2),
        ('{"a":1}\n5\n', 2),
        ('[{"a":1},\n{"a":}]', 2),
        ('[1,2,"secret-canary"]', None),
        ("[]", None),
        ("{}", None),
        ("secret-canary", 1),
    ],
)
def test_text_that_is_no_json_object_is_refused_by_line(read: Any, content: str, row: int | None) -> None:
    with pytest.raises(SourceError) as caught:
        read.text(content, "t.json")
    assert caught.value.row == row
    assert "secret-canary" not in str(caught.value)


def test_a_workbook_is_read_sheet_by_sheet(read: Any) -> None:
    day, moment = at("2020-01-02T00:00"), at("2020-01-02T03:04")
    rows = [
        [],
        ["id", "zip", "when", "day", "ok", "x"],
        [1, "00123", moment, day, True, 1.5],
        [],
        [2, "7", None, day, False, 2],
    ]
    _workbook(read.base / "t.xlsx", {"first": rows, "second": [["y"], ["a"], ["b"]]})
    table = read.source(SourceConfig(path="t.xlsx"))
    assert table.rows == [
        (1, "00123", moment, day.date(), True, 1.5),
        (None,) * 6,
        (2, "7", None, day.date(), False, 2.0),
    ]
    assert read.source(SourceConfig(path="t.xlsx", sheet="second")).column("y") == ["a", "b"]


@pytest.mark.parametrize(
    ("rows", "sheet", "expected"),
    [
        ([["a"], [1]], "other", "no such sheet"),
        ([], None, "is empty"),
        ([["a", "b"]], None, "no rows"),
        ([["a"], [1, 2]], None, "to the right of the 1 header cells"),
    ],
)
def test_sheets_that_are_no_table_are_refused(
    read: Any, rows: list[list[Any]], sheet: str | None, expected: str
) -> None:
    _workbook(read.base / "t.xlsx", {"data": rows})
    with pytest.raises(SourceError, match=expected):
        read.source(SourceConfig(path="t.xlsx", sheet=sheet))


def test_a_workbook_that_expands_beyond_the_limit_is_refused(read: Any, small_limits: Limits) -> None:
    _workbook(read.base / "t.xlsx", {"data": [["a"], [1]]})
    with zipfile.ZipFile(read.base / "t.xlsx", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/padding.xml", "0" * 2_000_000)
    with pytest.raises(SourceError, match="expands"):
        read.source(SourceConfig(path="t.xlsx"), limits=small_limits)


def test_a_compressed_file_is_expanded(read: Any) -> None:
    assert read.text(gzip.compress(b"a,b\n1,x\n"), "t.csv.gz").rows == [(1, "x")]
    assert read.text(gzip.compress(b'{"a":1}\n'), "t.jsonl.gz").rows == [(1,)]


@pytest.mark.parametrize("rows", [300_000, 30_000])
def test_a_decompression_bomb_is_refused_before_it_fills_the_disk(read: Any, small_limits: Limits, rows: int) -> None:
    with pytest.raises(SourceError, match="expands to more than"):
        read.text(gzip.compress(b"a,b\n" + b"1,2\n" * rows), "t.csv.gz", limits=small_limits)


def test_damaged_gzip_is_refused(read: Any) -> None:
    with pytest.raises(SourceError, match="gzip"):
        read.text(gzip.compress(b"a,b\n1,2\n" * 100)[:-12], "t.csv.gz")
    with pytest.raises(SourceError, match="gzip"):
        read.text("a,b\n1,2\n", "t.csv.gz")


def _folder(read: Any, **files: str) -> SourceConfig:
    (read.base / "parts").mkdir()
    for name, content in files.items():
        (read.base / "parts" / f"{name}.csv").write_text(content)
    return SourceConfig(path="parts")


def test_a_folder_of_files_is_one_table_in_order_of_their_names(read: Any) -> None:
    source = _folder(read, b="id,x\n3,00\n", a="id,x\n1,5\n2,6\n", _SUCCESS="", **{".hidden": "junk"})
    table = read.source(source)
    assert table.rows == [(1, "5"), (2, "6"), (3, "00")]


def test_a_folder_of_parquet_files_is_one_table(read: Any) -> None:
    (read.base / "parts").mkdir()
    _parquet(read.base / "parts" / "part-1.parquet", x=[2])
    _parquet(read.base / "parts" / "part-0.parquet", x=[1])
    assert read.source(SourceConfig(path="parts")).column("x") == [1, 2]


def test_a_wrong_cell_in_a_folder_is_named_by_its_own_file_and_line(read: Any) -> None:
    source = _folder(read, a="id,x\n1,5\n", b="id,x\n2,6\n3,secret-canary\n")
    with pytest.raises(SourceError) as caught:
        read.source(source, columns={"x": {"kind": "number"}})
    assert (Path(str(caught.value.file)).name, caught.value.row, caught.value.column) == ("b.csv", 3, "x")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, "no data file"),
        ({"a": "id,x\n1,2\n", "b": "id,y\n1,2\n"}, "columns differ"),
        ({"a": "id,x\n1,2\n", "b": "x,id\n1,2\n"}, "order differs"),
        ({"a": "id,x\n1,2\n", "b": "id,x,y\n1,2,3\n"}, "more: 'y'"),
    ],
)
def test_a_folder_that_is_no_table_is_refused(read: Any, files: dict[str, str], expected: str) -> None:
    with pytest.raises(SourceError, match=expected):
        read.source(_folder(read, **files))


def test_a_folder_of_several_kinds_of_files_is_refused(read: Any) -> None:
    source = _folder(read, a="id,x\n1,2\n")
    (read.base / "parts" / "readme.md").write_text("hello")
    with pytest.raises(SourceError, match=r"several kinds \(.csv, .md\)"):
        read.source(source)


def test_a_data_frame_comes_from_the_same_reader(read: Any) -> None:
    frame = read_frame(read.write("zip,x\n00123,1.5\n7,2\n"))
    assert frame.to_dict("list") == {"zip": ["00123", "7"], "x": [1.5, 2.0]}


def test_values_that_databases_give_become_text(read: Any) -> None:
    from synth_assets.tables.readers.objects import RowStager

    stager = RowStager(["u", "t", "d", "m"], read.base / "s.parquet", "here")
    stager.add([(UUID(int=1), time(1, 2), {"k": Decimal("1.5")}, 1), (None, None, None, "x")])
    stager.add([(UUID(int=2), time(3, 4), None, 2)])
    assert stager.finish() == ("string",) * 4
    rows = pq.read_table(read.base / "s.parquet").to_pylist()
    assert rows[0] == {"c0": "00000000-0000-0000-0000-000000000001", "c1": "01:02:00", "c2": '{"k":"1.5"}', "c3": "1"}
    assert [r["c3"] for r in rows] == ["1", "x", "2"]


def test_chunks_of_different_types_are_brought_together(read: Any) -> None:
    from synth_assets.tables.readers.objects import RowStager

    stager = RowStager(["a", "b", "c"], read.base / "s.parquet", "here")
    stager.add([(None, 1, date(2020, 1, 1))])
    stager.add([(5, Decimal("2.50"), at("2020-01-02T03:00"))])
    stager.add([(None, None, None)])
    assert stager.finish() == ("int64", "double", "timestamp")
    assert stager.decimals == {1: 2}
    assert pq.read_table(read.base / "s.parquet").column("c2").to_pylist() == [
        at("2020-01-01T00:00"),
        at("2020-01-02T03:00"),
        None,
    ]
