"""Related and sequential tables of dp_marginals: numbers of children, trends between parent and child, order in time. One thread.

    OMP_NUM_THREADS=1 python benchmarks/related.py DATA [--tables clinic,chinook,synthea,flights,alone] [--epsilon 1,3] [--runs 3]
        [--without-order]

DATA holds the folders chinook, synthea and flights with their CSV files; the clinic is made by the generator. A fifth of the units is
held out, and scored like a synthetic table beside it. Lists of at most 120 categories and rounded bounds count as declared, in place of
a codebook; longer lists are measured and charged. `--without-order` leaves out `sequence_order`. `alone` are the flights without the
table of planes: the unit's own table is the sequence.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path[:] = [
    p for p in sys.path if Path(p or ".").resolve() != Path(__file__).parent
]  # profile.py here is not Python's

import numpy as np  # noqa: E402  after the path is cleaned
import pandas as pd  # noqa: E402

DECLARED = 120  # categories of a list that counts as public
MOST_CODES = 200
BINS = 10


@dataclass
class Data:
    """One table: its rows, its keys, what is modelled."""

    rows: pd.DataFrame
    primary_key: tuple[str, ...]
    foreign_keys: dict[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    order: str | None = None
    orders: tuple[tuple[str, str], ...] = ()

    def part(self, units: set) -> Data:
        rows = self.rows[self.rows["_unit"].isin(units)]
        return Data(rows, self.primary_key, self.foreign_keys, self.columns, self.order, self.orders)


@dataclass
class Dataset:
    """Related tables, parents first, and the unit of privacy."""

    tables: dict[str, Data]
    unit: tuple[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--tables", default="clinic,chinook,synthea,flights")
    parser.add_argument("--epsilon", default="1,3")
    parser.add_argument("--delta", type=float, default=1e-6)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--without-order", action="store_true")
    arguments = parser.parse_args()
    for name in arguments.tables.split(","):
        dataset = MAKERS[name](arguments.data)
        train, holdout = split(dataset)
        show(name, "holdout", score(train, {n: t.rows for n, t in holdout.tables.items()}))
        for epsilon in arguments.epsilon.split(","):
            found = []
            for run in range(arguments.runs):
                begin = time.process_time()
                made = release(train, float(epsilon), arguments.delta, run, ordered=not arguments.without_order)
                seconds = time.process_time() - begin
                found.append({**score(train, made), "all: CPU s": seconds})
            show(
                name,
                f"epsilon {epsilon}",
                {k: statistics.mean(f.get(k, float("nan")) for f in found) for k in found[0]},
            )


def show(dataset: str, what: str, scores: dict[str, float]) -> None:
    sys.stdout.write(
        json.dumps({"dataset": dataset, "what": what, **{k: round(v, 4) for k, v in scores.items()}}) + "\n"
    )
    sys.stdout.flush()


# data


def clinic(data: Path) -> Dataset:
    del data
    from synth_assets.generation.stream import generate, load_schema

    root = Path(__file__).resolve().parents[1]
    with tempfile.TemporaryDirectory() as scratch:
        made = generate(
            load_schema(root / "configs/schemas/clinic.yaml"), Path(scratch), seed=7, rows={"patients": 5000}
        )
        frames = {n: pd.read_parquet(p) for n, p in made.items()}
    patients, encounters, claims = frames["patients"], frames["encounters"], frames["claims"]
    return with_units(
        {
            "patients": Data(patients, ("patient_id",), {}, (
                "sex", "birth_date", "state", "race", "marital_status", "insurance", "smoker", "bmi", "chronic_conditions",
                "inpatient_days", "readmitted")),
            "encounters": Data(encounters, ("encounter_id",), {"patient_id": "patients.patient_id"}, (
                "visit_type", "admission_date", "discharge_date", "length_of_stay", "icd10_code", "department"),
                "admission_date", (("admission_date", "discharge_date"),)),
            "claims": Data(claims, ("claim_id",), {"encounter_id": "encounters.encounter_id", "patient_id": "patients.patient_id"}, (
                "service_date", "procedure_code", "payer", "billed_amount", "status", "paid_amount"), "service_date"),
        },
        ("patients", "patient_id"),
    )  # fmt: skip


def chinook(data: Path) -> Dataset:
    read = {n: pd.read_csv(data / "chinook" / f"{n}.csv") for n in ("Customer", "Invoice", "InvoiceLine", "Track")}
    read["Invoice"]["InvoiceDate"] = pd.to_datetime(read["Invoice"]["InvoiceDate"])
    lines = read["InvoiceLine"].merge(read["Track"][["TrackId", "GenreId", "MediaTypeId"]], on="TrackId")
    lines[["GenreId", "MediaTypeId"]] = lines[["GenreId", "MediaTypeId"]].astype(str)
    return with_units(
        {
            "customers": Data(read["Customer"], ("CustomerId",), {}, ("Country",)),
            "invoices": Data(read["Invoice"], ("InvoiceId",), {"CustomerId": "customers.CustomerId"},
                ("InvoiceDate", "Total"), "InvoiceDate"),
            "lines": Data(lines, ("InvoiceLineId",), {"InvoiceId": "invoices.InvoiceId"}, ("GenreId", "MediaTypeId", "UnitPrice")),
        },
        ("customers", "CustomerId"),
    )  # fmt: skip


def synthea(data: Path) -> Dataset:
    names = ("patients", "encounters", "conditions", "medications", "procedures", "immunizations")
    read = {n: pd.read_csv(data / "synthea" / f"{n}.csv", dtype={"CODE": str}) for n in names}
    for frame in read.values():
        for column in ("START", "STOP", "DATE", "BIRTHDATE"):
            if column in frame:
                frame[column] = pd.to_datetime(frame[column], utc=True).dt.tz_localize(None)
    for name in names[1:]:
        read[name]["row"] = np.arange(len(read[name]))
    keys = {"ENCOUNTER": "encounters.Id", "PATIENT": "patients.Id"}
    return with_units(
        {
            "patients": Data(read["patients"], ("Id",), {}, (
                "BIRTHDATE", "MARITAL", "RACE", "ETHNICITY", "GENDER", "COUNTY", "HEALTHCARE_EXPENSES")),
            "encounters": Data(read["encounters"], ("Id",), {"PATIENT": "patients.Id"}, (
                "START", "STOP", "ENCOUNTERCLASS", "CODE", "TOTAL_CLAIM_COST", "PAYER_COVERAGE"), "START", (("START", "STOP"),)),
            "conditions": Data(read["conditions"], ("row",), keys, ("START", "CODE"), "START"),
            "medications": Data(read["medications"], ("row",), keys, ("START", "CODE", "TOTALCOST", "DISPENSES"), "START"),
            "procedures": Data(read["procedures"], ("row",), keys, ("DATE", "CODE", "BASE_COST"), "DATE"),
            "immunizations": Data(read["immunizations"], ("row",), keys, ("DATE", "CODE"), "DATE"),
        },
        ("patients", "Id"),
    )  # fmt: skip


def flights(data: Path) -> Dataset:
    planes = pd.read_csv(data / "flights/planes.csv", keep_default_na=False, na_values=["NA"])
    planes["year"] = planes["year"].where(planes["year"] > 0)  # 0 stands for missing
    rows = flight_rows(data)
    rows = rows[rows["tailnum"].isin(planes["tailnum"])]
    return with_units(
        {
            "planes": Data(planes, ("tailnum",), {}, ("year", "type", "manufacturer", "engines", "seats", "engine")),
            "flights": Data(rows, ("row",), {"tailnum": "planes.tailnum"}, FLIGHT_COLUMNS, "time"),
        },
        ("planes", "tailnum"),
    )


def alone(data: Path) -> Dataset:
    """The flights alone: the unit's own table is the sequence."""
    rows = flight_rows(data)
    rows = rows[rows["tailnum"].notna()]
    return with_units({"flights": Data(rows, ("row",), {}, FLIGHT_COLUMNS, "time")}, ("flights", "tailnum"))


