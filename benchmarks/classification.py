"""Column classification against the labelled tables of pii_dev: predictions, the scorer's figures, both halves.

Half A (by hash of the file name) is for development, half B is held out. Run: python benchmarks/classification.py --data DIR
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import importlib.util
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.csv as pacsv

DEFAULT = Path(os.environ.get("SYNTH_ASSETS_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def half(name: str) -> str:
    """A for development, B held out."""
    return "A" if int(hashlib.md5(name.encode()).hexdigest(), 16) % 2 == 0 else "B"


def verdicts_of(path: Path, engine: Any) -> tuple[Any, ...]:
    """Verdicts of one file: through the reader of the chain where it exists, else all cells as text."""
    from synth_assets.pii.classify import classify_frame, classify_table

    try:
        from synth_assets.config.dataset import SourceConfig
        from synth_assets.tables.sources import ingest
    except ImportError:
        names = next(csv.reader(path.open(encoding="utf-8-sig", newline="")))
        options = pacsv.ConvertOptions(
            column_types=dict.fromkeys(names, "string"), strings_can_be_null=True, null_values=[""]
        )
        parse = pacsv.ParseOptions(newlines_in_values=True)
        table = pacsv.read_csv(path, convert_options=options, parse_options=parse)
        return classify_frame(table, table_name=path.stem)
    with tempfile.TemporaryDirectory() as folder:
        schema = ingest(
            SourceConfig(path=str(path)), name=path.stem, base_dir=path.parent, out=Path(folder) / "t", engine=engine
        )
        return classify_table(Path(folder) / "t", schema, engine)


def show(scorer: Any, labels: list[dict[str, str]], predictions: list[dict[str, str]], title: str) -> dict[str, Any]:
    """Print one line of figures."""
    found = scorer.score(labels, predictions)
    group = found["type_accuracy_by_group"].get("header obfuscated", {"accuracy": 0.0})
    print(
        f"{title:12} columns {found['columns']:4d}  macro F1 {found['macro_f1']:.3f}  micro F1 {found['micro_f1']:.3f}"
        f"  direct recall {found['direct_recall']:.3f} precision {found['direct_precision']:.3f}"
        f"  class accuracy {found['class_accuracy']:.3f}  types, obfuscated headers {group['accuracy']:.3f}"
    )
    return found


def reliability(labels: list[dict[str, str]], predictions: list[dict[str, str]], wrong: set[tuple[str, str]]) -> None:
    """Stated confidence against the share of right types, in bins."""
    bins: dict[int, list[tuple[float, bool]]] = {}
    known = {(r["table"], r["column"]) for r in labels}
    for p in predictions:
        key = (p["table"], p["column"])
        if key in known:
            sure = float(p["confidence"])
            bins.setdefault(min(9, int(sure * 10)), []).append((sure, key not in wrong))
    print("confidence   columns   stated    right")
    for i, rows in sorted(bins.items()):
        stated, right = sum(s for s, _ in rows) / len(rows), sum(r for _, r in rows) / len(rows)
        print(f"{i / 10:.1f}-{(i + 1) / 10:.1f} {len(rows):11d} {stated:9.3f} {right:8.3f}")


def main() -> None:
    """Classify every table, write predictions, print figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DEFAULT, help="folder that holds pii_dev")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "classification_predictions.csv")
    parser.add_argument(
        "--wrong", choices=["A", "B", "all", "none"], default="none", help="list wrong columns of a half, with evidence"
    )
    parser.add_argument("--confusion", type=int, default=15, help="how many confusions to print")
    args = parser.parse_args()
    folder = args.data / "pii_dev"
    spec = importlib.util.spec_from_file_location("score_pii", folder / "score_pii.py")
    if spec is None or spec.loader is None:
        sys.exit("no scorer in the data folder")
    scorer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scorer)
    labels = scorer.read(folder / "pii_columns_dev.csv", ["table", "column", "entity_type", "identifier_class", "note"])
    from synth_assets.tables.engine import Engine

    engine, rows, started = Engine(threads=1), [], time.process_time()
    evidence = {}
    for path in sorted((folder / "tables").glob("*.csv")):
        for v in verdicts_of(path, engine):
            evidence[path.name, v.column] = v
            record = {
                "table": path.name,
                "column": v.column,
                "entity_type": v.entity_type,
                "identifier_class": v.identifier_class,
            }
            rows.append({**record, "confidence": f"{v.confidence:.4f}"})
    seconds = time.process_time() - started
    with args.out.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    found = {}
    for title, keep in (("all", "AB"), ("A (develop)", "A"), ("B (held out)", "B")):
        some = [r for r in labels if half(r["table"]) in keep]
        found[keep] = show(scorer, some, [r for r in rows if half(r["table"]) in keep], title)
    for obfuscated in ("no", "yes"):
        some = [r for r in labels if r["header_obfuscated"] == obfuscated]
        show(scorer, some, rows, "own headers" if obfuscated == "no" else "col1, col2")
    print(f"\n{seconds:.1f} CPU s, {1000 * seconds / len(rows):.1f} ms per column; predictions: {args.out}\n")
    report(labels, rows, found["AB"], evidence, args)


def report(labels: Any, rows: Any, found: dict[str, Any], evidence: Any, args: argparse.Namespace) -> None:
    """Per type, confusions, reliability, wrong columns."""
    print(f"{'type':22}{'columns':>8}{'precision':>11}{'recall':>8}{'F1':>7}")
    for name, v in found["per_type"].items():
        print(f"{name:22}{v['support']:8d}{v['precision']:11.3f}{v['recall']:8.3f}{v['f1']:7.3f}")
    type_wrong = [w for w in found["wrong"] if "type" in w["what"]]
    print("\nmost common confusions (label -> predicted)")
    for (true, got), n in Counter((w["entity_type"], w["predicted"]) for w in type_wrong).most_common(args.confusion):
        print(f"  {n:3d}  {true} -> {got}")
    print()
    reliability(labels, rows, {(w["table"], w["column"]) for w in type_wrong})
    for w in found["wrong"]:
        if args.wrong == "all" or half(w["table"]) == args.wrong:
            v = evidence.get((w["table"], w["column"]))
            why = " | ".join(v.evidence[:3]) if v else ""
            truth, said = f"{w['entity_type']}/{w['identifier_class']}", f"{w['predicted']}/{w['predicted_class']}"
            print(f"{w['table']} / {w['column']}: {truth} -> {said} [{why}]")


if __name__ == "__main__":
    main()
