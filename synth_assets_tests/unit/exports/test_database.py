"""Tables in a real PostgreSQL: one transaction, types and keys kept, nobody else's table touched, no value or password in an error."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from synth_assets.errors import ConfigError, InputError, ServiceUnavailableError
from synth_assets.exports import database
from synth_assets.exports.database import DatabaseTables, write_database
from synth_assets.storage.postgres import postgres_url as checked
from synth_assets.tables.engine import Engine
from synth_assets.tables.schema import ColumnKind, ColumnSchema, ForeignKey, TableSchema

pytestmark = pytest.mark.postgres

ODD = [
    "\\.",
    "NULL",
    'say "hi", twice',
    "two\nlines\r\n",
    "\\N",
    "=1+1",
    "ä€😀",
    " ",
    "\t",
    "'; DROP TABLE x; --",
    "%s %(a)s",
    "\\n",
]
KINDS = {"int64": ColumnKind.NUMBER, "double": ColumnKind.NUMBER, "string": ColumnKind.TEXT, "bool": ColumnKind.BOOLEAN}  # fmt: skip


def column(name: str, dtype: str, **more: Any) -> ColumnSchema:
    kinds = {**KINDS, "date32[day]": ColumnKind.DATE, "timestamp[us]": ColumnKind.DATETIME}
    return ColumnSchema(name=name, kind=kinds[dtype], dtype=dtype, **more)


PERSON = TableSchema(
    name='per"son',
    primary_key=("id",),
    columns=(
        column("id", "int64"), column("cost", "double", decimals=2), column("bmi", "double"), column("Free text %", "string"),
        column("ok", "bool"), column("on", "date32[day]", date_form="%d.%m.%Y"), column("at", "timestamp[us]"),
    ),
)  # fmt: skip
VISIT = TableSchema(
    name="visit",
    primary_key=("visit_id",),
    columns=(column("visit_id", "string"), column("person", "int64")),
    foreign_keys=(ForeignKey(columns=("person",), parent_table='per"son', parent_columns=("id",)),),
)


def stored(folder: Path, table: pa.Table) -> Path:
    folder.mkdir(parents=True)
    pq.write_table(table, folder / "part-00000.parquet")
    return folder


def people(folder: Path, texts: list[str | None]) -> Path:
    n = len(texts)
    return stored(
        folder,
        pa.table(
            {
                "id": pa.array(range(n), pa.int64()),
                "cost": pa.array([1.5 if i else None for i in range(n)], pa.float64()),
                "bmi": pa.array([0.1 + 0.2] * n, pa.float64()),
                "Free text %": pa.array(texts, pa.string()),
                "ok": pa.array([bool(i % 2) for i in range(n)]),
                "on": pa.array([date(2024, 2, 29)] * n, pa.date32()),
                "at": pa.array([datetime(2024, 2, 29, 1, 2, 3, 456)] * n, pa.timestamp("us")),
            }
        ),
    )


def visits(folder: Path, persons: list[int]) -> Path:
    ids = [f"V{i}" for i in range(len(persons))]
    return stored(folder, pa.table({"visit_id": ids, "person": pa.array(persons, pa.int64())}))


def made(
    tmp_path: Path,
    name: str = "a",
    texts: list[str | None] | None = None,
    persons: list[int] | None = None,
    **told: Any,
) -> DatabaseTables:
    folder = tmp_path / name
    return DatabaseTables(
        paths={
            "visit": visits(folder / "v", persons or [0, 0, 1]),
            'per"son': people(folder / "p", texts or [None, *ODD]),
        },
        schemas={"visit": VISIT, 'per"son': PERSON},
        provenance={"synthetic": True, "dataset": "clinic", **told},
        content=name,
    )


@pytest.fixture
def reader(postgres_url: str) -> Iterator[Any]:
    engine = sa.create_engine(checked(postgres_url, "X"), poolclass=sa.NullPool)

    def read(query: str) -> list[tuple[Any, ...]]:
        with engine.begin() as connection:
            found = connection.exec_driver_sql(query)
            return [tuple(row) for row in found] if found.returns_rows else []

    return read


@pytest.fixture
def send(postgres_url: str, engine: Engine) -> Any:
    def sent(tables: DatabaseTables, schema: str = "synthetic", **options: Any) -> Any:
        return write_database(tables, checked(postgres_url, "X"), schema=schema, engine=engine, **options)

    return sent


def test_every_value_arrives_with_its_type(send: Any, reader: Any, tmp_path: Path) -> None:
    done = send(made(tmp_path))
    assert done.rows == {'per"son': len(ODD) + 1, "visit": 3} and not done.unchanged
    rows = reader('SELECT * FROM synthetic."per""son" ORDER BY id')
    assert [r[3] for r in rows] == [None, *ODD]
    assert rows[1] == (
        1,
        Decimal("1.50"),
        0.1 + 0.2,
        ODD[0],
        True,
        date(2024, 2, 29),
        datetime(2024, 2, 29, 1, 2, 3, 456),
    )
    assert rows[0][1] is None and str(rows[1][1]) == "1.50"
    types = dict(
        reader("SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'synthetic'")
    )
    assert types == {
        "id": "bigint", "cost": "numeric", "bmi": "double precision", "Free text %": "text", "ok": "boolean", "on": "date",
        "at": "timestamp without time zone", "visit_id": "text", "person": "bigint",
    }  # fmt: skip
    kinds = "SELECT contype::text FROM pg_constraint WHERE connamespace = 'synthetic'::regnamespace AND contype IN ('p', 'f') ORDER BY 1"
    assert reader(kinds) == [("f",), ("p",), ("p",)]
    told = json.loads(reader("SELECT obj_description('synthetic.visit'::regclass)")[0][0])["synth_assets"]
    assert (told["synthetic"], told["dataset"], told["rows"]) == (True, "clinic", 3)


def test_the_same_content_is_written_once_and_mended_where_rows_are_missing(
    send: Any, reader: Any, tmp_path: Path
) -> None:
    tables = made(tmp_path)
    send(tables)
    stamp = "SELECT xmin::text FROM synthetic.visit"
    before = reader(stamp)
    assert send(tables).unchanged and reader(stamp) == before
    assert not send(tables, again=True).unchanged and reader(stamp) != before
    reader("DELETE FROM synthetic.visit WHERE visit_id = 'V0'")
    assert not send(tables).unchanged
    assert reader("SELECT count(*) FROM synthetic.visit") == [(3,)]


def test_new_content_takes_the_place_of_the_old_and_views_and_rights_stay(
    send: Any, reader: Any, tmp_path: Path
) -> None:
    send(made(tmp_path))
    reader("CREATE VIEW public.recent AS SELECT * FROM synthetic.visit")
    reader("CREATE ROLE looker_of_tests") if not reader(
        "SELECT 1 FROM pg_roles WHERE rolname = 'looker_of_tests'"
    ) else None
    reader("GRANT SELECT ON synthetic.visit TO looker_of_tests")
    done = send(made(tmp_path, "b", ["x", "y"], [1]))
    assert done.rows == {'per"son': 2, "visit": 1}
    assert reader("SELECT * FROM public.recent") == [("V0", 1)]
    assert reader("SELECT has_table_privilege('looker_of_tests', 'synthetic.visit', 'SELECT')") == [(True,)]
    reader("DROP OWNED BY looker_of_tests")


def test_other_columns_make_the_tables_anew_unless_something_depends_on_them(
    send: Any, reader: Any, tmp_path: Path
) -> None:
    first = made(tmp_path)
    send(first)
    wider = VISIT.model_copy(update={"columns": (*VISIT.columns, column("cost", "int64"))})
    path = stored(tmp_path / "wide", pa.table({"visit_id": ["V9"], "person": [0], "cost": [5]}))
    second = DatabaseTables(
        paths={**first.paths, "visit": path},
        schemas={**first.schemas, "visit": wider},
        provenance=first.provenance,
        content="b",
    )
    reader("CREATE VIEW public.recent AS SELECT * FROM synthetic.visit")
    with pytest.raises(InputError, match=r"a view, depends on a table .*2BP01"):
        send(second)
    assert reader("SELECT count(*) FROM synthetic.visit") == [(3,)]
    reader("DROP VIEW public.recent")
    send(second)
    assert reader("SELECT * FROM synthetic.visit") == [("V9", 0, 5)]


def test_tables_of_others_are_left_alone_unless_told(send: Any, reader: Any, tmp_path: Path) -> None:
    reader("CREATE SCHEMA synthetic; CREATE TABLE synthetic.visit (a INT)")
    reader("INSERT INTO synthetic.visit VALUES (1)")
    with pytest.raises(InputError, match="this dataset did not write") as raised:
        send(made(tmp_path))
    assert raised.value.key == "synthetic.visit"
    assert reader("SELECT * FROM synthetic.visit") == [(1,)]
    assert reader('SELECT to_regclass(\'synthetic."per""son"\')::text') == [(None,)]
    send(made(tmp_path, "b"), replace=True)
    assert reader("SELECT count(*) FROM synthetic.visit") == [(3,)]
    with pytest.raises(InputError, match="this dataset did not write"):
        send(made(tmp_path, "c", dataset="bank"))


def test_an_empty_table_of_others_is_taken_and_a_view_is_not(send: Any, reader: Any, tmp_path: Path) -> None:
    reader("CREATE SCHEMA synthetic; CREATE TABLE synthetic.visit (a INT)")
    send(made(tmp_path))
    reader("CREATE SCHEMA views; CREATE VIEW views.visit AS SELECT 1")
    with pytest.raises(InputError, match="something else of this name"):
        send(made(tmp_path, "b"), schema="views", replace=True)


@pytest.mark.parametrize(
    ("persons", "texts", "message"),
    [([7], ["x"], "23503"), ([0], ["x", "nul\x00canary"], "22021|22P05|the target database refuses")],
)
def test_rows_that_do_not_fit_leave_everything_as_it_was(
    send: Any, reader: Any, tmp_path: Path, persons: list[int], texts: list[str | None], message: str
) -> None:
    send(made(tmp_path))
    with pytest.raises(InputError, match=message) as raised:
        send(made(tmp_path, "b", texts, persons))
    assert "canary" not in str(raised.value) and raised.value.__cause__ is None
    assert reader("SELECT count(*) FROM synthetic.visit") == [(3,)]


def test_a_reader_sees_the_old_rows_until_the_new_ones_are_all_there(
    send: Any, reader: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(made(tmp_path))
    real, filled, go_on = database._Writer.copy, threading.Event(), threading.Event()

    def slow(self: Any, table: str) -> int:
        rows = real(self, table)
        filled.set()
        assert go_on.wait(30)
        return rows

    monkeypatch.setattr(database._Writer, "copy", slow)
    thread = threading.Thread(target=send, args=(made(tmp_path, "b", ["x", "y"], [1]),))
    thread.start()
    assert filled.wait(30)
    during = reader("SELECT count(*) FROM synthetic.visit") + reader('SELECT count(*) FROM synthetic."per""son"')
    go_on.set()
    thread.join(30)
    assert during == [(3,), (len(ODD) + 1,)]
    assert reader("SELECT count(*) FROM synthetic.visit") == [(1,)]


def test_a_connection_that_is_cut_once_is_opened_again_and_twice_is_exit_code_5(
    send: Any, reader: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, cuts = database._Writer.copy, [2]

    def cut(self: Any, table: str) -> int:
        if cuts[0]:
            cuts[0] -= 1
            self.run("SELECT pg_terminate_backend(pg_backend_pid())")
        return real(self, table)

    monkeypatch.setattr(database._Writer, "copy", cut)
    with pytest.raises(ServiceUnavailableError, match="does not answer") as raised:
        send(made(tmp_path))
    assert raised.value.exit_code == 5 and reader("SELECT to_regclass('synthetic.visit')::text") == [(None,)]
    cuts[0] = 1
    assert send(made(tmp_path, "b")).rows["visit"] == 3


def test_a_server_that_is_not_there_is_exit_code_5_and_the_password_is_not_told(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(ServiceUnavailableError) as raised:
        write_database(made(tmp_path), checked("postgresql://u:hunter2@127.0.0.1:1/d", "X"), schema="s", engine=engine)
    assert raised.value.exit_code == 5 and "hunter2" not in str(raised.value)


def test_a_login_without_rights_is_told_what_it_needs(
    send: Any, reader: Any, postgres_url: str, engine: Engine, tmp_path: Path
) -> None:
    if not reader("SELECT 1 FROM pg_roles WHERE rolname = 'guest_of_tests'"):
        reader("CREATE ROLE guest_of_tests LOGIN")
    guest = checked(postgres_url, "X").set(username="guest_of_tests")
    with pytest.raises(ConfigError, match="may not do this"):
        write_database(made(tmp_path), guest, schema="forbidden", engine=engine)


def test_names_that_postgresql_would_cut_are_refused(send: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="would cut this name of a schema"):
        send(made(tmp_path), schema="ä" * 32)
