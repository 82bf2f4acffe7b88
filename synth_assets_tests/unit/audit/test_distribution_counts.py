"""Counting for the pictures: round cells, persons, pairs, quantiles, associations; and planted values that must not come out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from synth_assets.audit.dataset import TableInput
from synth_assets.audit.pictures.association_matrix import association_matrix
from synth_assets.audit.pictures.counts import count_distributions
from synth_assets.audit.pictures.public import ColumnShares
from synth_assets.tables.engine import Engine
from synth_assets_tests.unit.audit.worlds import SCHEMA, people

CANARY, EXTREME = "the-only-one-in-the-north", 9_876_543.25


def write(folder: Path, frame: pd.DataFrame) -> Path:
    folder.mkdir(parents=True)
    frame.to_parquet(folder / "part-00000.parquet", index=False)
    return folder


def counted(
    tmp_path: Path, real: pd.DataFrame, synthetic: pd.DataFrame, holdout: pd.DataFrame | None = None, **options
):
    columns = options.pop("columns", SCHEMA.names)
    table = TableInput(
        name="people", synthetic=write(tmp_path / "s", synthetic), train=write(tmp_path / "t", real),
        holdout=None if holdout is None else write(tmp_path / "h", holdout), schema=SCHEMA, columns=columns,
    )  # fmt: skip
    return count_distributions([table], engine=Engine(), seed=7, **options)


def column(found, name: str) -> ColumnShares:
    return next(c for c in found.public().columns if c.column == name)


def test_planted_rare_names_and_extreme_numbers_never_come_out(tmp_path):
    real, holdout, synthetic = people(3000, 1), people(1000, 2), people(3000, 3)
    real.loc[:9, "region"], real.loc[0, "income"] = CANARY, EXTREME
    synthetic.loc[:400, "region"], synthetic.loc[:400, "income"] = CANARY, EXTREME  # a model that repeats them
    found = counted(tmp_path, real, synthetic, holdout, target=("people", "good"))
    told = found.public().model_dump_json()
    assert CANARY in found.model_dump_json()  # the counts, which are restricted, have it: the search would find it
    assert CANARY not in told
    assert "9876543" not in told
    assert "yes" in told


def test_a_column_that_is_made_anew_is_never_counted(tmp_path):
    real = people(500, 1)
    found = counted(tmp_path, real, people(500, 2), columns=[c for c in SCHEMA.names if c != "region"])
    assert "region" not in {c.column for c in found.columns}


def test_edges_are_round_and_come_from_the_middle_of_the_real_rows(tmp_path):
    found = counted(tmp_path, people(3000, 1), people(3000, 2))
    assert column(found, "age").edges[:3] == (20.0, 25.0, 30.0)
    assert all(e % 1000 == 0 for e in column(found, "income").edges)
    joined = pd.to_datetime(column(found, "joined").edges, unit="s")
    assert set(joined.day) == {1}
    assert set(joined.month) <= {1, 7}


def test_shares_are_those_of_the_rows(tmp_path):
    real = people(2000, 1)
    found = column(counted(tmp_path, real, people(2000, 2)), "region")
    shares = real["region"].value_counts(normalize=True)
    assert list(found.names[:2]) == list(shares.index[:2])
    assert found.shares["real"][0] == pytest.approx(shares.iloc[0], abs=0.0051)
    income = column(counted(tmp_path / "2", real, people(2000, 2)), "income")
    assert income.missing["real"] == pytest.approx(real["income"].isna().mean(), abs=0.0051)


def test_persons_are_counted_once(tmp_path):
    real = people(1200, 1).assign(_unit=np.repeat([f"u{i}" for i in range(60)], 20))
    found = counted(tmp_path, real, people(1200, 2))
    age = next(c for c in found.columns if c.column == "age")
    assert sum(age.sides["real"].rows) == 1200
    assert max(age.sides["real"].persons) <= 60
    assert age.sides["synthetic"].persons == age.sides["synthetic"].rows


def test_the_strongest_pair_of_numbers_comes_first_and_fills_every_row(tmp_path):
    real = people(2000, 1)
    real["age"] = (real["income"].fillna(0) / 1000).astype(int)
    found = counted(tmp_path, real, people(2000, 2))
    assert {found.pairs[0].first, found.pairs[0].second} == {"age", "income"}
    assert sum(found.pairs[0].rows["real"]) == int(real["income"].notna().sum())


def test_boxes_are_grouped_by_the_outcome(tmp_path):
    real = people(2000, 1)
    found = counted(tmp_path, real, people(2000, 2), target=("people", "good"))
    assert {b.group for b in found.boxes} == {"yes", "no"}
    box = next(b for b in found.boxes if (b.column, b.group) == ("age", "yes"))
    assert box.quantiles["real"][2] == real.loc[real["good"] == "yes", "age"].median()


def test_same_seed_same_counts(tmp_path):
    first = counted(tmp_path / "1", people(800, 1), people(800, 2))
    assert first == counted(tmp_path / "2", people(800, 1), people(800, 2))


def test_without_real_rows_there_is_nothing_to_draw(tmp_path):
    table = TableInput(name="people", synthetic=write(tmp_path / "s", people(100, 1)), train=None, holdout=None,
                       schema=SCHEMA, columns=SCHEMA.names)  # fmt: skip
    assert count_distributions([table], engine=Engine(), seed=7).public().columns == ()


def test_associations_are_those_of_the_textbook():
    x = np.array([1.0, 2, 3, 4, np.nan])
    codes = np.array([0, 0, 1, 1, 1])
    (_, falling, ratio), (_, _, _), (_, _, same) = association_matrix([x, -x, codes], [True, True, False])
    assert falling == pytest.approx(-1)
    assert ratio == pytest.approx(np.sqrt(0.8))  # between 4, total 5
    assert same == pytest.approx(1)
    assert association_matrix([x, np.ones(5)], [True, True])[0][1] is None
