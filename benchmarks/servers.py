"""The same small chain with everything on this machine's disk, and with PostgreSQL and S3: CPU and wall seconds.

    python benchmarks/servers.py --postgres postgresql://user@127.0.0.1:5432/empty --endpoint http://127.0.0.1:9000

The database must be empty, and the S3 service runs on this machine (moto's server will do; `AWS_*` variables name its login). Each run
is `synth-assets run` on the clinic of the demo (`--rows` of each table), in a process and a home of its own; CPU is that of the process
and its children, without the servers. The second figure is a run again, in which everything is reused.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postgres", required=True)
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--rows", type=int, default=700)
    parser.add_argument("--runs", type=int, default=2)
    arguments = parser.parse_args()
    os.environ.setdefault("SYNTH_ASSETS_AUDIT_REPETITIONS", "10000")
    told: dict[str, dict[str, list[float]]] = {}
    for number in range(arguments.runs):
        for where in ("disk", "servers"):
            with tempfile.TemporaryDirectory() as folder:
                home = make_home(Path(folder) / "home", arguments.rows, f"clinic_{number}_{where}")
                more = servers(arguments.postgres, arguments.endpoint) if where == "servers" else {}
                for turn in ("first run", "run again"):
                    cpu, wall = run(home, os.environ | more)
                    figures = told.setdefault(f"{where}, {turn}", {"cpu": [], "wall": []})
                    figures["cpu"].append(cpu)
                    figures["wall"].append(wall)
    for name, figures in told.items():
        print(
            f"{name:20} CPU {statistics.median(figures['cpu']):6.1f} s  wall {statistics.median(figures['wall']):6.1f} s"
        )


def make_home(home: Path, rows: int, name: str) -> Path:
    """A home with the clinic under a name of its own: a budget in the shared ledger is that of a name."""
    folder = home / "configs" / "datasets"
    folder.mkdir(parents=True)
    config = yaml.safe_load((ROOT / "configs" / "datasets" / "clinic.yaml").read_text())
    for table in config["tables"].values():
        table["source"]["rows"] = rows
        table["source"]["generate"] = str((ROOT / "configs" / "datasets" / table["source"]["generate"]).resolve())
    config |= {"name": name, "synthesizers": [{"name": "dp_marginals", "epsilon": 6}], "holdout": 0.45}
    config |= {"thresholds": {"privacy_risk": "high"}, "exports": ["parquet", "csv"]}
    config.pop("variants", None)
    (folder / "clinic.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    (home / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    return home


def servers(postgres: str, endpoint: str) -> dict[str, str]:
    """Variables that put everything on servers, in a fresh bucket."""
    import boto3

    bucket = f"bench-{uuid.uuid4().hex[:8]}"
    boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket=bucket)
    zones = {f"SYNTH_ASSETS_S3_{z.upper()}": f"s3://{bucket}/{z}" for z in ("restricted", "masked", "release", "logs")}
    return zones | {
        "SYNTH_ASSETS_POSTGRES_URL": postgres,
        "SYNTH_ASSETS_VAULT_URL": postgres,
        "SYNTH_ASSETS_S3_ENDPOINT": endpoint,
    }


def run(home: Path, environment: dict[str, str]) -> tuple[float, float]:
    """CPU and wall seconds of one run."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [
        sys.executable,
        "-m",
        "synth_assets.cli",
        "run",
        "configs/datasets/clinic.yaml",
        "--home",
        str(home),
        "--json",
    ]
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(json.dumps(json.loads(done.stdout)["error"], indent=1))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.perf_counter() - started


if __name__ == "__main__":
    main()
