"""What runs leave in the audit ledger: every step with its checks, what a crash kept out, what was refused, and heads outside of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from synth_assets import api
from synth_assets.api.verifying import verify_ledgers
from synth_assets.assets import stage
from synth_assets.assets.recording import Recorder
from synth_assets.automation.runner import ChainRun, run_chain
from synth_assets.config.runtime import Settings
from synth_assets.ledger.opening import open_audit_ledger
from synth_assets_tests import chain

RAW = "people/raw_people"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    chain.write_dataset(home, DATASET)
    write_rows(home, 40)
    return home


DATASET: dict[str, Any] = {
    "name": "people",
    "source": {"path": "../../people.csv"},
    "primary_key": "person_id",
    "columns": {
        "sex": {"kind": "category", "categories": ["F", "M"]},
        "age": {"kind": "number", "lower": 0, "upper": 110},
    },
}


def write_rows(home: Path, count: int, *, twice: bool = False) -> None:
    rows = [f"{0 if twice else i},{20 + i % 50},{'FM'[i % 2]}" for i in range(count)]
    (home / "people.csv").write_text("\n".join(["person_id,age,sex", *rows]) + "\n")


def ran(home: Path, *stages: str) -> ChainRun:
    with chain.standing_in(home):
        return run_chain(chain.definitions(home), "people", stages=stages)


def records(home: Path, action: str | None = None) -> list[dict[str, Any]]:
    ledger = open_audit_ledger(Settings(home=home))
    with ledger.store.reading() as connection:
        found = [dict(row.entry.record) for row in ledger.chain.rows(connection)]
    return [r for r in found if action in {None, r["action"]}]


def made(home: Path) -> list[tuple[str, bool, bool]]:
    """Outcome, whether it was used again, and whether it was recorded late, of what made the raw table."""
    found = [r for r in records(home, "materialise") if r["resource"] == RAW]
    return [(r["outcome"], r["details"].get("reused", False), r["details"].get("late", False)) for r in found]


def test_a_run_leaves_its_configuration_each_step_and_each_check(home: Path) -> None:
    run = ran(home, "raw")
    assert run.exit_code == 0, run.error
    first = [r["action"] for r in records(home)[:4]]
    assert first == ["ledger.start", "config.change", "policy.change", "key.rotate"]
    steps = records(home, "materialise")
    assert {r["resource"] for r in steps} >= {RAW}
    assert {r["run_id"] for r in steps} == {run.run_id}
    assert {r["config_hash"] for r in steps} == {records(home, "config.change")[0]["config_hash"]}
    checks = records(home, "check")
    assert len(checks) >= 3
    assert all(r["resource"].startswith(f"{RAW}/") and r["outcome"] == "ok" for r in checks)
    verdict = verify_ledgers(home)
    assert verdict is not None
    assert (verdict.whole, verdict.unrecorded) == (True, ())
    assert "people.csv" not in json.dumps(records(home))


def test_what_a_crash_kept_out_is_named_by_the_check_and_recorded_once_by_the_next_run(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "produced", crash)
        assert ran(home, "raw").exit_code != 0
    assert made(home) == []
    verdict = verify_ledgers(home)
    assert verdict is not None
    assert verdict.unrecorded == (f"restricted/{RAW}",)
    assert chain.store(home).read_note(stage.Zone.RESTRICTED, "people", "raw_people", "verdict") is None
    assert ran(home, "raw").exit_code == 0
    assert made(home) == [("ok", False, True), ("ok", True, False)]
    assert ran(home, "raw").exit_code == 0
    assert made(home)[2:] == [("ok", True, False)]


def test_a_failed_check_and_a_refused_step_are_in_the_ledger(home: Path) -> None:
    write_rows(home, 40, twice=True)
    assert ran(home, "raw").exit_code == 3
    assert made(home) == [("failed", False, False)]
    assert "failed" in {r["outcome"] for r in records(home, "check")}
    assert ran(home, "profile").exit_code in {2, 3}
    (refused,) = (r for r in records(home, "materialise") if r["resource"] == "people/profile")
    assert refused["outcome"] in {"denied", "failed"}
    assert refused["details"]["error"] in {"release_refused", "missing_artifact"}


def test_a_changed_configuration_policy_or_key_is_recorded_when_a_run_first_sees_it(home: Path) -> None:
    for _ in range(2):
        assert ran(home, "raw").exit_code == 0
    assert [len(records(home, a)) for a in ("config.change", "policy.change", "key.rotate")] == [1, 1, 1]
    chain.edit(home, lambda config: config.update(policy="dev_test", seed=8), "people")
    old = (home / "var" / "keys" / "master.key").rename(home / "old.key")
    api.encrypt(Settings(home=home), old_key=old)  # it is recorded as well
    assert ran(home, "raw").exit_code == 0
    assert [len(records(home, a)) for a in ("config.change", "policy.change", "key.rotate")] == [2, 2, 3]


def test_a_step_does_nothing_behind_a_ledger_that_somebody_changed(home: Path) -> None:
    assert ran(home, "raw").exit_code == 0
    store = open_audit_ledger(Settings(home=home)).store
    with store.writing("tampering") as connection:
        connection.exec_driver_sql("UPDATE chain_heads SET hash = 'x'")
    write_rows(home, 50)
    run = ran(home, "raw")
    assert run.exit_code == 3
    assert "audit ledger" in json.dumps(run.error)
