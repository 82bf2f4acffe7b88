"""Structural zeros: declared combinations never come out, and everything else keeps its distribution."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pydantic import ValidationError

from synth_assets.config.dataset import ColumnConfig, TableConfig
from synth_assets.config.sampling import checked_asked
from synth_assets.errors import ConfigError, InputError
from synth_assets.privacy.mechanisms import SystemNoise
from synth_assets.synthesis.marginals.impossible import possible_rows, rules_of
from synth_assets.synthesis.marginals.options import MarginalOptions
from synth_assets.synthesis.marginals.sample import decode, sample_rows
from synth_assets.synthesis.protocol import ReleaseSpec, TableSpec
from synth_assets.synthesis.release import ReleaseModel, fit_release, load_release, measure_release, plan_release
from synth_assets.synthesis.scan import scan_model
from synth_assets.tables.engine import Engine
from synth_assets_tests.unit.synthesis.conftest import SpecMaker
from synth_assets_tests.unit.synthesis.test_conditional import distance, drawn, model, plain

Combination = Mapping[str, tuple[str | None, ...]]
RULES: tuple[Combination, ...] = (
    {"sex": ("F",), "age": ("20..45",)},  # cuts a cell
    {"ill": ("true",), "city": ("x", "y")},
    {"sex": (None,), "pay": ("..0.5",)},
)


def meets(frame: pd.DataFrame) -> np.ndarray:
    """The same combinations by hand."""
    first = (frame["sex"] == "F") & frame["age"].between(20, 45)
    second = (frame["ill"] == True) & frame["city"].isin(["x", "y"])  # noqa: E712  missing is neither
    return np.asarray(first | second | (frame["sex"].isna() & (frame["pay"] <= 0.5)))


def test_rows_are_those_of_the_model_that_have_no_impossible_combination() -> None:
    made, rng = model(), np.random.default_rng(3)
    columns = [c.name for c in made.columns]

    def spell(bins: dict[str, np.ndarray]) -> pa.Table:
        return decode(made, bins, rng, only=columns)

    bins = sample_rows(made, 20_000, rng, total=200_000)
    before = spell(bins)
    after, values = possible_rows(
        rules_of(made, RULES), bins, before,
        redraw=lambda rows: sample_rows(made, len(rows), rng, total=200_000), spell=spell,
    )  # fmt: skip
    reference = plain(made)
    assert meets(before.to_pandas()).mean() == pytest.approx(meets(reference).mean(), abs=0.02)
    assert meets(before.to_pandas()).mean() > 0.1
    frame = values.to_pandas()
    assert len(frame) == 20_000 and not meets(frame).any()
    kept = reference[~meets(reference)]
    for pair in (("sex", "age"), ("pay", "ill"), ("city", "ill"), ("out", "sex")):
        assert distance(frame, kept, pair) < 1.3 * np.sqrt(12 / 20_000) + 0.01, pair
    untouched = np.flatnonzero(~meets(before.to_pandas()))
    assert all((after[n][untouched] == bins[n][untouched]).all() for n in bins)


def test_rows_under_conditions_have_none_either() -> None:
    made = model()
    asked = checked_asked({"age": "25..60"}, {"column": "sex", "shares": {"F": 0.5, "M": 0.5}})
    free, _ = drawn(made, asked, 4000)
    assert meets(free).any()
    frame, _ = drawn(made, asked, 4000, impossible=RULES)
    assert not meets(frame).any()
    assert frame["age"].between(25, 60).all()
    assert (frame["sex"] == "F").sum() == 2000


def test_what_a_column_cannot_hold_needs_no_rule() -> None:
    made = model()
    assert rules_of(made, ({"sex": ("X",), "age": ("20..30",)},)) == ()
    assert rules_of(made, ({"sex": ("F",), "age": ("200..300",)},)) == ()
    (rule,) = rules_of(made, ({"sex": ("F", "X"), "age": ("200..300", "20..30")},))
    assert [t.column.name for t in rule] == ["sex", "age"]
    assert rule[0].texts == ("F",)


def test_conditions_that_leave_only_impossible_rows_are_a_clear_error() -> None:
    made, rng = model(), np.random.default_rng(3)
    everything = ({"sex": ("F", "M", None), "age": ("..", None)},)
    with pytest.raises(InputError, match="empty range"):
        rules_of(made, everything)
    rules = rules_of(made, ({"sex": ("F", "M", None), "age": ("20..", None)},))
    bins = sample_rows(made, 50, rng, total=10**6)
    with pytest.raises(InputError, match="50 rows have next to nothing but combinations"):
        possible_rows(
            rules, bins, decode(made, bins, rng),
            redraw=lambda rows: sample_rows(made, len(rows), rng, total=10**6), spell=lambda b: decode(made, b, rng),
        )  # fmt: skip


# a release


def released(tables: list[TableSpec], options: MarginalOptions, unit: tuple[str, str] | None = None) -> Any:
    plan = plan_release(ReleaseSpec(tables=tuple(tables), unit=unit), epsilon=20.0, delta=1e-6, options=options)
    return measure_release(plan, engine=Engine(threads=1), noise=SystemNoise(), gate=lambda: None, device="cpu")


def test_a_stored_model_keeps_them_for_parents_and_children(
    make_spec: SpecMaker, quick: MarginalOptions, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    sex = rng.choice(["F", "M"], 800)
    parents = pa.table({"id": np.arange(800), "sex": sex, "age": rng.integers(0, 90, 800), "_unit": np.arange(800)})
    of = rng.integers(0, 800, 1500)
    ward, stay = rng.choice(["a", "b"], 1500), rng.integers(0, 30, 1500)
    children = pa.table({"patient": of, "ward": ward, "stay": stay, "_unit": of})
    root = make_spec(
        "patients", parents, primary_key=["id"],
        configs={"sex": ColumnConfig(categories=("F", "M")), "age": ColumnConfig(lower=0, upper=90)},
    ).model_copy(update={"impossible": ({"sex": ("M",), "age": ("..30",)},)})  # fmt: skip
    below = make_spec(
        "visits", children, foreign_keys={"patient": "patients.id"},
        configs={"ward": ColumnConfig(categories=("a", "b")), "stay": ColumnConfig(lower=0, upper=30)},
    ).model_copy(update={"impossible": ({"ward": ("b",), "stay": ("10..20",)},)})  # fmt: skip
    measured = released([root, below], quick, unit=("patients", "id"))
    fit_release(measured, seed=1, device="cpu").save(tmp_path / "model")
    assert scan_model(tmp_path / "model", measured) == ()
    stored: ReleaseModel = load_release(tmp_path / "model")
    made = {n: pd.read_parquet(f) for n, f in stored.sample(seed=1, out=tmp_path / "out").items()}
    people, visits = made["patients"], made["visits"]
    assert ((people["sex"] == "M") & (people["age"] > 30)).any() and (
        (people["sex"] == "F") & (people["age"] <= 30)
    ).any()
    assert not ((people["sex"] == "M") & (people["age"] <= 30)).any()
    assert len(visits) > 1000 and not ((visits["ward"] == "b") & visits["stay"].between(10, 20)).any()
    assert visits["patient"].isin(people["id"]).all()
    asked = stored.strata(checked_asked({"sex": "M"}, None), seed=2)
    men = pd.read_parquet(stored.sample(rows=300, seed=2, out=tmp_path / "men", strata=asked)["patients"])
    assert len(men) == 300 and (men["sex"] == "M").all() and (men["age"] > 30).all()


@pytest.mark.parametrize(
    ("combination", "words"),
    [
        ({"group": ("a",), "nobody": ("1",)}, "names a column that is not modelled"),
        ({"group": ("z",), "score": ("1..5",)}, "a value that the declared column cannot hold"),
        ({"group": ("a",), "score": ("five",)}, "a range that cannot be read"),
        ({"group": ("a",), "score": ("200..300",)}, "a value that the declared column cannot hold"),
    ],
)
def test_a_plan_refuses_combinations_that_do_not_fit_and_quotes_no_value(
    combination: Combination,
    words: str,
    make_spec: SpecMaker,
    people: pa.Table,
    people_configs: dict[str, ColumnConfig],
) -> None:
    table = make_spec("people", people, configs=people_configs).model_copy(update={"impossible": (combination,)})
    with pytest.raises(ConfigError, match=words) as caught:
        plan_release(ReleaseSpec(tables=(table,)), epsilon=1, delta=1e-6)
    assert caught.value.key == "impossible"


def test_the_yaml_wants_two_columns_and_no_order_of_time() -> None:
    source = {"path": "a.csv"}
    table = TableConfig.model_validate({"source": source, "impossible": [{"sex": "M", "age": "..15", "yes": True}]})
    assert table.impossible == ({"sex": ("M",), "age": ("..15",), "yes": ("true",)},)
    with pytest.raises(ValidationError, match="at least two columns"):
        TableConfig.model_validate({"source": source, "impossible": [{"sex": "M"}]})
    with pytest.raises(ValidationError, match="not for a table with `sequence_order`"):
        TableConfig.model_validate(
            {"source": source, "sequence_order": "day", "impossible": [{"sex": "M", "age": "1"}]}
        )
