"""Text encodings: every text source becomes UTF-8 without NUL bytes, or one error that names the line. Nothing is guessed from a
few bytes: the whole file is decoded. Only UTF (with or without BOM) and Windows-1252 are recognised; others are declared.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synth_assets.errors import ConfigError, SourceError

BLOCK_BYTES = 16 * 1024**2
_BOMS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_UNDEFINED_1252 = (b"\x81", b"\x8d", b"\x8f", b"\x90", b"\x9d")
_ASK = "Name it: `encoding:` in the source, such as utf-8, cp1252, cp1251, shift_jis or gbk."


@dataclass(frozen=True)
class TextFile:
    """A text in UTF-8.

    Attributes:
        path: The file; the source itself where nothing had to be changed.
        start: Byte offset behind the BOM.
        encoding: What the source was written in.
        notes: What to say about it.
    """

    path: Path
    start: int
    encoding: str
    notes: tuple[str, ...] = ()


def as_utf8(path: Path, *, declared: str | None, workspace: Path, label: str) -> TextFile:
    """Check a text file, and rewrite it in UTF-8 where it is something else.

    Args:
        path: The file.
        declared: The encoding that the configuration names, if any.
        workspace: Private folder for a rewritten copy.
        label: How messages name the file.

    Raises:
        ConfigError: the declared encoding is not known.
        SourceError: the bytes do not fit the encoding, hold NUL, or cannot be told; names the line.
    """
    with path.open("rb") as handle:
        head = handle.read(64 * 1024)
    encoding, start = _declared(declared, head) if declared else _by_bom(head)
    notes: tuple[str, ...] = ()
    if encoding is None:
        bad = _first_bad_byte(path, label)
        if bad is None:
            return TextFile(path, 0, "utf-8")
        encoding = _single_byte_encoding(path, bad, label)
        notes = ("the text is not UTF-8; it was read as Windows-1252 (cp1252).",)
    if encoding == "utf-8":
        bad = _first_bad_byte(path, label)
        if bad is not None:
            raise _not_decodable(path, bad, encoding, label)
        return TextFile(path, start, encoding)
    copy = workspace / f"{path.name}.utf8"
    _transcode(path, copy, encoding, start, label)
    return TextFile(copy, 0, encoding, notes)


def line_at(path: Path, offset: int) -> int:
    """1-based line of a byte offset; LF, CRLF and lone CR end a line."""
    lines, previous, seen = 1, b"", 0
    for block in _blocks(path):
        part = block[: offset - seen]
        lines += part.count(b"\n") + part.count(b"\r") - part.count(b"\r\n")
        lines -= previous == b"\r" and part[:1] == b"\n"
        previous, seen = part[-1:], seen + len(block)
        if seen >= offset:
            break
    return lines


def _blocks(path: Path, start: int = 0) -> Iterator[bytes]:
    with path.open("rb") as handle:
        handle.seek(start)
        while block := handle.read(BLOCK_BYTES):
            yield block


def _declared(declared: str, head: bytes) -> tuple[str, int]:
    try:
        "".encode(declared)  # a codec that is no text encoding fails here
        encoding = codecs.lookup(declared).name
    except LookupError:
        raise ConfigError(
            "the encoding is not known.", key="source.encoding", remedy="Use a name such as utf-8 or cp1252."
        ) from None
    for bom, name in _BOMS:
        if head.startswith(bom) and encoding in {name, name.rsplit("-", 1)[0], "utf-8-sig"}:
            return name, len(bom)
    return ("utf-8" if encoding == "utf-8-sig" else encoding), 0


def _by_bom(head: bytes) -> tuple[str | None, int]:
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            return encoding, len(bom)
    return _bomless_utf16(head), 0


def _bomless_utf16(head: bytes) -> str | None:
    """UTF-16 without BOM shows zeros at every second byte only."""
    data = np.frombuffer(head[: len(head) // 2 * 2], dtype=np.uint8)
    if data.size < 4:
        return None
    even, odd = float(np.mean(data[0::2] == 0)), float(np.mean(data[1::2] == 0))
    if odd > 0.6 and even == 0:
        return "utf-16-le"
    return "utf-16-be" if even > 0.6 and odd == 0 else None


def _first_bad_byte(path: Path, label: str) -> int | None:
    """Offset of the first byte that is not UTF-8, or None.

    Raises:
        SourceError: a NUL byte comes first.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    seen = 0
    for block in _blocks(path):
        nul = block.find(b"\x00")
        if nul >= 0:
            raise _nul(path, seen + nul, label)
        pending = len(decoder.getstate()[0])
        if pending or not block.isascii():
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                return seen - pending + error.start
        seen += len(block)
    pending = len(decoder.getstate()[0])
    return seen - pending if pending else None


