"""Identifiers: their form, their check digits, and who gets which number."""

from __future__ import annotations

import re

import numpy as np
import pyarrow.compute as pc
import pytest
import stdnum.bic
import stdnum.iban
import stdnum.luhn
import stdnum.us.rtn
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.errors import InputError
from synth_assets.generation import codes
from synth_assets.generation.numbering import free_codes, permute, row_numbers, unique_codes


def texts(kind: str, n: int = 300, space: str = "schema") -> list[str]:
    form = codes.FORMS[kind]
    numbers = unique_codes(0, min(n, form.capacity // 2), form.capacity, 3, space=space, column="c")  # type: ignore[arg-type]
    return form.build(numbers).to_pylist()


@given(st.integers(1, 3000), st.integers(0, 2**62))
def test_a_permutation_hits_every_number_once(size: int, seed: int) -> None:
    assert sorted(permute(row_numbers(0, size), size, seed).tolist()) == list(range(size))


def test_a_permutation_depends_on_its_seed_and_not_on_the_piece() -> None:
    whole = permute(row_numbers(0, 100_000), 10**9, 5)
    assert (permute(row_numbers(40_000, 10), 10**9, 5) == whole[40_000:40_010]).all()
    assert (permute(row_numbers(0, 100), 10**9, 6) != whole[:100]).any()
    assert len(np.unique(whole)) == 100_000


def test_the_two_halves_of_a_space_never_meet() -> None:
    made = unique_codes(0, 500, 1000, 1, space="schema", column="c")
    fresh = unique_codes(0, 500, 1000, 2, space="fresh", column="c")
    assert sorted([*made.tolist(), *fresh.tolist()]) == list(range(1000))
    assert set(free_codes(np.random.default_rng(1), 300, 1000, space="fresh").tolist()) <= set(fresh.tolist())


def test_more_rows_than_numbers_is_an_error_that_names_the_column() -> None:
    with pytest.raises(InputError) as error:
        unique_codes(490, 11, 1000, 1, space="schema", column="badge")
    assert error.value.column == "badge"


@pytest.mark.parametrize("kind", sorted(codes.FORMS))
def test_different_numbers_give_different_texts(kind: str) -> None:
    values = texts(kind, 3000)
    assert len(set(values)) == len(values)
    assert not set(values) & set(texts(kind, 3000, "fresh"))


@pytest.mark.parametrize(
    ("kind", "is_valid"),
    [
        ("card_number", stdnum.luhn.is_valid),
        ("npi", lambda v: v.startswith("2") and len(v) == 10 and stdnum.luhn.is_valid("80840" + v)),
        ("iban", stdnum.iban.is_valid),
        ("routing_number", stdnum.us.rtn.is_valid),
        ("swift", lambda v: stdnum.bic.is_valid(v) and v[7] == "0"),
    ],
)
def test_check_digits_agree_with_another_library(kind: str, is_valid: object) -> None:
    assert all(is_valid(v) for v in texts(kind))  # type: ignore[operator]


def test_a_dea_number_has_its_check_digit() -> None:
    for value in texts("dea"):
        d = [int(c) for c in value[2:]]
        assert (d[0] + d[2] + d[4] + 2 * (d[1] + d[3] + d[5])) % 10 == d[6]


def test_a_vin_has_its_check_digit() -> None:
    # the published example 1M8GDM9AXKP042788 has the check digit X
    values = dict(zip("ABCDEFGHJKLMNPRSTUVWXYZ", [*range(1, 9), *range(1, 6), 7, 9, *range(2, 10)], strict=True))
    weights = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)

    def check(vin: str) -> str:
        total = sum(
            (values.get(c) or int(c)) * w if c in values or c.isdigit() else 0
            for c, w in zip(vin, weights, strict=True)
        )
        return "0123456789X"[total % 11]

    assert check("1M8GDM9AXKP042788") == "X"
    assert all(check(v) == v[8] and len(v) == 17 for v in texts("vin"))


def test_numbers_come_from_ranges_that_nobody_was_given() -> None:
    assert all(re.fullmatch(r"9\d\d-(0[1-9]|[1-4]\d)-(?!0000)\d{4}", v) for v in texts("ssn"))  # neither SSN nor ITIN
    assert all(re.fullmatch(r"9\d\d-(66|67|68|69|89|93)-\d{4}", v) for v in texts("itin"))
    assert all(v.startswith(("192.0.2.", "198.51.100.", "203.0.113.")) for v in texts("ip_address"))
    assert codes.ipv6_text(np.array([0, 65_537], dtype=np.uint64)).to_pylist() == [
        "2001:db8:0000:0000::1",
        "2001:db8:0001:0001::1",
    ]
    assert all(v.startswith("02:") for v in texts("mac_address"))


def test_a_pattern_is_followed_character_by_character() -> None:
    form = codes.pattern_form(r"A\#-##??")
    assert form.capacity == 10 * 10 * 26 * 26
    values = form.build(np.arange(form.capacity, dtype=np.uint64)).to_pylist()
    assert len(set(values)) == form.capacity
    assert all(re.fullmatch(r"A#-\d\d[A-Z]{2}", v) for v in values)


def test_uuids_have_version_and_variant_and_differ() -> None:
    values = codes.uuids(np.random.default_rng(1), 2000)
    assert len(pc.unique(values)) == 2000
    pattern = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    assert all(re.fullmatch(pattern, v) for v in values.to_pylist())


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20))
def test_the_luhn_digit_completes_any_payload(digits: list[int]) -> None:
    check = codes.luhn_digit(np.array([digits]))[0]
    assert stdnum.luhn.is_valid("".join(map(str, digits)) + str(check))
