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
from synth_assets.masking.texts import DIGIT, KIND, Bytes, Flags, Places, Stretches, Texts, looked_up
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
_MANY_DIGITS = (
    4  # dates, telephone numbers, cards and all other numbers have at least these, with at most one sign between two
)
_SPAN = 2 * (_MANY_DIGITS - 1)
_STREET = (
    r"(?i:str\.|stra(?:ß|ss)e|weg|allee|platz|gasse|ring|damm|ufer|chaussee|straat|laan|plein|gracht|kade|dijk|singel|steeg|gatan|vägen"
    r"|vej|gade) \d|\b(?:Am|An der|Im|Auf dem|Zum|Zur) \S+ \d"
)
_STREET_WORDS = (
    "rue avenue boulevard bd place chemin allée impasse quai cours route"
    " calle c avenida avda plaza paseo camino rúa rua travessa praça via viale piazza corso vicolo"
)
_ALONE, _NUMBERED = 1, 2  # bits of the lists of words: those that make a text suspect, and those that do beside a digit
_NUMERAL, _AT, _SLASH, _PAIR = 1, 2, 3, 4
_SIGNS: Bytes = np.zeros(256, np.uint8)
_SIGNS[48:58], _SIGNS[ord("@")], _SIGNS[ord("/")] = _NUMERAL, _AT, _SLASH
_SIGNS[[ord(":"), ord("-")]] = _PAIR


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
    count = len(texts)
    at, rows, signs = _signs(texts, places)
    marks = words.marks(_listed())
    found = np.bincount(rows[signs == _AT], minlength=count) > 0
    found |= np.bincount(rows[signs == _SLASH], minlength=count) >= 2  # https://
    found |= np.bincount(rows[signs == _PAIR], minlength=count) >= 5  # the bytes of a MAC address
    found[words.rows[_apart(words, places, np.flatnonzero(marks & _ALONE))]] = True
    digit, row = at[signs == _NUMERAL], rows[signs == _NUMERAL]
    close = (digit[_MANY_DIGITS - 1 :] - digit[: 1 - _MANY_DIGITS] <= _SPAN) & (
        row[_MANY_DIGITS - 1 :] == row[: 1 - _MANY_DIGITS]
    )
    found[row[_MANY_DIGITS - 1 :][close]] = True
    numbered = ~found
    numbered &= np.bincount(row, minlength=count) > 0
    if numbered.any():
        near = np.flatnonzero(numbered[words.rows])
        found[words.rows[_tells(texts, words, places, marks, near)]] = True
        left = np.flatnonzero(numbered & ~found)
        found[left] = _with_street(texts.take(left))
    return found & texts.valid


def _signs(texts: Texts, places: Stretches) -> tuple[Places, Places, Bytes]:
    """The signs that forms are made of, outside of some stretches: their places, their texts, what they are."""
    signs = looked_up(texts.data, _SIGNS.tobytes())
    change = np.zeros(len(signs) + 1, np.int8)
    change[places.starts] += 1
    change[places.ends] -= 1
    signs[np.cumsum(change[:-1], dtype=np.int8) > 0] = 0
    at = np.flatnonzero(signs)
    return at, np.searchsorted(texts.offsets, at, "right") - 1, signs[at]


def _tells(texts: Texts, words: Words, places: Stretches, marks: Bytes, near: Places) -> Places:
    """Those of some words that make a text with digits suspect: parts of addresses and dates, beginnings of IBANs, great ages."""
    starts = words.starts[near]
    padded = np.concatenate([texts.data, np.zeros(4, np.uint8)])
    kinds = [KIND.take(padded.take(starts + i)) for i in range(4)]
    capital = KIND[ord("A")]
    iban = (kinds[0] == capital) & (kinds[1] == capital) & (kinds[2] == DIGIT) & (kinds[3] == DIGIT)
    head, two = texts.data.take(starts), kinds[1] == DIGIT
    three = two & (kinds[2] == DIGIT)
    old = (two & ~three & (head == ord("9"))) | (three & (kinds[3] != DIGIT) & (head == ord("1")))
    made: Flags = iban | old | ((marks[near] & _NUMBERED) > 0)
    return _apart(words, places, near[made])


def _apart(words: Words, places: Stretches, which: Places) -> Places:
    """Those of some words that do not begin inside of some stretches."""
    if not len(places.starts) or not len(which):
        return which
    before = np.searchsorted(places.starts, words.starts[which], "right") - 1
    return which[(before < 0) | (places.ends[np.maximum(before, 0)] <= words.starts[which])]


def _with_street(texts: Texts) -> Flags:
    made = pc.match_substring_regex(texts.to_arrow(), _STREET).fill_null(False)
    return np.asarray(made.to_numpy(zero_copy_only=False), bool)


@cache
def _listed() -> Listed:
    """Titles before names and what pages begin with; words of streets and months, as the forms have them."""
    titles = re.findall(r"\w+", _first_group(TEXT["person_name"]))
    streets = re.findall(r"\w+", TEXT["street_address"].split("(?:", 2)[2].split(")", 1)[0])
    return Listed.of(
        [*(t.lower() for t in titles), "www"],
        [*(s.lower() for s in streets), *_STREET_WORDS.split(), *(m.lower() for m in _MONTHS.split("|"))],
    )


def _first_group(pattern: str) -> str:
    return pattern.split("(?:", 1)[1].split(")", 1)[0]
