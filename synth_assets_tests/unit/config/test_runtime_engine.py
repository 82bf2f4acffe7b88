"""Which engine an installation has, from the environment, and what is refused before a step has read anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from synth_assets.config import runtime
from synth_assets.config.dataset import DatasetConfig
from synth_assets.config.runtime import LoadedDataset, Settings, check_engine
from synth_assets.errors import ConfigError


@pytest.fixture
def on_spark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    monkeypatch.setenv("SYNTH_ASSETS_ENGINE", "spark")
    monkeypatch.setenv("SYNTH_ASSETS_SPARK_MASTER", "spark://host:7077")
    monkeypatch.setenv("SYNTH_ASSETS_SPARK_CONF", "spark.a=x=1 y; spark.b = 2 ;")
    monkeypatch.setenv("SYNTH_ASSETS_WORK_FOLDER", str(tmp_path / "work"))
    return Settings.from_environment(tmp_path)


def dataset(**more: str) -> LoadedDataset:
    tables = {"t": {"source": {"path": "t.csv"}, "primary_key": "id"}}
    config = {"name": "d", "unit": "t.id", "budget": {"epsilon": 1, "delta": 1e-6}, "tables": tables, **more}
    return LoadedDataset(DatasetConfig.model_validate(config), Path("d.yaml"))


def test_entries_of_spark_may_hold_equals_signs_and_blanks(on_spark: Settings) -> None:
    assert on_spark.engine == "spark"
    assert on_spark.spark_master == "spark://host:7077"
    assert on_spark.spark_conf == (("spark.a", "x=1 y"), ("spark.b", "2"))


@pytest.mark.parametrize(
    ("name", "value"),
    [("SYNTH_ASSETS_ENGINE", "flink"), ("SYNTH_ASSETS_SPARK_MASTER", ""), ("SYNTH_ASSETS_SPARK_CONF", "a=b")],
)
def test_a_variable_that_says_nothing_is_an_error_that_names_it(
    on_spark: Settings, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=name):
        Settings.from_environment(on_spark.home)


@pytest.mark.parametrize(
    ("installed", "detector", "words"),
    [(False, "builtin", "not installed"), (True, "presidio", "built-in detector only"), (True, "builtin", None)],
)
def test_what_spark_cannot_do_is_refused_before_a_step_starts(
    on_spark: Settings, installed: bool, detector: str, words: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "find_spec", lambda _: object() if installed else None)
    if words is None:
        check_engine(on_spark, [dataset(text_detector=detector)])
        return
    with pytest.raises(ConfigError, match=words):
        check_engine(on_spark, [dataset(text_detector=detector)])


def test_a_cluster_without_a_folder_that_its_workers_see_is_refused_unless_nothing_is_encrypted(
    on_spark: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "find_spec", lambda _: object())
    monkeypatch.delenv("SYNTH_ASSETS_WORK_FOLDER")
    with pytest.raises(ConfigError, match="SYNTH_ASSETS_WORK_FOLDER"):
        check_engine(Settings.from_environment(on_spark.home), [dataset()])
    monkeypatch.setenv("SYNTH_ASSETS_ENCRYPTION", "off")
    check_engine(Settings.from_environment(on_spark.home), [dataset()])


def test_duckdb_is_never_refused(tmp_path: Path) -> None:
    check_engine(Settings(home=tmp_path), [dataset(text_detector="presidio")])
