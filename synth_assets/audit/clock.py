"""Wall seconds per part of an audit, for the `seconds` of its result."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Adds up the wall time of named parts, such as "privacy.membership_inference"; a part may run several times."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    @contextmanager
    def step(self, part: str) -> Iterator[None]:
        """Time what runs inside; a part that fails counts too."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[part] = self._seconds.get(part, 0.0) + time.perf_counter() - began

    @property
    def seconds(self) -> dict[str, float]:
        """Part to seconds, in the order in which the parts first ended."""
        return dict(self._seconds)
