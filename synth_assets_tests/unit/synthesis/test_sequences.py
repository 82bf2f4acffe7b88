"""Rows in the order of time: known dynamics come back, order holds always, times stay within their bounds, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.config.dataset import ColumnConfig
from synth_assets.errors import ConfigError
from synth_assets.privacy.accounting import epsilon_spent
from synth_assets.privacy.mechanisms import SystemNoise
from synth_assets.synthesis.marginals.options import MarginalOptions
from synth_assets.synthesis.protocol import ReleaseSpec, TableSpec
from synth_assets.synthesis.release import (
    ReleaseMeasurements,
    ReleaseModel,
    fit_release,
    load_release,
    measure_release,
    plan_release,
)
from synth_assets.synthesis.scan import scan_measurements, scan_model
from synth_assets.synthesis.sequence_plan import with_units
from synth_assets.synthesis.sequence_sample import fitted_gaps
from synth_assets.tables.engine import Engine
from synth_assets_tests.unit.synthesis.conftest import MOVES, STATES

ENGINE = Engine(threads=1)
GOOD = MarginalOptions(components=300, stage_steps=60, warm_steps=30, final_steps=300)


def measured(spec: ReleaseSpec, options: MarginalOptions, *, epsilon: float = 30.0) -> ReleaseMeasurements:
    plan = plan_release(spec, epsilon=epsilon, delta=1e-6, options=options)
    return measure_release(plan, engine=ENGINE, noise=SystemNoise(), gate=lambda: None, device="cpu")


def sampled(model: ReleaseModel, out: Path, *, rows: int | None = None, seed: int = 1) -> dict[str, pd.DataFrame]:
    return {name: pd.read_parquet(folder) for name, folder in model.sample(rows=rows, seed=seed, out=out).items()}


def transitions(rows: pd.DataFrame, group: str) -> np.ndarray:
    """Share of each next state, given this one; rows as they come."""
    same = rows[group].to_numpy()[1:] == rows[group].to_numpy()[:-1]
    code = rows["state"].map({s: i for i, s in enumerate(STATES)}).to_numpy()
    table = np.zeros((3, 3))
    np.add.at(table, (code[:-1][same], code[1:][same]), 1)
    return table / table.sum(1, keepdims=True)


def autocorrelation(rows: pd.DataFrame, group: str) -> float:
    same = rows[group].to_numpy()[1:] == rows[group].to_numpy()[:-1]
    pulse = rows["pulse"].to_numpy(dtype=float)
    return float(np.corrcoef(pulse[:-1][same], pulse[1:][same])[0, 1])


def gaps(rows: pd.DataFrame, group: str) -> np.ndarray:
    same = rows[group].to_numpy()[1:] == rows[group].to_numpy()[:-1]
    days = pd.to_datetime(rows["day"]).to_numpy().astype("datetime64[D]").astype(int)
    return np.diff(days)[same]


def require_dynamics(rows: pd.DataFrame, group: str) -> None:
    """What is known of the stays: moves, autocorrelation, and gaps by the state before."""
    assert (
        np.abs(transitions(rows, group) - MOVES).max() < 0.2
    )  # chance alone would be 0.4 to 0.5 away; the noise moves it by 0.05
    assert autocorrelation(rows, group) > 0.6
    after = gaps(rows, group)
    assert (after >= 0).all()
    same = rows[group].to_numpy()[1:] == rows[group].to_numpy()[:-1]
    home = (rows["state"].to_numpy()[:-1] == "home")[same]
    assert after[home].mean() == pytest.approx(25, abs=10)
    assert after[~home].mean() == pytest.approx(3, abs=4)


# dynamics


def test_the_dynamics_of_a_child_table_come_back(stays: list[TableSpec], tmp_path: Path) -> None:
    model = fit_release(measured(ReleaseSpec(tables=tuple(stays), unit=("patients", "id")), GOOD), seed=1, device="cpu")
    made = sampled(model, tmp_path)
    rows = made["stays"]
    require_dynamics(rows, "patient")
    joined = rows.merge(made["patients"], left_on="patient", right_on="id")
    number = joined.groupby(["id", "old"]).size().reset_index(name="n")
    assert number[number["old"]]["n"].mean() == pytest.approx(6, abs=0.6)
    assert number[~number["old"]]["n"].mean() == pytest.approx(2, abs=0.5)
    first = joined.drop_duplicates("id")
    waited = (pd.to_datetime(first["day"]) - pd.to_datetime(first["enrolled"])).dt.days
    assert (waited >= 0).all()  # a time of the parent: the first row is counted from it
    assert waited.quantile([0.1, 0.9]).between(8, 45).all()
    start = first.set_index("old")["state"]
    assert (start.loc[True] == "ward").mean() > 0.8
    assert (start.loc[False] == "home").mean() > 0.8


def test_the_dynamics_of_the_unit_s_own_rows_come_back(lone_stays: list[TableSpec], tmp_path: Path) -> None:
    spec = ReleaseSpec(tables=tuple(lone_stays), unit=("stays", "patient"))
    model = fit_release(measured(spec, GOOD), seed=1, device="cpu")
    made = sampled(model, tmp_path)
    assert set(made) == {"stays"}  # the units are no table of the dataset
    rows = made["stays"]
    require_dynamics(rows, "patient")
    assert rows.columns.tolist() == ["stay", "patient", "day", "state", "pulse"]
    assert rows["stay"].is_unique
    assert rows["patient"].nunique() == pytest.approx(3000, abs=100)
    assert len(rows) == pytest.approx(len(pd.read_parquet(lone_stays[0].path)), rel=0.1)


def test_without_the_order_the_dynamics_are_lost(stays: list[TableSpec], tmp_path: Path) -> None:
    """Negative control: the scores above see what a model of single rows does."""
    plain = [t.model_copy(update={"sequence_order": None}) for t in stays]
    model = fit_release(measured(ReleaseSpec(tables=tuple(plain), unit=("patients", "id")), GOOD), seed=1, device="cpu")
    rows = sampled(model, tmp_path)["stays"].sort_values(["patient", "day"])
    assert np.abs(transitions(rows, "patient") - MOVES).max() > 0.3
    assert autocorrelation(rows, "patient") < 0.4


def test_about_as_many_rows_come_as_are_asked_for(
    lone_stays: list[TableSpec], quick: MarginalOptions, tmp_path: Path
) -> None:
    spec = ReleaseSpec(tables=tuple(lone_stays), unit=("stays", "patient"))
    model = fit_release(measured(spec, quick), seed=1, device="cpu")
    assert len(sampled(model, tmp_path / "a", rows=4000)["stays"]) == pytest.approx(4000, rel=0.1)
    assert len(sampled(model, tmp_path / "b", rows=0)["stays"]) == 0


# order and bounds


@pytest.mark.parametrize("dtype", ["date32[day]", "timestamp[us]", "int64", "double"])
@pytest.mark.parametrize("declared", [True, False])
def test_times_of_every_type_are_in_order_and_within_declared_bounds(
    dtype: str, declared: bool, make_spec: Any, quick: MarginalOptions, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    of = np.repeat(np.arange(200), rng.integers(1, 6, 200))
    days = rng.integers(18_300, 18_500, len(of))
    times = {
        "date32[day]": pa.array(days.astype("datetime64[D]"), pa.date32()),
        "timestamp[us]": pa.array(
            days.astype("datetime64[D]").astype("datetime64[us]") + np.timedelta64(630, "m"), pa.timestamp("us")
        ),
        "int64": pa.array(days, pa.int64()),
        "double": pa.array(days / 4, pa.float64()),
    }[dtype]
    bounds = {"int64": (18_300, 18_500), "double": (4575, 4625)}.get(dtype, ("2020-02-08", "2020-08-26"))
    config = ColumnConfig(lower=bounds[0], upper=bounds[1]) if declared else ColumnConfig()
    table = pa.table({"row": range(len(of)), "who": of, "t": times, "_unit": [str(i) for i in of]})
    spec = make_spec("visits", table, primary_key=("row",), columns=("t",), configs={"t": config}, sequence_order="t")
    model = fit_release(measured(ReleaseSpec(tables=(spec,), unit=("visits", "who")), quick), seed=0, device="cpu")
    rows = sampled(model, tmp_path)["visits"]
    assert str(rows["t"].isna().sum()) == "0"
    times_made = (
        pd.to_datetime(rows["t"]).astype("int64").to_numpy()
        if dtype[0] in "dt" and dtype != "double"
        else rows["t"].to_numpy()
    )
    same = rows["who"].to_numpy()[1:] == rows["who"].to_numpy()[:-1]
    assert same.sum() > 50
    assert (np.diff(times_made)[same] >= 0).all()
    if declared:
        low, high = (pd.Timestamp(b) if isinstance(b, str) else b for b in bounds)
        values = pd.to_datetime(rows["t"]) if isinstance(low, pd.Timestamp) else rows["t"]
        assert values.min() >= low
        assert values.max() < (high + pd.Timedelta(days=1) if isinstance(high, pd.Timestamp) else high + 1e-9)


@given(
    lengths=st.lists(st.integers(0, 7), min_size=1, max_size=12),
    seed=st.integers(0, 1000),
)
def test_gaps_add_up_to_what_is_wanted(lengths: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(len(lengths)), lengths)
    drawn = rng.integers(0, 50, len(of))
    total = np.bincount(of, weights=drawn, minlength=len(lengths))
    wanted = rng.integers(0, 400, len(lengths)).astype(float)
    found = fitted_gaps(drawn, of, total, wanted)
    assert (found >= 0).all()
    sums = np.bincount(of, weights=found, minlength=len(lengths))
    assert sums[total > 0] == pytest.approx(wanted[total > 0], abs=1e-6)
    assert (sums[total == 0] == 0).all()
    shorter = (wanted <= total)[of]
    assert (found[shorter] <= drawn[shorter]).all()


def test_gaps_that_fit_stay_as_they_are_drawn() -> None:
    drawn, of = np.array([0, 3, 40, 0, 5]), np.array([0, 0, 0, 1, 1])
    assert fitted_gaps(drawn, of, np.array([43.0, 5.0]), np.array([43.0, 5.0])) == pytest.approx(drawn)
    cut = fitted_gaps(drawn, of, np.array([43.0, 5.0]), np.array([13.0, 5.0]))
    assert cut == pytest.approx([0, 3, 10, 0, 5])  # the long one gives, the short one stays


def test_one_seed_is_one_sample_also_from_the_stored_model(
    stays: list[TableSpec], quick: MarginalOptions, tmp_path: Path
) -> None:
    model = fit_release(
        measured(ReleaseSpec(tables=tuple(stays), unit=("patients", "id")), quick), seed=1, device="cpu"
    )
    model.save(tmp_path / "model")
    parts = []
    for name, one in (("a", model), ("b", load_release(tmp_path / "model"))):
        folders = one.sample(rows=80, seed=5, out=tmp_path / name)
        parts.append([(f / "part-00000.parquet").read_bytes() for f in folders.values()])
    assert parts[0] == parts[1]


# plan, cost, stored form


@pytest.mark.parametrize("which", ["stays", "lone_stays"])
def test_what_is_stored_of_a_sequence_passes_the_scan(
    which: str, request: pytest.FixtureRequest, quick: MarginalOptions, tmp_path: Path
) -> None:
    tables = request.getfixturevalue(which)
    spec = ReleaseSpec(tables=tuple(tables), unit=("patients", "id") if which == "stays" else ("stays", "patient"))
    plan = plan_release(spec, epsilon=2, delta=1e-6, options=quick)
    found = measure_release(plan, engine=ENGINE, noise=SystemNoise(), gate=lambda: None, device="cpu")
    found.save(tmp_path / "m")
    assert scan_measurements(tmp_path / "m", plan) == ()
    fit_release(found, seed=0, device="cpu").save(tmp_path / "f")
    assert scan_model(tmp_path / "f", found) == ()


def test_the_scan_sees_cells_of_the_row_before_that_are_not_public(
    stays: list[TableSpec], quick: MarginalOptions, tmp_path: Path
) -> None:
    spec = ReleaseSpec(tables=tuple(stays), unit=("patients", "id"))
    plan = plan_release(spec, epsilon=2, delta=1e-6, options=quick)
    measure_release(plan, engine=ENGINE, noise=SystemNoise(), gate=lambda: None, device="cpu").save(tmp_path / "m")
    file = next(p for p in (tmp_path / "m").glob("table-*/measurements.json") if '"<state"' in p.read_text())
    text = file.read_text()
    at = text.index('"<state"')
    begin = text.rindex("{", 0, at)
    file.write_text(text[:begin] + text[begin:at].replace('"icu"', '"hidden"') + text[at:])
    assert any("row before" in line for line in scan_measurements(tmp_path / "m", plan))


def test_the_plan_names_the_sequence_and_spends_what_was_asked_for(stays: list[TableSpec]) -> None:
    plan = plan_release(ReleaseSpec(tables=tuple(stays), unit=("patients", "id")), epsilon=1, delta=1e-6)
    assert epsilon_spent(plan.events, 1e-6) == pytest.approx(1, rel=0.01)
    table = plan.table("stays")
    assert table.sequence is not None
    assert table.sequence.given == ("<day", "<state", "<pulse")
    assert next(c for c in table.columns if c.name == "day").minus == "<day"
    own = [c.name for c in plan.table("patients").columns]
    assert own == ["old", "enrolled", "@stays", "@@stays"]
    assert any("order of day" in note for note in plan.notes)


def test_a_release_without_an_order_is_planned_as_one_that_never_heard_of_it(family: list[TableSpec]) -> None:
    spec = ReleaseSpec(tables=tuple(family), unit=("patients", "id"))
    assert with_units(spec) is spec
    assert all(t.sequence is None and not t.ends for t in plan_release(spec, epsilon=1, delta=1e-6).tables)


def test_rows_of_nobody_cannot_follow_each_other(lone_stays: list[TableSpec], stays: list[TableSpec]) -> None:
    with pytest.raises(ConfigError, match="belong to one unit"):
        plan_release(ReleaseSpec(tables=tuple(lone_stays)), epsilon=1, delta=1e-6)
    apart = lone_stays[0].model_copy(update={"table": lone_stays[0].table.model_copy(update={"name": "apart"})})
    with pytest.raises(ConfigError, match="no way to it"):
        plan_release(ReleaseSpec(tables=(*stays, apart), unit=("patients", "id")), epsilon=1, delta=1e-6)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sequence_order": "stay"}, "not one that is modelled"),
        ({"sequence_order": "state"}, "no number, date or datetime"),
        ({"orders": (("pulse", "day"),)}, "later one of an ordered pair"),
    ],
)
def test_an_order_that_cannot_be_kept_is_refused(stays: list[TableSpec], change: dict[str, Any], says: str) -> None:
    tables = (stays[0], stays[1].model_copy(update=change))
    with pytest.raises(ConfigError, match=says):
        plan_release(ReleaseSpec(tables=tables, unit=("patients", "id")), epsilon=1, delta=1e-6)
