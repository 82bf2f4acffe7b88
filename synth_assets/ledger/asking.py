"""For whom this code works: set at the beginning of a step, so that everything that is recorded within it says so.

What belongs here: who asked, from where, in which run. What does not: how a run is asked for (instance_runs.py), and events.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

ACTOR_TAG, CLIENT_TAG = "synth_assets/actor", "synth_assets/client"


@dataclass(frozen=True)
class Asking:
    """Who asked; what is None is not known.

    Args:
        actor: Name in the audit ledger, as `Actors.id_of` gives it.
        client: Address.
        run_id: The run.
    """

    actor: str | None = None
    client: str | None = None
    run_id: str | None = None


ACTOR = re.compile(r"a_[0-9a-f]{16}")
_NOBODY = Asking()
_asking: ContextVar[Asking] = ContextVar("asking", default=_NOBODY)


def begin(run_id: str, tags: Mapping[str, str]) -> None:
    """Work for whoever asked for a run, as long as `for_somebody` lasts.

    Args:
        run_id: The run.
        tags: Of the run; who asked is believed because the coordinator of runs wrote it (instance_runs.py).
    """
    actor, client = tags.get(ACTOR_TAG, ""), tags.get(CLIENT_TAG, "")
    _asking.set(Asking(actor if ACTOR.fullmatch(actor) else None, address(client), run_id))


@contextmanager
def for_somebody() -> Iterator[None]:
    """Afterwards this code works again for whom it worked before."""
    before = _asking.get()
    try:
        yield
    finally:
        _asking.set(before)


def address(text: str) -> str | None:
    """The address of a machine in its usual spelling; None where it is none."""
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        return None


def asking() -> Asking:
    """For whom this code works now."""
    return _asking.get()
