"""Privacy levels of an epsilon, as words for people. Half-open intervals; a level is a reading aid, never a gate."""

from __future__ import annotations

import math
from typing import NamedTuple

from synth_assets.errors import InputError


class PrivacyLevel(NamedTuple):
    """One level.

    Attributes:
        name: In words.
        lower: Smallest epsilon of the level.
        upper: Smallest epsilon above the level.
        use_case: What a release at this level is commonly used for.
    """

    name: str
    lower: float
    upper: float
    use_case: str


LEVELS = (
    PrivacyLevel("very strong", 0.0, 1.0, "publication of sensitive data, such as health records, to anybody"),
    PrivacyLevel("strong", 1.0, 5.0, "sharing sensitive data with partners under a contract, public statistics"),
    PrivacyLevel("moderate", 5.0, 10.0, "analysis inside the organisation, across departments"),
    PrivacyLevel("weak", 10.0, 20.0, "software tests and prototypes inside one team"),
    PrivacyLevel("minimal", 20.0, math.inf, "data that is hardly sensitive; the guarantee alone protects little"),
)


def level_of(epsilon: float) -> PrivacyLevel:
    """The level that holds an epsilon: [0, 1) very strong, [1, 5) strong, [5, 10) moderate, [10, 20) weak, [20, inf) minimal.

    Raises:
        InputError: epsilon is negative or not a number.
    """
    if math.isnan(epsilon) or epsilon < 0:
        raise InputError(f"epsilon must not be negative, it is {epsilon!r}.", key="epsilon")
    return next((level for level in LEVELS if epsilon < level.upper), LEVELS[-1])
