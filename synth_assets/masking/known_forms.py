"""Known forms in running text: e-mail, telephone, card, date and the like become tokens, ages over 89 one group.

What belongs here: the forms that are looked for, and which texts can hold one at all, so that regular expressions run on few. What does
not: the forms themselves (pii/patterns.py), values of the row (scrub.py).
"""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pyarrow.compute as pc

from synth_assets.masking.mentions import Listed, Words
from synth_assets.masking.texts import DIGIT, KIND, Flags, Places, Stretches, Texts
from synth_assets.pii.patterns import TEXT

_FORMS = (
    "url",
    "email",
    "mac_address",
    "iban",
    "date",
    "ip_address",
    "ssn",
    "card_number",
    "phone",
    "mrn",
    "street_address",
    "person_name",
)
_LONG_NUMBER = r"\b(?:[A-Za-z]{1,4}-?)?\d{7,}\b"
_OLD_AGES = (
    (r"(?i)\b(aged?(?: of)?:? *)(?:9\d|1[0-4]\d)\b", r"\190+"),
    (r"(?i)\b(?:9\d|1[0-4]\d)([- ]?(?:years?|yrs?|y)[- .]?(?:old|/?o)\b)", r"90+\1"),
    (r"\b(?:9\d|1[0-4]\d)( ?(?:years\b|yrs\b|[MF]\b))", r"90+\1"),
)
_MONTHS = (
    "January|Jan|February|Feb|March|Mar|April|Apr|May|June|Jun|July|Jul|August|Aug|September|Sept|Sep|October|Oct|November|Nov|December|Dec"
    "|Januar|Februar|März|Mai|Juni|Juli|Oktober|Dezember|janvier|février|mars|avril|juin|juillet|août|septembre|octobre|novembre|décembre"
)
_DAY_OF_MONTH = r"(?:3[01]|[12]\d|0?[1-9])"
# a day without its year, a month with it: 45 CFR 164.514(b)(2)(i)(C) asks for "all elements of dates (except year)"
_PARTS_OF_DATES = (
    rf"\b(?:{_MONTHS})\.?,? (?:of )?(?:18|19|20)\d{{2}}\b"
    rf"|\b(?:{_MONTHS})\.? {_DAY_OF_MONTH}(?:st|nd|rd|th)?\b"
    rf"|\b{_DAY_OF_MONTH}(?:st|nd|rd|th|\.)? (?:of )?(?:{_MONTHS})\b"
    r"|\b(?:0?[1-9]|1[0-2])/(?:19|20)\d{2}\b"
)
_MANY_DIGITS = 4  # dates, telephone numbers, cards and all other numbers have at least these
_STREET_ENDS = r"str\.|stra(?:ß|ss)e|weg|allee|platz|gasse"


def without_forms(texts: Texts) -> Texts:
    """Texts with tokens instead of known forms."""
    array = texts.to_arrow()
    for entity_type in _FORMS:
        array = pc.replace_substring_regex(array, TEXT[entity_type], f"[{entity_type.upper()}]")
    array = pc.replace_substring_regex(array, _LONG_NUMBER, "[NUMBER]")
    array = pc.replace_substring_regex(array, _PARTS_OF_DATES, "[DATE]")
    for form, made in _OLD_AGES:
        array = pc.replace_substring_regex(array, form, made)
    return Texts.of(array)


def suspects(texts: Texts, words: Words, places: Stretches) -> Flags:
    """Which texts may hold a known form outside of some stretches, shape (n,): cheap, and never False where one does.

    Args:
        texts: A batch.
        words: Its words.
        places: Stretches that are replaced anyway.
    """
    data = texts.data
    digits = _outside(texts, texts.kinds == DIGIT, places)
    found = digits >= _MANY_DIGITS
    found |= _outside(texts, data == ord("@"), places) > 0
    found |= _outside(texts, data == ord("/"), places) >= 2  # https://
    found |= _outside(texts, (data == ord(":")) | (data == ord("-")), places) >= 5  # the bytes of a MAC address
    titles, streets, pages, months = _listed()
    found |= words.rows_with(words.among(titles)) | words.rows_with(words.among(pages))
    numbered = np.flatnonzero((digits > 0) & ~found)
    if len(numbered):
        found[numbered] |= words.rows_with(words.among(streets) | words.among(months))[numbered]
        found[numbered] |= words.rows_with(_without(places, words, _like_iban_or_age(texts, words)))[numbered]
        found[numbered] |= _with_street_end(texts.take(numbered))
    return found & texts.valid


def _with_street_end(texts: Texts) -> Flags:
    made = pc.match_substring_regex(texts.to_arrow(), _STREET_ENDS).fill_null(False)
    return np.asarray(made.to_numpy(zero_copy_only=False), bool)


def _like_iban_or_age(texts: Texts, words: Words) -> Flags:
    """Words that begin as an IBAN does, or with a number of 90 to 199 of two or three digits."""
    kind = np.concatenate([texts.kinds, np.zeros(4, np.uint8)])
    kinds = [kind[words.starts + i] for i in range(4)]
    capital = KIND[ord("A")]
    iban = (kinds[0] == capital) & (kinds[1] == capital) & (kinds[2] == DIGIT) & (kinds[3] == DIGIT)
    head, two = texts.data[words.starts], kinds[1] == DIGIT
    three = two & (kinds[2] == DIGIT)
    old = (two & ~three & (head == ord("9"))) | (three & (kinds[3] != DIGIT) & (head == ord("1")))
    made: Flags = iban | old
    return made


def _without(places: Stretches, words: Words, marked: Flags) -> Flags:
    """The marked words that do not begin inside of some stretches."""
    which = np.flatnonzero(marked)
    if not len(places.starts) or not len(which):
        return marked
    before = np.searchsorted(places.starts, words.starts[which], "right") - 1
    inside = (before >= 0) & (places.ends[np.maximum(before, 0)] > words.starts[which])
    left = np.zeros(len(marked), bool)
    left[which[~inside]] = True
    return left


def _outside(texts: Texts, marked: Flags, places: Stretches) -> Places:
    """How many marked bytes each text has outside of some stretches."""
    if not marked.any():
        return np.zeros(len(texts), np.int64)
    total = np.concatenate([[0], np.cumsum(marked)])
    inside = np.bincount(places.rows, total[places.ends] - total[places.starts], len(texts)).astype(np.int64)
    made: Places = total[texts.offsets[1:]] - total[texts.offsets[:-1]] - inside
    return made


@cache
def _listed() -> tuple[Listed, Listed, Listed, Listed]:
    """Titles before names, last words of streets, what pages begin with, and months, as the forms have them."""
    titles = re.findall(r"\w+", _first_group(TEXT["person_name"]))
    streets = re.findall(r"\w+", TEXT["street_address"].split("(?:", 2)[2].split(")", 1)[0])
    months = [m.lower() for m in _MONTHS.split("|")]
    return (
        Listed.of(t.lower() for t in titles),
        Listed.of(s.lower() for s in streets),
        Listed.of(["www"]),
        Listed.of(months),
    )


def _first_group(pattern: str) -> str:
    return pattern.split("(?:", 1)[1].split(")", 1)[0]
