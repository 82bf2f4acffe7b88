"""One file that only the holder of a passphrase can read, and that nobody can change, cut off or put together anew unnoticed.

Form 1: a line of JSON (form, scrypt's numbers, salt, nonce prefix), then chunks (chunks.py). The line is bound to every chunk.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from synth_assets.errors import ConfigError, DamagedBackupError
from synth_assets.storage import atomic
from synth_assets.storage.chunks import KEY_BYTES, PREFIX_BYTES, Chunks, SealingWriter

FORM = "synth-assets sealed file 1"
LEAST_PASSPHRASE = 12
SCRYPT = {"n": 2**16, "r": 8, "p": 1}  # 64 MiB and a fifth of a second for each guess
_SALT_BYTES, _HEAD_BYTES = 16, 1024


@contextmanager
def sealing(path: Path, passphrase: str) -> Iterator[io.RawIOBase]:
    """A stream whose content becomes the sealed file, whole or not at all.

    Args:
        path: The file, mode 0600; replaced where it is there.
        passphrase: At least 12 characters.

    Raises:
        ConfigError: the passphrase is too short.
    """
    if len(passphrase) < LEAST_PASSPHRASE:
        raise ConfigError(
            f"the passphrase has fewer than {LEAST_PASSPHRASE} characters.", remedy="Make one: openssl rand -hex 32"
        )
    salt, prefix = os.urandom(_SALT_BYTES), Chunks.fresh_prefix()
    head = json.dumps({"form": FORM, **SCRYPT, "salt": salt.hex(), "prefix": prefix.hex()}).encode() + b"\n"
    with atomic.replacing(path) as temporary, temporary.open("wb") as out:
        temporary.chmod(0o600)
        out.write(head)
        writer = SealingWriter(out, Chunks(_key(passphrase, salt, SCRYPT), prefix, head))
        yield writer
        writer.finish()


@contextmanager
def unsealing(path: Path, passphrase: str) -> Iterator[io.BufferedReader]:
    """The content of a sealed file as a stream; every block is checked before it is handed on.

    Raises:
        DamagedBackupError: the passphrase is another one, or the file was changed or cut off; it is no sealed file.
    """

    def broken(number: int) -> DamagedBackupError:
        first = "the passphrase is another one, or the file was changed"
        return DamagedBackupError(
            f"block {number + 1} of the file cannot be opened: {'it was changed or cut off' if number else first}.",
            file=str(path),
            remedy="Check the passphrase; else take another backup.",
        )

    with path.open("rb") as source:
        head = source.readline(_HEAD_BYTES)
        said = _head(head, path)
        key = _key(passphrase, bytes.fromhex(said["salt"]), {k: int(said[k]) for k in SCRYPT})
        yield Chunks(key, bytes.fromhex(said["prefix"]), head).reader(source, broken)


def _key(passphrase: str, salt: bytes, cost: dict[str, int]) -> bytes:
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    return Scrypt(salt=salt, length=KEY_BYTES, **cost).derive(passphrase.encode())


def _head(head: bytes, path: Path) -> dict[str, Any]:
    """The first line; its numbers are bounded, so that a made-up file cannot ask for all memory."""
    try:
        said: dict[str, Any] = json.loads(head)
        bounded = 2**14 <= int(said["n"]) <= 2**20 and int(said["r"]) == SCRYPT["r"] and int(said["p"]) == SCRYPT["p"]
        sized = (len(bytes.fromhex(said["salt"])), len(bytes.fromhex(said["prefix"]))) == (_SALT_BYTES, PREFIX_BYTES)
        known = said["form"] == FORM and bounded and sized
    except (ValueError, KeyError, TypeError):
        known = False
    if not known:
        raise DamagedBackupError(
            "this is no backup that this version can read.",
            file=str(path),
            remedy="Name a file that `backup` has written.",
        )
    return said
