"""The proxy of the deployment folder, run by nginx before stand-ins of the sign-on and of both webservers."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NGINX = shutil.which("nginx")
pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


class _Stand(BaseHTTPRequestHandler):
    """The sign-on believes the cookie `who=NAME:GROUPS`; a webserver says its name and what headers it got."""

    def do_GET(self) -> None:
        """Answer as the server of this port."""
        name = self.server.name  # type: ignore[attr-defined]
        if name != "sign-on":
            self._answer(200, {}, json.dumps({"server": name, "headers": dict(self.headers)}))
        elif not (who := self.headers.get("Cookie", "").removeprefix("who=")):
            self._answer(401, {})
        else:
            user, _, groups = who.partition(":")
            self._answer(202, {"X-Auth-Request-Email": user, "X-Auth-Request-Groups": groups})

    def _answer(self, status: int, headers: dict[str, str], body: str = "") -> None:
        self.send_response(status)
        for key, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Nothing is said."""


@contextmanager
def stand_in(name: str) -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Stand) as server:
        server.name = name  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of the proxy, without TLS; nothing else of its file is changed but addresses."""
    folder, outer, inner = tmp_path_factory.mktemp("nginx"), free_port(), free_port()
    with stand_in("sign-on") as sign_on, stand_in("operators") as operators, stand_in("viewers") as viewers:
        text = "\n".join(
            line
            for line in (ROOT / "deploy" / "nginx.conf").read_text().splitlines()
            if not line.strip().startswith(("ssl_", "resolver "))
        )
        for old, new in (
            ("listen 8443 ssl", f"listen 127.0.0.1:{outer}"), ("127.0.0.1:8081", f"127.0.0.1:{inner}"),
            ("sign-on:4180", f"127.0.0.1:{sign_on}"), ("operators:3000", f"127.0.0.1:{operators}"),
            ("viewers:3000", f"127.0.0.1:{viewers}"), ("pid /tmp/", f"pid {folder}/"),
        ):  # fmt: skip
            assert old in text
            text = text.replace(old, new)
        (folder / "nginx.conf").write_text(text)
        command = [str(NGINX), "-p", str(folder), "-c", "nginx.conf", "-e", "stderr", "-g", "daemon off;"]
        with (folder / "log").open("wb") as log, subprocess.Popen(command, stderr=log) as running:
            try:
                for _ in range(100):
                    with socket.socket() as trial:
                        if trial.connect_ex(("127.0.0.1", outer)) == 0:
                            break
                    time.sleep(0.05)
                assert running.poll() is None, (folder / "log").read_text()
                yield outer
            finally:
                running.terminate()


def ask(port: int, who: str = "", path: str = "/runs", **headers: str) -> tuple[int, dict[str, str], dict]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers=({"Cookie": f"who={who}"} if who else {}) | headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, dict(answer.headers), json.loads(body) if body.startswith(b"{") else {}


@pytest.mark.parametrize(
    ("groups", "server"),
    [
        ("synth-viewers", "viewers"),
        ("staff,synth-viewers", "viewers"),
        ("synth-operators", "operators"),
        ("synth-viewers,synth-approvers", "operators"),
        ("synth-operators2", None),
        ("", None),
    ],
)
def test_groups_decide_which_webserver_is_reached(proxy: int, groups: str, server: str | None) -> None:
    status, _, said = ask(proxy, f"ann-{groups}@example.org:{groups}")
    assert (status, said.get("server")) == ((403, None) if server is None else (200, server))


def test_who_is_not_signed_in_is_sent_to_the_sign_on_and_back_to_the_same_port(proxy: int) -> None:
    status, headers, _ = ask(proxy, path="/runs/7")
    assert status == 302
    assert headers["Location"].endswith(f"/oauth2/sign_in?rd=http://127.0.0.1:{proxy}/runs/7")


def test_what_a_client_claims_to_be_is_overwritten(proxy: int) -> None:
    forged = {"X-User": "eve", "X-Groups": "synth-operators", "X-Forwarded-User": "eve", "X-Forwarded-For": "9.9.9.9"}
    status, _, said = ask(proxy, "bob@example.org:synth-viewers", **forged)
    assert (status, said["server"]) == (200, "viewers")
    assert said["headers"]["X-Forwarded-User"] == "bob@example.org"
    assert said["headers"]["X-Forwarded-For"] == "127.0.0.1"
    assert ask(proxy, **forged)[0] == 302


def test_a_user_beyond_the_limit_is_refused_and_others_are_not(proxy: int) -> None:
    states = [ask(proxy, "carl@example.org:synth-viewers")[0] for _ in range(60)]
    assert set(states) == {200, 429}
    assert 40 <= states.count(200) <= 50
    assert ask(proxy, "dora@example.org:synth-viewers")[0] == 200
