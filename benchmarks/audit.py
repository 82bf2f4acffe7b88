"""The whole audit of Adult as one process: CPU and wall seconds per part, peak memory, and the ratio to the peers' audits.

    python benchmarks/audit.py DATA WORK [--synthetic FILE.csv] [--peers PYTHON] [--measure NAME ...]

DATA is the folder with `adult/train.csv` and `adult/holdout.csv`. WORK keeps the tables and the peers' times for later runs. The
synthetic table is a sample of SDV's Gaussian copula unless one is given. PYTHON is an interpreter with anonymeter 1.1.0, whose pins
clash with ours (`python3.11 -m venv /tmp/peers && /tmp/peers/bin/pip install anonymeter==1.1.0`); SDMetrics is that of this
environment. Without PYTHON the ratio is to the CPU seconds that were measured once, and said so.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path[0] = str(Path(__file__).resolve().parents[1])  # the tests' worlds; this folder has files named as libraries

RECORDED = {  # CPU seconds on two cores of the same kind of machine, November 2026
    "sdmetrics quality": 13.5,
    "sdmetrics diagnostic": 10.3,
    "sdmetrics DCR baseline, 5 x 1,000 rows": 94.9,
    "sdmetrics DCR overfitting, 5 x 1,000 rows": 89.4,
    "anonymeter singling out, univariate": 14.2,
    "anonymeter singling out, multivariate": 39.0,
    "anonymeter linkability": 24.5,
    "anonymeter inference": 114.1,
}
SDMETRICS = """
import json, resource, sys, time, warnings
import pandas as pd
warnings.simplefilter("ignore")
folder, what = sys.argv[1:3]
train, holdout, made = (pd.read_csv(f"{folder}/{n}.csv", keep_default_na=False) for n in ("train", "holdout", "synthetic"))
columns = {n: {"sdtype": "numerical" if pd.api.types.is_numeric_dtype(train[n]) else "categorical"} for n in train}
metadata = {"tables": {"adult": {"columns": columns}}, "relationships": []}
real, other, tables = {"adult": train}, {"adult": holdout}, {"adult": made}
from sdmetrics.reports import QualityReport, DiagnosticReport
from sdmetrics.single_table import DCRBaselineProtection, DCROverfittingProtection
start = time.process_time()
if what == "sdmetrics quality":
    QualityReport().generate(real, tables, metadata, verbose=False)
elif what == "sdmetrics diagnostic":
    DiagnosticReport().generate(real, tables, metadata, verbose=False)
else:
    options = dict(num_rows_subsample=1000, num_iterations=5)
    if "baseline" in what:
        DCRBaselineProtection.compute_breakdown(real, tables, metadata, "adult", **options)
    else:
        DCROverfittingProtection.compute_breakdown(real, tables, holdout, metadata, "adult", **options)
"""
ANONYMETER = """
import sys, warnings
import pandas as pd
warnings.simplefilter("ignore")
from anonymeter.evaluators import InferenceEvaluator, LinkabilityEvaluator, SinglingOutEvaluator
folder, what = sys.argv[1:3]
train, control, made = (pd.read_csv(f"{folder}/{n}.csv", keep_default_na=False) for n in ("train", "holdout", "synthetic"))
names = list(made.columns)
tables = dict(ori=train, syn=made, control=control, n_attacks=500)
if "singling out" in what:
    SinglingOutEvaluator(**tables, n_cols=4).evaluate(mode=what.split(", ")[1])
elif "linkability" in what:
    LinkabilityEvaluator(**tables, n_neighbors=10, aux_cols=(names[:5], names[5:10])).evaluate(n_jobs=1)
else:
    for secret in names:
        InferenceEvaluator(**tables, secret=secret, aux_cols=[n for n in names if n != secret]).evaluate(n_jobs=1)
"""
PARTS: dict[str, list[float]] = {}


def used() -> tuple[float, float]:
    """CPU and wall seconds of this process."""
    return time.process_time(), time.perf_counter()


def peak() -> float:
    """Largest resident memory so far, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


@contextmanager
def measured(_: object, part: str) -> Iterator[None]:
    """Takes the place of `Clock.step`: CPU seconds, wall seconds and the peak so far, per part."""
    began = used()
    yield
    spent = [now - then for now, then in zip(used(), began, strict=True)]
    before = PARTS.get(part, [0.0, 0.0, 0.0])
    PARTS[part] = [before[0] + spent[0], before[1] + spent[1], peak()]


