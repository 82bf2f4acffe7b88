"""Query accuracy: answers and relative errors by hand, the workload, and tables on which queries must go right or wrong."""

from __future__ import annotations

import numpy as np
import pytest

from synth_assets.audit import audit_frames
from synth_assets.audit.utility.queries import Filter, Query, query_findings, relative_errors, workload
from synth_assets.config.thresholds import AuditLevels, AuditLimits
from synth_assets.tables.engine import Engine
from synth_assets_tests.unit.audit.worlds import prepared

LIMITS, LEVELS = AuditLimits(queries=150, draws=100), AuditLevels()
REAL = {"x": [1, 2, 3, 4, None], "c": ["a", "a", "b", "b", None], "n": [10, 20, 30, 40, 50]}
OTHER = {"x": [1, 1, 3, 9], "c": ["a", "b", "b", None], "n": [10, 20, 30, 60]}


def _errors(*queries):
    data = prepared(train=REAL, synthetic=OTHER)
    return relative_errors(data, queries, data.parts["train"], data.parts["synthetic"])


def test_a_count_by_hand():
    wanted = Query("counts", (Filter("x", 1, 3),))  # 3 of 5 real rows, 3 of 4 others
    assert _errors(wanted) == pytest.approx([(3 / 4 - 3 / 5) / (3 / 5)])


def test_categories_and_several_filters_by_hand():
    only_a = Filter("c", members=np.array([True, False, False]))
    assert _errors(Query("counts", (only_a,))) == pytest.approx([(2 / 5 - 1 / 4) / (2 / 5)])
    both = Query("counts", (only_a, Filter("x", 2, 9)))  # 1 of 5 real rows, none of the others
    assert _errors(both) == pytest.approx([1.0])


def test_sums_and_means_by_hand():
    low = (Filter("x", 1, 3),)
    assert _errors(Query("aggregates", low, "n")) == pytest.approx([abs((10 + 20 + 30) / 4 - (10 + 20 + 30) / 5) / 12])
    assert _errors(Query("aggregates", low, "n", mean=True)) == pytest.approx([0.0])
    assert _errors(Query("aggregates", (Filter("x", 4, 9),), "n", mean=True)) == pytest.approx([20 / 40])


def test_a_mean_over_no_row_of_the_other_table_counts_as_a_full_error():
    assert _errors(Query("aggregates", (Filter("x", 4, 4),), "n", mean=True)) == pytest.approx([1.0])
    assert _errors(Query("aggregates", (Filter("x", 7, 7),), "n", mean=True)) == pytest.approx([0.0])  # neither has one
    assert _errors(Query("aggregates", (Filter("x", 9, 9),), "n", mean=True)) == pytest.approx([1.0])


def test_group_bys_by_hand():
    counts = Query("groups", (), by="c")  # real 2/5 and 2/5, other 1/4 and 2/4
    assert _errors(counts) == pytest.approx([((2 / 5 - 1 / 4) + (2 / 4 - 2 / 5)) / (4 / 5)])
    sums = Query("groups", (), "n", by="c")  # real 30/5 and 70/5, other 10/4 and 50/4
    assert _errors(sums) == pytest.approx([((6 - 2.5) + (14 - 12.5)) / 20])
    binned = Query("groups", (), by="x", edges=np.array([2.5]))  # real 2/5 and 2/5 (one missing), other 2/4 and 2/4
    assert _errors(binned) == pytest.approx([(0.1 + 0.1) / 0.8])


def test_an_answer_near_zero_is_compared_with_the_sanity_bound():
    nothing = Query("counts", (Filter("x", 9, 9),))  # none of the real rows, 1 of 4 others
    assert _errors(nothing) == pytest.approx([0.25 / 0.001])


def _table(rows, seed, *, shuffled=False):
    rng = np.random.default_rng(seed)
    x = rng.gamma(2, 10, rows)
    table = {
        "x": x.tolist(),
        "y": (x * 2 + rng.normal(size=rows)).tolist(),
        "c": np.where(x > 20, "high", np.where(x > 10, "mid", "low")).tolist(),
        "d": np.where(x + rng.normal(scale=5, size=rows) > 18, "yes", "no").tolist(),
    }
    return {k: rng.permutation(v).tolist() for k, v in table.items()} if shuffled else table