FLIGHT_COLUMNS = ("time", "carrier", "origin", "dest", "dep_delay", "distance", "air_time")


def flight_rows(data: Path) -> pd.DataFrame:
    rows = pd.read_csv(data / "flights/flights_2013_jan_may.csv", keep_default_na=False, na_values=["NA"])
    rows["time"] = pd.to_datetime(rows["time_hour"], utc=True).dt.tz_localize(None) + pd.to_timedelta(
        rows["minute"], unit="m"
    )
    rows["row"] = np.arange(len(rows))
    return rows


MAKERS = {"clinic": clinic, "chinook": chinook, "synthea": synthea, "flights": flights, "alone": alone}


def with_units(tables: dict[str, Data], unit: tuple[str, str]) -> Dataset:
    """Mark every row with its unit of privacy, by following the longest key."""
    for name, table in tables.items():
        if name == unit[0]:
            table.rows = table.rows.assign(_unit=table.rows[unit[1]].astype(str))
            continue
        column, (parent, key) = next((c, r.split(".")) for c, r in table.foreign_keys.items())
        above = tables[parent].rows.drop_duplicates(key).set_index(key)["_unit"]
        table.rows = table.rows.assign(_unit=table.rows[column].map(above))
        table.rows = table.rows[table.rows["_unit"].notna()]
    return Dataset(tables, unit)


