"""What the concepts and words of a column name say about its entity type: rules from data/header_rules.txt, applied.

What belongs here: parsing and applying the rules. What does not: splitting names into words (names.py), values (detectors.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache

from synth_assets.pii.dictionaries import read_data, word_set
from synth_assets.pii.names import Header

PERSONS = word_set(
    "patient customer employee user member person student teacher doctor provider manager agent holder insured relative deceased ",
    "applicant participant passenger player author politician driver actor",
)
ORGANIZATIONS = word_set("organization store hospital school bank")
THINGS = word_set(
    "order invoice product claim encounter transaction vehicle flight animal property book asset department category test course log ",
    "plan policy drug procedure device condition",
)
ATTRIBUTES = word_set(
    "age sex race religion nationality marital language occupation salary education street city state zip county country email phone ",
    "fax birth death photo text url ip mac",
)
SPECIAL = word_set(
    "ssn social itin passport license nationalid national taxid tax card iban swift routing account npi dea mrn chart medicare ",
    "insurance ndc loinc icd cpt vin plate device imei serial advertising url ip mac username secret phone fax email zip birth death ",
    "travel",
)
GROUPS = {
    "@person": PERSONS,
    "@thing": THINGS | ORGANIZATIONS,
    "@org": ORGANIZATIONS,
    "@id": frozenset({"id"}),
    "@idlike": frozenset({"id", "number", "key"}),
    "@attr": ATTRIBUTES,
    "@special": SPECIAL,
}
SPOILERS = word_set("status type count flag amount currency measure format domain timezone population")
SPOILED = 0.35
_TERM = re.compile(r"([+\-~]?)(@?[a-z_0-9]+)")
_TOLERANT = {
    "marital_status": {"status", "type", "flag"},
    "salary_or_income": {"amount", "type", "currency", "count", "measure"},
    "education": {"status", "type"},
    "nationality": {"status"},
    "race_ethnicity": {"type", "status"},
    "none": SPOILERS,
    "other_id": {"type"},
    "event_date": {"status", "amount", "format", "count"},
    "timestamp": {"status", "amount"},
    "employer": {"type", "status"},
    "ip_address": {"type"},
    "url": {"type"},
    "death_date": {"flag"},
    "password_or_secret": {"format"},
    "phone": {"type"},
    "procedure_code": {"type"},
    "icd10": {"format"},
}


@dataclass(frozen=True)
class Rule:
    """One rule: all of `needed`, none of `excluded`."""

    entity_type: str
    weight: float
    needed: tuple[str, ...]
    excluded: tuple[str, ...]


@dataclass(frozen=True)
class Hint:
    """What a name says about one type, in log odds."""

    entity_type: str
    weight: float
    concepts: tuple[str, ...]


@cache
def rules() -> tuple[Rule, ...]:
    """All rules, parsed once."""
    found = []
    for line in read_data("header_rules.txt"):
        head, _, body = line.partition(":")
        entity_type, weight = head.split()
        found += [_rule(entity_type, float(weight), text) for text in body.split(";") if text.strip()]
    return tuple(found)


def _rule(entity_type: str, weight: float, text: str) -> Rule:
    terms = _TERM.findall(text.replace(" ", ""))
    needed = tuple(name for sign, name in terms if sign in ("", "+"))
    return Rule(entity_type, weight, needed, tuple(name for sign, name in terms if sign == "-"))


def _members(term: str) -> frozenset[str]:
    return GROUPS.get(term, frozenset({term}))


def _fires(rule: Rule, concepts: frozenset[str]) -> bool:
    plain = {t for t in rule.needed if not t.startswith("@")}
    if not plain <= concepts:
        return False
    rest = concepts - plain
    if any(t.startswith("@") and not (GROUPS[t] & rest) for t in rule.needed):
        return False
    wanted = frozenset().union(*(_members(t) for t in rule.needed))
    return not any((GROUPS[t] - wanted if t in GROUPS else {t}) & concepts for t in rule.excluded)


@lru_cache(maxsize=4096)
def hints(header: Header) -> tuple[Hint, ...]:
    """The strongest rule per entity type, spoiled where the name ends in a kind, state, count or amount of something.

    Words outside the vocabulary weaken every hint a little: they may change the meaning.
    """
    concepts = header.all | frozenset(header.words)
    best: dict[str, Hint] = {}
    for rule in rules():
        if not _fires(rule, concepts):
            continue
        weight = rule.weight * _spoiling(rule, concepts) - 0.5 * min(header.unknown_words, 3) * (rule.weight < 7)
        current = best.get(rule.entity_type)
        if current is None or weight > current.weight:
            best[rule.entity_type] = Hint(rule.entity_type, weight, tuple(sorted(concepts & _read_by(rule))))
    return tuple(sorted(best.values(), key=lambda h: (-h.weight, h.entity_type)))


def _read_by(rule: Rule) -> frozenset[str]:
    return frozenset().union(*(_members(t) for t in rule.needed))


def _spoiling(rule: Rule, concepts: frozenset[str]) -> float:
    tolerated = _TOLERANT.get(rule.entity_type, set()) | _read_by(rule)
    return SPOILED if (concepts & SPOILERS) - tolerated else 1.0
