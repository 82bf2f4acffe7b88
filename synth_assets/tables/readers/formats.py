"""What a file is, by its name and its first bytes; a file whose bytes contradict its name is refused in words."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Literal

from synth_assets.errors import SourceError

Format = Literal["csv", "tsv", "parquet", "json", "jsonl", "excel", "avro"]

HEAD_BYTES = 4096
_SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".txt": "csv",
    ".dat": "csv",
    ".data": "csv",
    ".psv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".avro": "avro",
    ".xlsx": "excel",
    ".xlsm": "excel",
}
_TEXT_FORMATS = ("csv", "tsv", "json", "jsonl")
_RENAME = "Give the file the suffix of what it is, or name its `format`."
_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"PAR1", "a Parquet file", _RENAME),
    (b"\x1f\x8b", "gzip data", "Rename it to end in .gz, or decompress it."),
    (b"BZh", "bzip2 data", "Decompress it first."),
    (b"\xfd7zXZ\x00", "xz data", "Decompress it first."),
    (b"\x28\xb5\x2f\xfd", "zstd data", "Rename it to end in .zst, or decompress it."),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "Unpack it first."),
    (
        b"\xd0\xcf\x11\xe0",
        "an old Excel workbook (.xls) or one with a password",
        "Save it as .xlsx without a password.",
    ),
    (b"%PDF-", "a PDF document", "Export the table as CSV."),
    (b"\x89PNG", "a PNG image", "Export the table as CSV."),
    (b"\xff\xd8\xff", "a JPEG image", "Export the table as CSV."),
    (b"SQLite format 3\x00", "a SQLite database", "Read it with `url: sqlite:///FILE` and `table` or `query`."),
    (b"Obj\x01", "an Avro file", _RENAME),
    (b"ORC", "an ORC file", "Convert it to Parquet."),
    (b"version https://git-lfs.github.com/spec/", "a Git LFS pointer, not the data", "Fetch the data: git lfs pull."),
)
_HTML = "an HTML page, such as a login or error page"


def read_head(path: Path) -> bytes:
    """The first bytes of a file.

    Raises:
        SourceError: it cannot be opened.
    """
    try:
        with path.open("rb") as handle:
            return handle.read(HEAD_BYTES)
    except OSError as error:
        raise SourceError(f"the file cannot be opened ({type(error).__name__}).", file=str(path)) from None


def format_of(path: Path, declared: Format | None, *, name: str | None = None, label: str | None = None) -> Format:
    """The format of a file, checked against its first bytes.

    Args:
        path: A local file, not compressed.
        declared: The format that the configuration names, if any.
        name: The file's name at its source, where `path` is a temporary copy.
        label: How messages name the file; the path when absent.

    Raises:
        SourceError: the file is empty, or it is something else than its name or the configuration says.
    """
    label = label or str(path)
    head = read_head(path)
    if not head:
        raise SourceError("the file is empty (0 bytes).", file=label, remedy="Give a file with a header and rows.")
    suffix = Path(name or path.name).suffix.lower()
    wanted = declared or _SUFFIXES.get(suffix)
    if wanted is None:
        wanted = _by_content(path, head)
    if wanted == "parquet":
        _expect(head.startswith(b"PAR1"), "the file is not Parquet.", path, head, label)
    elif wanted == "avro":
        _expect(head.startswith(b"Obj\x01"), "the file is not Avro.", path, head, label)
    elif wanted == "excel":
        _expect(_zip_kind(path, head) == "workbook", "the file is no Excel workbook (.xlsx).", path, head, label)
    elif wanted in _TEXT_FORMATS:
        _refuse_foreign_text(path, head, wanted, label)
    return wanted


def what_is_it(path: Path, head: bytes) -> tuple[str, str] | None:
    """What a file is that is no delimited text, and the remedy; None for text."""
    for magic, what, remedy in _MAGIC:
        if head.startswith(magic):
            return what, remedy
    kind = _zip_kind(path, head)
    if kind is not None:
        return (
            ("an Excel workbook", _RENAME)
            if kind == "workbook"
            else ("a zip archive", "Rename it to end in .zip, or unpack it.")
        )
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return _HTML, "Download the file again, logged in."
    if start.startswith(b"<?xml"):
        return "XML", "Export the table as CSV."
    return None


def looks_like_json(head: bytes) -> bool:
    """Whether a text starts as a JSON object or an array of objects."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    inner = start[1:].lstrip(b" \t\r\n")
    if start.startswith(b"{"):
        return inner.startswith((b'"', b"}"))
    return start.startswith(b"[") and inner.startswith((b"{", b"]"))


def _by_content(path: Path, head: bytes) -> Format:
    """The format of a file whose name says nothing."""
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"Obj\x01"):
        return "avro"
    if _zip_kind(path, head) == "workbook":
        return "excel"
    return "json" if looks_like_json(head) else "csv"


def _zip_kind(path: Path, head: bytes) -> Literal["workbook", "archive"] | None:
    if not head.startswith(b"PK\x03\x04"):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return "archive"
    return "workbook" if any(name.startswith("xl/") for name in names) else "archive"


def _expect(fits: bool, message: str, path: Path, head: bytes, label: str) -> None:
    if fits:
        return
    found = what_is_it(path, head)
    what = f" It is {found[0]}." if found else ""
    raise SourceError(message + what, file=label, remedy=found[1] if found else "Check the file and its `format`.")


def _refuse_foreign_text(path: Path, head: bytes, wanted: Format, label: str) -> None:
    found = what_is_it(path, head)
    if found:
        raise SourceError(f"the file is {found[0]}, not {_spoken(wanted)}.", file=label, remedy=found[1])
    if wanted in {"csv", "tsv"} and looks_like_json(head):
        raise SourceError(
            f"the file is JSON, not {_spoken(wanted)}.", file=label, remedy="Name its `format` (json or jsonl)."
        )


def _spoken(wanted: Format) -> str:
    return "delimited text" if wanted in {"csv", "tsv"} else "JSON"
