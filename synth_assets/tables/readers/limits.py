"""How much a source may cost before it is refused: downloads, expanded archives, columns."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024**2
GIB = 1024**3


@dataclass(frozen=True)
class Limits:
    """Bounds of one read.

    Args:
        download_bytes: Largest object fetched over https:// or s3://.
        expanded_bytes: Largest size of a decompressed file.
        expansion_ratio: Largest ratio of decompressed to compressed size, looked at beyond `free_expansion_bytes`.
        free_expansion_bytes: A decompressed size that is accepted at any ratio.
        columns: Most columns of a table.
        timeout_seconds: For each network wait.
    """

    download_bytes: int = 20 * GIB
    expanded_bytes: int = 50 * GIB
    expansion_ratio: float = 200.0
    free_expansion_bytes: int = 100 * MIB
    columns: int = 10_000
    timeout_seconds: float = 30.0
