"""Seeds: one root seed per dataset, one child per purpose. DP noise and keys never come from here."""

from __future__ import annotations

import hashlib


def child_seed(root: int, *names: str) -> int:
    """Derive an independent seed for one purpose.

    Args:
        root: The dataset's seed.
        names: What the seed is for, such as ("synthetic", "dp_marginals", "patients").

    Returns:
        An integer in [0, 2**63), the same on every machine.
    """
    text = "\x1f".join((str(root), *names)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1
