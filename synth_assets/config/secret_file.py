"""A secret in a file that a variable of the environment names, such as a passphrase or a token. Keys are read by storage/secrets.py."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from synth_assets.errors import ConfigError

_MOST_BYTES = 4096


def read_secret_file(path: Path, variable: str) -> str:
    """The text of a file that its owner alone can read, without the blanks around it; never shown or logged.

    Args:
        path: The file.
        variable: What names it, for messages.

    Raises:
        ConfigError: others can read it, it is no file, or it cannot be read.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode) or mode & 0o077:
                raise ConfigError(
                    "the file can be read by others, or is none.", file=str(path), remedy="Run: chmod 600 on it."
                )
            return file.read(_MOST_BYTES).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the file cannot be read ({type(error).__name__}).", file=str(path), key=variable) from None
