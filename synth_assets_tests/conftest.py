"""Fixtures and settings that every suite shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("TZ", "UTC")
os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("nightly", deadline=None, max_examples=500, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the public tables for tests and benchmarks; a test that asks for it skips where it is not there."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SYNTH_ASSETS_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip("the public test tables are not on this machine (SYNTH_ASSETS_SHARED_DATA)")
    return folder
