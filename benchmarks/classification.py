"""Column classification, measured: labelled tables with their own headers, labelled tables with headers col1, col2 ..., and made tables
that no rule was made from (unseen_tables.py). Per type precision, recall and F1, confusions, calibration, time per column.

The labelled tables lie outside this repository (a folder with pii_columns_dev.csv, score_pii.py and tables/); without them only the
made tables are measured. Run: python benchmarks/classification.py --data DIR
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import itertools
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import unseen_offices
import unseen_tables

Rows = list[dict[str, str]]
DEFAULT = Path(os.environ.get("SYNTH_ASSETS_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
BINS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0001)


@dataclass
class Part:
    """One set of labelled columns and what the classifier said."""

    title: str
    labels: Rows
    said: Rows


def classify_files(files: Sequence[Path]) -> Rows:
    """One record per column of each file, through the reader of the chain."""
    from synth_assets.config.dataset import SourceConfig
    from synth_assets.pii.classify import classify_table
    from synth_assets.tables.engine import Engine
    from synth_assets.tables.sources import ingest

    engine, rows = Engine(threads=1), []
    for file in files:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "t"
            schema = ingest(SourceConfig(path=str(file)), name=file.stem, base_dir=file.parent, out=out, engine=engine)
            for v in classify_table(out, schema, engine):
                found = {"table": file.name, "column": v.column, "entity_type": v.entity_type}
                found |= {"identifier_class": v.identifier_class, "confidence": f"{v.confidence:.4f}"}
                rows.append({**found, "evidence": " | ".join(v.evidence[:3])})
    return rows


def load_scorer(folder: Path) -> Any:
    """The scorer that comes with the labels."""
    spec = importlib.util.spec_from_file_location("score_pii", folder / "score_pii.py")
    if spec is None or spec.loader is None:
        sys.exit("no scorer in the data folder")
    scorer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scorer)
    return scorer


def labelled_parts(folder: Path, scorer: Any) -> list[Part]:
    """The labelled tables: with their own headers, and with replaced ones."""
    labels = scorer.read(folder / "pii_columns_dev.csv", ["table", "column", "entity_type", "identifier_class", "note"])
    said = classify_files(sorted((folder / "tables").glob("*.csv")))
    parts = []
    for flag, title in (("no", "own headers"), ("yes", "headers col1, col2 ...")):
        some = [r for r in labels if r["header_obfuscated"] == flag]
        tables = {r["table"] for r in some}
        parts.append(Part(f"labelled tables, {title} ({len(tables)})", some, [r for r in said if r["table"] in tables]))
    return parts


def made_parts(title: str, tables: Sequence[unseen_tables.Table], *, opaque: bool, halves: bool) -> list[Part]:
    """Made tables, with their names or without; with names in two halves where errors were looked at in one of them only."""
    with tempfile.TemporaryDirectory() as folder:
        labels = unseen_tables.write_tables(Path(folder), tables, opaque=opaque)
        said = classify_files(sorted(Path(folder).glob("*.csv")))
    if opaque or not halves:
        return [Part(f"{title}, headers col1, col2 ..." if opaque else title, labels, said)]
    parts = []
    for flag, half in (("yes", "held-out names"), ("no", "other names")):
        some = [r for r in labels if r["held_out"] == flag]
        keys = {(r["table"], r["column"]) for r in some}
        inside = [r for r in said if (r["table"], r["column"]) in keys]
        parts.append(Part(f"{title}, {half}", some, inside))
    return parts


def unseen_parts(tables: int, seed: int) -> list[Part]:
    """The made sets, each with its names and without."""
    made = unseen_tables.make_tables(seed, tables)
    parts = []
    for opaque in (False, True):
        parts += made_parts(f"unseen tables ({tables})", made, opaque=opaque, halves=True)
        for second in (False, True):
            offices = unseen_offices.office_tables(seed, second=second)
            title = f"office tables, {'second' if second else 'first'} set ({len(offices)})"
            parts += made_parts(title, offices, opaque=opaque, halves=False)
    return parts


def wrong_types(scorer: Any, part: Part) -> tuple[dict[str, Any], set[tuple[str, str]]]:
    """The scorer's figures, and the columns with a wrong type."""
    found = scorer.score(part.labels, part.said)
    return found, {(w["table"], w["column"]) for w in found["wrong"] if "type" in w["what"]}


def calibration_error(part: Part, wrong: set[tuple[str, str]]) -> tuple[float, list[tuple[str, int, float, float]]]:
    """Expected calibration error over fixed bins, and per bin: name, columns, mean confidence, share right.

    Source: Naeini, Cooper, Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015.
    """
    known = {(r["table"], r["column"]) for r in part.labels}
    sure = [
        (float(r["confidence"]), (r["table"], r["column"]) not in wrong)
        for r in part.said
        if (r["table"], r["column"]) in known
    ]
    rows, error = [], 0.0
    for low, high in itertools.pairwise(BINS):
        inside = [(c, right) for c, right in sure if low <= c < high]
        if inside:
            stated = float(np.mean([c for c, _ in inside]))
            right = float(np.mean([r for _, r in inside]))
            error += abs(stated - right) * len(inside) / len(sure)
            rows.append((f"{low:.2f}-{min(high, 1):.2f}", len(inside), stated, right))
    return error, rows