def split(dataset: Dataset) -> tuple[Dataset, Dataset]:
    """Four fifths of the units, and the rest."""
    units = np.array(sorted(dataset.tables[dataset.unit[0]].rows["_unit"].unique()))
    order = np.random.default_rng(0).permutation(len(units))
    cut = len(units) // 5
    sides = (set(units[order[cut:]]), set(units[order[:cut]]))
    return tuple(Dataset({n: t.part(s) for n, t in dataset.tables.items()}, dataset.unit) for s in sides)


# release


def release(train: Dataset, epsilon: float, delta: float, seed: int, *, ordered: bool) -> dict[str, pd.DataFrame]:
    """Measure, fit and sample once."""
    from synth_assets.privacy.mechanisms import SystemNoise
    from synth_assets.synthesis.protocol import ReleaseSpec
    from synth_assets.synthesis.release import fit_release, measure_release, plan_release
    from synth_assets.tables.engine import Engine

    with tempfile.TemporaryDirectory() as scratch:
        specs = tuple(specification(n, t, train, Path(scratch), ordered=ordered) for n, t in train.tables.items())
        plan = plan_release(ReleaseSpec(tables=specs, unit=train.unit), epsilon=epsilon, delta=delta)
        measured = measure_release(plan, engine=Engine(threads=1), noise=SystemNoise(), gate=lambda: None, seed=seed)
        model = fit_release(measured, seed=seed)
        made = model.sample(rows=None, seed=seed, out=Path(scratch) / "out")
        return {n: pd.read_parquet(p) for n, p in made.items()}


def specification(name: str, table: Data, dataset: Dataset, scratch: Path, *, ordered: bool):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from synth_assets.synthesis.protocol import TableSpec
    from synth_assets.tables.schema import ColumnSchema, ForeignKey, TableSchema

    wanted = list(dict.fromkeys([*table.primary_key, *table.foreign_keys, *table.columns]))
    if dataset.unit[0] == name and dataset.unit[1] not in wanted:
        wanted.insert(0, dataset.unit[1])
    arrays, columns, configs = {}, [], {}
    for column in wanted:
        values = table.rows[column]
        arrays[column], dtype, kind = arrow(values)
        columns.append(ColumnSchema(name=column, kind=kind, dtype=dtype, inferred=False))
        if column in table.columns:
            configs[column] = declared(values, kind)
    arrays["_unit"] = pa.array(table.rows["_unit"].astype(str))
    (scratch / name).mkdir()
    pq.write_table(pa.table(arrays), scratch / name / "part-00000.parquet")
    keys = []
    for column, reference in table.foreign_keys.items():
        parent, key = reference.split(".")
        keys.append(ForeignKey(columns=(column,), parent_table=parent, parent_columns=(key,)))
    schema = TableSchema(name=name, columns=tuple(columns), primary_key=table.primary_key, foreign_keys=tuple(keys))
    return TableSpec(
        table=schema, path=scratch / name, columns=table.columns, configs=configs, orders=table.orders,
        sequence_order=table.order if ordered else None,
    )  # fmt: skip


def arrow(values: pd.Series):
    import pyarrow as pa

    from synth_assets.tables.schema import ColumnKind

    if pd.api.types.is_datetime64_any_dtype(values):
        if (values.dropna() == values.dropna().dt.normalize()).all():
            return pa.array(values.dt.date, pa.date32()), "date32[day]", ColumnKind.DATE
        return (
            pa.array(values.to_numpy().astype("datetime64[us]"), pa.timestamp("us")),
            "timestamp[us]",
            ColumnKind.DATETIME,
        )
    first = values.dropna().iloc[0] if values.notna().any() else None
    if hasattr(first, "isoformat"):
        return pa.array(values, pa.date32()), "date32[day]", ColumnKind.DATE
    if pd.api.types.is_bool_dtype(values):
        return pa.array(values, pa.bool_()), "bool", ColumnKind.BOOLEAN
    if pd.api.types.is_numeric_dtype(values):
        whole = (values.dropna() % 1 == 0).all()
        return (
            (pa.array(values.astype("Int64"), pa.int64()), "int64", ColumnKind.NUMBER)
            if whole
            else (pa.array(values, pa.float64(), from_pandas=True), "double", ColumnKind.NUMBER)
        )
    return pa.array(values.where(values.notna(), None).astype(object), pa.string()), "string", ColumnKind.CATEGORY


