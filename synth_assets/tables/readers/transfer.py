"""What every way to a file shares: the local file it ends in, copying under a limit, names that are safe to use and to show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from synth_assets.errors import TooLargeError
from synth_assets.tables.readers.limits import MIB, Limits

_BLOCK_BYTES = 4 * MIB
_PLACES_BEFORE_AT = {"abfs", "abfss"}  # container@account: no user, no password


@dataclass(frozen=True)
class LocalFile:
    """A file to read: where it lies, its name at the source (which tells the format), and how messages name it."""

    path: Path
    name: str
    label: str


def safe_label(address: str) -> str:
    """An address without user, password, query and fragment."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    if parts.scheme in _PLACES_BEFORE_AT and parts.username:
        host = f"{parts.username}@{host}"
    try:
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        port = ""
    return f"{parts.scheme}://{host}{port}{parts.path}"


def copy_blocks(source: Any, out: IO[bytes], check: Callable[[int], None]) -> int:
    """Copy in blocks; `check` sees the total after each. Gives the number of bytes."""
    total = 0
    while block := source.read(_BLOCK_BYTES):
        total += len(block)
        check(total)
        out.write(block)
    return total


def file_name(name: str) -> str:
    """A name that is safe on this disk."""
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in name)[-100:]


def refuse_large(size: int, limits: Limits, label: str) -> None:
    """Raise for an object beyond the limit on downloads."""
    if size > limits.download_bytes:
        raise TooLargeError(
            f"the object is larger than {limits.download_bytes // MIB} MiB.",
            file=label,
            remedy="Raise SYNTH_ASSETS_DOWNLOAD_LIMIT, or download it by hand and give the local path.",
        )
