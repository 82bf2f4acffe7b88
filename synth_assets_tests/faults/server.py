"""Runs chains in forked children of one process that has imported everything: a run costs no imports, and dies alone.

One JSON object per line comes in, one goes out: `{"home", "dataset", "stages", "environment", "out", "cpu_seconds"}` gives `{"status"}`, the
child's exit status as `os.waitpid` tells it; what the run did stands in the file `out` where it came to its end.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

IMPORTED = (
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "dp_accounting.pld.privacy_loss_distribution",
    "dp_accounting.rdp",
    "duckdb",
    "ibis.backends.duckdb",
    "phonenumbers",
    "pyarrow.dataset",
    "safetensors.numpy",
    "scipy.signal",
    "sqlglot.dialects.spark",
    "torch",
    "upath.implementations.local",
    "synth_assets.synthesis.charged",
    "synth_assets.synthesis.charged_training",
    "synth_assets.synthesis.dpsgd.ctgan",
    "synth_assets.synthesis.dpsgd.tvae",
    "synth_assets.synthesis.canaries",
    "synth_assets.synthesis.release",
    "synth_assets.synthesis.complete",
    "synth_assets.tables.engine_marginals",
    "synth_assets.tables.sources",
    "synth_assets.masking.keycheck",
    "synth_assets.masking.leakcheck",
    "synth_assets.masking.namecheck",
    "synth_assets.masking.plan",
    "synth_assets.masking.policies",
    "synth_assets.masking.run",
    "synth_assets.pii.classify",
    "synth_assets.pii.detectors_codes",
    "synth_assets.pii.detectors_people",
    "synth_assets.pii.detectors_places",
    "synth_assets.privacy.opening",
    "synth_assets.tables.gx_engine",
    "synth_assets.tables.split",
    "great_expectations",
    "synth_assets_tests.chain",
)
TICK = os.sysconf("SC_CLK_TCK")


def child(asked: dict[str, Any]) -> None:
    """One run; never returns."""
    code = 70
    try:
        os.environ.update(asked["environment"])
        from synth_assets_tests import chain
        from synth_assets_tests.faults import killing

        home = Path(asked["home"])
        operations = killing.arm(home)
        try:
            done = chain.run(home, asked["dataset"], stages=asked["stages"])
        except Exception as error:  # noqa: BLE001  Dagster's own storage is gone or full: the command line exits with 1 or 5
            Path(asked["out"]).write_text(
                json.dumps({"exit_code": 1, "error": {"code": type(error).__name__}, "states": {}})
            )
            os._exit(0)
        used = os.times()
        told = {
            "exit_code": done.exit_code, "error": done.error, "files": operations.count, "cpu": used.user + used.system,
            "states": {a.name: a.state for a in done.assets.values()},
            "reused": [a.name for a in done.assets.values() if a.reused],
            "failed_checks": [c.check for c in done.failed_checks],
        }  # fmt: skip
        Path(asked["out"]).write_text(json.dumps(told, default=str))
        code = 0
    finally:
        os._exit(code)


def cpu_seconds(pid: int) -> float:
    """What a process has used so far."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICK


def serve() -> None:
    """Answer until the input ends."""
    for name in IMPORTED:
        importlib.import_module(name)
    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            child(asked)
        ended, status = 0, 0
        while not ended:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                if asked["cpu_seconds"] and cpu_seconds(pid) >= asked["cpu_seconds"]:
                    os.kill(pid, signal.SIGKILL)
                time.sleep(0.002 if asked["cpu_seconds"] else 0.02)
        sys.stdout.write(json.dumps({"status": status}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
