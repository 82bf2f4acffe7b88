"""The releases of a ledger again, from their recorded events: what both accountants say today, and what the reports claim.

What belongs here: comparing. What does not: whether the log is whole (budget_rows.py), the accountants, and finding reports on disk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from sqlalchemy import Connection

from synth_assets.errors import CheckFailedError, InputError
from synth_assets.privacy import budget_rows as rows
from synth_assets.privacy.accounting import compose, covers, spent
from synth_assets.privacy.crosscheck import verify
from synth_assets.privacy.records import CrossCheck, Event, ReleaseVerdict, Spent
from synth_assets.privacy.report import PrivacyReport

SAME = 1e-6  # relative: both numbers are of one accountant


def audited(connection: Connection, reports: Mapping[str, PrivacyReport]) -> tuple[ReleaseVerdict, ...]:
    """Every counted release of every population, and every report, judged.

    Args:
        connection: Of a transaction that reads.
        reports: Name of a release, such as the place of its report, to the report.
    """
    found: list[ReleaseVerdict] = []
    left = dict(reports)
    for population in rows.populations(connection):
        declared = rows.last_declaration(connection, population)
        delta = declared.delta if declared is not None else 1e-5
        for held in rows.reservations(connection, population):
            events = rows.counted_events(held)
            if not events:
                continue
            names = [n for n, r in left.items() if r.reservation_id == held.reservation_id]
            names = names or [n for n, r in left.items() if r.reservation_id is None and _paid_by(held, r)][:1]
            found += [_judged(held, events, delta, name, left.pop(name)) for name in names] or [
                _judged(held, events, delta, None, None)
            ]
    return (*found, *(_unpaid(name, report) for name, report in left.items()))


def _paid_by(held: rows.Held, report: PrivacyReport) -> bool:
    """Whether a release of the ledger may be the one of an older report, which names no reservation: by what it cost."""
    if report.population != held.population or held.outcome != "done":
        return False
    try:
        return _close(_cost(rows.counted_events(held), report.spent.delta).epsilon, report.spent.epsilon)
    except InputError:
        return False


def _judged(
    held: rows.Held, events: Sequence[Event], delta: float, name: str | None, report: PrivacyReport | None
) -> ReleaseVerdict:
    """One release: the cost of its events today, the second accountant, and its claim."""
    at = delta if report is None else report.spent.delta
    common = {
        "release": name or held.label, "population": held.population, "reservation_id": held.reservation_id,
        "state": held.outcome or held.state, "at": held.changed_at, "delta": at,
        "claimed": None if report is None else report.spent.epsilon,
    }  # fmt: skip
    try:
        cost = _cost(events, at)
        check = _second(compose(events), cost)
    except (CheckFailedError, InputError) as error:
        return ReleaseVerdict(**common, agrees=False, reason=error.message)
    reason = None if report is None else _contradiction(events, cost, report)
    return ReleaseVerdict(
        **common, epsilon=cost.epsilon, second_lower=check.epsilon_lower, second_upper=check.epsilon_upper,
        accountant=check.accountant, agrees=reason is None, reason=reason,
    )  # fmt: skip


def _contradiction(events: Sequence[Event], cost: Spent, report: PrivacyReport) -> str | None:
    """What a report says that the ledger does not bear out."""
    if not _close(cost.epsilon, report.spent.epsilon):
        return f"the report claims epsilon {report.spent.epsilon:.6g}, the events in the ledger cost {cost.epsilon:.6g}"
    if not covers(events, report.events, report.spent.delta):
        return "the report names mechanisms that were not reserved"
    if not _close(report.crosscheck.epsilon_claimed, report.spent.epsilon):
        return "the second accountant was asked about another epsilon than the report claims"
    return None


def _unpaid(name: str, report: PrivacyReport) -> ReleaseVerdict:
    return ReleaseVerdict(
        release=name, population=report.population, state="unknown", delta=report.spent.delta, claimed=report.spent.epsilon,
        agrees=False, reason="no release of the ledger paid for this report: its claim is not that of any recorded events",
    )  # fmt: skip


def _close(a: float, b: float) -> bool:
    return abs(a - b) <= SAME * max(a, b)


def _cost(events: Sequence[Event], delta: float) -> Spent:
    return spent(events, delta)


@lru_cache(maxsize=1024)
def _second(events: tuple[Event, ...], cost: Spent) -> CrossCheck:
    """Releases with the same events are looked at once."""
    return verify(events, cost)
