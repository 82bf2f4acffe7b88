"""The budget in runs of the chain: refused before anything is read, won by exactly one of two, never forgotten."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from synth_assets.api import open_budget
from synth_assets.automation.runner import select
from synth_assets.privacy.accounting import epsilon_spent
from synth_assets.storage.artifacts import Zone
from synth_assets_tests import chain

ROWS = 600


people = functools.partial(chain.people, rows=ROWS)
UNTIL_MEASURED = ["raw", "pii_classification", "split", "dp_measurements"]
RUN = """
import sys, time
from pathlib import Path
from synth_assets_tests import chain
home, name, stages, at = Path(sys.argv[1]), sys.argv[2], sys.argv[3].split(","), float(sys.argv[4])
import synth_assets.synthesis.charged, synth_assets.tables.engine_marginals, torch  # so that both are ready at the same time
time.sleep(max(0.0, at - time.time()))
done = chain.run(home, name, stages=stages)
print(done.exit_code, done.error["code"] if done.error else "")
"""
HANG = """
import sys, time
from pathlib import Path
from synth_assets_tests import chain
import synth_assets.synthesis.release_measure as release_measure
home = Path(sys.argv[1])
real = release_measure.measure
def hang(source, *args, **options):
    source.counts([()])
    (home / "reading").touch()
    time.sleep(600)
