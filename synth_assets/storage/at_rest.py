"""Encryption at rest: files under a data key of their own, data keys wrapped by a key of the key ring.

A sealed artifact has one random data key. It lies beside the files, wrapped (AES-256-GCM) under a key that is derived from the master
key, so that a new master key needs new wrappings and no new files. Every file is a stream of chunks (chunks.py) under a key of its own,
bound to its name. Here are the forms; where they lie: encrypted.py.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO

from synth_assets.errors import ConfigError, DamagedArtifactError
from synth_assets.storage import atomic
from synth_assets.storage.chunks import PREFIX_BYTES, Chunks
from synth_assets.storage.secrets import KEY_BYTES, SecretKey

KEY_FILE = "_key.json"
NAMES_FILE = "_files"  # the sealed list of names: no file can be added or taken away
MAGIC = b"synthsealed1\n"
NOTE_MAGIC = b"synthnote1\n"
PURPOSE = "storage/at rest"
_SALT_BYTES, _NONCE_BYTES = 16, 12
_FORMAT = 1


class _Key:
    """A key read when it is first needed, so that looking at a home asks nobody for a secret."""

    def __init__(self, read: Callable[[], SecretKey]) -> None:
        self._read = read

    @cached_property
    def wrapping(self) -> SecretKey:
        """The key that wraps data keys."""
        return self._read().derive(PURPOSE)


@dataclass(frozen=True)
class Sealing:
    """Seals and opens with the master key of a home.

    Args:
        read: Gives the master key of today, never a new one: what was sealed needs the key that it was sealed with.
        make: Gives it as well, made where there is none: what is sealed now may be the first.
    """

    read: Callable[[], SecretKey]
    make: Callable[[], SecretKey]
    _kept: dict[str, _Key] = field(default_factory=dict, repr=False, compare=False)

    def _wrapping(self, *, make: bool) -> SecretKey:
        if make and "make" not in self._kept:
            self._kept["make"] = self._kept["read"] = _Key(self.make)
        if "read" not in self._kept:
            self._kept["read"] = _Key(self.read)
        return self._kept["read"].wrapping

    def new_key(self, place: str) -> tuple[SecretKey, bytes]:
        """A fresh data key and its wrapping, bound to a place.

        Args:
            place: Zone and key of the artifact or note; a wrapping that was moved elsewhere does not open.
        """
        data = SecretKey(os.urandom(KEY_BYTES))
        return data, self.wrap(data, place)

    def wrap(self, data: SecretKey, place: str) -> bytes:
        """A data key wrapped under the master key of today, as JSON."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        wrapping, nonce = self._wrapping(make=True), os.urandom(_NONCE_BYTES)
        wrapped = nonce + AESGCM(wrapping.value).encrypt(nonce, data.value, place.encode())
        said = {"format": _FORMAT, "key_id": wrapping.fingerprint, "wrapped": wrapped.hex()}
        return json.dumps(said, sort_keys=True).encode()

    def unwrap(self, envelope: bytes, place: str) -> SecretKey:
        """The data key of a wrapping.

        Raises:
            ConfigError: there is no master key, or it is another one.
            ServiceUnavailableError: the service that keeps the master key does not answer.
            DamagedArtifactError: the wrapping was changed, or belongs to another place.
        """
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        key_id, wrapped = _read_envelope(envelope, place)
        wrapping = self._wrapping(make=False)
        if wrapping.fingerprint != key_id:
            raise ConfigError(
                f"{place} was encrypted with another master key ({key_id}) than that of today ({wrapping.fingerprint}).",
                remedy="Set the key that it was encrypted with; or, with that key in a file: synth-assets encrypt --old-key FILE.",
            )
        try:
            plain = AESGCM(wrapping.value).decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], place.encode())
        except InvalidTag:
            raise _damaged(place) from None
        return SecretKey(plain)

    def key_id(self) -> str:
        """Fingerprint of the wrapping key of today."""
        return self._wrapping(make=False).fingerprint

    def seal_note(self, data: bytes, place: str) -> bytes:
        """A small value with its wrapping in one."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        key, envelope = self.new_key(place)
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + AESGCM(key.value).encrypt(nonce, data, place.encode())
        return NOTE_MAGIC + envelope + b"\n" + sealed

    def open_note(self, data: bytes, place: str) -> bytes:
        """The value of `seal_note`; a plain one, from before encryption, is returned as it is.

        Raises:
            As `unwrap`.
        """
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if not data.startswith(NOTE_MAGIC):
            return data
        envelope, _, sealed = data.removeprefix(NOTE_MAGIC).partition(b"\n")
        key = self.unwrap(envelope, place)
        try:
            return AESGCM(key.value).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place.encode())
        except InvalidTag:
            raise _damaged(place) from None


def envelope_key_id(envelope: bytes, place: str) -> str:
    """Fingerprint of the key that a wrapping was made with.

    Raises:
        DamagedArtifactError: it is no wrapping.
    """
    return _read_envelope(envelope, place)[0]


def note_envelope(data: bytes) -> bytes | None:
    """The wrapping of a sealed note, or None where it is plain."""
    return data.removeprefix(NOTE_MAGIC).partition(b"\n")[0] if data.startswith(NOTE_MAGIC) else None


def seal_folder(plain: Path, sealed: Path, key: SecretKey) -> None:
    """Seal every file of a folder into another one, under the same relative names.

    Args:
        plain: Folder of plain files.
        sealed: An empty folder.
        key: The artifact's data key.
    """
    names = names_of(plain)
    for name in names:
        seal_file(plain / name, sealed / name, key, name)
    (sealed / NAMES_FILE).write_bytes(sealed_names(names, key))
    (sealed / NAMES_FILE).chmod(0o600)


def seal_file(plain: Path, sealed: Path, key: SecretKey, name: str) -> None:
    """Seal one file under its name within the artifact."""
    atomic.private_folder(sealed.parent)
    with plain.open("rb") as source, sealed.open("xb") as target:
        sealed.chmod(0o600)
        _seal(source, target, key, name)


def sealed_names(names: Sequence[str], key: SecretKey) -> bytes:
    """The content of `NAMES_FILE`, which is written last."""
    made = io.BytesIO()
    _seal(io.BytesIO(json.dumps(sorted(names)).encode()), made, key, NAMES_FILE)
    return made.getvalue()


def is_sealed(file: Path) -> bool:
    """Whether a file is in the form that `seal_file` gives."""
    with file.open("rb") as source:
        return source.read(len(MAGIC)) == MAGIC


def open_folder(sealed: Path, plain: Path, key: SecretKey) -> None:
    """The reverse of `seal_folder`.

    Raises:
        DamagedArtifactError: a file was changed, cut, renamed, added or removed.
    """
    names = [name for name in names_of(sealed) if name not in {KEY_FILE, NAMES_FILE}]
    if not (sealed / NAMES_FILE).is_file():
        raise DamagedArtifactError(
            "the encryption of this artifact was interrupted.", file=str(sealed), remedy="Run: synth-assets encrypt."
        )
    with (sealed / NAMES_FILE).open("rb") as source:
        listed = io.BytesIO()
        _open(source, listed, key, NAMES_FILE)
    if json.loads(listed.getvalue()) != names:
        raise _damaged(sealed.name)
    for name in names:
        atomic.private_folder((plain / name).parent)
        with (sealed / name).open("rb") as source, (plain / name).open("xb") as target:
            (plain / name).chmod(0o600)
            _open(source, target, key, name)


def names_of(folder: Path) -> list[str]:
    """Relative names of all files below a folder, sorted."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def _seal(source: IO[bytes], target: IO[bytes], key: SecretKey, name: str) -> None:
    salt, prefix = os.urandom(_SALT_BYTES), Chunks.fresh_prefix()
    target.write(MAGIC + salt + prefix)
    Chunks(_file_key(key, salt, name), prefix, name.encode()).seal(source, target)


