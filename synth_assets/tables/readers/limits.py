"""How much a source may cost before it is refused (downloads, expanded archives, columns), and which private hosts it may be on."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from synth_assets.errors import ConfigError
from synth_assets.tables.readers.addresses import ALLOWED_VARIABLE

MIB = 1024**2
GIB = 1024**3
DOWNLOAD_VARIABLE = "SYNTH_ASSETS_DOWNLOAD_LIMIT"
_EXPANSION = 2.5  # of the limit on downloads
_SIZE = re.compile(r"([0-9]{1,6}) ?(MB|GB)")


@dataclass(frozen=True)
class Limits:
    """Bounds of one read.

    Args:
        download_bytes: Largest object fetched from an address.
        expanded_bytes: Largest size of a decompressed file.
        expansion_ratio: Largest ratio of decompressed to compressed size, looked at beyond `free_expansion_bytes`.
        free_expansion_bytes: A decompressed size that is accepted at any ratio.
        columns: Most columns of a table.
        timeout_seconds: For each network wait.
        private_hosts: Host names and networks (10.0.0.0/8) of this machine or a private network that addresses may lead to.
    """

    download_bytes: int = 20 * GIB
    expanded_bytes: int = 50 * GIB
    expansion_ratio: float = 200.0
    free_expansion_bytes: int = 100 * MIB
    columns: int = 10_000
    timeout_seconds: float = 30.0
    private_hosts: frozenset[str] = frozenset()

    @classmethod
    def from_environment(cls) -> Limits:
        """The limits of this installation.

        Raises:
            ConfigError: a variable is malformed; the message names it.
        """
        hosts = os.environ.get(ALLOWED_VARIABLE, "").replace(",", " ").lower().split()
        told = os.environ.get(DOWNLOAD_VARIABLE)
        if told is None:
            return cls(private_hosts=frozenset(hosts))
        size = _SIZE.fullmatch(told.strip().upper())
        if size is None or not int(size[1]):
            raise ConfigError(f"the environment variable {DOWNLOAD_VARIABLE} is no size such as 500MB or 20GB.")
        largest = int(size[1]) * (MIB if size[2] == "MB" else GIB)
        return cls(download_bytes=largest, expanded_bytes=int(_EXPANSION * largest), private_hosts=frozenset(hosts))
