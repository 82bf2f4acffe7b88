"""The plan of the budget: computed from public facts, within epsilon, and the same for every group of tables."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.errors import ConfigError, InputError
from synth_assets.privacy.accounting import epsilon_spent, zcdp_rho
from synth_assets.privacy.records import ExponentialEvent, GaussianEvent, ThresholdEvent
from synth_assets.synthesis.marginals.budget import TableShape, pair_count, plan_table
from synth_assets.synthesis.marginals.options import MarginalOptions
from synth_assets.synthesis.protocol import ReleaseSpec, TableSpec
from synth_assets.synthesis.release_plan import derived, plan_release

OPTIONS = MarginalOptions()
shapes = st.builds(
    TableShape,
    columns=st.integers(1, 40),
    wide=st.integers(0, 5),
    round=st.integers(0, 5),
    has_target=st.booleans(),
    bounds=st.integers(0, 3),
    categories=st.integers(0, 3),
    max_per_unit=st.integers(1, 12),
).filter(lambda s: s.columns > 1 or not s.has_target)


@given(shape=shapes, rho=st.floats(0.001, 2))
def test_the_steps_of_a_table_use_its_budget_and_no_more(shape: TableShape, rho: float) -> None:
    events = plan_table(shape, rho, OPTIONS, delta_domain=1e-8).events()
    assert 0.9 * rho <= zcdp_rho(events) <= rho * (1 + 1e-9)
    assert all(e.l2_sensitivity == shape.max_per_unit for e in events if isinstance(e, GaussianEvent))


def test_a_table_without_pairs_spends_everything_on_its_columns() -> None:
    budget = plan_table(TableShape(columns=1, wide=0, round=0, has_target=False), 0.5, OPTIONS)
    assert budget.pairs == 0
    assert budget.sigma_one == pytest.approx(1.0)  # 1 / (2 sigma^2) = 0.5


def test_more_rows_per_unit_mean_fewer_tables_of_pairs() -> None:
    shapes = [TableShape(columns=20, wide=0, round=0, has_target=False, max_per_unit=m) for m in (1, 3)]
    assert pair_count(shapes[0], 0.02, OPTIONS) == 60
    assert pair_count(shapes[1], 0.02, OPTIONS) == 20


@pytest.mark.parametrize("epsilon", [0.3, 1.0, 8.0])
def test_the_events_of_a_release_cost_what_was_asked_for(family: list[TableSpec], epsilon: float) -> None:
    plan = plan_release(ReleaseSpec(tables=tuple(family), unit=("patients", "id")), epsilon=epsilon, delta=1e-6)
    assert 0.999 * epsilon <= epsilon_spent(plan.events, 1e-6) <= epsilon


def test_a_plan_does_not_read_the_data(family: list[TableSpec]) -> None:
    gone = [
        t.model_copy(update={"path": t.path / "nowhere", "table": t.table.model_copy(update={"row_count": 10**9})})
        for t in family
    ]
    plans = [
        plan_release(ReleaseSpec(tables=tuple(ts), unit=("patients", "id")), epsilon=1, delta=1e-6)
        for ts in (family, gone)
    ]
    assert plans[0].events == plans[1].events


def test_no_group_of_tables_costs_more_than_the_events_of_the_release(
    family: list[TableSpec], make_spec: Any, people: Any
) -> None:
    reference = make_spec("survey", people)  # undeclared bounds and categories, no way to the unit
    spec = ReleaseSpec(tables=(*family, reference), unit=("patients", "id"))
    plan = plan_release(spec, epsilon=1, delta=1e-6)
    limit = epsilon_spent(plan.events, 1e-6)
    selections = [e for e in plan.events if isinstance(e, ExponentialEvent)]
    for name in ("doctors", "survey"):
        events = plan.table(name).budget.events()
        assert epsilon_spent(events, 1e-6) <= limit
        gaussian = sum(e.count * (e.l2_sensitivity / e.sigma) ** 2 for e in events if isinstance(e, GaussianEvent))
        assert gaussian <= sum(
            e.count * (e.l2_sensitivity / e.sigma) ** 2 for e in plan.events if isinstance(e, GaussianEvent)
        )
        for event in (e for e in events if isinstance(e, ExponentialEvent)):
            assert any(event.epsilon <= s.epsilon and event.count <= s.count for s in selections)
        delta = sum(e.count * e.delta for e in events if isinstance(e, ThresholdEvent))
        assert delta <= sum(e.count * e.delta for e in plan.events if isinstance(e, ThresholdEvent)) * (1 + 1e-9)


def test_a_child_hangs_on_the_parent_that_tells_most(family: list[TableSpec]) -> None:
    plan = plan_release(
        ReleaseSpec(tables=tuple(family), unit=("patients", "id"), target=("patients", "sick")), epsilon=1, delta=1e-6
    )
    follows = {t.name: t.follows.parent_table if t.follows else None for t in plan.tables}
    assert follows == {"patients": None, "visits": "patients", "bills": "visits", "doctors": None}
    assert plan.table("patients").fan_outs == {"#visits": "visits"}
    assert plan.table("bills").context == {"^#bills": "#bills", "^place": "place"}
    assert plan.contribution_bounds == {"patients": 1, "visits": 1, "bills": 1, "doctors": 1}
    assert any("doctors" in note and "one row" in note for note in plan.notes)


def test_a_declared_contribution_bound_is_kept(make_spec: Any, family: list[TableSpec]) -> None:
    changed = [t.model_copy(update={"max_per_unit": 4}) if t.name == "visits" else t for t in family]
    plan = plan_release(ReleaseSpec(tables=tuple(changed), unit=("patients", "id")), epsilon=1, delta=1e-6)
    assert plan.contribution_bounds["visits"] == 4
    assert all(e.l2_sensitivity == 4 for e in plan.table("visits").budget.events() if isinstance(e, GaussianEvent))


def test_several_rows_of_a_unit_in_its_own_table_have_a_default_bound(make_spec: Any, people: Any) -> None:
    import pyarrow as pa

    visits = people.append_column("person", pa.array([i // 3 for i in range(len(people))])).append_column(
        "_unit", pa.array(["u"] * len(people))
    )
    spec = make_spec("visits", visits, columns=("group",))
    plan = plan_release(ReleaseSpec(tables=(spec,), unit=("visits", "person")), epsilon=1, delta=1e-6)
    assert plan.contribution_bounds == {"visits": 10}


def test_without_a_unit_the_report_says_that_one_row_is_protected(make_spec: Any, people: Any) -> None:
    plan = plan_release(ReleaseSpec(tables=(make_spec("people", people),)), epsilon=1, delta=1e-6)
    assert plan.notes[0] == "Unit of privacy: one row of one table, since no unit is declared."


def test_a_table_of_the_unit_needs_a_column_that_says_whose_row_it_is(family: list[TableSpec]) -> None:
    changed = [t.model_copy(update={"unit_column": None}) if t.name == "visits" else t for t in family]
    with pytest.raises(ConfigError, match="which unit"):
        plan_release(ReleaseSpec(tables=tuple(changed), unit=("patients", "id")), epsilon=1, delta=1e-6)


@pytest.mark.parametrize(("epsilon", "delta"), [(0.0, 1e-6), (-1.0, 1e-6), (1.0, 0.0), (1.0, 1.0)])
def test_impossible_targets_are_refused(make_spec: Any, people: Any, epsilon: float, delta: float) -> None:
    with pytest.raises(InputError):
        plan_release(ReleaseSpec(tables=(make_spec("people", people),)), epsilon=epsilon, delta=delta)


def test_a_specification_that_contradicts_itself_is_refused(make_spec: Any, people: Any) -> None:
    spec = make_spec("people", people)
    for wrong in (
        ReleaseSpec(tables=()),
        ReleaseSpec(tables=(spec, spec)),
        ReleaseSpec(tables=(spec,), unit=("others", "id")),
        ReleaseSpec(tables=(spec,), target=("others", "x")),
        ReleaseSpec(tables=(spec.model_copy(update={"columns": ("ghost",)}),)),
    ):
        with pytest.raises(ConfigError):
            plan_release(wrong, epsilon=1, delta=1e-6)


def test_derived_names_never_meet_a_column() -> None:
    assert derived("#", "visits", set()) == "#visits"
    assert derived("#", "visits", {"#visits", "##visits"}) == "###visits"
