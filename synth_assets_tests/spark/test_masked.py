"""Masks that know more than their own row, on both engines: keys as texts of numbers, and made-up names that two people drew."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synth_assets.masking.plan import plan_tables
from synth_assets.masking.policies import load_policy
from synth_assets.masking.prepare import MaskInput
from synth_assets.masking.run import mask_tables
from synth_assets.tables.engine import Engine
from synth_assets.tables.schema import ForeignKey
from synth_assets_tests.spark.conftest import DUCK, SOCKET, stored
from synth_assets_tests.spark.test_chain import KEY, schema_of

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600), pytest.mark.filterwarnings(SOCKET)]
ROWS = 150


def test_keys_that_are_texts_of_numbers_and_names_that_met_are_the_same(spark: Engine, tmp_path: Path) -> None:
    from synth_assets_tests.unit.masking.conftest import verdict

    ids = [7 * i - 40 for i in range(ROWS)]
    tables = {
        "people": pa.table({"pid": ids, "town": [f"Town {'ÄSſKß'[i % 5]}{i}" for i in range(ROWS)]}),
        "bills": pa.table({"bid": list(range(ROWS)), "pid": [str(i) if i % 3 else None for i in ids]}),
    }
    key = ForeignKey(columns=("pid",), parent_table="people", parent_columns=("pid",))
    schemas = {
        "people": schema_of(tables["people"], "people", "pid"),
        "bills": schema_of(tables["bills"], "bills", "bid", key),
    }
    types = {"people": {"pid": "customer_id", "town": "city"}, "bills": {"bid": "account_number", "pid": "customer_id"}}
    verdicts = {n: tuple(verdict(c, t) for c, t in columns.items()) for n, columns in types.items()}
    plans = plan_tables(verdicts, load_policy("dev_test"), schemas=schemas, as_of=date(2025, 12, 31))
    assert plans["bills"].column("pid").joins_numbers
    inputs = {n: MaskInput(stored(t, tmp_path / "raw" / n, parts=2), schemas[n], plans[n]) for n, t in tables.items()}
    made = []
    for engine in (DUCK, spark):
        out = {n: tmp_path / engine.name / n for n in tables}
        mask_tables(inputs, out, key=KEY, engine=engine)
        made.append({n: pq.read_table(sorted(p.glob("part-*.parquet"))) for n, p in out.items()})
    assert made[0] == made[1]
    towns = made[1]["people"]["town"].to_pylist()
    assert len(set(towns)) == ROWS
    assert [t for t in towns if t[-6:].isdigit()]  # some drew the same name
    people = dict(zip(ids, made[1]["people"]["pid"].to_pylist(), strict=True))
    assert [None if i % 3 == 0 else str(people[i]) for i in ids] == made[1]["bills"]["pid"].to_pylist()
