"""What the audit ledger tells of: the closed list of actions, and one event.

What belongs here: the form of an event, and the refusal of whatever could be a value of the data, a name or an address of a person.
What does not: writing it (audit.py).
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from synth_assets.errors import InputError
from synth_assets.ledger.asking import address, asking

Detail = bool | int | float | str | None | tuple[str, ...]
MOST_NAMED = 1_000
_IDENTIFIER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/+=#-]{0,299}")
_DETAIL = re.compile(r"[a-z][a-z0-9_]{0,39}")


class Action(StrEnum):
    """What was done. A new kind of event gets a member here."""

    LEDGER_STARTED = "ledger.start"
    MATERIALISED = "materialise"
    CHECKED = "check"
    RELEASED = "release"
    EXPORTED = "export"
    AUDITED = "audit"
    BUDGET_DECLARED = "budget.declare"
    BUDGET_RESERVED = "budget.reserve"
    BUDGET_READ = "budget.read"
    BUDGET_SETTLED = "budget.settle"
    BUDGET_RELEASED = "budget.release"
    BUDGET_TAKEN_OVER = "budget.take_over"
    DETOKENISED = "detokenise"
    KEY_ROTATED = "key.rotate"
    CONFIG_CHANGED = "config.change"
    POLICY_CHANGED = "policy.change"
    UPLOADED = "upload"
    QUARANTINED = "quarantine"
    DELETED = "delete"
    READ = "read"
    ACTOR_FORGOTTEN = "actor.forget"
    BACKED_UP = "backup"
    RESTORED = "restore"
    NOTIFIED = "notify"
    COMMAND = "command"


class Outcome(StrEnum):
    """How it ended."""

    OK = "ok"
    FAILED = "failed"
    DENIED = "denied"


@dataclass(frozen=True)
class AuditEvent:
    """One event, without any value of the data, name or address of a person.

    Args:
        action: What was done.
        resource: To what: `dataset/asset`, `budget/population`, `key/master`. Pass what a person may have named through `identifier`.
        outcome: How it ended.
        dataset: The dataset, where there is one.
        run_id: The run, where there is one; the one that this code works for when None.
        config_hash: Hash of the configuration that was in force.
        details: Numbers, booleans, and identifiers.
        project: The project; that of the installation when None.
        actor: The name of who did it, as `Actors.id_of` gives it; who asked for the run, else the account of this process, when None.
        client: Address of who asked, where a proxy gives it; that of the run when None.
        once: Key of what must be recorded once, however often it is tried; at most 64 characters.

    Raises:
        InputError: a text may be more than an identifier.
    """

    action: Action
    resource: str
    outcome: Outcome = Outcome.OK
    dataset: str | None = None
    run_id: str | None = None
    config_hash: str | None = None
    details: Mapping[str, Detail] = field(default_factory=dict)
    project: str | None = None
    actor: str | None = None
    client: str | None = None
    once: str | None = None

    def __post_init__(self) -> None:
        for name in ("resource", "dataset", "run_id", "config_hash", "project", "actor", "once"):
            given = getattr(self, name)
            if given is not None and not _IDENTIFIER.fullmatch(given):
                raise _refused(name)
        if self.client is not None and address(self.client) is None:
            raise _refused("client")
        if len(self.once or "") > 64:
            raise _refused("once")
        for name, said in self.details.items():
            if not _DETAIL.fullmatch(name) or not _is_harmless(said):
                raise _refused(f"details.{name}" if _DETAIL.fullmatch(name) else "details")

    def record(self, project: str, actor: str) -> dict[str, Any]:
        """As it is written: what is not known is left out."""
        asked = asking()
        said = {
            "action": self.action.value, "resource": self.resource, "outcome": self.outcome.value,
            "actor": self.actor or asked.actor or actor, "project": self.project or project, "dataset": self.dataset,
            "run_id": self.run_id or asked.run_id, "config_hash": self.config_hash, "client": self.client or asked.client,
            "once": self.once, "details": {k: _plain(v) for k, v in self.details.items()} or None,
        }  # fmt: skip
        return {name: value for name, value in said.items() if value is not None}


def identifier(text: str) -> str:
    """A text that a person chose, as an identifier: itself where it is one, else a hash of it."""
    if _IDENTIFIER.fullmatch(text) and "://" not in text:
        return text
    return f"h_{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _refused(name: str) -> InputError:
    return InputError(
        "an event of the audit ledger holds numbers, booleans and identifiers only.",
        key=name,
        remedy="Pass names through `identifier`, and leave values out.",
    )


def _is_harmless(said: object) -> bool:
    if isinstance(said, tuple):
        return len(said) <= MOST_NAMED and all(isinstance(s, str) and _IDENTIFIER.fullmatch(s) for s in said)
    if isinstance(said, str):
        return _IDENTIFIER.fullmatch(said) is not None
    if isinstance(said, float):
        return math.isfinite(said)
    return said is None or isinstance(said, int)


def _plain(said: Detail) -> Any:
    return list(said) if isinstance(said, tuple) else said
