"""Samples under conditions: how close to the real rows that meet them, and rows per second. One thread.

    OMP_NUM_THREADS=1 python benchmarks/conditions.py DATA [--bench DIR] [--epsilon 1] [--runs 3]

DATA holds the folder adult (train.csv, holdout.csv, schema.json); DIR holds evaluate.py, which defines the distance. Each condition
is sampled with as many rows as real ones meet it, from one model per run. Beside it: real training rows against real holdout rows
under the same condition (the floor: the error of sampling alone).
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

CONDITIONS = {
    "none": {},
    "sex=Female": {"sex": "Female"},
    "income=>50K": {"income": ">50K"},
    "age=40..60, sex=Female": {"age": "40..60", "sex": "Female"},
    "education-num=13.., race=Black": {"education-num": "13..", "race": "Black"},
    "income=>50K, age=..30": {"income": ">50K", "age": "..30"},
}
RATE_ROWS = 1_000_000


def _module(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def met(frame, where):
    """Rows of a frame that meet a condition, by pandas."""
    keep = frame.index >= 0
    for column, term in where.items():
        low, dots, high = term.partition("..")
        values = frame[column]
        keep &= values.between(float(low or "-inf"), float(high or "inf")) if dots else values == term
    return frame[keep]


def distance(grid, real, made) -> float:
    """Mean total variation distance of the two-way tables."""
    a, b = grid.codes(real), grid.codes(made)
    pairs = list(itertools.combinations(grid.columns, 2))
    return statistics.fmean(0.5 * abs(grid.marginal(a, p) - grid.marginal(b, p)).sum() for p in pairs)


def sampled(model, where, balance, rows, seed):
    """A frame of the sample, and CPU seconds with and without what is done once."""
    import pandas as pd

    from synth_assets.config.sampling import checked_asked

    asked = checked_asked(where, balance)
    start = time.process_time()
    strata = model.strata(asked, seed=seed) if asked.asks else ()
    with tempfile.TemporaryDirectory() as out:
        folder = model.sample(rows=rows, seed=seed, out=Path(out), strata=strata)[model.links.root]
        seconds = time.process_time() - start
        frame = pd.read_parquet(folder)
    return frame, seconds, strata[0].rows.share if strata else 1.0


def main() -> None:
    """Parse, run, print one JSON line per run and condition, and a summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--bench", type=Path, help="folder of evaluate.py; default: the folder `bench` beside DATA")
    parser.add_argument("--epsilon", type=float, default=1.0)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    evaluate = _module((arguments.bench or arguments.data.parent / "bench") / "evaluate.py")
    synthesis = _module(Path(__file__).parent / "synthesis.py")
    folder = arguments.data / "adult"
    schema = json.loads((folder / "schema.json").read_text())
    train, holdout = (evaluate.load(folder / f"{side}.csv", schema) for side in ("train", "holdout"))
    grid, found = evaluate.Grid(train, schema), {}
    for run in range(arguments.runs):
        model = fitted(folder, schema, synthesis, epsilon=arguments.epsilon, seed=run)
        for name, where in CONDITIONS.items():
            real = met(train, where)
            frame, _, share = sampled(model, where, None, len(real), run)
            record = {
                "tvd2": distance(grid, real, frame[list(train)]),
                "share": share,
                "real_share": len(real) / len(train),
            }
            record |= {"rows": len(real), "floor": distance(grid, real, met(holdout, where))}
            if run == 0:
                record["rows_per_second"] = round(RATE_ROWS / sampled(model, where, None, RATE_ROWS, run)[1])
            print(json.dumps({"condition": name, "run": run, **record}), flush=True)
            found.setdefault(name, []).append(record)
        for name, balance in (("as it is", None), ("balanced", "income")):
            frame, seconds, _ = sampled(model, {}, balance, len(train), run)
            print(
                json.dumps({"classes": name, "run": run, "seconds": seconds, **utility(frame, holdout, schema)}),
                flush=True,
            )
    for name, records in found.items():
        tvd2 = statistics.fmean(r["tvd2"] for r in records)
        first = records[0]
        print(
            f"{name}: {first['rows']} real rows, TVD2 {tvd2:.4f} (train against holdout {first['floor']:.4f}), "
            f"{first['rows_per_second']:,} rows a CPU second"
        )


def utility(frame, holdout, schema):
    """Scores on real holdout rows of a model trained on the sample: AUC, and recall and F1 of the rare class at 0.5."""
    import numpy as np
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import balanced_accuracy_score, f1_score, recall_score, roc_auc_score

    target = schema["target"]
    positive = schema["columns"][target]["categories"][-1]
    features = [n for n in schema["columns"] if n != target]

    def x(table):
        codes = {
            n: table[n].astype("category").cat.set_categories(schema["columns"][n]["categories"]).cat.codes
            if schema["columns"][n]["kind"] == "cat" else table[n]
            for n in features
        }  # fmt: skip
        return np.column_stack([np.asarray(codes[n], dtype=float) for n in features])

    classifier = HistGradientBoostingClassifier(random_state=0).fit(x(frame), frame[target] == positive)
    chance, truth = classifier.predict_proba(x(holdout))[:, 1], holdout[target] == positive
    said = chance > 0.5
    return {
        "auc": round(roc_auc_score(truth, chance), 4),
        "recall": round(recall_score(truth, said), 3),
        "f1": round(f1_score(truth, said), 3),
        "balanced_accuracy": round(balanced_accuracy_score(truth, said), 3),
    }


def fitted(folder, schema, synthesis, *, epsilon, seed):
    """A model of the table under this epsilon, delta 1e-5, its domain declared."""
    from synth_assets.config.dataset import ColumnConfig
    from synth_assets.synthesis.protocol import ReleaseSpec, TableSpec

    with tempfile.TemporaryDirectory() as scratch:
        path, table = synthesis._parquet(folder, schema, Path(scratch))  # noqa: SLF001  of this folder
        configs = {n: synthesis._config(c, ColumnConfig) for n, c in schema["columns"].items()}  # noqa: SLF001
        spec = TableSpec(table=table, path=path, columns=table.names, configs=configs, unit_column=None)
        release = ReleaseSpec(tables=(spec,), target=(table.name, schema["target"]))
        return synthesis.marginals(release, [0.0], epsilon=epsilon, delta=1e-5, seed=seed)[0]


if __name__ == "__main__":
    main()