def declared(values: pd.Series, kind):
    from synth_assets.config.dataset import ColumnConfig

    known = values.dropna()
    if kind == "category":
        names = sorted(known.unique())
        return ColumnConfig(categories=tuple(names)) if len(names) <= DECLARED else ColumnConfig()
    if kind in {"date", "datetime"}:
        first, last = pd.Timestamp(known.min()), pd.Timestamp(known.max()) + pd.offsets.MonthEnd(0)
        return ColumnConfig(lower=f"{first.year}-{first.month:02d}-01", upper=str(last.date()))
    if kind == "number":
        low, high = float(known.min()), float(known.max())
        size = 10.0 ** np.floor(np.log10(max(abs(low), abs(high), 10)) - 1)
        return ColumnConfig(lower=float(np.floor(low / size) * size), upper=float(np.ceil(high / size) * size))
    return ColumnConfig()


# scores


def score(train: Dataset, made: dict[str, pd.DataFrame]) -> dict[str, float]:
    """All scores, the train part being the truth."""
    out: dict[str, float] = {}
    for name, table in train.tables.items():
        real, other = table.rows, made[name]
        out[f"{name}: rows"] = float(len(other))
        if not len(other):
            continue
        a, b = codes(real, other, table.columns)
        out[f"{name}: TVD1"] = statistics.mean(tvd(a[c], b[c]) for c in table.columns)
        pairs = list(itertools.combinations(table.columns, 2))
        if pairs:
            out[f"{name}: TVD2"] = statistics.mean(tvd(joint(a, *p), joint(b, *p)) for p in pairs)
        for column, reference in table.foreign_keys.items():
            out |= relation(name, table, column, reference, train, made)
        if table.order is not None:
            out |= sequence(name, table, train, other)
    return out


def codes(real: pd.DataFrame, other: pd.DataFrame, columns: tuple[str, ...]):
    """Columns as small integers by the same rule for both: quantiles of the real numbers, the most frequent categories."""
    left, right = {}, {}
    for column in columns:
        x, y = real[column], other[column]
        if (
            pd.api.types.is_bool_dtype(x)
            or (x.dtype == object and not hasattr(first_of(x), "isoformat"))
            or str(x.dtype) in {"str", "string"}
        ):
            top = {v: i for i, v in enumerate(x.astype(str).where(x.notna(), "").value_counts().index[:MOST_CODES])}
            left[column], right[column] = (
                v.astype(str).where(v.notna(), "").map(top).fillna(MOST_CODES).to_numpy(dtype=np.int64) for v in (x, y)
            )
        else:
            x, y = numbers(x), numbers(y)
            edges = np.unique(np.nanquantile(x, np.linspace(0, 1, BINS + 1)[1:-1]))
            left[column], right[column] = (
                np.where(np.isnan(v), BINS + 1, np.searchsorted(edges, v, side="right")) for v in (x, y)
            )
    return left, right


def first_of(values: pd.Series):
    known = values.dropna()
    return known.iloc[0] if len(known) else None


def numbers(values: pd.Series) -> np.ndarray:
    if values.dtype == object:
        values = pd.to_datetime(values)
    if pd.api.types.is_datetime64_any_dtype(values):
        return np.where(values.isna(), np.nan, values.to_numpy().astype("datetime64[s]").astype(np.int64).astype(float))
    return values.to_numpy(dtype=float, na_value=np.nan)


def joint(codes_of: dict[str, np.ndarray], a: str, b: str) -> np.ndarray:
    return codes_of[a] * (MOST_CODES + 1) + codes_of[b]


def tvd(x: np.ndarray, y: np.ndarray) -> float:
    if not len(x) or not len(y):
        return 1.0
    values, where = np.unique(np.concatenate([x, y]), return_inverse=True)
    p, q = (np.bincount(w, minlength=len(values)) / len(w) for w in (where[: len(x)], where[len(x) :]))
    return float(np.abs(p - q).sum() / 2)


