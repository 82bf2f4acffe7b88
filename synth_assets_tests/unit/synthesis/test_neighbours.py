"""Neighbours: no answer rules one of them out, and one unit of privacy moves no table of counts by more than is charged.

Random tables and random plans; every table of counts that a source gives; several rows per unit; children joined with their parents.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synth_assets.config.dataset import ColumnConfig
from synth_assets.privacy import inversion
from synth_assets.privacy.mechanisms import InsecureNoise, SystemNoise, effective_sigma
from synth_assets.privacy.planned import PlannedNoise
from synth_assets.privacy.records import GaussianEvent
from synth_assets.synthesis.domain import fan_out_cells
from synth_assets.synthesis.marginals.options import MarginalOptions
from synth_assets.synthesis.protocol import ReleaseSpec, TableSpec
from synth_assets.synthesis.release import measure_release, plan_release
from synth_assets.synthesis.release_measure import open_sources
from synth_assets.synthesis.release_plan import ReleasePlan
from synth_assets.synthesis.sequence_plan import before_cells, position_cells
from synth_assets.tables.cells import TableDomain, category_cells, date_cells, number_cells
from synth_assets.tables.engine import Engine
from synth_assets.tables.marginals import FrameTable, MarginalSource, roundness

ENGINE = Engine(threads=1)
MOST = 4


# attainability


def float_share_that_rules_out(sigma: float, draws: int) -> float:
    """The share of answers of a mechanism that adds a float to the count 0 which no float makes of the count 1."""
    answers = np.random.default_rng(0).normal(0, sigma, draws)
    guess = answers - 1.0
    near = np.stack([guess, np.nextafter(guess, np.inf), np.nextafter(guess, -np.inf)])
    return float(1 - (1.0 + near == answers).any(axis=0).mean())


@pytest.mark.parametrize("sigma", [0.5, 1.0, 7.3, 39.3])
@pytest.mark.parametrize("rows", [1, 3])
def test_no_noisy_count_rules_out_a_neighbouring_count(sigma: float, rows: int) -> None:
    """Every answer has a positive probability for all counts that one unit can make of the true one."""
    drawn = effective_sigma(sigma)
    steps = PlannedNoise(SystemNoise(), [GaussianEvent(sigma=drawn, l2_sensitivity=rows)], rows)
    answers = steps.noisy(np.full(50_000, 10, dtype=np.int64), drawn)
    assert answers.dtype == np.int64
    first, floors = inversion.boundaries(round(drawn * 2**20), 248)
    chance = dict(zip(range(first, first + len(floors)), np.diff([*floors, 2**248]), strict=True))
    for neighbour in range(10 - rows, 10 + rows + 1):
        assert all(chance[int(a) - neighbour] > 0 for a in np.unique(answers))


def test_a_mechanism_that_adds_floats_rules_neighbours_out() -> None:
    """Negative control: the check sees what two peers do."""
    assert float_share_that_rules_out(10.0, 50_000) > 0.01


def test_the_noise_reaches_every_whole_number_near_the_count() -> None:
    draws = SystemNoise().discrete_gaussian(sigma=4.0, size=200_000)
    assert set(range(-12, 13)) <= set(draws.tolist())


# sensitivity


@st.composite
def tables(draw: st.DrawFn) -> tuple[pa.Table, str]:
    """A table with several rows per unit, and one of its units."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    units = draw(st.integers(1, 12))
    unit = np.repeat([f"u{i}" for i in range(units)], rng.integers(1, 8, units))
    rows = len(unit)
    numbers = rng.choice([0, 3, 50, 100, 10**6, -5], rows)
    table = pa.table(
        {
            "_unit": unit.tolist(),
            "row": np.arange(rows),
            "g": pa.array(rng.choice(["a", "b", "rare"], rows).tolist(), pa.string(), mask=rng.random(rows) < 0.2),
            "n": pa.array(numbers, pa.int64(), mask=rng.random(rows) < 0.2),
            "d": pa.array(rng.integers(-(10**5), 10**5, rows).astype("datetime64[D]"), pa.date32()),
        }
    )
    return table, f"u{draw(st.integers(0, units - 1))}"


