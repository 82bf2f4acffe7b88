"""Differences of scores of two audits, with their intervals: paired where both were tested on the same resamples of the same rows.

Held-out rows that are hard for one model are hard for the other as well, so a difference varies far less than the scores do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from synth_assets.audit.findings import HEADLINE, clip
from synth_assets.audit.prepare import Floats
from synth_assets.audit.records import AuditResult, Finding, Interval

MARGIN = 0.02  # a difference of scores without intervals that is smaller says nothing
FEWEST_DRAWS = 20


@dataclass(frozen=True)
class Score:
    """One score of one audit.

    Args:
        value: The score; None where there is none.
        interval: Its 95 % interval, where it has one.
        drawn_on: Which resamples of which rows it was tested on, where they are kept.
        draws: The score of every resample, shape (draws,); NaN where a resample has none.
    """

    value: float | None
    interval: Interval | None = None
    drawn_on: str | None = None
    draws: Floats | None = None


def scores_of(result: AuditResult) -> Mapping[str, Score]:
    """Utility and fidelity of an audit; utility on the scale of the score: 0 is chance, 1 is the model trained on real rows."""
    scores = result.module_scores
    return {"utility": _utility(result, scores.utility), "fidelity": Score(scores.fidelity)}


def _utility(result: AuditResult, value: float | None) -> Score:
    for found in result.findings("utility", HEADLINE):
        chance = float(found.naive or 0.0)
        if found.interval is None or found.baseline is None or found.baseline <= chance:
            continue
        scale = found.baseline - chance
        low, high = ((end - chance) / scale for end in found.interval)
        return Score(value, (clip(low), clip(high)), found.drawn_on, _draws(found, chance, scale))
    return Score(value)


def _draws(found: Finding, chance: float, scale: float) -> Floats | None:
    if found.drawn_on is None or not found.draws:
        return None
    return (np.array([np.nan if d is None else d for d in found.draws], dtype=np.float64) - chance) / scale


def difference(first: Score, second: Score) -> Interval | None:
    """The 95 % interval of the first score less the second; None where one of them was not measured.

    Args:
        first: One score.
        second: The same score of another audit.

    Returns:
        With shared resamples the percentiles of the paired differences. Else, where both have intervals, the difference and their half
        widths added as those of independent figures, which is wider than it is; without intervals, the difference and 0.02.

    Source:
        Efron, Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
    """
    if first.value is None or second.value is None:
        return None
    paired = _paired(first, second)
    if paired is not None:
        return paired
    gap, half = first.value - second.value, MARGIN
    if first.interval is not None and second.interval is not None:
        half = math.hypot(*((high - low) / 2 for low, high in (first.interval, second.interval)))
    return gap - half, gap + half


def is_paired(first: Score, second: Score) -> bool:
    """Whether both scores were tested on the same resamples of the same rows."""
    return _paired(first, second) is not None


def _paired(first: Score, second: Score) -> Interval | None:
    if first.draws is None or second.draws is None or first.drawn_on != second.drawn_on:
        return None
    if first.draws.shape != second.draws.shape:
        return None
    apart = first.draws - second.draws
    usable = apart[np.isfinite(apart)]
    if len(usable) < FEWEST_DRAWS:
        return None
    low, high = np.quantile(usable, [0.025, 0.975])
    return float(low), float(high)
