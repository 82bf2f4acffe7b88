"""The attacks on a planned release: they pass an honest one, reject every planted fault, and a refusal costs nothing."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from synth_assets.config.dataset import ColumnConfig
from synth_assets.errors import CheckFailedError, InputError
from synth_assets.ledger.backends import open_ledger_store
from synth_assets.privacy.budget import BudgetLedger
from synth_assets.privacy.empirical.bounds import claimed_mu
from synth_assets.privacy.empirical.noise import attack_noise
from synth_assets.privacy.empirical.words import bound_words, failed_words
from synth_assets.privacy.mechanisms import SystemNoise
from synth_assets.synthesis import domain as domains
from synth_assets.synthesis.charged import Charge, measure_charged
from synth_assets.synthesis.empirical import attack_domain, attack_plan, neighbour
from synth_assets.synthesis.protocol import ReleaseSpec, TableSpec
from synth_assets.synthesis.release import plan_release
from synth_assets.synthesis.release_plan import ReleasePlan
from synth_assets.tables.cells import category_cells, number_cells
from synth_assets.tables.engine import Engine
from synth_assets_tests.unit.privacy.faults import BROKEN, NoNoise, Redrawing

LEAST = 10_000


def plan_of(spec: ReleaseSpec, *, epsilon: float = 1.0) -> ReleasePlan:
    return plan_release(spec, epsilon=epsilon, delta=1e-6)


@pytest.fixture
def undeclared(make_spec: Any, people: pa.Table) -> ReleaseSpec:
    """One table, nothing declared."""
    return ReleaseSpec(tables=(make_spec("people", people),), target=("people", "outcome"))


@pytest.fixture
def declared(make_spec: Any, people: pa.Table, people_configs: dict[str, ColumnConfig]) -> ReleaseSpec:
    """The same table with a public domain."""
    return ReleaseSpec(tables=(make_spec("people", people, configs=people_configs),), target=("people", "outcome"))


@pytest.fixture
def related(family: list[TableSpec]) -> ReleaseSpec:
    """Related tables, one of them outside the unit of privacy."""
    return ReleaseSpec(tables=tuple(family), unit=("patients", "id"), target=("patients", "sick"))


@pytest.mark.parametrize("which", ["undeclared", "declared", "related"])
def test_an_honest_release_passes(which: str, request: pytest.FixtureRequest) -> None:
    plan = plan_of(request.getfixturevalue(which), epsilon=5.0)
    found = attack_plan(plan, SystemNoise(), repetitions=2 * LEAST)
    assert found.passed
    assert found.epsilon_claimed <= 5
    assert 0.5 < found.mu_lower / found.mu_claimed < 1
    assert 0 < found.epsilon_lower < found.epsilon_claimed
    groups = 2 if which == "related" else 1
    assert (len(found.noise), len(found.domain)) == (groups, 2 * groups)
    assert all(n.mu_claimed == pytest.approx(claimed_mu(plan.events)) for n in found.noise)
    assert "of the" in bound_words(found)


@pytest.mark.parametrize("fault", [f for f in BROKEN if f != "one scale without noise"])
def test_a_release_with_broken_noise_is_rejected(fault: str, declared: ReleaseSpec) -> None:
    found = attack_plan(plan_of(declared, epsilon=5.0), BROKEN[fault], repetitions=2 * LEAST)
    assert not found.passed
    assert "is claimed" in failed_words(found)


def every_category(plan: Any, table: Any, sigma: float, delta: float, steps: Any) -> tuple[Any, Any]:
    texts, counts = table.frequencies(plan.name, plan.dtype)
    steps.noisy(counts, sigma)
    from synth_assets.privacy.records import ThresholdEvent

    return category_cells(plan.name, plan.dtype, tuple(texts), is_open=True), ThresholdEvent(delta=delta)


def largest_value(real: Any) -> Any:
    def found(plans: Any, table: Any, sigma: float, steps: Any, notes: Any) -> Any:
        made = real(plans, table, sigma, steps, notes)
        for plan in plans:
            if plan.kind == "number":
                texts, _ = table.frequencies(plan.name, plan.dtype)
                values = [float(t) for t in texts]
                made[plan.name] = number_cells(plan.name, plan.dtype, min(values), max(values))
        return made

    return found


def missing_only_where_there_is_one(real: Any) -> Any:
    def found(plan: Any, table: Any, *rest: Any) -> Any:
        domain, event = real(plan, table, *rest)
        _, counts = table.frequencies(plan.name, plan.dtype)
        return domain.model_copy(update={"open": table._table.num_rows > counts.sum()}), event

    return found


@pytest.mark.parametrize("fault", ["categories", "bounds", "missing"])
def test_a_domain_that_is_read_from_the_data_is_rejected_in_twenty_of_twenty(
    fault: str, undeclared: ReleaseSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(undeclared)
    real_bounds, real_categories = domains._find_bounds, domains._find_categories
    if fault == "categories":
        monkeypatch.setattr(domains, "_find_categories", every_category)
    elif fault == "bounds":
        monkeypatch.setattr(domains, "_find_bounds", largest_value(real_bounds))
    else:
        monkeypatch.setattr(domains, "_find_categories", missing_only_where_there_is_one(real_categories))
    mu = claimed_mu(plan.events)
    kind = "missing" if fault == "missing" else "extreme"
    found = [attack_domain(plan.tables, SystemNoise(), kind, mu=mu, alpha=1e-4) for _ in range(20)]
    assert not any(f.passed for f in found)
    assert found[0].mu_lower > mu


def test_the_neighbour_has_one_unit_more_with_all_rows_it_may_have(related: ReleaseSpec) -> None:
    for table in plan_of(related).tables:
        usual, more = neighbour(table, None), neighbour(table, "extreme")
        assert more.num_rows - usual.num_rows == table.max_per_unit
        assert more.slice(0, usual.num_rows).equals(usual)


def test_too_few_repetitions_are_refused(declared: ReleaseSpec) -> None:
    with pytest.raises(InputError, match="10,000"):
        attack_plan(plan_of(declared), SystemNoise(), repetitions=LEAST - 1)


def test_a_release_that_fails_the_attack_reads_nothing_and_spends_nothing(
    declared: ReleaseSpec, tmp_path: Path
) -> None:
    ledger = BudgetLedger(open_ledger_store(f"sqlite:///{tmp_path / 'budget.db'}"))
    gone = tuple(t.model_copy(update={"path": tmp_path / "nowhere"}) for t in declared.tables)
    charge = Charge(
        population="p",
        unit="row",
        budget_epsilon=1.0,
        budget_delta=1e-6,
        label="l",
        run_id="r",
        attempt=0,
        data_version="v",
    )
    with pytest.raises(CheckFailedError, match="No data was read and no budget was spent"):
        measure_charged(
            declared.model_copy(update={"tables": gone}), epsilon=1.0, delta=1e-6, charge=charge, ledger=ledger,
            engine=Engine(threads=1), out=tmp_path / "out", noise=NoNoise(), repetitions=LEAST,
        )  # fmt: skip
    assert ledger.populations() == ()


def test_the_report_of_a_release_holds_the_lower_bound_beside_the_claim(declared: ReleaseSpec, tmp_path: Path) -> None:
    ledger = BudgetLedger(open_ledger_store(f"sqlite:///{tmp_path / 'budget.db'}"))
    charge = Charge(
        population="p",
        unit="row",
        budget_epsilon=1.0,
        budget_delta=1e-6,
        label="l",
        run_id="r",
        attempt=0,
        data_version="v",
    )
    report = measure_charged(
        declared, epsilon=1.0, delta=1e-6, charge=charge, ledger=ledger, engine=Engine(threads=1), out=tmp_path / "out",
        repetitions=LEAST,
    )  # fmt: skip
    assert report.empirical is not None
    assert report.empirical.passed
    assert report.empirical.epsilon_claimed == pytest.approx(report.spent.epsilon)
    assert report.epsilon_lower_bound == report.empirical.epsilon_lower <= report.spent.epsilon
    assert np.isclose(report.empirical.mu_claimed, claimed_mu(report.events), rtol=1e-6)


def test_a_retry_after_a_crash_is_attacked_with_both_draws_and_the_ledger_has_counted_both(
    declared: ReleaseSpec, tmp_path: Path
) -> None:
    """Who sees the answers of both attempts breaks the claim of one plan, and not that of all that the ledger counts."""
    plan = plan_of(declared, epsilon=5.0)
    ledger = BudgetLedger(open_ledger_store(f"sqlite:///{tmp_path / 'budget.db'}"))
    ledger.declare("p", "row", 20.0, 1e-6)
    for attempt in range(2):
        held = ledger.reserve(
            "p", events=plan.events, label="l", measurement_key="0" * 64, run_id="r", attempt=attempt
        )  # fmt: skip
        ledger.begin_reading(held)
    ledger.settle(held, plan.events, reference="0" * 64)  # the first attempt was killed while it read
    counted = [e for release in ledger.status("p").releases for e in release.events]
    drawn = {"noise": SystemNoise(), "repetitions": 2 * LEAST, "steps": Redrawing}
    both = attack_noise(plan.events, claim=counted, alpha=1e-9, **drawn)
    one = attack_noise(plan.events, **drawn)
    assert both.mu_lower <= both.mu_claimed == pytest.approx(math.sqrt(2) * one.mu_claimed)
    assert one.mu_lower > one.mu_claimed
