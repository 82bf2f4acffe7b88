"""Who is told is read from the environment; what is wrong there is one error that names the variable and never its value."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from synth_assets.config import hooks
from synth_assets.config.hooks import Hooks, hooks_of_environment
from synth_assets.config.runtime import Settings
from synth_assets.definitions import build_defs
from synth_assets.errors import ConfigError
from synth_assets_tests import chain
from synth_assets_tests.receivers import forget

CANARY = "quillvex-key"
DSN, ENDPOINT, HEADERS = "SYNTH_ASSETS_SENTRY_DSN", "SYNTH_ASSETS_OTLP_ENDPOINT", "SYNTH_ASSETS_OTLP_HEADERS"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    forget(monkeypatch)
    monkeypatch.setattr(hooks, "find_spec", lambda _: object())


def test_without_a_variable_nobody_is_told() -> None:
    assert hooks_of_environment() == Hooks()
    assert not hooks.any_hook()


def test_addresses_and_headers_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DSN, f"https://{CANARY}@o1.ingest.example.org/42")
    monkeypatch.setenv(ENDPOINT, "https://otlp.example.org:4318/")
    monkeypatch.setenv(HEADERS, f"Authorization=Bearer%20{CANARY}, x-tenant = ward")
    found = hooks_of_environment()
    assert found.sentry_dsn == f"https://{CANARY}@o1.ingest.example.org/42"
    assert found.otlp_endpoint == "https://otlp.example.org:4318"
    assert found.otlp_headers == {"Authorization": f"Bearer {CANARY}", "x-tenant": "ward"}
    assert CANARY not in repr(found)


def test_secrets_may_be_in_files_that_nobody_else_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("dsn", "https://key@sentry.example.org/team/7\n"), ("headers", "api-key=secret\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    monkeypatch.setenv(f"{DSN}_FILE", str(tmp_path / "dsn"))
    monkeypatch.setenv(ENDPOINT, "https://otlp.example.org")
    monkeypatch.setenv(f"{HEADERS}_FILE", str(tmp_path / "headers"))
    found = hooks_of_environment()
    assert (found.sentry_dsn, found.otlp_headers) == ("https://key@sentry.example.org/team/7", {"api-key": "secret"})
    (tmp_path / "dsn").chmod(0o640)
    with pytest.raises(ConfigError, match="read by others"):
        hooks_of_environment()


def test_a_secret_has_one_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DSN, "https://key@sentry.example.org/7")
    monkeypatch.setenv(f"{DSN}_FILE", str(tmp_path / "dsn"))
    with pytest.raises(ConfigError, match="one place"):
        hooks_of_environment()


@pytest.mark.parametrize("name", [HEADERS, f"{HEADERS}_FILE"])
def test_headers_without_a_collector_are_an_error(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "a=b")
    with pytest.raises(ConfigError, match=f"{name} is set, and {ENDPOINT} is not"):
        hooks_of_environment()


@pytest.mark.parametrize(
    "dsn",
    [
        "", CANARY, f"https://{CANARY}.example.org/42", f"https://{CANARY}@sentry.example.org", f"https://{CANARY}@host/",
        f"https://{CANARY}@host/project", f"ftp://{CANARY}@host/42", f"https://{CANARY}@/42", f"https://{CANARY}@host:port/42",
        f"https://{CANARY}@host/42?x=1", f"https://{CANARY}@[::1/42",
    ],
)  # fmt: skip
def test_a_wrong_address_of_sentry_is_refused_and_not_repeated(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DSN, dsn)
    with pytest.raises(ConfigError, match=DSN) as raised:
        hooks_of_environment()
    assert CANARY not in str(raised.value)


@pytest.mark.parametrize("headers", [CANARY, f"={CANARY}", f"a b={CANARY}", f"a={CANARY}%0D%0Ab: c", f"a={CANARY}é"])
def test_wrong_headers_are_refused_and_not_repeated(headers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINT, "https://otlp.example.org")
    monkeypatch.setenv(HEADERS, headers)
    with pytest.raises(ConfigError, match=HEADERS) as raised:
        hooks_of_environment()
    assert CANARY not in str(raised.value)


@pytest.mark.parametrize(
    ("variable", "value"), [(DSN, "http://key@sentry.example.org/42"), (ENDPOINT, "http://otlp.example.org:4318")]
)
def test_another_machine_needs_tls_unless_it_is_named(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=f"{variable} leads to another machine without TLS"):
        hooks_of_environment()
    monkeypatch.setenv("SYNTH_ASSETS_PLAINTEXT_HOSTS", "sentry.example.org, otlp.example.org")
    assert hooks_of_environment() != Hooks()


@pytest.mark.parametrize(
    ("variable", "value", "extra"),
    [(DSN, "https://k@h.example.org/1", "sentry"), (ENDPOINT, "https://h.example.org", "otlp")],
)
@pytest.mark.parametrize("installed", [False, True])
def test_a_missing_package_is_one_error_that_names_the_extra(
    variable: str, value: str, extra: str, installed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    if installed:
        build_defs(Settings.from_environment(tmp_path))
        return

    def absent(name: str) -> None:
        if "." in name:
            raise ModuleNotFoundError(name)  # what find_spec does where the package around it is absent

    monkeypatch.setattr(hooks, "find_spec", absent)
    with pytest.raises(ConfigError, match=variable) as raised:
        Settings.from_environment(tmp_path)
    assert f"synth-assets[{extra}]" in str(raised.value)


def test_the_code_location_and_commands_say_it_once(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(chain.ROOT), *sys.path]),
        DSN: CANARY,
        "DAGSTER_HOME": str(tmp_path),
    }
    for code in (
        "from synth_assets.definitions import defs; defs()",
        "from synth_assets.cli import main; main(['budget'])",
    ):
        done = subprocess.run(
            [sys.executable, "-c", code],
            check=False,
            capture_output=True,
            text=True,
            env=environment,
            cwd=tmp_path,
            timeout=120,
        )
        assert done.returncode != 0
        assert CANARY not in done.stderr + done.stdout
        assert (done.stderr + done.stdout).count(f"{DSN} is no address") == 1


def test_without_a_variable_nothing_is_imported_and_no_socket_is_made(tmp_path: Path) -> None:
    code = """
import socket, sys, time
def refuse(*_): raise AssertionError("a socket")
socket.socket.connect = refuse
from synth_assets.definitions import defs
from synth_assets.assets.boundary import stage_boundary
from synth_assets.cli.app import run
import dagster as dg
defs().resolve_asset_graph()
with stage_boundary("clinic/raw"):
    pass
try:
    with stage_boundary("clinic/raw"):
        raise ValueError("x")
except dg.Failure:
    pass
assert run(["schema", "nothing.csv"]) != 0
print([m for m in sys.modules if m.startswith(("sentry_sdk", "opentelemetry"))])
"""
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("SYNTH_ASSETS_SENTRY", "SYNTH_ASSETS_OTLP"))
    }
    environment |= {"PYTHONPATH": os.pathsep.join([str(chain.ROOT), *sys.path]), "DAGSTER_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_make_installs_what_the_tests_of_the_hooks_need() -> None:
    installed = (chain.ROOT / "Makefile").read_text()
    assert "'.[sdv,sentry,otlp,dev]'" in installed
    pinned = (chain.ROOT / "constraints.txt").read_text()
    assert all(
        f"\n{name}==" in pinned
        for name in ("sentry-sdk", "opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-common")
    )
