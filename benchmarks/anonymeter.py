"""Rates of anonymeter 1.1.0 for the comparison in our tests: a made table that leaks, and Adult with SDV's copula.

    python benchmarks/anonymeter.py --peers PYTHON [--data DATA] [--runs 2] [--out JSON]

PYTHON is an interpreter with anonymeter, whose pins clash with ours: `python3.11 -m venv /tmp/peers && /tmp/peers/bin/pip install
anonymeter==1.1.0`. DATA is the folder with `adult/train.csv` and `adult/holdout.csv`; without it only the made table is run. Success
counts are written, no value of a table.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

sys.path[0] = str(Path(__file__).resolve().parents[1])  # the tests' worlds; this folder has files named as libraries

from synth_assets_tests.unit.audit.worlds import anonymeter_world, sdv_copula  # noqa: E402

OUT = Path(__file__).parent.parent / "synth_assets_tests" / "unit" / "audit" / "data" / "anonymeter.json"
PEER = """
import json, sys, warnings
import numpy as np, pandas as pd
warnings.simplefilter("ignore")
from anonymeter.evaluators import InferenceEvaluator, LinkabilityEvaluator, SinglingOutEvaluator
folder, runs, columns, neighbours = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
train, control, made = (pd.read_csv(f"{folder}/{n}.csv", keep_default_na=False) for n in ("train", "holdout", "synthetic"))
names = list(made.columns)
half = (len(names) + 1) // 2
found = {}
def keep(name, evaluator):
    r = evaluator.results()
    entry = {"attacks": r.n_attacks_ori, "attack": int(r.n_success), "control": float(r.n_control), "naive": int(r.n_baseline)}
    found.setdefault(name, []).append(entry)
for run in range(runs):
    np.random.seed(run)
    for mode in ("univariate", "multivariate"):
        e = SinglingOutEvaluator(ori=train, syn=made, control=control, n_attacks=500, n_cols=columns, seed=run,
            max_attempts=100_000)
        e.evaluate(mode=mode)
        entry = f"singling_out.{mode}"
        keep(entry, e)
    e = LinkabilityEvaluator(ori=train, syn=made, control=control, n_attacks=500, n_neighbors=neighbours,
        aux_cols=(names[:half], names[half:]))
    keep("linkability", e.evaluate(n_jobs=1))
    for secret in names:
        e = InferenceEvaluator(ori=train, syn=made, control=control, n_attacks=500, secret=secret, regression=False,
            aux_cols=[n for n in names if n != secret])
        keep(f"attribute_inference.{secret}", e.evaluate(n_jobs=1))
print(json.dumps(found))
"""


def adult(data: Path) -> dict[str, pd.DataFrame]:
    """Adult with a sample of SDV's Gaussian copula, which is the same in every run."""
    train, holdout = (pd.read_csv(data / "adult" / f"{n}.csv", keep_default_na=False) for n in ("train", "holdout"))
    return {"train": train, "holdout": holdout, "synthetic": sdv_copula(train)}


def measured(
    python: str, tables: dict[str, pd.DataFrame], runs: int, *, columns: int, neighbours: int
) -> dict[str, object]:
    """Anonymeter's counts per attack and run."""
    with tempfile.TemporaryDirectory() as folder:
        for name, table in tables.items():
            table.to_csv(Path(folder) / f"{name}.csv", index=False)
        arguments = [python, "-c", PEER, folder, str(runs), str(columns), str(neighbours)]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    return {"columns": columns, "neighbours": neighbours, "rates": json.loads(done.stdout.splitlines()[-1])}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    record = {
        "anonymeter": "1.1.0",
        "made": measured(given.peers, anonymeter_world(), given.runs, columns=4, neighbours=1),
    }
    if given.data:
        record["adult"] = measured(given.peers, adult(given.data), given.runs, columns=4, neighbours=10)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(record, indent=1) + "\n")
