"""Keyed pseudonyms: equal inside and outside the engine, the same for the same value and key, unlinkable under another key, injective."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_assets.masking.ff1 import FF1
from synth_assets.masking.keyring import domain_key, release_key
from synth_assets.masking.prf import Hexadecimal, Numbers, Prf
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
def test_the_engine_and_one_call_outside_give_the_same_text(brew: Brew, values: list[str]) -> None:
    secret = release_key(KEY, "test")
    assert brew(hex_pseudonym(), values) == [pseudonym_of(v, secret, "test") for v in values]


@pytest.mark.parametrize("length", [0, 1, 8, 11, 12, 13, 27, 28, 29, 300])
def test_the_pseudonym_is_the_cbc_mac_of_length_and_text(brew: Brew, length: int) -> None:
    text = ("Zoë-" * 100).encode()[:length].decode(errors="ignore")
    assert brew(hex_pseudonym(), [text, "Ann", text]) == [_cbc_mac(text), _cbc_mac("Ann"), _cbc_mac(text)]


def _cbc_mac(text: str) -> str:
    """By the library's own CBC mode."""
    message = len(text.encode()).to_bytes(4, "little") + text.encode()
    key = release_key(KEY, "test").derive("domain/test/text").value
    encryptor = Cipher(algorithms.AES(key), modes.CBC(bytes(16))).encryptor()
    return encryptor.update(message + bytes(-len(message) % 16))[-16:].hex()


@given(values=st.lists(st.none() | st.text(max_size=40), max_size=40))
def test_what_a_text_gets_does_not_depend_on_its_batch(values: list[str | None]) -> None:
    made = Hexadecimal(Prf(bytes(32)))
    assert made(pa.array(values, pa.string())).to_pylist() == [
        made(pa.array([v], pa.string())).to_pylist()[0] for v in values
    ]


def test_numbers_of_texts_are_not_pieces_of_their_pseudonyms(brew: Brew) -> None:
    number = Numbers(Prf(release_key(KEY, "test").derive("domain/test/number").value))(
        pa.array(["Ann", None])
    ).to_pylist()
    assert number[1] is None
    assert 0 <= number[0] < 2**60
    assert f"{number[0]:x}"[:8] not in brew(hex_pseudonym(), ["Ann"])[0]


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
