"""Compressed files: .gz, .zst and .zip with one file in it are expanded to a private copy, with a limit on size and ratio."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from synth_assets.errors import SourceError, is_full
from synth_assets.tables.readers.limits import MIB, Limits
from synth_assets.tables.readers.transfer import LocalFile, copy_blocks, file_name

SUFFIXES = (".gz", ".zst", ".zip")
_NAMES = {".gz": "gzip", ".zst": "zstd", ".zip": "zip"}
_FAULTS = (
    OSError,
    EOFError,
    zlib.error,
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    pa.ArrowException,
    ValueError,
)


def expanded(file: LocalFile, workspace: Path, limits: Limits) -> LocalFile:
    """The file itself, or its content where its name says that it is compressed.

    Args:
        file: A local file.
        workspace: Private folder for the expanded copy.
        limits: Bounds of one read.

    Raises:
        SourceError: the data are damaged, the archive holds no file or several, or the content is beyond the limits.
    """
    suffix = Path(file.name).suffix.lower()
    if suffix not in SUFFIXES:
        return file
    compressed = max(file.path.stat().st_size, 1)
    try:
        with _opened(file, suffix, limits) as (source, name):
            target = workspace / f"expanded-{file_name(name)}"
            with target.open("wb") as out:
                copy_blocks(source, out, lambda n: _refuse_bomb(n, compressed, limits, file.label))
    except SourceError:
        raise
    except _FAULTS as error:
        if is_full(error):
            raise
        what = _NAMES[suffix]
        raise SourceError(
            f"the {what} data is damaged, or is no {what}.", file=file.label, remedy="Compress the file again."
        ) from None
    return LocalFile(target, name, file.label)


@contextmanager
def _opened(file: LocalFile, suffix: str, limits: Limits) -> Iterator[tuple[Any, str]]:
    """The content as a stream, and the name that tells its format."""
    inner = file.name[: -len(suffix)]
    if suffix == ".gz":
        with gzip.open(file.path, "rb") as source:
            yield source, inner
    elif suffix == ".zst":
        with pa.CompressedInputStream(pa.OSFile(str(file.path)), "zstd") as source:
            yield source, inner
    else:
        with zipfile.ZipFile(file.path) as archive:
            member = _only_member(archive, file.label)
            _refuse_bomb(member.file_size, max(member.compress_size, 1), limits, file.label)
            with archive.open(member) as source:
                yield source, PurePosixPath(member.filename).name


def _only_member(archive: zipfile.ZipFile, label: str) -> zipfile.ZipInfo:
    """The one file of an archive; what an operating system adds does not count."""
    members = [
        m
        for m in archive.infolist()
        if not m.is_dir()
        and not m.filename.startswith("__MACOSX/")
        and not PurePosixPath(m.filename).name.startswith(".")
    ]
    if len(members) != 1:
        raise SourceError(
            f"the archive holds {len(members) or 'no'} file{'s' if len(members) != 1 else ''}.",
            file=label,
            remedy="Put one file into an archive; unpack several into a folder, and name the folder.",
        )
    if members[0].flag_bits & 0x1:
        raise SourceError("the archive has a password.", file=label, remedy="Unpack it first.")
    return members[0]


def _refuse_bomb(size: int, compressed: int, limits: Limits, label: str) -> None:
    ratio = size / compressed
    too_large = size > limits.expanded_bytes
    if too_large or (size > limits.free_expansion_bytes and ratio > limits.expansion_ratio):
        limit = f"{limits.expanded_bytes // MIB} MiB" if too_large else f"{limits.expansion_ratio:.0f} times"
        raise SourceError(
            f"the file expands to more than {size // MIB} MiB, {ratio:.0f} times its size; the limit is {limit}.",
            file=label,
            remedy="If that is right, expand it first and give the plain file.",
        )