def _nul(path: Path, offset: int, label: str) -> SourceError:
    return SourceError(
        "the file holds NUL bytes: it is binary, damaged, or in an encoding that nobody named.",
        file=label,
        row=line_at(path, offset),
        remedy="Write it again as UTF-8 text, or name its `encoding`.",
    )


def _not_decodable(path: Path, offset: int, encoding: str, label: str) -> SourceError:
    return SourceError(
        f"the text is not valid {encoding}.",
        file=label,
        row=line_at(path, offset),
        remedy=f"Repair the file, or: {_ASK}",
    )


def _single_byte_encoding(path: Path, bad: int, label: str) -> str:
    """Windows-1252 where the whole file fits it; text in it has single accented letters between ASCII ones."""
    valid = invalid = high = runs = undefined = 0
    for block in _blocks(path):
        rest, found = _MULTIBYTE.subn(b"", block)
        valid += found
        invalid += _high_bytes(rest)[0]
        counts = _high_bytes(block)
        high, runs = high + counts[0], runs + counts[1]
        undefined += sum(block.count(byte) for byte in _UNDEFINED_1252)
    if valid >= invalid:
        raise SourceError(
            "the text is UTF-8 with damaged bytes.",
            file=label,
            row=line_at(path, bad),
            remedy="Write the file again in one encoding.",
        )
    if undefined or high > 1.5 * runs:
        raise SourceError(
            "the text is not UTF-8, and its encoding cannot be told.", file=label, row=line_at(path, bad), remedy=_ASK
        )
    return "cp1252"


def _high_bytes(block: bytes) -> tuple[int, int]:
    """Number of non-ASCII bytes, and of runs of them."""
    high = np.frombuffer(block, dtype=np.uint8) >= 0x80
    starts = np.count_nonzero(high[1:] & ~high[:-1]) + int(high[:1].sum())
    return int(np.count_nonzero(high)), int(starts)


def _transcode(path: Path, copy: Path, encoding: str, start: int, label: str) -> None:
    """Rewrite a file in UTF-8, block by block."""
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    lines = 1
    with copy.open("wb") as out:
        for block, last in _with_last(path, start):
            try:
                text = decoder.decode(block, final=last)
            except UnicodeDecodeError as error:
                line = lines + error.object[: error.start].decode(encoding, "ignore").count("\n")
                raise _wrong_encoding(encoding, line, label) from None
            bad = min((i for i in (text.find("\x00"), text.find("\ufffd")) if i >= 0), default=-1)
            if bad >= 0:
                raise _wrong_encoding(encoding, lines + text[:bad].count("\n"), label)
            lines += text.count("\n")
            out.write(text.encode())


def _with_last(path: Path, start: int) -> Iterator[tuple[bytes, bool]]:
    """Blocks from an offset on, each with whether it is the last one."""
    held: bytes | None = None
    for block in _blocks(path, start):
        if held is not None:
            yield held, False
        held = block
    yield held or b"", True


def _wrong_encoding(encoding: str, line: int, label: str) -> SourceError:
    return SourceError(
        f"the text is not valid {encoding}, or is damaged.", file=label, row=line, remedy=f"Repair the file, or: {_ASK}"
    )
