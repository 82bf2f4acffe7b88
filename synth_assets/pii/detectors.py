"""Value detectors: what the form, check digits and meaning of a column's values say about its entity type.

What belongs here: the registry, and one row per entity type that a form or a check digit tells. Detectors that need
dictionaries or numbers stand in detectors_people, detectors_places and detectors_codes. What does not: column names (headers.py).
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from synth_assets.pii import checksums
from synth_assets.pii.columns import ColumnSample

ENOUGH = 5  # distinct values below which a share says little


@dataclass(frozen=True)
class Signal:
    """One finding about the values of a column.

    Attributes:
        entity_type: The type it speaks for (or against, where the weight is negative).
        weight: Log odds.
        reason: Why, in words, without a value.
    """

    entity_type: str
    weight: float
    reason: str


@dataclass(frozen=True)
class Form:
    """A detector by form: share of values with one of the forms, then check digits.

    Attributes:
        entity_type: What it speaks for.
        forms: Keys of `patterns.CELL`; the largest share counts.
        weight: Log odds when every value has the form (and passes the check).
        least: Share from which the form counts.
        check: Key of `checksums.VALIDATORS`, or None.
        unchecked: Log odds for the form alone where the check fails; below 0 it speaks against the type.
        distinct: Least number of distinct values, for forms that short lists have by accident.
    """

    entity_type: str
    forms: tuple[str, ...]
    weight: float
    least: float = 0.7
    check: str | None = None
    unchecked: float = 0.0
    distinct: int = 1


FORMS: tuple[Form, ...] = (
    Form("email", ("email",), 10, least=0.5),
    Form("url", ("url",), 9, least=0.5),
    Form("ip_address", ("ipv6",), 9),
    Form("mac_address", ("mac",), 9),
    Form("coordinates", ("point",), 9),
    Form("coordinates", ("open_location_code", "grid_reference"), 9, least=0.8, distinct=3),
    Form("photo_or_biometric", ("image_bytes",), 9, least=0.5),
    Form("password_or_secret", ("password_hash", "api_token"), 9, least=0.5),
    Form("health_plan_id", ("mbi",), 9, least=0.9, distinct=3),
    Form("device_id", ("udi",), 9),
    Form("device_id", ("imei",), 7, check="imei", distinct=ENOUGH),
    Form("card_number", ("card",), 9, check="card_number", distinct=ENOUGH),
    Form("card_number", ("card_masked",), 8),
    Form("iban", ("iban",), 9, check="iban", unchecked=-4),
    Form("swift", ("swift",), 6, least=0.95, check="swift", distinct=3),
    Form("routing_number", ("ifsc",), 7, least=0.95, distinct=3),
    Form("account_number", ("clabe",), 7, least=0.95, check="clabe", distinct=ENOUGH),
    Form("account_number", ("ccc",), 7, least=0.95, check="ccc", distinct=ENOUGH),
    Form("health_plan_id", ("kvnr",), 7, least=0.95, check="kvnr", distinct=ENOUGH),
    Form("tax_id", ("pan_in",), 7, least=0.95, distinct=ENOUGH),
    Form("routing_number", ("nine_digits",), 8, least=0.95, check="routing_number", unchecked=-1, distinct=ENOUGH),
    Form("npi", ("ten_digits",), 8, least=0.95, check="npi", distinct=ENOUGH),
    Form("dea", ("dea",), 8, least=0.9, check="dea", unchecked=-2, distinct=3),
    Form("vin", ("vin",), 9, least=0.9, check="vin"),
    Form("vin", ("vin_world",), 4, least=0.9),
    Form("icd10", ("icd10_dotted",), 7, least=0.3),
    Form("loinc", ("loinc",), 8, least=0.9, check="loinc", unchecked=-3, distinct=3),
    Form("ndc", ("ndc",), 7, least=0.9, distinct=3),
    Form("national_id", ("national",), 6, least=0.9, distinct=3),
    Form("tax_id", ("company_number",), 7, least=0.9),
    Form("none", ("colour",), 6, least=0.9),
    Form("password_or_secret", ("colour",), -6, least=0.9),
    Form("tax_id", ("ein_dashed",), 6, least=0.9, distinct=3),
    Form("mrn", ("mrn_like",), 2.5, least=0.9),
    Form("username", ("login_strong",), 3.0, least=0.8, distinct=ENOUGH),
    Form("free_text", ("flag",), -6, least=0.8),
)

Detector = Callable[[ColumnSample], Iterable[Signal]]
_REGISTRY: list[Detector] = []
_MODULES = ("detectors_codes", "detectors_people", "detectors_places")


def detector(function: Detector) -> Detector:
    """Register a detector; each one looks at a sample and yields signals."""
    _REGISTRY.append(function)
    return function


def signals(sample: ColumnSample) -> list[Signal]:
    """All findings about one column's values."""
    if not len(sample):
        return []
    for module in _MODULES:  # each registers its detectors when it is imported; they import this module
        importlib.import_module(f"synth_assets.pii.{module}")
    return [s for look in _REGISTRY for s in look(sample)]


def beyond_chance(sample: ColumnSample, valid: float, chance: float) -> float:
    """Log odds that a check which nearly all of many values pass adds: 2 where so many would hardly pass by chance, else 0."""
    return 2.0 if valid >= 0.95 and len(sample.checked) * math.log(1 / chance) > 30 else 0.0


@detector
def by_form(sample: ColumnSample) -> Iterable[Signal]:
    """All rows of FORMS."""
    if sample.temporal or sample.dtype == "bool":
        return
    for form in FORMS:
        share = max(sample.share(f) for f in form.forms)
        if share >= form.least and len(sample) >= form.distinct:
            yield _judge(sample, form, share)


def _judge(sample: ColumnSample, form: Form, share: float) -> Signal:
    strength = min(1.0, 0.5 + share / 2)
    named = form.entity_type if form.weight > 0 and form.entity_type != "none" else f"a {form.forms[0]}"
    form_words = f"pattern: {share:.0%} of the distinct values have the form of {named}"
    if form.check is None:
        return Signal(form.entity_type, form.weight * strength, form_words)
    valid = sample.share_valid(checksums.VALIDATORS[form.check])
    chance = checksums.CHANCE.get(form.check, 0.05)
    if valid >= max(0.75, chance + 0.5 * (1 - chance)):
        return Signal(
            form.entity_type,
            form.weight * valid + beyond_chance(sample, valid, chance),
            f"check digits: {valid:.0%} valid as {form.entity_type}, {chance:.0%} by chance",
        )
    if valid >= max(0.4, 3 * chance):
        reason = f"check digits: only {valid:.0%} valid as {form.entity_type}, still more than by chance"
        return Signal(form.entity_type, form.weight * 0.5, reason)
    return Signal(
        form.entity_type,
        form.unchecked,
        f"check digits: {valid:.0%} valid as {form.entity_type}, no more than by chance",
    )
