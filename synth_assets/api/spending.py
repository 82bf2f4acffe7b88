"""The budget ledger of a home folder, the same one that the chain uses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from synth_assets.api.reading import settings_of
from synth_assets.errors import InputError
from synth_assets.storage.artifacts import Zone

if TYPE_CHECKING:
    from synth_assets.privacy.budget import BudgetLedger
    from synth_assets.privacy.report import PrivacyReport


def open_budget(home: Path | None = None) -> BudgetLedger:
    """The budget ledger of a home folder, made on first use.

    Raises:
        ServiceUnavailableError: the database does not answer.
    """
    from synth_assets.ledger.backends import open_ledger_store
    from synth_assets.privacy.budget import BudgetLedger

    return BudgetLedger(open_ledger_store(settings_of(home).ledger_location))


def reports_of_releases(home: Path) -> dict[str, PrivacyReport]:
    """The privacy reports of this home's releases, by `dataset/asset/content hash`. A release zone on S3 is not looked at.

    Raises:
        InputError: a report cannot be read.
    """
    from pydantic import ValidationError

    from synth_assets.privacy.report import PrivacyReport

    zone, found = settings_of(home).var / Zone.RELEASE, {}
    for path in sorted(zone.glob("*/*/*/privacy.json")):
        dataset, asset, content = path.relative_to(zone).parts[:3]
        try:
            found[f"{dataset}/{asset}/{content[:12]}"] = PrivacyReport.model_validate_json(path.read_text())
        except ValidationError:
            raise InputError(
                "a privacy report is not what a release has written.", file=str(path),
                remedy="Find out who changed it, and bring it back from a backup.",
            ) from None  # fmt: skip
    return found


def has_ledger(home: Path) -> bool:
    """Whether a ledger may exist already; asked before a command that only looks."""
    settings = settings_of(home)
    return settings.postgres_url is not None or (settings.var / "ledger" / "budget.db").is_file()
