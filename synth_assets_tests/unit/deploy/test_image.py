"""What deploy/Dockerfile puts together: the files are let through, and the instance takes who asked from the proxy."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import dagster as dg
import pytest
import yaml

from synth_assets.instance_runs import AttributingCoordinator
from synth_assets_tests.chain import ROOT
from synth_assets_tests.nginx import RULES

DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()


def copied() -> dict[str, str]:
    """Source -> folder in the image."""
    lines = [line.split() for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE)]
    return {source: target for *sources, target in lines for source in sources}


def test_all_that_the_image_copies_is_there_and_let_through() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert {"deploy/dagster.yaml", "deploy/workspace.yaml", "configs", "synth_assets"} <= set(copied())
    for source in copied():
        assert (ROOT / source).exists(), source
        assert f"!{source}" in ignored, source
    assert not {line for line in ignored if re.match(r"!(\.env|deploy$|deploy/(keys|tls|\.env)|var)", line)}


def test_the_image_runs_as_nobody_in_particular() -> None:
    assert "--uid 10001" in DOCKERFILE
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE) == ["10001"]


def test_the_instance_of_the_image_is_that_of_the_repository_with_who_asked_from_the_proxy() -> None:
    ours = yaml.safe_load((ROOT / "deploy" / "dagster.yaml").read_text())
    coordinator = ours.pop("run_coordinator")
    assert ours == yaml.safe_load((ROOT / "dagster.yaml").read_text())
    for header in coordinator["config"].values():
        assert f"proxy_set_header {header} " in RULES.read_text()


def test_the_instance_of_the_image_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "deploy" / "dagster.yaml", tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.get() as instance:
        assert isinstance(instance.run_coordinator, AttributingCoordinator)
        queue = instance.get_concurrency_config()
        assert queue.pool_config.default_pool_limit == 1
