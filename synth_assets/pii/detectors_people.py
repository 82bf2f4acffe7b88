"""Detectors of what people are called and what they are: names, attributes from closed lists, jobs, firms, prose, diagnoses."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from synth_assets.pii.columns import ColumnSample
from synth_assets.pii.detectors import ENOUGH, Signal, detector
from synth_assets.pii.dictionaries import word_list, word_set
from synth_assets.pii.patterns import TEXT

_PARTICLES = word_set(
    "de del della di da do dos das du van von der den la le el al bin ben ibn y e jr sr ii iii iv md dds dvm phd mr mrs ms dr prof",
    "o st san",
)
_SURE = {
    "sex": word_set(
        "male female m f man woman mann frau mannlich weiblich homme femme hombre mujer maschio femmina masculino feminino",
        "femenino masculin feminin",
    ),
    "race_ethnicity": word_set(
        "asian hispanic latino caucasian african american white black native hawaiian multiracial biracial"
    ),
    "religion": word_set(
        "christian catholic muslim islam jewish hindu buddhist protestant orthodox sikh atheist agnostic baptist methodist"
    ),
    "marital_status": word_set(
        "single married divorced widowed separated never ledig verheiratet geschieden verwitwet celibataire marie soltero",
        "casado casada divorciado sposato celibe solteiro",
    ),
    "education": word_set(
        "bachelor bachelors master masters doctorate phd high secondary primary college graduate university hs abitur",
        "realschule licence bachillerato licenciatura diploma laurea medio superior",
    ),
}
_SEX_LETTERS = tuple(set(letters) for letters in ("mfxu", "mwdx", "hfx", "mvx", "hm"))  # en, de, fr, nl, es
_JOINED = re.compile(r"(?i) (?:and|und|et|&|\+) |\w+-\w+,? \w+-")
_WORD = re.compile(r"[^\W\d_]{2,}")
_TITLED = re.compile(
    r"(?:(?:Dr|Dra|Prof|Mr|Mrs|Ms|Miss|Mme|Mlle|Herr|Frau|Hr|Fr|Dhr|Mevr|Sig|Sra|Sr|Srta|Doc|Dott|Ing|Lic|med|Smt|Shri)\.? )+"
    r"(?:[A-Z]\.? )*[^\W\d_a-z][^\W\d_]+(?:[ '-][^\W\d_]+){0,3}$"
)
_REACHED = re.compile("|".join(TEXT[kind] for kind in ("email", "url", "phone", "ssn")))
_LISTS = {
    "sex": "sexes",
    "race_ethnicity": "races",
    "religion": "religions",
    "marital_status": "marital",
    "education": "education",
}
_MOST_DISTINCT = {"sex": 10, "race_ethnicity": 40, "religion": 60, "marital_status": 14, "education": 40}


def name_tokens(value: str) -> list[str]:
    """Words of a possible name, normalised, without particles and without digits at the end of a word (synthetic data has them)."""
    return [w for w in (re.sub(r"(?<=[a-z])\d+$", "", t) for t in value.split()) if w and w not in _PARTICLES]


@detector
def names(sample: ColumnSample) -> Iterable[Signal]:
    """First, last and whole names by the shares of words that are known as such."""
    if sample.temporal or sample.numeric_share > 0.3 or sample.share("name_word") + _ends_in_digits(sample) < 0.6:
        return
    if sample.distinct < 8 and sample.filled > 50 * sample.distinct:
        return  # a short list of categories: some are last names by accident
    titled = float(np.mean([bool(_TITLED.match(v)) for v in sample.checked]))
    if titled >= 0.3 and sample.mean_words <= 6:
        yield Signal(
            "person_name",
            3.0 + 5.0 * titled,
            f"pattern: {titled:.0%} begin with a title of persons and capitalised words",
        )
    if sample.mean_length <= 2.2:
        return  # codes, some of which are also names
    first, last = word_list("first_names"), word_list("last_names")
    parts = [name_tokens(v) for v in sample.normal]
    spaced = [len(v.split()) > 1 and not _JOINED.search(v) for v in sample.checked]
    many = [p for p, apart in zip(parts, spaced, strict=True) if apart and 2 <= len(p) <= 5]
    lone = [p[0] for p in parts if len(p) == 1 and len(p[0]) > 1]
    if len(many) >= 0.5 * len(parts):
        yield from _whole_names(sample, many, first, last)
    if len(lone) >= 0.4 * len(parts):
        yield from _lone_names(sample, parts, first, last)


def _ends_in_digits(sample: ColumnSample) -> float:
    return float(np.mean([bool(re.fullmatch(r"[^\d\W]{2,}\d{1,3}", v)) for v in sample.checked]))


def _whole_names(
    sample: ColumnSample, many: list[list[str]], first: frozenset[str], last: frozenset[str]
) -> Iterable[Signal]:
    total = len(sample.normal)
    words = word_list("organization_words") | word_list("occupation_words")
    strong = sum(_is_whole_name(p, first, last) and words.isdisjoint(p) for p in many) / total
    opening = max(sum(p[0] in first for p in many), sum(p[-1] in first for p in many)) / total
    if strong >= 0.3:
        yield Signal(
            "person_name",
            min(8.0, 2.0 + 8.0 * strong),
            f"dictionary: {strong:.0%} pair a known first name with a known last name",
        )
    elif opening >= 0.35 and sample.share("two_capitals") > 0.9 and sample.distinct_ratio > 0.5:
        reason = f"dictionary: {opening:.0%} begin or end in a known first name, all are two or three capitalised words"
        yield Signal("person_name", 4.0, reason)
    elif strong < 0.12 and total >= ENOUGH:
        yield Signal("person_name", -3, f"dictionary: only {strong:.0%} pair a known first name with a known last name")


def _is_whole_name(parts: list[str], first: frozenset[str], last: frozenset[str]) -> bool:
    ends = (parts[0], parts[-1])
    return (
        (ends[0] in first and ends[1] in last)
        or (ends[1] in first and ends[0] in last)
        or (parts[1] in first and parts[0] in last)
    )


def _lone_names(
    sample: ColumnSample, parts: list[list[str]], first: frozenset[str], last: frozenset[str]
) -> Iterable[Signal]:
    total = len(parts)
    as_first = sum(bool(p) and all(w in first for w in p) for p in parts) / total
    as_last = sum(bool(p) and all(w in last for w in p) for p in parts) / total
    as_city = sample.share_in("cities")
    listed = max(
        sample.share_in(n) for n in ("countries", "states", "languages", "nationalities", "religions", "us_counties")
    )
    enough = min(1.0, len(sample) / 8)
    if as_first >= 0.55 and as_first > as_city and listed < 0.85:
        lead = as_first - max(0.0, as_last - 0.4)
        yield Signal(
            "first_name", enough * 7.5 * min(1.0, lead + 0.1), f"dictionary: {as_first:.0%} are known first names"
        )
    if as_last >= 0.45 and listed < 0.85 and as_last >= as_city:
        lead = as_last - max(0.0, as_first - 0.45) - max(0.0, as_city - 0.45)
        yield Signal(
            "last_name",
            enough * 7.0 * max(0.0, min(1.0, lead + 0.1)),
            f"dictionary: {as_last:.0%} are known last names",
        )
    if max(as_first, as_last) < 0.2 and total >= ENOUGH:
        for kind in ("first_name", "last_name", "person_name"):
            yield Signal(kind, -3, f"dictionary: only {max(as_first, as_last):.0%} are known names")


@detector
def closed_lists(sample: ColumnSample) -> Iterable[Signal]:
    """Sex, race, religion, marital status, education: few distinct values, all from a list, some that hardly mean anything else."""
    if sample.temporal or sample.dtype == "bool" or sample.distinct > 60 or sample.numeric_share > 0.9:
        return
    distinct = set(sample.normal)
    for entity_type, list_name in _LISTS.items():
        share = sum(v in word_list(list_name) for v in distinct) / len(distinct)
        sure = len({w for v in distinct for w in v.split()} & _SURE[entity_type])
        if share >= 0.75 and sure >= min(2, len(distinct)) and len(distinct) <= _MOST_DISTINCT[entity_type]:
            weight = 7.0 * share if sure >= 2 else 3.0
            yield Signal(
                entity_type, weight, f"dictionary: {share:.0%} of the distinct values are categories of {entity_type}"
            )
    if any(distinct <= letters and len(distinct & letters) >= 2 for letters in _SEX_LETTERS):
        yield Signal("sex", 3.5, "dictionary: two letters that stand for the sexes")
    if distinct <= {"s", "m", "d", "w", "p", "u", "l", "a", "n", "c"} and {"s", "m"} <= distinct:
        yield Signal("marital_status", 4, "dictionary: the letters of marital states")


@detector
def languages_and_nationalities(sample: ColumnSample) -> Iterable[Signal]:
    """Languages and nationalities share many words; the longer list decides."""
    if sample.temporal or sample.numeric_share > 0.3 or len(sample) < 2:
        return
    language, nationality = sample.share_in("languages"), sample.share_in("nationalities")
    if max(language, nationality) >= 0.7:
        kind, share = ("nationality", nationality) if nationality > language + 0.1 else ("language", language)
        yield Signal(kind, 6.5 * share, f"dictionary: {share:.0%} are names of a {kind}")
        yield Signal(
            "nationality" if kind == "language" else "language",
            3.0 * min(language, nationality),
            "dictionary: the lists overlap",
        )
    coded = sample.share_in("language_codes")
    if coded >= 0.95 and sample.mean_length <= 3 and sample.share("login") > 0.0 and _lower(sample):
        yield Signal("language", 4, "dictionary: lower-case codes of languages")


def _lower(sample: ColumnSample) -> bool:
    return all(v == v.lower() for v in sample.checked)


@detector
def occupations(sample: ColumnSample) -> Iterable[Signal]:
    """Jobs by their head words in six languages."""
    if sample.numeric_share > 0.3 or sample.temporal or sample.mean_words > 7 or sample.alphabetic_share < 0.7:
        return
    share = sample.share_with_word("occupation_words")
    firms = sample.share_with_word("organization_words")
    if share >= 0.4 and share > firms:
        yield Signal("occupation", min(7.5, 1.5 + 7.5 * share), f"dictionary: {share:.0%} contain the word of a job")
    elif share < 0.1 and len(sample) >= 2:
        yield Signal("occupation", -3, f"dictionary: only {share:.0%} contain the word of a job")


@detector
def organizations(sample: ColumnSample) -> Iterable[Signal]:
    """Firms and institutions by legal forms and kinds."""
    if sample.numeric_share > 0.3 or sample.temporal or sample.alphabetic_share < 0.6 or sample.mean_words > 9:
        return
    kinds = word_list("organization_words")
    joined = re.compile(r"(?i)(?:, .+ (?:and|und|et|y|e) | & |^[A-Z]\w+-[A-Z]\w+$)")
    if _holding_identifiers(sample) >= 0.5:
        return
    marked = [_names_firm(w, kinds) for w in sample.words]
    share = float(np.mean(marked))
    paired = float(np.mean([bool(joined.search(v)) for v in sample.checked]))
    both = share + 0.7 * paired if share >= 0.15 else share
    if both >= 0.3 and sample.distinct > 3:
        yield Signal(
            "organization",
            min(7.0, 1.5 + 6.5 * both),
            f"dictionary: {share:.0%} contain the word of a firm or institution",
        )
        yield Signal(
            "employer", min(5.0, 1.0 + 5.0 * both), f"dictionary: {share:.0%} contain the word of a firm or institution"
        )


def _names_firm(words: list[str], kinds: frozenset[str]) -> bool:
    """Whether a value has the word of a firm; in a longer text a last name behind a first name (Jane Church) is none."""
    if len(words) < 2 or kinds.isdisjoint(words):
        return False
    if len(words) < 4:
        return True
    first, last = word_list("first_names"), word_list("last_names")
    pairs = zip(words, ["", *words], strict=False)
    return any(word in kinds and not (word in last and before in first) for word, before in pairs)


def _holding_identifiers(sample: ColumnSample) -> float:
    """Share of values with an e-mail address, a URL or a telephone number among three or more words."""
    return float(np.mean([_holds_identifier(v) for v in sample.checked]))


def _holds_identifier(value: str) -> bool:
    rest, found = _REACHED.subn(" ", value)
    return found > 0 and len(_WORD.findall(rest)) >= 3


@detector
def texts_with_identifiers(sample: ColumnSample) -> Iterable[Signal]:
    """Running text that tells how to reach somebody, however short: nothing else than free text is scrubbed of it."""
    if sample.temporal or sample.numeric_share > 0.3 or len(sample) < ENOUGH:
        return
    share = _holding_identifiers(sample)
    if share >= 0.3:
        yield Signal(
            "free_text", 5.0 + 4.0 * share, f"pattern: {share:.0%} are texts with an e-mail, URL or number in them"
        )


@detector
def prose(sample: ColumnSample) -> Iterable[Signal]:
    """Free text: many words, hardly ever the same twice. Diagnoses: shorter, with words of diseases."""
    if sample.temporal or sample.numeric_share > 0.3 or sample.share("url") > 0.5:
        return
    sick = sample.share_with_word("diagnosis_words")
    words = sample.mean_words
    if words >= 7 and sample.alphabetic_share > 0.6 and sample.distinct_ratio > 0.3:
        yield Signal(
            "free_text", 6.5 if words >= 12 else 4.5, f"length: {words:.0f} words per value, mostly different texts"
        )
    elif words < 2.2:
        yield Signal("free_text", -3, "length: one or two words per value")
    if sick >= 0.4 and sample.alphabetic_share > 0.7 and words < 15:
        yield Signal("diagnosis_text", 1.5 + 6.0 * sick, f"dictionary: {sick:.0%} contain the word of a disease")
    elif sick < 0.05 and len(sample) >= 4:
        yield Signal("diagnosis_text", -3, "dictionary: hardly a word of a disease")


@detector
def logins(sample: ColumnSample) -> Iterable[Signal]:
    """User names built from a name: an initial or a first name, a last name, a number."""
    if len(sample) < 10 or sample.share("login") < 0.7 or sample.distinct_ratio < 0.5 or sample.share("uuid") > 0.5:
        return
    last, first = word_list("last_names"), word_list("first_names")
    stems = [re.sub(r"[\d_.\-]+$", "", v.lower()) for v in sample.checked[:100]]
    known = first | last
    built = float(np.mean([_from_names(stem, first, last, known) for stem in stems]))
    digits = sample.share_valid(lambda v: bool(re.search(r"[a-z]\d+$", v)))
    bare = float(np.mean([stem in known for stem in stems]))
    if built >= 0.3 or (built > 0.1 and digits > 0.5):
        yield Signal("username", 4.0 + 4.0 * built, f"dictionary: {built:.0%} join parts of a first and a last name")
    elif bare > 0.3 and digits > 0.4:
        yield Signal("username", 5.0, f"dictionary: {bare:.0%} are names, {digits:.0%} with a number behind")


def _from_names(stem: str, first: frozenset[str], last: frozenset[str], known: frozenset[str]) -> bool:
    """Initial and last name, or two names with or without a sign between."""
    if stem in known:
        return False
    if stem[1:] in last or stem[:-1] in first:
        return True
    parts = re.split(r"[._\-]", stem)
    if len(parts) == 2:
        return parts[0] in known and parts[1] in known
    return any(stem[:i] in known and stem[i:] in known for i in range(3, len(stem) - 2))


@detector
def calendar(sample: ColumnSample) -> Iterable[Signal]:
    """Months and days of the week are also first and last names; as a whole list they are a calendar."""
    if 3 <= sample.distinct <= 60 and sample.numeric_share < 0.3 and sample.share_in("calendar_words") > 0.9:
        yield Signal("none", 6, "dictionary: months or days of the week")
