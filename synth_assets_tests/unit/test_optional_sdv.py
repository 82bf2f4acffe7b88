"""Without SDV its assets are absent, and one line says why; a dataset that names nothing else is a clear error."""

import importlib.util
import logging

import pytest

from synth_assets.assets.chain import build_dataset
from synth_assets.config.load import load_dataset
from synth_assets.config.runtime import LoadedDataset
from synth_assets.errors import ConfigError

SHORT = "name: people\nsource: {path: people.csv}\n"


@pytest.fixture
def no_sdv(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "sdv" else real(name, *rest))


def dataset(tmp_path, text=SHORT):
    file = tmp_path / "people.yaml"
    file.write_text(text)
    return LoadedDataset(load_dataset(file), file)


def names(assets):
    return {key.path[-1] for asset in assets for key in asset.keys}


def test_its_assets_are_absent_and_one_line_says_why(tmp_path, no_sdv, caplog):
    logging.getLogger("dagster").addHandler(caplog.handler)
    try:
        found = names(build_dataset(dataset(tmp_path)))
    finally:
        logging.getLogger("dagster").removeHandler(caplog.handler)
    assert "model_dp_marginals" in found
    assert not any("gaussian_copula" in name for name in found)
    assert [r.message for r in caplog.records if "SDV is not installed" in r.message]


def test_a_dataset_with_nothing_else_is_an_error(tmp_path, no_sdv):
    with pytest.raises(ConfigError, match="SDV is not installed"):
        build_dataset(dataset(tmp_path, SHORT + "synthesizers: [{name: gaussian_copula}]\n"))


def test_with_sdv_both_are_there(tmp_path):
    if importlib.util.find_spec("sdv") is None:
        pytest.skip("the optional package SDV is not installed")
    assert {"model_dp_marginals", "model_gaussian_copula"} <= names(build_dataset(dataset(tmp_path)))
