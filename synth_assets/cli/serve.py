"""A small server for the HTML reports of the release zone, on loopback only. It serves report files and nothing else."""

from __future__ import annotations

import errno
import html
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path

from synth_assets.config.runtime import Settings, load_datasets
from synth_assets.config.stores import store_of
from synth_assets.errors import InputError, SynthAssetsError
from synth_assets.storage.artifacts import Zone

REPORT = "report.html"


def current_reports(settings: Settings) -> dict[str, Path]:
    """The current report of each dataset of the release zone."""
    store = store_of(settings)
    found = {}
    for name in _datasets(settings):
        ref = store.find(Zone.RELEASE, name, "report")
        if ref is not None:
            found[name] = store.path(ref) / REPORT
    return found


def _datasets(settings: Settings) -> list[str]:
    """Datasets with a folder in the local release zone; those of the home's YAMLs where the zone is in S3."""
    if Zone.RELEASE.value in settings.s3_zones:
        return [dataset.config.name for dataset in load_datasets(settings)]
    root = settings.var / Zone.RELEASE
    return sorted(folder.name for folder in root.iterdir()) if root.is_dir() else []


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, *args: object, settings: Settings) -> None:
        self.settings = settings
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """The list of reports, or one of them."""
        found = current_reports(self.settings)
        name = self.path.strip("/")
        if name in found:
            self._answer(found[name].read_bytes())
        elif not name:
            items = "".join(f'<li><a href="/{n}">{html.escape(n)}</a></li>' for n in found) or "<li>none yet</li>"
            self._answer(f"<!doctype html><title>Reports</title><h1>Reports</h1><ul>{items}</ul>".encode())
        else:
            self.send_error(404)

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header(
            "Content-Security-Policy",
            "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'unsafe-inline'",
        )
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class names it
        """Keep the terminal quiet."""


def require_free(host: str, port: int) -> None:
    """Look whether a port is free, before anything is started that needs it.

    Raises:
        InputError: another program listens there, or this one may not.
    """
    with _listening(host, port, "--port"), HTTPServer((host, port), BaseHTTPRequestHandler):
        pass


@contextmanager
def _listening(host: str, port: int, option: str) -> Iterator[None]:
    try:
        yield
    except (OSError, OverflowError) as error:
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        raise InputError(
            f"another program listens on {host}, port {port}."
            if taken
            else f"cannot listen on {host}, port {port} ({type(error).__name__}).",
            key=option,
            remedy=f"End that program, or name a free port with {option}."
            if taken
            else f"Name an address of this machine and a free port with {option}.",
        ) from None


def serve_reports(settings: Settings, port: int) -> None:
    """Serve until Ctrl-C.

    Raises:
        InputError: nothing can listen there.
    """
    with _listening("127.0.0.1", port, "--port"):
        server = ThreadingHTTPServer(("127.0.0.1", port), partial(_Handler, settings=settings))
    with server:
        server.serve_forever()


class _Metrics(BaseHTTPRequestHandler):
    timeout = 10  # who connects and says nothing would keep everybody else waiting

    def __init__(self, *args: object, settings: Settings) -> None:
        self.settings = settings
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """The figures of now."""
        from synth_assets.automation.metrics import CONTENT_TYPE, metrics
        from synth_assets.definitions import build_defs

        if self.path != "/metrics":
            self.send_error(404)
            return
        try:
            body = metrics(self.settings, build_defs).encode()
        except SynthAssetsError as error:
            self.send_error(503, error.code)
            return
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class names it
        """Keep the terminal quiet."""


def serve_metrics(settings: Settings, port: int, host: str) -> None:
    """Serve until Ctrl-C; one request at a time, since each looks at the whole home.

    Args:
        settings: Of the home.
        port: Where to listen.
        host: Address to listen on; another one than loopback shows the figures, which hold no values, to whoever reaches it.

    Raises:
        InputError: nothing can listen there.
    """
    with _listening(host, port, "--serve"):
        server = HTTPServer((host, port), partial(_Metrics, settings=settings))
    with server:
        server.serve_forever()
