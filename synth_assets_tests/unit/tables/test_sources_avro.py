"""Avro: every type, every codec, and files that are damaged or made to expand without end."""

from __future__ import annotations

import io
import zlib
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import fastavro
import pytest

from synth_assets.errors import SourceError
from synth_assets.tables.readers import avro
from synth_assets.tables.readers.limits import Limits

PEOPLE = {
    "type": "record",
    "name": "person",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "name", "type": ["null", "string"]},
        {"name": "born", "type": {"type": "int", "logicalType": "date"}},
        {"name": "paid", "type": {"type": "bytes", "logicalType": "decimal", "precision": 8, "scale": 2}},
        {"name": "seen", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "kind", "type": {"type": "enum", "name": "kind", "symbols": ["new", "old"]}},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
        {"name": "place", "type": {"type": "map", "values": "double"}},
    ],
}
ROWS = [
    {
        "id": 2**62,
        "name": "Ann",
        "born": date(1970, 1, 2),
        "paid": Decimal("12.50"),
        "seen": datetime(2020, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
        "kind": "new",
        "tags": ["a", "b"],
        "place": {"lat": 1.5},
    },
    {
        "id": 7,
        "name": None,
        "born": date(2000, 2, 29),
        "paid": Decimal("0.01"),
        "seen": datetime(1960, 1, 1, tzinfo=UTC),
        "kind": "old",
        "tags": [],
        "place": {},
    },
]
TABLE = [
    (2**62, "Ann", date(1970, 1, 2), 12.5, datetime(2020, 1, 2, 3, 4, 5, 6), "new", '["a","b"]', '{"lat":1.5}'),
    (7, None, date(2000, 2, 29), 0.01, datetime(1960, 1, 1), "old", "[]", "{}"),
]


def _avro(schema: Any, rows: list[Any], codec: str = "null") -> bytes:
    target = io.BytesIO()
    fastavro.writer(target, schema, rows, codec=codec)
    return target.getvalue()


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "xz"])
def test_every_type_of_avro_becomes_canonical(read: Any, codec: str) -> None:
    table = read.text(_avro(PEOPLE, ROWS, codec), name="t.avro")
    assert table.rows == TABLE
    assert table.schema.column("paid").decimals == 2


@pytest.mark.parametrize("codec", ["snappy", "zstandard"])
def test_blocks_of_other_writers_are_expanded(read: Any, codec: str) -> None:
    import pyarrow as pa

    plain = _avro(PEOPLE, ROWS)
    sync = plain[-16:]
    head, _, block = plain.partition(sync)
    count, length = block[0], block[1]
    assert (count, length % 2) == (4, 0)
    data = block[3:-16] if block[1] >= 0x80 else block[2:-16]
    if codec == "snappy":
        packed = pa.compress(data, codec="snappy", asbytes=True) + zlib.crc32(data).to_bytes(4, "big")
    else:
        packed = pa.compress(data, codec="zstd", asbytes=True)
    name = codec.encode()
    head = head.replace(b"\x14avro.codec\x08null", b"\x14avro.codec" + bytes([2 * len(name)]) + name)
    content = head + sync + b"\x04" + avro._written_long(len(packed)) + packed + sync
    assert read.text(content, name="t.avro").rows == TABLE


def test_avro_is_told_by_its_bytes_and_not_read_as_text(read: Any) -> None:
    assert read.text(_avro(PEOPLE, ROWS), name="no_suffix").rows == TABLE
    with pytest.raises(SourceError, match="an Avro file, not delimited text"):
        read.text(_avro(PEOPLE, ROWS), name="t.csv")
    with pytest.raises(SourceError, match="is not Avro"):
        read.text("a,b\n1,2\n", name="u.avro")


@pytest.mark.parametrize("cut", [5, 40, 300, -1, -20])
def test_a_cut_file_is_refused(read: Any, cut: int) -> None:
    with pytest.raises(SourceError, match="damaged"):
        read.text(_avro(PEOPLE, ROWS, "deflate")[:cut], name="t.avro")


def test_a_block_that_expands_beyond_the_limit_is_refused(read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    schema = {"type": "record", "name": "r", "fields": [{"name": "x", "type": "string"}]}
    content = _avro(schema, [{"x": "0" * 1_000_000}], "deflate")
    assert len(content) < 5_000
    monkeypatch.setattr(avro, "LARGEST_BLOCK_BYTES", 100_000)
    with pytest.raises(SourceError, match="expands to more than"):
        read.text(content, name="t.avro")
    monkeypatch.undo()
    with pytest.raises(SourceError, match="expands to more than"):
        read.text(content, name="t.avro", limits=Limits(expanded_bytes=500_000))


@pytest.mark.parametrize(
    "kind",
    [{"type": "array", "items": "null"}, {"type": "array", "items": {"type": "fixed", "name": "f", "size": 0}}, "null"],
)
def test_values_that_take_no_bytes_are_refused(read: Any, kind: Any) -> None:
    """Ten bytes could stand for 2**60 of them."""
    schema = {"type": "record", "name": "r", "fields": [{"name": "x", "type": kind}]}
    with pytest.raises(SourceError, match="take no bytes"):
        read.text(_avro(schema, []), name="t.avro")


@pytest.mark.parametrize(
    ("schema", "rows", "message"),
    [
        ("long", [1, 2], "no records"),
        (PEOPLE, [], "no rows"),
        ({"type": "record", "name": "r", "fields": [{"name": "x", "type": "bytes"}]}, [{"x": b"1"}], "binary data"),
    ],
)
def test_avro_that_is_no_table_is_refused(read: Any, schema: Any, rows: list[Any], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read.text(_avro(schema, rows), name="t.avro")
