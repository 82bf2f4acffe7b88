"""One small clinic, run once per test session, and a copy of it for each test that changes something."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from synth_assets_tests import chain


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a finished chain. Read only: a test that changes it takes `home`."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base

    def make(folder: Path) -> None:
        done = chain.run(chain.make_home(folder))
        assert done.exit_code == 0, (done.error, done.failed_checks)

    return chain.made_once(base / "finished_clinic", make)


@pytest.fixture
def home(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished home."""
    return chain.copy_home(finished, tmp_path / "home")
