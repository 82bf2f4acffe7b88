"""A Sentry and an OTLP collector on this machine: a real web server that keeps what it is sent, and what that says."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from synth_assets.observing import telling

VARIABLES = ("SENTRY_DSN", "SENTRY_DSN_FILE", "OTLP_ENDPOINT", "OTLP_HEADERS", "OTLP_HEADERS_FILE")


@dataclass
class Receiver:
    """The server: its address, what it answers, and what came."""

    address: str = ""
    code: int = 200
    body: bytes = b""
    stall: float = 0.0  # seconds until it answers
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    @property
    def dsn(self) -> str:
        return self.address.replace("://", "://publickey@") + "/42"

    @property
    def every_byte(self) -> bytes:
        return b"\n".join(
            part for path, headers, body in self.got for part in (path.encode(), str(headers).encode(), body)
        )

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events of all envelopes; an item's length is that of its header."""
        found = []
        for path, _, body in self.got:
            if path.endswith("/envelope/"):
                _, rest = body.split(b"\n", 1)
                header, rest = rest.split(b"\n", 1)
                item = json.loads(header)
                if item["type"] == "event":
                    assert rest[item["length"] :] == b"\n"
                    found.append(json.loads(rest[: item["length"]]))
        return found

    @property
    def requests(self) -> list[Any]:
        """The requests for traces, decoded."""
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        return [ExportTraceServiceRequest.FromString(body) for path, _, body in self.got if path == "/v1/traces"]

    @property
    def spans(self) -> list[Any]:
        return [
            s
            for r in self.requests
            for resource in r.resource_spans
            for scope in resource.scope_spans
            for s in scope.spans
        ]


def attributes(pairs: Any) -> dict[str, Any]:
    """The attributes of a span or of a resource."""
    return {p.key: getattr(p.value, p.value.WhichOneof("value")) for p in pairs}


@contextmanager
def receiving() -> Iterator[Receiver]:
    told = Receiver()

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.got.append((self.path, dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            time.sleep(told.stall)
            self.send_response(told.code)
            if told.code == 302:
                self.send_header("Location", f"{told.address}/elsewhere")
            self.send_header("Content-Length", str(len(told.body)))
            self.end_headers()
            self.wfile.write(told.body)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    told.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """No hook is configured, and this process has told nobody yet."""
    for name in VARIABLES:
        monkeypatch.delenv(f"SYNTH_ASSETS_{name}", raising=False)
    monkeypatch.setattr(telling, "_rests", {})
    monkeypatch.setattr(telling, "_told", {})


def configure(monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> None:
    """Both hooks lead to the receiver."""
    forget(monkeypatch)
    monkeypatch.setenv("SYNTH_ASSETS_SENTRY_DSN", receiver.dsn)
    monkeypatch.setenv("SYNTH_ASSETS_OTLP_ENDPOINT", receiver.address)
    monkeypatch.setenv("SYNTH_ASSETS_PROJECT", "ward-7")
