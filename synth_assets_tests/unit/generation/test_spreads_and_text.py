"""Distributions with bounds, weighted choices, and sentences that agree with their row."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.config.generation import Spread
from synth_assets.errors import ConfigError
from synth_assets.generation import clinical, names, spreads, text
from synth_assets.generation.values import Coded


def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def draw(n: int = 20_000, **keys: object) -> np.ndarray:
    spread = Spread(**keys)

    def parameter(name: str) -> np.ndarray | None:
        value = getattr(spread, name)
        return None if value is None else np.full(n, float(value))

    return spreads.draw(spread, parameter, rng(), n, key="k")


@pytest.mark.parametrize(
    ("keys", "mean", "std"),
    [
        ({"distribution": "uniform", "minimum": 2, "maximum": 8}, 5, np.sqrt(3)),
        ({"distribution": "normal", "mean": 10, "std": 2}, 10, 2),
        (
            {"distribution": "lognormal", "median": 3, "sigma": 0.5},
            3 * np.exp(0.125),
            3 * np.exp(0.125) * np.sqrt(np.exp(0.25) - 1),
        ),
        ({"distribution": "exponential", "mean": 4}, 4, 4),
        ({"distribution": "poisson", "mean": 6}, 6, np.sqrt(6)),
        ({"distribution": "fixed", "value": 7}, 7, 0),
    ],
)
def test_mean_and_deviation_are_those_of_the_distribution(keys: dict[str, object], mean: float, std: float) -> None:
    values = draw(**keys)  # standard error of the mean is std / 141; seven of them
    assert values.mean() == pytest.approx(mean, abs=7 * max(std, 1e-9) / 141 + 1e-12)
    assert values.std() == pytest.approx(std, rel=0.08, abs=1e-12)


def test_zipf_follows_its_exponent() -> None:
    values = draw(distribution="zipf", exponent=2, maximum=3)
    shares = [np.mean(values == k) for k in (1, 2, 3)]
    total = 1 + 1 / 4 + 1 / 9
    assert shares == pytest.approx([1 / total, 1 / 4 / total, 1 / 9 / total], abs=0.02)


@given(st.floats(-50, 50), st.floats(0, 10))
def test_bounds_hold_even_far_from_the_mean(low: float, width: float) -> None:
    values = draw(200, distribution="normal", mean=0, std=1, minimum=low, maximum=low + width)
    assert (values >= low).all()
    assert (values <= low + width).all()


@pytest.mark.parametrize(
    "keys",
    [
        {"distribution": "normal", "mean": 0, "std": -1},
        {"distribution": "lognormal", "median": 0, "sigma": 1},
        {"distribution": "exponential", "mean": 0},
        {"distribution": "poisson", "mean": -1},
        {"distribution": "poisson", "mean": 1e9},
        {"distribution": "normal", "mean": 0, "std": 1, "minimum": "3", "maximum": "2"},
    ],
)
def test_a_parameter_out_of_range_names_the_key(keys: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as error:
        draw(5, **keys)
    assert error.value.key == "k"


def test_a_weight_of_zero_is_never_drawn() -> None:
    assert set(spreads.weighted(rng(), 1000, np.array([0, 1, 0, 3, 0]))) == {1, 3}
    rows = np.tile([[0.0, 2.0, 0.0], [1.0, 0.0, 0.0]], (500, 1))
    assert spreads.weighted_rows(rng(), rows).tolist() == [1, 0] * 500


def test_a_sentence_names_its_own_row() -> None:
    templates = [
        text.parse_template("{who} owes {2..4} to {who}."),
        text.parse_template("Nothing from {who}", weight=2),
    ]
    who = pa.array([f"n{i}" for i in range(400)])
    made = text.render(rng(), 400, templates, {"who": who}).to_pylist()
    for i, sentence in enumerate(made):
        assert re.fullmatch(rf"n{i} owes [234] to n{i}\.|Nothing from n{i}", sentence)
    assert 80 < sum("owes" in s for s in made) < 190  # a third, 133 expected


def test_a_sentence_is_used_only_where_its_slots_and_condition_allow() -> None:
    templates = [
        text.parse_template("call {phone}"),
        text.parse_template("stay", condition="long"),
        text.parse_template("plain"),
    ]
    phones = pa.array([None, "1"] * 100)
    long = np.arange(200) % 4 == 1
    made = text.render(rng(), 200, templates, {"phone": phones}, lambda _: long).to_pylist()
    assert not any(m.startswith("call") for m in made[::2])
    assert all(long[i] for i, m in enumerate(made) if m == "stay")
    assert {"call 1", "stay", "plain"} == set(made)


def test_where_no_sentence_fits_the_gap_is_named() -> None:
    made = text.render(rng(), 2, [text.parse_template("call {phone}")], {"phone": pa.array([None, "1"])})
    assert made.to_pylist() == ["call not recorded", "call 1"]


@pytest.mark.parametrize("broken", ["{a", "a}", "{}", "{9..3}", "{@nowhere}", "{a}{"])
def test_a_broken_sentence_is_refused(broken: str) -> None:
    with pytest.raises(ValueError, match=r"slot|alone|domains"):
        text.parse_template(broken)


def test_diagnoses_fit_age_sex_and_kind() -> None:
    n = 6000
    age, sex = np.arange(n) % 100, np.arange(n) % 2
    kind = Coded(np.arange(n) % 3, clinical.KINDS)
    drawn = clinical.draw_diagnoses(rng(), n, age=age, sex=sex, kind=kind)
    rows = [clinical.lists.diagnoses()[c] for c in drawn.codes]
    assert all(d.min_age <= a <= d.max_age for d, a in zip(rows, age, strict=True))
    assert all(d.sex in {"", "FM"[s]} for d, s in zip(rows, sex, strict=True))
    adults = age >= 18
    assert all(d.kind == clinical.KINDS[i % 3] for i, d in enumerate(rows) if adults[i])
    assert len({d.code for d in rows}) > 250


def test_sexes_are_read_from_words_letters_and_digits() -> None:
    words = pa.array(["F", "male", " Woman ", "2", "x", None, "M"])
    assert names.sex_codes(words).tolist() == [0, 1, 0, 0, 2, 2, 1]
    assert names.sex_codes(np.array([1, 2, 3])).tolist() == [1, 0, 2]
