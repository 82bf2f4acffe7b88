"""Where files go: taken, deleted, or into quarantine with the reason beside them. A file is hashed after it was moved, never lost."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import BinaryIO

from synth_assets.config.uploads import UploadsConfig
from synth_assets.uploads.inbox import MARKER, QUARANTINE, TAKEN, Inbox

PREFIX = "upload_"
DIGITS = 32  # 128 bits of SHA-256
_BLOCK = 1 << 20


def upload_of(content_hash: str) -> str:
    """The name of an upload: of its content alone, so that the same content is the same upload under any file name."""
    return f"{PREFIX}{content_hash[:DIGITS]}"


def hash_stream(source: BinaryIO, out: BinaryIO | None = None) -> tuple[str, int]:
    """SHA-256 and length of a stream, which is copied on the way where `out` is given."""
    digest, size = hashlib.sha256(), 0
    while block := source.read(_BLOCK):
        digest.update(block)
        size += len(block)
        if out is not None:
            out.write(block)
    return digest.hexdigest(), size


def file_away(inbox: Inbox, config: UploadsConfig, name: str, upload: str) -> str:
    """Move a file whose content is stored to `taken/`, or delete it; put it back where it holds other content by now.

    Returns:
        Its path below the inbox; "" where it was deleted, or is another file by now.
    """
    moved = _moved(inbox, name, f"{TAKEN}/{upload}/{PurePosixPath(name).name}", upload)
    if not moved:
        return ""
    inbox.remove(name + MARKER)
    if config.after == "delete":
        inbox.remove(moved)
        return ""
    return moved


def quarantine(inbox: Inbox, name: str, *, size: int, code: str, message: str, upload: str = "") -> str:
    """Move a file into quarantine and write beside it why.

    Args:
        inbox: The inbox.
        name: Its path below the inbox.
        size: In bytes.
        code: Of the error.
        message: What is wrong and what to do; no cell value.
        upload: Its upload, where it was taken already.

    Returns:
        Its new path below the inbox; "" where the name holds another file by now.
    """
    moved = _moved(inbox, name, f"{QUARANTINE}/{PurePosixPath(name).name}", upload)
    if not moved:
        return ""
    reason = {
        "code": code,
        "message": message,
        "size_bytes": size,
        "upload": upload or None,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    inbox.write(f"{moved}.reason.json", json.dumps(reason, indent=1).encode())
    inbox.remove(name + MARKER)
    return moved


def _moved(inbox: Inbox, name: str, to: str, upload: str) -> str:
    """Move a file, and put it back where it holds other content than its upload by now; "" then."""
    moved = inbox.move(name, to)
    if not upload:
        return moved
    with inbox.reading(moved) as source:
        found, _ = hash_stream(source)
    if upload_of(found) == upload:
        return moved
    inbox.move(moved, name)
    return ""
