"""Bare digits and number plans: what random numbers of the same beginning pass as well is no evidence."""

from __future__ import annotations

import numpy as np
import pytest

from synth_assets.pii.phone_plans import best_plan

RNG = np.random.default_rng(5)


def _numbers(start: tuple[str, ...], length: int, count: int = 60) -> list[str]:
    leads = [start[i % len(start)] for i in range(count)]
    return [lead + "".join(str(d) for d in RNG.integers(0, 10, length - len(lead))) for lead in leads]


@pytest.mark.parametrize(
    ("start", "length", "where"),
    [
        (("6", "74"), 9, "in region ES"),
        (("98", "88", "78"), 10, "in region IN"),
        (("34", "32", "333"), 10, "in region IT"),
        (("06", "075"), 10, "in region FR"),
        (("061", "062"), 10, "in region NL"),
        (("4477", "4478"), 12, "with the code of a country before it"),
        (("00336", "00337"), 13, "with the code of a country before it"),
    ],
)
def test_numbers_of_mobile_phones_follow_a_plan(start: tuple[str, ...], length: int, where: str) -> None:
    words, valid, chance, odds = best_plan(_numbers(start, length))
    assert words == where
    assert valid > chance
    assert odds >= 12


@pytest.mark.parametrize(
    ("start", "length"),
    [(("10",), 9), (("99",), 10), (("2023",), 12), (("1", "2", "3", "4", "5", "6", "7", "8", "9"), 9), (("00",), 8)],
)
def test_keys_with_a_common_beginning_follow_none(start: tuple[str, ...], length: int) -> None:
    assert best_plan(_numbers(start, length))[3] < 12
