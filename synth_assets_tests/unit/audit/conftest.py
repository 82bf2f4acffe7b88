"""Models of the audit run on one thread here as they do inside an audit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from synth_assets.threads import one_thread


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield
