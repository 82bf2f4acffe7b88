"""Damaged files of every format end in a table or in one clear error: no foreign error, no hang, no cell in a message, nothing left behind.

The long run takes more seeds (`-m slow`); the short one is part of every run.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_assets_tests.fuzz_files import ROWS, damaged, good_files, read_or_refused

FILES = good_files()
SHORT, LONG = 6, 300


@pytest.mark.parametrize("name", FILES)
def test_the_good_file_is_read_whole(name: str, tmp_path: Path) -> None:
    assert read_or_refused(FILES[name], name, tmp_path) == len(ROWS)


def _survives(name: str, seeds: range, base: Path) -> None:
    for seed in seeds:
        read_or_refused(damaged(FILES[name], np.random.default_rng([7, seed])), name, base / str(seed))


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_read_or_refused(name: str, tmp_path: Path) -> None:
    _survives(name, range(SHORT), tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", FILES)
def test_a_file_damaged_in_many_ways_is_read_or_refused(name: str, tmp_path: Path) -> None:
    _survives(name, range(SHORT, LONG), tmp_path)


@settings(max_examples=max(8, settings.default.max_examples // 5))
@given(content=st.binary(max_size=200), name=st.sampled_from(list(FILES)), honest=st.booleans())
def test_any_bytes_of_any_format_are_read_or_refused(
    content: bytes, name: str, honest: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    start = FILES[name][:8] if honest else b""
    read_or_refused(start + content, name, tmp_path_factory.mktemp("bytes"))


@pytest.mark.shared_data
def test_a_damaged_file_of_the_corpus_is_read_or_refused(shared_data: Path, tmp_path: Path) -> None:
    files = sorted(f for f in (shared_data / "malformed").glob("*.csv") if f.stat().st_size < 5_000)
    chosen = np.random.default_rng(11).choice(len(files), 25, replace=False)
    for number in chosen:
        content = damaged(files[number].read_bytes(), np.random.default_rng([11, number]))
        read_or_refused(content, "t.csv", tmp_path / str(number))
