"""The steps of the chain on Spark: equal to DuckDB's, masked tables byte for byte in every cell."""

from __future__ import annotations

import base64
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synth_assets.config.policy import Rule
from synth_assets.errors import ConfigError, InputError
from synth_assets.masking.keyring import release_key
from synth_assets.masking.plan import plan_tables
from synth_assets.masking.policies import load_policy
from synth_assets.masking.prepare import MaskInput
from synth_assets.masking.run import mask_tables
from synth_assets.masking.vault import TokenVault
from synth_assets.pii.classify import classify_table
from synth_assets.profiling.profile import profile_table
from synth_assets.storage.secrets import SecretKey
from synth_assets.tables.cells import TableDomain, category_cells, date_cells, datetime_cells, number_cells
from synth_assets.tables.engine import Engine, Session, SparkOptions
from synth_assets.tables.engine_rows import FanOut, ParquetTable
from synth_assets.tables.schema import ColumnSchema, ForeignKey, TableSchema
from synth_assets.tables.split import SplitTable, split_tables
from synth_assets_tests.spark.conftest import DUCK, SOCKET, near, stored

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900), pytest.mark.filterwarnings(SOCKET)]
KEY = SecretKey(bytes(range(32)))
_KINDS = {"int64": "number", "double": "number", "string": "category", "bool": "boolean"}
_KINDS |= {"date32[day]": "date", "timestamp[us]": "datetime"}


def whole_number(texts: pa.Array) -> pa.Array:
    """Fails with an error that quotes the text."""
    return texts.cast(pa.int64())


def people() -> pa.Table:
    """Six made-up people."""
    return pa.table(
        {
            "pid": [11, 12, 13, 14, 2**33, -7],
            "name": ["Dr. Ann O'Neil, MD", "Lee, Bo", "ÉMILE ZOLA", None, "Zoë Straße", "ann lee"],
            "born": pa.array([date(1931, 5, 6), date(1969, 12, 31), None, date(2000, 2, 29), date(1900, 1, 1), date(1970, 1, 1)]),
            "sex": ["F", "M", "male", None, "w", "x"],
            "weight": [71.25, None, 1e22, -0.5, 0.1, 80.0],
        }
    )  # fmt: skip


def visits() -> pa.Table:
    """Visits of these people, some of nobody."""
    at = [datetime(1969, 12, 31, 23, 59, 59, 999_999), datetime(2024, 2, 29, 12), None, datetime(2020, 1, 1)]
    return pa.table(
        {
            "vid": ["V1", "V2", "V3", "V4"],
            "pid": [13, 11, 11, None],
            "start": pa.array(at, pa.timestamp("us")),
            "mail": ["A@b.de", None, "ü@ö.de", ""],
            "card": ["4111 1111 1111 1111", "5555-5555-5555-4444", "4111111111111111", None],
            "note": ["Emile ZOLA (émile) called; V1, A@b.de", "met DR. O'NEIL and ssn 123-45-6789", None, "Zola, ſ"],
        }
    )


TYPES = {
    "people": {"pid": "customer_id", "name": "person_name", "born": "birth_date", "sex": "sex", "weight": "none"},
    "visits": {"vid": "other_id", "pid": "customer_id", "start": "event_date", "mail": "email", "card": "card_number", "note": "free_text"},
}  # fmt: skip


