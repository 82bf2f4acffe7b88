"""`recommend`: which synthesizers fit before any is trained, by public facts alone, with reasons."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from synth_assets.api.recommending import recommend
from synth_assets.errors import ConfigError, InputError
from synth_assets.synthesis.advice import ON_ADULT, PLAIN, PRIVATE, Advice, Facts, advise
from synth_assets_tests.unit.cli.conftest import Command
from synth_assets_tests.unit.cli.test_privacy import YAML

ONE = {"people": ()}


def write(folder: Path, **changes: Any) -> Path:
    file = folder / "people.yaml"
    file.write_text(yaml.safe_dump({**YAML, **changes}))
    return file


def advice(name: str, noise: float | None = 0.05, **facts: Any) -> Advice:
    known = {"dataset": "people", "parents": ONE, "numbers": 5, "categories": 5, "units": 50_000, "budget_left": 10.0,
             "asked": {"dp_marginals": 1.0}} | facts  # fmt: skip
    at = (lambda _: None) if noise is None else (lambda epsilon: noise / epsilon)
    return next(a for a in advise(Facts.model_validate(known), at).advice if a.synthesizer == name)


def test_every_synthesizer_of_the_configuration_gets_advice_with_reasons(tmp_path: Path) -> None:
    told = recommend(write(tmp_path), home=tmp_path, units=50_000)
    assert {a.synthesizer for a in told.advice} == {*PRIVATE, *PLAIN}
    assert all(a.reasons and all(r.endswith(".") for r in a.reasons) for a in told.advice)
    assert told.recommended == told.advice[0].synthesizer == "dp_marginals"
    assert (told.facts.numbers, told.facts.categories, told.facts.units_from) == (1, 2, "option")


def test_more_people_mean_less_noise(tmp_path: Path) -> None:
    def noise(units: int) -> str:
        told = recommend(write(tmp_path), home=tmp_path, units=units)
        return next(r for r in told.advice[0].reasons if "By noise alone" in r)

    assert float(noise(200).split(" is ")[1].split()[0]) > float(noise(200_000).split(" is ")[1].split()[0])


def test_nothing_is_read_and_a_source_that_is_not_there_does_not_matter(tmp_path: Path) -> None:
    assert not (tmp_path / "people.csv").exists()
    recommend(write(tmp_path), home=tmp_path, units=1000)
    assert [p.name for p in tmp_path.iterdir()] == ["people.yaml"]


@pytest.mark.parametrize(
    ("changes", "units", "source"),
    [({"unit_count": 777}, 777, "configuration"), ({}, None, "unknown")],
)
def test_the_number_of_units_says_where_it_comes_from(tmp_path: Path, changes, units, source) -> None:
    facts = recommend(write(tmp_path, **changes), home=tmp_path).facts
    assert (facts.units, facts.units_from) == (units, source)


def test_mostly_noise_is_no_recommendation() -> None:
    found = advice("dp_marginals", noise=0.5)
    assert found.fit == "possible"
    assert any("mostly noise" in r for r in found.reasons)
    assert any("Epsilon 5 would bring it below 0.1" in r for r in found.reasons)  # told, never chosen
    assert found.settings == {"epsilon": 1.0}


def test_what_the_budget_does_not_allow_is_not_recommended() -> None:
    found = advice("dp_marginals", budget_left=0.7)
    assert found.settings == {"epsilon": 0.5}
    assert any("at most epsilon 0.5" in r for r in found.reasons)
    assert advice("dp_marginals", budget_left=0.1).fit == "unsuitable"


def test_without_a_number_of_units_the_advice_asks_for_it() -> None:
    assert any("--units" in r for r in advice("dp_marginals", noise=None, units=None).reasons)


@pytest.mark.parametrize(
    ("name", "facts", "word"),
    [
        ("dp_tvae", {"units": 900}, "outweighs"),
        ("dp_ctgan", {"parents": {"a": (), "b": ("a",)}}, "models one table"),
        ("ctgan", {"units": 300}, "repeats rows"),
        ("tvae", {"parents": {"a": (), "b": ("a",)}}, "models one table"),
        ("hma", {}, "no table here refers"),
        ("par", {}, "sequence_order"),
    ],
)
def test_what_does_not_fit_says_why(name, facts, word) -> None:
    found = advice(name, **facts)
    assert found.fit == "unsuitable"
    assert any(word in r for r in found.reasons)


def test_without_a_guarantee_the_advice_says_so() -> None:
    for name in ("gaussian_copula", "tvae", "ctgan", "copulagan"):
        assert "no formal guarantee" in advice(name).reasons[0]
        assert not advice(name).private


def test_the_figures_on_adult_are_those_of_the_results() -> None:
    results = (Path(__file__).resolve().parents[3] / "docs" / "results.md").read_text()
    assert all(name in results for name in ON_ADULT)
    assert "| dp_marginals | 0.0203 | 0.907 |" in results
    assert "| gaussian_copula | | 0.243 | 0.798 |" in results


def test_the_command_prints_reasons_and_json(tmp_path: Path, cli: Command) -> None:
    file = write(tmp_path)
    done = cli("recommend", str(file), "--units", "5000", "--home", str(tmp_path))
    assert done.code == 0
    assert "dp_marginals: recommended (epsilon 1)" in done.out
    told = json.loads(cli("recommend", str(file), "--units", "5000", "--home", str(tmp_path), "--json").out)
    assert set(told) == {"facts", "recommended", "advice"}


def test_bad_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least 1"):
        recommend(write(tmp_path), home=tmp_path, units=0)
    with pytest.raises(ConfigError):
        recommend(write(tmp_path, budget={"epsilon": -1}), home=tmp_path)