def _open(source: IO[bytes], target: IO[bytes], key: SecretKey, name: str) -> None:
    header = source.read(len(MAGIC) + _SALT_BYTES + PREFIX_BYTES)
    if not header.startswith(MAGIC):
        raise _damaged(name)
    salt, prefix = header[len(MAGIC) : -PREFIX_BYTES], header[-PREFIX_BYTES:]
    Chunks(_file_key(key, salt, name), prefix, name.encode()).open(source, target, lambda _: _damaged(name))


def _file_key(key: SecretKey, salt: bytes, name: str) -> bytes:
    """The key of one file: another one for each salt and name (HKDF-SHA256, RFC 5869)."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=b"file/" + name.encode()).derive(key.value)


def _read_envelope(envelope: bytes, place: str) -> tuple[str, bytes]:
    try:
        said = json.loads(envelope)
        written, key_id, wrapped = said["format"], str(said["key_id"]), bytes.fromhex(said["wrapped"])
    except (ValueError, KeyError, TypeError):
        raise _damaged(place) from None
    if written != _FORMAT:
        raise ConfigError(
            f"{place} was encrypted by a newer version of this package.", remedy="Install that version, or a newer one."
        )
    return key_id, wrapped


def _damaged(place: str) -> DamagedArtifactError:
    return DamagedArtifactError(
        f"{place} is not what was written: its encryption does not hold.",
        remedy="Somebody or something changed it: find out who. Then materialise the asset again, with --fresh.",
    )
