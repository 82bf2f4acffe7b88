"""A source of several files, of which every file is worked on by itself, as on a cluster: the same table as all of them together."""

from __future__ import annotations

import pickle  # noqa: TID251  how work gets to another process
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synth_assets.config.dataset import SourceConfig
from synth_assets.errors import SourceError
from synth_assets.tables import sources
from synth_assets.tables.engine import DuckSession, Engine
from synth_assets.tables.engine_tasks import FileTasks, HereTasks
from synth_assets.tables.schema import TableSchema
from synth_assets.tables.sources import ingest
from synth_assets.tables.spark_worker import FileWork
from synth_assets.tables.staged_rows import StagedRows, Term


def sent_over(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))  # noqa: S301  our own


class ByFile(HereTasks):
    """What Spark does, without Spark: work and results are pickled, each file is a piece of work."""

    def each(self, work: Callable[[DuckSession, Any], Any], items: Sequence[Any]) -> list[Any]:
        found = []
        for item in items:
            sent, given = sent_over((FileWork(work, "500MB"), item))
            made, error = sent_over(sent(given))
            if error is not None:
                raise error
            found.append(made)
        return found

    def groups(self, parts: Sequence[Path]) -> list[list[Path]]:
        return [[part] for part in parts]


@contextmanager
def by_file(engine: Engine, *, files: int) -> Iterator[FileTasks]:
    with engine.files_session() as session:
        yield ByFile(session) if files > 1 else HereTasks(session)


TEXTS = {
    "id,day,short,amount,percent,flag,code,empty,zoned,both\n": (
        "1,31.12.1999,1/2/2020,1.5,0.1,true,007,,2024-01-05T10:00:00+02:00,5\n2,01.02.2000,12/31/2020,2.25,,false,008,,2024-01-05T10:00:00Z,\n",
        "3,05.06.2001,3/4/2021,10,0.123456789,true,007,,,6\n4,06.06.2001,,,0.5,,,,2024-01-06T00:00:00Z,7.5\n",
        "5,,5/6/2022,-3.125,1e3,false,009,,2024-01-05T10:00:00Z,\n",
    )
}
TYPED = [
    {"pid": [1, 2, 3], "unit": ["a", "b", "a"], "at": [datetime(2020, 1, 1), None, datetime(1969, 12, 31, 1, 2, 3)], "x": [0.5, None, 2.0]},
    {"pid": [4, 5], "unit": ["a", None], "at": [None, None], "x": [None, None]},
    {"pid": [6, 7, 8], "unit": ["b", "c", "c"], "at": [datetime(2021, 5, 5)] * 3, "x": [1.25, float("nan"), -1.0]},
]  # fmt: skip


def texts(folder: Path) -> Path:
    folder.mkdir()
    for header, bodies in TEXTS.items():
        for i, body in enumerate(bodies):
            (folder / f"t{i}.csv").write_text(header + body)
    return folder


def typed(folder: Path) -> Path:
    folder.mkdir()
    fields = {"pid": pa.int64(), "unit": pa.string(), "at": pa.timestamp("us"), "x": pa.float64()}
    for i, columns in enumerate(TYPED):
        table = pa.table({n: pa.array(v, fields[n]) for n, v in columns.items()})
        born = pa.array([date(1990, 1, 1 + i)] * table.num_rows)
        pq.write_table(table.append_column("born", born), folder / f"t{i}.parquet")
    return folder


def read(source: Path, out: Path, zone: str = "Europe/Berlin") -> tuple[TableSchema, pa.Table]:
    schema = ingest(
        SourceConfig(path=str(source)), name="t", base_dir=Path(), out=out, engine=Engine(threads=1), timezone=zone
    )
    files = sorted(out.glob("part-*.parquet"))
    assert len(files) == (3 if out.name == "apart" else 1)
    return schema, pq.read_table(files)


@pytest.mark.parametrize("make", [texts, typed])
def test_schema_rows_and_their_order_are_the_same(
    make: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make(tmp_path / "source")
    schema, table = read(source, tmp_path / "whole")
    monkeypatch.setattr(sources, "file_tasks", by_file)
    assert read(source, tmp_path / "apart") == (schema, table)
    notes = [sources.read_notes(tmp_path / n) for n in ("whole", "apart")]
    assert notes[0] == notes[1]


def test_what_the_texts_show_is_what_a_person_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "file_tasks", by_file)
    schema, table = read(texts(tmp_path / "source"), tmp_path / "apart", "UTC")
    found = {c.name: (c.dtype, c.decimals, c.date_form) for c in schema.columns}
    assert found["day"] == ("date32[day]", None, "%d.%m.%Y")
    assert found["short"] == ("date32[day]", None, "%-m/%-d/%Y")
    assert found["amount"] == ("double", 3, None)
    assert found["percent"] == ("double", 9, None)
    assert found["both"] == ("double", 1, None)
    assert table["code"].to_pylist() == ["007", "008", "007", None, "009"]
    assert table["zoned"].to_pylist()[0] == datetime(2024, 1, 5, 8)


def test_a_fault_in_one_file_names_it_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = typed(tmp_path / "source")
    (source / "t1.parquet").write_bytes(b"PAR1 no table PAR1")
    monkeypatch.setattr(sources, "file_tasks", by_file)
    with pytest.raises(SourceError, match="damaged") as caught:
        read(source, tmp_path / "apart")
    assert str(caught.value.file).endswith("t1.parquet")
    assert not (tmp_path / "apart").exists()


def test_a_value_in_two_files_is_no_identifier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for i, ids in enumerate(([1, 2, 3], [3, 4, 5], [6, 7, 8])):
        pq.write_table(pa.table({"visit_id": ids, "own_id": [10 * i + k for k in range(3)]}), source / f"{i}.parquet")
    monkeypatch.setattr(sources, "file_tasks", by_file)
    kinds = {c.name: c.kind for c in read(source, tmp_path / "apart")[0].columns}
    assert kinds == {"visit_id": "number", "own_id": "id"}


def test_partial_answers_are_put_together_without_those_of_files_that_have_none(tmp_path: Path) -> None:
    parts = (tmp_path / "a.parquet", tmp_path / "b.parquet")
    for part, values in zip(parts, ([1, None, 5], [None, None]), strict=True):
        pq.write_table(pa.table({"v": pa.array(values, pa.int64())}), part)
    terms = [
        Term("count(v)"),
        Term("max(v)", "max"),
        Term("bool_and(v > 0)", "all"),
        Term("count(DISTINCT v)", "estimate"),
    ]
    with Engine(threads=1).files_session() as session:
        assert StagedRows(ByFile(session), parts).one(terms) == (2, 5, True, None)
        assert StagedRows(ByFile(session), parts[1:]).one(terms) == (0, None, None, 0)
