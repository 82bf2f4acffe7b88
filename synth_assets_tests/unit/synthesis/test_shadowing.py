"""Shadow models: the chain's own synthesizers are trained again on held-out rows; those that are private are refused, before anything is read."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from synth_assets import api
from synth_assets.config.dataset import DatasetConfig, SynthesizerConfig
from synth_assets.config.plain import shadow_fault
from synth_assets.config.thresholds import AuditConfig, AuditLimits
from synth_assets.errors import InputError

sdv = pytest.mark.skipif(importlib.util.find_spec("sdv") is None, reason="SDV is an extra")
QUICK = AuditConfig(limits=AuditLimits(draws=20, queries=20, predicates=100, secrets=1, attack_rows=200))
DATASET: dict[str, Any] = {"name": "ward", "source": {"path": "ward.csv"}, "audit": {"shadow_models": 2}}


def people(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    born = pd.Timestamp("1950-01-01") + pd.to_timedelta(rng.integers(0, 20_000, rows), unit="D")
    return pd.DataFrame(
        {
            "age": rng.integers(18, 90, rows),
            "weight": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(70, 12, rows).round(1)),
            "sex": rng.choice(["F", "M"], rows),
            "born": born.strftime("%Y-%m-%d"),
        }
    )


@sdv
def test_an_audit_trains_shadow_models_of_a_named_synthesizer_and_says_how_many() -> None:
    tables = people(700, 1), people(700, 2), people(900, 3)
    result = api.audit(*tables, settings=QUICK, shadow=SynthesizerConfig(name="gaussian_copula"), shadow_models=2)
    (found,) = result.findings("privacy", "membership_inference.shadow_models")
    assert found.value is not None
    assert found.value < 0.3
    assert any(note.startswith("2 shadow models of the synthesizer were trained") for note in result.inputs.notes)
    assert result.seconds["privacy.shadow_models"] > 0


@pytest.mark.parametrize("name", ["dp_marginals", "dp_tvae", "dp_ctgan", "hma", "par"])
def test_what_cannot_be_trained_for_an_attack_is_refused_before_anything_is_read(name: str, tmp_path: Path) -> None:
    gone = tmp_path / "gone.csv"
    with pytest.raises(InputError, match="outside every budget" if name.startswith("dp_") else "related ones"):
        api.audit(gone, gone, gone, shadow=SynthesizerConfig.model_validate({"name": name}))


def test_a_dataset_none_of_whose_synthesizers_can_be_attacked_so_is_an_error() -> None:
    with pytest.raises(ValidationError, match="none of the synthesizers can be trained for an attack"):
        DatasetConfig.model_validate(DATASET | {"synthesizers": [{"name": "dp_marginals"}]})
    assert DatasetConfig.model_validate(DATASET).audit.shadow_models == 2
    assert shadow_fault("gaussian_copula", 2) is not None
    assert shadow_fault("gaussian_copula") is None
