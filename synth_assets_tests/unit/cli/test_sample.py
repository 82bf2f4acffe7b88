"""Conditions on the command line: `synthesize --where --balance`, and `sample` from a stored model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from synth_assets.config.dataset import ColumnConfig
from synth_assets.privacy.mechanisms import SystemNoise
from synth_assets.synthesis.marginals.options import MarginalOptions
from synth_assets.synthesis.protocol import ReleaseSpec, TableSpec
from synth_assets.synthesis.release import fit_release, measure_release, plan_release
from synth_assets.tables.engine import Engine
from synth_assets.tables.schema import ColumnKind, ColumnSchema, TableSchema
from synth_assets_tests.unit.cli.conftest import Command


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A stored model of a small table."""
    import pyarrow.parquet as pq

    rng = np.random.default_rng(5)
    data = tmp_path / "data"
    data.mkdir()
    rows = {"age": rng.integers(18, 80, 900), "ill": np.where(rng.random(900) < 0.2, "yes", "no").tolist()}
    pq.write_table(pa.table(rows), data / "part-00000.parquet")
    schema = TableSchema(
        name="ward",
        columns=(
            ColumnSchema(name="age", kind=ColumnKind.NUMBER, dtype="int64"),
            ColumnSchema(name="ill", kind=ColumnKind.CATEGORY, dtype="string"),
        ),
        row_count=900,
    )
    configs = {"age": ColumnConfig(lower=18, upper=80), "ill": ColumnConfig(categories=("yes", "no"))}
    table = TableSpec(table=schema, path=data, columns=schema.names, configs=configs, unit_column=None)
    options = MarginalOptions(components=60, stage_steps=10, warm_steps=10, final_steps=30, stages=2, target_rows=2000)
    plan = plan_release(ReleaseSpec(tables=(table,), target=("ward", "ill")), epsilon=5, delta=1e-6, options=options)
    measured = measure_release(plan, engine=Engine(threads=1), noise=SystemNoise(), gate=lambda: None, device="cpu")
    fit_release(measured, seed=1, device="cpu").save(tmp_path / "model")
    return tmp_path / "model"


def test_sample_says_what_it_made_and_how_likely_it_was(cli: Command, model: Path, tmp_path: Path) -> None:
    told = cli("sample", model, "-o", "a.csv", "--where", "age=40..60", "--rows", "50", "--json").json
    assert told["rows"] == {"ward": 50}
    assert told["epsilon_spent"] == told["real_rows"] == 0
    assert told["classes"][""] == pytest.approx(21 / 62, abs=0.1)
    assert pd.read_csv(tmp_path / "a.csv")["age"].between(40, 60).all()
    shown = cli("sample", model, "-o", "b", "--balance", "ill=yes:0.75,no:0.25", "--rows", "40")
    assert "nothing was spent" in shown.out
    assert pd.read_parquet(tmp_path / "b" / "ward.parquet")["ill"].value_counts().to_dict() == {"yes": 30, "no": 10}


def test_an_augmented_file_is_said_to_be_personal_data(cli: Command, model: Path, tmp_path: Path) -> None:
    (tmp_path / "real.csv").write_text("age,ill\n" + "30,yes\n" * 5 + "50,no\n" * 25)
    shown = cli("sample", model, "-o", "more.csv", "--balance", "ill", "--augment", "real.csv")
    assert shown.code == 0, shown.err
    assert "30 rows are real" in shown.out
    assert "personal data" in shown.out
    assert pd.read_csv(tmp_path / "more.csv")["is_synthetic"].tolist() == [False] * 30 + [True] * 20


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--where", "age"), "COLUMN=VALUE"),
        (("--where", "age=500"), "public domain"),
        (("--where", "height=1"), "not modelled"),
        (("--balance", "age"), "no classes"),
        (("--top-up",), "needs the column"),
    ],
)
def test_a_wrong_condition_is_exit_2_and_nothing_is_written(
    cli: Command, model: Path, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    answer = cli("sample", model, "-o", "a.csv", *arguments)
    assert answer.code == 2
    assert words in answer.err
    assert not (tmp_path / "a.csv").exists()


def test_synthesize_makes_conditions_from_the_same_measurement(cli: Command, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    lines = [
        f"{a},{'yes' if s < 0.3 else 'no'}" for a, s in zip(rng.integers(18, 80, 300), rng.random(300), strict=True)
    ]
    (tmp_path / "ward.csv").write_text("age,ill\n" + "\n".join(lines) + "\n")
    (tmp_path / "domain.yaml").write_text(
        "target: ill\ncolumns:\n  age: {kind: num, lower: 18, upper: 80}\n  ill: {kind: cat, categories: ['yes', 'no']}\n"
    )
    given = ("synthesize", "ward.csv", "--domain", "domain.yaml", "--rows", "60", "--json")
    assert cli(*given, "-o", "wrong.csv", "--where", "height=1").code == 2
    assert cli(*given, "-o", "copula.csv", "--balance", "ill", "--synthesizer", "gaussian_copula").code == 2
    first = cli(*given, "-o", "a.csv", "--balance", "ill").json
    second = cli(*given, "-o", "b.csv", "--where", "age=..30", "--where", "ill=yes").json
    assert first["epsilon_spent"] > 0
    assert second["epsilon_spent"] == 0
    assert pd.read_csv(tmp_path / "a.csv")["ill"].value_counts().to_dict() == {"yes": 30, "no": 30}
    assert pd.read_csv(tmp_path / "b.csv")["age"].max() <= 30


def test_verify_computes_every_release_again_and_names_a_claim_that_its_events_do_not_bear_out(
    cli: Command, tmp_path: Path
) -> None:
    (tmp_path / "ward.csv").write_text("age\n" + "\n".join(str(18 + i % 60) for i in range(200)) + "\n")
    (tmp_path / "domain.yaml").write_text("columns:\n  age: {kind: num, lower: 18, upper: 80}\n")
    assert cli("synthesize", "ward.csv", "--domain", "domain.yaml", "-o", "a.csv").code == 0
    told = cli("budget", "--verify", "--json")
    assert told.code == 0
    (release,) = told.json["releases"]
    assert release["agrees"]
    assert release["claimed"] == pytest.approx(release["epsilon"])
    assert release["second_lower"] <= release["epsilon"] <= release["second_upper"]
    assert "agrees" in cli("budget", "--verify").out
    (report,) = (tmp_path / ".synth_assets" / "var" / "release").glob("*/*/*/privacy.json")
    honest = json.loads(report.read_text())
    report.chmod(0o600)
    report.write_text(json.dumps({**honest, "spent": {**honest["spent"], "epsilon": 0.5}}))
    caught = cli("budget", "--verify")
    assert caught.code == 3
    assert "claims epsilon 0.5" in caught.err
    report.write_text("{}")
    caught = cli("budget", "--verify")
    assert caught.code == 3
    assert "privacy report is not what" in caught.err
