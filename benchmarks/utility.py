"""Utility and fairness on Adult: CPU seconds with all intervals, and how often they are right about tables whose truth is known.

    python benchmarks/utility.py DATA [--synthetic FILE.csv] [--seeds 20]

DATA holds adult/train.csv and adult/holdout.csv. Target income, protected sex and race. Known tables: half of the held-out rows as the
synthetic table (nothing may be flagged), that table with the labels of one group flipped (fairness must be flagged), and with every
column shuffled (utility must be flagged).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import ibis
import numpy as np
import pandas as pd

from synth_assets.audit.clock import Clock
from synth_assets.audit.fairness.module import fairness_findings
from synth_assets.audit.prepare import Part, Prepared, Tables, compared_columns, prepare
from synth_assets.audit.records import Finding
from synth_assets.audit.tables import LEVELS, LIMITS, infer_schema
from synth_assets.audit.utility.module import utility_findings
from synth_assets.audit.utility.queries import query_findings
from synth_assets.tables.engine import Engine

TARGET, PROTECTED = "income", ("sex", "race")
Change = Callable[[Part, Mapping[str, tuple[str, ...]], np.random.Generator], Part]


def prepared(frames: Mapping[str, pd.DataFrame]) -> Prepared:
    with Engine(threads=1).files_session() as session:
        made = {side: ibis.memtable(frame) for side, frame in frames.items()}
        tables = Tables(session, **made)
        columns, left_out = compared_columns(infer_schema(tables), tables.present(), ())
        return prepare(tables, columns, left_out, limit=1_000_000, seed=0)


def judge(data: Prepared, seed: int) -> tuple[dict[str, float], list[Finding]]:
    """CPU seconds per part, and all findings."""
    began = time.process_time()
    utility = utility_findings(data, TARGET, limits=LIMITS, levels=LEVELS, seed=seed, clock=Clock())
    models = time.process_time()
    queries = query_findings(data, limits=LIMITS, levels=LEVELS, seed=seed)
    asked = time.process_time()
    fairness, _ = fairness_findings(data, PROTECTED, TARGET, utility.fitted, minimum=LIMITS.group_rows, levels=LEVELS)
    ended = time.process_time()
    seconds = {"utility": models - began, "queries": asked - models, "fairness": ended - asked}
    return seconds, [*utility.findings, *queries, *fairness]


def flip(**group: str) -> Change:
    """The labels of one group turned round."""

    def change(part: Part, labels: Mapping[str, tuple[str, ...]], _: np.random.Generator) -> Part:
        columns = dict(part.values)
        chosen = np.all([columns[c] == labels[c].index(v) for c, v in group.items()], axis=0)
        columns[TARGET] = np.where(chosen, 1 - columns[TARGET], columns[TARGET])
        return replace(part, values=columns)

    return change


def shuffle(part: Part, _: Mapping[str, tuple[str, ...]], rng: np.random.Generator) -> Part:
    columns = dict(part.values)
    return replace(part, values={name: rng.permutation(column) for name, column in columns.items()})


KNOWN: Mapping[str, Change] = {
    "a real hold-out": lambda part, *_: part,
    "labels of women flipped": flip(sex="Female"),
    "labels of Black women flipped": flip(sex="Female", race="Black"),
    "every column shuffled": shuffle,
}


def known(whole: Prepared, rows: int, seeds: int) -> None:
    """How many of some samples of Adult are flagged."""
    for name, change in KNOWN.items():
        counts = dict.fromkeys(("utility", "fairness", "shown"), 0)
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            order = rng.permutation(whole.parts["holdout"].held)[:rows]
            half = rows // 2
            synthetic = _part(whole.parts["holdout"], order[:half])
            parts = {
                "synthetic": change(synthetic, whole.labels, rng),
                "train": _part(whole.parts["train"], rng.permutation(whole.parts["train"].held)[:rows]),
                "holdout": _part(whole.parts["holdout"], order[half:]),
            }
            _, found = judge(replace(whole, parts=parts), seed)
            raised = [f for f in found if f.risk_level != "low"]
            counts["utility"] += any(f.decides and f.column is None for f in raised)
            counts["fairness"] += any(f.decides and f.column is not None for f in raised)
            counts["shown"] += any(not f.decides for f in raised)
        print(f"{rows} real rows, {name}: of {seeds} runs flagged {counts}", flush=True)


def _part(part: Part, rows: np.ndarray) -> Part:
    return replace(part.take(rows), rows=len(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--synthetic", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--rows", type=int, nargs="*", default=[2_000, 8_000])
    given = parser.parse_args()
    train, holdout = (pd.read_csv(given.data / "adult" / f"{side}.csv") for side in ("train", "holdout"))
    made = pd.read_csv(given.synthetic) if given.synthetic else train.sample(frac=1, random_state=0)
    whole = prepared({"synthetic": made, "train": train, "holdout": holdout})
    seconds, found = judge(whole, 1)
    print(
        f"{len(made)} synthetic rows: CPU s",
        {k: round(v, 1) for k, v in seconds.items()},
        round(sum(seconds.values()), 1),
    )
    for finding in found:
        if finding.decides or finding.metric.startswith(("query_error", "feature")):
            print(f"  {finding.risk_level}: {finding.message}")
    for rows in given.rows:
        known(whole, rows, given.seeds)


if __name__ == "__main__":
    main()
