"""Fit the confidence of the classifier: a monotone map from the lead of the best type to the share of right verdicts.

Data: made tables of unseen_tables.py from seeds of their own (never those of the benchmark), with and without headers, and every second
labelled table (by hash of its name); the other labelled tables and the benchmark's seed measure the result.
Method: the share of right verdicts in ten ranges of the lead, each pulled towards 0.5 by two imagined columns, so that no
confidence is 0 or 1, then isotonic regression over the ranges, weighted by their columns.
Run: python benchmarks/calibrate.py --data DIR  (writes synth_assets/pii/data/calibration.txt)
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import unseen_tables
from classification import DEFAULT, load_scorer

from synth_assets.config.dataset import SourceConfig
from synth_assets.pii import classify
from synth_assets.pii.evidence import lead
from synth_assets.storage.atomic import write_text
from synth_assets.tables.engine import Engine
from synth_assets.tables.sources import ingest

OUT = Path(classify.__file__).parent / "data" / "calibration.txt"
SEEDS = (11, 12)
EDGES = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
Row = tuple[str, float, bool]  # map, lead, right


def fitted_half(name: str) -> bool:
    """Whether a labelled table is fitted on; the others measure."""
    return int(hashlib.md5(name.encode()).hexdigest(), 16) % 2 == 0


def rows_of(file: Path, labels: dict[str, dict[str, str]], scorer: Any, engine: Engine) -> list[Row]:
    """Lead and rightness of every labelled column of a file."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "t"
        schema = ingest(SourceConfig(path=str(file)), name=file.stem, base_dir=file.parent, out=out, engine=engine)
        samples = classify.column_samples(out, schema, engine)
    cases, _ = classify.weigh(samples, file.stem, "")
    found = []
    for case in cases:
        label = labels.get(case.sample.name)
        if label is not None and len(case.sample):
            right = case.top in {label["entity_type"], *scorer.alternatives(label["note"], "alt")}
            found.append(("opaque" if case.header.opaque else "named", lead(case), right))
    return found


def by_table(labels: list[dict[str, str]]) -> dict[str, dict[str, dict[str, str]]]:
    """Labels by table and column."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for row in labels:
        found.setdefault(row["table"], {})[row["column"]] = row
    return found


def collect(folder: Path, tables: int) -> list[Row]:
    """All rows to fit on."""
    scorer, engine = load_scorer(folder), Engine(threads=1)
    labels = by_table(scorer.read(folder / "pii_columns_dev.csv", ["table", "column", "entity_type", "note"]))
    rows = []
    for name, columns in labels.items():
        if fitted_half(name):
            rows += rows_of(folder / "tables" / name, columns, scorer, engine)
    for seed, opaque in zip(SEEDS, (False, True), strict=True):
        with tempfile.TemporaryDirectory() as made:
            unseen = by_table(
                unseen_tables.write_tables(Path(made), unseen_tables.make_tables(seed, tables), opaque=opaque)
            )
            for name, columns in unseen.items():
                rows += rows_of(Path(made) / name, columns, scorer, engine)
    return rows


def fit(rows: list[tuple[float, bool]]) -> list[tuple[float, float]]:
    """Points of the monotone map, leads ascending."""
    from sklearn.isotonic import IsotonicRegression

    leads = np.array([x for x, _ in rows])
    right = np.array([float(y) for _, y in rows])
    place = np.digitize(leads, EDGES)
    pieces = [np.flatnonzero(place == i) for i in np.unique(place)]
    x = np.array([leads[p].mean() for p in pieces])
    y = np.array([(right[p].sum() + 1.0) / (len(p) + 2.0) for p in pieces])
    smooth = IsotonicRegression(y_min=0.0, y_max=1.0).fit_transform(x, y, sample_weight=[len(p) for p in pieces])
    return list(zip(x.tolist(), smooth.tolist(), strict=True))


def main() -> None:
    """Fit both maps and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DEFAULT, help="folder that holds pii_dev")
    parser.add_argument("--tables", type=int, default=120, help="made tables per map")
    args = parser.parse_args()
    rows = collect(args.data / "pii_dev", args.tables)
    lines = [
        "# Fitted by benchmarks/calibrate.py: map, lead in log odds, share of right verdicts; linear between the points."
    ]
    for name in ("named", "opaque"):
        some = [(x, y) for kind, x, y in rows if kind == name]
        lines += [f"{name} {x:.3f} {y:.4f}" for x, y in fit(some)]
        print(f"{name}: {len(some)} columns, {np.mean([y for _, y in some]):.3f} right")
    write_text(OUT, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
