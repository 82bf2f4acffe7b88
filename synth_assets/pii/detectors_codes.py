"""Detectors of numbers and codes: national numbers, phones, dates, keys, secrets, health codes, amounts."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime

import numpy as np

from synth_assets.pii import checksums, phone_plans
from synth_assets.pii.columns import ColumnSample
from synth_assets.pii.detectors import ENOUGH, Signal, beyond_chance, detector

_FIRST_LOOK, _LAST_LOOK = 20, 96
_MARKED_PASSWORD = re.compile(r"(?=.*[a-z])(?=.*[A-Z\d])(?=.*[!@#$%^&*()_+=?<>{}\[\]~])[^\s/]{6,64}$")
_MIXED_WORD = re.compile(r"[a-z][A-Z]|\d[A-Z]?[a-z]")
_CAMEL_WORD = re.compile(r"(?:[A-Z][a-z]+){1,6}\d*")
MANY_NUMBERS, LONG_NUMBER = 100, 7  # different ones; digits in each
ROUND = 0.3  # share that end in 0: a tenth of numbers that stand for somebody do, most amounts


@detector
def social_security(sample: ColumnSample) -> Iterable[Signal]:
    """SSN and ITIN: the dashed form, then the ranges in use; a dashed form outside them speaks for another key."""
    share = sample.share("ssn_dashed")
    if share < 0.7:
        yield from _undashed_taxpayers(sample)
        return
    issued = sample.share_valid(checksums.ssn)
    taxpayer = sample.share_valid(checksums.itin)
    if taxpayer >= 0.9:
        yield Signal("itin", 8, f"number ranges: {taxpayer:.0%} lie in the ranges of itin")
    elif issued >= 0.95:
        yield Signal("ssn", 8, f"number ranges: {issued:.0%} lie in issued ranges of ssn")
    elif issued >= 0.85:
        yield Signal("ssn", 5, f"number ranges: {issued:.0%} lie in issued ranges of ssn")
    else:
        yield Signal("other_id", 4, f"number ranges: only {issued:.0%} lie in issued ranges of ssn")


def _undashed_taxpayers(sample: ColumnSample) -> Iterable[Signal]:
    """Nine digits in a row: the ranges of ITIN hold one number of thirty, those of SSN nearly all."""
    if sample.share("nine_digits") < 0.95 or len(sample) < ENOUGH:
        return
    taxpayer = sample.share_valid(checksums.itin)
    if taxpayer >= 0.9:
        yield Signal("itin", 7, f"number ranges: {taxpayer:.0%} lie in the ranges of itin, 3% by chance")


@detector
def national_numbers(sample: ColumnSample) -> Iterable[Signal]:
    """Numbers of persons and taxpayers with check digits, by python-stdnum; a first look at a few values saves the rest."""
    if (
        len(sample) < ENOUGH
        or sample.temporal
        or not 7.5 <= sample.mean_length <= 24
        or sample.share("code_like") < 0.3 > _spaced(sample)
    ):
        return
    if np.std(sample.lengths) > 3 or sample.alphabetic_share > 0.75 or sample.share("uuid") > 0.2:
        return
    for entity_type, modules in (("national_id", checksums.NATIONAL_IDS), ("tax_id", checksums.TAX_IDS)):
        best, share, chance = "", 0.0, 1.0
        for module, by_chance in modules.items():
            valid = checksums.national(module)
            if by_chance > 0.8 or sample.share_valid(valid, _FIRST_LOOK) < 0.8:
                continue
            passed = sample.share_valid(valid)
            if passed >= 0.8 and by_chance < chance:
                best, share, chance = module, passed, by_chance
        if best and len(sample) * math.log(1 / chance) > 12:
            country = best.split(".", maxsplit=1)[0].strip("_").upper()
            yield Signal(
                entity_type,
                7.5 * share + beyond_chance(sample, share, chance),
                f"check digits: {share:.0%} valid as {best}, a number of {country}, {chance:.0%} by chance",
            )


def _spaced(sample: ColumnSample) -> float:
    return float(np.mean([bool(re.fullmatch(r"[\dA-Z]+(?: [\dA-Z]+)+", v)) for v in sample.checked[:50]]))


@detector
def phone_numbers(sample: ColumnSample) -> Iterable[Signal]:
    """Phone numbers: grouped or with a prefix by form, bare digits by the number plans of phonenumbers."""
    if sample.temporal or sample.share("phone") < 0.6 or sample.share("date") > 0.3 or sample.share("ssn_dashed") > 0.5:
        return
    if max(sample.share("ipv4"), sample.share("point"), sample.share("ndc")) > 0.5:
        return
    if sample.share("card") > 0.5 and sample.mean_length > 13:
        return
    formatted = sample.share("phone_formatted")
    bare = sample.share_valid(str.isdigit) > 0.5
    if formatted >= 0.4 and not bare:
        yield Signal(
            "phone", 4.5 + 3.5 * formatted, f"pattern: {formatted:.0%} are grouped or prefixed like phone numbers"
        )
        return
    numbers = [checksums.digits(v) for v in sample.checked[:_LAST_LOOK]]
    if not 9 <= np.median([len(n) for n in numbers]) <= 14 or len(sample) < ENOUGH:
        return
    region, valid, chance, odds = phone_plans.best_plan(numbers)
    if odds >= 12 and valid >= 0.6:
        reason = f"number plan: {valid:.0%} can be dialled {region}, {chance:.0%} by chance"
        yield Signal("phone", 4.5 * valid + (1.0 if odds >= 20 else 0.0), reason)


@detector
def internet_addresses(sample: ColumnSample) -> Iterable[Signal]:
    """IPv4: four octets; versions look alike, but few of them have a part of 100 and more (by chance 98 % of addresses do)."""
    share = sample.share("ipv4")
    if share < 0.7:
        return
    high = float(np.mean([any(int(p) >= 100 for p in re.findall(r"\d+", v)[:4]) for v in sample.checked]))
    leads = [int(v.split(".", 1)[0]) for v in sample.checked if v[:1].isdigit() and "." in v]
    counted = len(set(leads)) >= 3 and max(leads) <= 25  # networks begin with numbers up to 223
    if len(sample) < ENOUGH or (high >= 0.4 and not counted):
        yield Signal("ip_address", 9, f"pattern: {share:.0%} are four octets, {high:.0%} with one of 100 or more")
    else:
        yield Signal(
            "none",
            5,
            f"pattern: four numbers each, {high:.0%} with one of 100 or more, the first ones small: rather versions than addresses",
        )
        yield Signal("ip_address", -6, "pattern: versions rather than addresses")


@detector
def dates(sample: ColumnSample) -> Iterable[Signal]:
    """Dates and times: by storage type or form; birth dates spread over decades."""
    if sample.dtype == "bool" or not (sample.temporal or sample.share("date") >= 0.6):
        return
    digits_only = sample.share("date_eight") > 0.5
    timed = sample.share("datetime") - sample.share("midnight")
    if timed > 0.3:
        yield Signal("timestamp", 6, f"pattern: {timed:.0%} are dates with a time of day")
        yield Signal("event_date", 3.5, "pattern: dates")
    else:
        yield Signal("event_date", 4 if digits_only else 6, "pattern: dates without a time of day")
        yield Signal("timestamp", 3, "pattern: dates")
    years = sample.years
    if len(years) < 3:
        return
    low, median, high = np.quantile(years, [0.1, 0.5, 0.9])
    recent = datetime.now(UTC).year + 1
    if high - low >= 20 and 1920 <= median <= 2004 and years.max() <= recent and timed < 0.5:
        yield Signal(
            "birth_date",
            7.5 if high - low >= 28 or median < 1995 else 5,
            "numbers: the years spread over decades, as births do",
        )
    elif high - low >= 6 and 1940 <= median <= 1998 and timed < 0.3:
        yield Signal("birth_date", 3.5, "numbers: the years lie decades back")
    elif high - low < 6 and low > 2005:
        yield Signal("birth_date", -2, "numbers: the years lie close together")
    yield Signal("death_date", 1, "pattern: dates")


@detector
def epochs(sample: ColumnSample) -> Iterable[Signal]:
    """Seconds or milliseconds since 1970: whole numbers of ten or thirteen digits that all lie within the last twenty years."""
    if sample.share("epoch") < 0.98 or len(sample) < 20 or sample.consecutive:
        return
    if sample.share_valid(checksums.npi) > 0.5:
        return
    seconds = np.where(sample.numbers > 1e11, sample.numbers / 1000, sample.numbers)
    now = datetime.now(UTC).timestamp()
    if seconds.min() > now - 20 * 365.25 * 86400 and seconds.max() < now + 366 * 86400:
        yield Signal("timestamp", 5.5, "numbers: all within the last twenty years if read as seconds since 1970")


@detector
def keys(sample: ColumnSample) -> Iterable[Signal]:
    """Keys of something: running numbers, unique codes, UUIDs; values alone do not say of what, so both kinds of key gain."""
    if sample.temporal or sample.dtype == "bool" or sample.share("date") > 0.5 or len(sample) < 3:
        return
    weight, reason = max(_key_forms(sample), default=(0.0, ""))
    if sample.decimals > 0.5 or (len(sample.numbers) > 0.9 * len(sample) and sample.numbers.min() < 0):
        weight, reason = -5.0, "numbers: with decimals or signs, which keys have not"
    if weight:
        yield Signal("other_id", weight, reason)
        yield Signal("customer_id", weight - 0.5, reason)


def _key_forms(sample: ColumnSample) -> Iterable[tuple[float, str]]:
    unique, whole = sample.distinct_ratio, sample.share("integer")
    spread = float(np.std(sample.lengths))
    if sample.consecutive and sample.filled >= 10:
        yield 4.5, "uniqueness: running whole numbers, each once"
    even = spread < 0.15 or (spread < 1.0 and sample.mean_length >= 9)
    if (
        not sample.consecutive
        and whole > 0.98
        and unique > 0.98
        and sample.filled >= 10
        and float(np.min(sample.lengths)) >= 5
        and even
    ):
        yield 4.0 if sample.mean_length > 5.5 else 3.0, "uniqueness: whole numbers of one length, each once"
    coded = sample.share("prefixed_code")
    if coded > 0.9 and whole < 0.5 and sample.shapes <= max(12, 0.1 * len(sample)):
        sure = unique > 0.5 or _many_numbers(sample)
        yield 4.0 if sure else 2.5, f"pattern: {coded:.0%} are codes of letters and digits in few forms"
    elif _many_numbers(sample) and (whole > 0.98 or sample.share("upper_code") > 0.98):
        yield 3.5, "pattern: long numbers of one length, many different ones that repeat"
    grouped = float(np.mean([bool(re.fullmatch(r"\d+(?:-\d+)+", v)) for v in sample.checked]))
    if grouped > 0.9 and unique > 0.9:
        yield 2.5, "pattern: groups of digits, each value once"
    if sample.share("uuid") > 0.8:
        yield 6.0, "pattern: UUIDs"
    mixed = sample.share("upper_code")
    if mixed > 0.98 and unique > 0.95 and whole < 0.5 and spread < 0.2 and 8 <= sample.mean_length <= 40:
        yield 3.0, "uniqueness: codes of capital letters and digits of one length, each once"
    numbered = sample.share("document_number")
    if numbered > 0.98 and unique > 0.95 and whole < 0.98 and spread < 0.3:
        yield 3.5, "uniqueness: numbers of one length, some with letters before them, each once"
    if 9 <= sample.mean_length <= 18 and sample.alphabetic_share < 0.2 and sample.share_valid(checksums.isbn) > 0.8:
        yield 5.0, "check digits: valid as ISBN or EAN, numbers of things"


def _many_numbers(sample: ColumnSample) -> bool:
    """Whether many long numbers of one length repeat: no category and, as few are round, no amount, but whose each row is."""
    if sample.distinct < MANY_NUMBERS or float(np.std(sample.lengths)) >= 0.15 or sample.share("date_eight") > 0.5:
        return False
    digits = ["".join(c for c in v if c.isdigit()) for v in sample.checked]
    long = float(np.mean([len(d) >= LONG_NUMBER for d in digits]))
    round_ones = float(np.mean([d.endswith("0") for d in digits]))
    return long > 0.98 and round_ones < ROUND


@detector
def secrets(sample: ColumnSample) -> Iterable[Signal]:
    """Passwords and tokens: one word of mixed case and digits without any form, or a digest."""
    if sample.temporal or len(sample) < ENOUGH or sample.distinct_ratio < 0.5:
        return
    if sample.share("hex_hash") > 0.9:
        yield Signal("password_or_secret", 3.5, "pattern: hexadecimal digests")
        yield Signal("other_id", 3, "pattern: hexadecimal digests")
        return
    if max(sample.share("file"), sample.share("url"), sample.share("email_like")) > 0.3:
        return
    if len({re.sub(r"[\W\d_]+", " ", v) for v in sample.checked}) <= 0.1 * len(sample.checked):
        return  # the same word with a number behind
    marked = sample.share_valid(lambda v: bool(_MARKED_PASSWORD.match(v)))
    mixed = sample.share_valid(lambda v: bool(_MIXED_WORD.search(v)) and " " not in v and "." not in v)
    camel = sample.share_valid(lambda v: bool(_CAMEL_WORD.fullmatch(v)))
    coded = sample.share("code_like") > 0.5 and sample.share("hex_hash") < 0.1 and 5 <= sample.mean_length <= 64
    if marked > 0.7:
        yield Signal("password_or_secret", 5.5, f"pattern: {marked:.0%} mix cases, digits and signs within one word")
    elif mixed - camel > 0.6 and coded:
        yield Signal(
            "password_or_secret", 4.5, f"pattern: {mixed:.0%} mix cases and digits within one word, without a form"
        )


@detector
def file_names(sample: ColumnSample) -> Iterable[Signal]:
    """Names of files name nobody."""
    share = sample.share("file")
    if share > 0.8 and sample.share("url") < 0.5:
        yield Signal("none", 4, f"pattern: {share:.0%} are names of files")
        yield Signal("username", -4, "pattern: names of files")


@detector
def blobs(sample: ColumnSample) -> Iterable[Signal]:
    """Long runs of base64 or hexadecimal digits: an image, a template, a digest."""
    if sample.share("long_blob") > 0.7 and sample.mean_length >= 60:
        yield Signal("photo_or_biometric", 3.5, "pattern: long encoded values, as images and templates are")


@detector
def health_codes(sample: ColumnSample) -> Iterable[Signal]:
    """ICD-10 without points, CPT and HCPCS: weak forms, told by a mix of digits and letters."""
    if sample.temporal or len(sample) < 3:
        return
    icd = sample.share("icd10")
    if (
        icd > 0.9
        and sample.share("icd10_dotted") < 0.3
        and sample.shapes <= 12
        and len({v[:1] for v in sample.checked}) >= 4
    ):
        yield Signal("icd10", 3, f"pattern: {icd:.0%} have the form of icd10 without a point")
    both = sample.share("cpt") + sample.share("hcpcs")
    lettered = sample.share("hcpcs")
    if both > 0.95 and lettered > 0.05 and sample.share("cpt") > 0.05:
        yield Signal("procedure_code", 6, "pattern: five digits and letter with four digits, as CPT and HCPCS mix")
    elif lettered > 0.95 and len({v[:1] for v in sample.checked}) >= 3:
        yield Signal("procedure_code", 2.5, "pattern: letter and four digits, as HCPCS")


@detector
def plates_and_documents(sample: ColumnSample) -> Iterable[Signal]:
    """Licence plates and passports: letters and digits in few forms, with letters that vary (codes share a prefix)."""
    if len(sample) < 20 or sample.share("plate_like") < 0.7 or not 5 <= sample.mean_length <= 10 or sample.temporal:
        return
    letters = [re.sub(r"[^A-Z]", "", v) for v in sample.checked]
    mixed = float(
        np.mean([bool(x) and bool(re.search(r"\d", v)) for x, v in zip(letters, sample.checked, strict=True)])
    )
    varied = len(set(letters)) / len(letters)
    if mixed < 0.9 or varied < 0.3 or sample.share("dea") > 0.5:
        return
    if max(sum(c.isalnum() for c in v) for v in sample.checked) <= 8 and sample.share("document_number") < 0.5:
        yield Signal("license_plate", 4.5, "pattern: short codes whose letters vary, as licence plates have")
    else:
        yield Signal("passport", 3, "pattern: codes of letters that vary and digits, as travel documents have")


@detector
def plain_numbers(sample: ColumnSample) -> Iterable[Signal]:
    """Amounts, measures, counts and flags: numbers that name nobody."""
    if sample.dtype == "bool" or sample.share("flag") > 0.95:
        yield Signal("none", 5, "cardinality: a flag")
        return
    if sample.temporal:
        return
    share = sample.numeric_share
    if sample.dtype == "double" or sample.decimals >= 0.5:
        yield Signal("none", 3.5, "numbers: decimal fractions")
    elif share > 0.95 and sample.distinct_ratio < 0.5 and not sample.consecutive and not _many_numbers(sample):
        yield Signal("none", 2, "numbers: whole numbers that repeat")
    if sample.share("money") > 0.7:
        yield Signal("none", 4, "pattern: amounts of money")
    if sample.share("time") > 0.8:
        yield Signal("none", 3, "pattern: times of day without a date")
