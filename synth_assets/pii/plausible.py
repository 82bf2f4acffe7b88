"""How far the values of a column can be what its name says: a lenient fit per entity type, 0 to 1.

What belongs here: forms that a type cannot do without (an e-mail has an @). What does not: evidence for a type without a name.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from synth_assets.pii.columns import ColumnSample

_GEOCODE = (  # geohash, three words, Maidenhead locator, H3 cell
    r"^(?=.*\d[a-z])(?=.*[a-z]\d)[0-9b-hjkmnp-z]{5,12}$|^[a-z]{2,}\.[a-z]{2,}\.[a-z]{2,}$"
    r"|^[A-R]{2}\d{2}(?:[a-xA-X]{2})?$|^8[0-9a-f]{14}$"
)
_AGE_IN_WORDS = (
    r"(?i)^\d{1,3}(?:[.,]\d)? ?"
    r"(?:y(?:rs?|/?o|ears?)?|mths?|mos?|months?|wks?|weeks?|days?|j(?:ahre?|aar)?|ans?|a[nñ]os?|anni)\b"
)
Fit = Callable[[ColumnSample], float]


def fit(entity_type: str, sample: ColumnSample) -> float:
    """Share of the values that the type allows, 0 to 1; 1 where nothing is known about the type."""
    if not len(sample):
        return 1.0
    return max(0.0, min(1.0, _FITS.get(entity_type, _anything)(sample)))


def _anything(_: ColumnSample) -> float:
    return 1.0


def _search(sample: ColumnSample, regex: str) -> float:
    compiled = re.compile(regex)
    return float(np.mean([bool(compiled.search(v)) for v in sample.checked]))


def _worded(sample: ColumnSample) -> float:
    """Texts with letters that are no flags or dates."""
    if sample.temporal or sample.share("flag") > 0.8 or sample.share("date") > 0.5 or sample.share("uuid") > 0.5:
        return 0.0
    return _search(sample, r"[^\W\d_]{2}")


def _nameable(sample: ColumnSample) -> float:
    initials = sample.share("initial") if sample.distinct > 4 or sample.filled <= 10 else 0.0  # two letters are a code
    return 0.0 if sample.share("email_like") > 0.5 else max(_worded(sample), initials)


def _digits(low: int, high: int) -> Fit:
    def check(sample: ColumnSample) -> float:
        if sample.temporal or sample.decimals > 0.5:
            return 0.0
        counts = [sum(c.isdigit() for c in v) for v in sample.checked]
        masked = _search(sample, r"[*X•#]{2,}")
        return max(masked, float(np.mean([low <= n <= high for n in counts])))

    return check


def _carded(sample: ColumnSample) -> float:
    """Digits of a card, whole or masked; other letters than those of a mask stand in other numbers."""
    return 0.0 if _search(sample, r"[A-WYZa-wyz]") > 0.5 else _digits(4, 19)(sample)


def _document(sample: ColumnSample) -> float:
    """Numbers of documents: one or two words of letters and digits, 4 to 25 characters."""
    if sample.temporal or sample.decimals > 0.5 or sample.share("flag") > 0.5:
        return 0.0
    return _search(sample, r"^(?=.*[\d*X])[\w\-./* ]{4,25}$")


def _dated(sample: ColumnSample) -> float:
    if sample.temporal:
        return 1.0
    whole = sample.share("date")
    return max(
        whole,
        0.9 * sample.share("year"),
        0.8 * sample.share("epoch"),
        _search(sample, r"^\d{1,2}[-/]\d{2,4}$"),
        0.7 * _serial_day(sample),
    )


def _serial_day(sample: ColumnSample) -> float:
    numbers = sample.numbers
    return float(np.mean((numbers > 5_000) & (numbers < 80_000))) if len(numbers) > 0.8 * len(sample) else 0.0


def _aged(sample: ColumnSample) -> float:
    bands = _search(sample, r"^\D{0,12}\d{1,3} ?(?:[-\u2013+]|to|bis|a) ?\d{0,3}\D{0,8}$|^[<>]=? ?\d{1,3}")
    worded = _search(sample, _AGE_IN_WORDS)
    numbers = sample.numbers
    return max(
        bands,
        worded,
        float(np.mean((numbers >= 0) & (numbers <= 125))) * (len(numbers) / len(sample)) if len(numbers) else 0.0,
    )


def _amount(sample: ColumnSample) -> float:
    banded = _search(sample, r"\d ?[kK]\b|\d.*(?:-|to).*\d|[<>]")
    numeric = sample.numeric_share if sample.share("flag") < 0.9 else 0.0
    if numeric > 0.9 and float(sample.numbers.max()) < 100:
        return 0.45
    return max(numeric, sample.share("money"), sample.share("number"), banded)


def _few(most: int, *, flags: bool = False) -> Fit:
    def check(sample: ColumnSample) -> float:
        if sample.temporal or sample.decimals > 0.5 or sample.distinct > most:
            return 0.0
        return 1.0 if flags or sample.share("flag") < 0.95 or sample.share("integer") > 0.9 else 0.3

    return check


def _positioned(sample: ColumnSample) -> float:
    numbers = sample.numbers
    inside = float(np.mean(np.abs(numbers) <= 180)) * len(numbers) / len(sample) if len(numbers) else 0.0
    coded = max(sample.share("open_location_code"), sample.share("grid_reference"), _search(sample, _GEOCODE))
    return max(inside, coded, sample.share("point"), _search(sample, r"\d+[°.]\d+.*[NSEW]|[(\[]-?\d{1,3}\.\d{3,}[,; ]"))


def _keyed(sample: ColumnSample) -> float:
    if sample.temporal or sample.dtype == "bool" or sample.decimals > 0.5 or sample.share("date") > 0.7:
        return 0.0
    if sample.mean_words > 3.5 or (sample.share("flag") > 0.95 and sample.share("integer") < 0.5):
        return 0.0
    if sample.distinct <= 4 and sample.filled > 20 and sample.alphabetic_share > 0.9:
        return 0.1  # a few letters over and over are a category
    return max(_search(sample, r"\d"), _search(sample, r"^[A-Z0-9\-_./]+$"), 0.2)


def _coded(sample: ColumnSample) -> float:
    return 0.0 if sample.temporal or sample.decimals > 0.5 else max(_worded(sample), _search(sample, r"^\w{1,5}$"))


def _placed(sample: ColumnSample) -> float:
    """Streets, or the number of a house alone."""
    houses = 0.6 * _search(sample, r"^\d{1,4}(?: ?[A-Za-z]| ?[-/] ?\d+)?$")
    return max(houses, _worded(sample) if sample.mean_length > 3.5 else 0.2)


def _located(sample: ColumnSample) -> float:
    return 0.0 if sample.temporal or sample.decimals > 0.5 else _search(sample, r"^(?=.*\d)[\w \-.]{2,12}$")


_FITS: dict[str, Fit] = {
    "person_name": _nameable, "first_name": _nameable, "last_name": _nameable,
    "email": lambda s: s.share("email_like"),
    "phone": _digits(5, 18), "fax": _digits(5, 18),
    "street_address": _placed,
    "city": _worded,
    "county": lambda s: max(_worded(s), 0.7 * _search(s, r"^(?:[A-Za-z]{1,3}[ .-]?)?\d{1,5}[A-Za-z]?(?:[-.]?\d{2,10})?$")),
    "state": _coded, "country": _coded, "zip": _located,
    "coordinates": _positioned,
    "ssn": _digits(4, 9), "itin": _digits(4, 9), "passport": _document, "driver_license": _document, "national_id": _document,
    "tax_id": _document, "card_number": _carded, "iban": lambda s: _search(s, r"^(?i:[A-Z]{2})\d{2}"),
    "swift": lambda s: _search(s, r"^[A-Z0-9]{8,11}$"), "routing_number": _digits(5, 9), "account_number": _document,
    "npi": _digits(10, 10), "dea": lambda s: _search(s, r"^[A-Za-z]{1,2}\w?\d{6,7}$"), "mrn": _document, "health_plan_id": _document,
    "icd10": lambda s: max(s.share("icd10"), s.share("icd9")), "loinc": lambda s: s.share("loinc"),
    "ndc": lambda s: max(s.share("ndc"), s.share("ndc_product"), _digits(8, 11)(s)),
    "procedure_code": lambda s: _search(s, r"^[A-Za-z]?\d{3,}[A-Za-z]?$|^\w{7}$"),
    "vin": lambda s: s.share("vin_part"), "license_plate": lambda s: _search(s, r"^(?=.*[\dA-Z])[\w \-.]{2,12}$"),
    "device_id": _document,
    "url": lambda s: max(s.share("url"), s.share("domain"), _search(s, r"[/\\#]|\.\w{2,5}$")),
    "ip_address": lambda s: max(s.share("ipv4"), s.share("ipv6"), 0.6 * _digits(7, 10)(s)),
    "mac_address": lambda s: s.share("mac"),
    "username": lambda s: _worded(s) if s.mean_words <= 2.5 else 0.2,
    "password_or_secret": lambda s: 0.0 if s.temporal or s.dtype == "bool" or s.decimals > 0.5 or s.share("flag") > 0.9 else 1.0,
    "birth_date": _dated, "death_date": _dated, "event_date": _dated, "timestamp": lambda s: max(_dated(s), s.share("time")),
    "age": _aged, "sex": _few(25, flags=True), "race_ethnicity": _few(150, flags=True), "religion": _few(150, flags=True),
    "nationality": _coded, "marital_status": _few(25, flags=True), "language": _coded,
    "occupation": lambda s: max(_worded(s), 0.4), "employer": _worded, "salary_or_income": _amount, "education": _few(80),
    "diagnosis_text": _worded, "free_text": _worded, "organization": _worded,
    "photo_or_biometric": lambda s: 0.2 if s.mean_length < 4 or s.temporal else 1.0,
    "customer_id": _keyed, "other_id": _keyed,
}  # fmt: skip
