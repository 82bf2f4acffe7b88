"""Content hashes: SHA-256 with every part delimited, so that two different lists never hash alike."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def hash_parts(*parts: str | bytes) -> str:
    """SHA-256 (64 hex digits) over parts, each hashed first, so that ("ab", "c") and ("a", "bc") differ."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part.encode() if isinstance(part, str) else part).digest())
    return digest.hexdigest()


def hash_json(value: Any) -> str:
    """SHA-256 of a JSON value in canonical form (sorted keys, no blanks)."""
    return hash_parts(json.dumps(value, sort_keys=True, separators=(",", ":"), default=str))


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, read in blocks."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def hash_folder(folder: Path) -> str:
    """SHA-256 over the relative names and bytes of all files below a folder."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return hash_parts(*(part for p in files for part in (p.relative_to(folder).as_posix(), hash_file(p))))