def show(scorer: Any, part: Part, args: argparse.Namespace) -> None:
    """Print the figures of one part."""
    found, wrong = wrong_types(scorer, part)
    print(f"\n=== {part.title}: {found['columns']} columns")
    print(
        f"macro F1 {found['macro_f1']:.3f}  micro F1 {found['micro_f1']:.3f}  class accuracy {found['class_accuracy']:.3f}"
    )
    print(f"direct identifiers: recall {found['direct_recall']:.3f}  precision {found['direct_precision']:.3f}")
    error, bins = calibration_error(part, wrong)
    print(f"expected calibration error {error:.3f}")
    print(f"  {'confidence':12}{'columns':>8}{'stated':>8}{'right':>8}")
    for name, columns, stated, right in bins:
        print(f"  {name:12}{columns:8d}{stated:8.3f}{right:8.3f}")
    if not args.brief:
        print(f"  {'type':22}{'columns':>8}{'precision':>11}{'recall':>8}{'F1':>7}")
        for name, v in found["per_type"].items():
            print(f"  {name:22}{v['support']:8d}{v['precision']:11.3f}{v['recall']:8.3f}{v['f1']:7.3f}")
    confused = Counter((w["entity_type"], w["predicted"]) for w in found["wrong"] if "type" in w["what"])
    print("  confusions (label -> predicted)" if confused else "  no confusions")
    for (true, got), n in confused.most_common():
        print(f"  {n:4d}  {true} -> {got}")
    if args.wrong:
        evidence = {(r["table"], r["column"]): r["evidence"] for r in part.said}
        for w in found["wrong"]:
            truth, said = f"{w['entity_type']}/{w['identifier_class']}", f"{w['predicted']}/{w['predicted_class']}"
            print(f"  {w['table']} / {w['column']}: {truth} -> {said} [{evidence.get((w['table'], w['column']), '')}]")


def time_per_column(rows: int) -> None:
    """CPU seconds per column of a large table: the scan that counts, and everything after it."""
    from synth_assets.pii import classify
    from synth_assets.tables.engine import Engine
    from synth_assets.tables.schema import ColumnKind, ColumnSchema, TableSchema

    maker = unseen_tables.Maker(np.random.default_rng(5), "en", 4000, "customer")
    rng = np.random.default_rng(6)
    kinds = [
        "first_name",
        "last_name",
        "person_name",
        "email",
        "phone",
        "street_address",
        "city",
        "state",
        "zip",
        "birth_date",
        "ssn",
        "card_number",
        "iban",
        "npi",
        "icd10",
        "sex",
        "occupation",
        "free_text",
        "timestamp",
        "ip_address",
        "username",
        "other_id",
        "salary_or_income",
        "diagnosis_text",
    ]
    columns = {k: np.asarray(unseen_tables.MAKERS[k](maker), dtype=object)[rng.integers(0, 4000, rows)] for k in kinds}
    columns["key"] = np.arange(rows).astype(str).astype(object)
    table = pa.table({name: pa.array(cells, pa.string()) for name, cells in columns.items()})
    schema = TableSchema(
        name="people",
        columns=tuple(ColumnSchema(name=n, kind=ColumnKind.TEXT, dtype="string") for n in columns),
        row_count=rows,
    )
    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(table, Path(folder) / "part-00000.parquet", row_group_size=100_000)
        engine = Engine(threads=1)
        classify.classify_table(Path(folder), schema, engine)  # dictionaries and number plans are read once per process
        started = time.process_time()
        classify.column_counts(Path(folder), schema, engine)
        scan = time.process_time() - started
        started = time.process_time()
        classify.classify_table(Path(folder), schema, engine)
        after = time.process_time() - started - scan
    n = len(columns)
    print(f"\n=== time: {rows:,} rows x {n} columns, one thread")
    print(
        f"scan (counts over all rows) {1000 * scan / n:.0f} CPU ms per column; after the scan {1000 * after / n:.1f} CPU ms per column"
    )


def main() -> None:
    """Classify every table and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DEFAULT, help="folder that holds pii_dev")
    parser.add_argument("--out", type=Path, help="write the predictions of the labelled tables to this CSV file")
    parser.add_argument("--wrong", action="store_true", help="list wrong columns, with evidence")
    parser.add_argument("--brief", action="store_true", help="no table per type")
    parser.add_argument("--tables", type=int, default=100, help="number of unseen tables; 0 for none")
    parser.add_argument("--seed", type=int, default=20_261_121, help="seed of the unseen tables")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the timed table; 0 for none")
    args = parser.parse_args()
    folder = args.data / "pii_dev"
    if not (folder / "score_pii.py").is_file():
        sys.exit(f"{folder} holds no score_pii.py; give --data")
    scorer, started = load_scorer(folder), time.process_time()
    parts = labelled_parts(folder, scorer)
    if args.out:
        with args.out.open("w", newline="", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, fieldnames=list(parts[0].said[0]))
            writer.writeheader()
            writer.writerows(row for part in parts for row in part.said)
    for part in parts:
        show(scorer, part, args)
    for part in unseen_parts(args.tables, args.seed) if args.tables else ():
        parts.append(part)
        show(scorer, part, args)
    columns = sum(len(p.said) for p in parts)
    spent = time.process_time() - started
    print(f"\n{spent:.1f} CPU s for {columns} columns, reading included: {1000 * spent / columns:.1f} ms per column")
    if args.rows:
        time_per_column(args.rows)


if __name__ == "__main__":
    main()
