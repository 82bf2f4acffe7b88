"""Whether the ledgers are what was written, as `synth-assets health` and the metrics tell it: whole, within a bound.

What does not belong here: the checks themselves (api/verifying.py, ledger/verifying.py).
"""

from __future__ import annotations

from synth_assets.api import open_budget
from synth_assets.api.spending import has_ledger
from synth_assets.api.verifying import deleted, verify_ledgers
from synth_assets.config.runtime import Settings
from synth_assets.errors import CheckFailedError

WHOLE_UP_TO = 200_000  # entries; about 4 seconds
NEWEST = 100_000
_REMEDY = "See: synth-assets verify."


def look_at_ledgers(settings: Settings) -> str:
    """Check the ledgers; of a long one the newest entries and the signed head. What was looked at, in words.

    Raises:
        CheckFailedError: one of them is not what was written.
        ConfigError: something tells of a ledger that is not there.
    """
    from synth_assets.ledger.opening import open_audit_ledger

    entries = 0
    if has_ledger(settings.home) and deleted(ledger := open_audit_ledger(settings)) is None:
        head = ledger.head()
        entries = 0 if head is None else head.position
    return _whole(settings) if entries <= WHOLE_UP_TO else _newest(settings)


def _whole(settings: Settings) -> str:
    verdict = verify_ledgers(settings.home)
    if verdict is None:
        return "none yet: nothing was done here."
    for name, chain in (("audit", verdict.audit), ("access", verdict.access)):
        if chain is not None and not chain.whole:
            place = f": entry {chain.faults[0].position}: {chain.faults[0].reason}" if chain.faults else ""
            raise CheckFailedError(f"the {name} ledger is not what was written{place}.", remedy=_REMEDY)
    if verdict.budget is not None and not verdict.budget.whole:
        raise CheckFailedError("the budget ledger is not what was written.", remedy=_REMEDY)
    if not verdict.whole:
        raise CheckFailedError("the budget ledger and the audit ledger do not say the same.", remedy=_REMEDY)
    rows = 0 if verdict.budget is None else verdict.budget.rows
    return f"audit: {verdict.audit.entries:,} entries; budget: {rows:,} rows; every one was looked at, all are whole."


def _newest(settings: Settings) -> str:
    from synth_assets.ledger.opening import open_audit_ledger
    from synth_assets.ledger.verifying import check_newest

    budget = open_budget(settings.home).verify(())
    if not budget.whole:
        raise CheckFailedError("the budget ledger is not what was written.", remedy=_REMEDY)
    check, start = check_newest(open_audit_ledger(settings), NEWEST)
    if check.faults:
        first = check.faults[0]
        told = f"the audit ledger is not what was written: entry {first.position}: {first.reason}."
        raise CheckFailedError(told, remedy=_REMEDY)
    return (
        f"audit: the newest {check.entries - start:,} of {check.entries:,} entries and the signed head were looked at, and are whole "
        f"(`synth-assets verify` looks at all); budget: {budget.rows:,} rows, whole."
    )