def relation(
    name: str, table: Data, column: str, reference: str, train: Dataset, made: dict[str, pd.DataFrame]
) -> dict[str, float]:
    """Integrity, numbers of children, trends between parent and child."""
    parent, key = reference.split(".")
    above, other, child = train.tables[parent], made[parent], made[name]
    out = {f"{name} -> {parent}: integrity": float(child[column].isin(other[key]).mean()) if len(child) else 1.0}
    real_children = table.rows[column].value_counts().reindex(above.rows[key], fill_value=0).to_numpy()
    made_children = child[column].value_counts().reindex(other[key], fill_value=0).to_numpy()
    out[f"{name} -> {parent}: children TVD"] = tvd(np.minimum(real_children, 20), np.minimum(made_children, 20))
    out[f"{name} -> {parent}: children mean"] = float(made_children.mean())
    if not above.columns or not len(child) or column != next(iter(table.foreign_keys)):
        return out
    a, b = codes(above.rows, other, above.columns)
    c, d = codes(table.rows, child, table.columns)
    at_real = (
        pd.Series(np.arange(len(above.rows)), index=above.rows[key]).reindex(table.rows[column]).to_numpy(dtype=int)
    )
    at_made = pd.Series(np.arange(len(other)), index=other[key]).reindex(child[column]).to_numpy(dtype=int)
    trends = [
        tvd(a[p][at_real] * (MOST_CODES + 1) + c[q], b[p][at_made] * (MOST_CODES + 1) + d[q])
        for p in above.columns
        for q in table.columns
    ]
    out[f"{name} -> {parent}: trends TVD2"] = statistics.mean(trends)
    return out


def sequence(name: str, table: Data, train: Dataset, other: pd.DataFrame) -> dict[str, float]:
    """Consecutive rows of one parent (or unit): transitions, autocorrelation, gaps."""
    group = next(iter(table.foreign_keys), train.unit[1])
    if group not in other:
        return {}
    real, made = (in_order(t, group, table.order) for t in (table.rows, other))
    a, b = codes(real[0], made[0], table.columns)
    out: dict[str, float] = {}
    moved = []
    for column in table.columns:
        if column == table.order:
            continue
        x, y = (c[column][1:] * (MOST_CODES + 1) + c[column][:-1] for c in (a, b))
        moved.append(tvd(x[real[1]], y[made[1]]))
    if moved:
        out[f"{name}: transitions TVD"] = statistics.mean(moved)
    lags = [
        (autocorrelation(real, c), autocorrelation(made, c))
        for c in table.columns
        if c != table.order and is_number(table.rows[c])
    ]
    if lags:
        out[f"{name}: autocorrelation error"] = statistics.mean(abs(x - y) for x, y in lags)
        out[f"{name}: autocorrelation real"] = statistics.mean(x for x, _ in lags)
        out[f"{name}: autocorrelation"] = statistics.mean(y for _, y in lags)
    gaps = [np.diff(numbers(f[table.order]))[same] for f, same in (real, made)]
    edges = np.unique(np.nanquantile(gaps[0], np.linspace(0, 1, BINS + 1)[1:-1])) if len(gaps[0]) else np.zeros(0)
    out[f"{name}: gaps TVD"] = tvd(*(np.searchsorted(edges, g[~np.isnan(g)], side="right") for g in gaps))
    times = numbers(other[table.order])
    kept = np.diff(times)[(other[group].to_numpy()[1:] == other[group].to_numpy()[:-1])]
    out[f"{name}: in order"] = float((kept[~np.isnan(kept)] >= 0).mean()) if len(kept) else 1.0
    return out


def is_number(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def in_order(frame: pd.DataFrame, group: str, order: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows sorted by group and time, and which neighbours are of one group."""
    ordered = frame.assign(_t=numbers(frame[order])).sort_values([group, "_t"], kind="stable").reset_index(drop=True)
    keys = ordered[group].to_numpy()
    return ordered, keys[1:] == keys[:-1]


def autocorrelation(rows: tuple[pd.DataFrame, np.ndarray], column: str) -> float:
    values = numbers(rows[0][column])
    x, y = values[:-1][rows[1]], values[1:][rows[1]]
    known = ~(np.isnan(x) | np.isnan(y))
    if known.sum() < 3 or x[known].std() == 0 or y[known].std() == 0:
        return 0.0
    x, y = (pd.Series(v[known]).rank().to_numpy() for v in (x, y))  # ranks: amounts have long tails
    return float(np.corrcoef(x, y)[0, 1])


if __name__ == "__main__":
    main()
