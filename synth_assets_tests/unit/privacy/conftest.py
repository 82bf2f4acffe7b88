"""A ledger on both databases."""

from __future__ import annotations

from pathlib import Path

import pytest

from synth_assets.ledger.backends import open_ledger_store
from synth_assets.privacy.budget import BudgetLedger


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger' / 'budget.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def ledger(location: str) -> BudgetLedger:
    return BudgetLedger(open_ledger_store(location))
