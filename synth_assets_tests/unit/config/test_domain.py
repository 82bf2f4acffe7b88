"""Domain files in both forms, and errors that name file, line and key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from synth_assets.config.domain import domain_from_schema_json, load_domain
from synth_assets.errors import ConfigError


def _write(folder: Path, text: str, name: str = "domain.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_the_json_form_gives_columns_and_target(tmp_path: Path) -> None:
    form = {
        "target": "c",
        "columns": {"c": {"kind": "cat", "categories": ["?", "1"]}, "n": {"kind": "num", "lower": 0, "upper": 2.5}},
    }
    path = _write(tmp_path, json.dumps(form, indent=1), "schema.json")
    domain = load_domain(path)
    assert (domain.target, domain.columns["c"].kind, domain.columns["c"].categories) == ("c", "category", ("?", "1"))
    assert (domain.columns["n"].kind, domain.columns["n"].lower, domain.columns["n"].upper) == ("number", 0, 2.5)
    assert domain_from_schema_json(path) == domain.columns


def test_the_yaml_form_is_that_of_a_dataset(tmp_path: Path) -> None:
    text = "columns:\n  sex: {kind: category, categories: [1, 2]}\n  born: {kind: date, lower: '1900-01-01', upper: '2030-01-01'}\n"
    domain = load_domain(_write(tmp_path, text))
    assert (domain.target, domain.columns["sex"].categories, domain.columns["born"].upper) == (
        None,
        ("1", "2"),
        "2030-01-01",
    )


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("columns: {a: {kind: num, lower: 3, upper: 1}}", None, "`lower` of column 'a' is not below"),
        ("columns: {a: {kind: cat, categories: [1, '1']}}", None, "categories of column 'a'"),
        ("columns: {a: {kind: cat, categories: []}}", None, "categories of column 'a'"),
        ("columns: {a: {knd: num}}", "columns.a.knd", "not known"),
        ("columns: {a: {kind: numeric}}", "columns.a.kind", "should be"),
        ("target: b\ncolumns: {a: {kind: num}}", None, "`target` is not one of the columns"),
        ("a: 1", "columns", "missing"),
        ("columns: {}", "columns", "at least 1"),
        ("[1, 2]", None, "no mapping"),
        ("{", None, "not valid YAML"),
    ],
)
def test_a_file_that_is_no_domain_is_refused(tmp_path: Path, text: str, key: str | None, message: str) -> None:
    path = _write(tmp_path, text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_domain(path)
    assert (caught.value.file, caught.value.key) == (str(path), key)


def test_a_missing_domain_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="domain file does not exist"):
        load_domain(tmp_path / "gone.json")


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "target", "columns"),
    [("adult", "income", 15), ("credit_default", "default payment", 24), ("nist_demo", "OWN_RENT", 10)],
)
def test_the_public_domains_load(shared_data: Path, name: str, target: str, columns: int) -> None:
    domain = load_domain(shared_data / name / "schema.json")
    assert (domain.target, len(domain.columns)) == (target, columns)
