"""What the chain costs besides its own work and besides Dagster: CPU seconds per asset in one process.

    python benchmarks/orchestration.py [--rows 700] [--runs 3]

The clinic of the demo is run as `synth-assets run` runs it: in this process, on a persistent instance as dagster.yaml sets it up.
Taken off are (1) what the stages spend in their own work, which is making an artifact and judging it; and (2) the same graph in plain
Dagster on an instance of the same settings: the same keys, tags and checks, with empty bodies. What is left is definitions, resources,
leases, fences, reuse, publication, ledgers, verdicts, and what an asset shows. A first chain in another home loads modules.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
DATASET = "clinic"


@dataclass
class Work:
    """CPU seconds of the stages' own work so far."""

    seconds: float = 0.0
    inside: bool = False

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Count a block once, also where another counted block calls it."""
        if self.inside:
            yield
            return
        self.inside, before = True, time.process_time()
        try:
            yield
        finally:
            self.seconds += time.process_time() - before
            self.inside = False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=700)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    os.environ.setdefault("SYNTH_ASSETS_AUDIT_REPETITIONS", "10000")
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
    work = Work()
    count_work(work)
    found: dict[str, list[float]] = {}
    assets = 0
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(arguments.runs + 1):  # the first one loads modules
            home = make_home(Path(scratch) / f"home-{number}", arguments.rows)
            for turn in ("first run", "run again"):
                cpu, own, assets = chain(home, work)
                empty = control(Path(scratch) / f"control-{number}")
                if number:
                    found.setdefault(turn, []).append((cpu - own - empty) / assets)
                    found.setdefault("plain Dagster", []).append(empty / assets)
    print(f"{assets} assets; CPU seconds per asset, median of {arguments.runs} [least, most]")
    for name, figures in found.items():
        print(f"{name:14} {statistics.median(figures):.3f} [{min(figures):.3f}, {max(figures):.3f}]")


def make_home(home: Path, rows: int) -> Path:
    """A home with a small clinic; the DP synthesizer alone."""
    shutil.copytree(ROOT / "configs", home / "configs")
    file = home / "configs" / "datasets" / f"{DATASET}.yaml"
    config = yaml.safe_load(file.read_text())
    for table in config["tables"].values():
        table["source"]["rows"] = rows
    config |= {"synthesizers": [{"name": "dp_marginals", "epsilon": 6}], "holdout": 0.45}
    config |= {"thresholds": {"privacy_risk": "high"}}
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    return home


def count_work(work: Work) -> None:
    """Have the stages' own work counted: what a job builds and checks."""
    from synth_assets.assets.stage import Job, Stage

    deliver = Stage.deliver

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            with work.timed():
                return function(*given, **named)

        return call

    def counted(self: Stage, job: Job, describe: Callable[[Any], Mapping[str, Any]]) -> Any:
        check = None if job.check is None else timed(job.check)
        return deliver(self, replace(job, build=timed(job.build), check=check), describe)

    Stage.deliver = counted  # type: ignore[method-assign]


def chain(home: Path, work: Work) -> tuple[float, float, int]:
    """CPU seconds of one run, those of the stages' own work, and the number of assets."""
    from synth_assets.automation.runner import prepare_home, run_chain
    from synth_assets.config.runtime import Settings, load_datasets
    from synth_assets.definitions import build_defs

    before, own = time.process_time(), work.seconds
    prepare_home(home)
    settings = Settings.from_environment(home)
    loaded = [d for d in load_datasets(settings) if d.config.name == DATASET]
    done = run_chain(build_defs(settings, datasets=loaded), DATASET)
    if done.exit_code not in {0, 3}:
        raise SystemExit(f"the chain failed: {done.error}")
    left_out = [a.name for a in done.assets.values() if a.state != "done"]
    if left_out:
        raise SystemExit(f"not made: {left_out}")
    return time.process_time() - before, work.seconds - own, len(done.assets)


def control(home: Path) -> float:
    """CPU seconds of the same graph with empty bodies, in plain Dagster."""
    import dagster as dg

    from synth_assets.assets.chain import build_dataset
    from synth_assets.automation.runner import QUIET
    from synth_assets.config.runtime import Settings, load_datasets

    folder = make_home(home, 10) if not home.exists() else home
    dataset = next(d for d in load_datasets(Settings.from_environment(folder)) if d.config.name == DATASET)
    shapes = [(a.op.name, list(a.specs), list(a.check_specs)) for a in build_dataset(dataset, folder / "configs")]
    (folder / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    os.chdir(folder)
    os.environ["DAGSTER_HOME"] = str(folder)
    before = time.process_time()
    empty = [_empty(dg, *shape) for shape in shapes]
    job = dg.define_asset_job(f"{DATASET}_chain", selection=dg.AssetSelection.groups(DATASET))
    defs = dg.Definitions(assets=empty, jobs=[job], executor=dg.in_process_executor)
    with dg.DagsterInstance.get() as instance:
        done = defs.resolve_job_def(f"{DATASET}_chain").execute_in_process(instance=instance, run_config=QUIET)
    if not done.success:
        raise SystemExit("the control failed")
    return time.process_time() - before


def _empty(dg: Any, name: str, specs: list[Any], checks: list[Any]) -> Any:
    @dg.multi_asset(name=name, specs=specs, check_specs=checks, pool=DATASET)
    def body() -> Any:
        for spec in specs:
            mine = [
                dg.AssetCheckResult(passed=True, check_name=c.name, asset_key=c.asset_key)
                for c in checks
                if c.asset_key == spec.key
            ]
            told = {"reused": False, "reuse_count": 0, "path": "there"}
            yield dg.MaterializeResult(
                asset_key=spec.key, data_version=dg.DataVersion("1"), metadata=told, check_results=mine
            )

    return body


if __name__ == "__main__":
    main()
