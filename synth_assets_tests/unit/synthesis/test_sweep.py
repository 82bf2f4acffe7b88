"""A sweep over epsilon: every trial is reserved before the first one reads, or none is; what is never reached is given back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from synth_assets.audit.sweep import SweepResult, SweepTrial
from synth_assets.config.dataset import ColumnConfig
from synth_assets.config.sweep import SweepConfig
from synth_assets.errors import BudgetExceededError
from synth_assets.ledger.backends import open_ledger_store
from synth_assets.privacy.budget import BudgetLedger
from synth_assets.reports.sweep_plot import sweep_over_epsilon, sweep_page, sweep_words
from synth_assets.synthesis.charged import Charge
from synth_assets.synthesis.protocol import ReleaseSpec
from synth_assets.synthesis.sweep import sweep_charged
from synth_assets.tables.engine import Engine

CHARGE = Charge(
    population="ward", unit="row", budget_epsilon=3.0, budget_delta=1e-5, label="ward/privacy_sweep", run_id="r1", attempt=0,
    data_version="a" * 64,
)  # fmt: skip


@pytest.fixture
def ledger(tmp_path: Path) -> BudgetLedger:
    return BudgetLedger(open_ledger_store(f"sqlite:///{tmp_path / 'budget.db'}"))


@pytest.fixture
def spec(make_spec: Any, people: pa.Table, people_configs: dict[str, ColumnConfig]) -> ReleaseSpec:
    return ReleaseSpec(tables=(make_spec("people", people, configs=people_configs),), target=("people", "outcome"))


class Unread:
    """An engine that nobody may use."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the data were touched by {name}")


def started(spec: ReleaseSpec, ledger: BudgetLedger, out: Path, engine: Any, **changes: Any) -> Any:
    given: dict[str, Any] = {"epsilons": (0.5, 1.0), "releases": 2, "repetitions": 10_000} | changes
    return sweep_charged(spec, delta=1e-6, charge=CHARGE, ledger=ledger, engine=engine, out=out, **given)


def test_all_trials_are_reserved_before_the_first_reads_and_each_settles(
    spec: ReleaseSpec, ledger: BudgetLedger, tmp_path: Path
) -> None:
    seen, reports = [], {}
    for trial in started(spec, ledger, tmp_path / "out", Engine(threads=1)):
        states = [r.state for r in ledger.status("ward").releases]
        assert len(states) == 4
        seen.append((trial.epsilon, trial.release, states.count("settled")))
        reports[f"{trial.epsilon}/{trial.release}"] = trial.report
    assert seen == [(0.5, 1, 1), (0.5, 2, 2), (1.0, 1, 3), (1.0, 2, 4)]
    assert ledger.status("ward").spent == pytest.approx(1.5, abs=0.3)  # together, at the delta of the budget
    told = ledger.audit(reports)
    assert [r.agrees for r in told] == [True] * 4
    assert sorted(r.release for r in told) == sorted(reports)


def test_a_sweep_that_the_budget_does_not_hold_is_refused_before_anything_is_read(
    spec: ReleaseSpec, ledger: BudgetLedger, tmp_path: Path
) -> None:
    with pytest.raises(BudgetExceededError, match=r"the 4 runs ask for epsilon .* No data was read"):
        next(started(spec, ledger, tmp_path / "out", Unread(), epsilons=(1.0, 3.0)))
    assert ledger.status("ward").releases == ()


def test_trials_that_are_never_reached_are_given_back(spec: ReleaseSpec, ledger: BudgetLedger, tmp_path: Path) -> None:
    sweep = started(spec, ledger, tmp_path / "out", Engine(threads=1), epsilons=(0.5,), releases=3)
    next(sweep)
    sweep.close()
    assert [r.state for r in ledger.status("ward").releases] == ["settled", "released", "released"]


def test_a_fault_of_one_trial_costs_it_and_no_other(spec: ReleaseSpec, ledger: BudgetLedger, tmp_path: Path) -> None:
    sweep = started(spec, ledger, tmp_path / "out", Engine(threads=1), epsilons=(0.5,), releases=3)
    next(sweep)
    (tmp_path / "out" / "0001").write_text("in the way of the second trial")
    with pytest.raises(OSError, match="0001"):
        next(sweep)
    found = ledger.status("ward").releases
    assert [(r.state, r.outcome) for r in found] == [("settled", "done"), ("settled", "failed"), ("released", None)]


# what is asked for, and what is shown


@pytest.mark.parametrize(
    "given", [{"epsilons": []}, {"epsilons": [1, 1]}, {"epsilons": [0]}, {"epsilons": [1], "releases": 0}]
)
def test_a_sweep_that_cannot_be_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="epsilons|releases"):
        SweepConfig.model_validate(given)


def test_epsilons_are_tried_in_order() -> None:
    assert SweepConfig.model_validate({"epsilons": [3, 0.5, 1]}).epsilons == (0.5, 1.0, 3.0)


def result(*scores: tuple[float, int, float | None, float | None, float | None]) -> SweepResult:
    trials = tuple(
        SweepTrial(epsilon=e, release=n, spent=e, fidelity=f, utility=u, attack=a) for e, n, f, u, a in scores
    )
    return SweepResult(dataset="ward <b>", delta=1e-6, population="ward", charged=4.2, trials=trials)


def test_the_words_say_what_the_picture_shows() -> None:
    told = result((0.5, 1, 0.8, 0.7, 0.1), (0.5, 2, 0.9, 0.9, 0.2), (3.0, 1, 0.95, None, 0.12))
    assert told.means("fidelity") == {0.5: (pytest.approx(0.85), 0.8, 0.9), 3.0: (0.95, 0.95, 0.95)}
    words = sweep_words(told)
    assert "epsilon 0.5: fidelity 0.85, utility 0.80, attack 0.15" in words
    assert "epsilon 3: fidelity 0.95, attack 0.12." in words
    picture = sweep_over_epsilon(told)
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 50_000  # as much as Dagster's event log takes
    page = sweep_page(told, picture)
    assert 'alt="Fidelity, utility and worst attack of ward &lt;b&gt;' in page
    assert "<b>" not in page
    assert page.count("<tr>") == 4
    assert "Restricted" in page


def test_a_sweep_without_any_score_is_drawn_and_said_to_have_none() -> None:
    told = result((1.0, 1, None, None, None))
    assert sweep_over_epsilon(told).startswith(b"\x89PNG")
    assert "epsilon 1: no score" in sweep_words(told)
