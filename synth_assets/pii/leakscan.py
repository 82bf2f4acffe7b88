"""Looks for values in every file of a folder: also inside Parquet, SQLite, archives, pictures and compressed cells.

It tells where and how many, never what. Files are read as bytes first, so freed pages and write-ahead logs of SQLite, half files and
unknown formats are searched as well; then what is packed in them.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
import sqlite3
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from synth_assets.pii.leakforms import Hit, Needles

_LARGEST_UNPACKED = 1 << 30
_DEEPEST = 4
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{64,}={0,2}")
_PNG = b"\x89PNG\r\n\x1a\n"
_SQLITE = b"SQLite format 3\0"


@dataclass(frozen=True)
class Leak:
    """A place where values stand.

    Args:
        file: Path below the folder that was searched.
        label: What they are values of.
        forms: Their forms, sorted.
        values: How many different ones.
        places: How many places in all.
    """

    file: str
    label: str
    forms: tuple[str, ...]
    values: int
    places: int


def scan_folder(folder: Path, needles: Needles, *, leave_out: Callable[[Path], bool] = lambda _: False) -> list[Leak]:
    """Search every file below a folder.

    Args:
        folder: The folder.
        needles: What to look for.
        leave_out: Files that may hold values, such as sources.
    """
    files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink() and not leave_out(p))
    return [leak for file in files for leak in scan_file(file, needles, name=file.relative_to(folder).as_posix())]


def scan_file(file: Path, needles: Needles, *, name: str | None = None) -> list[Leak]:
    """Search one file, and what is packed in it."""
    found: Counter[Hit] = Counter()
    for data in contents(file):
        found += needles.search(data)
    return [_leak(name or file.name, label, found) for label in sorted({hit.label for hit in found})]


def _leak(name: str, label: str, found: Counter[Hit]) -> Leak:
    own = {hit: n for hit, n in found.items() if hit.label == label}
    kinds = tuple(sorted({hit.form for hit in own}))
    return Leak(name, label, kinds, len({hit.number for hit in own}), sum(own.values()))


def contents(file: Path) -> Iterator[bytes]:
    """The bytes of a file, and everything that is packed in them."""
    data = file.read_bytes()
    yield from _unpacked(data, 0)
    if data.startswith(_SQLITE):
        yield from _cells(file)


def _unpacked(data: bytes, depth: int) -> Iterator[bytes]:
    yield data
    if depth == _DEEPEST:
        return
    for inner in _inside(data):
        yield from _unpacked(inner, depth + 1)


def _inside(data: bytes) -> Iterator[bytes]:
    """What one layer of packing holds; what cannot be unpacked was searched as it is."""
    try:
        if data.startswith(b"PAR1"):
            yield from _columns(data)
        elif data.startswith(_PNG):
            yield from _texts_of_png(data)
        elif data.startswith(b"PK\x03\x04"):
            yield from _members(data)
        elif data.startswith(b"\x1f\x8b"):
            yield _inflate(data, 31)
        elif data[:1] == b"x" and len(data) > 2 and int.from_bytes(data[:2], "big") % 31 == 0:
            yield _inflate(data, 15)
    except (OSError, ValueError, zlib.error, zipfile.BadZipFile, EOFError):
        return
    for found in _BASE64.finditer(data):
        decoded = _decoded(found[0])
        if decoded.startswith((_PNG, b"\x1f\x8b", b"PK\x03\x04", b"PAR1", b"x\x9c", b"x\xda")):
            yield decoded


def _columns(data: bytes) -> Iterator[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(io.BytesIO(data))
    yield str(file.schema_arrow.metadata).encode()
    for batch in file.iter_batches(batch_size=50_000):
        for column in batch.columns:
            if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
                yield "\n".join(v for v in column.to_pylist() if v is not None).encode()
            elif pa.types.is_binary(column.type):
                yield from (v for v in column.to_pylist() if v)
            else:
                yield "\n".join(str(v) for v in column.to_pylist()).encode()


def _texts_of_png(data: bytes) -> Iterator[bytes]:
    place = len(_PNG)
    while place + 12 <= len(data):
        length, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        body = data[place + 8 : place + 8 + length]
        if kind == b"zTXt":
            yield _inflate(body.partition(b"\0")[2][1:], 15)
        elif kind == b"iTXt":
            flags_and_text = body.partition(b"\0")[2]
            text = flags_and_text[2:].split(b"\0", 2)[-1]
            yield _inflate(text, 15) if flags_and_text[:1] == b"\x01" else text
        place += 12 + length


def _members(data: bytes) -> Iterator[bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for member in archive.infolist():
            if not member.is_dir() and member.file_size <= _LARGEST_UNPACKED and not member.flag_bits & 1:
                yield archive.read(member)


def _inflate(data: bytes, window: int) -> bytes:
    return zlib.decompressobj(window).decompress(data, _LARGEST_UNPACKED)


def _decoded(run: bytes) -> bytes:
    try:
        return base64.b64decode(run[: len(run) // 4 * 4])
    except binascii.Error:
        return b""


def _cells(file: Path) -> Iterator[bytes]:
    """Cells of a SQLite file: long ones lie in pieces on several pages, compressed ones in no readable form."""
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        names = [str(r[0]) for r in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in names:
            quoted = name.replace('"', '""')
            yield from _cells_of(connection.execute(f'SELECT * FROM "{quoted}"'))
    except sqlite3.DatabaseError:
        return  # a broken or locked file: its bytes were searched
    finally:
        connection.close()


def _cells_of(rows: Iterable[tuple[object, ...]]) -> Iterator[bytes]:
    texts: list[str] = []
    for row in rows:
        for cell in row:
            if isinstance(cell, bytes):
                yield from _unpacked(cell, 1)
            elif isinstance(cell, str):
                texts.append(cell)
        if len(texts) > 10_000:
            yield "\0".join(texts).encode()
            texts.clear()
    yield "\0".join(texts).encode()
