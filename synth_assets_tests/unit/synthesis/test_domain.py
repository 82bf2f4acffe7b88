"""The domain: declared facts cost nothing, all others are measured, and neighbours have byte-identical domains but for the noise."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from synth_assets.config.dataset import ColumnConfig, ExpectationConfig
from synth_assets.errors import ConfigError
from synth_assets.privacy.mechanisms import InsecureNoise, SystemNoise
from synth_assets.privacy.records import GaussianEvent, ThresholdEvent
from synth_assets.synthesis.domain import fan_out_cells, measure_domain, non_dp_inputs, plan_columns, significant_range
from synth_assets.synthesis.marginals.budget import TableBudget, TableShape
from synth_assets.synthesis.protocol import declared_orders
from synth_assets.tables.marginals import FrameTable
from synth_assets.tables.schema import ColumnKind

CANARY = "canary@example.org"


def budget(sigma: float = 5.0, delta: float = 1e-9, categories: int = 1, bounds: int = 2) -> TableBudget:
    shape = TableShape(columns=2, wide=0, round=0, has_target=False, bounds=bounds, categories=categories)
    return TableBudget(shape=shape, sigma_one=1.0, sigma_domain=sigma, delta_domain=delta)


def rows(extra: dict[str, list[Any]] | None = None) -> pa.Table:
    base: dict[str, list[Any]] = {
        "g": ["x"] * 300 + ["y"] * 200,
        "n": [*range(1, 251)] * 2,
        "d": [date(1990, 1, 1)] * 250 + [date(2010, 6, 1)] * 250,
    }
    for name, values in (extra or {}).items():
        base[name] = base[name] + values
    return pa.table(
        {
            "g": pa.array(base["g"], pa.string()),
            "n": pa.array(base["n"], pa.int64()),
            "d": pa.array(base["d"], pa.date32()),
        }
    )


def domain_bytes(make_spec: Any, table: pa.Table, noise: Any) -> str:
    plans = plan_columns(make_spec("t", table))
    return measure_domain(plans, FrameTable(table, gate=lambda: None), budget(), noise).domain.model_dump_json()


NEIGHBOURS: dict[str, dict[str, list[Any]]] = {
    "a new category": {"g": ["z"], "n": [1], "d": [date(1990, 1, 1)]},
    "a new maximum": {"g": ["x"], "n": [10**9], "d": [date(1990, 1, 1)]},
    "a new minimum": {"g": ["x"], "n": [-(10**9)], "d": [date(1990, 1, 1)]},
    "an early date": {"g": ["x"], "n": [1], "d": [date(1801, 1, 1)]},
    "missing values": {"g": [None], "n": [None], "d": [None]},
}


@pytest.mark.parametrize("extra", NEIGHBOURS.values(), ids=NEIGHBOURS.keys())
def test_neighbours_have_byte_identical_domains_when_the_noise_is_equal(
    make_spec: Any, zero_noise: Any, extra: dict[str, list[Any]]
) -> None:
    assert domain_bytes(make_spec, rows(), zero_noise) == domain_bytes(make_spec, rows(extra), zero_noise)


@pytest.mark.parametrize("name", ["a new maximum", "missing values"])
@pytest.mark.parametrize("seed", range(5))
def test_neighbours_have_byte_identical_domains_under_one_stream_of_noise(make_spec: Any, name: str, seed: int) -> None:
    first = domain_bytes(make_spec, rows(), InsecureNoise(seed))
    assert first == domain_bytes(make_spec, rows(NEIGHBOURS[name]), InsecureNoise(seed))


def test_the_neighbour_test_would_see_a_domain_from_the_data(make_spec: Any, zero_noise: Any) -> None:
    many: dict[str, list[Any]] = {"g": ["z"] * 200, "n": [10**9] * 200, "d": [date(1801, 1, 1)] * 200}
    assert domain_bytes(make_spec, rows(), zero_noise) != domain_bytes(make_spec, rows(many), zero_noise)


def test_frequent_categories_and_the_range_are_found(make_spec: Any) -> None:
    table = rows()
    found = measure_domain(
        plan_columns(make_spec("t", table)), FrameTable(table, gate=lambda: None), budget(), InsecureNoise(0)
    )
    assert found.domain.column("g").categories == ("x", "y")
    assert found.domain.column("g").open
    assert found.domain.column("n").edges[0] <= 60
    assert 200 <= found.domain.column("n").edges[-1] - 1 <= 300
    assert found.domain.column("d").edges[0] == (date(1990, 1, 1) - date(1970, 1, 1)).days
    assert found.domain.column("d").edges[-1] == (date(2011, 1, 1) - date(1970, 1, 1)).days
    gaussian = [e for e in found.events if isinstance(e, GaussianEvent)]
    thresholds = [e for e in found.events if isinstance(e, ThresholdEvent)]
    assert [(e.sigma, e.count) for e in gaussian] == [(5.0, 3)]
    assert len(thresholds) == 1
    assert thresholds[0].delta <= 1e-9


def test_a_rare_value_never_becomes_a_category(make_spec: Any) -> None:
    table = rows({"g": [CANARY], "n": [1], "d": [date(1990, 1, 1)]})
    for _ in range(20):
        found = measure_domain(
            plan_columns(make_spec("t", table)), FrameTable(table, gate=lambda: None), budget(), SystemNoise()
        )
        assert CANARY not in found.domain.model_dump_json()


def test_without_a_threshold_the_rare_value_would_be_shown(make_spec: Any, zero_noise: Any) -> None:
    table = rows({"g": [CANARY] * 40, "n": [1] * 40, "d": [date(1990, 1, 1)] * 40})
    found = measure_domain(
        plan_columns(make_spec("t", table)), FrameTable(table, gate=lambda: None), budget(), zero_noise
    )
    assert CANARY in found.domain.column("g").categories


def test_what_is_declared_is_taken_as_it_is_and_costs_nothing(make_spec: Any, zero_noise: Any) -> None:
    configs = {
        "g": ColumnConfig(categories=("x", "y", "unused")),
        "n": ColumnConfig(lower=0, upper=1000),
        "d": ColumnConfig(lower="1980-01-01", upper="2020-12-31"),
    }
    plans = plan_columns(make_spec("t", rows(), configs=configs))
    assert [p.source for p in plans] == ["declared"] * 3
    found = measure_domain(plans, FrameTable(rows(), gate=lambda: None), budget(), zero_noise)
    assert found.events == ()
    assert found.domain.column("g").categories == ("x", "y", "unused")
    assert (found.domain.column("n").edges[0], found.domain.column("n").edges[-1]) == (0, 1001)


def test_what_init_took_from_the_data_counts_as_undeclared(make_spec: Any) -> None:
    configs = {
        "g": ColumnConfig(categories=("x", "y"), inferred=True),
        "n": ColumnConfig(lower=1, upper=250, inferred=True),
    }
    assert [p.source for p in plan_columns(make_spec("t", rows(), configs=configs))] == [
        "categories",
        "bounds",
        "bounds",
    ]


def test_one_declared_bound_is_kept_and_the_other_is_measured(make_spec: Any) -> None:
    plans = plan_columns(make_spec("t", rows(), configs={"n": ColumnConfig(lower=-7)}))
    found = measure_domain(plans, FrameTable(rows(), gate=lambda: None), budget(), SystemNoise())
    assert found.domain.column("n").edges[0] == -7
    assert found.domain.column("n").edges[-1] > 200


def test_booleans_have_a_public_domain(make_spec: Any) -> None:
    plan = plan_columns(make_spec("t", pa.table({"b": [True, False]})))[0]
    assert (plan.source, plan.domain.categories if plan.domain else ()) == ("declared", ("false", "true"))


def test_inferred_kinds_are_listed_as_inputs_that_are_not_private(make_spec: Any) -> None:
    assert non_dp_inputs(make_spec("t", rows(), inferred=False)) == ()
    listed = non_dp_inputs(make_spec("t", rows(), inferred=True))
    assert len(listed) == 3
    assert listed[1] == "t.n: kind number (int64) was inferred"


@pytest.mark.parametrize(
    "configs",
    [
        {"n": ColumnConfig(lower="many", upper=3)},
        {"d": ColumnConfig(lower="soon", upper="later")},
        {"n": ColumnConfig(lower=5, upper=1)},
        {"n": ColumnConfig(categories=("one",))},
    ],
)
def test_a_wrong_declaration_is_an_error_that_names_the_column(
    make_spec: Any, configs: dict[str, ColumnConfig]
) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_columns(make_spec("t", rows(), configs=configs))
    assert caught.value.column in configs


def test_an_ordered_pair_with_declared_bounds_costs_nothing(make_spec: Any) -> None:
    table = pa.table({"a": pa.array([date(2020, 1, 1)], pa.date32()), "b": pa.array([date(2020, 1, 3)], pa.date32())})
    bounds = ColumnConfig(lower="2020-01-01", upper="2020-12-31")
    first, second = plan_columns(make_spec("t", table, configs={"a": bounds, "b": bounds}, orders=[("a", "b")]))
    assert (first.source, second.source) == ("declared", "declared")
    assert second.domain is not None
    assert (second.domain.minus, second.domain.edges[0], second.domain.edges[-1]) == ("a", 0, 367)


def test_the_contract_says_which_pairs_are_ordered() -> None:
    contract = [
        ExpectationConfig(
            expect="column_pair_values_a_to_be_greater_than_b",
            column_A="out",
            column_B="in",
            or_equal=True,
        ),
        ExpectationConfig(expect="column_values_to_not_be_null", column="in"),
    ]
    assert declared_orders(contract) == (("in", "out"),)


def test_an_ordered_pair_must_have_one_type(make_spec: Any) -> None:
    with pytest.raises(ConfigError):
        plan_columns(make_spec("t", rows(), orders=[("n", "d")]))


def test_a_text_of_digits_is_a_category_and_not_a_number(make_spec: Any) -> None:
    table = pa.table({"zip": ["01234"] * 5})
    assert plan_columns(make_spec("t", table, kinds={"zip": ColumnKind.TEXT}))[0].source == "categories"


def test_a_range_is_what_stands_out_of_the_noise() -> None:
    noisy = np.array([0, 3, -4, 100, 2, 80, 1, -2, 0, 0])
    assert significant_range(noisy, 5.0) == (3, 5)
    spread = np.array([0] * 10 + [12] * 32 + [0] * 10)  # no cell stands out alone, all together do
    assert significant_range(spread, 10.0) == (10, 41)


def test_where_nothing_stands_out_there_is_a_public_default_and_a_note(make_spec: Any) -> None:
    assert significant_range(np.zeros(20, dtype=np.int64), 5.0) is None
    table = rows().slice(0, 3)
    found = measure_domain(
        plan_columns(make_spec("t", table)), FrameTable(table, gate=lambda: None), budget(), SystemNoise()
    )
    assert (found.domain.column("n").edges[0], found.domain.column("n").edges[-1]) == (0, 1001)
    assert found.domain.column("g").categories == ()
    assert len(found.notes) == 3
    assert all("declare" in note for note in found.notes)


def test_the_number_of_children_has_a_public_bound() -> None:
    cells = fan_out_cells("#c", 100)
    assert cells.edges[:6] == (0, 1, 2, 3, 4, 5)
    assert cells.edges[-1] == 101
