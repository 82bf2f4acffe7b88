"""`synth-assets ui` as a child process: the webserver, the daemon and the code location, ended with their children at the end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from synth_assets.client import Client

BIN = Path(sys.executable).parent
PATIENCE = 240.0


@dataclass(frozen=True)
class Service:
    """Where the service listens, and its home."""

    url: str
    home: Path

    def client(self) -> Client:
        return Client(self.url, exchange=self.home / "var" / "exchange")

    def ask(self, query: str) -> dict[str, Any]:
        return ask(self.url, query)


def environment(home: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DAGSTER", "SYNTH_ASSETS", "PYTEST"))}
    return {**kept, "OMP_NUM_THREADS": "1", "DAGSTER_DISABLE_TELEMETRY": "1", "NO_COLOR": "1", "PWD": str(home)}


def until(wanted: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """Ask again until there is an answer."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            found = wanted()
        except (requests.RequestException, KeyError, TypeError):
            found = None
        if found:
            return found
        time.sleep(0.5)
    raise AssertionError(f"no {what} in time")


def ask(url: str, query: str) -> dict[str, Any]:
    return dict(requests.post(f"{url}/graphql", json={"query": query}, timeout=60).json()["data"])


@contextmanager
def serving(home: Path, **variables: str) -> Iterator[Service]:
    """`synth-assets ui` on a home; it answers when this is entered."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (home.parent / "dev.log").open("w") as log:
        started = subprocess.Popen(
            [str(BIN / "synth-assets"), "ui", "--home", str(home), "--port", str(port)], cwd=home,
            env=environment(home) | variables, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            url = f"http://127.0.0.1:{port}"
            until(lambda: ask(url, "{ assetNodes { assetKey { path } } }")["assetNodes"], "answer of the webserver")
            yield Service(url, home)
        finally:
            os.killpg(started.pid, signal.SIGINT)
            try:
                started.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(started.pid, signal.SIGKILL)
                started.wait(timeout=30)
