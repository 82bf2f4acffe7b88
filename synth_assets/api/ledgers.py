"""The audit ledger for people: entries by actor, action, resource, date and so on; as CSV, or whole as JSON for `verify.py`."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from synth_assets.errors import InputError
from synth_assets.ledger import heads
from synth_assets.ledger.audit import Action, AuditEvent, AuditLedger, Outcome
from synth_assets.ledger.chain import Stored
from synth_assets.storage import atomic

COLUMNS = (
    "position", "at", "actor", "action", "resource", "outcome", "project", "dataset", "run_id", "client", "config_hash", "details",
    "record", "previous", "hash",
)  # fmt: skip
FORMATS = (".csv", ".json")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d(T\d\d(:\d\d(:\d\d)?)?)?")


@dataclass(frozen=True)
class Filter:
    """Which entries; what is None filters nothing.

    Attributes:
        actor: A name of the ledger.
        action: An action, or the part of one before its point.
        resource: A resource, or what stands before a slash in it.
        outcome: ok, failed or denied.
        project: A project.
        dataset: A dataset.
        since: First moment, ISO 8601 in UTC, such as 2026-11-22.
        until: Moment before which an entry was written; a day stands for its end.
    """

    actor: str | None = None
    action: str | None = None
    resource: str | None = None
    outcome: str | None = None
    project: str | None = None
    dataset: str | None = None
    since: str | None = None
    until: str | None = None

    def __post_init__(self) -> None:
        actions = sorted({*Action, *(a.partition(".")[0] for a in Action)})
        for name, known in (("action", actions), ("outcome", list(Outcome))):
            if getattr(self, name) is not None and getattr(self, name) not in known:
                raise InputError(
                    f"this {name} is in no entry of any ledger.", key=f"--{name}", remedy=f"Known: {', '.join(known)}."
                )
        for name in ("since", "until"):
            if getattr(self, name) is not None and not _MOMENT.fullmatch(getattr(self, name)):
                raise InputError(
                    "this is no day or moment.", key=f"--{name}", remedy="Write 2026-11-22, or 2026-11-22T08:30."
                )

    @property
    def asks(self) -> bool:
        """Whether it leaves anything out."""
        return any(getattr(self, f.name) is not None for f in fields(self))

    def takes(self, row: Stored, said: Mapping[str, Any]) -> bool:
        """Whether an entry is meant."""
        exact = all(
            getattr(self, name) in {None, said.get(name)} for name in ("actor", "outcome", "project", "dataset")
        )
        within = (self.since is None or row.at >= self.since) and (
            self.until is None or row.at[: len(self.until)] <= self.until
        )
        return (
            exact
            and within
            and _is_below(said.get("action"), self.action, ".")
            and _is_below(said.get("resource"), self.resource, "/")
        )


def _is_below(said: object, asked: str | None, sign: str) -> bool:
    return asked is None or said == asked or str(said).startswith(f"{asked}{sign}")


def entries(ledger: AuditLedger, asked: Filter, *, newest_first: bool = False) -> Iterator[dict[str, Any]]:
    """Entries as flat records with the fields of `COLUMNS`; what cannot be read any more is left to the check."""
    with ledger.store.reading() as connection:
        for row in ledger.chain.rows(connection, newest_first=newest_first):
            if not row.is_intact(ledger.chain.name):
                continue
            said = json.loads(row.record)
            if asked.takes(row, said):
                yield {**dict.fromkeys(COLUMNS), **said, **asdict(row)}


def export(ledger: AuditLedger, asked: Filter, out: Path) -> int:
    """Write entries to a file; that this was done is recorded behind them.

    Args:
        ledger: The ledger.
        asked: Which entries. JSON without a filter is the whole ledger with its heads, for `verify.py`.
        out: `.csv` or `.json`.

    Returns:
        How many entries were written.

    Raises:
        InputError: the suffix is another one.
    """
    if out.suffix not in FORMATS:
        raise InputError(
            "a ledger is written as .csv or .json.", file=str(out), key="--out", remedy="Name such a file."
        )
    with atomic.replacing(out) as temporary, temporary.open("w", encoding="utf-8", newline="") as handle:
        count = _write_csv(ledger, asked, handle) if out.suffix == ".csv" else _write_json(ledger, asked, handle)
    ledger.record(AuditEvent(Action.EXPORTED, "ledger", details={"entries": count, "filtered": asked.asks}))
    return count


def _write_csv(ledger: AuditLedger, asked: Filter, handle: io.TextIOBase) -> int:
    writer, count = csv.DictWriter(handle, COLUMNS), 0
    writer.writeheader()
    for count, entry in enumerate(entries(ledger, asked), start=1):  # noqa: B007  the last number is the answer
        details = entry["details"]
        writer.writerow({**entry, "details": "" if details is None else json.dumps(details, sort_keys=True)})
    return count


def _write_json(ledger: AuditLedger, asked: Filter, handle: io.TextIOBase) -> int:
    """One entry a line. Without a filter every row is written as it is, also one that somebody changed."""
    with ledger.store.reading() as connection:
        current = heads.current(connection, ledger.chain)
        kept = [{"slot": slot, **asdict(head)} for slot, head in heads.kept(connection, ledger.chain)]
        told = kept if current is None else [{"slot": heads.CURRENT, **asdict(current)}, *kept]
        start = {"ledger": ledger.chain.name, "filtered": asked.asks, "heads": told}
        handle.write(json.dumps(start)[:-1] + ', "entries": [')
        count = 0
        for row in ledger.chain.rows(connection):
            if asked.asks and not (row.is_intact(ledger.chain.name) and asked.takes(row, json.loads(row.record))):
                continue
            handle.write((",\n" if count else "\n") + json.dumps(asdict(row), default=str))
            count += 1
        handle.write("\n]}\n")
    return count


def forget(ledger: AuditLedger, actor: str) -> bool:
    """Delete who is behind a name, and the reasons that the person gave; recorded. Whether there was something to delete."""
    if not ledger.actors.forget(actor):
        return False
    ledger.record(AuditEvent(Action.ACTOR_FORGOTTEN, f"actor/{actor}"))
    return True
