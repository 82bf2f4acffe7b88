"""One file that only the holder of a passphrase can read, and that nobody can change, cut off or put together anew unnoticed.

Form 1: a line of JSON (form, scrypt's numbers, salt, nonce prefix), then blocks of AES-256-GCM. The nonce of a block is the prefix,
its number and whether it is the last one (STREAM: Hoang, Reyhanitabar, Rogaway, Vizar 2015). The line is bound to every block.
"""

from __future__ import annotations

import io
import json
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from synth_assets.errors import ConfigError, DamagedBackupError
from synth_assets.storage import atomic

FORM = "synth-assets sealed file 1"
BLOCK_BYTES = 2**20
LEAST_PASSPHRASE = 12
SCRYPT = {"n": 2**16, "r": 8, "p": 1}  # 64 MiB and a fifth of a second for each guess
_TAG_BYTES, _PREFIX_BYTES, _SALT_BYTES, _HEAD_BYTES = 16, 7, 16, 1024


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
    salt, prefix = os.urandom(_SALT_BYTES), os.urandom(_PREFIX_BYTES)
    head = json.dumps({"form": FORM, **SCRYPT, "salt": salt.hex(), "prefix": prefix.hex()}).encode() + b"\n"
    with atomic.replacing(path) as temporary, temporary.open("wb") as out:
        temporary.chmod(0o600)
        out.write(head)
        writer = _Sealer(out, _cipher(passphrase, salt, SCRYPT), prefix, head)
        yield writer
        writer.finish()


@contextmanager
def unsealing(path: Path, passphrase: str) -> Iterator[io.BufferedReader]:
    """The content of a sealed file as a stream; every block is checked before it is handed on.

    Raises:
        DamagedBackupError: the passphrase is another one, or the file was changed or cut off; it is no sealed file.
    """
    with path.open("rb") as source:
        head = source.readline(_HEAD_BYTES)
        said = _head(head, path)
        cipher = _cipher(passphrase, bytes.fromhex(said["salt"]), {k: int(said[k]) for k in SCRYPT})
        yield io.BufferedReader(_Unsealer(source, cipher, bytes.fromhex(said["prefix"]), head, path))


class _Sealer(io.RawIOBase):
    def __init__(self, out: IO[bytes], cipher: Any, prefix: bytes, head: bytes) -> None:
        self._out, self._cipher, self._prefix, self._head = out, cipher, prefix, head
        self._number, self._waiting = 0, bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._waiting += data
        while len(self._waiting) > BLOCK_BYTES:  # the last block is written by `finish`, which knows that it is
            self._block(bytes(self._waiting[:BLOCK_BYTES]), last=False)
            del self._waiting[:BLOCK_BYTES]
        return len(data)

    def finish(self) -> None:
        """Write the last block."""
        self._block(bytes(self._waiting), last=True)

    def _block(self, plain: bytes, *, last: bool) -> None:
        self._out.write(self._cipher.encrypt(_nonce(self._prefix, self._number, last), plain, self._head))
        self._number += 1


class _Unsealer(io.RawIOBase):
    def __init__(self, source: IO[bytes], cipher: Any, prefix: bytes, head: bytes, path: Path) -> None:
        self._source, self._cipher, self._prefix, self._head, self._path = source, cipher, prefix, head, path
        self._number, self._plain = 0, b""
        self._next = source.read(BLOCK_BYTES + _TAG_BYTES)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._plain and (self._next or not self._number):
            self._open_block()
        given = self._plain[: len(buffer)]
        buffer[: len(given)] = given
        self._plain = self._plain[len(given) :]
        return len(given)

    def _open_block(self) -> None:
        from cryptography.exceptions import InvalidTag

        block, self._next = self._next, self._source.read(BLOCK_BYTES + _TAG_BYTES)
        try:
            self._plain = self._cipher.decrypt(_nonce(self._prefix, self._number, not self._next), block, self._head)
        except (InvalidTag, ValueError):
            where = (
                "the passphrase is another one, or the file was changed"
                if not self._number
                else "it was changed or cut off"
            )
            raise DamagedBackupError(
                f"block {self._number + 1} of the file cannot be opened: {where}.",
                file=str(self._path),
                remedy="Check the passphrase; else take another backup.",
            ) from None
        self._number += 1


def _nonce(prefix: bytes, number: int, last: bool) -> bytes:
    return prefix + struct.pack(">IB", number, last)


def _cipher(passphrase: str, salt: bytes, cost: dict[str, int]) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    return AESGCM(Scrypt(salt=salt, length=32, **cost).derive(passphrase.encode()))


def _head(head: bytes, path: Path) -> dict[str, Any]:
    """The first line; its numbers are bounded, so that a made-up file cannot ask for all memory."""
    try:
        said: dict[str, Any] = json.loads(head)
        bounded = 2**14 <= int(said["n"]) <= 2**20 and int(said["r"]) == SCRYPT["r"] and int(said["p"]) == SCRYPT["p"]
        sized = (len(bytes.fromhex(said["salt"])), len(bytes.fromhex(said["prefix"]))) == (_SALT_BYTES, _PREFIX_BYTES)
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
