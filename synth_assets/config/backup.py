"""The passphrase of backups: from the environment, or a file that the environment names."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from synth_assets.errors import ConfigError

VARIABLE = "SYNTH_ASSETS_BACKUP_PASSPHRASE"
FILE_VARIABLE = "SYNTH_ASSETS_BACKUP_PASSPHRASE_FILE"


def backup_passphrase() -> str:
    """The passphrase, from the one place that the environment names; never shown or logged.

    Raises:
        ConfigError: none or both are set, or others can read the file.
    """
    named = [name for name in (VARIABLE, FILE_VARIABLE) if os.environ.get(name) is not None]
    if len(named) != 1:
        raise ConfigError(
            f"{' and '.join(named)} are set; the passphrase has one place."
            if named
            else "no passphrase for backups is set.",
            key=VARIABLE,
            remedy=f"Set {VARIABLE}, or name a file with mode 0600 in {FILE_VARIABLE}; keep it apart from the backups.",
        )
    if named == [VARIABLE]:
        return os.environ[VARIABLE]
    return _from_file(Path(os.environ[FILE_VARIABLE]).expanduser())


def _from_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode) or mode & 0o077:
                raise ConfigError(
                    "the file can be read by others, or is none.", file=str(path), remedy="Run: chmod 600 on it."
                )
            return file.read(4096).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the file cannot be read ({type(error).__name__}).", file=str(path), key=FILE_VARIABLE
        ) from None
