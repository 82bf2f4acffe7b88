"""Our attack rates beside those of anonymeter 1.1.0, recorded once by `benchmarks/anonymeter.py`, on the same tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from synth_assets.audit.intervals import wilson
from synth_assets.audit.prepare import Part, Prepared, Tables, compared_columns, prepare
from synth_assets.audit.privacy.disclosure import inference_rates, linked, split_columns
from synth_assets.audit.privacy.neighbours import Encoder
from synth_assets.audit.privacy.singling_out import multivariate_predicates, single_out, univariate_predicates
from synth_assets.audit.tables import infer_schema
from synth_assets.tables.engine import Engine
from synth_assets_tests.unit.audit.worlds import anonymeter_world, sdv_copula

RECORD = json.loads((Path(__file__).parent / "data" / "anonymeter.json").read_text())
ATTACKS = 500


def _read(tables: dict[str, pd.DataFrame]) -> Prepared:
    with Engine(threads=1).files_session() as session:
        made = {n: ibis.memtable(pa.Table.from_pandas(f, preserve_index=False)) for n, f in tables.items()}
        opened = Tables(session, **made)
        columns, left_out = compared_columns(infer_schema(opened), opened.present(), frozenset())
        return prepare(opened, columns, left_out, limit=10**6, seed=0)


def _sample(part: Part, rows: int, rng: np.random.Generator) -> Part:
    return part if part.held <= rows else part.take(rng.permutation(part.held)[:rows])


def _rates(data: Prepared, record: dict[str, Any], rows: int) -> dict[str, tuple[float, float]]:
    """Attack and control rates per attack, with the settings of the record; guessed numbers must be met exactly, as there."""
    rng = np.random.default_rng(5)
    synthetic, train, holdout = (data.parts[side] for side in ("synthetic", "train", "holdout"))
    found = {}
    makers = {
        "univariate": univariate_predicates(data, synthetic, 2 * ATTACKS, rng),
        "multivariate": multivariate_predicates(data, synthetic, ATTACKS, rng, columns=record["columns"]),
    }
    for name, predicates in makers.items():
        assert len(predicates) >= ATTACKS
        found[f"singling_out.{name}"] = single_out(predicates, train, holdout, seed=1).rates
    encoder = Encoder(data)
    targets, controls = _sample(train, rows, rng), _sample(holdout, rows, rng)
    base, members, others = (encoder.encode(part) for part in (synthetic, targets, controls))
    halves = split_columns(data.names)
    links = [linked(side, base, halves, neighbours=record["neighbours"]).mean() for side in (members, others)]
    found["linkability"] = (float(links[0]), float(links[1]))
    parts, encoded = (synthetic, targets, controls), (base, members, others)
    for name, rates in inference_rates(data, parts, encoded, data.names, tolerance=0.0).items():
        found[f"attribute_inference.{name}"] = (rates.attack / rates.attacked, rates.control / rates.controls)
    return found


def _interval(runs: list[dict[str, float]], key: str) -> tuple[float, float]:
    """The 95 % interval that anonymeter gives to its mean number of successes."""
    return wilson(float(np.mean([run[key] for run in runs])), ATTACKS)


def _outside(found: dict[str, tuple[float, float]], record: dict[str, Any], *, side: int) -> dict[str, Any]:
    key = ("attack", "control")[side]
    wanted = {name: _interval(runs, key) for name, runs in record["rates"].items()}
    assert set(wanted) == set(found)
    return {n: (found[n][side], span) for n, span in wanted.items() if not span[0] <= found[n][side] <= span[1]}


def test_attack_rates_lie_inside_anonymeters_intervals_on_a_table_that_leaks():
    found = _rates(_read(anonymeter_world()), RECORD["made"], rows=2_000)
    assert _outside(found, RECORD["made"], side=0) == {}


def test_control_rates_agree_where_both_tables_have_one_size():
    found = _rates(_read(anonymeter_world()), RECORD["made"], rows=2_000)
    assert _outside(found, RECORD["made"], side=1) == {}


def test_a_comparison_with_another_table_would_fail():
    """The negative control of this file: the same attacks on a table that copies nothing."""
    tables = anonymeter_world()
    found = _rates(_read({**tables, "train": tables["holdout"]}), RECORD["made"], rows=2_000)
    assert len(_outside(found, RECORD["made"], side=0)) > 8


@pytest.mark.slow
@pytest.mark.shared_data
def test_attack_rates_lie_inside_anonymeters_intervals_on_adult_with_sdvs_copula(shared_data):
    names = ("train", "holdout")
    tables = {n: pd.read_csv(shared_data / "adult" / f"{n}.csv", keep_default_na=False) for n in names}
    found = _rates(_read({**tables, "synthetic": sdv_copula(tables["train"])}), RECORD["adult"], rows=2_000)
    assert _outside(found, RECORD["adult"], side=0) == {}
