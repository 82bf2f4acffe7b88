"""Ed25519 signatures (RFC 8032) under the heads of the audit ledger.

What belongs here: signing and checking a signature. What does not: where the key is kept (storage/secrets.py, opening.py) and what a
signature says (heads.py).
"""

from __future__ import annotations

import hashlib
import re
from functools import cached_property
from typing import TYPE_CHECKING

from synth_assets.ledger.verify import SIGNATURE
from synth_assets.storage.secrets import SecretKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ID_DIGITS = 16


class Signer:
    """One signing key.

    Args:
        key: The seed of an Ed25519 key; never shown.
    """

    def __init__(self, key: SecretKey) -> None:
        self._key = key

    @cached_property
    def _private(self) -> Ed25519PrivateKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Ed25519PrivateKey.from_private_bytes(self._key.value)

    @cached_property
    def public(self) -> str:
        """The public key as 64 hex digits."""
        return self._private.public_key().public_bytes_raw().hex()

    @property
    def key_id(self) -> str:
        """The name of the key."""
        return key_id(self.public)

    def sign(self, message: bytes) -> str:
        """The signature as 128 hex digits."""
        return self._private.sign(message).hex()


def key_id(public: str) -> str:
    """The name of a public key: the first hex digits of its SHA-256."""
    return hashlib.sha256(bytes.fromhex(public)).hexdigest()[:ID_DIGITS]


def is_signed(public: str, message: bytes, signature: str) -> bool:
    """Whether a signature (lower-case hex digits) under a message is of the holder of a public key (hex digits)."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if not re.fullmatch(SIGNATURE, signature):  # one spelling only: any other byte is a changed one
        return False
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True
