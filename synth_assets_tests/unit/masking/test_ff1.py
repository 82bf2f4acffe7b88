"""FF1: the vectors of the standard, and a bijection on every domain; numbers drawn from it are known answers, whatever the engine."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_assets.masking.ff1 import FF1, longest
from synth_assets.masking.shapes import PLAIN, VEHICLE, permuted, permuted_digits

KEY = bytes.fromhex("2B7E151628AED2A6ABF7158809CF4F3CEF4359D8D580AA4F7F036D6F04FC6A94")
DIGITS = "0123456789"
LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
TWEAK, OTHER = "39383736353433323130", "3737373770717273373737"


@pytest.mark.parametrize(
    ("key_bytes", "tweak", "radix", "plain", "expected"),
    [
        (16, "", 10, DIGITS, "2433477484"),
        (16, TWEAK, 10, DIGITS, "6124200773"),
        (16, OTHER, 36, LETTERS[:19], "a9tv40mll9kdu509eum"),
        (24, "", 10, DIGITS, "2830668132"),
        (24, TWEAK, 10, DIGITS, "2496655549"),
        (24, OTHER, 36, LETTERS[:19], "xbj3kv35jrawxv32ysr"),
        (32, "", 10, DIGITS, "6657667009"),
        (32, TWEAK, 10, DIGITS, "1001623463"),
        (32, OTHER, 36, LETTERS[:19], "xs8a0azh2avyalyzuwd"),
    ],
)
def test_the_samples_of_the_standard(key_bytes: int, tweak: str, radix: int, plain: str, expected: str) -> None:
    values = np.array([[LETTERS.index(c) for c in plain]] * 3, np.uint8)
    made = FF1(KEY[:key_bytes]).numerals(values, radix, bytes.fromhex(tweak))
    assert ["".join(LETTERS[v] for v in row) for row in made] == [expected] * 3


@settings(max_examples=25)
@given(
    key=st.binary(min_size=32, max_size=32),
    left=st.integers(1, 60),
    right=st.integers(1, 60),
    tweak=st.integers(0, 2**64 - 1),
)
def test_every_pair_of_halves_has_another_image(key: bytes, left: int, right: int, tweak: int) -> None:
    every = np.arange(left * right, dtype=np.uint64)
    rows = np.full(len(every), tweak, np.uint64)
    a, b = FF1(key).halves(every // right, every % right, left, right, radix=10, length=4, tweak=rows)
    assert sorted((a * right + b).tolist()) == every.tolist()


@settings(max_examples=25)
@given(key=st.binary(min_size=32, max_size=32), radices=st.lists(st.integers(2, 12), min_size=1, max_size=3))
def test_numerals_of_different_radices_are_permuted_over_their_product(key: bytes, radices: list[int]) -> None:
    rows = np.stack([g.reshape(-1) for g in np.meshgrid(*[np.arange(r) for r in radices])], axis=1).astype(np.uint8)
    made = FF1(key).numerals(rows, np.broadcast_to(np.array(radices, np.uint8), rows.shape))
    assert {tuple(r) for r in made.tolist()} == {tuple(r) for r in rows.tolist()}


@settings(max_examples=50)
@given(
    values=st.lists(st.text("ABCXYZabz0189", min_size=20, max_size=70), min_size=2, max_size=20, unique_by=str.lower)
)
def test_codes_longer_than_one_permutation_stay_different_in_their_shape(values: list[str]) -> None:
    for width in {len(v) for v in values}:
        rows = np.array([[ord(c) for c in v] for v in values if len(v) == width], np.uint8)
        made = permuted(rows, FF1(KEY))
        assert len(np.unique(made, axis=0)) == len(rows)
        assert (PLAIN.of[made] == PLAIN.of[rows]).all()


def test_the_end_of_a_long_number_changes_its_beginning() -> None:
    rows = np.full((2, 40), ord("7"), np.uint8)
    rows[1, -1] = ord("8")
    made = permuted_digits(rows, FF1(KEY), np.zeros(2, np.uint64))
    assert (made[0, : longest(mixed=False)] != made[1, : longest(mixed=False)]).sum() > 16


def test_vehicle_numbers_get_no_letter_that_stands_in_none() -> None:
    rows = np.array([[ord(c) for c in f"WVWZZZ1JZXW{i:06d}"] for i in range(2_000)], np.uint8)
    made = permuted(rows, FF1(KEY), VEHICLE)
    assert not np.isin(made, [ord(c) for c in "IOQ"]).any()
    assert len(np.unique(made, axis=0)) == 2_000


def test_letter_case_does_not_matter() -> None:
    both = [
        permuted(np.array([[ord(c) for c in t]], np.uint8), FF1(KEY)).tobytes().decode() for t in ("AB12xy", "ab12XY")
    ]
    assert both[0].lower() == both[1].lower()


def test_a_tweak_or_a_key_makes_another_permutation() -> None:
    rows = np.array([[int(c) for c in f"{i:09d}"] for i in range(500)], np.uint8)
    one = FF1(KEY).numerals(rows, 10)
    for other in (FF1(KEY[::-1]).numerals(rows, 10), FF1(KEY).numerals(rows, 10, np.ones(500, np.uint64))):
        assert (one == other).all(axis=1).sum() == 0


def test_a_string_too_long_for_one_permutation_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        FF1(KEY).numerals(np.zeros((1, 40), np.uint8), 10)


def test_the_key_is_not_shown() -> None:
    assert KEY.hex()[:8] not in repr(FF1(KEY))
    assert "key" not in repr(FF1(KEY))


def test_drawn_numbers_are_spread_and_differ_by_label() -> None:
    values = np.arange(10_000, dtype=np.uint64)
    a, b = FF1(KEY).drawn(values), FF1(KEY).drawn(values, 1)
    assert len(np.unique(np.concatenate([a, b]))) == 20_000
    assert 0.49 < (a >> np.uint64(63)).mean() < 0.51
