"""Several files as one table (folders, patterns), compressed files, and the types of Parquet that need care."""

from __future__ import annotations

import gzip
import io
import zipfile
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synth_assets.config.dataset import SourceConfig
from synth_assets.errors import ConfigError, SourceError
from synth_assets.tables.readers.limits import Limits
from synth_assets.tables.sources import source_fingerprint

CSV = b"id,x\n1,a\n2,b\n"


def _zip(**members: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return target.getvalue()


def _folder(base: Path, **files: bytes) -> None:
    for name, content in files.items():
        path = base / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (gzip.compress(CSV), "t.csv.gz"),
        (pa.compress(CSV, codec="zstd", asbytes=True), "t.csv.zst"),
        (_zip(t_dot_csv=CSV), "t.zip"),
        (_zip(inner__t_dot_csv=CSV, MACOSX_dot_DS_Store=b"x", inner___dot_DS_Store=b"x"), "t.csv.zip"),
        (_zip(t_dot_jsonl=b'{"id": 1, "x": "a"}\n{"id": 2, "x": "b"}\n'), "t.zip"),
        (gzip.compress(CSV), "T.CSV.GZ"),
    ],
)
def test_a_compressed_file_is_expanded(read: Any, content: bytes, name: str) -> None:
    if b"MACOSX" in content:
        content = _zip(inner__t_dot_csv=CSV, inner___dot_DS_Store=b"x")
    assert read.text(content, name=name).rows == [(1, "a"), (2, "b")]


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (CSV, "t.csv.gz", "gzip data is damaged, or is no gzip"),
        (CSV, "t.csv.zst", "zstd data is damaged, or is no zstd"),
        (CSV, "t.zip", "zip data is damaged, or is no zip"),
        (gzip.compress(CSV)[:-9], "t.csv.gz", "gzip data is damaged"),
        (_zip(a_dot_csv=CSV, b_dot_csv=CSV), "t.zip", "holds 2 files"),
        (_zip(), "t.zip", "holds no files"),
        (gzip.compress(gzip.compress(CSV)), "t.csv.gz", "gzip data, not delimited text"),
    ],
)
def test_compressed_files_that_cannot_be_read_are_refused(read: Any, content: bytes, name: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read.text(content, name=name)


@pytest.mark.parametrize("kind", ["gz", "zst", "zip"])
def test_a_bomb_of_any_kind_is_refused_with_size_and_limit(read: Any, small_limits: Limits, kind: str) -> None:
    zeros = b"a\n" + b"1\n" * 300_000
    content = {
        "gz": gzip.compress(zeros),
        "zst": pa.compress(zeros, codec="zstd", asbytes=True),
        "zip": _zip(t_dot_csv=zeros),
    }
    with pytest.raises(SourceError, match=r"expands to more than .*the limit is"):
        read.text(content[kind], name=f"t.csv.{kind}", limits=small_limits)


def test_a_zip_that_lies_about_its_size_is_refused_all_the_same(read: Any, small_limits: Limits) -> None:
    content = bytearray(_zip(t_dot_csv=b"a\n" + b"1\n" * 300_000))
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = content.index(mark) + offset
        content[place : place + 4] = (10).to_bytes(4, "little")
    with pytest.raises(SourceError, match="expands to more than|damaged"):
        read.text(bytes(content), name="t.csv.zip", limits=small_limits)


@pytest.mark.parametrize("pattern", ["in/*.csv", "in/**/*.csv", "in/?.csv", "in/[ab].csv"])
def test_a_pattern_is_one_table_in_order_of_the_names(read: Any, pattern: str) -> None:
    _folder(
        read.base,
        in__b_dot_csv=b"id,x\n2,b\n",
        in__a_dot_csv=b"id,x\n1,00\n",
        in___c_dot_csv=b"no\n",
        in__note_dot_txt=b"no",
    )
    assert read.source(SourceConfig(path=pattern)).rows == [(1, "00"), (2, "b")]
    first = source_fingerprint(SourceConfig(path=pattern), read.base)
    _folder(read.base, in__b_dot_csv=b"id,x\n2,c\n")
    assert source_fingerprint(SourceConfig(path=pattern), read.base) != first


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(read: Any) -> None:
    assert read.text(CSV, name="t[1].csv").rows == [(1, "a"), (2, "b")]


@pytest.mark.parametrize(
    ("files", "path", "message"),
    [
        ({"a_dot_csv": CSV}, "*.tsv", "matches no file"),
        ({"a_dot_csv": CSV, "b_dot_json": b"[]"}, "?.*", "of several kinds"),
        ({"in__a_dot_csv": CSV, "in__more__b_dot_csv": CSV}, "in", "folders of its own"),
        ({"in__year=1__a_dot_csv": CSV}, "in", "folders of its own"),
        ({"in__a_dot_csv": CSV, "in__b_dot_csv": b"id,y\n1,a\n"}, "in", "b.csv: the columns differ"),
    ],
)
def test_files_that_are_not_one_table_are_refused(read: Any, files: dict[str, bytes], path: str, message: str) -> None:
    _folder(read.base, **files)
    with pytest.raises(SourceError, match=message):
        read.source(SourceConfig(path=path))


def test_folders_of_typed_files_take_the_wider_type(read: Any) -> None:
    _folder(
        read.base,
        in__a_dot_jsonl=b'{"n": 1, "s": null, "d": 1}\n',
        in__b_dot_jsonl=b'{"n": 2.5, "s": "x", "d": null}\n',
    )
    table = read.source(SourceConfig(path="in"))
    assert table.rows == [(1.0, None, 1), (2.5, "x", None)]


@pytest.mark.parametrize(
    ("first", "second"), [(b'{"n": 1}\n', b'{"n": "x"}\n'), (b'{"n": 9007199254740993}\n', b'{"n": 0.5}\n')]
)
def test_folders_of_files_with_types_that_exclude_each_other_are_refused(
    read: Any, first: bytes, second: bytes
) -> None:
    _folder(read.base, in__a_dot_jsonl=first, in__b_dot_jsonl=second)
    with pytest.raises(SourceError, match="one schema"):
        read.source(SourceConfig(path="in"))


def test_an_address_of_another_kind_is_refused(read: Any) -> None:
    with pytest.raises(ConfigError, match="addresses of this kind"):
        read.source(SourceConfig(path="ftp://host/t.csv"))


def _parquet(read: Any, **columns: pa.Array) -> Any:
    pq.write_table(pa.table(columns), read.base / "t.parquet")
    return read.source(SourceConfig(path="t.parquet"))


def test_numbers_that_no_double_holds_keep_their_digits(read: Any) -> None:
    exact, large = Decimal("12345678901234567.89"), Decimal("1234.50")
    table = _parquet(
        read,
        money=pa.array([large, None], pa.decimal128(18, 2)),
        exact=pa.array([exact, Decimal(1)], pa.decimal128(38, 2)),
        big=pa.array([2**64 - 1, 1], pa.uint64()),
        small=pa.array([2**63 - 1, 1], pa.uint64()),
    )
    assert table.column("money") == [1234.5, None]
    assert table.schema.column("money").decimals == 2
    assert table.column("exact") == ["12345678901234567.89", "1.00"]
    assert table.column("big") == ["18446744073709551615", "1"]
    assert table.column("small") == [2**63 - 1, 1]
    assert "'exact' stays text" in table.notes
    assert "'big' stays text" in table.notes


def test_nested_columns_become_json_text(read: Any) -> None:
    table = _parquet(
        read,
        tags=pa.array([["a", None], None], pa.list_(pa.string())),
        place=pa.array([{"lat": 1.5, "when": date(2020, 1, 2)}, None]),
        more=pa.array([[("k", float("nan"))], []], pa.map_(pa.string(), pa.float64())),
    )
    assert table.column("tags") == ['["a",null]', None]
    assert table.column("place") == ['{"lat":1.5,"when":"2020-01-02"}', None]
    assert table.column("more") == ['{"k":null}', "{}"]


def test_nested_json_becomes_json_text_too(read: Any) -> None:
    table = read.text(
        b'{"id": 1, "tags": ["a", null], "place": {"lat": 1.5}}\n{"id": 2, "tags": [], "place": null}\n', name="t.jsonl"
    )
    assert table.column("tags") == ['["a",null]', "[]"]
    assert table.column("place") == ['{"lat":1.5}', None]


def test_times_finer_than_microseconds_are_cut_with_a_note(read: Any) -> None:
    table = _parquet(read, t=pa.array([1_577_934_245_000_000_001], pa.timestamp("ns")))
    assert table.column("t") == [datetime(2020, 1, 2, 3, 4, 5)]
    assert "finer than microseconds" in table.notes


def test_uuids_are_text(read: Any) -> None:
    one = UUID("00112233-4455-6677-8899-aabbccddeeff")
    table = _parquet(read, u=pa.ExtensionArray.from_storage(pa.uuid(), pa.array([one.bytes, None], pa.binary(16))))
    assert table.column("u") == [str(one), None]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([[b"x"]], pa.list_(pa.binary())), "binary data"),
        (pa.array([253402300800000 * 10], pa.timestamp("ms")), "column 'x': the column holds 1 date"),
    ],
)
def test_parquet_values_that_have_no_form_are_refused(read: Any, column: pa.Array, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        _parquet(read, x=column)


@pytest.mark.parametrize(
    ("content", "values"),
    [
        (b"a\n1\n\n3\n\n\n", [1, None, 3]),
        (b"a\r\n1\r\n\r\n3", [1, None, 3]),
        (b'a\n0\n""\n', [0, None]),
        (b'a\n"x\n\ny"\n\nz\n', ["x\n\ny", None, "z"]),
    ],
)
def test_an_empty_line_in_a_file_of_one_column_is_a_row_without_a_value(
    read: Any, content: bytes, values: list[Any]
) -> None:
    table = read.text(content)
    assert table.column("a") == values
    assert "rows without a value" in table.notes
