"""Keys: from the environment, a file with mode 0600, AWS Secrets Manager, or made on first use in `var/keys`. Never shown or logged.

One master key per home, and one that signs the audit ledger. Keys for a purpose are derived from the master key with HKDF-SHA256
(RFC 5869), so that no two purposes share one. What does not belong here: asking Amazon (aws_secrets.py), and what keys are for.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from synth_assets.errors import ConfigError, SynthAssetsError
from synth_assets.storage import atomic

KEY_BYTES = 32
KEY_VARIABLE = "SYNTH_ASSETS_MASTER_KEY"
FILE_VARIABLE = "SYNTH_ASSETS_MASTER_KEY_FILE"
SECRET_VARIABLE = "SYNTH_ASSETS_MASTER_KEY_SECRET"  # noqa: S105  the name of a variable
PLACES = (KEY_VARIABLE, FILE_VARIABLE, SECRET_VARIABLE)
SIGNING_PLACES = ("SYNTH_ASSETS_LEDGER_KEY", "SYNTH_ASSETS_LEDGER_KEY_FILE", "SYNTH_ASSETS_LEDGER_KEY_SECRET")
EARLIER_VARIABLE = "SYNTH_ASSETS_LEDGER_KEY_BEFORE"
_MOST_BYTES = 4096
UNREAD = "unread"


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
    """The master key: from the one place that the environment names, else `keys_folder/master.key`, made on first use.

    The places: `SYNTH_ASSETS_MASTER_KEY` (64 hex digits), `SYNTH_ASSETS_MASTER_KEY_FILE` (a file with mode 0600 that holds them),
    `SYNTH_ASSETS_MASTER_KEY_SECRET` (name or ARN of a secret in AWS Secrets Manager). A key that was made here is marked as a
    development key; releases made with it say so.

    Args:
        keys_folder: Folder of key files.
        make: Whether to make one where there is none; False for what needs the key that was used before.

    Raises:
        ConfigError: the key is malformed, others can read its file, there is none, or two places are named.
        ServiceUnavailableError: AWS Secrets Manager does not answer.
    """
    return _read_key(PLACES, keys_folder / "master.key", "master key", make=make)


def key_of_file(path: Path) -> SecretKey:
    """A key in a file of its own, such as the one before a rotation.

    Raises:
        ConfigError: it cannot be opened, others can read it, or it holds no key.
    """
    return SecretKey(_from_file(path.expanduser()))


def signing_key(keys_folder: Path, *, make: bool = True, own: str | None = None) -> SecretKey:
    """The key that signs the audit ledger: from the one place that the environment names, else `keys_folder/ledger.key`.

    It is not derived from the master key, so that who may make pseudonyms cannot sign, and each is rotated by itself. The places are
    those of the master key, with `SYNTH_ASSETS_LEDGER_KEY` in place of `SYNTH_ASSETS_MASTER_KEY`.

    Args:
        keys_folder: Folder of key files.
        make: Whether to make one where there is none.
        own: Name of a file in the folder that is read in any case: a key that is to come.

    Raises:
        As `master_key`.
    """
    if own is not None:
        return SecretKey(_from_file(keys_folder / own))
    return _read_key(SIGNING_PLACES, keys_folder / "ledger.key", "key of the audit ledger", make=make)


def earlier_signing_key() -> SecretKey | None:
    """The key that signed before, where the environment holds it: the signing key is rotated there."""
    value = os.environ.get(EARLIER_VARIABLE)
    return None if value is None else SecretKey(_from_hex(value, EARLIER_VARIABLE))


def _read_key(places: tuple[str, str, str], own: Path, noun: str, *, make: bool) -> SecretKey:
    """A key from the variable that holds it, the file or the secret that a variable names, or its own file."""
    value_variable, file_variable, secret_variable = places
    named = [place for place in places if os.environ.get(place) is not None]
    if len(named) > 1:
        raise ConfigError(
            f"{' and '.join(named)} are set; the {noun} has one place.", remedy="Unset all but one of them."
        )
    if not named:
        return _own_key(own, noun, value_variable, make=make)
    value = os.environ[named[0]]
    if named[0] == value_variable:
        return SecretKey(_from_hex(value, value_variable))
    if named[0] == file_variable:
        return SecretKey(_from_file(Path(value).expanduser()))
    from synth_assets.storage.aws_secrets import read_secret

    return SecretKey(_from_secret(read_secret(value, secret_variable), f"the secret {value!r} ({secret_variable})"))


def key_fingerprint(keys_folder: Path) -> str:
    """Fingerprint of the master key now, for code versions: it changes when the key is rotated, and with it what is stale.

    Where the key cannot be read while definitions are loaded (AWS does not answer), the last one that was seen; the steps that need
    the key say what is wrong.
    """
    seen = keys_folder / "fingerprint"
    try:
        now = master_key(keys_folder).fingerprint
    except SynthAssetsError:
        with contextlib.suppress(OSError):
            return seen.read_text().strip() or UNREAD
        return UNREAD
    with contextlib.suppress(OSError):  # a home that cannot be written is none in which to remember
        if not seen.is_file() or seen.read_text() != now:
            atomic.private_folder(keys_folder)
            atomic.write_text(seen, now)
    return now


def _own_key(path: Path, noun: str, variable: str, *, make: bool) -> SecretKey:
    if not path.exists() and not make:
        raise ConfigError(
            f"there is no {noun}.",
            file=str(path),
            remedy=f"Set {variable}, or name the home folder that has the key with --home.",
        )
    if not path.exists():
        make_key(path)
    return SecretKey(_from_file(path), development=True)


def make_key(path: Path) -> None:
    """Write a fresh key unless somebody else was faster."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    atomic.write_new(path, secrets.token_hex(KEY_BYTES).encode())


def _from_file(path: Path) -> bytes:
    """A key file: 64 hex digits, readable by its owner alone. The mode is that of the open file, so nobody can swap it in between."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise ConfigError(
            f"the key file cannot be opened ({type(error).__name__}).",
            file=str(path),
            remedy="Check its name and owner.",
        ) from None
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            raise ConfigError("this is no key file.", file=str(path), remedy="Name a file with 64 hex digits.")
        if mode & 0o077:
            raise ConfigError("the key file can be read by others.", file=str(path), remedy="Run: chmod 600 on it.")
        text = os.read(handle, _MOST_BYTES)
    finally:
        os.close(handle)
    return _from_hex(text.decode("ascii", errors="replace").strip(), str(path))


def _from_secret(secret: str | bytes, where: str) -> bytes:
    """A secret of a secret manager: 64 hex digits as text or as bytes, or 32 bytes."""
    if isinstance(secret, bytes) and len(secret) == KEY_BYTES:
        return secret
    text = secret if isinstance(secret, str) else secret.decode("ascii", errors="replace")
    return _from_hex(text.strip(), where)


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
