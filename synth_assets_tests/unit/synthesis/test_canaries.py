"""Canaries in a twin of the release: an honest release passes, one without noise does not, and a sample alone never decides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from synth_assets.config.dataset import ColumnConfig
from synth_assets.privacy.accounting import epsilon_spent
from synth_assets.privacy.empirical.words import canary_words
from synth_assets.privacy.mechanisms import SystemNoise
from synth_assets.synthesis.canaries import CodedSource, attack_canaries
from synth_assets.synthesis.marginals.options import MarginalOptions
from synth_assets.synthesis.protocol import ReleaseSpec, TableSpec
from synth_assets.synthesis.release import (
    ReleaseMeasurements,
    ReleaseModel,
    fit_release,
    measure_release,
    plan_release,
)
from synth_assets.tables.cells import TableDomain, category_cells, number_cells
from synth_assets.tables.engine import Engine
from synth_assets.tables.marginals import FrameTable, encode, encode_roundness, roundness
from synth_assets_tests.unit.privacy.faults import NoNoise

ENGINE = Engine(threads=1)
DELTA = 1e-6


def trained(spec: ReleaseSpec, options: MarginalOptions, epsilon: float) -> tuple[ReleaseModel, ReleaseMeasurements]:
    plan = plan_release(spec, epsilon=epsilon, delta=DELTA, options=options)
    measured = measure_release(plan, engine=ENGINE, noise=SystemNoise(), gate=lambda: None, device="cpu")
    return fit_release(measured, seed=1, device="cpu"), measured


@pytest.fixture
def release(
    make_spec: Any, people: pa.Table, people_configs: dict[str, ColumnConfig], quick: MarginalOptions
) -> tuple[ReleaseModel, ReleaseMeasurements]:
    spec = ReleaseSpec(tables=(make_spec("people", people, configs=people_configs),), target=("people", "outcome"))
    return trained(spec, quick, 1.0)


def test_an_honest_release_passes_and_one_without_noise_does_not(
    release: tuple[ReleaseModel, ReleaseMeasurements],
) -> None:
    model, measured = release
    white, black = attack_canaries(model, measured, delta=DELTA, seed=3)
    assert white.passed
    assert white.gates
    assert white.epsilon_claimed == pytest.approx(
        epsilon_spent(measured.tables["people"].budget.events(), 1e-7), rel=1e-6
    )
    assert (white.scored_on, black.scored_on) == ("noisy tables", "sample")
    white, black = attack_canaries(model, measured, delta=DELTA, seed=3, noise=NoNoise())
    assert not white.passed
    assert white.epsilon_lower > 1.2 * white.epsilon_claimed
    assert black.passed  # a sample of a model without noise looks harmless ...
    assert not black.gates  # ... so it decides nothing
    assert "for information" in canary_words((white, black))


def test_a_twin_of_a_release_with_an_undeclared_domain_is_charged_without_finding_it(
    make_spec: Any, people: pa.Table, quick: MarginalOptions
) -> None:
    model, measured = trained(ReleaseSpec(tables=(make_spec("people", people),)), quick, 4.0)
    white, _ = attack_canaries(model, measured, delta=DELTA, seed=3)
    assert white.passed
    assert 0 < white.epsilon_claimed < epsilon_spent(measured.events, DELTA) * 1.3


def test_related_tables_are_attacked_in_their_widest_one(family: list[TableSpec], quick: MarginalOptions) -> None:
    spec = ReleaseSpec(tables=tuple(family), unit=("patients", "id"), target=("patients", "sick"))
    model, measured = trained(spec, quick, 20.0)
    white, _ = attack_canaries(model, measured, delta=DELTA, seed=3)
    assert white.passed
    assert white.canaries >= 50


def test_a_release_without_columns_has_nothing_to_attack(make_spec: Any, quick: MarginalOptions) -> None:
    ids = make_spec("ids", pa.table({"id": [1, 2, 3]}), primary_key=("id",))
    model, measured = trained(ReleaseSpec(tables=(ids,)), quick, 1.0)
    assert attack_canaries(model, measured, delta=DELTA, seed=3) == ()


def test_the_twin_counts_as_the_source_of_a_release_does(people: pa.Table) -> None:
    domain = TableDomain(
        columns=(category_cells("group", "string", ("a", "b")), number_cells("score", "int64", 0, 1000))
    )
    score = domain.column("score")
    codes = {c.name: encode(c, people) for c in domain.columns} | {roundness("score"): encode_roundness(score, people)}
    few = {name: values[:30] for name, values in codes.items()}
    included = np.arange(30) % 3 == 0
    cliques = [(), ("group",), (roundness("score"),), ("group", "score")]
    bins = {"score": np.arange(score.size) // 7}
    twin = CodedSource(domain, 2, codes, few, included).counts(cliques, bins=bins)
    more = people.take(np.concatenate([np.arange(len(people)), *[np.flatnonzero(included)] * 2]))
    real = FrameTable(more, gate=lambda: None).marginals(domain).counts(cliques, bins=bins)
    for a, b in zip(twin, real, strict=True):
        np.testing.assert_array_equal(a, b)