release_measure.measure = hang
chain.run(home, "people", stages=sys.argv[2].split(","))
"""


def start(home: Path, code: str, *arguments: str) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(chain.ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", code, str(home), *arguments], cwd=home, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.fixture
def spied(monkeypatch) -> list[str]:
    """Every way to rows that is taken while the measurements step runs."""
    import synth_assets.synthesis.charged as charged
    from synth_assets.tables.engine import Engine

    taken: list[str] = []
    inside: list[str] = []
    measure, session = charged.measure_charged, Engine.session

    def measured(*args, **options):
        inside.append("step")
        try:
            return measure(*args, **options)
        finally:
            inside.pop()

    def opened(self):
        if inside:
            taken.append("session")
        return session(self)

    monkeypatch.setattr(charged, "measure_charged", measured)
    monkeypatch.setattr(Engine, "session", opened)
    return taken


def test_a_budget_that_does_not_suffice_is_refused_before_any_data_is_read(tmp_path: Path, spied: list[str]) -> None:
    home = tmp_path / "home"
    people(home, "people", epsilon=2, budget=1)
    done = chain.run(home, "people")
    assert done.exit_code == 4
    assert done.error["code"] == "budget"
    assert "No data was read" in done.error["message"]
    assert spied == []
    assert done.assets["masked_people"].state == "done"  # what needs no budget goes on
    assert {done.assets[a].state for a in ("model_dp_marginals", "audit_dp_marginals", "report", "export_csv")} == {
        "skipped"
    }
    status = open_budget(home).status("people")
    assert (status.spent, status.reserved, status.releases) == (0, 0, ())
    people(home, "people", epsilon=0.9, budget=1)
    again = chain.run(home, "people", stages=["dp_measurements"])
    assert again.exit_code == 0
    assert spied == ["session"]
    assert 0 < again.assets["dp_measurements"].metadata["epsilon_spent"] <= 0.9


def test_an_exceeded_budget_leaves_the_earlier_release_and_its_readers_alone(home: Path) -> None:
    before = chain.store(home).current(Zone.RELEASE, "clinic", "dp_measurements")
    chain.edit(home, lambda c: c["synthesizers"][0].update(epsilon=9))
    done = chain.run(home, stages=["dp_measurements"])
    assert done.exit_code == 4
    assert chain.store(home).current(Zone.RELEASE, "clinic", "dp_measurements") == before
    chain.edit(home, lambda c: c["synthesizers"][0].update(epsilon=6))
    assert all(a.reused for a in chain.run(home, stages=["dp_measurements", "model"]).assets.values())


def test_two_runs_that_compete_for_the_last_of_a_budget_exactly_one_wins(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for seed, name in enumerate(("first", "second")):
        people(home, name, epsilon=0.95, budget=1, population="town", seed=seed)
    for name in ("first", "second"):
        assert chain.run(home, name, stages=UNTIL_MEASURED[:-1]).exit_code == 0
    at = str(time.time() + 12)
    runs = [start(home, RUN, name, "dp_measurements", at) for name in ("first", "second")]
    told = [run.communicate(timeout=250) for run in runs]
    assert sorted(out.strip() for out, _ in told) == ["0", "4 budget"], told
    status = open_budget(home).status("town")
    assert [r.state for r in status.releases] == ["settled"]
    assert status.spent + status.left == pytest.approx(1)
    written = [chain.store(home).find(Zone.RELEASE, n, "dp_measurements") for n in ("first", "second")]
    assert sum(w is not None for w in written) == 1


@pytest.mark.parametrize("lost", ["ledger gone", "ledger of somebody else"])
def test_releases_without_their_ledger_are_an_error_and_no_fresh_start(home: Path, lost: str) -> None:
    shutil.rmtree(home / "var" / "ledger")
    if lost == "ledger of somebody else":
        open_budget(home).declare("others", "row", 10, 1e-5)
    done = chain.run(home)
    assert done.exit_code == 3
    assert done.error["code"] == "release_refused"
    assert "ledger" in done.error["message"]
    assert done.assets["model_dp_marginals"].state == "skipped"
    assert open_budget(home).is_new == (lost == "ledger gone")


def test_a_ledger_that_is_older_than_the_release_is_an_error(home: Path) -> None:
    older = home / "older"
    shutil.copytree(home / "var" / "ledger", older)
    chain.edit(home, lambda c: c["synthesizers"][0].update(epsilon=2))
    assert chain.run(home, stages=["dp_measurements"]).exit_code == 0
    shutil.rmtree(home / "var" / "ledger")
    older.rename(home / "var" / "ledger")
    done = chain.run(home, stages=["dp_measurements"])
    assert (done.exit_code, done.error["code"]) == (3, "release_refused")


def test_a_run_killed_while_it_reads_has_spent_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    home = tmp_path / "home"
    people(home, "people", epsilon=1, budget=3)
    killed = start(home, HANG, ",".join(UNTIL_MEASURED))
    deadline = time.monotonic() + 200
    while not (home / "reading").exists():
        assert killed.poll() is None, killed.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    killed.kill()
    killed.communicate()

    status = open_budget(home).status("people")
    assert [r.state for r in status.releases] == ["reading"]
    assert status.reserved > 0.5
    assert status.left < 3 - 0.5
    assert chain.store(home).find(Zone.RELEASE, "people", "dp_measurements") is None
    released = home / "var" / "release"
    assert not released.exists() or not [p for p in released.rglob("*") if p.is_file()]
    left_over = list((home / "var").rglob(".staging-*"))
    assert all(p.is_relative_to(home / "var" / "restricted") for p in left_over)

    done = chain.run(home, "people", stages=[*UNTIL_MEASURED, "model"])
    assert done.exit_code == 0
    assert done.assets["split"].reused
    assert not list((home / "var").rglob(".staging-*"))
    after = open_budget(home).status("people")
    assert [(r.state, r.outcome) for r in after.releases] == [("settled", "failed"), ("settled", "done")]
    assert after.releases[0].epsilon == status.releases[0].epsilon  # in full: what was drawn before the kill is lost
    assert open_budget(home).verify().whole
    assert after.left < status.left
    with chain.instance(home) as instance:
        states = {run.status.value for run in instance.get_runs()}
    assert states == {"SUCCESS", "FAILURE"}  # the killed run does not look alive for ever


def test_the_head_of_the_ledger_is_in_the_report_and_in_dagster_and_a_limit_of_one_release_holds(home: Path) -> None:
    from synth_assets.api.spending import reports_of_releases

    chain.edit(home, lambda c: c["budget"].update(per_release=5.5))
    chain.edit(home, lambda c: c["synthesizers"][0].update(epsilon=5))
    done = chain.run(home, stages=["dp_measurements"])
    assert done.exit_code == 0
    head = done.assets["dp_measurements"].metadata["budget_ledger_head"]
    found = reports_of_releases(home)
    assert head in found.heads
    assert found.unreadable == ()
    assert open_budget(home).verify(found.heads).whole
    assert [(r.agrees, r.reason) for r in open_budget(home).audit(found.reports)] == [(True, None)] * 2
    chain.edit(home, lambda c: c["synthesizers"][0].update(epsilon=6.5))
    refused = chain.run(home, stages=["dp_measurements"])
    assert (refused.exit_code, refused.error["key"]) == (4, "budget.per_release")


def test_the_budget_is_plotted_over_time_and_a_ledger_that_was_cut_off_blocks(tmp_path: Path) -> None:
    import sqlite3

    home = tmp_path / "home"
    for epsilon in (0.6, 1):
        people(home, "people", epsilon=epsilon, budget=3)
        done = chain.run(home, "people", stages=[*UNTIL_MEASURED, "privacy_budget"])
        assert done.exit_code == 0
    told = done.assets["privacy_budget"].metadata
    assert (told["releases"], told["budget"]) == (2, 3)
    assert 1 < told["budget_spent"] < 1.6
    assert told["budget_spent"] + told["budget_left"] == pytest.approx(3, abs=2e-4)
    assert told["ledger_head"] == open_budget(home).verify().head
    assert "data:image/png;base64," in str(told["over_time"])
    history = open_budget(home).history("people")
    assert [p.state for p in history] == ["settled", "settled"]
    assert history[0].counted < history[1].counted == open_budget(home).status("people").spent

    again = chain.run(home, "people", stages=["privacy_budget"])
    assert (again.exit_code, again.assets["privacy_budget"].reused) == (0, True)

    with sqlite3.connect(home / "var" / "ledger" / "budget.db") as ledger:
        ledger.execute("DROP TRIGGER budget_log_no_update")
        ledger.execute("UPDATE budget_log SET at = 'then' WHERE position = 2")
    done = chain.run(home, "people", stages=["privacy_budget"])
    assert {(c.asset, c.check) for c in done.failed_checks} == {("privacy_budget", "ledger")}

    with sqlite3.connect(home / "var" / "ledger" / "budget.db") as ledger:
        ledger.execute("DROP TRIGGER budget_log_no_delete")
        ledger.execute("DELETE FROM budget_log WHERE position = (SELECT MAX(position) FROM budget_log)")
    ledger.close()
    done = chain.run(home, "people", stages=["privacy_budget"])
    assert done.exit_code == 3
    assert {(c.asset, c.check) for c in done.failed_checks} == {("privacy_budget", "ledger")}


def test_the_plan_of_a_dataset_that_ran_is_what_the_run_reserved(tmp_path: Path) -> None:
    from synth_assets.api.planning import plan_privacy

    home = tmp_path / "home"
    people(home, "people", epsilon=1, budget=3)
    file = home / "configs" / "datasets" / "people.yaml"
    before = plan_privacy(file, home=home)
    assert (before.columns_from, before.budget.counted) == ("configuration", 0)
    assert chain.run(home, "people", stages=UNTIL_MEASURED).exit_code == 0
    after = plan_privacy(file, home=home)
    (release,) = open_budget(home).status("people").releases
    assert after.columns_from == "last split"
    assert epsilon_spent(after.releases[0].events, 1e-5) == release.epsilon == after.budget.counted
    assert after.budget.counted < after.budget.after


def executed_again(home: Path, parent: str, stages: list[str]) -> dg.ExecuteInProcessResult:
    """As Dagster's UI executes a run again: with its tags, and two that name it."""
    with chain.instance(home) as instance:
        before = instance.get_run_by_id(parent)
        assert before is not None
        again = {"dagster/parent_run_id": parent, "dagster/root_run_id": before.tags.get("dagster/root_run_id", parent)}
        defs = chain.definitions(home)
        return defs.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance, asset_selection=select(defs, "people", stages), raise_on_error=False,
            tags={**before.tags, **again},
        )  # fmt: skip


