"""Messages on their way, one small file each, until they are delivered; what was told stays known, so that nothing is told twice."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from synth_assets.storage import atomic

State = Literal["pending", "sent", "failed", "cleared"]
FIRST_WAIT, LONGEST_WAIT, MOST_ATTEMPTS = 30.0, 6 * 3600.0, 10
KEPT_SECONDS = 90 * 86400.0


@dataclass(frozen=True)
class Message:
    """One notification for one receiver.

    Attributes:
        key: Idempotency key and name of its file.
        receiver: Name in the configuration.
        record: What it says.
        at: When it was posted, seconds since the epoch.
        state: Where it is.
        attempts: How often delivery was tried.
        due: When to try next, seconds since the epoch.
        fault: Our own words on the last failure.
        shown: Whether a person was shown that it was given up.
    """

    key: str
    receiver: str
    record: dict[str, Any]
    at: float
    state: State = "pending"
    attempts: int = 0
    due: float = 0.0
    fault: str = ""
    shown: bool = False


class Outbox:
    """The messages of a home.

    Args:
        folder: Where the files are; for the owner alone.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, message: Message) -> bool:
        """Keep a message to be delivered; False where the same was posted before."""
        path = self._path(message.key)
        if path.exists():
            return False
        self.keep(message)
        return True

    def keep(self, message: Message) -> None:
        """Write a message as it is now."""
        atomic.private_folder(self.folder)
        atomic.write_text(self._path(message.key), json.dumps(asdict(message), sort_keys=True))

    def messages(self) -> list[Message]:
        """All messages, the oldest first."""
        found = (
            [Message(**json.loads(p.read_text())) for p in self.folder.glob("*.json")] if self.folder.is_dir() else []
        )
        return sorted(found, key=lambda m: (m.at, m.key))

    def forget(self, now: float) -> None:
        """Drop what was delivered, given up or cleared long ago."""
        for message in self.messages():
            if message.state != "pending" and now - message.at > KEPT_SECONDS:
                self._path(message.key).unlink(missing_ok=True)

    @contextmanager
    def delivering(self) -> Iterator[bool]:
        """Whether this process is the one that delivers now; another one would send the same."""
        atomic.private_folder(self.folder)
        with open(self.folder / ".lock", "w", opener=_for_the_owner) as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"


def wait_after(attempts: int) -> float:
    """Seconds until the next attempt: half a minute, then four times as long each time, at most six hours."""
    return float(min(FIRST_WAIT * 4 ** (attempts - 1), LONGEST_WAIT))


def _for_the_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
