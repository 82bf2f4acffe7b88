"""What the budget ledger tells the audit ledger: every row it writes, in the same transaction, and every refusal.

What belongs here: a row of the budget as an event. What does not: either ledger. The events name row and hash of the budget's log, so
the signed head of the audit ledger vouches for the budget ledger as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from synth_assets.errors import BudgetExceededError, ReleaseRefusedError
from synth_assets.ledger.audit import Action, AuditEvent, AuditLedger, Outcome, identifier
from synth_assets.ledger.events import Detail
from synth_assets.privacy import budget_rows as rows

_ACTIONS = {
    "declare": Action.BUDGET_DECLARED,
    "reserve": Action.BUDGET_RESERVED,
    "read": Action.BUDGET_READ,
    "settle": Action.BUDGET_SETTLED,
    "release": Action.BUDGET_RELEASED,
    "take_over": Action.BUDGET_TAKEN_OVER,
}


def event_of(step: str, population: str, said: rows.Declaration | rows.Held, head: rows.Head) -> AuditEvent:
    """A row of the budget's log as an event.

    Args:
        step: Of the row.
        population: Whose budget.
        said: What the row says.
        head: Number and hash of the row.
    """
    details: dict[str, Detail] = {"budget_row": head.position, "budget_hash": head.hash}
    if isinstance(said, rows.Declaration):
        details |= {
            "epsilon": said.epsilon,
            "delta": said.delta,
            "per_release": said.per_release,
            "per_dataset": said.per_dataset,
        }
        return AuditEvent(_ACTIONS[step], _resource(population), details=details)
    details |= {
        "reservation": said.reservation_id, "asset": identifier(said.label), "attempt": said.attempt, "fence": said.fence,
        "ended": said.outcome,
    }  # fmt: skip
    outcome = Outcome.FAILED if said.outcome in {"failed", "overspent"} else Outcome.OK
    return AuditEvent(
        _ACTIONS[step], _resource(population), outcome, dataset=identifier(said.dataset), run_id=identifier(said.run_id),
        details=details,
    )  # fmt: skip


@contextmanager
def refusals_told(audit: AuditLedger | None, population: str, label: str, run_id: str) -> Iterator[None]:
    """Record where the block refuses budget; its transaction has been undone by then."""
    try:
        yield
    except (BudgetExceededError, ReleaseRefusedError) as error:
        if audit is not None:
            details: dict[str, Detail] = {"asset": identifier(label), "error": error.code}
            audit.record(
                AuditEvent(
                    Action.BUDGET_RESERVED,
                    _resource(population),
                    Outcome.DENIED,
                    dataset=identifier(rows.dataset_of(label)),
                    run_id=identifier(run_id),
                    details=details,
                )
            )
        raise


def _resource(population: str) -> str:
    return f"budget/{identifier(population)}"
