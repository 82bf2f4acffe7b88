"""Keyed pseudonyms: equal inside and outside the engine, the same for the same value and key, unlinkable under another key, injective."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_assets.masking.ff1 import FF1
from synth_assets.masking.keyring import domain_key, release_key
from synth_assets.masking.pseudonyms import (
    WHOLE_NUMBERS,
    WholeNumbers,
    double_hash,
    hex_pseudonym,
    pseudonym_of,
    whole_number,
)
from synth_assets_tests.unit.masking.conftest import KEY

Brew = Callable[..., Any]
TEXTS = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=40), min_size=1, max_size=200
)


@settings(max_examples=10)  # every example is one query over many values
@given(values=TEXTS)
def test_the_engine_and_hashlib_give_the_same_text(brew: Brew, values: list[str]) -> None:
    secret = release_key(KEY, "test")
    assert brew(hex_pseudonym(), values) == [pseudonym_of(v, secret, "test") for v in values]


def test_the_pseudonym_is_the_first_half_of_one_keyed_sha256(brew: Brew) -> None:
    key = domain_key(release_key(KEY, "test"), "test")
    assert len(key) == 32
    assert brew(hex_pseudonym(), ["Ann"]) == [hashlib.sha256((key + "Ann").encode()).hexdigest()[:32]]


def test_a_hash_that_leaves_whole_is_hashed_twice(brew: Brew) -> None:
    secret = release_key(KEY, "test")
    inner = hashlib.sha256((domain_key(secret, "test") + "Ann").encode()).hexdigest()
    outer = hashlib.sha256((domain_key(secret, "test/outer") + inner).encode()).hexdigest()
    assert brew(double_hash(), ["Ann"]) == [outer]


def test_missing_stays_missing(brew: Brew) -> None:
    assert brew(hex_pseudonym(), [None, "a"])[0] is None
    assert brew(double_hash(), [None])[0] is None
    assert brew(whole_number(), [None, 3], dtype=pa.int64())[0] is None


def test_the_empty_text_is_a_value(brew: Brew) -> None:
    assert len(brew(hex_pseudonym(), [""])[0]) == 32


@pytest.mark.parametrize("other", [{"domain": "email"}, {"release_domain": "partner"}])
def test_another_domain_or_recipient_gives_disjoint_pseudonyms(brew: Brew, other: dict[str, str]) -> None:
    values = [str(i) for i in range(1000)]
    assert not set(brew(hex_pseudonym(), values)) & set(brew(hex_pseudonym(), values, **other))
    numbers = list(range(1000))
    mine, theirs = (brew(whole_number(), numbers, dtype=pa.int64(), **o) for o in ({}, other))
    assert sum(a == b for a, b in zip(mine, theirs, strict=True)) == 0


def test_a_million_whole_numbers_stay_different_and_meet_none_of_the_raw_ones(brew: Brew) -> None:
    rng = np.random.default_rng(3)
    raw = np.unique(np.concatenate([np.arange(500_000), rng.integers(0, WHOLE_NUMBERS, 510_000)]))[:1_000_000]
    made = brew(whole_number(), pa.array(raw), as_arrow=True).to_numpy()
    assert len(np.unique(made)) == len(raw) == 1_000_000
    assert made.min() >= WHOLE_NUMBERS
    assert made.max() < 2 * WHOLE_NUMBERS
    assert np.unique(made >> 28).size == 16  # spread over the whole range


def test_numbers_outside_the_permutation_are_still_different_and_disjoint(brew: Brew) -> None:
    raw = [-1, -(2**62), 2**32, 2**32 + 1, 2**40, 2**63 - 1, 0, 2**32 - 1]
    made = brew(whole_number(), raw, dtype=pa.int64())
    assert len(set(made)) == len(raw)
    assert all(m >= 2 * WHOLE_NUMBERS for m in made[:6])
    assert all(WHOLE_NUMBERS <= m < 2 * WHOLE_NUMBERS for m in made[6:])


def test_known_answers_so_that_every_engine_and_version_gives_the_same_numbers() -> None:
    values = pa.array([0, 1, 65_535, 65_536, 123_456_789, 2**32 - 1, 2**32, -1])
    expected = [
        6942837025,
        6019142602,
        8559298159,
        4638243687,
        8394410195,
        5642932734,
        760040303407121838,
        651880270292406795,
    ]
    assert WholeNumbers(FF1(bytes(range(32))))(values).to_pylist() == expected


def test_a_hundred_thousand_texts_keep_their_number_of_values(brew: Brew) -> None:
    made = brew(hex_pseudonym(), [f"value {i}" for i in range(100_000)])
    assert len(set(made)) == 100_000
