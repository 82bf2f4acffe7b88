"""The most exposed rows: a model that keeps only these is found, and a fresh sample is not."""

from __future__ import annotations

import numpy as np
import pytest

from synth_assets.audit.prepare import Part
from synth_assets.audit.privacy.exposure import draw_pool, exposed_findings
from synth_assets.audit.privacy.neighbours import Encoder
from synth_assets.config.thresholds import AuditLevels
from synth_assets_tests.unit.audit.worlds import prepared

LEVELS = AuditLevels()


def _table(rows, rng):
    """Most people are alike; one in twenty has values of their own."""
    odd = rng.random(rows) < 0.05
    made = {f"x{i}": np.where(odd, rng.uniform(-9, 9, rows), rng.normal(0, 0.1, rows)) for i in range(3)}
    return {**made, "c": np.where(odd, rng.integers(2, 80, rows), rng.integers(0, 2, rows)), "odd": odd}


def _found(synthetic, train, holdout):
    sides = {"synthetic": synthetic, "train": train, "holdout": holdout}
    texts = {
        s: {**{n: t[n].tolist() for n in ("x0", "x1", "x2")}, "c": [f"c{v}" for v in t["c"]]} for s, t in sides.items()
    }
    data = prepared(**texts)
    pool = draw_pool(data.parts["train"], data.parts["holdout"], rows=5000, reference_rows=5000, seed=1)
    encoder = Encoder(data)
    found = exposed_findings(pool, encoder, encoder.encode(data.parts["synthetic"]), LEVELS)
    return {f.metric.partition(".")[2]: f for f in found}


def test_a_model_that_keeps_its_rare_rows_is_found():
    rng = np.random.default_rng(0)
    train, holdout, fresh = _table(2000, rng), _table(2000, rng), _table(2000, rng)
    rare = {n: np.concatenate([fresh[n], train[n][train["odd"]] + (0 if n in ("c", "odd") else 1e-4)]) for n in fresh}
    found = _found(rare, train, holdout)
    assert found["membership"].risk_level == "high"
    assert found["near_copies"].risk_level == "high"
    assert found["near_copies"].value > 0.4
    assert found["near_copies"].baseline < 0.2
    assert found["membership"].sample_size == pytest.approx(120, abs=15)  # a tenth of 1,200 rows on either side


def test_a_fresh_sample_exposes_nobody_more():
    levels, excess = [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        found = _found(_table(1500, rng), _table(1500, rng), _table(1500, rng))
        levels += [f.risk_level for f in found.values()]
        excess.append([f.excess for f in found.values()])
    assert set(levels) == {"low"}
    assert np.abs(np.mean(excess, axis=0)).max() < 0.06


def test_the_pool_holds_one_row_per_unit_and_its_reference_other_units():
    units = np.repeat(np.arange(500), 3)
    part = Part(1500, {"x": np.arange(1500.0)}, units)
    pool = draw_pool(part, part, rows=5000, reference_rows=5000, seed=1)
    assert len(np.unique(pool.others.units)) == pool.others.held == pool.members.held == 300
    assert not set(pool.others.units) & set(pool.reference.units)


def test_too_few_rows_have_no_pool():
    part = Part(300, {"x": np.arange(300.0)})
    assert draw_pool(part, part, rows=5000, reference_rows=100, seed=1) is None