def releases(home: Path) -> int:
    return len(open_budget(home).status("people").releases)


def test_a_fresh_run_that_is_executed_again_pays_for_nothing_that_it_has_measured(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    people(home, "people", epsilon=1, budget=12)
    assert chain.run(home, "people", stages=UNTIL_MEASURED).exit_code == 0
    fresh = chain.run(home, "people", stages=UNTIL_MEASURED, fresh=True)
    assert fresh.exit_code == 0
    assert not any(a.reused for a in fresh.assets.values())
    assert releases(home) == 2
    again = executed_again(home, fresh.run_id, UNTIL_MEASURED)
    assert again.success
    assert executed_again(home, again.run_id, UNTIL_MEASURED).success
    assert releases(home) == 2
    with (home / "configs" / "datasets" / "people.csv").open("a") as more:
        more.write("90001,44,F,1\n")
    assert chain.run(home, "people", stages=UNTIL_MEASURED).exit_code == 0
    assert releases(home) == 3  # other data
    assert executed_again(home, fresh.run_id, UNTIL_MEASURED).success
    assert releases(home) == 3  # what it asked for was done long ago


def test_a_fresh_run_that_broke_off_goes_on_fresh_but_uses_what_it_has_made_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, stages = tmp_path / "home", [*UNTIL_MEASURED, "model"]
    people(home, "people", epsilon=1, budget=12)
    assert chain.run(home, "people", stages=UNTIL_MEASURED).exit_code == 0

    def breaks(*_: object, **__: object) -> None:
        raise OSError

    with monkeypatch.context() as broken:
        broken.setattr("synth_assets.synthesis.charged.measure_charged", breaks)
        before_it_paid = chain.run(home, "people", stages=stages, fresh=True)
    assert before_it_paid.exit_code == 1
    assert releases(home) == 1
    with monkeypatch.context() as broken:
        broken.setattr("synth_assets.assets.models._fit_private", breaks)
        after_it_paid = executed_again(home, before_it_paid.run_id, stages)
    assert not after_it_paid.success
    assert releases(home) == 2  # measured anew, as was asked
    assert executed_again(home, after_it_paid.run_id, stages).success
    assert releases(home) == 2
