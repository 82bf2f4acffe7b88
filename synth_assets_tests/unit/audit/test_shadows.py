"""Shadow models: learned from other rows, they find a memorising synthesizer, and nothing where there is nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from synth_assets.audit import audit_frames
from synth_assets.audit.privacy.shadows import ShadowModels, frame_of, part_of
from synth_assets.config.thresholds import AuditLimits
from synth_assets.errors import InputError
from synth_assets.tables.engine import Engine
from synth_assets_tests.unit.audit.worlds import SCHEMA, people, prepared

LIMITS = AuditLimits(attack_rows=500, predicates=100)
TRAIN, HOLDOUT = people(2000, 1), people(2000, 2)


def memorising(rows: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Every row once more, with age and income moved."""
    rng = np.random.default_rng(seed)
    return rows.assign(
        age=rows["age"] + rng.integers(-2, 3, len(rows)), income=rows["income"] * rng.uniform(0.97, 1.03, len(rows))
    )


def forgetful(rows: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Other people altogether."""
    return people(len(rows), seed % 2**31)


def _run(synthesizer, **settings):
    made = synthesizer(TRAIN, 99)
    shadows = ShadowModels(synthesizer, 2)
    options = {
        "schema": SCHEMA,
        "engine": Engine(threads=1),
        "limits": LIMITS,
        "seed": 3,
        "shadows": shadows,
        **settings,
    }
    return audit_frames(made, TRAIN, HOLDOUT, **options)


def test_shadow_models_find_a_memorising_synthesizer_and_nothing_in_a_forgetful_one():
    bad, good = (_run(s).findings("privacy", "membership_inference.shadow_models")[0] for s in (memorising, forgetful))
    assert (bad.risk_level, good.value) == ("high", pytest.approx(0, abs=0.1))
    assert bad.value > 0.5
    assert bad.sample_size == 500


def test_shadow_models_are_off_unless_asked_for_and_see_held_out_rows_only():
    seen: list[pd.DataFrame] = []

    def watched(rows: pd.DataFrame, seed: int) -> pd.DataFrame:
        seen.append(rows)
        return forgetful(rows, seed)

    result = audit_frames(TRAIN, TRAIN, HOLDOUT, schema=SCHEMA, engine=Engine(threads=1), limits=LIMITS, seed=3)
    assert not result.findings("privacy", "membership_inference.shadow_models")
    assert "privacy.shadow_models" not in result.seconds
    _run(watched)
    keys = [
        set(map(tuple, f[["age", "region", "joined", "income"]].astype(str).to_numpy()))
        for f in (TRAIN, HOLDOUT, *seen[1:])
    ]
    assert len(keys) == 4
    assert all(shadow <= keys[1] and not shadow & keys[0] for shadow in keys[2:])
    assert all(list(f.columns) == list(SCHEMA.names) for f in seen[1:])


def test_too_few_known_rows_are_a_reason():
    made = audit_frames(
        TRAIN,
        TRAIN,
        HOLDOUT.head(400),
        schema=SCHEMA,
        engine=Engine(threads=1),
        limits=LIMITS,
        shadows=ShadowModels(forgetful),
        seed=3,
    )
    assert "Too few held-out rows" in made.reasons["privacy.shadow_models"]


def test_a_frame_comes_back_as_it_went():
    data = prepared(synthetic={"c": ["a", "b", None], "x": [1.5, None, 2.0]}, train={"c": ["b"], "x": [0]})
    part = data.parts["synthetic"]
    frame = frame_of(data, part)
    assert frame["c"].tolist() == ["a", "b", None]
    back, there = (dict(vars(p)["values"]) for p in (part_of(data, frame), part))
    assert (back["c"] == there["c"]).all()
    assert np.array_equal(back["x"], there["x"], equal_nan=True)
    assert vars(part_of(data, pd.DataFrame({"c": ["new"], "x": [1]})))["values"]["c"].tolist() == [-1]


def test_wrong_shadow_models_are_one_clear_error():
    data = prepared(synthetic={"x": [1.0]}, train={"x": [1.0]})
    with pytest.raises(InputError, match="not the columns"):
        part_of(data, pd.DataFrame({"y": [1.0]}))
    with pytest.raises(InputError, match="one shadow model or more"):
        ShadowModels(forgetful, 0)
