"""The budget ledger of a home folder, the same one that the chain uses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from synth_assets.api.reading import settings_of
from synth_assets.storage.artifacts import Zone

if TYPE_CHECKING:
    from synth_assets.privacy.budget import BudgetLedger


def open_budget(home: Path | None = None) -> BudgetLedger:
    """The budget ledger of a home folder, made on first use.

    Raises:
        ServiceUnavailableError: the database does not answer.
    """
    from synth_assets.ledger.backends import open_ledger_store
    from synth_assets.privacy.budget import BudgetLedger

    return BudgetLedger(open_ledger_store(settings_of(home).ledger_location))


def heads_of_releases(home: Path) -> tuple[str, ...]:
    """Heads of the ledger in the privacy reports of this home's releases: what the ledger must still hold.

    Reports of a release zone on S3 are not looked at; give their heads by hand.
    """
    reports = (settings_of(home).var / Zone.RELEASE).glob("*/*/*/privacy.json")
    told = (json.loads(path.read_text()).get("ledger_head") for path in reports)
    return tuple(sorted({head for head in told if head}))


def has_ledger(home: Path) -> bool:
    """Whether a ledger may exist already; asked before a command that only looks."""
    settings = settings_of(home)
    return settings.postgres_url is not None or (settings.var / "ledger" / "budget.db").is_file()
