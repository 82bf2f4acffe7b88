"""Small tables of made-up people behind a local server, which signs, refuses and moves links as real ones do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

SIGNATURE = "X-Amz-Signature=CANARY"
EXPIRED = b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"


def people(rows: int, seed: int) -> str:
    """CSV with a number, a protected column and an outcome that depends on both."""
    rng = np.random.default_rng(seed)
    age, sex = rng.integers(18, 90, rows), rng.integers(2, size=rows)
    ill = rng.random(rows) < (age + 10 * sex) / 120
    lines = [
        f"{a},{'FM'[s]},{a * 2 + n:.1f},{'ny'[int(y)]}"
        for a, s, n, y in zip(age, sex, rng.normal(0, 9, rows), ill, strict=True)
    ]
    return "\n".join(["age,sex,cost,ill", *lines]) + "\n"


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tables, good and bad."""
    folder = tmp_path_factory.mktemp("tables")
    for name, seed in (("synthetic", 1), ("real", 2), ("holdout", 3)):
        (folder / f"{name}.csv").write_text(people(400, seed))
    (folder / "semicolons.csv").write_text(people(400, 4).replace(",", ";"))
    (folder / "other.csv").write_text("height,weight\n1,2\n3,4\n")
    (folder / "one.csv").write_text("age,sex,cost,ill\n30,F,60.5,n\n")
    (folder / "empty.csv").write_text("")
    (folder / "header.csv").write_text("age,sex,cost,ill\n")
    (folder / "page.csv").write_text("<!DOCTYPE html><html>sign in</html>")
    (folder / "large.csv").write_text("age\n" + "30\n" * 700_000)
    return folder


class _Links(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/expired.csv":
            self.send_response(403)
            self.send_header("Content-Length", str(len(EXPIRED)))
            self.end_headers()
            self.wfile.write(EXPIRED)
        elif path == "/inside.csv":
            self.send_response(302)
            self.send_header("Location", f"https://10.1.2.3/real.csv?{SIGNATURE}")
            self.end_headers()
        elif path == "/closed.csv" or (path == "/signed.csv" and SIGNATURE not in self.path):
            self.send_error(403)
        elif path == "/down.csv":
            self.send_error(503)
        else:
            self.path = self.path.replace("/signed.csv", "/synthetic.csv")
            super().do_GET()

    def log_message(self, *args: object) -> None:
        """Silence."""


@pytest.fixture(scope="session")
def served(tables: Path) -> Iterator[str]:
    """Address of the tables; they lie on this machine, so that the host has to be allowed."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Links, directory=str(tables))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def links(served: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address, allowed."""
    monkeypatch.setenv("SYNTH_ASSETS_PRIVATE_HOSTS", "127.0.0.1")
    return served
