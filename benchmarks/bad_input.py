"""Time and memory of every file of a folder of malformed tables, each read in a process of its own; the worst are shown.

    python benchmarks/bad_input.py FOLDER [--worst 5]

FOLDER holds a `manifest.csv` with a column `file`. A process is forked from one that has loaded the package, so that the figures are
those of the reading. The memory is the peak of the whole process.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

LARGEST_SECONDS, LARGEST_MIB = 20, 2048


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--worst", type=int, default=5)
    arguments = parser.parse_args()
    with (arguments.folder / "manifest.csv").open(newline="") as handle:
        names = [row["file"] for row in csv.DictReader(handle)]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["synth_assets.tables.sources"])
    found = []
    for name in names:
        parent, child = context.Pipe(duplex=False)
        process = context.Process(target=read, args=(str(arguments.folder), name, child))
        process.start()
        child.close()
        found.append(parent.recv() if parent.poll(10 * LARGEST_SECONDS) else {"file": name, "outcome": "hang"})
        process.kill()
        process.join()
    outcomes = {o: sum(f["outcome"] == o for f in found) for o in sorted({f["outcome"] for f in found})}
    print(json.dumps({"files": len(found), "outcomes": outcomes}))
    for measure in ("wall_s", "cpu_s", "peak_rss_mib"):
        for figures in sorted(found, key=lambda f: -f.get(measure, 10**9))[: arguments.worst]:
            print(json.dumps({"worst": measure, **figures}))
    over = [f["file"] for f in found if f.get("wall_s", 10**9) > LARGEST_SECONDS or f["peak_rss_mib"] > LARGEST_MIB]
    print(json.dumps({"over_the_limit": over}))
    raise SystemExit(bool(over))


def read(folder: str, name: str, answer: object) -> None:
    """Read one file and send what it took."""
    from synth_assets.config.dataset import SourceConfig
    from synth_assets.errors import SynthAssetsError
    from synth_assets.tables.engine import Engine
    from synth_assets.tables.sources import ingest

    start, cpu = time.monotonic(), time.process_time()
    with tempfile.TemporaryDirectory() as scratch:
        try:
            source = SourceConfig(path=name)
            ingest(source, name="t", base_dir=Path(folder), out=Path(scratch) / "t", engine=Engine(threads=1))
            outcome = "table"
        except SynthAssetsError as error:
            outcome = error.code
    used = resource.getrusage(resource.RUSAGE_SELF)
    figures = {"wall_s": round(time.monotonic() - start, 2), "cpu_s": round(time.process_time() - cpu, 2)}
    answer.send({"file": name, "outcome": outcome, **figures, "peak_rss_mib": used.ru_maxrss // 1024})  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
