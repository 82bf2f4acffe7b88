"""Starts runs that die, and says afterwards whether everything is whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synth_assets.api.spending import open_budget, reports_of_releases
from synth_assets.api.verifying import verify_ledgers
from synth_assets.config.runtime import Settings
from synth_assets.config.stores import store_of
from synth_assets.errors import DamagedArtifactError
from synth_assets.privacy.records import BudgetStatus
from synth_assets.storage.artifacts import Backend, Zone
from synth_assets.storage.hashing import hash_folder
from synth_assets_tests import chain
from synth_assets_tests.faults import killing

DATASET = "people"
FEW_STAGES = ("raw", "pii_classification", "split", "dp_measurements")
STAGES = ("raw", "pii_classification", "masked", "split", "dp_measurements", "model", "synthetic")
BUDGET = 12.0


class Runs:
    """The process that forks runs."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(chain.ROOT), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "synth_assets_tests.faults.server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env=environment, cwd=chain.ROOT,
        )  # fmt: skip

    def run(
        self, home: Home, *, kill: str = "", cpu_seconds: float = 0.0, environment: dict[str, str] | None = None,
        stages: tuple[str, ...] = FEW_STAGES,
    ) -> dict[str, Any] | None:  # fmt: skip
        """One run of the chain; None where it was killed before its end."""
        out = home.folder.parent / f"{home.folder.name}-{len(home.witnesses)}.json"
        witness = home.folder.parent / f"{home.folder.name}-{len(home.witnesses)}.read"
        home.witnesses.append(witness)
        asked = {
            "home": str(home.folder), "dataset": DATASET, "stages": stages, "out": str(out), "cpu_seconds": cpu_seconds,
            "environment": {killing.KILL: kill, killing.WITNESS: str(witness), **(environment or {})},
        }  # fmt: skip
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        status = json.loads(self.process.stdout.readline())["status"]
        if os.WIFSIGNALED(status):
            assert not out.exists()
            return None
        assert os.WEXITSTATUS(status) == 0, "the child did not come to its end"
        told: dict[str, Any] = json.loads(out.read_text())
        return told

    def end(self) -> None:
        """Stop the process."""
        self.process.kill()  # it has no run now, and taking down everything that it imported takes seconds
        self.process.communicate()


@dataclass
class Home:
    """A home folder with one small dataset, and a witness of private reads per run."""

    folder: Path
    witnesses: list[Path] = field(default_factory=list)

    @classmethod
    def make(cls, folder: Path) -> Home:
        """A fresh one."""
        folder.mkdir(parents=True)
        return cls.adopt(folder)

    @classmethod
    def adopt(cls, folder: Path) -> Home:
        """The dataset in a folder that is there."""
        chain.people(folder, DATASET, epsilon=1, budget=BUDGET)
        return cls(folder)

    @property
    def reads(self) -> int:
        """How many runs have read rows for a charge, whatever any ledger says."""
        return sum(w.exists() for w in self.witnesses)

    def status(self) -> BudgetStatus | None:
        """The budget, if it was declared."""
        ledger = open_budget(self.folder)
        return ledger.status(DATASET) if DATASET in ledger.populations() else None

    def states(self) -> list[tuple[str, str | None]]:
        """State and outcome of every reservation."""
        status = self.status()
        return [] if status is None else [(r.state, r.outcome) for r in status.releases]


def faults_of(home: Home) -> list[str]:
    """What is not whole in a home after a run has come to its end: nothing, where everything recovered."""
    var = home.folder / "var"
    found = [
        f"left over: {p.relative_to(var)}" for p in var.rglob(".*") if p.is_dir() and p.name.startswith(".staging")
    ]
    found += [f"left over: {p.relative_to(var)}" for p in var.rglob(".*.tmp*")]
    store = store_of(Settings(home=home.folder))
    for zone in Zone:
        for asset in (p for p in (var / zone).glob("*/*") if p.is_dir() and not p.parent.name.startswith(".")):
            found += _faults_of_asset(asset, store.backend(zone))
    verdict = verify_ledgers(home.folder)
    found += ["no audit ledger"] if verdict is None else [f"not on record: {name}" for name in verdict.unrecorded]
    return found + _faults_of_ledger(home) + faults_of_records(home)


def faults_of_records(home: Home) -> list[str]:
    """What of the audit ledger is not what was signed, or not what the budget ledger says: nothing, at any moment."""
    verdict = verify_ledgers(home.folder)
    if verdict is None:
        return []
    found = [f"the record is broken: {fault.position}: {fault.reason}" for fault in verdict.audit.faults]
    return found + list(verdict.budget_faults)


def _faults_of_asset(asset: Path, zone: Backend) -> list[str]:
    key = f"{asset.parent.name}/{asset.name}"
    found = [f"half written: {p}" for p in asset.iterdir() if p.is_dir() and not _whole(zone, f"{key}/{p.name}")]
    told = {n.name: _told(zone, f"{key}/{n.name}") for n in asset.glob("*.json") if not n.name.startswith(".")}
    for name, note in told.items():
        if "content_hash" in note and not (asset / note["content_hash"]).is_dir():
            found.append(f"points nowhere: {asset / name}")
    if "current.json" not in told:
        return [*found, f"no pointer: {asset}"]
    if told["current.json"]["content_hash"] != told["verdict.json"]["content_hash"]:
        found.append(f"judged another content: {asset}")
    return found


def _whole(zone: Backend, key: str) -> bool:
    try:
        folder = zone.local(key)
    except DamagedArtifactError:
        return False
    return folder is not None and hash_folder(folder) == key.rpartition("/")[2]


def _told(zone: Backend, key: str) -> dict[str, Any]:
    note = zone.read_pointer(key)
    assert note is not None
    told: dict[str, Any] = json.loads(note.data)
    return told


def _faults_of_ledger(home: Home) -> list[str]:
    ledger, reports = open_budget(home.folder), reports_of_releases(home.folder)
    verdict, found = ledger.verify(reports.heads), []
    if not verdict.whole:
        found.append(f"the ledger is broken: {verdict.broken} {verdict.heads_missing}")
    found += [f"not borne out: {r.release}: {r.reason}" for r in ledger.audit(reports.reports) if not r.agrees]
    status = home.status()
    counted = [] if status is None else [r for r in status.releases if r.state in {"reading", "settled"}]
    if len(counted) < home.reads:
        found.append(f"{home.reads} runs have read, {len(counted)} are counted")
    if any(not r.events for r in counted):
        found.append("a release counts nothing")
    if status is not None and any(r.state in {"reserved", "reading"} for r in status.releases):
        found.append("a reservation is left open")
    return found
