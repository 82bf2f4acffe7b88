"""Evidence on one column, in log odds per entity type: what its name says, weighed by what its values allow, and what they say.

What belongs here: the case of one column. What does not: its neighbours (context.py), the verdict (classify.py). Reasons name
forms, lists and shares, and never a value.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from synth_assets.pii import detectors, headers, plausible
from synth_assets.pii.columns import ColumnSample
from synth_assets.pii.dictionaries import read_data
from synth_assets.pii.names import Header, read_header, vocabulary

_COUNTERS = frozenset({"num", "number", "nb", "no", "n", "count", "nombre", "anzahl", "numero", "qtd"})
_NUMBERED = frozenset({"year", "month", "hour", "count", "amount", "measure"})
NONE_PRIOR = 2.5  # log odds of "no entity" before any evidence
FITS_WELL = 0.6


@dataclass(frozen=True)
class Finding:
    """One piece of evidence: its weight in log odds and its words."""

    weight: float
    reason: str


@dataclass
class Case:
    """All evidence on one column.

    Attributes:
        header: Its name, read.
        sample: Its values.
        findings: Evidence by entity type.
        identifying_text: Largest share of texts that hold an identifier of one type, for free text.
    """

    header: Header
    sample: ColumnSample
    findings: dict[str, list[Finding]] = field(default_factory=lambda: defaultdict(list))
    identifying_text: float = 0.0

    def add(self, entity_type: str, weight: float, reason: str) -> None:
        """Add one finding."""
        self.findings[entity_type].append(Finding(weight, reason))

    def score(self, entity_type: str) -> float:
        """Log odds of one type."""
        prior = NONE_PRIOR if entity_type == "none" else 0.0
        return prior + sum(f.weight for f in self.findings.get(entity_type, ()))

    def values_say(self, entity_type: str) -> float:
        """Log odds of one type from values alone."""
        return sum(
            f.weight for f in self.findings.get(entity_type, ()) if not f.reason.startswith(("name:", "context:"))
        )

    def header_says(self, entity_type: str) -> float:
        """Log odds of one type from the name alone."""
        return sum(f.weight for f in self.findings.get(entity_type, ()) if f.reason.startswith("name:"))

    def ranking(self) -> list[tuple[str, float]]:
        """Types by score, best first; ties by name."""
        scored = [(t, self.score(t)) for t in {*self.findings, "none"}]
        return sorted(scored, key=lambda pair: (-pair[1], pair[0]))

    @property
    def top(self) -> str:
        """The best type so far."""
        return self.ranking()[0][0]

    def reasons(self, entity_type: str, limit: int = 6) -> tuple[str, ...]:
        """Words for one type, strongest first, without repetition."""
        ordered = sorted(self.findings.get(entity_type, ()), key=lambda f: -abs(f.weight))
        return tuple(dict.fromkeys(f.reason for f in ordered))[:limit]


def gather(sample: ColumnSample) -> Case:
    """The case of one column from its own name and values."""
    case = Case(read_header(sample.name), sample)
    for hint in headers.hints(case.header):
        _add_hint(case, hint)
    for signal in detectors.signals(sample):
        case.add(signal.entity_type, signal.weight, signal.reason)
    _share_family(case)
    _plural(case)
    return case


def _share_family(case: Case) -> None:
    """A fax number looks like a phone number, a birth date like any date: where the name says so, a common form speaks for it too."""
    form = case.values_say("phone")
    if case.header_says("fax") > 0 and form > 0:
        case.add("fax", form, "pattern: grouped or prefixed like phone numbers, as fax numbers are")
    if case.header_says("national_id") > 0 and case.sample.share("epic") > 0.9:
        case.add("national_id", 4, "pattern: the form of Indian voters' cards")
    form = case.header_says("tax_id")
    if form > 0 and case.values_say("itin") > 0:
        case.add("itin", form, "name: of a taxpayer, whose number lies in the ranges of itin")
    form = case.values_say("event_date")
    for kind in ("birth_date", "death_date"):
        if case.header_says(kind) > 0 and form > 0:
            case.add(kind, form, "pattern: dates")


def _plural(case: Case) -> None:
    """Numbers under a plural (passengers, encounters) count things."""
    words = case.header.words
    if not words:
        return
    last = words[-1]
    known = vocabulary()
    counted = words[0] in _COUNTERS and (len(words) > 1) and (last.endswith("s") or "of" in words or last == "children")
    plural = last.endswith("s") and len(last) > 4 and known.get(last[:-1]) == known.get(last) is not None
    named = known.get(last, frozenset()) & (headers.PERSONS | headers.THINGS | headers.ORGANIZATIONS)
    if case.sample.numeric_share > 0.95 and (counted or (plural and named)):
        case.add("none", 6, "name: numbers under a plural, so rather a count")


def _add_hint(case: Case, hint: headers.Hint) -> None:
    concepts = " + ".join(hint.concepts)
    if hint.entity_type == "none":
        if _NUMBERED & set(hint.concepts) and case.sample.mean_words >= 4 and case.sample.alphabetic_share > 0.6:
            return  # the name of a number or of a time says nothing about running text
        case.add("none", hint.weight, f"name: reads as {concepts}, which names no entity")
        return
    fit = plausible.fit(hint.entity_type, case.sample)
    if fit >= FITS_WELL:
        case.add(hint.entity_type, hint.weight, f"name: reads as {concepts}")
    else:
        weight = hint.weight * fit / FITS_WELL * 0.9
        case.add(
            hint.entity_type,
            weight,
            f"name: reads as {concepts}, but only {fit:.0%} of the values can be {hint.entity_type}",
        )


def lead(case: Case) -> float:
    """How far the best type lies before the next, in log odds, 0 and more; tables of few rows count less."""
    ranking = case.ranking()
    ahead = ranking[0][1] - (ranking[1][1] if len(ranking) > 1 else 0.0)
    return ahead * min(1.0, 0.5 + case.sample.filled / 30)


@cache
def calibration(name: str) -> tuple[tuple[float, float], ...]:
    """Points (lead, share right) of the fitted monotone map, from data/calibration.txt.

    Args:
        name: "named" for columns whose name can say something, else "opaque".
    """
    rows = (line.split() for line in read_data("calibration.txt"))
    return tuple((float(row[1]), float(row[2])) for row in rows if row[0] == name)


def confidence(case: Case) -> float:
    """Calibrated share of such verdicts that are right, from the lead of the best type over the next.

    Source: isotonic regression, fitted by benchmarks/calibrate.py.
    """
    points = calibration("opaque" if case.header.opaque else "named")
    return round(float(np.interp(lead(case), [x for x, _ in points], [y for _, y in points])), 4)
