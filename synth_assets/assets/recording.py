"""What a step tells the audit ledger: what it made, which checks ran, what it released, what it refused.

What belongs here: events of assets, made in one place for all of them. What does not: the ledger (ledger/audit.py) and the life of a
step (stage.py). An artifact is recorded after it has become current and before its verdict: nobody may read it between the two, and the
next run records what a crash kept out (docs/adr/0013).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING

import dagster as dg

from synth_assets.config.dataset import DatasetConfig
from synth_assets.config.runtime import Settings
from synth_assets.errors import BudgetExceededError, ReleaseRefusedError, SynthAssetsError
from synth_assets.ledger import asking
from synth_assets.ledger.audit import Action, AuditEvent, AuditLedger, Head, Outcome, identifier
from synth_assets.ledger.events import Detail
from synth_assets.ledger.opening import open_audit_ledger
from synth_assets.storage.artifacts import ArtifactRef, ArtifactStore, Zone
from synth_assets.storage.hashing import hash_json, hash_parts
from synth_assets.storage.secrets import UNREAD, key_fingerprint

if TYPE_CHECKING:
    from synth_assets.assets.stage import CheckOutcome

HEAD_NOTE = "audit_head"
EXPORTS = ("export_", "delivery_")  # what leaves the home
DENIALS = (ReleaseRefusedError, BudgetExceededError)
_told_of: set[tuple[str, str, str]] = set()  # home, run and dataset whose configuration this process has compared


class Recorder:
    """The audit ledger as a step of one dataset sees it.

    Args:
        settings: Of the home.
        context: The running step.
        config: The dataset.
    """

    def __init__(self, settings: Settings, context: dg.AssetExecutionContext, config: DatasetConfig) -> None:
        self.settings, self.config = settings, config
        self.run_id: str = context.run_id
        asking.begin(context.run_id, context.run_tags)
        self._tell_changes()

    @cached_property
    def ledger(self) -> AuditLedger:
        """The ledger of the home."""
        return open_audit_ledger(self.settings)

    @cached_property
    def config_hash(self) -> str:
        """Hash of the dataset's configuration."""
        return hash_json(self.config.model_dump(mode="json"))

    def event(self, action: Action, resource: str, outcome: Outcome = Outcome.OK, **details: Detail) -> AuditEvent:
        """An event of this run."""
        return AuditEvent(
            action, resource, outcome, dataset=self.config.name, run_id=self.run_id, config_hash=self.config_hash, details=details,
        )  # fmt: skip

    def produced(
        self, ref: ArtifactRef, checks: Sequence[CheckOutcome], *, published: bool, made_by: str | None
    ) -> Head:
        """Record an artifact that was made, or thrown away since a check failed, with its checks.

        Args:
            ref: The artifact.
            checks: Those that ran.
            published: Whether it became current.
            made_by: The run that made it; part of what makes the event one of a kind.
        """
        passed = all(c.passed for c in checks if c.blocking)
        outcome = Outcome.OK if passed else Outcome.FAILED
        events = [self._about(Action.MATERIALISED, ref, outcome, made_by, published=published, reused=False)]
        events += self._checks(ref, checks)
        if ref.zone is Zone.RELEASE and published and passed:
            events.append(self._about(_release_of(ref.asset), ref, outcome, made_by))
        return self.ledger.record_all(events)

    def reused(self, ref: ArtifactRef, checks: Sequence[CheckOutcome], *, judged: bool, published: bool) -> Head:
        """Record an artifact that was used again; what made it is recorded first, where a crash had kept that out.

        Args:
            ref: The artifact.
            checks: Its checks.
            judged: Whether they ran again.
            published: Whether it is current.
        """
        passed = all(c.passed for c in checks if c.blocking)
        outcome = Outcome.OK if passed else Outcome.FAILED
        made_by = ref.info.get("run_id")
        events = [self._about(Action.MATERIALISED, ref, outcome, made_by, published=True, reused=False, late=True)]
        if ref.zone is Zone.RELEASE and published and passed:
            events.append(self._about(_release_of(ref.asset), ref, outcome, made_by, late=True))
        again = {"zone": ref.zone.value, "content_hash": ref.content_hash, "published": published, "reused": True}
        events.append(self.event(Action.MATERIALISED, _name(ref), outcome, **again))
        return self.ledger.record_all([*events, *(self._checks(ref, checks) if judged else ())])

    def leaving(self, asset: str, content: str) -> None:
        """Record that something is about to be handed to another system: once it is there, nothing brings it back.

        Args:
            asset: The delivery.
            content: Hash of what leaves.
        """
        self.ledger.record(self.event(Action.EXPORTED, f"{self.config.name}/{asset}", begun=True, content_hash=content))

    def failed(self, asset: str, error: SynthAssetsError) -> None:
        """Record that a step refused or failed."""
        outcome = Outcome.DENIED if isinstance(error, DENIALS) else Outcome.FAILED
        action = Action.EXPORTED if asset.startswith(EXPORTS) else Action.MATERIALISED
        self.ledger.record(self.event(action, f"{self.config.name}/{asset}", outcome, error=error.code))

    def anchor(self, store: ArtifactStore, ref: ArtifactRef, head: Head) -> dict[str, str | int]:
        """Keep the ledger's head outside it: beside a released artifact, and in Dagster's metadata, which this returns."""
        if ref.zone is not Zone.RELEASE:
            return {}
        store.write_note(ref.zone, ref.dataset, ref.asset, HEAD_NOTE, asdict(head))
        return {"audit_entries": head.position, "audit_head": head.hash}

    def _about(
        self, action: Action, ref: ArtifactRef, outcome: Outcome, made_by: str | None, **details: Detail
    ) -> AuditEvent:
        """An event about the making of an artifact, which is recorded once."""
        once = hash_parts(action.value, _name(ref), ref.content_hash, made_by or "")
        about: dict[str, Detail] = {"zone": ref.zone.value, "content_hash": ref.content_hash, **details}
        event = self.event(action, _name(ref), outcome, **about)
        return AuditEvent(**{**event.__dict__, "once": once, "run_id": made_by or self.run_id})

    def _checks(self, ref: ArtifactRef, checks: Sequence[CheckOutcome]) -> list[AuditEvent]:
        return [
            self.event(
                Action.CHECKED, f"{_name(ref)}/{identifier(check.name)}", Outcome.OK if check.passed else Outcome.FAILED,
                blocking=check.blocking, content_hash=ref.content_hash,
            )
            for check in checks
        ]  # fmt: skip

    def _tell_changes(self) -> None:
        """Record configuration, policy and master key where they are others than when a run last looked."""
        looked = (str(self.settings.home), self.run_id, self.config.name)
        if looked in _told_of:
            return
        from synth_assets.masking.policies import load_policy

        policy = load_policy(self.config.policy, self.settings.configs_folder).model_dump(mode="json")
        key = key_fingerprint(self.settings.keys_folder)
        events = [
            self.event(Action.CONFIG_CHANGED, self.config.name),
            AuditEvent(
                Action.POLICY_CHANGED, f"{self.config.name}/policy", dataset=self.config.name, run_id=self.run_id,
                details={"policy_hash": hash_json(policy)},
            ),
        ]  # fmt: skip
        if key != UNREAD:
            events.append(
                AuditEvent(
                    Action.KEY_ROTATED, "key/master", run_id=self.run_id, details={"key": "master", "fingerprint": key}
                )
            )
        self.ledger.record_changes(events)
        _told_of.add(looked)


def _release_of(asset: str) -> Action:
    return Action.EXPORTED if asset.startswith(EXPORTS) else Action.RELEASED


def _name(ref: ArtifactRef) -> str:
    return f"{ref.dataset}/{ref.asset}"
