"""One process that forks runs, for all tests of a session that kill them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from synth_assets_tests.faults.harness import Runs


@pytest.fixture(scope="session")
def runs() -> Iterator[Runs]:
    made = Runs()
    yield made
    made.end()
