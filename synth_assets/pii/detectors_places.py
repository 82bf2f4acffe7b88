"""Detectors of places: street addresses, cities, states, counties, countries, postal codes, coordinates."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from synth_assets.pii.columns import ColumnSample
from synth_assets.pii.detectors import ENOUGH, Signal, detector
from synth_assets.pii.dictionaries import word_list

_GLUED_STREET = re.compile(r"(?:strasse|str|weg|allee|platz|gasse|ring|damm|ufer|straat|laan|gatan|vagen|veien|vej)\b")

_HOUSE_AND_PLACE = re.compile(
    r"\b\d{1,5}[A-Za-z]?\b[^\d]*[,\n][^\d]*\b(?:\d{4,6}|\d{3} \d{2}|[A-Z]{1,2}\d[\dA-Z]? ?\d[A-Z]{2})\b"
)
_TOWN = re.compile(
    r"(?:ville|burgh?|town|mouth|side|shire|haven|chester|stad|furt|port|bury|borough|stadt|dorf|hausen|heim|wick|ford|fort)$"
    r"|^(?:north|south|east|west|new|lake|port|san|santa|saint|st|sainte|los|las|fort|mount|bad|nueva|vieja|sao|santo) "
)
_POINT_INSIDE = re.compile(r"[(\[]-?\d{1,3}\.\d{3,}[,; ]+-?\d{1,3}\.\d{3,}[)\]]")


@detector
def streets(sample: ColumnSample) -> Iterable[Signal]:
    """Street addresses: a number before or after a text with the word of a street."""
    if sample.temporal or sample.numeric_share > 0.3 or sample.mean_length < 6:
        return
    known = word_list("street_words")
    worded = float(
        np.mean(
            [
                not known.isdisjoint(w) or bool(_GLUED_STREET.search(n))
                for w, n in zip(sample.words, sample.normal, strict=True)
            ]
        )
    )
    numbered = max(sample.share("house_first") + sample.share("po_box"), sample.share("house_last"))
    share = min(worded, numbered) if numbered > 0.3 else 0.0
    reason = f"pattern: {share:.0%} have a house number and the word of a street"
    if share >= 0.3 and sample.mean_words < 14:
        yield Signal("street_address", min(8.0, 2.5 + 7.0 * share) * (1.0 if sample.mean_words <= 8 else 0.5), reason)
        return
    twice = sample.share_valid(lambda v: bool(_HOUSE_AND_PLACE.search(v)))
    if twice >= 0.5 and worded >= 0.2 and sample.distinct_ratio > 0.3:
        yield Signal(
            "street_address", 5.5, f"pattern: {twice:.0%} have a house number and a postal code between lines of text"
        )


@detector
def embedded_points(sample: ColumnSample) -> Iterable[Signal]:
    """Positions inside a longer text, as open-data portals write a place: address, then (latitude, longitude)."""
    if sample.temporal or sample.mean_length < 15 or sample.share("point") > 0.5:
        return
    inside = float(np.mean([bool(_POINT_INSIDE.search(v)) for v in sample.checked]))
    if inside > 0.6:
        yield Signal(
            "coordinates",
            7,
            f"pattern: {inside:.0%} contain a pair of decimals within the ranges of latitude and longitude",
        )


@detector
def regions(sample: ColumnSample) -> Iterable[Signal]:
    """Cities, states, counties and countries by dictionaries that overlap; the best covered list wins."""
    if sample.temporal or sample.numeric_share > 0.3 or sample.mean_words > 6:
        return
    country, state = sample.share_in("countries"), _share_of_states(sample)
    city = sample.share_in("cities")
    suffixed = float(np.mean([bool(re.search(r"\b(?:county|parish|landkreis|borough)$", v)) for v in sample.normal]))
    if suffixed >= 0.5:
        yield Signal("county", 8, f"pattern: {suffixed:.0%} end in the word of a county")
        return
    if country >= 0.7 and country >= state - 0.05:
        yield Signal("country", 7.5 * country, f"dictionary: {country:.0%} are names of countries")
    elif state >= 0.6:
        yield Signal("state", 7.0 * state, f"dictionary: {state:.0%} are names of states or provinces")
    enough = min(1.0, len(sample) / 5)
    surnames, forenames = sample.share_in("last_names"), sample.share_in("first_names")
    lead = city - max(0.0, surnames - 0.55) - max(0.0, forenames - 0.5) - 0.5 * max(country - 0.3, 0.0)
    built = float(np.mean([bool(_TOWN.search(v)) for v in sample.normal]))
    if city >= 0.45 and lead > 0.3:
        weight = enough * min(7.0, 0.5 + 7.0 * lead)
        yield Signal("city", weight, f"dictionary: {city:.0%} are names of cities or towns")
    elif built >= 0.6 and surnames < 0.4 and len(sample) >= ENOUGH and sample.mean_words < 2.5:
        yield Signal("city", 1.5 + 4.5 * built, f"pattern: {built:.0%} are built like names of towns")


def _share_of_states(sample: ColumnSample) -> float:
    """Names of states, and their codes where at least a few names stand beside them."""
    names, codes = word_list("states"), word_list("state_codes")
    named = [n in names for n in sample.normal]
    coded = [v == v.upper() and n in codes for v, n in zip(sample.checked, sample.normal, strict=True)]
    if not any(named) or sum(named) < 2 > len(named) - sum(coded):
        return float(np.mean(named))
    return float(np.mean([a or b for a, b in zip(named, coded, strict=True)]))


@detector
def region_codes(sample: ColumnSample) -> Iterable[Signal]:
    """Codes of states and countries: two or three capital letters, from one list more than from the other."""
    if (
        not len(sample)
        or sample.temporal
        or sample.mean_length > 3.2
        or sample.alphabetic_share < 0.9
        or len(sample) < 2
    ):
        return
    if any(v != v.upper() for v in sample.checked):
        return
    state, country = sample.share_in("state_codes"), sample.share_in("country_codes")
    if {"m", "f"} >= set(sample.normal) or sample.mean_length < 1.8:
        return
    enough = min(1.0, len(sample) / 4)
    if country >= 0.9 and country > state + 0.05:
        yield Signal("country", enough * 5.0 * country, f"dictionary: {country:.0%} are codes of countries")
    elif state >= 0.9:
        yield Signal(
            "state", enough * (5.5 if state > country else 3.5) * state, f"dictionary: {state:.0%} are codes of states"
        )


@detector
def postal_codes(sample: ColumnSample) -> Iterable[Signal]:
    """Postal codes: forms of countries that few other things have; five digits alone say little."""
    if sample.temporal or sample.share("date") > 0.3 or sample.share("uuid") > 0.3 or sample.share("icd10") > 0.8:
        return
    world = sample.share("zip_world")
    world += 0.0 if world < 0.2 else sample.share("zip_glued")
    five = sample.share("zip_us")
    if world >= 0.7 and sample.share("ndc") < 0.5 and len(sample) >= 3:
        yield Signal("zip", 5.5 * world, f"pattern: {world:.0%} have the form of a postal code")
    elif sample.share("zip_glued") >= 0.9:
        yield Signal("zip", 3.0, "pattern: the form of British or Canadian postal codes without a blank")
    elif five >= 0.9:
        zeros = float(np.mean([v.startswith("0") for v in sample.checked]))
        plus = float(np.mean(["-" in v for v in sample.checked]))
        weight = 2.0 + (1.5 if 0 < zeros < 0.6 else 0) + (3 if plus > 0.02 else 0)
        yield Signal("zip", weight, f"pattern: {five:.0%} are five digits, as US and other postal codes")
    elif world + five > 0.6 and sample.numeric_share < 0.8 and len(sample) >= ENOUGH and sample.alphabetic_share < 0.6:
        yield Signal("zip", 3.0, "pattern: forms of postal codes of several countries")
