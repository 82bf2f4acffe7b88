"""Files that only the holder of one X25519 key can open: what lies between a client and the service says nothing to anybody else.

A file is sealed for a recipient with an ephemeral key (X25519, HKDF-SHA256); its chunks (chunks.py) are bound to what it is for.
What does not belong here: where the files lie.

Source: RFC 7748 (X25519), RFC 5869 (HKDF).
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass, field
from pathlib import Path

from synth_assets.errors import InputError
from synth_assets.storage import atomic
from synth_assets.storage.chunks import KEY_BYTES, PREFIX_BYTES, Chunks

MAGIC = b"synthSE1"


@dataclass(frozen=True)
class PrivateKey:
    """An X25519 private key: 32 bytes that never appear in a repr."""

    value: bytes = field(repr=False)

    @classmethod
    def fresh(cls) -> PrivateKey:
        """A new one, from the operating system."""
        return cls(os.urandom(KEY_BYTES))

    @property
    def public(self) -> str:
        """Its public key, 43 signs of URL-safe base64."""
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        return _text(X25519PrivateKey.from_private_bytes(self.value).public_key().public_bytes_raw())


def seal(source: Path, target: Path, recipient: str, place: str) -> None:
    """Write `source` sealed for a recipient; atomic.

    Args:
        source: Any file.
        target: Where the sealed one goes.
        recipient: The public key that opens it.
        place: What it is for; opening it for anything else fails.

    Raises:
        InputError: the recipient is no public key.
    """
    ephemeral, prefix = PrivateKey.fresh(), Chunks.fresh_prefix()
    key = _shared(ephemeral, recipient, bytes_of(ephemeral.public) + bytes_of(recipient))
    with source.open("rb") as opened, atomic.replacing(target) as temporary, temporary.open("wb") as out:
        out.write(MAGIC + bytes_of(ephemeral.public) + prefix)
        Chunks(key, prefix, place.encode()).seal(opened, out)


def unseal(source: Path, target: Path, key: PrivateKey, place: str) -> None:
    """Write the content of a sealed file; nothing is left where any of it is not what was sealed.

    Args:
        source: A sealed file.
        target: Where its content goes, mode 0600.
        key: The recipient's private key.
        place: What it was sealed for.

    Raises:
        InputError: it was sealed for another key or place, or was changed or cut off.
    """

    def broken(_: int) -> InputError:
        return InputError(
            "the sealed file cannot be opened: it was sealed for another key or request, or it was changed.",
            file=place,
            remedy="Send it again, sealed for the service's present key.",
        )

    with source.open("rb") as opened, atomic.replacing(target) as temporary, temporary.open("wb") as out:
        header = opened.read(len(MAGIC) + KEY_BYTES + PREFIX_BYTES)
        if len(header) < len(MAGIC) + KEY_BYTES + PREFIX_BYTES or not header.startswith(MAGIC):
            raise InputError("this is no sealed file.", file=place)
        sender, prefix = header[len(MAGIC) : -PREFIX_BYTES], header[-PREFIX_BYTES:]
        Chunks(_shared(key, _text(sender), sender + bytes_of(key.public)), prefix, place.encode()).open(
            opened, out, broken
        )


def bytes_of(public: str) -> bytes:
    """The 32 bytes of a public key.

    Raises:
        InputError: it is none.
    """
    try:
        found = base64.urlsafe_b64decode(public + "=")
    except ValueError:
        found = b""
    if len(found) != KEY_BYTES:
        raise InputError("this is no public key of the service or of a client.", remedy="It has 43 signs.")
    return found


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def _shared(key: PrivateKey, other: str, salt: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    try:
        shared = X25519PrivateKey.from_private_bytes(key.value).exchange(
            X25519PublicKey.from_public_bytes(bytes_of(other))
        )
    except ValueError:  # a point of low order
        raise InputError("this is no public key of the service or of a client.") from None
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=MAGIC).derive(shared)
