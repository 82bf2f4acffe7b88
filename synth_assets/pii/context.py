"""What the columns of a table say about each other: whom the table is about, pairs and neighbours.

What belongs here: evidence from other columns, from the table's name and its description. What does not: one column alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synth_assets.pii.detection import TextDetector, text_detector
from synth_assets.pii.elements import add_element
from synth_assets.pii.evidence import Case
from synth_assets.pii.headers import ORGANIZATIONS, PERSONS, THINGS
from synth_assets.pii.names import read_header

# How much a column of a type says that the rows are persons.
_PERSONAL = {
    "first_name": 2.0, "last_name": 2.0, "birth_date": 3.0, "death_date": 2.0, "ssn": 2.0, "itin": 2.0, "national_id": 1.5,
    "passport": 2.0, "driver_license": 2.0, "age": 2.0, "sex": 2.0, "race_ethnicity": 2.0, "religion": 2.0, "marital_status": 2.0,
    "mrn": 2.0, "health_plan_id": 2.0, "person_name": 1.5, "salary_or_income": 1.5, "occupation": 1.0, "education": 1.0,
    "nationality": 1.0, "customer_id": 1.0, "username": 1.0, "password_or_secret": 0.5, "email": 0.5, "phone": 0.25,
    "card_number": 1.0, "iban": 0.5, "diagnosis_text": 1.0, "employer": 0.5, "photo_or_biometric": 0.5, "vin": 2.0,
    "license_plate": 2.0,
}  # fmt: skip
_SUBJECTS = frozenset({"patient", "customer", "member", "user", "person", "insured", "student", "participant"})
_OF_HEALTH = frozenset({"mrn", "npi", "dea", "icd10", "loinc", "ndc", "procedure_code", "diagnosis_text"})
_ABOUT_HEALTH = frozenset({"patient", "claim", "diagnosis", "hospital", "health", "insurance", "encounter"})
_HANDLERS = frozenset({"by", "actor", "agent", "author"})
_PLACES = frozenset({"street_address", "city", "state", "country", "zip", "county"})


@dataclass(frozen=True)
class Subject:
    """Whom or what the rows of a table are about.

    Attributes:
        personal: Evidence that they are persons, 0 and more.
        business: Evidence that they are firms, shops or other things, 0 and more.
        named: "person", "firm", "thing" or None: what the table's name says.
        animals: A column or the table's name tells of animals.
        patients: A column or the table's name tells of patients.
    """

    personal: float
    business: float
    named: str | None
    animals: bool
    patients: bool = False

    @property
    def about_persons(self) -> bool:
        """Whether rows are, or belong to, persons."""
        return self.personal > self.business and self.personal >= 1.0

    @property
    def about_business(self) -> bool:
        """Whether contact data in the table are those of firms or things."""
        return self.business > self.personal


def subject_of(cases: Sequence[Case], table_name: str, description: str) -> Subject:
    """Weigh the best types of all columns and the table's name."""
    personal = business = 0.0
    for case in cases:
        top = case.top
        personal += _PERSONAL.get(top, 0.0) if "author" not in case.header.all else 0.0
        if top == "organization":
            business += 5.0 if case.sample.distinct_ratio > 0.8 else 1.5
    named = _named(table_name) or _named(description)
    personal += 3.0 if named == "person" else 0.0
    business += 2.0 if named == "firm" else 0.0
    animals = "animal" in read_header(table_name).all or any("animal" in c.header.all for c in cases)
    about = read_header(table_name).all | read_header(description).all
    patients = "patient" in about or any("patient" in c.header.all or c.top in _OF_HEALTH for c in cases)
    return Subject(personal, business, named, animals, patients)


def _named(text: str) -> str | None:
    concepts = read_header(text).all if text else frozenset()
    if concepts & (PERSONS - {"driver", "agent", "actor"}):
        return "person"
    if concepts & ORGANIZATIONS:
        return "firm"
    return "thing" if concepts & THINGS else None


def relate(
    cases: Sequence[Case], table_name: str = "", description: str = "", detector: TextDetector | None = None
) -> Subject:
    """Add to each case what its neighbours say; returns the subject of the table."""
    subject = subject_of(cases, table_name, description)
    about = read_header(table_name).all | read_header(description).all
    of_persons = subject.named == "person" or subject.patients or _rows_of_persons(cases)
    for position, case in enumerate(cases):
        _described(case, about)
        _bare_name(case, cases, subject)
        _name_of_same(case, cases)
        _bare_key(
            case,
            subject,
            first=not any(_is_key(c) for c in cases[:position])
            and (position < 2 or case.sample.consecutive)
            and not _refers_to_person(case, cases, subject),
        )
        _births(case, cases, subject)
        _ages(case, cases, subject)
        _last_names(case, cases)
        _firm(case, subject)
        _provider(case, subject)
        _insured(case, cases, about)
        _beside_places(case, cases)
        _security_code(case, cases)
        add_element(case, about_persons=subject.about_persons and of_persons)
        _scan(case, detector or text_detector())
        if position:
            _coordinates(cases[position - 1], case)
    return subject_of(cases, table_name, description)