def schema_of(table: pa.Table, name: str, key: str, parent: ForeignKey | None = None) -> TableSchema:
    kinds = {f.name: _KINDS[str(f.type)] for f in table.schema}
    columns = [{"name": f.name, "kind": kinds[f.name], "dtype": str(f.type)} for f in table.schema]
    return TableSchema(
        name=name,
        columns=tuple(ColumnSchema.model_validate(c) for c in columns),
        primary_key=(key,),
        foreign_keys=(parent,) if parent else (),
        row_count=table.num_rows,
    )


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, MaskInput]:
    """Both tables with plans; the people in two files of which the second is the larger."""
    from synth_assets_tests.unit.masking.conftest import verdict

    folder = tmp_path_factory.mktemp("raw")
    tables = {"people": people(), "visits": visits()}
    key = ForeignKey(columns=("pid",), parent_table="people", parent_columns=("pid",))
    schemas = {
        "people": schema_of(tables["people"], "people", "pid"),
        "visits": schema_of(tables["visits"], "visits", "vid", key),
    }
    plans = plan_tables(
        {n: tuple(verdict(c, t) for c, t in types.items()) for n, types in TYPES.items()},
        load_policy("dev_test"),
        schemas=schemas,
        as_of=date(2025, 12, 31),
        unit=("people", "pid"),
    )
    columns = plans["visits"].columns
    tokenised = tuple(
        c.model_copy(update={"rule": Rule(action="tokenise")}) if c.column == "mail" else c for c in columns
    )
    plans["visits"] = plans["visits"].model_copy(update={"columns": tokenised})
    stored(tables["people"].slice(0, 1), folder / "people")
    pq.write_table(tables["people"].slice(1), folder / "people" / "part-00001.parquet")
    stored(tables["visits"], folder / "visits")
    return {n: MaskInput(folder / n, schemas[n], plans[n]) for n in tables}


def test_masked_tables_are_the_same_in_every_cell_and_in_the_same_order(
    inputs: Mapping[str, MaskInput], spark: Engine, tmp_path: Path
) -> None:
    made = {}
    for engine in (DUCK, spark):
        out = {n: tmp_path / engine.name / n for n in inputs}
        vault = TokenVault(f"sqlite:///{tmp_path / 'vault.db'}")
        summaries = mask_tables(inputs, out, key=KEY, engine=engine, release_domain="test", vault=vault)
        made[engine.name] = {n: pq.read_table(sorted(p.glob("part-*.parquet"))) for n, p in out.items()}
        assert all((out[n] / "part-00000.parquet").is_file() for n in out)
        assert all(not list(out[n].glob(".*")) for n in out)
        assert {n: s.rows for n, s in summaries.items()} == {"people": 6, "visits": 4}
    for name in inputs:
        duck, other = made["duckdb"][name], made["spark"][name]
        assert other.schema.equals(duck.schema)
        for column in duck.column_names:
            assert repr(other[column].to_pylist()) == repr(duck[column].to_pylist()), (name, column)
    assert not set(made["spark"]["people"]["name"].to_pylist()[:3]) & set(people()["name"].to_pylist())
    _no_secret_in_the_event_log(spark, inputs["visits"].plan.column("card").domain)


def _no_secret_in_the_event_log(spark: Engine, domain: str) -> None:
    """What Spark writes for its history server after a masking run: the queries, and neither keys nor values."""
    assert spark.spark is not None
    folder = Path(dict(spark.spark.conf)["spark.eventLog.dir"])
    log = b"".join(f.read_bytes() for f in folder.rglob("*") if f.is_file())
    assert b"batch_" in log
    assert b"sha2" in log
    release = release_key(KEY, "test")
    derived = release.derive(f"domain/{domain}/ff1/0").value
    for secret in (KEY.value, release.value, derived):
        told = {secret, secret.hex().encode(), *(base64.b64encode(secret[i:])[:-4] for i in range(3))}
        assert not [s for s in told if s in log]
    assert not [v for v in (b"O'Neil", b"4111 1111 1111", b"411111111111", b"123-45-6789") if v in log]


def test_verdicts_are_the_same(inputs: Mapping[str, MaskInput], spark: Engine) -> None:
    first, second = (classify_table(inputs["people"].path, inputs["people"].schema, e) for e in (DUCK, spark))
    assert first == second


def test_profiles_are_the_same_but_for_the_last_digits_of_sums(spark: Engine, tmp_path: Path) -> None:
    n, made = 300, np.random.default_rng(1)
    weights = made.normal(70, 9, n).round(2).tolist()
    table = pa.table(
        {
            "pid": list(range(n)),
            "name": [f"{('Ann', 'Émile', 'a b')[i % 3]}{k}" if i % 9 else None for i, k in enumerate(made.integers(90, size=n))],
            "born": [date(1920, 1, 1) + timedelta(days=int(k)) if k % 13 else None for k in made.integers(40_000, size=n)],
            "at": pa.array([datetime(1969, 1, 1) + timedelta(microseconds=int(k)) for k in made.integers(10**15, size=n)], pa.timestamp("us")),
            "flag": [(True, False, None)[k] for k in made.integers(3, size=n)],
            "weight": [(None, math.nan, 1e22, 0.0)[i % 4] if i % 5 == 0 else w for i, w in enumerate(weights)],
            "city": [("Ulm", "Köln", "Bonn", None)[k] for k in made.integers(4, size=n)],
        }
    )  # fmt: skip
    path, schema = stored(table, tmp_path, parts=3), schema_of(table, "people", "pid")
    found = [
        profile_table(path, schema, engine, quasi=("city", "born"), sensitive=("weight", "flag")).model_dump()
        for engine in (DUCK, spark)
    ]
    assert found[0]["duplicates"] == 0
    assert found[0] == near(found[1])


