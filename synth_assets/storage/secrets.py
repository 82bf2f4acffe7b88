"""Keys: from the environment, a file with mode 0600, or made on first use in `var/keys`. Never shown, logged or configured.

One master key per home. Keys for a purpose are derived with HKDF-SHA256 (RFC 5869), so that no two purposes share one.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from synth_assets.errors import ConfigError
from synth_assets.storage import atomic

KEY_BYTES = 32
ENVIRONMENT_VARIABLE = "SYNTH_ASSETS_MASTER_KEY"


@dataclass(frozen=True)
class SecretKey:
    """A 256-bit secret whose text never appears in a repr."""

    value: bytes = field(repr=False)
    development: bool = False

    def __post_init__(self) -> None:
        if len(self.value) != KEY_BYTES:
            raise ConfigError(f"a key must have {KEY_BYTES} bytes, this one has {len(self.value)}.")

    def derive(self, purpose: str) -> SecretKey:
        """An independent key for one purpose (HKDF-SHA256, RFC 5869, info = purpose)."""
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        derived = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=purpose.encode()).derive(self.value)
        return SecretKey(derived, self.development)

    @property
    def fingerprint(self) -> str:
        """Eight hex digits that tell two keys apart and say nothing about them; for data versions (rotation makes assets stale)."""
        return self.derive("fingerprint").value.hex()[:8]


def master_key(keys_folder: Path, *, make: bool = True) -> SecretKey:
    """The master key: `SYNTH_ASSETS_MASTER_KEY` (64 hex digits), else `keys_folder/master.key`, made on first use.

    A key that was made here is marked as a development key; releases made with it say so.

    Args:
        keys_folder: Folder of key files.
        make: Whether to make one where there is none; False for what needs the key that was used before.

    Raises:
        ConfigError: the value is not 64 hex digits, the file can be read by others, or there is no key.
    """
    text = os.environ.get(ENVIRONMENT_VARIABLE)
    if text is not None:
        return SecretKey(_from_hex(text, ENVIRONMENT_VARIABLE))
    path = keys_folder / "master.key"
    if not path.exists() and not make:
        raise ConfigError(
            "there is no master key.",
            file=str(path),
            remedy=f"Set {ENVIRONMENT_VARIABLE}, or name the home folder that has the key with --home.",
        )
    if not path.exists():
        _make_key(path)
    if path.stat().st_mode & 0o077:
        raise ConfigError("the key file can be read by others.", file=str(path), remedy="Run: chmod 600 on it.")
    return SecretKey(_from_hex(path.read_text().strip(), str(path)), development=True)


def _make_key(path: Path) -> None:
    """Write a fresh key unless somebody else was faster (the file is linked into place, so exactly one wins)."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with atomic.staging_folder(path.parent) as folder:
        fresh = folder / "key"
        atomic.write_text(fresh, secrets.token_hex(KEY_BYTES), mode=0o600)
        try:
            os.link(fresh, path)
        except FileExistsError:
            return
    atomic.fsync_folder(path.parent)


def _from_hex(text: str, where: str) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != KEY_BYTES:
        raise ConfigError(
            f"{where} does not hold a key of {2 * KEY_BYTES} hex digits.", remedy="Make one: openssl rand -hex 32"
        )
    return value
