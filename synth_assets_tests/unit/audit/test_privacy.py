"""Samples of the privacy module."""

from __future__ import annotations

import numpy as np

from synth_assets.audit.prepare import Part
from synth_assets.audit.privacy.module import _some


def test_a_sample_holds_whole_units():
    units = np.repeat(np.arange(100), np.arange(1, 101))
    part = Part(len(units), {"x": np.arange(float(len(units)))}, units)
    made = _some(part, 500, seed=1)
    assert made.units is not None
    assert 500 <= made.held < 600
    assert all((made.units == unit).sum() == unit + 1 for unit in np.unique(made.units))
    assert _some(part, 10**6, seed=1) is part
    one = Part(50, {"x": np.arange(50.0)}, np.zeros(50, dtype=np.int64))
    assert _some(one, 10, seed=1).held == 50


def test_a_sample_without_units_has_the_rows_that_were_asked_for():
    made = _some(Part(1000, {"x": np.arange(1000.0)}), 300, seed=1)
    assert made.held == len(np.unique(made.values["x"])) == 300
