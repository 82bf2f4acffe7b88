"""The budget ledger of a home folder, the same one that the chain uses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from synth_assets.api.reading import settings_of
from synth_assets.storage.artifacts import Zone

if TYPE_CHECKING:
    from synth_assets.privacy.budget import BudgetLedger
    from synth_assets.privacy.report import PrivacyReport


def open_budget(home: Path | None = None) -> BudgetLedger:
    """The budget ledger of a home folder, made on first use.

    Raises:
        ServiceUnavailableError: the database does not answer.
    """
    from synth_assets.privacy.opening import open_budget_ledger

    return open_budget_ledger(settings_of(home))


@dataclass(frozen=True)
class ReleaseReports:
    """The privacy reports of a home's releases.

    Attributes:
        reports: By `dataset/asset/content hash`.
        unreadable: Those that are not what a release has written.
        heads: Heads of the ledger that any of them names: what the ledger must still hold.
    """

    reports: dict[str, PrivacyReport]
    unreadable: tuple[str, ...]
    heads: tuple[str, ...]


def reports_of_releases(home: Path) -> ReleaseReports:
    """The privacy reports of this home's releases. A release zone on S3 is not looked at: give its heads by hand."""
    from pydantic import ValidationError

    from synth_assets.privacy.report import PrivacyReport

    zone = settings_of(home).var / Zone.RELEASE
    found: dict[str, PrivacyReport] = {}
    unreadable, heads = [], set()
    for path in sorted(zone.glob("*/*/*/privacy.json")):
        dataset, asset, content = path.relative_to(zone).parts[:3]
        name, text = f"{dataset}/{asset}/{content[:12]}", path.read_text(errors="replace")
        heads |= set(re.findall(r'"ledger_head": *"([0-9a-f]{64})"', text))
        try:
            found[name] = PrivacyReport.model_validate_json(text)
        except ValidationError:
            unreadable.append(name)
    return ReleaseReports(found, tuple(unreadable), tuple(sorted(heads)))


def has_ledger(home: Path) -> bool:
    """Whether a ledger may exist already; asked before a command that only looks.

    Raises:
        ConfigError: it is in PostgreSQL, and this process was not told.
    """
    from synth_assets.ledger.place import refuse_elsewhere

    settings = settings_of(home)
    refuse_elsewhere(settings)
    return settings.postgres_url is not None or (settings.var / "ledger" / "budget.db").is_file()
