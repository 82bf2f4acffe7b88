"""A receiver that both hooks lead to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from synth_assets_tests.receivers import Receiver, configure, receiving


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiving() as told:
        configure(monkeypatch, told)
        yield told
