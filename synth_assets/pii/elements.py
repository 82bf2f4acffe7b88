"""Elements of dates that stand alone: a month, quarter, week, weekday, day or hour of a birth or of what a person did.

What belongs here: telling them from counts and durations by name and range; 164.514(b)(2)(i)(C) names "all elements of dates (except
year)". What does not: whole dates (detectors_codes.py), years, which may stay.
"""

from __future__ import annotations

import re

from synth_assets.pii.columns import ColumnSample
from synth_assets.pii.dictionaries import word_set
from synth_assets.pii.evidence import Case

_SPANS = {  # concept -> smallest and largest number, with the zero-based ways to count and the leap week and second
    "element_month": (0, 12),
    "element_quarter": (1, 4),
    "element_week": (0, 53),
    "element_weekday": (0, 7),
    "element_day": (1, 366),
    "element_hour": (0, 24),
    "element_minute": (0, 59),
}
_BIRTH, _DEATH = frozenset({"birth"}), frozenset({"death", "deceased"})
_HAPPENED = frozenset({"event", "admission", "encounter"})
_COUNTED = word_set(
    "count amount measure type status flag format pay salary expiry card id text description age category population"
)
_FORM = re.compile(
    r"(?i:(?:19|20)\d{2}[-/ .]?[QT][1-4]|[QT][1-4](?:[-/ .]?(?:(?:19|20)\d{2}|\d{2}))?|(?:19|20)\d{2}[-/.]?W\d{1,2}|W(?:eek )?\d{1,2}"
    r"|(?:19|20)\d{2}[-/.](?:0?[1-9]|1[0-2])|(?:0?[1-9]|1[0-2])[-/.](?:19|20)\d{2}|\d{1,2}:\d{2}(?::\d{2})?|\d{1,2} ?[ap]m"
    r"|\w{3,9}[-/ .](?:19|20)?\d{2})"
)
_LEAD = 4.0  # log odds before "none", once name and values agree


def element_of(case: Case) -> str | None:
    """The date that a column holds an element of by its own name and values: a type, "" where only the table can say, or None."""
    words = case.header.all
    parts = [p for p in _SPANS if p in words]
    if not parts or words & _COUNTED or "per" in case.header.words or not _within(case.sample, parts):
        return None
    if words & _BIRTH:
        return "birth_date"
    if words & _DEATH:
        return "death_date"
    if words & _HAPPENED:
        return "event_date"
    return None if parts == ["element_day"] and case.header.unknown_words else ""  # a day supply, a day rate


def add_element(case: Case, *, about_persons: bool) -> None:
    """Evidence for an element of a date; one that does not say of what counts in tables about persons only."""
    kind = element_of(case)
    if kind:
        reason = "name: an element of a date more precise than the year, and the values lie in its range"
    elif kind == "" and about_persons and case.top == "none":
        kind, reason = (
            "event_date",
            "context: an element of a date in a table about persons, and the values lie in its range",
        )
    else:
        return
    case.add(kind, max(0.0, max(s for _, s in case.ranking()) - case.score(kind)) + _LEAD, reason)


def _within(sample: ColumnSample, parts: list[str]) -> bool:
    """Whether nearly all values are whole numbers in the range of the narrowest part, or a spelled element."""
    if sample.temporal or sample.dtype == "bool" or not len(sample) or sample.decimals > 0.5:
        return False
    if sample.numeric_share > 0.95:
        low = min(_SPANS[p][0] for p in parts)
        high = min(_SPANS[p][1] for p in parts)
        numbers = sample.numbers
        return float(((numbers >= low) & (numbers <= high) & (numbers % 1 == 0)).mean()) > 0.95
    spelled = sample.share_in("calendar_words")
    return max(spelled, sample.share_valid(lambda v: bool(_FORM.fullmatch(v)))) > 0.8
