"""Avro object container files to staged Parquet, block by block.

Compressed blocks are expanded here, each with a limit, into a plain copy that fastavro then decodes: its own codecs would take a
block that expands without end. Schemas whose values take no bytes are refused, since a few bytes could then stand for any number
of values.
"""

from __future__ import annotations

import bz2
import json
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from synth_assets.errors import SourceError, is_full
from synth_assets.tables.readers.limits import MIB, Limits
from synth_assets.tables.readers.objects import CHUNK_ROWS, RowStager
from synth_assets.tables.readers.staging import Part, Staged

MAGIC = b"Obj\x01"
LARGEST_BLOCK_BYTES = 256 * MIB
CHUNK_BYTES = 32 * MIB
_SYNC_BYTES = 16


class _DamagedError(Exception):
    """The bytes are no Avro; never leaves this module."""


def read_avro(path: Path, *, workspace: Path, limits: Limits, label: str) -> Staged:
    """Stage one Avro file; records, arrays and maps inside a column become JSON text.

    Args:
        path: An object container file.
        workspace: Private folder for staged files.
        limits: Bounds of one read.
        label: How messages name the file.

    Raises:
        SourceError: the file is damaged, is no table of records, has no rows, or expands beyond the limits.
    """
    try:
        codec, schema = _header(path)
        names = _columns(schema, limits, label)
        plain = path if codec == "null" else _plain_copy(path, codec, workspace, limits, label)
        stager = RowStager(names, workspace / f"{path.name}.staged.parquet", label)
        for chunk in _chunks(plain, names):
            stager.add(chunk)
    except SourceError:
        raise
    except Exception as error:
        if is_full(error):
            raise
        raise SourceError(
            "the Avro file is damaged or cannot be read.", file=label, remedy="Write the file again."
        ) from None
    if not stager.rows:
        raise SourceError("the file has columns and no rows.", file=label, remedy="An empty table cannot be used.")
    types = stager.finish()
    part = Part(workspace / f"{path.name}.staged.parquet", label)
    return Staged(tuple(names), types, (part,), facts={"format": "avro", "codec": codec}, decimals=stager.decimals)


def _columns(schema: Any, limits: Limits, label: str) -> list[str]:
    """The fields of the top-level record."""
    if not isinstance(schema, dict) or schema.get("type") != "record" or not schema.get("fields"):
        raise SourceError("the file holds no records.", file=label, remedy="Write one record with fields per row.")
    names = [str(field["name"]) for field in schema["fields"]]
    if len(names) > limits.columns:
        raise SourceError(f"the table has {len(names)} columns; at most {limits.columns} are read.", file=label)
    if _takes_no_bytes(schema) or _endless(schema):
        raise SourceError("the schema has values that take no bytes.", file=label, remedy="Leave out such fields.")
    return names


def _parts(schema: Any) -> list[Any]:
    """The schemas that a schema is made of."""
    if isinstance(schema, list):
        return schema
    if not isinstance(schema, dict):
        return []
    fields = schema["fields"] if isinstance(schema.get("fields"), list) else []
    inner = [schema[key] for key in ("items", "values") if key in schema]
    return [f.get("type") for f in fields if isinstance(f, dict)] + inner


def _takes_no_bytes(schema: Any) -> bool:
    kind = schema.get("type") if isinstance(schema, dict) else schema
    if kind == "null":
        return True
    if kind in {"record", "error"}:
        return all(map(_takes_no_bytes, _parts(schema)))
    if kind == "fixed":
        return not schema.get("size")
    return isinstance(kind, dict) and _takes_no_bytes(kind)


def _endless(schema: Any) -> bool:
    """Whether an array of values without bytes stands anywhere in a schema."""
    if isinstance(schema, dict) and schema.get("type") == "array" and _takes_no_bytes(schema.get("items")):
        return True
    if isinstance(schema, dict) and isinstance(schema.get("type"), dict) and _endless(schema["type"]):
        return True
    return any(map(_endless, _parts(schema)))


def _chunks(path: Path, names: list[str]) -> Iterator[list[list[Any]]]:
    """Rows in chunks that are bounded in number and in bytes."""
    import fastavro

    with path.open("rb") as source:
        chunk: list[list[Any]] = []
        start = 0
        records: Any = fastavro.reader(source)
        for record in records:
            chunk.append([record[name] for name in names])
            if len(chunk) >= CHUNK_ROWS or source.tell() - start > CHUNK_BYTES:
                yield chunk
                chunk, start = [], source.tell()
        if chunk:
            yield chunk


