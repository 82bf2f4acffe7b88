"""Any schema: keys are valid in every sample, one seed is one sample, a person more changes no public input, a target conditions children."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synth_assets.config.dataset import ColumnConfig
from synth_assets.privacy.mechanisms import InsecureNoise, SystemNoise
from synth_assets.synthesis.marginals.measurements import read_arrays
from synth_assets.synthesis.marginals.options import MarginalOptions
from synth_assets.synthesis.protocol import ReleaseSpec, TableSpec
from synth_assets.synthesis.release import fit_release, measure_release, plan_release
from synth_assets.tables.engine import Engine
from synth_assets.tables.schema import ForeignKey

ENGINE = Engine(threads=1)
LEAST = MarginalOptions(components=20, stage_steps=3, warm_steps=3, final_steps=6, stages=1, target_rows=200)
CONFIGS = {"v": ColumnConfig(categories=("a", "b")), "t": ColumnConfig(lower="2020-01-01", upper="2020-12-31")}


# random schemas


@st.composite
def schemas(draw: st.DrawFn) -> tuple[dict[str, dict[str, Any]], int]:
    """Tables t0 (the unit's), t1, ...: each names one or two tables before it, perhaps itself, with a key of one or two columns."""
    tables: dict[str, dict[str, Any]] = {
        "t0": {"parents": [], "composite": False, "self": draw(st.booleans()), "ordered": False}
    }
    for i in range(1, draw(st.integers(2, 4))):
        above = sorted(draw(st.sets(st.sampled_from(sorted(tables)), min_size=1, max_size=2)))
        tables[f"t{i}"] = {
            "parents": above,
            "composite": draw(st.booleans()),
            "self": draw(st.booleans()),
            "ordered": draw(st.booleans()),
        }
    return tables, draw(st.integers(0, 2**32))


def key_of(name: str, tables: dict[str, dict[str, Any]]) -> tuple[str, ...]:
    return ("id", "part") if tables[name]["composite"] else ("id",)


def made_tables(tables: dict[str, dict[str, Any]], seed: int, make_spec: Any) -> tuple[TableSpec, ...]:
    """Real rows of a schema: every row's parents are of its own person; some references of a second parent are missing."""
    rng = np.random.default_rng(seed)
    people = 40
    owners: dict[str, np.ndarray] = {}
    specs = []
    for name, table in tables.items():
        owner = np.arange(people) if name == "t0" else np.sort(rng.integers(0, people, rng.integers(0, 120)))
        columns: dict[str, Any] = {"id": np.arange(len(owner))}
        if table["composite"]:
            columns["part"] = [f"p{i % 3}" for i in range(len(owner))]
        keys = []
        kept = np.ones(len(owner), dtype=bool)
        for number, parent in enumerate(table["parents"]):
            chosen = np.array([pick(owners[parent], who, rng) for who in owner], dtype=np.int64)
            missing = (chosen < 0) | ((rng.random(len(owner)) < 0.2) if number else False)
            kept &= ~missing if number == 0 else True
            columns[f"{parent}_id"] = pa.array(np.maximum(chosen, 0), pa.int64(), mask=missing)
            names = [f"{parent}_id"]
            if tables[parent]["composite"]:
                columns[f"{parent}_part"] = pa.array([f"p{i % 3}" for i in chosen], pa.string(), mask=missing)
                names.append(f"{parent}_part")
            keys.append(ForeignKey(columns=tuple(names), parent_table=parent, parent_columns=key_of(parent, tables)))
        if table["self"] and not table["composite"]:
            columns["before"] = pa.array(np.maximum(np.arange(len(owner)) - 1, 0), pa.int64())
            keys.append(ForeignKey(columns=("before",), parent_table=name, parent_columns=("id",)))
        columns["v"] = rng.choice(["a", "b"], len(owner)).tolist()
        columns["t"] = pa.array((18_262 + rng.integers(0, 366, len(owner))).astype("datetime64[D]"), pa.date32())
        columns["_unit"] = [f"u{i:02d}" for i in owner]
        rows = pa.table(columns).filter(pa.array(kept))
        owners[name] = np.where(kept, owner, -1)
        order = "t" if table["ordered"] else None
        specs.append(
            make_spec(
                name,
                rows,
                primary_key=key_of(name, tables),
                foreign_keys=keys,
                configs=CONFIGS,
                columns=("v", "t"),
                sequence_order=order,
            )
        )
    return tuple(specs)


def pick(owners: np.ndarray, who: int, rng: np.random.Generator) -> int:
    """A row of a person in a table, -1 where there is none."""
    rows = np.flatnonzero(owners == who)
    return int(rng.choice(rows)) if len(rows) else -1


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=schemas(), rows=st.sampled_from([None, 0, 1, 30]))
def test_every_reference_of_every_schema_finds_its_row(
    case: tuple[dict[str, dict[str, Any]], int],
    rows: int | None,
    make_spec: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    tables, seed = case
    spec = ReleaseSpec(tables=made_tables(tables, seed, make_spec), unit=("t0", "id"))
    plan = plan_release(spec, epsilon=20, delta=1e-6, options=LEAST)
    found = measure_release(plan, engine=ENGINE, noise=SystemNoise(), gate=lambda: None, device="cpu")
    model = fit_release(found, seed=0, device="cpu")
    folders = [model.sample(rows=rows, seed=3, out=tmp_path_factory.mktemp("out")) for _ in range(2)]
    for name, folder in folders[0].items():  # one seed, one sample
        assert (folder / "part-00000.parquet").read_bytes() == (folders[1][name] / "part-00000.parquet").read_bytes()
    made = {name: pd.read_parquet(folder) for name, folder in folders[0].items()}
    for table in spec.tables:
        child = made[table.name]
        assert not child.duplicated(list(table.table.primary_key)).any()
        for key in table.table.foreign_keys:
            named = child.dropna(subset=list(key.columns))
            parents = made[key.parent_table][list(key.parent_columns)]
            joined = named.merge(parents, left_on=list(key.columns), right_on=list(key.parent_columns))
            assert len(joined) == len(named)
        if table.sequence_order is not None and table.table.foreign_keys:
            followed = plan.table(table.name).follows
            assert followed is not None
            for _, group in child.groupby(list(followed.columns)):
                assert group["t"].is_monotonic_increasing


# neighbours


class OneStreamPerDraw(InsecureNoise):
    """The same noise for both neighbours, whatever they draw: every call starts a stream of its own."""

    def __init__(self) -> None:
        super().__init__(0)
        self.calls = 0

    def discrete_gaussian(self, *, sigma: float, size: int) -> np.ndarray:
        self.calls += 1
        return InsecureNoise(self.calls).discrete_gaussian(sigma=sigma, size=size)


def public_part(folder: Path) -> list[str]:
    """Columns, cells, plan and relations of every table, and the form of every one-way table; not which pairs were chosen by noisy scores."""
    out = []
    for file in sorted(folder.rglob("*.json")):
        record = json.loads(file.read_text())
        out.append(json.dumps({k: v for k, v in record.items() if k not in {"pairs", "rows"}}, sort_keys=True))
    for file in sorted(folder.rglob("measurements.safetensors")):
        arrays = read_arrays(file).items()
        out.append(repr(sorted((k, v.shape) for k, v in arrays if k.startswith(("one/", "block/", "round/")))))
    return out


@pytest.mark.parametrize("which", ["stays", "lone_stays"])
def test_a_person_with_all_rows_more_changes_no_public_input(
    which: str, request: pytest.FixtureRequest, make_spec: Any, quick: MarginalOptions, tmp_path: Path
) -> None:
    """The person has a state that nobody else has, times beyond all bounds, and more rows than anybody."""
    import pyarrow.parquet as pq

    specs = request.getfixturevalue(which)
    unit = ("patients", "id") if which == "stays" else ("stays", "patient")
    parts = []
    for number in range(2):
        if number:
            for spec in specs:
                file = spec.path / "part-00000.parquet"
                rows = pq.read_table(file)
                pq.write_table(pa.concat_tables([rows, strange_rows(spec.name, rows.schema)]), file)
        plan = plan_release(ReleaseSpec(tables=tuple(specs), unit=unit), epsilon=3, delta=1e-6, options=quick)
        noise = OneStreamPerDraw()
        found = measure_release(plan, engine=ENGINE, noise=noise, gate=lambda: None, device="cpu", allow_insecure=True)
        found.save(tmp_path / str(number))
        parts.append(public_part(tmp_path / str(number)))
    assert parts[0] == parts[1]
    assert not any("strange" in text for text in parts[1])


def strange_rows(name: str, schema: pa.Schema) -> pa.Table:
    """All rows of one more person."""
    if name == "patients":
        return pa.table(
            {"id": [99_999], "old": [True], "enrolled": pa.array([0], pa.date32()), "_unit": ["strange"]}, schema=schema
        )
    days = pa.array([-90_000, 0, None, *range(100_000, 100_060)], pa.int32()).cast(pa.date32())
    size = len(days)
    return pa.table(
        {
            "stay": range(10**6, 10**6 + size),
            "patient": [99_999] * size,
            "day": days,
            "state": ["strange"] * size,
            "pulse": [10**9] * size,
            "_unit": ["strange"] * size,
        },
        schema=schema,
    )


# what a child is conditioned on


def test_children_follow_the_target_of_their_parent(make_spec: Any, tmp_path: Path) -> None:
    """A target in the parent is drawn given the other columns; its children take it as a condition."""
    rng = np.random.default_rng(0)
    people = 3000
    ill = rng.random(people) < 0.3
    of = np.repeat(np.arange(people), rng.integers(1, 4, people))
    kind = np.where(rng.random(len(of)) < np.where(ill[of], 0.9, 0.1), "drug", "advice")
    patients = pa.table(
        {"id": np.arange(people), "ill": pa.array(ill, pa.bool_()), "_unit": [f"u{i}" for i in range(people)]}
    )
    orders = pa.table({"order": np.arange(len(of)), "id": of, "kind": kind.tolist(), "_unit": [f"u{i}" for i in of]})
    spec = ReleaseSpec(
        tables=(
            make_spec("patients", patients, primary_key=("id",)),
            make_spec(
                "orders", orders, primary_key=("order",), foreign_keys={"id": "patients.id"},
                configs={"kind": ColumnConfig(categories=("drug", "advice"))},
            ),
        ),
        unit=("patients", "id"),
        target=("patients", "ill"),
    )  # fmt: skip
    options = MarginalOptions(components=100, stage_steps=40, final_steps=200)
    plan = plan_release(spec, epsilon=5, delta=1e-6, options=options)
    assert plan.table("patients").target == "ill"
    assert next(iter(plan.table("orders").context.values())) == "ill"
    found = measure_release(plan, engine=ENGINE, noise=SystemNoise(), gate=lambda: None, device="cpu")
    made = {
        n: pd.read_parquet(p)
        for n, p in fit_release(found, seed=0, device="cpu").sample(rows=None, seed=0, out=tmp_path).items()
    }
    share = made["orders"].merge(made["patients"], on="id").groupby("ill")["kind"].apply(lambda k: (k == "drug").mean())
    assert share[True] == pytest.approx(0.9, abs=0.06)
    assert share[False] == pytest.approx(0.1, abs=0.06)
    assert made["patients"]["ill"].mean() == pytest.approx(0.3, abs=0.04)


def test_totals_of_children_stay_near_the_real_ones(make_spec: Any, quick: MarginalOptions, tmp_path: Path) -> None:
    """Many children, a long tail and parents without any: the number of rows is neither cut nor blown up."""
    rng = np.random.default_rng(1)
    people = 3000
    for name, counts in {
        "poisson": rng.poisson(2.2, people),
        "geometric": rng.geometric(0.2, people) - 1,
        "many": rng.poisson(150, people),
        "none": np.zeros(people, dtype=int),
    }.items():
        of = np.repeat(np.arange(people), counts)
        parents = pa.table({"id": np.arange(people), "_unit": [f"u{i}" for i in range(people)]})
        children = pa.table(
            {
                "row": np.arange(len(of)),
                "id": of,
                "_unit": pc.binary_join_element_wise("u", pa.array(of).cast("string"), ""),
            }
        )
        tables = (
            make_spec("parents", parents, primary_key=("id",)),
            make_spec("children", children, primary_key=("row",), foreign_keys={"id": "parents.id"}),
        )
        plan = plan_release(ReleaseSpec(tables=tables, unit=("parents", "id")), epsilon=2, delta=1e-6, options=quick)
        found = measure_release(plan, engine=ENGINE, noise=SystemNoise(), gate=lambda: None, device="cpu")
        made = fit_release(found, seed=0, device="cpu").sample(rows=None, seed=0, out=tmp_path / name)
        rows = len(pd.read_parquet(made["children"]))
        assert rows == pytest.approx(len(of), rel=0.12, abs=100), name
