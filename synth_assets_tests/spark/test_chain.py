"""The steps of the chain on Spark: equal to DuckDB's, masked tables byte for byte in every cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synth_assets.config.policy import Rule
from synth_assets.errors import ConfigError, InputError
from synth_assets.masking.plan import plan_tables
from synth_assets.masking.policies import load_policy
from synth_assets.masking.prepare import MaskInput
from synth_assets.masking.run import mask_tables
from synth_assets.pii.classify import classify_table
from synth_assets.storage.secrets import SecretKey
from synth_assets.tables.cells import TableDomain, category_cells, date_cells, datetime_cells, number_cells
from synth_assets.tables.engine import Engine, Session, SparkOptions
from synth_assets.tables.engine_marginals import FanOut, ParquetTable
from synth_assets.tables.schema import ColumnSchema, ForeignKey, TableSchema
from synth_assets.tables.split import SplitTable, split_tables
from synth_assets_tests.spark.conftest import DUCK, stored

pytestmark = pytest.mark.slow  # a Spark of its own; every query is planned for seconds
KEY = SecretKey(bytes(range(32)))
_KINDS = {"int64": "number", "double": "number", "string": "category", "bool": "boolean"}
_KINDS |= {"date32[day]": "date", "timestamp[us]": "datetime"}


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
        }
    )


TYPES = {
    "people": {"pid": "customer_id", "name": "person_name", "born": "birth_date", "sex": "sex", "weight": "none"},
    "visits": {"vid": "other_id", "pid": "customer_id", "start": "event_date", "mail": "email"},
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
        summaries = mask_tables(inputs, out, key=KEY, engine=engine, release_domain="test")
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


def test_verdicts_are_the_same(inputs: Mapping[str, MaskInput], spark: Engine) -> None:
    first, second = (classify_table(inputs["people"].path, inputs["people"].schema, e) for e in (DUCK, spark))
    assert first == second


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


def test_what_is_not_made_for_spark_is_refused_before_anything_is_read(
    inputs: Mapping[str, MaskInput], spark: Engine, tmp_path: Path
) -> None:
    plan = inputs["visits"].plan
    columns = tuple(
        c.model_copy(update={"rule": Rule(action="scrub")}) if c.column == "mail" else c for c in plan.columns
    )
    tables = {"visits": replace(inputs["visits"], plan=plan.model_copy(update={"columns": columns}))}
    with pytest.raises(ConfigError, match=r"visits.columns.mail.*scrub"):
        mask_tables(tables, {"visits": tmp_path / "out"}, key=KEY, engine=spark)
    assert not (tmp_path / "out").exists()


def test_without_pyspark_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pyspark", None)
    monkeypatch.delitem(sys.modules, "synth_assets.tables.engine_spark", raising=False)
    monkeypatch.delitem(sys.modules, "ibis.backends.pyspark", raising=False)
    with pytest.raises(ConfigError, match="not installed"), Engine(spark=SparkOptions("local")).session():
        pass