DOMAIN = TableDomain(
    columns=(
        category_cells("g", "string", ("a", "b"), is_open=True),
        number_cells("n", "int64", 0, 1000),
        date_cells("d", np.datetime64("1990-01-01").item(), np.datetime64("2020-12-31").item()),
    )
)
BINS = {
    "g": np.array([0, 1, 1, 0]),
    "n": np.arange(DOMAIN.column("n").size) % 7,
    "d": np.arange(DOMAIN.column("d").size) // 9,
}


def every_table(source: MarginalSource) -> list[np.ndarray]:
    """The number of rows, all one-way tables, the roundness table, and all 2- and 3-way tables over bins."""
    names = source.domain.names
    single = [(), *((n,) for n in names), *((roundness(c.name),) for c in source.domain.columns if c.steps)]
    several = [c for k in (2, 3) for c in itertools.combinations(names, k)]
    bins = {n: BINS.get(n, np.arange(source.domain.column(n).size) % 5) for n in names}
    return [*source.counts(single), *source.counts(several, bins=bins)]


def require_close(one: list[np.ndarray], other: list[np.ndarray], most: int) -> None:
    for a, b in zip(one, other, strict=True):
        assert np.abs(a - b).sum() <= most
        assert np.linalg.norm(a - b) <= most


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=tables(), most=st.integers(1, MOST))
def test_one_unit_moves_every_table_of_a_frame_by_at_most_its_rows(
    case: tuple[pa.Table, str], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda n: "00" * n)  # the same rows of the other units in both
    table, unit = case
    without = table.filter(pc.not_equal(table.column("_unit"), unit))
    one, other = (
        every_table(
            FrameTable(t, gate=lambda: None, unit_column="_unit", max_per_unit=most).marginals(DOMAIN)
        )
        for t in (table, without)
    )  # fmt: skip
    require_close(one, other, most)
    assert 1 <= one[0] - other[0] <= most  # the unit was there


def test_a_source_that_keeps_too_many_rows_of_a_unit_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: the same comparison fails where the bound is not kept."""
    monkeypatch.setattr("secrets.token_hex", lambda n: "00" * n)
    table = pa.table(
        {
            "_unit": ["u0"] * 5 + ["u1"],
            "row": range(6),
            "g": ["a"] * 6,
            "n": [1] * 6,
            "d": pa.array([0] * 6, pa.date32()),
        }
    )
    without = table.filter(pc.not_equal(table.column("_unit"), "u0"))
    one, other = (
        every_table(FrameTable(t, gate=lambda: None, unit_column="_unit", max_per_unit=5).marginals(DOMAIN))
        for t in (table, without)
    )
    with pytest.raises(AssertionError):
        require_close(one, other, 2)


def counts_of(plan: ReleasePlan) -> dict[str, list[np.ndarray]]:
    """Every table of counts of every table of a release, as the measuring step asks for them."""
    found = {}
    with ENGINE.session() as session:
        sources = open_sources(plan, session, lambda: None)
        for table in plan.tables:
            columns = [c.domain for c in table.columns if c.domain is not None]
            columns += [fan_out_cells(name, 50) for name in table.fan_outs]
            for name, parent in table.context.items():
                owner = plan.table(table.follows.parent_table) if table.follows else table
                known = {c.name: c.domain for c in owner.columns}
                cells = known.get(parent) or fan_out_cells(parent, 50)
                columns.append(cells.model_copy(update={"name": name}))
            found[table.name] = every_table(sources[table.name].marginals(TableDomain(columns=tuple(columns))))
    return found


@pytest.mark.parametrize("most", [1, 3])
@pytest.mark.parametrize("unit", [0, 17, 599])
def test_one_person_moves_every_table_of_a_release_by_at_most_what_is_charged(
    family: list[TableSpec], unit: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parents, children and grandchildren, numbers of children and columns of the parent; all rows of a person go at once."""
    monkeypatch.setattr("secrets.token_hex", lambda n: "00" * n)
    specs = [t.model_copy(update={"max_per_unit": most if t.unit_column else None}) for t in family]
    plan = plan_release(ReleaseSpec(tables=tuple(specs), unit=("patients", "id")), epsilon=1, delta=1e-6)
    before = counts_of(plan)
    for spec in specs:
        file = spec.path / "part-00000.parquet"
        rows = pq.read_table(file)
        if "_unit" in rows.column_names:
            pq.write_table(rows.filter(pc.not_equal(rows.column("_unit"), f"u{unit + 1:04d}")), file)
    after = counts_of(plan)
    for table in plan.tables:
        bound = table.budget.shape.max_per_unit
        require_close(before[table.name], after[table.name], bound)
    assert any((a != b).any() for a, b in zip(before["patients"], after["patients"], strict=True))


