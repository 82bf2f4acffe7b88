"""What a notification says: a fixed sentence per kind, identifiers and numbers. No free text, so no value of the data."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from synth_assets.config.notifications import Kind
from synth_assets.errors import InputError
from synth_assets.storage.hashing import hash_parts

SENTENCES: Mapping[str, str] = {
    "success": "A run has ended well.",
    "failure": "A run has failed.",
    "blocked": "A blocking check has failed; nothing downstream is released.",
    "budget": "A privacy budget is nearly or fully spent.",
    "drift": "The data of a dataset differ from those of its last profile.",
    "stale": "Synthetic tables are older than their data, or older than allowed.",
    "slow": "A run took much longer than runs of its job usually do.",
    "storage": "The storage of this installation is beyond its limit.",
    "ledger": "A ledger is not what was written. Releases should stop until this is explained.",
    "leak": "A leak check has failed, or a search has found values of persons where they must not be.",
    "quarantine": "A file of the inbox was put aside: it is too large, or no table.",
    "reservation": "A dead run held privacy budget; it was settled at its full amount.",
    "digest": "Digest of the last seven days.",
    "summary": "Summary of the last month.",
    "test": "This is a test of a subscription.",
}
_IDENTIFIER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/+=#-]{0,199}")
_FIGURE = re.compile(r"[a-z][a-z0-9_]{0,59}")
Figure = int | float | bool | str


@dataclass(frozen=True)
class Notice:
    """One notification, before it is addressed.

    Args:
        kind: What kind of event.
        key: What makes it this event and no other; the same key is told once per receiver.
        dataset: The dataset; "" where it is about the installation.
        run_id: The run, where there is one.
        figures: Names to numbers or identifiers.

    Raises:
        InputError: something may be more than an identifier or a number.
    """

    kind: Kind
    key: str
    dataset: str = ""
    run_id: str = ""
    figures: Mapping[str, Figure] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise InputError("this is no kind of notification.", key="kind")
        texts = [t for t in (self.dataset, self.run_id) if t] + [v for v in self.figures.values() if isinstance(v, str)]
        numbers = [v for v in self.figures.values() if isinstance(v, float)]
        if (
            not all(map(_IDENTIFIER.fullmatch, texts))
            or not all(map(_FIGURE.fullmatch, self.figures))
            or not all(map(math.isfinite, numbers))
        ):
            raise InputError("a notification holds identifiers and numbers only.", key="figures")

    def identity(self, receiver: str) -> str:
        """Idempotency key: the same event for the same receiver is the same message."""
        return hash_parts(self.kind, self.key, receiver)[:32]

    def record(self) -> dict[str, Any]:
        """As it is kept and posted."""
        told = {"kind": self.kind, "sentence": SENTENCES[self.kind], "dataset": self.dataset, "run_id": self.run_id}
        return {k: v for k, v in told.items() if v} | {"figures": dict(self.figures)}


def body_of(record: Mapping[str, Any], key: str, at: str) -> bytes:
    """The JSON that a webhook receives."""
    return json.dumps({"id": key, "at": at, **record}, sort_keys=True, separators=(",", ":")).encode()


def text_of(record: Mapping[str, Any]) -> tuple[str, str]:
    """Subject and text of an e-mail."""
    about = f" ({record['dataset']})" if "dataset" in record else ""
    lines = [str(record["sentence"]), ""]
    lines += [f"{name}: {record[name]}" for name in ("dataset", "run_id") if name in record]
    lines += [
        f"{name}: {value:g}" if isinstance(value, float) else f"{name}: {value}"
        for name, value in record["figures"].items()
    ]
    return f"synth_assets: {record['kind']}{about}", "\n".join(lines) + "\n"
