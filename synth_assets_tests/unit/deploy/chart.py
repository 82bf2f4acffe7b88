"""The Helm chart as helm renders it, and the compose file as YAML."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from synth_assets_tests.chain import ROOT

HELM = Path(sys.executable).with_name("helm")
CHART = ROOT / "deploy" / "helm"
COMPOSE = ROOT / "deploy" / "compose.yaml"
EXAMPLE = CHART / "example.yaml"
Document = dict[str, Any]


def helm(*arguments: str, values: Path | None = EXAMPLE) -> subprocess.CompletedProcess[str]:
    given = ["--values", str(values)] if values is not None else []
    return subprocess.run([str(HELM), *arguments, *given], capture_output=True, text=True, check=False, timeout=60)


def rendered(**changed: Any) -> list[Document]:
    """The manifests, with some values changed: `s3__logs="s3://x"` is `s3.logs`."""
    sets = [f"--set-json={name.replace('__', '.')}={json.dumps(value)}" for name, value in changed.items()]
    done = helm("template", "synth", str(CHART), "--namespace", "team", *sets)
    assert done.returncode == 0, done.stderr
    return [d for d in yaml.safe_load_all(done.stdout) if d]


def one(documents: list[Document], kind: str, name: str | None = None) -> Document:
    (found,) = [d for d in documents if d["kind"] == kind and name in {None, d["metadata"]["name"]}]
    return found


def pod(documents: list[Document]) -> Document:
    found: Document = one(documents, "StatefulSet")["spec"]["template"]["spec"]
    return found


def containers(documents: list[Document]) -> dict[str, Document]:
    return {c["name"]: c for c in pod(documents)["containers"]}


def variables(container: Document) -> dict[str, Any]:
    """Name -> value, or the Secret and key that it is taken from."""
    found: dict[str, Any] = {}
    for entry in container.get("env", ()):
        reference = entry.get("valueFrom", {}).get("secretKeyRef")
        assert entry["name"] not in found, entry["name"]
        found[entry["name"]] = entry["value"] if reference is None else (reference["name"], reference["key"])
    return found


def services() -> dict[str, Document]:
    found: dict[str, Document] = yaml.safe_load(COMPOSE.read_text())["services"]
    return found


def known() -> set[str]:
    """Every variable of .env.example."""
    return set(re.findall(r"^#?(SYNTH_ASSETS_\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))


def texts(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from texts(key)
            yield from texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from texts(value)
    else:
        yield str(node)