def _rows_of_persons(cases: Sequence[Case]) -> bool:
    """Whether persons stand in the table who are more than those who handled its rows (posted by, approver, agent)."""
    return sum(_PERSONAL.get(c.top, 0.0) for c in cases if not c.header.all & _HANDLERS) >= 1.0


def _scan(case: Case, detector: TextDetector) -> None:
    """Free text is searched for identifiers."""
    if case.top != "free_text":
        return
    shares = detector.shares(case.sample.text.slice(0, 300))
    case.identifying_text = max(shares.values(), default=0.0)
    for kind, share in sorted(shares.items(), key=lambda pair: -pair[1])[:4]:
        case.add("free_text", 0.0, f"text: {max(share, 0.01):.0%} of the texts have the form of a {kind} in them")


def _bare_name(case: Case, cases: Sequence[Case], subject: Subject) -> None:
    """A column called only `name` beside a first name holds last names, and the other way round."""
    words = case.header.all
    if words != {"name"} and not case.header.opaque:
        return
    others = {c.top for c in cases if c is not case}
    for beside, other in (("first_name", "last_name"), ("last_name", "first_name")):
        lone = case.values_say(other) > 0 or (
            words == {"name"} and case.sample.mean_words < 1.6 and case.values_say("person_name") <= 0
        )
        if beside in others and other not in others and lone and case.values_say(beside) < 6:
            case.add(other, 3.5, f"context: another column holds the {beside}")
    if words == {"name"} and subject.named == "firm":
        case.add("organization", 4, "context: the table is about firms, so its names are theirs")
    if words == {"name"} and (subject.animals or (subject.named in ("thing", "firm") and not subject.about_persons)):
        for kind in ("person_name", "first_name", "last_name"):
            case.add(kind, -5, "context: the table is about things, so its names are theirs")


def _name_of_same(case: Case, cases: Sequence[Case]) -> None:
    """One word each, named as of a person whose first names stand in another column (customer_nom, customer_prenom): last names."""
    whose = case.header.all & PERSONS
    if case.top != "person_name" or not whose or "name" not in case.header.all or case.sample.mean_words >= 1.6:
        return
    if case.values_say("person_name") <= 0 and any(
        c.top == "first_name" and c.header.all & PERSONS == whose for c in cases if c is not case
    ):
        lead = case.score("person_name") - case.score("last_name")
        case.add("last_name", max(0.0, lead) + 2.0, "context: another column holds the first names of the same persons")


def _described(case: Case, about: frozenset[str]) -> None:
    """The description in a table of conditions or diagnoses is one."""
    if "description" in case.header.all and about & {"condition", "diagnosis"} and case.sample.alphabetic_share > 0.6:
        case.add("diagnosis_text", 4, "context: the table is about conditions or diagnoses")


def _is_key(case: Case) -> bool:
    return case.top in ("other_id", "customer_id") and case.sample.distinct_ratio > 0.5


def _bare_key(case: Case, subject: Subject, *, first: bool) -> None:
    """A key that says of nothing, the first one of the table: of the table's subject."""
    if not first or case.top != "other_id" or not _is_key(case) or not subject.about_persons:
        return
    bare = case.header.opaque or case.header.all <= {"id", "number", "key", "code"}
    if bare and subject.named not in ("thing", "firm"):
        case.add(
            "customer_id",
            case.score("other_id") - case.score("customer_id") + 1.0,
            "context: the key of a table about persons",
        )


def _refers_to_person(case: Case, cases: Sequence[Case], subject: Subject) -> bool:
    """Whether another column is the key of a person whom the rows are about: then the rows' own key is that of a thing."""
    if subject.named == "person":
        return False
    return any(c.top == "customer_id" and c.header.all & _SUBJECTS for c in cases if c is not case)


def _births(case: Case, cases: Sequence[Case], subject: Subject) -> None:
    """Dates without a telling name, decades back, in a table about persons without a birth date."""
    if (
        case.header.opaque
        and case.values_say("birth_date") > 3
        and subject.personal >= 2
        and all(c.top != "birth_date" for c in cases)
    ):
        case.add("birth_date", 3.0, "context: the table is about persons and no other column holds their birth dates")


def _ages(case: Case, cases: Sequence[Case], subject: Subject) -> None:
    """Whole numbers over the span of a life, without a telling name, in a table about persons without an age or a birth date."""
    numbers = case.sample.numbers
    if (
        not case.header.opaque
        or subject.personal < 2
        or len(numbers) < max(20, len(case.sample))
        or case.sample.decimals
    ):
        return
    span = numbers.min() >= 0 and 60 <= numbers.max() <= 110 and 10 <= float(np.std(numbers)) <= 32
    if span and len(numbers) >= 25 and case.top == "none" and all(c.top not in ("age", "birth_date") for c in cases):
        case.add(
            "age", case.score("none") + 1.0, "context: whole numbers over the span of a life in a table about persons"
        )


