"""The passphrase of backups: from the environment, or a file that the environment names."""

from __future__ import annotations

import os
from pathlib import Path

from synth_assets.config.secret_file import read_secret_file
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
    return read_secret_file(Path(os.environ[FILE_VARIABLE]).expanduser(), FILE_VARIABLE)
