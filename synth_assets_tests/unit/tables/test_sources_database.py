"""SQL sources: SQLite and PostgreSQL by URL, read only, with no password in a message."""

from __future__ import annotations

import sqlite3
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from synth_assets.config.dataset import SourceConfig
from synth_assets.errors import ConfigError, ServiceUnavailableError, SourceError
from synth_assets.tables.sources import source_fingerprint

at = datetime.fromisoformat

URL = "sqlite:///clinic.db"


@pytest.fixture
def clinic(read: Any) -> Path:
    path: Path = read.base / "clinic.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            """
            CREATE TABLE patients (id INTEGER PRIMARY KEY, zip TEXT, born DATE, seen DATETIME, cost NUMERIC(10,2), note TEXT);
            INSERT INTO patients VALUES (1, '00123', '1980-02-29', '2020-01-01 10:00:00', 12.50, ''), (2, '7', NULL, NULL, 3, 'x');
            CREATE TABLE "odd ""name" (a); INSERT INTO "odd ""name" VALUES (5), ('five');
            CREATE TABLE hollow (a INTEGER);
            CREATE TABLE files (a BLOB); INSERT INTO files VALUES (x'00ff');
            CREATE VIEW recent AS SELECT id FROM patients;
            """
        )
    connection.close()
    return path


def test_a_sqlite_table_is_read_with_its_types(read: Any, clinic: Path) -> None:
    table = read.source(SourceConfig(url=URL, table="patients"))
    assert table.rows == [
        (1, "00123", date(1980, 2, 29), at("2020-01-01T10:00"), 12.5, None),
        (2, "7", None, None, 3.0, "x"),
    ]


def test_a_query_is_read_and_its_order_kept(read: Any, clinic: Path) -> None:
    table = read.source(SourceConfig(url=URL, query="SELECT id, cost * 2 AS twice FROM patients ORDER BY id DESC"))
    assert table.rows == [(2, 6.0), (1, 25.0)]


@pytest.mark.parametrize(("name", "rows"), [('odd "name', [("5",), ("five",)]), ("recent", [(1,), (2,)])])
def test_odd_table_names_and_views_are_read(read: Any, clinic: Path, name: str, rows: list[tuple[Any, ...]]) -> None:
    assert read.source(SourceConfig(url=URL, table=name)).rows == rows


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"url": "sqlite:///gone.db", "table": "t"}, "database file does not exist"),
        ({"url": "sqlite:///text.db", "table": "t"}, "no SQLite database"),
        ({"url": URL, "table": "patient"}, "no such table. The tables of its schema main are .*'patients'"),
        (
            {"url": "sqlite:///bare.db", "table": "t"},
            "no such table. It has no tables at all: check that this is the right",
        ),
        ({"url": URL, "query": "SELECT nothing_here FROM patients"}, "refused the query"),
        ({"url": URL, "query": "DELETE FROM patients"}, "refused the query"),
        ({"url": URL, "query": "CREATE TEMP TABLE x (a)"}, "no SELECT"),
        ({"url": URL, "table": "hollow"}, "no rows"),
        ({"url": URL, "table": "files"}, "binary data"),
    ],
)
def test_a_source_that_gives_no_table_is_refused(read: Any, clinic: Path, source: dict[str, str], message: str) -> None:
    read.write("no database at all", "text.db")
    with sqlite3.connect(read.base / "bare.db") as bare:
        bare.executescript("CREATE TABLE t (a); DROP TABLE t;")
    bare.close()
    with pytest.raises(SourceError, match=message):
        read.source(SourceConfig(**source))
    assert not (read.base / "gone.db").exists()


def test_a_missing_table_is_reported_with_the_tables_that_are_there(read: Any, clinic: Path) -> None:
    with pytest.raises(SourceError, match=r"'files', 'hollow', .*'patients'"):
        read.source(SourceConfig(url=URL, table="patient"))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://h/d", "only SQLite and PostgreSQL"),
        ("nonsense", "malformed"),
        ("sqlite://", "must name a file"),
        ("postgresql://u:${NO_SUCH_VARIABLE}@h/d", "variable NO_SUCH_VARIABLE is not set"),
    ],
)
def test_a_url_that_cannot_be_used_is_an_error_of_the_configuration(read: Any, url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read.source(SourceConfig(url=url, table="t"))
    assert caught.value.key == "source.url"


def test_a_database_that_does_not_answer_is_unavailable_and_its_password_stays_secret(
    read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_PASSWORD", "hunter2")
    with pytest.raises(ServiceUnavailableError) as caught:
        read.source(
            SourceConfig(url="postgresql://u:${DB_PASSWORD}@127.0.0.1:1/clinic?application_name=hunter2", table="t")
        )
    assert "hunter2" not in str(caught.value)
    assert "127.0.0.1/clinic" in str(caught.value)


def test_the_fingerprint_of_sqlite_follows_the_file_and_the_query(read: Any, clinic: Path) -> None:
    first = source_fingerprint(SourceConfig(url=URL, table="patients"), read.base)
    assert source_fingerprint(SourceConfig(url=URL, table="patients"), read.base) == first
    assert source_fingerprint(SourceConfig(url=URL, table="hollow"), read.base) != first
    with sqlite3.connect(clinic) as connection:
        connection.execute("INSERT INTO hollow VALUES (1)")
    connection.close()
    assert source_fingerprint(SourceConfig(url=URL, table="patients"), read.base) != first


def test_the_fingerprint_of_a_server_changes_with_the_day_and_not_with_the_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = SourceConfig(url="postgresql://u:${DB_PASSWORD}@h/d", query="SELECT 1")
    prints = set()
    for password in ("one", "two"):
        monkeypatch.setenv("DB_PASSWORD", password)
        prints.add(source_fingerprint(source, Path()))
    assert len(prints) == 1


@pytest.mark.postgres
def test_postgresql_is_read_with_its_types(read: Any, postgres_url: str) -> None:
    import sqlalchemy

    engine = sqlalchemy.create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg2://"))
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE SCHEMA care"))
        connection.execute(
            sqlalchemy.text(
                "CREATE TABLE care.visits AS SELECT i AS id, (i * 1.25)::numeric(10,2) AS cost, now() > '2000-01-01' AS ok,"
                " lpad(i::text, 5, '0') AS zip, date '2020-01-01' + i AS day, timestamptz '2020-01-01 00:00:00+02' AS seen,"
                " timestamp '2020-01-01 00:00:00' AS local, json_build_object('k', i) AS extra, gen_random_uuid() AS token,"
                " NULL::int AS nothing, i::numeric AS whole FROM generate_series(1, 50000) i"
            )
        )
    engine.dispose()
    table = read.source(SourceConfig(url=postgres_url, table="care.visits"))
    assert table.schema.row_count == 50_000
    seen = datetime(2019, 12, 31, 22, tzinfo=UTC).replace(tzinfo=None)
    assert table.rows[0][:8] == (1, 1.25, True, "00001", date(2020, 1, 2), seen, at("2020-01-01T00:00"), '{"k":1}')
    assert (table.kind("token"), table.kind("id"), table.dtype("whole")) == ("id", "id", "int64")
    assert table.schema.column("cost").decimals == 2
    for query in ("DELETE FROM care.visits", "CREATE TABLE x (a int)", "SELECT secret FROM care.visits"):
        with pytest.raises(SourceError, match=r"refused the query .*SQLSTATE") as caught:
            read.source(SourceConfig(url=postgres_url, query=query))
        assert "secret" not in str(caught.value)
    with pytest.raises(SourceError, match=r"no such table. Its schema public has none that this user sees: .*rights"):
        read.source(SourceConfig(url=postgres_url, table="visits"))
    with pytest.raises(SourceError, match=r"no such table. The tables of its schema care are 'visits'"):
        read.source(SourceConfig(url=postgres_url, table="care.visit"))
