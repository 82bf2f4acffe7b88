"""Engines of one process: the stores that name one database share one, so its statements are compiled once.

What belongs here: how long an engine and its connections live. What does not: what an engine is (sqlite.py, backends.py).
Connections are closed when the last store is gone; the engine is kept for the next one.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Engine

KEPT = 8
Key = tuple[object, ...]


@dataclass
class _Shared:
    engine: Engine
    users: int = 0


class Engines:
    """Engines, lent to stores."""

    def __init__(self) -> None:
        self._shared: OrderedDict[Key, _Shared] = OrderedDict()
        self._renew()
        os.register_at_fork(after_in_child=self._renew)  # another thread may have held the lock, and is not there

    def _renew(self) -> None:
        self._lock = threading.RLock()  # a store may be collected while this thread holds it

    def lend(self, store: object, key: Key, make: Callable[[], Engine]) -> Engine:
        """The engine of a database, as long as a store lives.

        Args:
            store: Who borrows.
            key: What tells engines apart.
            make: Makes one.
        """
        own = (os.getpid(), *key)
        with self._lock:
            found = self._shared.get(own) or _Shared(make())
            self._shared[own] = found
            self._shared.move_to_end(own)
            found.users += 1
            self._forget_idle()
        weakref.finalize(store, self._give_back, own)
        return found.engine

    def _give_back(self, own: Key) -> None:
        if (
            own[0] != os.getpid()
        ):  # after a fork: connections are of the process that opened them, and stay untouched here
            return
        with self._lock:
            found = self._shared[own]
            found.users -= 1
            if not found.users:
                found.engine.dispose()

    def _forget_idle(self) -> None:
        idle = [key for key, one in self._shared.items() if not one.users and key[0] == os.getpid()]
        for key in idle[: max(0, len(idle) - KEPT)]:
            del self._shared[key]


ENGINES = Engines()
