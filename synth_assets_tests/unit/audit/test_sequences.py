"""Rows in time: a sequence that was shuffled within its units must fail, held-out units must pass."""

from __future__ import annotations

import ibis
import numpy as np
import pytest

from synth_assets.audit.fidelity.sequences import autocorrelations, in_order, sequence_findings
from synth_assets.audit.prepare import Tables, prepare
from synth_assets.audit.tables import _arrow, audit_frames
from synth_assets.config.thresholds import AuditLevels
from synth_assets.tables.engine import Engine
from synth_assets.tables.schema import ColumnKind, ColumnSchema, TableSchema
from synth_assets_tests.unit.audit.worlds import prepared

SCHEMA = TableSchema(
    name="visits",
    columns=(
        ColumnSchema(name="pid", kind=ColumnKind.ID, dtype="string"),
        ColumnSchema(name="day", kind=ColumnKind.NUMBER, dtype="int64"),
        ColumnSchema(name="pressure", kind=ColumnKind.NUMBER, dtype="double"),
        ColumnSchema(name="state", kind=ColumnKind.CATEGORY, dtype="string"),
    ),
)


def _world(units, seed, rho=0.9):
    """Patients whose pressure and state hang together with those of the visit before; rows in random order."""
    import pandas as pd

    rng = np.random.default_rng(seed)
    rows = []
    for unit in range(units):
        x, day = rng.normal(), 0
        for _ in range(rng.integers(6, 16)):
            rows.append((f"{seed}-{unit}", day, 120 + 10 * x, "high" if x > 0.5 else "low" if x < -0.5 else "normal"))
            x, day = rho * x + (1 - rho**2) ** 0.5 * rng.normal(), day + int(rng.integers(5, 15))
    frame = pd.DataFrame(rows, columns=["pid", "day", "pressure", "state"])
    return frame.sample(frac=1, random_state=seed).reset_index(drop=True)


def _shuffled(frame, seed):
    """The values of every unit's rows in another order in time, the days as they were."""
    made = frame.sample(frac=1, random_state=seed).sort_values("pid", kind="stable").reset_index(drop=True)
    days = frame.sort_values(["pid", "day"])["day"].to_numpy()
    return made.assign(day=days)


def _findings(synthetic, *, holdout=True, limit=1_000_000, **options):
    frames = [synthetic, _world(400, 1), _world(200, 2) if holdout else None]
    with Engine(threads=1).files_session() as session:
        tables = Tables(session, *(None if f is None else ibis.memtable(_arrow(f, "a")) for f in frames))
        data = prepare(tables, SCHEMA.columns[1:], {}, limit=limit, seed=1)
        found, reason = sequence_findings(
            tables, data, options.get("order", "day"), options.get("units", ("pid",)), AuditLevels(), 1
        )
    return {(f.metric.removeprefix("sequence."), f.column): f for f in found}, reason


def test_fresh_units_pass_beside_held_out_ones():
    found, reason = _findings(_world(400, 3))
    assert reason is None
    for (metric, _), finding in found.items():
        assert finding.risk_level == "low", metric
        assert finding.baseline < 0.1
        assert (finding.sample_size, finding.control_size) == (400, 200)
    assert found["transitions", None].excess_interval[0] < 0 < found["transitions", None].excess_interval[1]


def test_rows_shuffled_within_their_units_fail():
    found, _ = _findings(_shuffled(_world(400, 3), 4))
    assert found["autocorrelation", None].value > 0.15
    assert found["autocorrelation", None].value > 3 * found["autocorrelation", None].baseline
    for column in (None, "pressure", "state"):
        finding = found["transitions", column]
        assert finding.value > 0.07
        assert finding.excess_interval[0] > 0
    assert found["gaps", None].value < 0.05  # the days were left as they were


def test_copied_units_are_at_distance_zero():
    found, _ = _findings(_world(400, 1))
    assert {f.value for f in found.values()} == {0.0}


def test_autocorrelation_matches_hand_calculation_and_does_not_cross_units():
    part = prepared(a={"x": [1, 2, 3, 4, 10, 8, 6, 4]}).parts["a"]
    steps = in_order(part, np.array([0, 0, 0, 0, 1, 1, 1, 1]), np.array([0.0, 1, 2, 3, 3, 2, 1, 0]))
    # in order 1, 2, 3, 4 and 4, 6, 8, 10; less the means of the units, 2.5 and 7
    earlier, later = np.array([-1.5, -0.5, 0.5, -3, -1, 1]), np.array([-0.5, 0.5, 1.5, -1, 1, 3])
    made = autocorrelations(steps, "x")
    assert made[0] == pytest.approx(np.corrcoef(earlier, later)[0, 1])
    assert made[1] == pytest.approx(np.corrcoef([-1.5, -0.5, -3, -1], [0.5, 1.5, 1, 3])[0, 1])
    assert made[2] is None  # units of four rows say nothing about a lag of three


def test_units_and_times_that_are_not_there_and_sampled_rows_give_a_reason():
    assert "lacks the columns" in _findings(_world(50, 3), units=("nobody",))[1]
    assert "lacks the columns" in _findings(_world(50, 3), order="when")[1]
    assert "were sampled" in _findings(_world(50, 3), limit=100)[1]
    assert "Fewer than 30 rows" in _findings(_world(50, 3).drop_duplicates("pid"))[1]


def test_without_held_out_units_there_is_no_baseline():
    found, _ = _findings(_world(100, 3), holdout=False)
    assert all(f.baseline is None and f.control_size is None for f in found.values())


def test_the_audit_of_a_table_measures_its_sequences_when_it_knows_the_order():
    frames = (_world(150, 3), _world(150, 1), _world(100, 2))
    known = audit_frames(*frames, schema=SCHEMA, order="day", units=("pid",))
    assert {f.metric for f in known.findings("fidelity", "sequence.")} == {
        "sequence.autocorrelation", "sequence.transitions", "sequence.gaps",
    }  # fmt: skip
    assert audit_frames(*frames, schema=SCHEMA).findings("fidelity", "sequence.") == ()
    told = audit_frames(*frames, schema=SCHEMA, order="day", units=("nobody",))
    assert "lacks the columns" in told.reasons["fidelity.sequences"]
