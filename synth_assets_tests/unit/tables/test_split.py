"""The split is stable, keeps a person's rows on one side in every table, and depends on its key."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synth_assets.storage.secrets import SecretKey
from synth_assets.tables.engine import Engine
from synth_assets.tables.schema import ColumnKind, ColumnSchema, ForeignKey, TableSchema
from synth_assets.tables.split import UNIT_COLUMN, SplitTable, split_tables

KEY = SecretKey(bytes(range(32)))
PEOPLE = 800


def columns(*names: str) -> tuple[ColumnSchema, ...]:
    return tuple(ColumnSchema(name=n, kind=ColumnKind.NUMBER, dtype="int64") for n in names)


def key(column: str, parent: str) -> ForeignKey:
    return ForeignKey(columns=(column,), parent_table=parent, parent_columns=(column,))


SCHEMAS = {
    "person": TableSchema(name="person", columns=columns("pid", "age"), primary_key=("pid",)),
    "visit": TableSchema(
        name="visit", columns=columns("vid", "pid"), primary_key=("vid",), foreign_keys=(key("pid", "person"),)
    ),
    "claim": TableSchema(
        name="claim", columns=columns("cid", "vid"), primary_key=("cid",), foreign_keys=(key("vid", "visit"),)
    ),
    "code": TableSchema(name="code", columns=columns("code", "weight"), primary_key=("code",)),
}


@pytest.fixture
def frames() -> dict[str, pd.DataFrame]:
    return {
        "person": pd.DataFrame({"pid": range(PEOPLE), "age": [i % 90 for i in range(PEOPLE)]}),
        "visit": pd.DataFrame({"vid": range(3 * PEOPLE), "pid": [i % PEOPLE for i in range(3 * PEOPLE)]}),
        "claim": pd.DataFrame({"cid": range(4 * PEOPLE), "vid": [i % (3 * PEOPLE) for i in range(4 * PEOPLE)]}),
        "code": pd.DataFrame({"code": range(50), "weight": range(50)}),
    }


def split(frames: dict[str, pd.DataFrame], folder: Path, *, holdout: float = 0.2, secret: SecretKey = KEY):
    tables = {}
    for name, frame in frames.items():
        path = folder / f"{name}.parquet"
        folder.mkdir(exist_ok=True)
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), path)
        tables[name] = SplitTable(path, SCHEMAS[name], SCHEMAS[name].names)
    out = folder / "out"
    counts = split_tables(tables, out, unit=("person", "pid"), holdout=holdout, key=secret, engine=Engine(threads=1))
    read = {
        (n, side): pd.read_parquet(out / n / side / "part-00000.parquet")
        for n in frames
        for side in ("train", "holdout")
    }
    return counts, read


def test_every_row_stands_on_one_side_and_the_counts_say_so(frames, tmp_path):
    counts, read = split(frames, tmp_path)
    for count in counts:
        train, holdout = read[count.table, "train"], read[count.table, "holdout"]
        assert (count.train_rows, count.holdout_rows) == (len(train), len(holdout))
        together = pd.concat([train, holdout]).drop(columns=UNIT_COLUMN)
        key_column = SCHEMAS[count.table].primary_key[0]
        assert together.sort_values(key_column).reset_index(drop=True).equals(frames[count.table])


def test_all_rows_of_a_person_stand_on_the_persons_side_in_every_table(frames, tmp_path):
    _, read = split(frames, tmp_path)
    for side in ("train", "holdout"):
        people = set(read["person", side].pid)
        assert set(read["visit", side].pid) <= people
        assert set(read["claim", side].vid) <= set(read["visit", side].vid)
        units = set(read["person", side][UNIT_COLUMN])
        assert set(read["visit", side][UNIT_COLUMN]) <= units
        assert set(read["claim", side][UNIT_COLUMN]) <= units


def test_the_unit_token_is_one_to_one_with_the_person(frames, tmp_path):
    _, read = split(frames, tmp_path)
    people = pd.concat([read["person", s] for s in ("train", "holdout")])
    assert people[UNIT_COLUMN].nunique() == PEOPLE
    assert people[UNIT_COLUMN].str.fullmatch("[0-9a-f]{32}").all()


def test_adding_and_reordering_rows_moves_nobody(frames, tmp_path):
    _, before = split(frames, tmp_path / "a")
    more = {
        **frames,
        "person": pd.concat([frames["person"], pd.DataFrame({"pid": range(PEOPLE, 2 * PEOPLE), "age": 1})]),
    }
    more["person"] = more["person"].sample(frac=1, random_state=3)
    _, after = split(more, tmp_path / "b")
    old = after["person", "holdout"].pid
    assert set(old[old < PEOPLE]) == set(before["person", "holdout"].pid)


def test_a_larger_holdout_contains_the_smaller_one(frames, tmp_path):
    _, small = split(frames, tmp_path / "a", holdout=0.1)
    _, large = split(frames, tmp_path / "b", holdout=0.3)
    assert set(small["person", "holdout"].pid) <= set(large["person", "holdout"].pid)


def test_the_share_is_about_the_one_asked_for(frames, tmp_path):
    counts, _ = split(frames, tmp_path)
    person = next(c for c in counts if c.table == "person")
    assert person.holdout_rows / PEOPLE == pytest.approx(0.2, abs=0.07)  # 5 standard deviations


def test_another_key_gives_another_split(frames, tmp_path):
    _, a = split(frames, tmp_path / "a")
    _, b = split(frames, tmp_path / "b", secret=SecretKey(bytes(32)))
    assert set(a["person", "holdout"].pid) != set(b["person", "holdout"].pid)


def test_a_table_of_no_unit_is_split_by_its_own_rows(frames, tmp_path):
    _, read = split(frames, tmp_path)
    codes = pd.concat([read["code", s] for s in ("train", "holdout")])
    assert codes[UNIT_COLUMN].nunique() == 50


def test_equal_rows_without_a_key_stand_on_one_side(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": [i % 40 for i in range(400)]}), path)
    schema = TableSchema(name="t", columns=columns("a"))
    split_tables(
        {"t": SplitTable(path, schema, ("a",))}, tmp_path / "o", unit=None, holdout=0.5, key=KEY, engine=Engine()
    )
    sides = [set(pd.read_parquet(tmp_path / "o" / "t" / s / "part-00000.parquet").a) for s in ("train", "holdout")]
    assert sides[0] and sides[1] and not sides[0] & sides[1]


def test_rows_without_a_parent_are_their_own_unit(frames, tmp_path):
    frames["visit"] = pd.DataFrame({"vid": range(100), "pid": pd.array([None] * 100, dtype="Int64")})
    _, read = split({k: frames[k] for k in ("person", "visit")}, tmp_path)
    visits = pd.concat([read["visit", s] for s in ("train", "holdout")])
    assert visits[UNIT_COLUMN].nunique() == 100
