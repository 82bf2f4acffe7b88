"""Measuring: noise on every number, no more mechanisms than planned, sensitivity as declared, odd tables survive."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from synth_assets.errors import BudgetExceededError, InputError, UnexpectedError
from synth_assets.privacy.accounting import compose, epsilon_spent
from synth_assets.privacy.mechanisms import InsecureNoise, SystemNoise
from synth_assets.privacy.records import ExponentialEvent, GaussianEvent
from synth_assets.synthesis.marginals.budget import TableBudget
from synth_assets.synthesis.marginals.fit import fit
from synth_assets.synthesis.marginals.measurements import Measurements
from synth_assets.synthesis.marginals.model import MarginalModel
from synth_assets.synthesis.marginals.options import MarginalOptions
from synth_assets.synthesis.marginals.sample import sample_table
from synth_assets.synthesis.marginals.select_measure import join_axis, measure
from synth_assets.synthesis.one_table import plan_single, synthesize_table
from synth_assets.tables.cells import TableDomain, category_cells, number_cells
from synth_assets.tables.marginals import FrameTable

DOMAIN = TableDomain(
    columns=(
        category_cells("group", "string", ("a", "b", "c")),
        number_cells("score", "int64", 0, 100),
        number_cells("amount", "double", 0, 5000),
        category_cells("outcome", "bool", ("false", "true")),
    )
)


def open_gate() -> None:
    """A reservation is open."""


def run(
    table: pa.Table,
    options: MarginalOptions,
    noise: Any = None,
    *,
    target: str | None = "outcome",
    epsilon: float = 2.0,
) -> Measurements:
    budget = plan_single(DOMAIN, epsilon=epsilon, delta=1e-6, target=target, options=options)
    source = FrameTable(table, gate=open_gate).marginals(DOMAIN)
    return measure(source, budget, noise or SystemNoise(), target=target, options=options)


def as_planned(budget: TableBudget, measured: Measurements) -> bool:
    """Whether every event was planned, and no more of it."""
    planned = {
        (e.kind, e.sigma if isinstance(e, GaussianEvent) else e.epsilon): e.count
        for e in compose(budget.events())
        if isinstance(e, GaussianEvent | ExponentialEvent)
    }
    real = {
        (e.kind, e.sigma if isinstance(e, GaussianEvent) else e.epsilon): e.count
        for e in compose(measured.events)
        if isinstance(e, GaussianEvent | ExponentialEvent)
    }
    return all(count <= planned.get(key, 0) for key, count in real.items())


def test_what_ran_was_planned_and_costs_no_more(people: pa.Table, quick: MarginalOptions) -> None:
    measured = run(people, quick)
    assert as_planned(measured.budget, measured)
    assert epsilon_spent(measured.events, 1e-6) <= epsilon_spent(measured.budget.events(), 1e-6) <= 2.0


def test_every_stored_number_is_a_noisy_integer(people: pa.Table, quick: MarginalOptions) -> None:
    exact = FrameTable(people, gate=open_gate).marginals(DOMAIN)
    measured = run(people, quick)
    tables = [*measured.ones.values(), *measured.blocks.values(), *measured.rounds.values(), *measured.targets]
    tables += [p.values for p in measured.pairs]
    assert len(tables) > 10
    for table in tables:
        assert table.dtype == np.int64
    counts = np.concatenate([c.ravel() for c in exact.counts([(c.name,) for c in DOMAIN.columns])])
    noisy = np.concatenate([measured.ones[c.name].ravel() for c in DOMAIN.columns])
    noise = noisy - counts
    assert noise.std() == pytest.approx(measured.budget.sigma_one, rel=0.25)


def test_two_measurements_differ_although_the_seed_is_one(people: pa.Table, quick: MarginalOptions) -> None:
    first, second = run(people, quick), run(people, quick)
    assert any((first.ones[c] != second.ones[c]).any() for c in first.ones)


def test_one_stream_of_noise_gives_one_measurement(people: pa.Table, quick: MarginalOptions) -> None:
    first, second = (run(people, quick, InsecureNoise(4)) for _ in range(2))
    assert [p.key for p in first.pairs] == [p.key for p in second.pairs]
    for a, b in zip(first.pairs, second.pairs, strict=True):
        np.testing.assert_array_equal(a.values, b.values)


def test_more_counts_than_planned_are_an_error(people: pa.Table, quick: MarginalOptions) -> None:
    budget = plan_single(DOMAIN, epsilon=2, delta=1e-6, options=quick)
    short = budget.model_copy(update={"shape": budget.shape.model_copy(update={"columns": 3})})
    with pytest.raises(UnexpectedError, match="more noisy counts than were planned"):
        measure(FrameTable(people, gate=open_gate).marginals(DOMAIN), short, SystemNoise(), options=quick)


def test_a_budget_for_another_sensitivity_is_refused(people: pa.Table, quick: MarginalOptions) -> None:
    budget = plan_single(DOMAIN, epsilon=2, delta=1e-6, max_per_unit=1, options=quick)
    units = people.append_column("_unit", pa.array([f"u{i // 2}" for i in range(len(people))]))
    source = FrameTable(units, gate=open_gate, unit_column="_unit", max_per_unit=2).marginals(DOMAIN)
    with pytest.raises(InputError, match="rows per unit"):
        measure(source, budget, SystemNoise(), options=quick)


def test_nothing_is_counted_without_a_reservation(people: pa.Table, quick: MarginalOptions) -> None:
    def closed() -> None:
        raise BudgetExceededError("no reservation is open.")

    with pytest.raises(BudgetExceededError):
        synthesize_table(FrameTable(people, gate=closed), DOMAIN, epsilon=1, delta=1e-6, options=quick)


class Recording:
    """A source that remembers the scores it was asked to choose among."""

    secure = False

    def __init__(self) -> None:
        self.scores: list[np.ndarray] = []
        self.sensitivity = 0.0

    def discrete_gaussian(self, *, sigma: float, size: int) -> np.ndarray:
        return np.full(size, 3, dtype=np.int64)  # the same for both neighbours, so that the models are equal

    def exponential(self, scores: np.ndarray, *, epsilon: float, sensitivity: float) -> int:
        self.scores.append(scores.copy())
        self.sensitivity = sensitivity
        return 0


@pytest.mark.parametrize("row", [0, 1, 77, 1999])
def test_one_row_changes_no_score_of_the_first_round_by_more_than_its_sensitivity(people: pa.Table, row: int) -> None:
    options = MarginalOptions(components=40, warm_steps=0, stages=1, stage_steps=0)
    bins: dict[str, np.ndarray] = {}
    scores = []
    for table in (people, pa.concat_tables([people.slice(0, row), people.slice(row + 1)])):
        noise = Recording()
        budget = plan_single(DOMAIN, epsilon=1, delta=1e-6, options=options)
        source = FrameTable(table, gate=open_gate).marginals(DOMAIN)
        if not bins:  # the same noisy one-way tables for both: the first table's
            first = measure(source, budget, noise, options=options)
            bins = first.ones | {f"block {k}": v for k, v in first.blocks.items()}
            noise = Recording()
        measure(_Fixed(source, bins, DOMAIN), budget, noise, options=options)
        scores.append(noise.scores[0])
    assert len(scores[0]) == len(scores[1])
    assert 0 < np.abs(scores[0] - scores[1]).max() <= 1 + 1e-6


class _Fixed:
    """The one-way tables of one data set and the pairs of another: isolates the scores."""

    max_per_unit = 1

    def __init__(self, source: Any, ones: dict[str, np.ndarray], domain: TableDomain) -> None:
        self.source, self.ones, self.domain = source, ones, domain

    def counts(self, cliques: Any, *, bins: Any = None) -> list[np.ndarray]:
        exact = self.source.counts(cliques, bins=bins)
        return [
            self.ones[c[0]] - 3 if len(c) == 1 and c[0] in self.ones else e for c, e in zip(cliques, exact, strict=True)
        ]


# stored form


def test_measurements_and_models_survive_their_files(people: pa.Table, quick: MarginalOptions, tmp_path: Any) -> None:
    measured = run(people, quick)
    measured.save(tmp_path / "m")
    again = Measurements.load(tmp_path / "m")
    assert (again.columns, again.target, again.budget, again.options, again.events) == (
        measured.columns,
        measured.target,
        measured.budget,
        measured.options,
        measured.events,
    )
    models = [fit(m, seed=1, device="cpu") for m in (measured, again)]
    models[0].save(tmp_path / "model")
    models.append(MarginalModel.load(tmp_path / "model"))
    samples = [sample_table(m, 300, np.random.default_rng(9)) for m in models]
    assert samples[0].equals(samples[1])
    assert samples[0].equals(samples[2])
    again.save(tmp_path / "m2")
    for name in ("measurements.json", "measurements.safetensors"):
        assert (tmp_path / "m" / name).read_bytes() == (tmp_path / "m2" / name).read_bytes()


def test_another_format_version_is_refused(people: pa.Table, quick: MarginalOptions, tmp_path: Any) -> None:
    run(people, quick).save(tmp_path)
    record = tmp_path / "measurements.json"
    record.write_text(record.read_text().replace('"format_version": 1', '"format_version": 99'))
    with pytest.raises(InputError, match="another version"):
        Measurements.load(tmp_path)


# quality and odd tables


def test_the_sample_keeps_shares_and_dependence(people: pa.Table) -> None:
    options = MarginalOptions(components=300, final_steps=300, stage_steps=60)
    table, measured = synthesize_table(
        FrameTable(people, gate=open_gate), DOMAIN, epsilon=8, delta=1e-6, target="outcome", options=options,
        noise=InsecureNoise(3),
    )  # fmt: skip
    assert epsilon_spent(measured.events, 1e-6) <= 8
    assert abs(table.num_rows - people.num_rows) < 100
    real, made = people.to_pandas(), table.to_pandas()
    assert (real["group"].value_counts(normalize=True) - made["group"].value_counts(normalize=True)).abs().max() < 0.05
    assert abs(real["amount"].isna().mean() - made["amount"].isna().mean()) < 0.05
    rates = [f.assign(high=f["score"] > 60).groupby("high")["outcome"].mean() for f in (real, made)]
    assert (rates[0] - rates[1]).abs().max() < 0.15
    assert made["score"].between(0, 100).all()
    assert (np.round(made["amount"].dropna(), 2) == made["amount"].dropna()).all()


def column_of(kind: str, rows: int) -> pa.Array:
    values = {"constant": ["a"] * rows, "missing": [None] * rows, "unique": [f"value {i}" for i in range(rows)]}[kind]
    return pa.array(values, pa.string())


@pytest.mark.parametrize("rows", [0, 1, 100])
@pytest.mark.parametrize("kind", ["constant", "missing", "unique"])
def test_odd_columns_and_tiny_tables_are_synthesized(kind: str, rows: int, quick: MarginalOptions) -> None:
    table = pa.table({"x": column_of(kind, rows), "n": pa.array([5] * rows, pa.int64())})
    domain = TableDomain(columns=(category_cells("x", "string", ("a",)), number_cells("n", "int64", 5, 5)))
    made, _ = synthesize_table(FrameTable(table, gate=open_gate), domain, epsilon=1, delta=1e-6, rows=50, options=quick)
    assert made.num_rows == 50
    assert set(made.column("x").drop_null().to_pylist()) <= {"a"}
    assert set(made.column("n").drop_null().to_pylist()) <= {5}


@pytest.mark.parametrize("column", ["group", "score", "amount", "outcome"])
@pytest.mark.parametrize("as_target", [True, False])
def test_one_column_alone_is_synthesized(
    people: pa.Table, column: str, as_target: bool, quick: MarginalOptions
) -> None:
    domain = TableDomain(columns=(DOMAIN.column(column),))
    made, measured = synthesize_table(
        FrameTable(people, gate=open_gate),
        domain,
        epsilon=1,
        delta=1e-6,
        target=column if as_target else None,
        options=quick,
    )
    assert made.column_names == [column]
    assert measured.pairs == []
    assert abs(made.num_rows - 2000) < 300


def test_a_table_without_columns_gives_its_noisy_number_of_rows(people: pa.Table) -> None:
    made, measured = synthesize_table(
        FrameTable(people, gate=open_gate), TableDomain(columns=()), epsilon=1, delta=1e-6
    )
    assert measured.rows is not None
    assert abs(measured.rows - 2000) < 100
    assert made.num_columns == 0


@pytest.mark.parametrize("target", ["score", "amount", "group", None])
def test_any_column_or_none_can_be_the_target(people: pa.Table, target: str | None, quick: MarginalOptions) -> None:
    measured = run(people, quick, target=target)
    model = fit(measured, seed=0, device="cpu")
    if target is not None:
        assert measured.groups[target].max() < quick.target_bins
        assert model.given_features is not None
        assert model.given_features.classes == measured.groups[target].max() + 1
    assert sample_table(model, 100, np.random.default_rng(0)).column_names == list(DOMAIN.names)


def test_a_wide_table_is_measured(quick: MarginalOptions) -> None:
    rng = np.random.default_rng(0)
    columns = {f"c{i}": pa.array(rng.integers(0, 3, 500), pa.int64()) for i in range(60)}
    domain = TableDomain(columns=tuple(number_cells(name, "int64", 0, 2) for name in columns))
    options = quick.model_copy(update={"candidates": 200})
    made, measured = synthesize_table(
        FrameTable(pa.table(columns), gate=open_gate), domain, epsilon=1, delta=1e-6, options=options
    )
    assert len(made.column_names) == 60
    assert len(measured.pairs) >= 60


def test_joining_an_axis_sums_its_bins() -> None:
    table = np.arange(12).reshape(1, 3, 4)
    assert join_axis(table, np.array([0, 1, 0]), 1).tolist() == [[[8, 10, 12, 14], [4, 5, 6, 7]]]
