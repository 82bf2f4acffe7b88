"""When a file is complete: two looks find the same size and time of change, at least some seconds apart; or its marker lies beside it.

Pure: what was seen goes in and comes out. Names are kept as keyed digests, since what a sensor remembers lies in Dagster's database.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from synth_assets.storage.secrets import SecretKey
from synth_assets.uploads.inbox import MARKER, Entry, unfinished

EMPTY_SECONDS = 60.0  # a program may make a file first and write it later
FORMAT = 1


@dataclass(frozen=True)
class Seen:
    """What is remembered of one file: as it was at the first look that found it so, and the upload that it became."""

    size: int
    stamp: str
    since: float
    upload: str = ""


@dataclass
class Looks:
    """What is remembered of all files, by digest of their names."""

    files: dict[str, Seen] = field(default_factory=dict)

    @classmethod
    def of_cursor(cls, cursor: str | None) -> Looks:
        """Read a cursor; one of another format is as good as none, since files are then looked at anew."""
        record = json.loads(cursor) if cursor else {}
        if record.get("format") != FORMAT:
            return cls()
        return cls({name: Seen(*values) for name, values in record["files"].items()})

    def cursor(self) -> str:
        """As the sensor keeps it."""
        files = {n: [s.size, s.stamp, s.since, s.upload] for n, s in sorted(self.files.items())}
        return json.dumps({"format": FORMAT, "files": files}, separators=(",", ":"))


def name_digest(key: SecretKey) -> Callable[[str], str]:
    """A keyed digest of file names: nobody without the master key can try names against it."""
    secret = key.derive("uploads/names").value

    def digest(name: str) -> str:
        return hmac.digest(secret, name.encode("utf-8", "surrogateescape"), hashlib.sha256).hex()[:16]

    return digest


def look(
    entries: Sequence[Entry],
    before: Mapping[str, Seen],
    *,
    now: float,
    settle: float,
    marker_required: bool,
    digest: Callable[[str], str],
) -> tuple[list[Entry], dict[str, Seen]]:
    """One look at the inbox.

    Args:
        entries: What lies there, markers included.
        before: What the look before has left.
        now: Seconds since the epoch.
        settle: How long a file must not change, in seconds; an empty one a minute.
        marker_required: Whether only files with a marker are complete.
        digest: Of a name.

    Returns:
        The complete files, and what to remember for the next look (files that are gone are forgotten).
    """
    marked = {e.name.removesuffix(MARKER) for e in entries if e.name.endswith(MARKER)}
    complete: list[Entry] = []
    after: dict[str, Seen] = {}
    for entry in entries:
        if unfinished(entry.name):
            continue
        seen = _seen(entry, before.get(digest(entry.name)), now)
        after[digest(entry.name)] = seen
        wait = settle if entry.size else max(settle, EMPTY_SECONDS)
        settled = digest(entry.name) in before and seen.since < now and now - seen.since >= wait
        if entry.name in marked or (settled and not marker_required):
            complete.append(entry)
    return complete, after


def _seen(entry: Entry, old: Seen | None, now: float) -> Seen:
    if old is None or (old.size, old.stamp) != (entry.size, entry.stamp):
        return Seen(entry.size, entry.stamp, now)
    return old if old.since <= now else replace(old, since=now)  # the clock was set back
