"""Deliveries name variables and places, never a URL with a password; what they need is looked at before a run."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from synth_assets.config.dataset import DatasetConfig
from synth_assets.errors import ConfigError
from synth_assets.exports.variables import check_variables

BASE: dict[str, Any] = {"name": "clinic", "source": {"path": "a.csv"}, "primary_key": "id"}


def dataset(**more: Any) -> DatasetConfig:
    return DatasetConfig.model_validate(BASE | more)


@pytest.mark.parametrize(
    ("delivery", "message"),
    [
        ({"database": "postgresql://u:hunter2@h/d"}, "is the NAME of an environment variable"),
        ({}, "exactly one of `database` and `s3`"),
        ({"database": "X", "s3": "s3://b/p"}, "exactly one of `database` and `s3`"),
        ({"database": "X", "format": "csv"}, "need `s3`"),
        ({"database": "X", "profile": "p"}, "need `s3`"),
        ({"s3": "s3://b/p", "replace": True}, "need `database`"),
        ({"s3": "s3://b/p", "schema_name": "x"}, "need `database`"),
        ({"s3": "https://b/p"}, "s3://bucket/prefix"),
        ({"s3": "s3://key:hunter2@b/p"}, "s3://bucket/prefix"),
        ({"database": "X", "synthesizer": "ctgan"}, "is not one of the dataset's synthesizers"),
    ],
)
def test_what_does_not_go_together_is_refused(delivery: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message) as raised:
        dataset(deliveries={"warehouse": delivery})
    assert "hunter2" not in str(raised.value)


def test_a_name_that_is_no_asset_name_is_refused() -> None:
    with pytest.raises(ValidationError, match="lower-case letters"):
        dataset(deliveries={"Ware House": {"database": "X"}})


def test_a_variable_that_is_not_set_is_named_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataset(deliveries={"warehouse": {"database": "WAREHOUSE_URL"}})
    with pytest.raises(ConfigError, match="environment variable WAREHOUSE_URL is not set"):
        check_variables(config)
    check_variables(config, ["raw", "export"])  # a run without that stage does not need it
    monkeypatch.setenv("WAREHOUSE_URL", "postgresql://u:hunter2@db.example.org/d")
    with pytest.raises(ConfigError, match=r"WAREHOUSE_URL leads to another machine") as raised:
        check_variables(config)
    assert "hunter2" not in str(raised.value)
    monkeypatch.setenv("WAREHOUSE_URL", "postgresql://u:hunter2@db.example.org/d?sslmode=require")
    check_variables(config)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://u:${CLINIC_PASSWORD}@localhost/d", "CLINIC_PASSWORD is not set"),
        ("postgresql://u@db.example.org/d", "the URL of the source leads to another machine"),
        ("oracle://u@localhost/d", "only SQLite and PostgreSQL"),
    ],
)
def test_a_source_that_cannot_be_reached_is_told_before_the_run(url: str, message: str) -> None:
    config = dataset(source={"url": url, "table": "t"})
    with pytest.raises(ConfigError, match=message):
        check_variables(config)
    check_variables(config, ["audit"])


def test_a_malformed_endpoint_is_told_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTH_ASSETS_S3_ENDPOINT", "minio")
    with pytest.raises(ConfigError, match="SYNTH_ASSETS_S3_ENDPOINT"):
        check_variables(dataset(deliveries={"partner": {"s3": "s3://b/p"}}))
