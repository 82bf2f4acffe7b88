"""What stands in deploy/audit: the image has what the function needs, the template is sound, the events are answered."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from synth_assets.api import handler
from synth_assets_tests.chain import ROOT
from synth_assets_tests.unit.api.test_handler import Context

FOLDER = ROOT / "deploy" / "audit"
STORES = {"boto3"}  # reads s3://; the project has it by way of dagster-aws


class _Template(yaml.SafeLoader):
    """YAML with the short forms of CloudFormation (`!Ref`), as (tag, value)."""


_Template.add_multi_constructor("!", lambda loader, tag, node: (tag, getattr(loader, f"construct_{node.id}")(node)))


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    found: dict[str, Any] = yaml.load((FOLDER / "template.yaml").read_text(), Loader=_Template)  # noqa: S506  a SafeLoader
    return found


def required() -> list[Requirement]:
    lines = (FOLDER / "requirements.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def image() -> set[str]:
    """Distributions that the image has: the requirements and all that they pull in."""
    found: set[str] = set()
    waiting = [(r.name, r.extras) for r in required()]
    while waiting:
        name, extras = waiting.pop()
        if canonicalize_name(name) in found and not extras:
            continue
        found.add(canonicalize_name(name))
        for line in requires(name) or ():
            need = Requirement(line)
            if need.marker is None or any(need.marker.evaluate({"extra": e}) for e in (*extras, "")):
                waiting.append((need.name, need.extras))
    return found


def test_the_image_gets_what_the_project_names_and_the_lock_pins() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    named = {canonicalize_name(Requirement(line).name) for line in project}
    assert {canonicalize_name(r.name) for r in required()} - STORES <= named
    pinned = {
        canonicalize_name(m) for m in re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    }
    assert image() <= pinned
    assert not image() & {"dagster", "torch", "sdv", "opacus", "great-expectations", "typer"}


IN_THE_IMAGE = """
import importlib.abc, json, sys
blocked = set(json.loads(sys.argv[1]))
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
from synth_assets.api.handler import main
sys.exit(main())
"""


@pytest.mark.slow
def test_the_function_needs_nothing_that_the_image_does_not_have(served: str, tables: Path, tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.read_csv(tables / "synthetic.csv")
    frame.to_excel(tables / "synthetic.xlsx", index=False)
    kept = image() | {"synth-assets"}
    blocked = sorted(
        module
        for module, homes in packages_distributions().items()
        if not {canonicalize_name(home) for home in homes} & kept and module not in sys.stdlib_module_names
    )
    assert {"dagster", "torch", "matplotlib"} <= set(blocked)
    settings = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HOME": str(tmp_path)}
    whole = {
        "synthetic_data_url": f"{served}/synthetic.csv", "real_data_url": f"{served}/real.csv",
        "holdout_data_url": f"{served}/holdout.csv", "target": "ill", "protected_attributes": ["sex"],
    }  # fmt: skip
    for event in (whole, {"synthetic_data_url": f"{served}/synthetic.xlsx"}):
        done = subprocess.run(
            [sys.executable, "-c", IN_THE_IMAGE, json.dumps(blocked)], input=json.dumps(event), capture_output=True, text=True,
            check=False, env={**settings, "SYNTH_ASSETS_PRIVATE_HOSTS": "127.0.0.1"}, cwd=tmp_path, timeout=240,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert (json.loads(done.stdout)["module_scores"]["privacy"] is not None) is (event is whole)


def test_the_template_has_no_open_door(template: dict[str, Any]) -> None:
    function = template["Resources"]["AuditFunction"]["Properties"]
    assert function["FunctionUrlConfig"] == {"AuthType": "AWS_IAM"}
    assert function["PackageType"] == "Image"
    assert "*" not in json.dumps(function["Policies"])
    assert function["Policies"][1][1] == [{"S3ReadPolicy": {"BucketName": ("Ref", "DataBucket")}}]
    assert template["Parameters"]["DataBucket"]["Default"] == ""
    assert 30 < function["Timeout"] <= 900
    assert function["MemorySize"] >= 2_048
    assert template["Resources"]["AuditLogs"]["Properties"]["RetentionInDays"] == 30


def test_the_template_builds_the_image_that_calls_the_handler(template: dict[str, Any]) -> None:
    build = template["Resources"]["AuditFunction"]["Metadata"]
    context = (FOLDER / build["DockerContext"]).resolve()
    assert context == ROOT
    dockerfile = (context / build["Dockerfile"]).read_text()
    module, _, name = re.search(r'CMD \["([\w.]+)"\]', dockerfile)[1].rpartition(".")
    assert module == handler.__name__
    assert callable(getattr(handler, name))
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = {p for line in re.findall(r"^COPY (.+) \S+$", dockerfile, re.MULTILINE) for p in line.split()}
    assert "*" in ignored
    assert all(f"!{path}" in ignored and (ROOT / path).exists() for path in copied)


def test_every_setting_of_the_image_is_a_known_one(template: dict[str, Any]) -> None:
    known = (ROOT / ".env.example").read_text()
    named = set(template["Resources"]["AuditFunction"]["Properties"]["Environment"]["Variables"])
    named |= set(re.findall(r"SYNTH_ASSETS_\w+", (FOLDER / "Dockerfile").read_text()))
    assert named
    assert all(name in known for name in named)


@pytest.mark.parametrize("file", sorted(p.name for p in (FOLDER / "events").glob("*.json")))
def test_an_event_of_the_folder_is_answered_as_lambda_would_call(links: str, file: str) -> None:
    event = json.loads((FOLDER / "events" / file).read_text().replace("https://data.example.org", links))
    answer = handler.lambda_handler(event, Context())
    result = json.loads(answer["body"]) if "statusCode" in answer else answer
    assert set(result["module_scores"]) >= {"privacy", "fairness", "fidelity"}
    assert result["detailed_findings"]["privacy"]["risk_level"] in {"low", "medium", "high"}
    assert "made-up" not in json.dumps(answer)
