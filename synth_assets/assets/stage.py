"""One stage's life, the same for every asset: lease, reuse or build, checks, verdict, publication, result.

An artifact is kept and becomes current only after its blocking checks have passed; its verdict stands beside it, and a consumer that
reads an artifact whose latest verdict is "failed" refuses, also in a later run (docs/adr/0006).
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.storage.tags import GRPC_INFO_TAG, PARENT_RUN_ID_TAG, ROOT_RUN_ID_TAG  # no public names

from synth_assets.assets.boundary import tell_blocked, tell_failures
from synth_assets.assets.recording import Recorder
from synth_assets.config.dataset import DatasetConfig
from synth_assets.ledger.heads import Head
from synth_assets.resources import StoreResource
from synth_assets.storage.artifacts import ArtifactRef, ArtifactStore, Zone
from synth_assets.storage.hashing import hash_json, hash_parts
from synth_assets.storage.lease import Hold
from synth_assets.storage.verdicts import VERDICT, read_judged, read_verified

Event = dg.MaterializeResult[Any] | dg.AssetCheckResult
FRESH_TAG = "synth_assets/fresh"
ORIGIN_TAG = "synth_assets/by"
COMMAND_LINE = "cli"
REUSE = "reuse"


@dataclass(frozen=True)
class CheckOutcome:
    """Result of one asset check; no value of the data in any field."""

    name: str
    passed: bool
    description: str
    blocking: bool = True
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def as_dagster(self, key: dg.AssetKey) -> dg.AssetCheckResult:
        """As Dagster shows it."""
        severity = dg.AssetCheckSeverity.ERROR if self.blocking else dg.AssetCheckSeverity.WARN
        return dg.AssetCheckResult(
            asset_key=key, check_name=self.name, passed=self.passed, severity=severity, description=self.description,
            metadata=dict(self.metadata),
        )  # fmt: skip


@dataclass(frozen=True)
class Produced:
    """What a stage made, found unchanged, or threw away since a blocking check failed."""

    ref: ArtifactRef
    reused: bool
    reuse_count: int
    checks: tuple[CheckOutcome, ...]
    head: Head
    published: bool = True


@dataclass(frozen=True)
class Job:
    """One artifact to make.

    Args:
        zone: Where it goes.
        asset: Its name within the dataset.
        inputs: Content hashes of what it is made from, by name; part of its identity.
        section: The part of the configuration that its content depends on, JSON-able.
        version: Version of the stage's code; raise it when the same input gives another output.
        build: Fills a folder and returns what to record (`info`, JSON-able, no values).
        check: Judges the folder before it is published.
        publish_failed: Keep it although a blocking check failed (audits: a person wants to read them).
        reusable: False where unchanged inputs cannot be told (a database query).
        gates: The part of the configuration that only its checks depend on; another gate judges an unchanged artifact again.
    """

    zone: Zone
    asset: str
    inputs: Mapping[str, str]
    section: Any
    version: str
    build: Callable[[Path], Mapping[str, Any]]
    check: Callable[[Path, dict[str, Any]], Sequence[CheckOutcome]] | None = None
    publish_failed: bool = False
    reusable: bool = True
    gates: Any = None

    @property
    def input_hash(self) -> str:
        """Identity of the work: inputs, configuration, code."""
        return hash_json(
            {
                "inputs": dict(self.inputs),
                "section": self.section,
                "code": self.version,
            }
        )


class Stage:
    """The running step of one dataset."""

    def __init__(self, context: dg.AssetExecutionContext, store: StoreResource, config: DatasetConfig) -> None:
        self.context = context
        self.config = config
        self.hold: Hold = store.lease().acquire(
            config.name, context.run_id, step=str(context.op_execution_context.op_handle),
            attempt=context.retry_number, ended=lambda run_id: _ended(context.instance, run_id),
        )  # fmt: skip
        self.store: ArtifactStore = store.open().fenced(self.hold)
        if self.hold.before is not None:
            self.store.clear_staging(config.name)
        if self.hold.before and not _succeeded(context.instance, self.hold.before):
            self.store.clear_partial(config.name)
            _bury(context.instance, self.hold.before)
        self.records = Recorder(store.settings(), context, config)
        step = context.assets_def.op.name.removeprefix(f"{config.name}__")
        tell_failures(lambda error: self.records.failed(step, error))

    @cached_property
    def fresh(self) -> bool:
        """Whether the run asks to compute everything again.

        A run that the UI executes again, or a retry, has the tag of the run before. Where that one has succeeded, the wish was granted,
        and nobody has asked to pay once more.
        """
        tags = self.context.run_tags
        before = {tags.get(PARENT_RUN_ID_TAG, ""), tags.get(ROOT_RUN_ID_TAG, "")} - {""}
        return tags.get(FRESH_TAG) == "true" and not any(_succeeded(self.context.instance, run) for run in before)

    def read(self, zone: Zone, asset: str) -> ArtifactRef:
        """The current artifact of an upstream asset, with a passing verdict.

        Raises:
            MissingArtifactError: there is none.
            ReleaseRefusedError: its latest materialisation failed a blocking check.
        """
        return read_verified(self.store, zone, self.config.name, asset)

    def read_judged(self, zone: Zone, asset: str) -> tuple[ArtifactRef, tuple[str, ...]]:
        """The current artifact of an audit and the blocking checks that it failed; for what only tells of it, never for a release.

        Raises:
            MissingArtifactError: there is none.
            ReleaseRefusedError: it has no verdict of its current content.
        """
        return read_judged(self.store, zone, self.config.name, asset)

    def deliver(self, job: Job, describe: Callable[[ArtifactRef], Mapping[str, Any]]) -> list[Event]:
        """Produce and say it to Dagster: the materialization, or only the check results where a blocking check has failed."""
        made = self.produce(job)
        key = next(k for k in self.context.assets_def.keys if k.path[-1] == job.asset)
        checks = [c.as_dagster(key) for c in made.checks]
        if not made.published:
            return list(checks)
        version = hash_parts(made.ref.content_hash, hash_json([job.section, job.gates]), job.version)
        common: dict[str, Any] = {
            "reused": made.reused,
            "reuse_count": made.reuse_count,
            "path": dg.MetadataValue.path(self.store.location(made.ref)),
            **self.records.anchor(self.store, made.ref, made.head),
        }
        shown = {**describe(made.ref), **common}
        data_version = dg.DataVersion(version[:32])
        return [
            dg.MaterializeResult(asset_key=key, data_version=data_version, metadata=shown, check_results=checks)
        ]  # fmt: skip

    def produce(self, job: Job) -> Produced:
        """Reuse an artifact of the same inputs, configuration and code; else build, check and publish."""
        found = self._reusable(job)
        if found is not None:
            return self._judged_again(job, found)
        with self.store.writing(job.zone, self.config.name, job.asset) as out:
            started = time.perf_counter()
            out.info.update(job.build(out.folder))
            out.info["seconds"] = round(time.perf_counter() - started, 3)
            out.info["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            out.info["input_hash"], out.info["run_id"] = job.input_hash, self.context.run_id
            checks = _judge(job, out.folder, out.info)
            out.publish = _passed(checks) or job.publish_failed
        ref = out.done()
        if out.publish:
            self._remember(job, ref)
        head = self.records.produced(ref, checks, published=out.publish, made_by=self.context.run_id)
        self._write_verdict(job, ref, checks)
        count = self._count_reuse(job, reset=True)
        return Produced(ref, reused=False, reuse_count=count, checks=checks, head=head, published=out.publish)

    def _judged_again(self, job: Job, found: ArtifactRef) -> Produced:
        """An artifact that is used again, with its old check results, or new ones where the gates have changed."""
        info, published = dict(found.info), True
        judged = job.check is not None and info.get("gates") != hash_json(job.gates)
        if judged:
            checks = _judge(job, self.store.path(found), info)
            published = _passed(checks) or job.publish_failed
            if published:
                found = replace(found, info=info)
                self.store.point(found)
                self._remember(job, found)
        else:
            checks = tuple(CheckOutcome(**c) for c in info["checks"])
        head = self.records.reused(found, checks, judged=judged, published=published)
        self._write_verdict(job, found, checks)
        count = self._count_reuse(job)
        return Produced(found, reused=True, reuse_count=count, checks=checks, head=head, published=published)

    def _remember(self, job: Job, ref: ArtifactRef) -> None:
        made = {"content_hash": ref.content_hash, "info": dict(ref.info)}
        self.store.write_note(job.zone, self.config.name, job.asset, _made_note(job), made)

    def _reusable(self, job: Job) -> ArtifactRef | None:
        """The current artifact, or an earlier one, that was made from the same; an earlier one becomes current again."""
        if not job.reusable:
            return None
        current = self.store.find(job.zone, self.config.name, job.asset)
        if current is not None and current.info.get("input_hash") == job.input_hash and self._may_use(current):
            self.store.path(current)  # files gone: an error, never a silent fresh start
            return current
        note = self.store.read_note(job.zone, self.config.name, job.asset, _made_note(job))
        if note is None:
            return None
        earlier = ArtifactRef(job.zone, self.config.name, job.asset, note["content_hash"], note["info"])
        if not self._may_use(earlier):
            return None
        self.store.path(earlier)
        self.store.point(earlier)
        return earlier

    def _may_use(self, made: ArtifactRef) -> bool:
        """A fresh run computes everything once: what it, or the run that it goes on with, has made is used, and not paid twice."""
        return not self.fresh or made.info.get("run_id") in self._same_request

    @cached_property
    def _same_request(self) -> frozenset[str]:
        """This run, the one that it executes again or retries, and the others that do."""
        tags = self.context.run_tags
        parent = tags.get(PARENT_RUN_ID_TAG)
        if parent is None:
            return frozenset({self.context.run_id})
        root = tags.get(ROOT_RUN_ID_TAG, parent)
        others = self.context.instance.get_run_ids(dg.RunsFilter(tags={ROOT_RUN_ID_TAG: root}))
        return frozenset({self.context.run_id, parent, root, *others})

    def _write_verdict(self, job: Job, ref: ArtifactRef, checks: Sequence[CheckOutcome]) -> None:
        failed = [c.name for c in checks if c.blocking and not c.passed]
        tell_blocked(failed)
        note = {"content_hash": ref.content_hash, "passed": not failed, "failed": failed, "run_id": self.context.run_id}
        self.store.write_note(job.zone, self.config.name, job.asset, VERDICT, note)

    def _count_reuse(self, job: Job, *, reset: bool = False) -> int:
        """How often the current artifact was found unchanged."""
        before = self.store.read_note(job.zone, self.config.name, job.asset, REUSE) or {"count": 0}
        count = 0 if reset else int(before["count"]) + 1
        self.store.write_note(job.zone, self.config.name, job.asset, REUSE, {"count": count})
        return count


def _ended(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether a run is over in Dagster's history; a process of it that lives on is nobody's then."""
    run = instance.get_run_by_id(run_id) if run_id else None
    return run is not None and run.is_finished


