"""Inside an audit numerical libraries have one thread, also those that were not loaded before."""

from __future__ import annotations

import subprocess
import sys

PROBE = """
import threadpoolctl
from synth_assets.threads import one_thread
with one_thread():
    inside = {p["num_threads"] for p in threadpoolctl.threadpool_info()}
    assert any("openmp" == p["user_api"] for p in threadpoolctl.threadpool_info())
print(inside)
"""


def test_every_library_has_one_thread_in_a_fresh_process() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "{1}"
