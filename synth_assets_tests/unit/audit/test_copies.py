"""Exact and near copies: by hand, fair without a leak, and high where one person in a hundred is copied."""

from __future__ import annotations

import numpy as np
import pytest

from synth_assets.audit.prepare import Part, Prepared
from synth_assets.audit.privacy.copies import (
    Copies,
    Exposed,
    Hashed,
    copied_level,
    copies_finding,
    count_copies,
    exposed,
    exposed_by,
    near_copies_findings,
)
from synth_assets.config.thresholds import AuditLevels
from synth_assets_tests.unit.audit.worlds import prepared

LEVELS = AuditLevels()


def _rows(*hashes):
    return Hashed(np.array(hashes), np.arange(len(hashes)))


def test_copies_by_hand():
    made = count_copies(np.array([1, 1, 2, 9]), _rows(1, 2, 3), None, seed=0)
    assert (made.rows, made.train, made.share) == (4, 3, 0.75)
    made = count_copies(np.array([1, 1, 2, 7, 9]), _rows(1, 2, 3), _rows(7, 8, 2), seed=0)
    assert (made.only_train, made.only_control, made.scale) == (2, 1, 1.0)  # the two 1s; 7; 2 stands on both sides
    assert made.excess == pytest.approx(0.2)
    assert made.people == Exposed(2, 3, 2, 3)  # 1 and 2; 7 and 2


def test_a_person_counts_once_and_by_any_row():
    hits = np.array([True, True, False, False])
    made = exposed(np.array([5, 5, 6, 7]), hits, np.array([1, 2, 3, 4]), ~hits)
    assert made == Exposed(1, 3, 2, 4)


def test_copies_are_fair_where_the_holdout_is_smaller():
    excess, people = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        tables = [Hashed(rng.integers(0, 3000, n), np.arange(n)) for n in (1200, 300)]
        made = count_copies(rng.integers(0, 3000, 1000), *tables, seed)
        excess.append(made.excess)
        people.append(made.people.excess)
    assert abs(np.mean(excess)) < 0.03
    assert abs(np.mean(people)) < 0.01


def test_copies_are_fair_where_people_have_several_equal_rows():
    excess = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        tables = [Hashed(np.repeat(rng.integers(0, 1000, n), 3), np.repeat(np.arange(n), 3)) for n in (400, 100)]
        excess.append(count_copies(rng.integers(0, 1000, 1000), *tables, seed).excess)
    assert abs(np.mean(excess)) < 0.03


def test_a_full_copy_has_an_excess_of_one_whatever_the_sizes():
    rows = np.arange(1000)
    made = count_copies(rows, Hashed(rows, rows), Hashed(5000 + np.arange(250), np.arange(250)), seed=1)
    assert made.share == 1.0
    assert made.excess == 1.0
    assert copies_finding(made, LEVELS).risk_level == "high"


def test_one_copied_person_in_a_hundred_is_high_although_the_rate_is_small():
    synthetic = np.concatenate([10_000 + np.arange(990), np.arange(20)])
    train, control = Hashed(np.arange(2000), np.arange(2000)), Hashed(5000 + np.arange(1000), np.arange(1000))
    finding = copies_finding(count_copies(synthetic, train, control, seed=1), LEVELS)
    assert finding.excess_interval[1] < LEVELS.disclosure.medium  # an average would pass
    assert finding.details["people_excess"] == pytest.approx(0.01)
    assert finding.risk_level == "high"
    assert finding.message == (
        "0.01 of the people in the training table have an exact copy among the synthetic rows; of unseen people under 0.01. Chance does "
        "not explain the difference: high risk."
    )


def test_many_coincidences_are_no_copies():
    """A table of few columns: half of all rows are found, seen or not."""
    levels = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        tables = [Hashed(rng.integers(0, 500, n), np.arange(n)) for n in (4000, 2000)]
        made = count_copies(rng.integers(0, 500, 350), *tables, seed)
        assert made.people.rates[0] > 0.4
        levels.append(copied_level(0.0, made.people, LEVELS))
    assert levels.count("low") == 20


def test_without_a_control_copies_decide_nothing():
    finding = copies_finding(Copies(100, 100), LEVELS)
    assert not finding.decides
    assert finding.excess_interval is None


