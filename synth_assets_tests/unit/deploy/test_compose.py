"""The compose file: locked down, each service with what it needs, each variable a known one, each file in its place."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from synth_assets_tests.chain import ROOT
from synth_assets_tests.unit.deploy.chart import COMPOSE, known, services

DEPLOY = ROOT / "deploy"
OURS = {"code", "watch", "daemon", "operators", "viewers"}
PAGE = (ROOT / "docs" / "howto" / "deployment.md").read_text()


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return services()


def test_nothing_but_the_proxy_listens_outside(found: dict[str, Any]) -> None:
    assert {n for n, s in found.items() if s.get("ports")} == {"proxy"}
    assert {n for n, s in found.items() if s["networks"] != ["inside"]} == {"proxy", "sign-on"}
    assert yaml.safe_load(COMPOSE.read_text())["networks"]["inside"] == {"internal": True}


def test_our_containers_and_the_front_may_nothing(found: dict[str, Any]) -> None:
    for name in (*OURS, "proxy", "sign-on"):
        service = found[name]
        assert (service["user"], service["read_only"], service["cap_drop"]) == ("10001", True, ["ALL"]), name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_keys_and_artifacts_are_where_data_is_handled_and_nowhere_else(found: dict[str, Any]) -> None:
    def has(service: dict[str, Any], word: str) -> bool:
        return word in str(service.get("environment")) + str(service.get("volumes"))

    assert {n for n, s in found.items() if has(s, "/run/keys")} == {"code", "watch"}
    assert {n for n, s in found.items() if has(s, "SYNTH_ASSETS_S3_RESTRICTED")} == {"code", "watch"}
    assert {n for n, s in found.items() if "shm_size" in s} == {"code", "watch"}
    assert {n for n, s in found.items() if has(s, "SYNTH_ASSETS_POSTGRES_URL")} == OURS


def test_the_viewers_webserver_alone_is_read_only(found: dict[str, Any]) -> None:
    assert {n for n, s in found.items() if "--read-only" in (s.get("command") or ())} == {"viewers"}


def test_every_service_of_ours_is_probed_and_logs_json(found: dict[str, Any]) -> None:
    assert {n for n, s in found.items() if "healthcheck" in s} >= {*OURS, "proxy", "postgres"}
    for name in OURS - {"watch"}:
        assert " ".join(found[name]["command"]).endswith("--log-format json"), name


def test_every_variable_is_a_known_one(found: dict[str, Any]) -> None:
    named = {v for s in found.values() for v in s.get("environment", {}) if v.startswith("SYNTH_ASSETS_")}
    assert len(named) >= 8
    assert named <= known()


def test_every_file_is_there_or_is_named_by_the_page(found: dict[str, Any]) -> None:
    mounted = {v.split(":")[0] for s in found.values() for v in s.get("volumes", ()) if v.startswith("./")}
    assert mounted == {"./helm/proxy/nginx.conf", "./places.conf", "./keys", "./tls"}
    for path in mounted - {"./keys", "./tls"}:
        assert (DEPLOY / path).is_file()
    for file in ("keys/master.key", "keys/ledger.key", "tls/tls.crt", "tls/tls.key"):
        assert file in PAGE


def test_no_secret_that_lies_there_can_get_into_git() -> None:
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {"/deploy/.env", "/deploy/keys/", "/deploy/tls/"} <= set(ignored)


def test_every_variable_that_is_asked_for_is_on_the_page() -> None:
    asked = set(re.findall(r"\$\{(\w+):\?", COMPOSE.read_text()))
    assert asked == set(re.findall(r"\$\{(\w+)", COMPOSE.read_text()))
    assert asked == set(
        re.findall(r"^(\w+)=", PAGE.partition("cat > .env <<")[2].partition("\nEOF\n")[0], re.MULTILINE)
    )