# what a model is given


NEIGHBOURS: dict[str, dict[str, list[Any]]] = {
    "a new category": {"group": ["seen once"], "score": [50], "amount": [10.0], "outcome": [True]},
    "a new maximum": {"group": ["a"], "score": [10**6], "amount": [10.0**9], "outcome": [True]},
    "one missing value": {"group": ["a"], "score": [None], "amount": [10.0], "outcome": [True]},
}


def public_part(folder: Path) -> bytes:
    """What a model is told besides noisy numbers: columns, cells, plan, relations, and the form of every one-way table."""
    from synth_assets.synthesis.marginals.measurements import read_arrays

    out = []
    for file in sorted(folder.rglob("*.json")):
        record = json.loads(file.read_text())
        out.append(json.dumps({k: v for k, v in record.items() if k not in {"pairs", "rows"}}, sort_keys=True).encode())
    for file in sorted(folder.rglob("measurements.safetensors")):
        shapes = {
            k: (str(v.dtype), v.shape)
            for k, v in read_arrays(file).items()
            if k.startswith(("one/", "block/", "round/"))
        }
        out.append(repr(sorted(shapes.items())).encode())
    return b"\n".join(out)


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("which", NEIGHBOURS)
def test_neighbouring_tables_give_a_model_byte_identical_inputs(
    which: str, declared: bool, make_spec: Any, people: pa.Table, people_configs: dict[str, ColumnConfig],
    quick: MarginalOptions, tmp_path: Path,
) -> None:  # fmt: skip
    more = pa.table(NEIGHBOURS[which], schema=people.schema)
    parts = []
    for i, table in enumerate((people, pa.concat_tables([people, more]))):
        spec = make_spec("people", table, configs=people_configs if declared else None)
        plan = plan_release(ReleaseSpec(tables=(spec,)), epsilon=4, delta=1e-6, options=quick)
        noise = OneStreamPerDraw()
        measured = measure_release(
            plan, engine=ENGINE, noise=noise, gate=lambda: None, device="cpu", allow_insecure=True
        )
        measured.save(tmp_path / str(i))
        parts.append(public_part(tmp_path / str(i)))
    assert parts[0] == parts[1]
    assert b"seen once" not in parts[1]


class OneStreamPerDraw(InsecureNoise):
    """The same noise for both neighbours also where one of them has a cell more: every call starts a stream of its own."""

    def __init__(self) -> None:
        super().__init__(0)
        self.calls = 0

    def discrete_gaussian(self, *, sigma: float, size: int) -> np.ndarray:
        self.calls += 1
        return InsecureNoise(self.calls).discrete_gaussian(sigma=sigma, size=size)


# rows that follow each other


