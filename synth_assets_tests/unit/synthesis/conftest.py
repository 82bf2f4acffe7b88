"""Small tables and specifications for the tests of the DP synthesizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synth_assets.config.dataset import ColumnConfig
from synth_assets.synthesis.marginals.options import MarginalOptions
from synth_assets.synthesis.protocol import TableSpec
from synth_assets.tables.schema import ColumnKind, ColumnSchema, ForeignKey, TableSchema

SpecMaker = Callable[..., TableSpec]


class ZeroNoise:
    """A test-only source: no noise, and always the best score. Shows what the noise has to hide."""

    secure = False

    def discrete_gaussian(self, *, sigma: float, size: int) -> np.ndarray:
        return np.zeros(size, dtype=np.int64)

    def exponential(self, scores: np.ndarray, *, epsilon: float, sensitivity: float) -> int:
        return int(np.argmax(scores))


@pytest.fixture
def zero_noise() -> ZeroNoise:
    return ZeroNoise()


@pytest.fixture
def quick() -> MarginalOptions:
    """Little effort, for tests of plumbing."""
    return MarginalOptions(components=60, stage_steps=10, warm_steps=10, final_steps=30, stages=2, target_rows=2000)


@pytest.fixture
def make_spec(tmp_path: Path) -> SpecMaker:
    """A table in canonical Parquet and its specification."""

    def make(
        name: str,
        rows: pa.Table,
        *,
        primary_key: Sequence[str] = (),
        foreign_keys: Mapping[str, str] | Sequence[ForeignKey] = (),
        columns: Sequence[str] | None = None,
        configs: Mapping[str, ColumnConfig] | None = None,
        kinds: Mapping[str, ColumnKind] | None = None,
        max_per_unit: int | None = None,
        orders: Sequence[tuple[str, str]] = (),
        sequence_order: str | None = None,
        inferred: bool = False,
    ) -> TableSpec:
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows, folder / "part-00000.parquet")
        keys = _foreign_keys(foreign_keys)
        own = [n for n in rows.column_names if n != "_unit"]
        taken = {*primary_key, *(c for k in keys for c in k.columns)}
        schema = TableSchema(
            name=name,
            columns=tuple(_column(rows.schema.field(n), (kinds or {}).get(n), inferred=inferred) for n in own),
            primary_key=tuple(primary_key),
            foreign_keys=keys,
            row_count=rows.num_rows,
        )
        return TableSpec(
            table=schema,
            path=folder,
            columns=tuple(columns) if columns is not None else tuple(n for n in own if n not in taken),
            configs=dict(configs or {}),
            max_per_unit=max_per_unit,
            unit_column="_unit" if "_unit" in rows.column_names else None,
            orders=tuple(orders),
            sequence_order=sequence_order,
        )

    return make


def _foreign_keys(given: Mapping[str, str] | Sequence[ForeignKey]) -> tuple[ForeignKey, ...]:
    if not isinstance(given, Mapping):
        return tuple(given)
    pairs = [(column, *reference.split(".")) for column, reference in given.items()]
    return tuple(ForeignKey(columns=(c,), parent_table=t, parent_columns=(p,)) for c, t, p in pairs)


def _column(field: pa.Field, kind: ColumnKind | None, *, inferred: bool) -> ColumnSchema:
    dtype = str(field.type)
    usual = {
        "int64": ColumnKind.NUMBER,
        "double": ColumnKind.NUMBER,
        "bool": ColumnKind.BOOLEAN,
        "date32[day]": ColumnKind.DATE,
        "timestamp[us]": ColumnKind.DATETIME,
    }
    return ColumnSchema(
        name=field.name, kind=kind or usual.get(dtype, ColumnKind.CATEGORY), dtype=dtype, inferred=inferred
    )


@pytest.fixture
def people() -> pa.Table:
    """2,000 made-up rows with dependent columns; an outcome that follows group and score."""
    return make_people(2000, seed=5)


def make_people(rows: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    group = rng.choice(["a", "b", "c"], rows, p=[0.5, 0.3, 0.2])
    score = np.clip(np.rint(rng.normal(50 + 20 * (group == "c"), 12)), 0, 100).astype(np.int64)
    outcome = (rng.random(rows) < np.where(score > 60, 0.8, 0.1)).astype(bool)
    amount = np.round(np.exp(rng.normal(4 + (group == "b"), 1.0)), 2)
    return pa.table(
        {
            "group": pa.array(group.tolist(), pa.string()),
            "score": pa.array(score, pa.int64()),
            "amount": pa.array(amount, pa.float64(), mask=rng.random(rows) < 0.2),
            "outcome": pa.array(outcome, pa.bool_()),
        }
    )


@pytest.fixture
def people_configs() -> dict[str, ColumnConfig]:
    """The public domain of `people`."""
    return {
        "group": ColumnConfig(categories=("a", "b", "c")),
        "score": ColumnConfig(lower=0, upper=100),
        "amount": ColumnConfig(lower=0, upper=5000),
    }


@pytest.fixture
def family(make_spec: SpecMaker) -> list[TableSpec]:
    """Parents, children and grandchildren with undeclared, unrelated reference tables and a self reference."""
    rng = np.random.default_rng(2)
    parents = 600
    ids = np.arange(1, parents + 1)
    unit = np.array([f"u{i:04d}" for i in ids])
    sick = rng.random(parents) < 0.4
    visits = np.where(sick, rng.integers(3, 6, parents), rng.integers(0, 2, parents))
    owner = np.repeat(np.arange(parents), visits)
    bills = rng.integers(0, 3, len(owner))
    bill_owner = np.repeat(np.arange(len(owner)), bills)
    ward = np.where(rng.random(len(owner)) < np.where(sick[owner], 0.9, 0.1), "ward", "clinic")
    patients = pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "sick": pa.array(sick, pa.bool_()),
            "referred_by": pa.array([None, *rng.integers(1, ids[:-1] + 1).tolist()], pa.int64()),
            "_unit": unit.tolist(),
        }
    )
    visit_id = [f"v{i}" for i in range(len(owner))]
    visit = pa.table(
        {
            "visit": visit_id,
            "patient": ids[owner],
            "place": ward.tolist(),
            "doctor": rng.integers(1, 6, len(owner)),
            "_unit": unit[owner].tolist(),
        }
    )
    bill = pa.table(
        {
            "visit": [visit_id[i] for i in bill_owner],
            "line": np.concatenate([np.arange(1, n + 1) for n in bills]) if len(bills) else [],
            "patient": ids[owner[bill_owner]],
            "cost": pa.array(rng.integers(10, 500, len(bill_owner)), pa.int64()),
            "_unit": unit[owner[bill_owner]].tolist(),
        }
    )
    doctors = pa.table({"doctor": pa.array(range(1, 6), pa.int64()), "senior": [True, False, False, True, False]})
    return [
        make_spec(
            "bills",
            bill,
            primary_key=("visit", "line"),
            foreign_keys={"visit": "visits.visit", "patient": "patients.id"},
            configs={"cost": ColumnConfig(lower=0, upper=500)},
        ),
        make_spec(
            "patients", patients, primary_key=("id",), foreign_keys={"referred_by": "patients.id"}, columns=("sick",)
        ),
        make_spec(
            "visits",
            visit,
            primary_key=("visit",),
            foreign_keys={"patient": "patients.id", "doctor": "doctors.doctor"},
            configs={"place": ColumnConfig(categories=("clinic", "ward"))},
        ),
        make_spec("doctors", doctors, primary_key=("doctor",)),
    ]


STATES = ("home", "ward", "icu")
MOVES = np.array([[0.8, 0.2, 0.0], [0.1, 0.8, 0.1], [0.0, 0.3, 0.7]])  # a patient's next state, given this one
FIRST_DAY = np.datetime64("2020-01-01")


def make_stays(people: int, seed: int) -> tuple[pa.Table, pa.Table]:
    """Patients and their stays with known dynamics.

    Who is old starts in the ward and else at home; states follow `MOVES`; a pulse stays near the one before (autocorrelation 0.9); one stay
    follows another after 1 to 5 days, after 20 to 30 from home. The first is 10 to 40 days after the patient was enrolled.
    """
    rng = np.random.default_rng(seed)
    old = rng.random(people) < 0.5
    enrolled = FIRST_DAY + rng.integers(0, 100, people)
    counts = np.where(old, rng.integers(4, 9, people), rng.integers(1, 4, people))
    of = np.repeat(np.arange(people), counts)
    first = np.cumsum(counts) - counts
    state, pulse, day = (np.zeros(len(of), dtype=np.int64) for _ in range(3))
    for number in range(counts.max()):
        who = np.flatnonzero(counts > number)
        row = first[who] + number
        if number == 0:
            state[row], pulse[row] = old[who], rng.integers(50, 110, len(who))
            day[row] = (enrolled[who] - FIRST_DAY).astype(int) + rng.integers(10, 41, len(who))
            continue
        before = state[row - 1]
        state[row] = (rng.random(len(row))[:, None] > np.cumsum(MOVES[before], axis=1)).sum(1)
        pulse[row] = np.clip(np.rint(80 + 0.9 * (pulse[row - 1] - 80) + rng.normal(0, 7, len(row))), 40, 120)
        day[row] = day[row - 1] + np.where(before == 0, rng.integers(20, 31, len(row)), rng.integers(1, 6, len(row)))
    unit = [f"u{i:05d}" for i in range(people)]
    patients = pa.table(
        {
            "id": pa.array(range(1, people + 1), pa.int64()),
            "old": pa.array(old, pa.bool_()),
            "enrolled": pa.array(enrolled, pa.date32()),
            "_unit": unit,
        }
    )
    order = rng.permutation(len(of))  # rows of a source have no order
    stays = pa.table(
        {
            "stay": pa.array(range(len(of)), pa.int64()),
            "patient": pa.array((of + 1)[order], pa.int64()),
            "day": pa.array((FIRST_DAY + day)[order], pa.date32()),
            "state": pa.array([STATES[s] for s in state[order]], pa.string()),
            "pulse": pa.array(pulse[order], pa.int64()),
            "_unit": [unit[i] for i in of[order]],
        }
    )
    return patients, stays


STAY_CONFIGS = {
    "day": ColumnConfig(lower="2020-01-01", upper="2021-06-30"),
    "state": ColumnConfig(categories=STATES),
    "pulse": ColumnConfig(lower=40, upper=120),
}


@pytest.fixture
def stays(make_spec: SpecMaker) -> list[TableSpec]:
    """Patients, and their stays as a sequence."""
    patients, rows = make_stays(3000, seed=3)
    return [
        make_spec(
            "patients",
            patients,
            primary_key=("id",),
            configs={"enrolled": ColumnConfig(lower="2020-01-01", upper="2020-04-30")},
            sequence_order="enrolled",
        ),
        make_spec(
            "stays",
            rows,
            primary_key=("stay",),
            foreign_keys={"patient": "patients.id"},
            configs=STAY_CONFIGS,
            sequence_order="day",
        ),
    ]


@pytest.fixture
def lone_stays(make_spec: SpecMaker) -> list[TableSpec]:
    """The same stays without a table of patients: the unit's own table is the sequence."""
    _, rows = make_stays(3000, seed=3)
    return [
        make_spec(
            "stays",
            rows,
            primary_key=("stay",),
            configs=STAY_CONFIGS,
            sequence_order="day",
            columns=("day", "state", "pulse"),
        )
    ]
