"""Dagster's own webservers behind the proxy of the deployment folder: what a viewer's server refuses, an operator's does, on record of who asked."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from websockets.sync.client import ClientConnection, connect

from synth_assets.config.runtime import Settings
from synth_assets.ledger.actors import Actors
from synth_assets.ledger.asking import ACTOR_TAG, CLIENT_TAG
from synth_assets_tests.chain import ROOT
from synth_assets_tests.e2e.serving import BIN, ask, environment, until
from synth_assets_tests.nginx import COMPOSE_PLACES, MISSING, NGINX, Proxy, free_port, running

pytestmark = [pytest.mark.slow, pytest.mark.skipif(NGINX is None, reason=MISSING)]
JOB = "import dagster as dg\n@dg.op\ndef nothing(): pass\n@dg.job\ndef asked(): nothing()\ndefs = dg.Definitions(jobs=[asked])\n"
LAUNCH = """mutation($p: ExecutionParams!) { launchRun(executionParams: $p) {
    __typename ... on LaunchRunSuccess { run { runId tags { key value } } } ... on PythonError { message } } }"""
LOGS = """subscription($id: ID!) { pipelineRunLogs(runId: $id) {
    ... on PipelineRunLogsSubscriptionSuccess { messages { __typename } } } }"""
ANN, BOB = "ann@example.org", "bob@example.org"
OPERATOR, VIEWER = {"Cookie": f"who={ANN}:synth-operators"}, {"Cookie": f"who={BOB}:synth-viewers"}


class _SignOn(BaseHTTPRequestHandler):
    """Believes the cookie `who=NAME:GROUPS`."""

    def do_GET(self) -> None:
        """202 or 401, as oauth2-proxy answers."""
        user, _, groups = (self.headers.get("Cookie") or "").removeprefix("who=").partition(":")
        self.send_response(202 if user else 401)
        self.send_header("X-Auth-Request-Email", user)
        self.send_header("X-Auth-Request-Groups", groups)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing is said."""


@dataclass(frozen=True)
class Front:
    """The proxy with both webservers behind it, and their home."""

    proxy: Proxy
    home: Path

    def ask(self, who: dict[str, str], query: str, **variables: Any) -> requests.Response:
        return requests.post(
            f"https://127.0.0.1:{self.proxy.port}/graphql", json={"query": query, "variables": variables}, headers=who,
            timeout=60, verify=str(self.proxy.authority), allow_redirects=False,
        )  # fmt: skip

    def launch(self, who: dict[str, str]) -> dict[str, Any]:
        selector = {"repositoryName": "__repository__", "repositoryLocationName": "jobs.py", "jobName": "asked"}
        tags = [{"key": ACTOR_TAG, "value": "a_0123456789abcdef"}]
        asked = {"selector": selector, "runConfigData": {}, "mode": "default", "executionMetadata": {"tags": tags}}
        return dict(self.ask(who, LAUNCH, p=asked).json()["data"]["launchRun"])

    def socket(self, who: dict[str, str], context: ssl.SSLContext | None = None) -> ClientConnection:
        return connect(
            f"wss://127.0.0.1:{self.proxy.port}/graphql", ssl=context or self.proxy.trusting(), additional_headers=who,
            subprotocols=["graphql-ws"],  # type: ignore[list-item]
        )  # fmt: skip


@contextmanager
def webserver(home: Path, *options: str) -> Iterator[int]:
    """`dagster-webserver` as a child process; the port, before it answers."""
    port = free_port()
    command = [str(BIN / "dagster-webserver"), *options, "-h", "127.0.0.1", "-p", str(port), "-f", "jobs.py"]
    with (home / f"{port}.log").open("wb") as log:
        child = subprocess.Popen(
            command, cwd=home, env=environment(home) | {"DAGSTER_HOME": str(home)}, stdout=log, stderr=log
        )
        try:
            yield port
        finally:
            child.terminate()
            child.wait(timeout=60)