@st.composite
def chains(draw: st.DrawFn) -> tuple[pa.Table, pa.Table, str]:
    """Parents and their rows in time, several parents per unit, missing times and ties; and one of the units."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    units = draw(st.integers(1, 8))
    parents = np.repeat(np.arange(units), rng.integers(1, 4, units))
    of = np.repeat(np.arange(len(parents)), rng.integers(0, 6, len(parents)))
    rows = len(of)
    parent = pa.table(
        {"id": np.arange(len(parents)), "kind": ["a"] * len(parents), "_unit": [f"u{i}" for i in parents]}
    )
    child = pa.table(
        {
            "row": np.arange(rows),
            "id": of,
            "day": pa.array(
                rng.integers(18_300, 18_310, rows).astype("datetime64[D]"), pa.date32(), mask=rng.random(rows) < 0.1
            ),
            "state": pa.array(rng.choice(["a", "b", "other"], rows).tolist(), pa.string()),
            "_unit": pa.array([f"u{parents[i]}" for i in of], pa.string()),
        }
    )
    return parent, child, f"u{draw(st.integers(0, units - 1))}"


def chain_counts(
    make_spec: Any, parent: pa.Table, child: pa.Table, most: int, *, alone: bool
) -> dict[str, tuple[int, list[np.ndarray]]]:
    """Bound and every table of counts of every table, with gaps, first and last times, rows before and positions."""
    configs = {
        "day": ColumnConfig(lower="2020-02-08", upper="2020-02-20"),
        "state": ColumnConfig(categories=("a", "b")),
    }
    keys: dict[str, Any] = {"primary_key": ("row",), "configs": configs, "columns": ("day", "state")}
    below = make_spec(
        "rows",
        child,
        max_per_unit=most,
        sequence_order="day",
        foreign_keys={} if alone else {"id": "parents.id"},
        **keys,
    )
    above = make_spec(
        "parents", parent, primary_key=("id",), max_per_unit=most, configs={"kind": ColumnConfig(categories=("a",))}
    )
    tables, unit = ((below,), ("rows", "id")) if alone else ((above, below), ("parents", "_unit"))
    plan = plan_release(ReleaseSpec(tables=tables, unit=unit), epsilon=1, delta=1e-6)
    found = {}
    with ENGINE.session() as session:
        sources = open_sources(plan, session, lambda: None)
        for table in plan.tables:
            columns = [c.domain for c in table.columns if c.domain is not None]
            columns += [fan_out_cells(name, 50) for name in table.fan_outs]
            if table.sequence is not None:
                known = {c.name: c for c in columns}
                columns += [
                    before_cells(table.sequence, n, known[table.sequence.before[n]]) for n in table.sequence.given
                ]
                columns.append(position_cells(table.sequence.position))
            counts = every_table(sources[table.name].marginals(TableDomain(columns=tuple(columns))))
            found[table.name] = (table.budget.shape.max_per_unit, counts)
    return found


@pytest.mark.parametrize("alone", [False, True])
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=chains(), most=st.integers(1, MOST))
def test_one_unit_moves_every_table_of_transitions_by_at_most_what_is_charged(
    case: tuple[pa.Table, pa.Table, str], most: int, alone: bool, make_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A unit's rows, their gaps, the rows before them, and the first and last time of its parents go at once."""
    monkeypatch.setattr("secrets.token_hex", lambda n: "00" * n)
    parent, child, unit = case
    if alone:
        child = child.set_column(1, "id", child.column("_unit"))
    before, after = (
        chain_counts(make_spec, *(t if keep else t.filter(pc.not_equal(t.column("_unit"), unit)) for t in (parent, child)), most, alone=alone)
        for keep in (True, False)
    )  # fmt: skip
    moved = 0
    for name, (bound, counts) in before.items():
        assert bound == (1 if name.startswith("units of") else most)
        require_close(counts, after[name][1], bound)
        moved += sum(int((a != b).any()) for a, b in zip(counts, after[name][1], strict=True))
    there = pc.sum(pc.equal(child.column("_unit"), unit)).as_py()
    assert moved > 0 or (alone and not there)


def test_the_row_before_is_of_the_same_parent_whether_it_is_counted_itself_or_not(make_spec: Any) -> None:
    """By hand: 1, 2 and 4 days after one another, two parents; one row of the unit is counted, but every row knows the one before."""
    days = [np.datetime64("2020-02-08") + d for d in (3, 0, 1, 7, 5, 9)]
    child = pa.table(
        {
            "row": range(6),
            "id": [0, 0, 0, 0, 1, 1],
            "day": pa.array(np.array(days), pa.date32()),
            "state": ["b", "a", "a", "b", "a", "a"],
            "_unit": ["u0"] * 6,
        }
    )
    parent = pa.table({"id": [0, 1], "kind": ["a", "a"], "_unit": ["u0", "u0"]})
    counts = chain_counts(make_spec, parent, child, 6, alone=False)["rows"][1]
    names = ["day", "state", "<day", "<state", "<row"]
    one = dict(zip(names, counts[1 : 1 + len(names)], strict=False))
    assert one["day"][:5].tolist() == [0, 1, 1, 0, 2]  # gaps 1, 2, 4 and 4
    assert one["day"][-1] == 2  # the first rows have none
    assert one["<state"].tolist() == [3, 1, 2]  # the row before: a, a, b and a; none for two rows
    assert one["<row"][:4].tolist() == [2, 2, 1, 1]
