"""Good files of every format, the ways to damage them from a seed, and what may become of a damaged one."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from datetime import date
from pathlib import Path

import fastavro
import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq

from synth_assets.config.dataset import SourceConfig
from synth_assets.errors import SynthAssetsError, UnexpectedError
from synth_assets.tables.engine import Engine
from synth_assets.tables.readers.limits import Limits
from synth_assets.tables.sources import ingest

CANARY = "Zyxwvutsrq"
ROWS = [
    {
        "id": n,
        "name": f"{CANARY} {n}",
        "paid": n / 4,
        "born": date(1970, 1, 1 + n),
        "note": 'says "a, b"\nand goes' if n % 3 else None,
    }
    for n in range(20)
]
COLUMNS = list(ROWS[0])
LIMITS = Limits(expanded_bytes=50_000_000, free_expansion_bytes=1_000_000)


def good_files() -> dict[str, bytes]:
    """The same table in every format; names tell the format."""
    text = io.StringIO(newline="")
    import csv

    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(["" if v is None else v for v in row.values()] for row in ROWS)
    plain = text.getvalue().encode()
    lines = "".join(json.dumps(row, default=str) + "\n" for row in ROWS).encode()
    parquet = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(ROWS), parquet)
    return {
        "t.csv": plain,
        "t.tsv": plain.replace(b",", b"\t"),
        "u.csv": plain.decode().encode("utf-16"),
        "t.jsonl": lines,
        "t.json": b"[" + lines.strip().replace(b"\n", b",\n") + b"]",
        "t.parquet": parquet.getvalue().to_pybytes(),
        "t.xlsx": _workbook(),
        "t.avro": _avro("null"),
        "u.avro": _avro("deflate"),
        "t.csv.gz": gzip.compress(plain, mtime=0),
        "t.csv.zst": pa.compress(plain, codec="zstd", asbytes=True),
        "t.zip": _zip(plain),
    }


def _workbook() -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(COLUMNS)
    for row in ROWS:
        sheet.append(list(row.values()))
    target = io.BytesIO()
    book.save(target)
    with zipfile.ZipFile(target) as packed:
        members = {name: packed.read(name) for name in packed.namelist()}
    target = io.BytesIO()
    with zipfile.ZipFile(
        target, "w", zipfile.ZIP_STORED
    ) as stored:  # so that a damaged byte is a damaged sheet, not only a wrong checksum
        for name, content in members.items():
            stored.writestr(zipfile.ZipInfo(name), content)
    return target.getvalue()


def _avro(codec: str) -> bytes:
    kinds = {
        "id": "long",
        "name": "string",
        "paid": "double",
        "born": {"type": "int", "logicalType": "date"},
        "note": ["null", "string"],
    }
    schema = {"type": "record", "name": "r", "fields": [{"name": n, "type": t} for n, t in kinds.items()]}
    target = io.BytesIO()
    fastavro.writer(target, schema, ROWS, codec=codec, sync_marker=bytes(range(16)))
    return target.getvalue()


def _zip(content: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("t.csv"), content)
    return target.getvalue()


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """One to four changes: bytes flipped, cut out, doubled, put in, or the end cut off."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        place, length = int(rng.integers(0, max(len(data), 1))), int(rng.integers(1, 20))
        match int(rng.integers(0, 6)):
            case 0:
                data[place : place + 1] = bytes([int(rng.integers(0, 256))])
            case 1:
                del data[place : place + length]
            case 2:
                data[place:place] = data[place : place + length]
            case 3:
                data[place:place] = rng.bytes(length)
            case 4:
                data[place:place] = rng.choice(
                    [b'"', b",", b"\n", b"\r", b"\x00", b"\xff\xff\xff\x7f", b"\xef\xbb\xbf", b"#", b"{", b"]"]
                )
            case _:
                del data[place:]
    return bytes(data)


def read_or_refused(content: bytes, name: str, base: Path) -> int | None:
    """Rows of the table, or None where the file was refused with one clear error that quotes no cell.

    Raises:
        AssertionError: it was neither.
    """
    base.mkdir(parents=True, exist_ok=True)
    (base / name).write_bytes(content)
    out = base / "out" / "table"
    told: SynthAssetsError | None = None
    try:
        schema = ingest(
            SourceConfig(path=name), name="t", base_dir=base, out=out, engine=Engine(threads=1), limits=LIMITS
        )
    except SynthAssetsError as error:
        told = error
    if told is not None:
        assert not isinstance(told, UnexpectedError), str(told)
        assert CANARY not in str(told).replace(str(base), "")
        assert told.file or told.key
        assert told.remedy or told.row, str(told)
        assert not list(out.parent.iterdir())
        return None
    table = pq.read_table(out / "part-00000.parquet")
    assert table.num_rows == schema.row_count >= 1
    assert table.column_names == list(schema.names)
    table.to_pylist()
    return schema.row_count
