"""CPU seconds that encryption takes in the demo's chain, and of all: python benchmarks/encryption.py [ROWS]."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
STAGES = ("raw", "profile", "pii_classification", "masked", "split", "dp_measurements", "model", "synthetic")


def chain_of(rows: int) -> dict[str, float]:
    """CPU seconds of a chain, and those in sealing and opening; the inner calls of the zone on the disk are counted as well."""
    from synth_assets.storage.encrypted import SealedBackend
    from synth_assets_tests import chain

    spent, depth = {"sealing": 0.0}, [0]

    def timed(name: str) -> None:
        inner: Callable[..., Any] = getattr(SealedBackend, name)

        def outer(*args: Any, **options: Any) -> Any:
            start = time.thread_time()
            depth[0] += 1
            try:
                return inner(*args, **options)
            finally:
                depth[0] -= 1
                spent["sealing"] += (time.thread_time() - start) if depth[0] == 0 else 0.0

        setattr(SealedBackend, name, outer)

    for name in ("commit", "local", "write_pointer", "read_pointer"):
        timed(name)
    with tempfile.TemporaryDirectory() as folder:
        home = chain.make_home(Path(folder) / "home", rows=rows)
        start = time.process_time()
        done = chain.run(home, stages=STAGES)
        assert done.exit_code == 0, done.error
        whole = time.process_time() - start
    return {"chain_cpu_seconds": whole, "sealing_cpu_seconds": spent["sealing"], "share": spent["sealing"] / whole}


def files(megabytes: int = 512) -> dict[str, float]:
    """Gigabytes per CPU second of sealing and opening one large file in memory."""
    from synth_assets.storage import at_rest
    from synth_assets.storage.secrets import SecretKey

    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        base, key = Path(folder), SecretKey(os.urandom(32))
        (base / "plain").mkdir()
        (base / "plain" / "a").write_bytes(os.urandom(megabytes << 20))
        start = time.process_time()
        at_rest.seal_folder(base / "plain", base / "sealed", key)
        middle = time.process_time()
        at_rest.open_folder(base / "sealed", base / "again", key)
        end = time.process_time()
    size = megabytes / 1024
    return {"seal_gib_per_cpu_second": size / (middle - start), "open_gib_per_cpu_second": size / (end - middle)}


if __name__ == "__main__":
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    found = {"rows": rows, **files(), **chain_of(rows)}
    print(json.dumps({k: round(v, 4) for k, v in found.items()}, indent=1))