def test_a_key_that_several_people_share_points_at_nobody():
    units = np.array([0, 1, 1]), np.array([2, 3])
    keys = [(np.array([10, 20, 30], np.uint64), np.array([10, 20, 20], np.uint64), np.array([10, 30], np.uint64))]
    assert exposed_by(keys, units) == Exposed(1, 2, 1, 2)  # 20: twice the same person; 30; 10 is of two


def _table(rows, rng):
    return {
        "x": rng.normal(size=rows).round(3),
        "y": rng.integers(0, 100_000, rows).astype(float),
        "a": rng.integers(0, 25, rows),
        "b": rng.integers(0, 5, rows),
        "c": rng.integers(0, 5, rows),
    }


def _prepared(**tables):
    texts = [dict(t, **{n: [f"v{v}" for v in t[n]] for n in "abc"}) for t in tables.values()]
    made = prepared(**{side: {n: list(v) for n, v in t.items()} for side, t in zip(tables, texts, strict=True)})
    return Prepared(made.columns, made.labels, made.parts, {})


def _near(data):
    parts = tuple(data.parts[side] for side in ("synthetic", "train", "holdout"))
    return {f.metric.partition(".")[2]: f for f in near_copies_findings(data, parts, LEVELS, seed=1)}


def _mixed(fresh, copied):
    return {name: np.concatenate([fresh[name], copied[name]]) for name in fresh}


def _some(table, rows):
    return {name: values[:rows].copy() for name, values in table.items()}


def test_copies_with_one_changed_cell_are_high_and_fresh_rows_are_low():
    rng = np.random.default_rng(0)
    train, holdout, fresh = _table(2000, rng), _table(1000, rng), _table(2000, rng)
    found = _near(_prepared(synthetic=fresh, train=train, holdout=holdout))
    assert {f.risk_level for f in found.values()} == {"low"}
    copied = _some(train, 60)
    copied["a"] = (copied["a"] + 1) % 25
    found = _near(_prepared(synthetic=_mixed(fresh, copied), train=train, holdout=holdout))
    assert found["one_column"].risk_level == "high"
    assert found["one_column"].excess == pytest.approx(0.03, abs=0.01)
    assert found["moved_numbers"].risk_level == "low"


def test_copies_with_moved_numbers_are_high():
    rng = np.random.default_rng(0)
    train, holdout, fresh = _table(2000, rng), _table(1000, rng), _table(2000, rng)
    copied = _some(train, 60)
    copied["x"], copied["y"] = copied["x"] + 0.004, copied["y"] + 300
    found = _near(_prepared(synthetic=_mixed(fresh, copied), train=train, holdout=holdout))
    assert found["moved_numbers"].risk_level == "high"
    assert found["one_column"].risk_level == "low"
    assert found["moved_numbers"].sample_size == 2000
    assert found["moved_numbers"].control_size == 1000


def test_near_copies_are_fair_without_a_leak():
    excess = {"one_column": [], "moved_numbers": []}
    for seed in range(15):
        rng = np.random.default_rng(seed)
        tables = [
            {
                n: v % 7 if n == "a" else v.round(0) if n == "x" else v // 10_000 if n == "y" else v
                for n, v in _table(rows, rng).items()
            }
            for rows in (900, 900, 300)
        ]
        for name, finding in _near(_prepared(synthetic=tables[0], train=tables[1], holdout=tables[2])).items():
            excess[name].append(finding.excess)
            assert finding.value > 0.02  # there are coincidences
    assert all(abs(np.mean(values)) < 0.012 for values in excess.values())


def test_missing_values_and_minus_zero_are_values_like_others():
    table = {"x": np.array([np.nan, 0.0, 7.0]), "a": np.array([-1, 1, 1]), "b": np.array([0, 0, 0])}
    other = {"x": np.array([np.nan, -0.0, 8.0]), "a": np.array([-1, 1, 0]), "b": np.array([0, 0, 1])}
    columns = _prepared(synthetic=_table(3, np.random.default_rng(0))).columns[:1]
    data = Prepared(
        tuple(columns[0].model_copy(update={"name": n}) for n in "xab"),
        {"a": (), "b": ()},
        {"synthetic": Part(3, other)},
        {},
    )
    parts = Part(3, other), Part(3, table), Part(1, {n: np.array([v[2]]) for n, v in table.items()})
    found = near_copies_findings(data, parts, LEVELS, seed=1)[0]
    assert found.details["people_copied"] == 2  # the first two rows; the third of both sides is one profile