def _found(synthetic, **options):
    data = prepared(train=_table(1500, 1), synthetic=synthetic, **options)
    return {f.metric: f for f in query_findings(data, limits=LIMITS, levels=LEVELS, seed=3)}


def test_the_workload_has_every_kind_and_leaves_real_rows():
    data = prepared(train=_table(1500, 1), synthetic=_table(10, 2))
    real = data.parts["train"]
    made = workload(data, real, 300, seed=4)
    assert [sum(q.kind == kind for q in made) for kind in ("counts", "aggregates", "groups")] == [100, 100, 100]
    assert {q.mean for q in made if q.kind == "aggregates"} == {True, False}
    assert {len(q.filters) for q in made} == {0, 1, 2, 3}
    for query in made:
        chosen = np.all([f.rows(real) for f in query.filters] or [np.ones(1500, dtype=bool)], axis=0)
        assert chosen.mean() >= 0.01
    assert repr(workload(data, real, 5, seed=4)) == repr(made[:5])
    assert repr(workload(data, real, 5, seed=5)) != repr(made[:5])


def test_a_table_without_numbers_has_counts_and_group_bys_only():
    texts = {"c": ["a", "b", "b"] * 40, "d": ["x", "y", "x"] * 40}
    data = prepared(train=texts, synthetic=texts)
    made = workload(data, data.parts["train"], 30, seed=4)
    assert {q.kind for q in made} == {"counts", "groups"}
    assert all(q.measure is None for q in made)


def test_unseen_real_rows_answer_as_well_as_unseen_real_rows():
    found = _found(_table(1000, 2), holdout=_table(800, 3))
    assert set(found) == {
        "query_error",
        "query_error.p90",
        "query_error.counts",
        "query_error.aggregates",
        "query_error.groups",
    }
    for finding in found.values():
        assert finding.risk_level == "low"
        assert not finding.decides
        assert (finding.sample_size, finding.control_size) == (800, 800)  # equally many rows
        assert finding.interval[0] <= finding.value <= finding.interval[1]
        assert finding.excess_interval[0] <= finding.excess <= finding.excess_interval[1]


def test_shuffled_columns_answer_queries_wrongly():
    found = _found(_table(1000, 2, shuffled=True), holdout=_table(800, 3))
    assert found["query_error"].risk_level == "high"
    assert found["query_error.p90"].excess > 0.15
    assert found["query_error.p90"].value > found["query_error"].value


def test_without_held_out_rows_the_errors_stand_alone():
    found = _found(_table(1000, 2))
    assert found["query_error"].baseline is None
    assert found["query_error"].excess is None
    assert found["query_error"].sample_size == 1000
    assert "nobody can tell" in found["query_error"].message


def test_no_message_names_a_column_or_a_value():
    for finding in _found(_table(1000, 2), holdout=_table(800, 3)).values():
        assert not any(word in finding.message for word in ("'x'", "'c'", 'high"', "mid", " yes "))
        assert finding.details == {"queries": finding.details["queries"]}


def test_a_column_without_any_real_value_is_not_asked_for():
    table = _table(200, 1) | {"empty": [None] * 199 + ["a"]}
    data = prepared(train=table | {"empty": [None] * 200}, synthetic=table)
    made = workload(data, data.parts["train"], 60, seed=4)
    assert not any(f.column == "empty" for q in made for f in q.filters)
    assert all(q.by != "empty" for q in made)
    assert np.isfinite(relative_errors(data, made, data.parts["train"], data.parts["synthetic"])).all()


def test_without_an_outcome_utility_is_null_with_a_reason_and_queries_still_run():
    import pandas as pd

    frames = [pd.DataFrame(_table(120, seed)) for seed in (2, 1, 3)]
    result = audit_frames(*frames, engine=Engine(threads=1), seed=1)
    assert result.module_scores.utility is None
    assert result.reasons["utility"] == "No outcome column is named."
    assert result.level("utility") is None
    assert {f.metric for f in result.findings("utility")} >= {"query_error", "query_error.p90"}
    assert {f.metric for f in result.public().findings("utility")} >= {"query_error", "query_error.p90"}
    alone = audit_frames(frames[0], engine=Engine(threads=1), seed=1)
    assert alone.findings("utility") == ()
