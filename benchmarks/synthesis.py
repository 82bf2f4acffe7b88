"""Quality and CPU seconds of the synthesizers, beside the figures of their peers. One thread.

    OMP_NUM_THREADS=1 python benchmarks/synthesis.py DATA [--bench DIR] [--tables adult,nist_demo] [--epsilon 1] [--runs 3]
        [--synthesizer dp_tvae] [--from-scratch] [--share 0.1] [--steps 60] [--epochs 10]

DATA holds one folder per table with train.csv, holdout.csv and schema.json (the public domain). DIR holds evaluate.py, which defines
the scores. `--undeclared` withholds bounds and categories, so that they are measured under DP and charged. `--from-scratch` trains a
network without a warm start; `--share` is its share of the budget for DP-SGD. Plain synthesizers (SDV) have no epsilon; `--epochs` is
for their networks.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path[:] = [
    p for p in sys.path if Path(p or ".").resolve() != Path(__file__).parent
]  # profile.py here is not Python's

# (epsilon, delta 1e-5): (mean 2-way TVD, ROC AUC, CPU seconds of the fit), November 2026, one thread; DPMM 0.1.9
PEERS = {
    ("adult", 0.5): {
        "dpmm AIM": (0.0512, 0.895, 113),
        "dpmm MST": (0.0578, 0.820, 68),
        "prototype": (0.0294, 0.893, 7),
    },
    ("adult", 1.0): {
        "dpmm AIM": (0.0385, 0.896, 144),
        "dpmm MST": (0.0513, 0.829, 68),
        "prototype": (0.0224, 0.899, 9),
    },
    ("adult", 3.0): {"dpmm MST": (0.0444, 0.852, 69), "prototype": (0.0147, 0.906, 13)},
    ("adult", 10.0): {"dpmm MST": (0.0432, 0.823, 75), "prototype": (0.0105, 0.910, 16)},
    ("credit_default", 1.0): {"dpmm MST": (0.212, 0.665, 758), "prototype": (0.082, 0.744, 17)},
}


PLAIN = ("gaussian_copula", "ctgan", "tvae", "copulagan")


def run(
    folder: Path, *, epsilon: float, delta: float, seed: int, declared: bool, training, evaluate, kmarginal
) -> dict[str, float]:
    """One release of one table: CPU seconds of each step, and its scores."""
    from synth_assets.config.dataset import ColumnConfig
    from synth_assets.privacy.accounting import epsilon_spent
    from synth_assets.synthesis.protocol import ReleaseSpec, TableSpec

    public = json.loads((folder / "schema.json").read_text())
    with tempfile.TemporaryDirectory() as scratch:
        path, schema = _parquet(folder, public, Path(scratch))
        configs = (
            {name: _config(column, ColumnConfig) for name, column in public["columns"].items()} if declared else {}
        )
        table = TableSpec(table=schema, path=path, columns=schema.names, configs=configs, unit_column=None)
        target = (schema.name, public["target"]) if public.get("target") else None
        spec = ReleaseSpec(tables=(table,), target=target)
        times = [time.process_time()]
        if training is None:
            model, events = marginals(spec, times, epsilon=epsilon, delta=delta, seed=seed)
        elif training[0] in PLAIN:
            model, events = plain(spec, times, training, seed=seed)
        else:
            model, events = trained(spec, times, training, epsilon=epsilon, delta=delta, seed=seed)
        times.append(time.process_time())
        rows = schema.row_count
        out = model.sample(rows=rows, seed=seed, out=Path(scratch) / "out")[schema.name]
        times.append(time.process_time())
        csv = Path(scratch) / "synthetic.csv"
        _csv(out, csv)
        scores = evaluate.evaluate(folder, csv)
        if kmarginal is not None and folder.name.startswith("nist"):
            scores["k_marginal"] = round(kmarginal.score(kmarginal.read(folder / "train.csv"), kmarginal.read(csv)), 1)
    steps = [round(b - a, 2) for a, b in itertools.pairwise(times)]
    return {
        "epsilon_spent": None if events is None else epsilon_spent(events, delta),
        "measure_cpu_s": steps[0],
        "fit_cpu_s": steps[1],
        "total_cpu_s": round(steps[0] + steps[1], 2),
        "sample_cpu_s": steps[2],
        **scores,
    }


def marginals(spec, times, *, epsilon, delta, seed):
    """dp_marginals: measure, then fit."""
    from synth_assets.privacy.mechanisms import SystemNoise
    from synth_assets.synthesis.release import fit_release, measure_release, plan_release
    from synth_assets.tables.engine import Engine

    plan = plan_release(spec, epsilon=epsilon, delta=delta)
    measured = measure_release(plan, engine=Engine(threads=1), noise=SystemNoise(), gate=lambda: None, seed=seed)
    times.append(time.process_time())
    return fit_release(measured, seed=seed), measured.events


def trained(spec, times, training, *, epsilon, delta, seed):
    """A network: plan, then measure and train."""
    from synth_assets.privacy.mechanisms import SystemNoise
    from synth_assets.synthesis.dpsgd.options import training_options
    from synth_assets.synthesis.dpsgd.plan import plan_training
    from synth_assets.synthesis.dpsgd.train import train
    from synth_assets.tables.engine import Engine

    method, config = training
    plan = plan_training(spec, method=method, epsilon=epsilon, delta=delta, options=training_options(method, config))
    times.append(time.process_time())
    done = train(plan, engine=Engine(threads=1), noise=SystemNoise(), gate=lambda: None, seed=seed)
    return done.model, done.events


def plain(spec, times, training, *, seed):
    """A synthesizer that is not private: no measurement, no event."""
    from synth_assets.config.dataset import SynthesizerConfig
    from synth_assets.synthesis.sdv_options import plain_synthesizer

    name, network = training
    times.append(time.process_time())
    return plain_synthesizer(SynthesizerConfig(name=name, network=network)).fit(spec, seed=seed), None


def _training(arguments):
    """Name and configuration of a network, or of a plain synthesizer; None for dp_marginals."""
    from synth_assets.config.dataset import TrainingConfig

    if arguments.synthesizer == "dp_marginals":
        return None
    if arguments.synthesizer in PLAIN:
        return arguments.synthesizer, None if arguments.epochs is None else {"epochs": arguments.epochs}
    config = TrainingConfig(warm_start=not arguments.from_scratch, share=arguments.share, steps=arguments.steps)
    return arguments.synthesizer, config


def _config(column, config_class):
    if column["kind"] == "cat":
        return config_class(kind="category", categories=tuple(str(c) for c in column["categories"]))
    return config_class(kind="number", lower=column["lower"], upper=column["upper"])


def _parquet(folder: Path, public, scratch: Path):
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    from synth_assets.tables.schema import ColumnKind, ColumnSchema, TableSchema

    frame = pd.read_csv(folder / "train.csv", keep_default_na=False)
    arrays, columns = {}, []
    for name, column in public["columns"].items():
        number = column["kind"] == "num"
        values = pd.to_numeric(frame[name], errors="coerce").astype("Int64") if number else frame[name].astype(str)
        arrays[name] = pa.array(values, pa.int64() if number else pa.string())
        kind = ColumnKind.NUMBER if number else ColumnKind.CATEGORY
        columns.append(ColumnSchema(name=name, kind=kind, dtype="int64" if number else "string", inferred=False))
    path = scratch / "part-00000.parquet"
    pq.write_table(pa.table(arrays), path)
    return path, TableSchema(name=folder.name, columns=tuple(columns), row_count=len(frame))


def _csv(folder: Path, out: Path) -> None:
    import pyarrow.parquet as pq

    pq.read_table(folder).to_pandas().to_csv(out, index=False)


def _module(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _summary(table: str, epsilon: float, results: list[dict[str, float]]) -> None:
    """One line of means, and the ratios to the peers of a private release."""

    def mean(key: str) -> float:
        return statistics.fmean(r[key] for r in results)

    tvd, auc, cpu = mean("tvd2"), mean("tstr_auc"), mean("total_cpu_s")
    private = results[0]["epsilon_spent"] is not None
    claim = f"epsilon {epsilon:g}" if private else "not private"
    print(f"{table}, {claim}, {len(results)} runs: TVD2 {tvd:.4f}, AUC {auc:.4f}, measure + fit {cpu:.1f} CPU s")
    if "k_marginal" in results[0]:
        print(f"  k-marginal {mean('k_marginal'):.1f}")
    for name, (peer_tvd, peer_auc, peer_cpu) in (PEERS.get((table, epsilon), {}) if private else {}).items():
        print(f"  {name}: TVD2 x {tvd / peer_tvd:.2f}, AUC {auc - peer_auc:+.3f}, CPU x {cpu / peer_cpu:.2f}")


def main() -> None:
    """Parse, run, print one JSON line per run and a summary per table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--bench", type=Path, help="folder of evaluate.py; default: the folder `bench` beside DATA")
    parser.add_argument("--tables", default="adult,credit_default,nist_demo")
    parser.add_argument("--epsilon", type=float, default=1.0)
    parser.add_argument("--delta", type=float, default=1e-5)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--undeclared", action="store_true")
    parser.add_argument(
        "--synthesizer", choices=("dp_marginals", "dp_tvae", "dp_ctgan", *PLAIN), default="dp_marginals"
    )
    parser.add_argument("--from-scratch", action="store_true")
    parser.add_argument("--share", type=float)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--epochs", type=int)
    arguments = parser.parse_args()
    bench = arguments.bench or arguments.data.parent / "bench"
    sys.path.insert(0, str(bench))
    evaluate = _module(bench / "evaluate.py")
    kmarginal = _module(bench / "kmarginal.py") if (bench / "kmarginal.py").exists() else None
    for table in arguments.tables.split(","):
        results = []
        for seed in range(arguments.runs):
            record = run(
                arguments.data / table,
                epsilon=arguments.epsilon,
                delta=arguments.delta,
                seed=seed,
                declared=not arguments.undeclared,
                training=_training(arguments),
                evaluate=evaluate,
                kmarginal=kmarginal,
            )
            print(json.dumps({"table": table, "epsilon": arguments.epsilon, "seed": seed, **record}), flush=True)
            results.append(record)
        _summary(table, arguments.epsilon, results)


if __name__ == "__main__":
    main()
