"""The empirical check: lower bound beside the claim, time, faults that are rejected, false alarms. One thread.

    python benchmarks/empirical.py DATA [--table adult] [--epsilon 0.5,1,3,10] [--faults 20] [--alarms 2000] [--canaries]

DATA holds one folder per table with train.csv and schema.json (the public domain). Only the plan is attacked, so train.csv is read for
`--canaries` alone, which trains a model.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from synth_assets.config.dataset import ColumnConfig
from synth_assets.privacy.empirical.noise import attack_noise
from synth_assets.privacy.empirical.words import bound_words
from synth_assets.privacy.mechanisms import SystemNoise
from synth_assets.privacy.planned import PlannedNoise
from synth_assets.synthesis.empirical import attack_plan
from synth_assets.synthesis.protocol import ReleaseSpec, TableSpec
from synth_assets.synthesis.release import plan_release
from synth_assets.synthesis.release_plan import ReleasePlan
from synth_assets.tables.schema import ColumnKind, ColumnSchema, TableSchema

DELTA = 1e-5


class Scaled(SystemNoise):
    """Gaussian noise that is smaller than asked for by a factor."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def discrete_gaussian(self, *, sigma: float, size: int) -> np.ndarray:
        """See `NoiseSource`."""
        if self.factor > 1e6:
            return np.zeros(size, dtype=np.int64)
        return super().discrete_gaussian(sigma=sigma / self.factor, size=size)


class Redrawing(PlannedNoise):
    """Draws again on a retry, charged once; who sees both answers sees their mean."""

    def noisy(self, exact: np.ndarray, sigma: float) -> np.ndarray:
        """See `PlannedNoise`."""
        again = exact + self.noise.discrete_gaussian(sigma=sigma, size=exact.size).reshape(exact.shape)
        return np.asarray((super().noisy(exact, sigma) + again) / 2)


def plan_of(folder: Path, epsilon: float, path: Path) -> ReleasePlan:
    """The plan of one release of a table, from its public domain."""
    public = json.loads((folder / "schema.json").read_text())
    columns, configs = [], {}
    for name, column in public["columns"].items():
        number = column["kind"] == "num"
        kind, dtype = (ColumnKind.NUMBER, "int64") if number else (ColumnKind.CATEGORY, "string")
        columns.append(ColumnSchema(name=name, kind=kind, dtype=dtype, inferred=False))
        configs[name] = (
            ColumnConfig(kind="number", lower=column["lower"], upper=column["upper"])
            if number
            else ColumnConfig(kind="category", categories=tuple(map(str, column["categories"])))
        )
    schema = TableSchema(name=folder.name, columns=tuple(columns), row_count=0)
    table = TableSpec(table=schema, path=path, columns=schema.names, configs=configs, unit_column=None)
    target = (folder.name, public["target"]) if public.get("target") else None
    return plan_release(ReleaseSpec(tables=(table,), target=target), epsilon=epsilon, delta=DELTA)


def timed(call: Callable[[], Any]) -> tuple[Any, float, float]:
    """What a call returns, its CPU and its wall seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = call()
    return found, time.process_time() - cpu, time.perf_counter() - wall


def bounds(folder: Path, epsilons: list[float]) -> None:
    """Lower bound and claim for 80,000 and a million repetitions."""
    for epsilon in epsilons:
        plan = plan_of(folder, epsilon, folder)
        for repetitions in (80_000, 1_000_000):
            check, cpu, wall = timed(lambda p=plan, n=repetitions: attack_plan(p, SystemNoise(), repetitions=n))
            print(
                f"{folder.name}, epsilon {epsilon:g}, {repetitions:,}: mu {check.mu_lower:.4f} of {check.mu_claimed:.4f} = "
                f"{check.mu_lower / check.mu_claimed:.3f}; {cpu:.1f} CPU s, {wall:.1f} s; passed {check.passed}"
            )
        print(f"  epsilon is {bound_words(check)}")


def faults(folder: Path, times: int) -> None:
    """How often each planted fault is rejected at 20,000 repetitions, epsilon 3."""
    events = plan_of(folder, 3.0, folder).events
    planted: dict[str, dict[str, Any]] = {
        "no noise": {"noise": Scaled(1e9)},
        "sigma / 2": {"noise": Scaled(2.0)},
        "sigma / 1.2": {"noise": Scaled(1.2)},
        "drawn again on a retry": {"noise": SystemNoise(), "steps": Redrawing},
        "none (honest)": {"noise": SystemNoise()},
    }
    for name, options in planted.items():
        rejected = sum(not attack_noise(events, repetitions=20_000, **options).passed for _ in range(times))
        print(f"fault {name}: rejected in {rejected} of {times}")


def alarms(folder: Path, times: int) -> None:
    """How often one honest series of attacks alarms; the promise is 1 in 1,000."""
    events = plan_of(folder, 1.0, folder).events
    found = sum(not attack_noise(events, SystemNoise(), repetitions=10_000).passed for _ in range(times))
    print(f"honest attacks of 10,000 repetitions: {found} alarms in {times:,}")


def canaries(folder: Path, epsilons: list[float]) -> None:
    """One-run canaries in a twin of a trained model."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    from synth_assets.synthesis.canaries import attack_canaries
    from synth_assets.synthesis.release import fit_release, measure_release
    from synth_assets.tables.engine import Engine

    with tempfile.TemporaryDirectory() as scratch:
        for epsilon in epsilons:
            plan = plan_of(folder, epsilon, Path(scratch))
            frame = pd.read_csv(folder / "train.csv", keep_default_na=False)
            rows = {
                c.name: pa.array(
                    pd.to_numeric(frame[c.name], errors="coerce").astype("Int64")
                    if c.dtype == "int64"
                    else frame[c.name].astype(str)
                )
                for c in plan.spec.tables[0].table.columns
            }
            pq.write_table(pa.table(rows), Path(scratch) / "part-00000.parquet")
            measured = measure_release(plan, engine=Engine(threads=1), noise=SystemNoise(), gate=lambda: None)
            model = fit_release(measured, seed=1)
            for name, noise in (("honest", SystemNoise()), ("sigma / 2", Scaled(2.0)), ("no noise", Scaled(1e9))):
                found, cpu, _ = timed(
                    lambda m=model, d=measured, n=noise: attack_canaries(m, d, delta=DELTA, seed=1, noise=n)
                )
                told = "; ".join(
                    f"{a.scored_on}: {a.epsilon_lower:.2f} (ceiling {a.epsilon_ceiling:.2f}), {a.correct} of {a.guesses} right, passed "
                    f"{a.passed}"
                    for a in found
                )
                print(f"canaries, {folder.name}, epsilon {epsilon:g}, {name}: {told}; {cpu:.1f} CPU s")


def main() -> None:
    """Parse, attack, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--table", default="adult")
    parser.add_argument("--epsilon", default="0.5,1,3,10")
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--alarms", type=int, default=2000)
    parser.add_argument("--canaries", action="store_true")
    options = parser.parse_args()
    folder, epsilons = options.data / options.table, [float(e) for e in options.epsilon.split(",")]
    bounds(folder, epsilons)
    faults(folder, options.faults)
    alarms(folder, options.alarms)
    if options.canaries:
        canaries(folder, epsilons)


if __name__ == "__main__":
    main()