def tables_in(data: Path, work: Path, synthetic: Path | None) -> None:
    """Write the three tables into the work folder, where they are not there yet."""
    import pandas as pd

    from synth_assets_tests.unit.audit.worlds import sdv_copula

    work.mkdir(parents=True, exist_ok=True)
    for name in ("train", "holdout"):
        (work / f"{name}.csv").write_bytes((data / "adult" / f"{name}.csv").read_bytes())
    if synthetic is not None:
        (work / "synthetic.csv").write_bytes(synthetic.read_bytes())
    elif not (work / "synthetic.csv").exists():
        sdv_copula(pd.read_csv(work / "train.csv", keep_default_na=False)).to_csv(work / "synthetic.csv", index=False)


def audit(work: Path) -> None:
    """Run the audit in this process and print what every part took."""
    began = used()
    import pandas as pd

    from synth_assets.audit import audit_frames
    from synth_assets.audit.clock import Clock

    Clock.step = measured  # type: ignore[method-assign, assignment]  # the same parts, measured more closely
    made = {n: pd.read_csv(work / f"{n}.csv", keep_default_na=False) for n in ("synthetic", "train", "holdout")}
    result = audit_frames(**made, target="income", protected=("sex", "race"), seed=7)
    total = [now - then for now, then in zip(used(), began, strict=True)]
    modules: dict[str, list[float]] = {}
    for part, (cpu, wall, memory) in PARTS.items():
        print(f"  {part:<36} {cpu:6.1f} CPU s {wall:6.1f} s wall, peak {memory:.2f} GiB")
        sums = modules.setdefault(part.split(".")[0], [0.0, 0.0])
        modules[part.split(".")[0]] = [sums[0] + cpu, sums[1] + wall]
    for module, (cpu, wall) in modules.items():
        print(f"{module:<12} {cpu:6.1f} CPU s {wall:6.1f} s wall")
    print(
        f"{'all':<12} {total[0]:6.1f} CPU s {total[1]:6.1f} s wall, peak {peak():.2f} GiB, {len(result.findings())} findings"
    )
    print(json.dumps({"cpu": total[0], "scores": result.module_scores.model_dump()}))


def peer(python: str, work: Path, name: str) -> float:
    """CPU seconds of one audit of a peer, in a process of its own."""
    code = SDMETRICS if name.startswith("sdmetrics") else ANONYMETER
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    interpreter = sys.executable if name.startswith("sdmetrics") else python
    subprocess.run([interpreter, "-c", code, str(work), name], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def peers(python: str | None, work: Path, names: list[str]) -> dict[str, float]:
    """CPU seconds per audit of a peer; those of earlier runs are kept in the work folder, and all there is without Python."""
    kept = work / "peers.json"
    known: dict[str, float] = json.loads(kept.read_text()) if kept.exists() else {}
    for name in names if python else ():
        known[name] = peer(str(python), work, name)
        print(f"  {name:<44} {known[name]:6.1f} CPU s", flush=True)
        kept.write_text(json.dumps(known))
    return known


def main() -> None:
    """Ours, the peers', and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--synthetic", type=Path)
    parser.add_argument("--peers")
    parser.add_argument("--measure", nargs="*", choices=list(RECORDED), help="peers to measure now (all of them)")
    parser.add_argument("--ours", action="store_true", help="only the audit itself, in this process")
    given = parser.parse_args()
    if given.ours:
        audit(given.work)
        return
    tables_in(given.data, given.work, given.synthetic)
    done = subprocess.run(
        [sys.executable, __file__, str(given.data), str(given.work), "--ours"], check=True, stdout=subprocess.PIPE
    )
    lines = done.stdout.decode().splitlines()
    print("\n".join(lines[:-1]))
    ours = float(json.loads(lines[-1])["cpu"])
    found = peers(given.peers, given.work, given.measure or list(RECORDED))
    told = {name: found.get(name, seconds) for name, seconds in RECORDED.items()}
    total, now = sum(told.values()), len(set(found) & set(RECORDED))
    print(
        f"peers: {total:.0f} CPU s ({now} of {len(RECORDED)} measured here, the others as recorded); {total / ours:.1f} times ours"
    )


if __name__ == "__main__":
    main()