def _last_names(case: Case, cases: Sequence[Case]) -> None:
    """One capitalised word each, hardly ever repeated, without a telling name, beside first names and no last names."""
    found = {c.top for c in cases if c is not case}
    sample = case.sample
    if not case.header.opaque or case.top != "none" or "first_name" not in found or "last_name" in found:
        return
    single = len(sample) >= 10 and sample.share("capital_word") > 0.9 and sample.distinct_ratio > 0.4
    if single and all(
        case.values_say(t) <= 0 for t in ("city", "street_address", "username", "organization", "occupation")
    ):
        case.add("last_name", 4.0, "context: single capitalised words beside first names")


def _provider(case: Case, subject: Subject) -> None:
    """A provider can be a hospital: in a table of firms its number is that of a thing."""
    if "provider" in case.header.all and subject.about_business and case.top == "customer_id":
        case.add("customer_id", -6, "context: the table is about firms, so a provider is one")
        case.add("other_id", 2, "context: the table is about firms, so a provider is one")


def _insured(case: Case, cases: Sequence[Case], about: frozenset[str]) -> None:
    """A number of a member or a policy beside health codes, claims or payers is that of a health plan."""
    words = case.header.all
    if case.header_says("health_plan_id") <= 0 or not words & {"member", "policy", "insured"}:
        return
    beside = {c.top for c in cases if c is not case} & _OF_HEALTH
    named = any(c.header.all & {"insurance", "health", "medicare"} for c in cases if c is not case)
    if beside or named or about & _ABOUT_HEALTH:
        lead = max(case.score("customer_id"), case.score("other_id")) - case.score("health_plan_id")
        case.add("health_plan_id", max(0.0, lead) + 1.0, "context: the table is about health care")


def _firm(case: Case, subject: Subject) -> None:
    """A firm in a table about persons is where they work."""
    if case.header.all & {"counterparty", "bank", "hospital", "store", "school", "provider"}:
        return
    if case.top in ("organization", "employer") and subject.personal >= 4 and subject.personal > subject.business:
        if case.sample.distinct_ratio < 0.95 or case.header.opaque or case.header_says("employer") > 0:
            case.add("employer", 3.0, "context: a firm in a table about persons")
    elif case.top == "employer" and subject.about_business and case.header_says("employer") < 6:
        case.add("organization", 3.0, "context: the table is about firms or things")


def _beside_places(case: Case, cases: Sequence[Case]) -> None:
    """Parts of addresses stand together."""
    found = {c.top for c in cases if c is not case} & _PLACES
    if not found or not (found - {case.top}):
        return
    close = min(2.5, 1.25 * len(found))
    for kind in ("zip", "city", "state", "country"):
        if case.values_say(kind) > 0 and kind not in found:
            case.add(kind, close, "context: beside other parts of an address")
    postal = case.header_says("zip") > 0 and case.top == "password_or_secret" and case.sample.numeric_share > 0.9
    if postal and float(np.median(case.sample.lengths)) == 6:
        lead = case.score("password_or_secret") - case.score("zip")
        case.add("zip", lead + 2.0, "context: six digits beside other parts of an address, as Indian postal codes")
    coded_state = any(c.top == "state" and c.sample.mean_length <= 3 for c in cases if c is not case)
    if (
        case.top == "state"
        and coded_state
        and case.values_say("city") > 0
        and "city" not in found
        and case.header_says("state") <= 0
    ):
        case.add("city", 5, "context: another column holds codes of states")
    mixed = case.sample.share("zip_any")
    codes = (
        mixed > 0.9
        and 4 <= case.sample.mean_length <= 9
        and case.sample.numeric_share < 1.0
        and case.sample.distinct_ratio > 0.2
    )
    if case.header.opaque and "zip" not in found and len(found) >= 2 and codes and not case.sample.consecutive:
        case.add("zip", 2.5, "context: short codes beside other parts of an address")


def _security_code(case: Case, cases: Sequence[Case]) -> None:
    """Three or four digits beside a card number, spread over their whole range."""
    numbers = case.sample.numbers
    if not case.header.opaque or len(numbers) < max(20, len(case.sample)) or case.sample.decimals:
        return
    lengths = case.sample.lengths
    fixed = float(np.mean((lengths == 3) | (lengths == 4)))
    spread = numbers.max() - numbers.min() > 600
    if fixed > 0.95 and spread and case.sample.distinct_ratio > 0.3 and any(c.top == "card_number" for c in cases):
        case.add("password_or_secret", 6, "context: three or four digits beside a card number")


def _coordinates(left: Case, right: Case) -> None:
    """Two neighbours without telling names, decimals within the ranges of latitude and longitude."""
    if not (left.header.opaque and right.header.opaque):
        return
    a, b = left.sample, right.sample
    if min(len(a.numbers), len(b.numbers)) < 3 or min(a.decimals, b.decimals) < 3.5:
        return
    low, high = (a.numbers, b.numbers)
    if np.abs(low).max() > 90 or np.abs(high).max() > 180 or float(np.std(low)) == 0:
        return
    for case in (left, right):
        case.add("coordinates", 8, "context: two neighbours within the ranges of latitude and longitude")