def _succeeded(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is not None and run.is_success


def _bury(instance: dg.DagsterInstance, run_id: str) -> None:
    """Mark a run of the command line as failed whose process was killed: nothing else would ever end it in Dagster's history."""
    run = instance.get_run_by_id(run_id) if run_id else None
    if run is not None and not run.is_finished and of_command_line(run):
        instance.report_run_failed(run, "The process of this run ended before the run did.")


def _judge(job: Job, folder: Path, info: dict[str, Any]) -> tuple[CheckOutcome, ...]:
    """Run the checks and note their results in the artifact's record."""
    checks = tuple(job.check(folder, info)) if job.check else ()
    info["checks"], info["gates"] = [_stored(c) for c in checks], hash_json(job.gates)
    return checks


def _passed(checks: Sequence[CheckOutcome]) -> bool:
    return all(c.passed for c in checks if c.blocking)


def _made_note(job: Job) -> str:
    """Name of the note that remembers what was made from these inputs, this configuration and this code."""
    return f"made-{job.input_hash[:32]}"


def _stored(check: CheckOutcome) -> dict[str, Any]:
    return {
        "name": check.name, "passed": check.passed, "description": check.description, "blocking": check.blocking,
        "metadata": dict(check.metadata),
    }  # fmt: skip


def of_command_line(run: dg.DagsterRun) -> bool:
    """Whether a process of the command line executes a run; one that the UI executes again keeps its tags, and has a launcher."""
    return run.tags.get(ORIGIN_TAG) == COMMAND_LINE and GRPC_INFO_TAG not in run.tags


def code_version(section: Any, version: str, gates: Any = None) -> str:
    """Dagster's code version of an asset: its own section of the configuration, its gates and the version of its code."""
    return hash_json({"section": section, "gates": gates, "code": version})[:16]
