"""The proxy of the deployment folder, run by nginx with TLS before stand-ins of the sign-on and of both webservers."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from synth_assets_tests.nginx import COMPOSE_PLACES, MISSING, NGINX, Proxy, running

pytestmark = pytest.mark.skipif(NGINX is None, reason=MISSING)


class _Stand(BaseHTTPRequestHandler):
    """The sign-on believes the cookie `who=NAME:GROUPS`; a webserver, and the pages of the sign-on, say what headers they got."""

    def do_GET(self) -> None:
        """Answer as the server of this port."""
        name = self.server.name  # type: ignore[attr-defined]
        if name != "sign-on" or self.path != "/oauth2/auth":
            self._answer(200, {}, json.dumps({"server": name, "path": self.path, "headers": dict(self.headers)}))
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


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with stand_in("sign-on") as sign_on, stand_in("operators") as operators, stand_in("viewers") as viewers:
        ports = {"sign-on:4180": sign_on, "operators:3000": operators, "viewers:3000": viewers}
        with running(tmp_path_factory.mktemp("nginx"), COMPOSE_PLACES.read_text(), ports) as started:
            yield started


def ask(proxy: Proxy, who: str = "", path: str = "/runs", **headers: str) -> tuple[int, dict[str, str], dict]:
    connection = http.client.HTTPSConnection("127.0.0.1", proxy.port, timeout=10, context=proxy.trusting())
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
def test_groups_decide_which_webserver_is_reached(proxy: Proxy, groups: str, server: str | None) -> None:
    status, _, said = ask(proxy, f"ann-{groups}@example.org:{groups}")
    assert (status, said.get("server")) == ((403, None) if server is None else (200, server))


def test_who_is_not_signed_in_is_sent_to_the_sign_on_of_whatever_port_and_back_to_the_same_page(proxy: Proxy) -> None:
    status, headers, _ = ask(proxy, path="/runs/7?tab=logs")
    assert status == 302
    assert headers["Location"] == "/oauth2/sign_in?rd=/runs/7?tab=logs"


def test_what_a_client_claims_to_be_is_overwritten(proxy: Proxy) -> None:
    forged = {"X-User": "eve", "X-Groups": "synth-operators", "X-Forwarded-User": "eve", "X-Forwarded-For": "9.9.9.9"}
    status, _, said = ask(proxy, "bob@example.org:synth-viewers", **forged)
    assert (status, said["server"]) == (200, "viewers")
    assert said["headers"]["X-Forwarded-User"] == "bob@example.org"
    assert said["headers"]["X-Forwarded-For"] == "127.0.0.1"
    assert ask(proxy, **forged)[0] == 302


def test_the_sign_on_is_told_by_the_proxy_alone_where_people_are(proxy: Proxy) -> None:
    forged = {
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Uri": "/x",
        "X-Real-IP": "9.9.9.9",
    }
    status, _, said = ask(proxy, path="/oauth2/start?rd=/runs", **forged)
    assert (status, said["server"], said["path"]) == (200, "sign-on", "/oauth2/start?rd=/runs")
    told = said["headers"]
    assert (told["X-Forwarded-Host"], told["Host"]) == (f"127.0.0.1:{proxy.port}",) * 2
    assert (told["X-Forwarded-Proto"], told["X-Real-IP"], told["X-Forwarded-For"]) == (
        "https",
        "127.0.0.1",
        "127.0.0.1",
    )
    assert "X-Forwarded-Uri" not in told
    assert ask(proxy, path="/oauth2/auth")[0] == 404


def test_a_webserver_gets_neither_the_session_nor_a_token(proxy: Proxy) -> None:
    _, _, said = ask(proxy, "gil@example.org:synth-operators", Authorization="Bearer abc")
    assert said["server"] == "operators"
    assert not {"cookie", "authorization", "x-user", "x-groups", "x-client"} & {h.lower() for h in said["headers"]}


def test_a_session_of_many_kilobytes_passes(proxy: Proxy) -> None:
    assert ask(proxy, f"hal@example.org:synth-viewers,{'x' * 12_000}")[0] == 200


def test_a_user_beyond_the_limit_is_refused_and_others_are_not(proxy: Proxy) -> None:
    states = [ask(proxy, "carl@example.org:synth-viewers")[0] for _ in range(60)]
    assert set(states) == {200, 429}
    assert 40 <= states.count(200) <= 50
    assert ask(proxy, "dora@example.org:synth-viewers")[0] == 200


def test_every_answer_asks_for_tls_from_now_on_and_for_no_frame_round_it(proxy: Proxy) -> None:
    for status, headers, _ in (ask(proxy), ask(proxy, "ed@example.org:"), ask(proxy, "ed@example.org:synth-viewers")):
        assert headers["Strict-Transport-Security"] == "max-age=31536000", status
        assert (headers["X-Frame-Options"], headers["X-Content-Type-Options"]) == ("DENY", "nosniff")
        assert headers["Server"] == "nginx" if status != 200 else "Python" not in headers["Server"]


def test_the_health_of_the_proxy_is_that_of_the_sign_on_and_needs_nobody_to_be_signed_in(proxy: Proxy) -> None:
    status, _, said = ask(proxy, path="/healthz")
    assert (status, said["server"], said["path"]) == (200, "sign-on", "/ping")


def test_nothing_older_than_tls_1_2_and_no_clear_text_is_spoken(proxy: Proxy) -> None:
    old = proxy.trusting()
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    connection = http.client.HTTPSConnection("127.0.0.1", proxy.port, timeout=10, context=old)
    with pytest.raises(ssl.SSLError):
        connection.request("GET", "/")
    connection.close()
    plain = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    plain.request("GET", "/runs", headers={"Cookie": "who=ann@example.org:synth-operators"})
    answer = plain.getresponse()
    answer.read()
    plain.close()
    assert answer.status == 400
