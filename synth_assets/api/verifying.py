"""Whether the ledgers of a home are what was written: the audit ledger, the budget ledger it vouches for, and what was never recorded.

What belongs here: putting the checks together. What does not: the check of a chain (ledger/verify.py, privacy/budget_rows.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from synth_assets.api.reading import settings_of
from synth_assets.api.spending import has_ledger, reports_of_releases
from synth_assets.config.runtime import Settings
from synth_assets.config.stores import store_of
from synth_assets.errors import ConfigError, InputError, ServiceUnavailableError, SynthAssetsError
from synth_assets.ledger.audit import Action, AuditLedger
from synth_assets.ledger.chain import Stored
from synth_assets.ledger.signing import Signer
from synth_assets.ledger.verify import MOST_TOLD, ChainCheck, Fault, heads_in
from synth_assets.privacy.records import LedgerVerdict
from synth_assets.storage.artifacts import Zone
from synth_assets.storage.secrets import signing_key
from synth_assets.tables.schema import Frozen

HEAD_NOTE = "audit_head.json"
CURRENT = "current.json"


class FaultRecord(Frozen):
    """What is wrong with one entry."""

    position: int
    reason: str


class ChainVerdict(Frozen):
    """The check of one chained log.

    Attributes:
        ledger: Where it lives.
        whole: Whether it is what was written, as far as it can be told.
        entries: How many there are.
        head: Hash of the last one.
        key: Public key in force; None of a log without signatures.
        kept_heads: Kept heads that were checked.
        outside_heads: Heads kept outside that were compared.
        faults: What is wrong, the first hundred.
        fault_count: How much is wrong.
        remarks: What a person should know.
    """

    ledger: str
    whole: bool
    entries: int
    head: str
    key: str | None
    kept_heads: int
    outside_heads: int
    faults: tuple[FaultRecord, ...]
    fault_count: int
    remarks: tuple[str, ...]


class HomeVerdict(Frozen):
    """The check of all ledgers of a home.

    Attributes:
        whole: Whether all of them are what was written.
        audit: The audit ledger.
        budget: The budget ledger; None where no budget was declared.
        budget_faults: What the two say differently.
        access: The older record of access; None where there is none.
        unrecorded: Current artifacts that no entry tells of, `zone/dataset/asset`; the next run of their dataset records them.
    """

    whole: bool
    audit: ChainVerdict
    budget: LedgerVerdict | None
    budget_faults: tuple[str, ...]
    access: ChainVerdict | None
    unrecorded: tuple[str, ...]


def given_heads(given: Iterable[str]) -> list[tuple[int | None, str]]:
    """Heads as a person gives them: hashes, or files that hold heads.

    Raises:
        InputError: there is no head in one of them.
    """
    found: list[tuple[int | None, str]] = []
    for text in given:
        path = Path(text)
        heads = heads_in(path.read_text(encoding="utf-8", errors="replace") if path.is_file() else text)
        if not heads:
            raise InputError(
                "this is neither a head nor a file that holds one.",
                key="--head",
                remedy="Give 64 hex digits, or a file with them.",
            )
        found += heads
    return found


def verify_ledgers(home: Path, heads: Iterable[str] = ()) -> HomeVerdict | None:
    """Check every ledger of a home; None where nothing was recorded in it yet.

    Args:
        home: The home folder.
        heads: Heads that were kept elsewhere: hashes, or files. Those beside releases are compared without being asked for.

    Raises:
        ConfigError: heads are known, or another trace of a ledger is there, and there is no ledger.
        CheckFailedError: tables of the ledger are gone.
        InputError: a given head is none.
    """
    from synth_assets.ledger.opening import open_audit_ledger
    from synth_assets.ledger.verifying import check_ledger

    settings = settings_of(home)
    outside = given_heads(heads) + _heads_of_releases(settings)
    if not has_ledger(home):
        if outside or (known := trace_of_ledger(settings)) is not None:
            raise ConfigError(
                f"{'heads of an audit ledger are known' if outside else known}, and there is no ledger.",
                file=str(home), key="ledger",
                remedy="Bring back the ledger (var/ledger or the database) from a backup.",
            )  # fmt: skip
        return None
    ledger = open_audit_ledger(settings)
    artifacts, unread = _current(settings)
    seen = _Seen(artifacts)
    check = check_ledger(ledger, outside, _public(settings), seen.look)
    unread += _look_for_deleted(check, ledger, settings, seen)
    audit = _verdict(ledger.store.name, check, len(outside), unread)
    budget, budget_faults = _budget(ledger, home, seen)
    access = _access(settings, ledger)
    whole = audit.whole and not budget_faults and all(v is None or v.whole for v in (budget, access))
    return HomeVerdict(
        whole=whole,
        audit=audit,
        budget=budget,
        budget_faults=budget_faults,
        access=access,
        unrecorded=tuple(sorted(seen.artifacts.values())),
    )


@dataclass
class _Seen:
    """What the entries of the audit ledger tell of: rows of the budget ledger, and artifacts, which are struck off."""

    artifacts: dict[tuple[str, str], str]
    budget: dict[int, tuple[str, int]] = field(default_factory=dict)
    forms: set[tuple[str, str]] = field(default_factory=set)

    def look(self, row: Stored) -> None:
        """Look at one entry."""
        if '"budget_row"' in row.record:
            details = json.loads(row.record)["details"]
            self.budget[int(details["budget_row"])] = (str(details["budget_hash"]), row.position)
        elif '"holdout"' in row.record:
            details = json.loads(row.record)["details"]
            self.forms.add((str(details.get("holdout")), str(details.get("form"))))
        elif self.artifacts and '"content_hash"' in row.record:
            said = json.loads(row.record)
            if said["action"] == Action.MATERIALISED:
                self.artifacts.pop((said["resource"], said["details"]["content_hash"]), None)


def trace_of_ledger(settings: Settings) -> str | None:
    """What shows that an audit ledger has begun in a home, although there is none; None where nothing does."""
    from synth_assets.ledger.actors import Actors
    from synth_assets.ledger.opening import beginning_of

    if beginning_of(settings).is_noted:
        return "an audit ledger has begun here"
    return "names of actors of an audit ledger are known" if Actors(settings.actors_location).exist else None


def deleted(ledger: AuditLedger) -> str | None:
    """Why the audit ledger cannot be the one that began here, as far as that is seen without reading it; None where nothing says so."""
    from synth_assets.privacy.budget_view import BudgetView

    if (lost := ledger.lost()) is not None or ledger.head() is not None:
        return lost
    view = BudgetView(ledger.store)
    if view.told_rows():
        return "it has no entries, and rows of the budget ledger say that it tells of them: entries were deleted"
    if not view.is_new and ledger.actors.exist:
        return "it has no entries, and names of actors that only it gives are known: entries were deleted"
    return None


def _look_for_deleted(check: ChainCheck, ledger: AuditLedger, settings: Settings, seen: _Seen) -> list[str]:
    """What other records say of entries that are not there, as faults; and as a remark where a crash may have been the cause."""
    from synth_assets.privacy.public_forms import counted_forms

    if (why := deleted(ledger)) is not None:
        check.faults.insert(0, Fault(1, why))
    untold = len(counted_forms(ledger.store) - seen.forms)
    if untold:
        check.faults.append(Fault(check.entries, f"{untold} public forms are counted, and no entry tells of them"))
    if check.entries or check.faults or trace_of_ledger(settings) is None:
        return []
    return [
        "names of actors are known and there is no entry: the first action was cut off, or all entries were deleted."
    ]


def _verdict(ledger: str, check: ChainCheck, outside: int, remarks: Sequence[str] = ()) -> ChainVerdict:
    return ChainVerdict(
        ledger=ledger,
        whole=not check.faults,
        entries=check.entries,
        head=check.last,
        key=check.keys[-1][1] if check.keys else None,
        kept_heads=len(check.marks),
        outside_heads=outside,
        faults=tuple(FaultRecord(position=f.position, reason=f.reason) for f in check.faults[:MOST_TOLD]),
        fault_count=len(check.faults),
        remarks=(*check.remarks, *remarks),
    )


def _public(settings: Settings) -> str | None:
    """The public key of this installation, where it has one: who only looks may have none."""
    try:
        return Signer(signing_key(settings.keys_folder, make=False)).public
    except SynthAssetsError:
        return None


def _heads_of_releases(settings: Settings) -> list[tuple[int | None, str]]:
    """Heads beside the releases on this disk; those of a release zone on S3 are given by hand."""
    notes = sorted((settings.var / Zone.RELEASE).glob(f"*/*/{HEAD_NOTE}"))
    return [(said["position"], said["hash"]) for said in (json.loads(note.read_text()) for note in notes)]


def _current(settings: Settings) -> tuple[dict[tuple[str, str], str], list[str]]:
    """Resource and content hash -> `zone/dataset/asset` of every current artifact on this disk; and what could not be read."""
    found: dict[tuple[str, str], str] = {}
    unread, store = 0, store_of(settings)
    for zone in Zone:
        for path in (settings.var / zone).glob(f"*/*/{CURRENT}"):
            dataset, asset = path.parts[-3:-1]
            try:
                ref = store.find(zone, dataset, asset)
            except (ConfigError, ServiceUnavailableError):  # encrypted, and who verifies has no key
                unread += 1
                continue
            if ref is not None and "input_hash" in ref.info:  # of a step of a chain; other jobs keep their own results
                found[f"{dataset}/{asset}", ref.content_hash] = f"{zone.value}/{dataset}/{asset}"
    said = f"{unread} artifacts are encrypted under a key that is not here: whether each is in the ledger was not looked at."
    return found, [said] if unread else []


def _budget(ledger: AuditLedger, home: Path, seen: _Seen) -> tuple[LedgerVerdict | None, tuple[str, ...]]:
    """The budget ledger by itself, and against the rows that the audit ledger tells of."""
    from synth_assets.privacy.budget_view import BudgetView

    view = BudgetView(ledger.store)
    if view.is_new and not seen.budget:
        return None, ()
    rows = view.row_hashes()
    wrong = [
        f"row {row} of the budget ledger is not the one that entry {position} of the audit ledger tells of"
        for row, (hashed, position) in sorted(seen.budget.items())
        if rows.get(row) != hashed
    ]
    since = min(seen.budget, default=max(rows, default=0))  # earlier ones may be older than the audit ledger
    told = {*view.told_rows(), *(row for row in rows if row > since)}
    untold = sorted(told - seen.budget.keys())
    wrong += [f"row {row} of the budget ledger is in no entry of the audit ledger" for row in untold]
    return view.verify(reports_of_releases(home).heads), tuple(wrong)


def _access(settings: Settings, ledger: AuditLedger) -> ChainVerdict | None:
    from synth_assets.ledger.backends import open_ledger_store
    from synth_assets.ledger.verifying import check_access

    if settings.postgres_url is None and not (settings.var / "ledger" / "access.db").is_file():
        return None
    store = (
        ledger.store
        if settings.postgres_url is not None
        else open_ledger_store(settings.access_location, forgetting=True)
    )
    check = check_access(store)
    return _verdict(store.name, check, 0) if check.entries else None
