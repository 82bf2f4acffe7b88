"""The command line run in this process, in a folder of its own, and a small table about made-up people."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synth_assets.cli.app import run

ROWS = 240
FIRST = ("Ada", "Ben", "Cleo", "Dora", "Emil", "Fay", "Gus", "Hana", "Ivo", "Jana")
LAST = ("Abel", "Brandt", "Castle", "Dorn", "Ernst", "Fuller", "Graf", "Holm", "Iversen", "Jansen")


@dataclass(frozen=True)
class Answer:
    """What one command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON value of stdout."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        """The error of `--json`."""
        return self.json["error"]


Command = Callable[..., Answer]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `synth-assets` with these arguments in an empty folder; the same folder for all commands of one test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SYNTH_ASSETS_MASTER_KEY", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))

    def call(*arguments: str | Path) -> Answer:
        capsys.readouterr()
        code = run([str(a) for a in arguments])
        monkeypatch.chdir(tmp_path)  # a run stands in its home folder
        caught = capsys.readouterr()
        return Answer(code, caught.out, caught.err)

    return call


def people_text(rows: int = ROWS, seed: int = 3) -> str:
    """CSV of people with names, e-mail addresses, SSNs, ages, and an outcome that depends on the age."""
    rng = np.random.default_rng(seed)
    ages = rng.integers(18, 90, rows)
    outcome = rng.random(rows) < ages / 110
    lines = ["person_id,first_name,last_name,email,ssn,age,sex,readmitted"]
    for i in range(rows):
        first, last = FIRST[rng.integers(10)], LAST[rng.integers(10)]
        ssn = f"{100 + i % 600:03d}-{10 + i % 89:02d}-{1000 + i:04d}"
        cells = (
            1000 + i,
            first,
            last,
            f"{first}.{last}.{i}@mail{i % 7}.org".lower(),
            ssn,
            ages[i],
            "FM"[rng.integers(2)],
        )
        lines.append(",".join(map(str, (*cells, "yes" if outcome[i] else "no"))))
    return "\n".join(lines) + "\n"


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """The table as `people.csv`."""
    path = tmp_path / "people.csv"
    path.write_text(people_text())
    return path
