"""Which national number plan a column of bare digits follows, and how far that is more than chance.

What belongs here: number plans of phonenumbers. What does not: the form of grouped or prefixed numbers (detectors_codes.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberType

REGIONS = ("US", "BR", "ES", "IN", "IT", "MX")
TRUNK = ("FR", "GB", "NL", "DE", "IT")  # numbers that are dialled with a 0 first
ABROAD = ""  # the code of a country first, and no plus sign
_FIRST = 32


def best_plan(numbers: Sequence[str]) -> tuple[str, float, float, float]:
    """The plan that fits best.

    Some plans take nearly any number of nine digits, so what counts is how far the share of valid numbers lies above that of random
    ones. Numbers that begin alike are compared with random ones that do, unless one digit stands before mobile phones only.

    Args:
        numbers: Digits only; a leading 0 or 00 stays.

    Returns:
        Words for the plan, share of valid numbers, that share by chance, log odds that it is no chance.

    Source: Kullback-Leibler divergence of the share found from the share by chance, times the number of values.
    """
    called_abroad = all(n.startswith("00") for n in numbers)
    numbers = [n.removeprefix("00") for n in numbers]
    length, lead = int(np.median([len(n) for n in numbers])), _common_start(numbers)
    best = ("", 0.0, 1.0, 0.0)
    for region in (*(() if called_abroad else TRUNK if lead[:1] == "0" else REGIONS), ABROAD):
        if not _share(numbers[:_FIRST], region, mobile=False):
            continue
        mobile = _share(numbers[:_FIRST], region, mobile=True) > 0.75
        valid = _share(numbers, region, mobile=mobile)
        given = lead[:1] if region == ABROAD else "" if mobile and len(lead) == 1 and lead != "0" else lead
        chance = min(0.98, max(0.02, _by_chance(region, length, given, mobile=mobile)))
        if valid > chance:
            missed = max(1e-3, 1 - valid)
            odds = len(numbers) * (valid * math.log(valid / chance) + missed * math.log(missed / (1 - chance)))
            words = f"in region {region}" if region else "with the code of a country before it"
            best = max(best, (words, valid, chance, odds), key=lambda plan: plan[3])
    return best


def _share(numbers: Sequence[str], region: str, *, mobile: bool) -> float:
    """Share of numbers that a plan takes, or takes as mobile; after eight with hardly one, the rest is not looked at."""
    hits = 0
    for seen, number in enumerate(numbers, start=1):
        hits += _taken(_parsed(number, region), mobile=mobile)
        if seen == 8 and hits < 4:
            return 0.0
    return hits / len(numbers)


def _taken(number: PhoneNumber | None, *, mobile: bool) -> bool:
    if number is None or not phonenumbers.is_valid_number(number):
        return False
    return not mobile or phonenumbers.number_type(number) == PhoneNumberType.MOBILE


def _parsed(number: str, region: str) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(number if region else f"+{number}", region or None)
    except phonenumbers.NumberParseException:
        return None


def _common_start(numbers: Sequence[str]) -> str:
    """Up to three digits that all numbers begin with."""
    low, high = min(numbers), max(numbers)
    return next((low[:n] for n in (3, 2, 1) if low[:n] == high[:n]), "")


@cache
def _by_chance(region: str, length: int, lead: str, *, mobile: bool) -> float:
    """Share of random numbers of a length that begin with `lead`, or with any digit but 0, that a plan takes, or takes as mobile."""
    rng = np.random.default_rng(length)
    rows = rng.integers(0, 10, (200, length))
    rows[:, 0] = rng.integers(1, 10, 200)
    parsed = [_parsed(lead + "".join(map(str, row[len(lead) :])), region) for row in rows]
    return float(np.mean([_taken(p, mobile=mobile) for p in parsed]))
