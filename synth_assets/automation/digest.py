"""Figures of the digest and the summary: runs by how they ended, budgets, messages. Counts and shares only."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import dagster as dg

from synth_assets.config.runtime import Settings


def figures_of(instance: dg.DagsterInstance, settings: Settings, *, now: float, days: int) -> dict[str, int | float]:
    """What happened in the last days.

    Args:
        instance: Dagster's history.
        settings: The home.
        now: Seconds since the epoch.
        days: How far to look back.
    """
    from synth_assets.ledger.place import open_store_of
    from synth_assets.privacy.budget_view import BudgetView

    since = datetime.fromtimestamp(now, UTC) - timedelta(days=days)
    ended = Counter(
        r.dagster_run.status for r in instance.get_run_records(dg.RunsFilter(updated_after=since), limit=10_000)
    )
    view = BudgetView(open_store_of(settings))
    found = [view.status(p) for p in view.populations()]
    shares = [(s.spent + s.reserved) / s.epsilon for s in found]
    return {
        "runs_succeeded": ended[dg.DagsterRunStatus.SUCCESS],
        "runs_failed": ended[dg.DagsterRunStatus.FAILURE],
        "populations": len(found),
        "largest_share_of_a_budget": round(max(shares, default=0.0), 3),
        "releases": sum(r.state == "settled" and r.reserved_at >= since.isoformat() for s in found for r in s.releases),
    }
