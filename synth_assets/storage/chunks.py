"""The stream of chunks in every sealed file: AES-256-GCM, each chunk bound to its number and to whether it is the last.

So no chunk can be changed, moved, dropped, doubled or cut off. What does not belong here: headers, and where keys come from. Each form
adds its own: artifacts at rest (at_rest.py), files for a recipient (sealing.py), backups under a passphrase (sealed.py).

Source: Hoang, Reyhanitabar, Rogaway, Vizar 2015 (the STREAM construction); NIST SP 800-38D (GCM).
"""

from __future__ import annotations

import io
import os
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from synth_assets.errors import SynthAssetsError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

CHUNK_BYTES = 2**20
TAG_BYTES = 16
PREFIX_BYTES = 7
KEY_BYTES = 32


@dataclass(frozen=True)
class Chunks:
    """How one file is sealed.

    Args:
        key: 32 bytes; one key and prefix seal one stream only.
        prefix: 7 random bytes, the first of each nonce; the number (4 bytes) and the last mark follow, so a stream has 4 PiB at most.
        bound: What every chunk is bound to; the same at sealing and opening.
    """

    key: bytes = field(repr=False)
    prefix: bytes
    bound: bytes

    @classmethod
    def fresh_prefix(cls) -> bytes:
        """7 bytes from the operating system."""
        return os.urandom(PREFIX_BYTES)

    def seal(self, source: IO[bytes], target: IO[bytes]) -> None:
        """Write all of `source` sealed to `target`."""
        writer = SealingWriter(target, self)
        shutil.copyfileobj(source, writer, CHUNK_BYTES)
        writer.finish()

    def open(self, source: IO[bytes], target: IO[bytes], broken: Broken) -> None:
        """Write the content of a sealed stream to `target`; what was written before an error is to be thrown away.

        Raises:
            What `broken` makes: a chunk is not what was sealed.
        """
        shutil.copyfileobj(self.reader(source, broken), target, CHUNK_BYTES)

    def reader(self, source: IO[bytes], broken: Broken) -> io.BufferedReader:
        """The content as a stream; every chunk is checked before it is handed on, the end is known to be the end at the last one."""
        return io.BufferedReader(_OpeningReader(source, self, broken), CHUNK_BYTES)

    def cipher(self) -> AESGCM:
        """The cipher of the key."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(self.key)

    def nonce(self, number: int, *, last: bool) -> bytes:
        """12 bytes that no other chunk of the stream has."""
        return self.prefix + struct.pack(">IB", number, last)


Broken = Callable[[int], SynthAssetsError]  # number of the chunk, from 0 -> the error of the form


class SealingWriter(io.RawIOBase):
    """Takes plain bytes in pieces of any size and writes sealed chunks; `finish` writes the last one."""

    def __init__(self, target: IO[bytes], chunks: Chunks) -> None:
        self._target, self._chunks, self._cipher = target, chunks, chunks.cipher()
        self._number, self._waiting = 0, bytearray()

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Any) -> int:
        """Seal what fills a chunk; one chunk waits, since only `finish` knows that it is the last."""
        self._waiting += data
        while len(self._waiting) > CHUNK_BYTES:
            self._write(bytes(self._waiting[:CHUNK_BYTES]), last=False)
            del self._waiting[:CHUNK_BYTES]
        return len(data)

    def finish(self) -> None:
        """Write the last chunk; an empty stream is one empty chunk."""
        self._write(bytes(self._waiting), last=True)

    def _write(self, plain: bytes, *, last: bool) -> None:
        nonce = self._chunks.nonce(self._number, last=last)
        self._target.write(self._cipher.encrypt(nonce, plain, self._chunks.bound))
        self._number += 1


class _OpeningReader(io.RawIOBase):
    def __init__(self, source: IO[bytes], chunks: Chunks, broken: Broken) -> None:
        self._source, self._chunks, self._cipher, self._broken = source, chunks, chunks.cipher(), broken
        self._number, self._plain = 0, memoryview(b"")
        self._next = source.read(CHUNK_BYTES + TAG_BYTES)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._plain and (self._next or not self._number):
            self._open()
        given = self._plain[: len(buffer)]
        buffer[: len(given)] = given
        self._plain = self._plain[len(given) :]
        return len(given)

    def _open(self) -> None:
        from cryptography.exceptions import InvalidTag

        chunk, self._next = self._next, self._source.read(CHUNK_BYTES + TAG_BYTES)
        nonce = self._chunks.nonce(self._number, last=not self._next)
        try:
            self._plain = memoryview(self._cipher.decrypt(nonce, chunk, self._chunks.bound))
        except (InvalidTag, ValueError):  # ValueError: shorter than a tag
            raise self._broken(self._number) from None
        self._number += 1
