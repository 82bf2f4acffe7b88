"""One scanner for every file of a home: a planted value is found in each form and packing, another value never."""

from __future__ import annotations

import base64
import gzip
import html
import io
import json
import sqlite3
import urllib.parse
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synth_assets.pii.leakforms import Needles
from synth_assets.pii.leakscan import Leak, scan_folder

VALUE = "Zofié O'Vexquill <zo+fi@quillvex.org>"
OTHER = "Xylo Prandt-Quillaby, the canary of nobody"


def text_cases() -> dict[str, bytes]:
    around = f"before {VALUE} behind"
    return {
        "plain": around.encode(),
        "lower": around.lower().encode(),
        "upper": around.upper().encode(),
        "latin-1": around.encode("latin-1"),
        "utf-16-le": around.encode("utf-16-le"),
        "utf-16-be": around.encode("utf-16-be"),
        "json": json.dumps({"a": around}).encode(),
        "html": html.escape(around).encode(),
        "url": urllib.parse.quote(around, safe="").encode(),
        "form": urllib.parse.quote_plus(around).encode(),
        "hex": around.encode().hex().encode(),
        "gzip": gzip.compress(around.encode()),
        "zlib": zlib.compress(around.encode()),
        "svg": f"<svg><text>{html.escape(VALUE)}</text></svg>".encode(),
    } | {f"base64 {i}": base64.b64encode(b"x" * i + around.encode()) for i in range(3)}


def plant_parquet(folder: Path) -> None:
    pq.write_table(
        pa.table({"n": list(range(3)), "note": ["a", f"see {VALUE}", None]}), folder / "x.parquet", compression="zstd"
    )


def plant_parquet_bytes(folder: Path) -> None:
    pq.write_table(pa.table({"cell": [VALUE.encode()]}), folder / "x.parquet", compression="zstd")


def plant_database(folder: Path) -> None:
    with sqlite3.connect(folder / "x.db") as connection:
        connection.execute("CREATE TABLE t (cell TEXT)")
        connection.execute("INSERT INTO t VALUES (?)", [f"{'.' * 4080}{VALUE}"])  # across two pages
    connection.close()


def plant_compressed_cell(folder: Path) -> None:
    with sqlite3.connect(folder / "x.db") as connection:
        connection.execute("CREATE TABLE t (cell BLOB)")
        connection.execute("INSERT INTO t VALUES (?)", [zlib.compress(VALUE.encode())])
    connection.close()


def plant_freed_page(folder: Path) -> None:
    connection = sqlite3.connect(folder / "x.db")
    connection.execute("PRAGMA secure_delete = OFF")
    connection.execute("CREATE TABLE t (cell TEXT)")
    connection.execute("INSERT INTO t VALUES (?)", [VALUE])
    connection.commit()
    connection.execute("DROP TABLE t")
    connection.commit()
    connection.close()


def plant_write_ahead_log(folder: Path) -> None:
    connection = sqlite3.connect(folder / "x.db")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE t (cell TEXT)")
    connection.execute("INSERT INTO t VALUES (?)", [VALUE])
    connection.commit()
    (folder / "left-wal").write_bytes((folder / "x.db-wal").read_bytes())
    connection.close()
    (folder / "x.db").unlink()


def plant_zip(folder: Path) -> None:
    with zipfile.ZipFile(folder / "x.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/sharedStrings.xml", html.escape(VALUE))


def picture(kind: bytes) -> bytes:
    body = b"Comment\0" + (
        b"\0" + zlib.compress(VALUE.encode()) if kind == b"zTXt" else b"\1\0\0\0" + zlib.compress(VALUE.encode())
    )
    chunk = len(body).to_bytes(4, "big") + kind + body + b"\0\0\0\0"
    return b"\x89PNG\r\n\x1a\n" + chunk


def plant_picture(folder: Path) -> None:
    (folder / "x.png").write_bytes(picture(b"zTXt"))


def plant_international_picture(folder: Path) -> None:
    (folder / "x.png").write_bytes(picture(b"iTXt"))


def plant_picture_in_a_page(folder: Path) -> None:
    (folder / "x.html").write_bytes(b'<img src="data:image/png;base64,' + base64.b64encode(picture(b"zTXt")) + b'">')


def plant_archive_in_an_archive(folder: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("x.txt", gzip.compress(VALUE.encode()))
    with zipfile.ZipFile(folder / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("y.zip", inner.getvalue())


PLANTS = [
    plant_parquet, plant_parquet_bytes, plant_database, plant_compressed_cell, plant_freed_page, plant_write_ahead_log, plant_zip,
    plant_picture, plant_international_picture, plant_picture_in_a_page, plant_archive_in_an_archive,
]  # fmt: skip


def searched(folder: Path) -> list[Leak]:
    return scan_folder(folder, Needles({"people.email": [VALUE], "nobody": [OTHER]}))


@pytest.mark.parametrize("form", list(text_cases()))
def test_a_value_is_found_in_every_form(tmp_path, form):
    (tmp_path / "file").write_bytes(
        b"\0" * 7 + text_cases()[form] if form not in {"gzip", "zlib"} else text_cases()[form]
    )
    (leak,) = searched(tmp_path)
    assert (leak.file, leak.label, leak.values) == ("file", "people.email", 1)


@pytest.mark.parametrize("plant", PLANTS, ids=lambda p: p.__name__)
def test_a_value_is_found_in_every_packing(tmp_path, plant: Callable[[Path], None]):
    plant(tmp_path)
    assert {leak.label for leak in searched(tmp_path)} == {"people.email"}


def test_what_is_not_there_is_not_found_and_nothing_of_a_value_is_told(tmp_path):
    (tmp_path / "a").write_text("Zofie O'Vexquil and nobody else " * 1000)
    (tmp_path / "b").write_bytes(bytes(range(256)) * 1000)
    assert searched(tmp_path) == []
    (tmp_path / "c").write_text(f"{VALUE} {VALUE}")
    (leak,) = searched(tmp_path)
    assert (leak.values, leak.places) == (1, 2)
    assert "quillvex" not in repr(leak)


def test_many_values_are_looked_for_in_one_pass_also_across_blocks(tmp_path):
    values = [f"person{i}@example.org" for i in range(3000)]
    data = b"." * ((1 << 22) - 10) + values[1234].encode() + b"." * 100
    (tmp_path / "file").write_bytes(data)
    (leak,) = scan_folder(tmp_path, Needles({"people.email": values}))
    assert (leak.values, leak.places) == (1, 1)


def test_short_values_are_left_out_and_broken_files_are_searched_as_bytes(tmp_path):
    assert Needles({"x": ["12345", "a"]}).count == 0
    (tmp_path / "broken.parquet").write_bytes(b"PAR1" + VALUE.encode())
    (tmp_path / "broken.db").write_bytes(b"SQLite format 3\0" + VALUE.encode())
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04" + VALUE.encode())
    assert {leak.file for leak in searched(tmp_path)} == {"broken.parquet", "broken.db", "broken.zip"}
