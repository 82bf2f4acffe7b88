"""CPU seconds, references and order of SDV's HMA and PAR on a made-up table of people and one of their visits. One thread.

OMP_NUM_THREADS=1 python benchmarks/related_plain.py [--people 3000] [--epochs 128] [--synthesizer hma]
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path[:] = [
    p for p in sys.path if Path(p or ".").resolve() != Path(__file__).parent
]  # profile.py here is not Python's


def make(people: int, folder: Path):
    """People, and 0 to 6 visits of each; old people have more of them, and dearer ones."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from synth_assets.synthesis.protocol import ReleaseSpec, TableSpec
    from synth_assets.tables.schema import ColumnKind, ColumnSchema, ForeignKey, TableSchema

    rng = np.random.default_rng(1)
    age = rng.integers(18, 90, people)
    owner = np.repeat(np.arange(people), rng.binomial(6, age / 120))
    visits = len(owner)
    tables = {
        "people": {"pid": np.arange(people), "age": age, "sex": rng.choice(["F", "M"], people)},
        "visits": {
            "vid": np.arange(visits),
            "pid": owner,
            "day": [dt.date(2024, 1, 1) + dt.timedelta(days=int(d)) for d in rng.integers(0, 365, visits)],
            "cost": rng.gamma(2, 10 + age[owner]).astype(np.int64),
            "kind": rng.choice(["call", "stay", "lab"], visits, p=[0.5, 0.2, 0.3]),
        },
    }
    kinds = {"pid": "id", "vid": "id", "sex": "category", "kind": "category", "day": "date"}
    types = {"category": "string", "date": "date32[day]"}
    specs = []
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
        key = next(iter(columns))
        described = tuple(
            ColumnSchema(name=c, kind=ColumnKind(kind := kinds.get(c, "number")), dtype=types.get(kind, "int64"))
            for c in columns
        )
        up = (ForeignKey(columns=("pid",), parent_table="people", parent_columns=("pid",)),) if name == "visits" else ()
        schema = TableSchema(name=name, columns=described, primary_key=(key,), foreign_keys=up)
        modelled = tuple(c for c in columns if c not in {"pid", "vid"})
        order = "day" if name == "visits" else None
        specs.append(
            TableSpec(
                table=schema,
                path=folder / f"{name}.parquet",
                columns=modelled,
                unit_column=None,
                sequence_order=order,
            )
        )
    return ReleaseSpec(tables=tuple(specs)), {n: len(next(iter(c.values()))) for n, c in tables.items()}


def run(name: str, people: int, epochs: int) -> dict[str, float]:
    """Fit, sample, count."""
    import pandas as pd

    from synth_assets.config.dataset import SynthesizerConfig
    from synth_assets.synthesis.sdv_options import plain_synthesizer

    network = {"epochs": epochs} if name == "par" else None
    with tempfile.TemporaryDirectory() as scratch:
        spec, rows = make(people, Path(scratch))
        times = [time.process_time()]
        model = plain_synthesizer(SynthesizerConfig(name=name, network=network)).fit(spec, seed=1)
        times.append(time.process_time())
        made = {n: pd.read_parquet(f) for n, f in model.sample(rows=None, seed=1, out=Path(scratch) / "out").items()}
        times.append(time.process_time())
    visits, parents = made["visits"], made["people"]
    joined = visits.merge(parents, on="pid")
    in_order = visits.groupby("pid")["day"].apply(lambda d: d.is_monotonic_increasing).mean()
    return {
        "synthesizer": name,
        "rows": rows,
        "made": {n: len(f) for n, f in made.items()},
        "fit_cpu_s": round(times[1] - times[0], 1),
        "sample_cpu_s": round(times[2] - times[1], 1),
        "references_found": round(float(visits.pid.isin(parents.pid).mean()), 4),
        "entities_in_order": round(float(in_order), 4),
        "correlation_of_age_and_cost": round(float(joined[["age", "cost"]].corr().iloc[0, 1]), 3),
    }


def main() -> None:
    """Parse, run, print one JSON line per synthesizer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=3000)
    parser.add_argument("--epochs", type=int, default=128)
    parser.add_argument("--synthesizer", default="hma,par,gaussian_copula")
    arguments = parser.parse_args()
    for name in arguments.synthesizer.split(","):
        print(json.dumps(run(name, arguments.people, arguments.epochs)), flush=True)


if __name__ == "__main__":
    main()
