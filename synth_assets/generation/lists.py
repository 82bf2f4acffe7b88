"""Lookup lists: names, places, codes, sentences. Read once from the CSV files in `data/`, on first use.

What belongs here: reading the files, typed rows, weights. What does not: drawing from them (names.py, providers.py).
`data/README.md` names the origin and licence of each file. Masking reads its names and places from here too.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Sex = Literal["F", "M"]
ListName = Literal["first_names_female", "first_names_male", "last_names", "street_names", "street_suffixes", "jobs"]
_COMPANY_FORMS = (
    "{} Group",
    "{} & Sons",
    "{} Partners",
    "{} Holdings",
    "{} Industries",
    "{} Consulting",
    "{} Logistics",
    "{} Supply",
)


class City(NamedTuple):
    """A US city; `zip3` is the first three digits of one of its ZIP codes, `weight` its people in thousands."""

    name: str
    state: str
    zip3: str
    weight: float
    latitude: float
    longitude: float


class State(NamedTuple):
    """A US state (or the District of Columbia) with its telephone area codes."""

    code: str
    name: str
    area_codes: tuple[str, ...]


class Diagnosis(NamedTuple):
    """An ICD-10-CM code; `kind` is routine, chronic or acute, `sex` is F, M or empty for both, ages are inclusive years."""

    code: str
    description: str
    weight: float
    kind: str
    department: str
    min_age: int
    max_age: int
    sex: str


class Payer(NamedTuple):
    """Who pays a claim; `kind` is public, private or self."""

    name: str
    kind: str
    weight: float


class Procedure(NamedTuple):
    """A HCPCS Level II code; `setting` is a visit type, `price` a typical amount in dollars."""

    code: str
    description: str
    setting: str
    weight: float
    price: float


class Sentence(NamedTuple):
    """A text template of one domain; `condition` is a formula over its slots, empty for always."""

    domain: str
    weight: float
    condition: str
    text: str


def _rows(name: str) -> list[list[str]]:
    text = resources.files("synth_assets.generation").joinpath("data", f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.reader(text.splitlines()))[1:]


@cache
def names(name: ListName) -> tuple[str, ...]:
    """The entries of a one-column list, most frequent first."""
    return tuple(row[0] for row in _rows(name))


@cache
def weights(name: ListName) -> npt.NDArray[np.float64]:
    """Relative frequencies of `names(name)`, shape (k,), sum 1."""
    values = np.array([float(row[1]) for row in _rows(name)])
    return np.asarray(values / values.sum())


def first_names(sex: Sex) -> tuple[str, ...]:
    """Given names of women ("F") or men ("M"), most frequent first."""
    return names("first_names_female" if sex == "F" else "first_names_male")


def last_names() -> tuple[str, ...]:
    """Surnames, most frequent first."""
    return names("last_names")


@cache
def streets() -> tuple[str, ...]:
    """Street names with their suffix, such as "Oak Street"."""
    return tuple(f"{name} {suffix}" for name in names("street_names") for suffix in names("street_suffixes"))


def jobs() -> tuple[str, ...]:
    """Occupations, in words."""
    return names("jobs")


@cache
def companies() -> tuple[str, ...]:
    """Invented company names, made from surnames."""
    return tuple(form.format(name) for name in last_names()[:500] for form in _COMPANY_FORMS)


@cache
def cities() -> tuple[City, ...]:
    """US cities with state, ZIP prefix and place, grouped by state."""
    return tuple(City(n, s, z, float(w), float(lat), float(lon)) for n, s, z, w, lat, lon in _rows("cities"))


@cache
def states() -> tuple[State, ...]:
    """The states with their area codes."""
    return tuple(State(code, name, tuple(areas.split())) for code, name, areas in _rows("states"))


@cache
def area_codes(state: str) -> tuple[str, ...]:
    """Telephone area codes of a state by its two-letter code; empty where there is no such state."""
    return next((s.area_codes for s in states() if s.code == state), ())


@cache
def diagnoses() -> tuple[Diagnosis, ...]:
    """Common ICD-10-CM codes."""
    return tuple(Diagnosis(c, d, float(w), k, p, int(lo), int(hi), s) for c, d, w, k, p, lo, hi, s in _rows("icd10"))


@cache
def departments() -> tuple[str, ...]:
    """Departments of a clinic, sorted."""
    return tuple(sorted({d.department for d in diagnoses()}))


@cache
def payers() -> tuple[Payer, ...]:
    """Public programmes, invented insurers and self-pay."""
    return tuple(Payer(name, kind, float(weight)) for name, kind, weight in _rows("payers"))


@cache
def procedures() -> tuple[Procedure, ...]:
    """Common HCPCS Level II codes."""
    return tuple(Procedure(c, d, s, float(w), float(p)) for c, d, s, w, p in _rows("procedures"))


@cache
def sentences(domain: str) -> tuple[Sentence, ...]:
    """Text templates of a domain; empty where there is no such domain."""
    return tuple(Sentence(d, float(w), c, t) for d, w, c, t in _rows("templates") if d == domain)


@cache
def domains() -> tuple[str, ...]:
    """Names of the text domains."""
    return tuple(dict.fromkeys(row[0] for row in _rows("templates")))