def test_the_split_puts_the_same_rows_on_the_same_side(
    inputs: Mapping[str, MaskInput], spark: Engine, tmp_path: Path
) -> None:
    tables = {n: SplitTable(i.path, i.schema, i.schema.names) for n, i in inputs.items()}
    found = []
    for engine in (DUCK, spark):
        out = tmp_path / engine.name
        counts = split_tables(tables, out, unit=("people", "pid"), holdout=0.4, key=KEY, engine=engine)
        sides = {
            (n, side): sorted(map(repr, pq.read_table(out / n / side).to_pylist()))
            for n in tables
            for side in ("train", "holdout")
        }
        found.append((counts, sides))
    assert found[0] == found[1]


def test_marginal_counts_are_the_same(inputs: Mapping[str, MaskInput], sessions: tuple[Session, Session]) -> None:
    domain = TableDomain(
        columns=(
            category_cells("sex", "string", ("F", "M"), is_open=True),
            number_cells("weight", "double", -10, 100),
            date_cells("born", date(1900, 1, 1), date(2020, 1, 1)),
            number_cells("visits_n", "int64", 0, 9),
        )
    )
    cliques = [("sex",), ("weight",), ("born", "sex"), ("visits_n", "weight")]
    times = TableDomain(columns=(datetime_cells("start", date(1960, 1, 1), date(2030, 1, 1)),))
    found = []
    for session in sessions:
        child = ParquetTable(
            session, inputs["visits"].path, columns=("start",), gate=lambda: None, unit_column="pid", max_per_unit=1
        )
        table = ParquetTable(session, inputs["people"].path, columns=("sex", "weight", "born"), gate=lambda: None)
        table.count_children(FanOut("visits_n", child, ("pid",), ("pid",)))
        counts = [c.tolist() for c in table.marginals(domain).counts(cliques)]
        sexes = [part if isinstance(part, list) else part.tolist() for part in table.frequencies("sex", "string")]
        found.append((counts, sexes, child.marginals(times).counts([("start",)])[0].sum()))
    assert found[0] == found[1]


def test_the_key_stands_in_no_plan_of_spark(sessions: tuple[Session, Session], tmp_path: Path) -> None:
    from synth_assets.masking.keyring import KeyRing, domain_key

    _, session = sessions
    ring = KeyRing(session, KEY)
    table = session.keep(session.parquet(stored(people(), tmp_path)))
    query = table.select(made=(ring.key("phone") + table["name"]).hexdigest("sha256"))
    frame = session._frame(query)  # type: ignore[attr-defined]
    plans = frame._jdf.queryExecution().toString()
    frame.collect()
    plans += frame._jdf.queryExecution().toString()
    assert "sha2" in plans
    assert domain_key(KEY, "phone") not in plans
    assert KEY.value.hex() not in plans


