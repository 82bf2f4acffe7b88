"""A real web server and a real mail server on this machine, which answer as the test says and keep what they get."""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import socketserver
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Hook:
    """The web server: its address, the codes that it answers with in turn (the last one for ever), and what came."""

    address: str = ""
    codes: list[int] = field(default_factory=lambda: [200])
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


def web_server() -> Iterator[Hook]:
    told = Hook()

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.got.append((dict(self.headers), body))
            code = told.codes.pop(0) if len(told.codes) > 1 else told.codes[0]
            self.send_response(code)
            if code == 302:
                self.send_header("Location", f"{told.address}/elsewhere")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    told.address = f"http://127.0.0.1:{server.server_address[1]}"
    yield told
    server.shutdown()
    server.server_close()
    thread.join()


hook = pytest.fixture(web_server)


@dataclass
class Mailbox:
    """The mail server: its port, what it offers and demands, and what came."""

    port: int = 0
    tls: ssl.SSLContext | None = None
    login: tuple[str, str] | None = None
    refuse: str = ""
    got: list[tuple[bool, str]] = field(default_factory=list)  # over TLS or not, text


class _Smtp(socketserver.StreamRequestHandler):
    box: Mailbox

    def handle(self) -> None:
        self.secure, self.known = False, self.box.login is None
        self.say("220 test")
        while line := self.rfile.readline().decode().strip():
            word = line.partition(" ")[0].upper()
            if word == "QUIT":
                self.say("221 bye")
                return
            getattr(self, f"on_{word.lower()}", self.on_other)(line)

    def finish(self) -> None:
        super().finish()
        self.connection.close()  # over TLS it is another socket than the server's

    def say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())
        self.wfile.flush()

    def on_ehlo(self, line: str) -> None:
        offers = ["test"]
        offers += ["STARTTLS"] if self.box.tls is not None and not self.secure else []
        offers += ["AUTH PLAIN"] if self.box.login else []
        for i, offer in enumerate(offers):
            self.say(f"250{' ' if i == len(offers) - 1 else '-'}{offer}")

    def on_starttls(self, line: str) -> None:
        assert self.box.tls is not None
        self.say("220 go")
        try:
            self.connection = self.box.tls.wrap_socket(self.connection, server_side=True)
        except (ssl.SSLError, OSError):
            self.rfile.close()
            raise ConnectionAbortedError from None
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb")
        self.secure = True

    def on_auth(self, line: str) -> None:
        _, user, password = base64.b64decode(line.split()[-1]).decode().split("\0")
        self.known = (user, password) == self.box.login
        self.say("235 welcome" if self.known else "535 no")

    def on_rcpt(self, line: str) -> None:
        self.say(self.box.refuse or ("250 ok" if self.known else "530 login first"))

    def on_data(self, line: str) -> None:
        self.say("354 go")
        lines = []
        while (part := self.rfile.readline()) != b".\r\n":
            lines.append(part.decode())
        self.box.got.append((self.secure, "".join(lines)))
        self.say("250 kept")

    def on_other(self, line: str) -> None:
        self.say("250 ok")


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads = True, True

    def handle_error(self, *_: Any) -> None: ...


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    box = Mailbox()
    server = _Server(("127.0.0.1", 0), type("Handler", (_Smtp,), {"box": box}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    box.port = server.server_address[1]
    yield box
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's context for 127.0.0.1, and the certificate that a client must trust."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    public, private = tmp_path / "cert.pem", tmp_path / "key.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return context, public