def _header(path: Path) -> tuple[str, Any]:
    """Codec and schema."""
    with path.open("rb") as source:
        meta = _meta(source)
    return meta.get("avro.codec", b"null").decode(), json.loads(meta["avro.schema"])


def _meta(source: IO[bytes]) -> dict[str, bytes]:
    """The header's map; leaves the file behind it, in front of the sync marker."""
    if source.read(len(MAGIC)) != MAGIC:
        raise _DamagedError
    meta: dict[str, bytes] = {}
    while count := _long(source):
        if count < 0:
            count = -count
            _long(source)
        for _ in range(count):
            name = _bytes(source).decode()
            meta[name] = _bytes(source)
    return meta


def _long(source: IO[bytes]) -> int:
    """One zig-zag number."""
    value = shift = 0
    while True:
        byte = source.read(1)
        if not byte or shift > 63:
            raise _DamagedError
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return (value >> 1) ^ -(value & 1)
        shift += 7


def _bytes(source: IO[bytes], length: int | None = None) -> bytes:
    """Bytes of a length, or with their length in front; never more than a block may have."""
    length = _long(source) if length is None else length
    data = source.read(length) if 0 <= length <= LARGEST_BLOCK_BYTES else b""
    if len(data) != length:
        raise _DamagedError
    return data


def _plain_copy(path: Path, codec: str, workspace: Path, limits: Limits, label: str) -> Path:
    """The same file with its blocks expanded."""
    expand = _CODECS.get(codec)
    if expand is None:
        raise SourceError(
            "the compression of the Avro file is not read.",
            file=label,
            remedy=f"Write it with one of: {', '.join(_CODECS)}.",
        )
    copy = workspace / f"{path.name}.plain"
    size, total = path.stat().st_size, 0
    with path.open("rb") as source, copy.open("wb") as target:
        meta = _meta(source)
        sync = _bytes(source, _SYNC_BYTES)
        target.write(_written_header({**meta, "avro.codec": b"null"}) + sync)
        while source.tell() < size:
            count, data = _long(source), expand(_bytes(source))
            if _bytes(source, _SYNC_BYTES) != sync:
                raise _DamagedError
            total += len(data)
            if len(data) > LARGEST_BLOCK_BYTES or total > limits.expanded_bytes:
                raise SourceError(
                    f"the file expands to more than {total // MIB} MiB, with blocks of more than {LARGEST_BLOCK_BYTES // MIB} MiB "
                    "or beyond the limit of one read.",
                    file=label,
                    remedy="Write it with smaller blocks, or as Parquet.",
                )
            target.write(_written_long(count) + _written_long(len(data)) + data + sync)
    return copy


def _written_long(value: int) -> bytes:
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _written_header(meta: Mapping[str, bytes]) -> bytes:
    out = MAGIC + _written_long(len(meta))
    for name, value in meta.items():
        out += _written_long(len(name.encode())) + name.encode() + _written_long(len(value)) + value
    return out + _written_long(0)


def _bounded(decompressor: Callable[[], Any]) -> Callable[[bytes], bytes]:
    """A block through a decompressor that takes a limit; one byte more than the limit tells that there is more."""

    def expand(data: bytes) -> bytes:
        found: bytes = decompressor().decompress(data, LARGEST_BLOCK_BYTES + 1)
        return found

    return expand


def _snappy(data: bytes) -> bytes:
    """Snappy says its length in front, and Avro adds four bytes of checksum."""
    length = shift = 0
    for byte in data[:5]:
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    if length > min(LARGEST_BLOCK_BYTES, 64 * len(data)):
        raise _DamagedError
    expanded: bytes = pa.decompress(data[:-4], decompressed_size=length, codec="snappy", asbytes=True)
    if zlib.crc32(expanded) != int.from_bytes(data[-4:], "big"):
        raise _DamagedError
    return expanded


def _zstandard(data: bytes) -> bytes:
    with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
        found: bytes = stream.read(LARGEST_BLOCK_BYTES + 1)
    return found


_CODECS: dict[str, Callable[[bytes], bytes]] = {
    "deflate": _bounded(lambda: zlib.decompressobj(-15)),
    "snappy": _snappy,
    "zstandard": _zstandard,
    "bzip2": _bounded(bz2.BZ2Decompressor),
    "xz": _bounded(lzma.LZMADecompressor),
}