def test_a_folder_is_never_filled_twice(spark: Engine, tmp_path: Path) -> None:
    with spark.session() as session:
        table = session.parquet(stored(people(), tmp_path / "raw"))
        session.write(table, tmp_path / "out")
        with pytest.raises(InputError, match="already holds"):
            session.write(table, tmp_path / "out")
        session.write(table, tmp_path / "one.parquet")
    assert pq.read_table(tmp_path / "one.parquet").equals(people())
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_rows_that_are_coarsened_together_are_the_same(spark: Engine, tmp_path: Path) -> None:
    from synth_assets_tests.unit.masking.conftest import verdict

    n = 90
    table = pa.table(
        {
            "pid": list(range(n)),
            "age": [None if i % 17 == 0 else 20 + i % 50 for i in range(n)],
            "sex": ["FM"[i % 2] for i in range(n)],
            "city": [["Ulm", "Bonn", "Köln", None][i % 4] for i in range(n)],
        }
    )
    schema, types = (
        schema_of(table, "people", "pid"),
        {"pid": "customer_id", "age": "age", "sex": "sex", "city": "city"},
    )
    verdicts = {"people": tuple(verdict(c, t) for c, t in types.items())}
    plans = plan_tables(verdicts, load_policy("k_anonymity"), schemas={"people": schema}, as_of=date(2025, 12, 31))
    assert plans["people"].anonymity is not None
    inputs = {"people": MaskInput(stored(table, tmp_path / "raw", parts=2), schema, plans["people"])}
    made, outcomes = [], []
    for engine in (DUCK, spark):
        out = tmp_path / engine.name
        outcomes.append(mask_tables(inputs, {"people": out}, key=KEY, engine=engine)["people"].anonymity)
        made.append(pq.read_table(sorted(out.glob("part-*.parquet"))).to_pylist())
    assert outcomes[0] == outcomes[1]
    assert outcomes[0].classes > 1
    assert made[0] == made[1]


def test_batches_are_all_rows_once(sessions: tuple[Session, Session], tmp_path: Path) -> None:
    path = stored(people(), tmp_path, parts=3)
    for session in sessions:
        found = list(session.batches(session.parquet(path).select("pid", "name"), 4))
        assert [b.num_rows for b in found] == [4, 2]
        rows = [tuple(row.values()) for batch in found for row in batch.to_pylist()]
        assert sorted(rows) == sorted(tuple(r.values()) for r in people().select(["pid", "name"]).to_pylist())


@pytest.mark.parametrize(
    ("more", "refused"),
    [({}, True), ({"spark.network.crypto.enabled": "false"}, False), ({"spark.ssl.rpc.enabled": "true"}, False)],
)
def test_a_network_of_which_nothing_is_said_is_refused(more: dict[str, str], refused: bool) -> None:
    pytest.importorskip("pyspark")
    from synth_assets.tables.engine_spark import _refuse_open_network

    with pytest.raises(ConfigError, match="without encryption") if refused else nullcontext():
        _refuse_open_network("spark://host:7077", more)


def test_a_function_that_fails_in_a_worker_quotes_no_cell(sessions: tuple[Session, Session], tmp_path: Path) -> None:
    _, session = sessions
    whole = session.function(whole_number, ["string"], "int64")
    table = session.parquet(stored(pa.table({"v": ["secret-canary"]}), tmp_path))
    with pytest.raises(Exception, match="ArrowInvalid") as caught:
        session.arrow(table.select(n=whole(table.v)))
    assert "secret-canary" not in str(caught.value)


def test_what_spark_logs_here_quotes_no_cell_unless_somebody_turns_its_log_on(spark: Engine, tmp_path: Path) -> None:
    del spark  # skips where there is no Spark
    path = stored(pa.table({"v": ["secret-canary"]}), tmp_path)
    local = (("spark.ui.enabled", "false"), ("spark.driver.host", "127.0.0.1"))
    code = f"""
import sys
from pathlib import Path
from pyspark import SparkContext
from synth_assets.tables.engine import Engine, SparkOptions
with Engine(spark=SparkOptions("local[1]", {local!r})).session() as session:
    table = session.parquet(Path({str(path)!r}))
    for level in ("OFF", "WARN"):
        try:
            session.arrow(table.select(n=table.v.cast("int64")))
        except Exception as error:
            print(type(error).__name__)
        print("said", level, file=sys.stderr, flush=True)
        SparkContext._active_spark_context.setLogLevel("WARN")
"""
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYSPARK_GATEWAY")}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["NumberFormatException"] * 2, done.stderr[-500:]
    quiet, loud = done.stderr.split("said OFF")
    assert "secret-canary" not in quiet
    assert "secret-canary" in loud


def test_without_pyspark_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    monkeypatch.delitem(sys.modules, "synth_assets.tables.engine_spark", raising=False)
    monkeypatch.delitem(sys.modules, "ibis.backends.pyspark", raising=False)
    with pytest.raises(ConfigError, match="not installed"), Engine(spark=SparkOptions("local")).session():
        pass