def loaded(port: int) -> bool:
    """Whether a webserver answers and has loaded the code location, which comes later."""
    told = ask(f"http://127.0.0.1:{port}", "{ repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }")
    return bool(told["repositoriesOrError"]["nodes"])


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    home = tmp_path_factory.mktemp("home")
    (home / "dagster.yaml").write_text((ROOT / "deploy" / "dagster.yaml").read_text())
    (home / "jobs.py").write_text(JOB)
    with ExitStack() as stack:
        operators = stack.enter_context(webserver(home))
        viewers = stack.enter_context(webserver(home, "--read-only"))
        sign_on = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), _SignOn))
        threading.Thread(target=sign_on.serve_forever, daemon=True).start()
        stack.callback(sign_on.shutdown)
        ports = {"sign-on:4180": sign_on.server_address[1], "operators:3000": operators, "viewers:3000": viewers}
        proxy = stack.enter_context(running(tmp_path_factory.mktemp("nginx"), COMPOSE_PLACES.read_text(), ports))
        for port in (operators, viewers):
            until(lambda port=port: loaded(port), "webserver with its jobs")
        yield Front(proxy, home)


def test_a_viewer_reads_and_the_server_refuses_every_mutation(front: Front) -> None:
    read = front.ask(VIEWER, "{ runsOrError { ... on Runs { results { runId } } } }")
    assert read.status_code == 200
    assert read.headers["Strict-Transport-Security"]
    assert "results" in read.json()["data"]["runsOrError"]
    assert front.launch(VIEWER)["__typename"] == "UnauthorizedError"


def test_an_operators_launch_reaches_the_queue_in_the_name_of_the_sign_on(front: Front) -> None:
    told = front.launch(OPERATOR)
    assert told["__typename"] == "LaunchRunSuccess", told
    tags = {t["key"]: t["value"] for t in told["run"]["tags"]}
    stored = front.ask(
        OPERATOR,
        "query($id: ID!) { runOrError(runId: $id) { ... on Run { status tags { key value } } } }",
        id=told["run"]["runId"],
    ).json()["data"]["runOrError"]
    tags |= {t["key"]: t["value"] for t in stored["tags"]}
    known = {k.actor: k.identity for k in Actors(Settings(home=front.home).actors_location).known()}
    assert known[tags[ACTOR_TAG]] == ANN
    assert tags[CLIENT_TAG] == "127.0.0.1"
    assert stored["status"] == "QUEUED"


@pytest.mark.parametrize("who", [OPERATOR, VIEWER], ids=["operator", "viewer"])
def test_the_web_socket_of_the_ui_works_through_the_proxy(front: Front, who: dict[str, str]) -> None:
    run_id = front.launch(OPERATOR)["run"]["runId"]
    with front.socket(who) as socket:
        socket.send(json.dumps({"type": "connection_init", "payload": {}}))
        assert json.loads(socket.recv(timeout=30))["type"] == "connection_ack"
        socket.send(json.dumps({"id": "1", "type": "start", "payload": {"query": LOGS, "variables": {"id": run_id}}}))
        kinds: set[str] = set()
        while "RunEnqueuedEvent" not in kinds:
            message = json.loads(socket.recv(timeout=30))
            if message["type"] == "data":
                kinds |= {m["__typename"] for m in message["payload"]["data"]["pipelineRunLogs"]["messages"]}


def test_nobody_opens_a_socket_without_a_role(front: Front) -> None:
    from websockets.exceptions import InvalidStatus

    for who, status in (({}, 401), ({"Cookie": "who=eve@example.org:staff"}, 403)):  # a stranger is led to the sign-on
        with pytest.raises(InvalidStatus) as refused:
            front.socket(who)
        assert refused.value.response.status_code == status


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(front: Front) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        front.socket(OPERATOR, ssl.create_default_context())
