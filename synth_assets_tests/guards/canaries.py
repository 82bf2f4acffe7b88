"""People whose direct identifiers are canaries, and a search for canaries in everything that a home holds."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np

from synth_assets.pii.leakforms import Needles
from synth_assets.pii.leakscan import scan_file, scan_folder
from synth_assets_tests import chain

PEOPLE, MARKED = 600, 12
SYLLABLES = ("qua", "zor", "vex", "ilm", "bry", "tof", "nux", "jal", "wem", "pir")


def word(number: int, parts: int = 4) -> str:
    """A word that no list of names or cities has."""
    return "".join(SYLLABLES[(number // len(SYLLABLES) ** i) % len(SYLLABLES)] for i in range(parts)).capitalize()


def person(i: int) -> dict[str, str]:
    """One person; every identifier is unique to this test."""
    first, last = word(7 * i + 1), word(13 * i + 5)
    if i == 0:
        first, last = "Zofiélle", "O'Vexquill"  # an accent and a quote: escaped in JSON and HTML
    return {
        "person_id": f"P{i:05d}",
        "mrn": f"MRN{70310000 + 37 * i}",
        "first_name": first,
        "last_name": last,
        "ssn": f"{523 + i % 40}-{11 + i % 80:02d}-{1009 + 7 * i:04d}",
        "email": f"{word(29 * i + 3).lower()}{i}@quillvex{i % 7}.org",
        "phone": f"({413 + i % 5}) {386 + i % 9}-{2003 + 3 * i:04d}",
        "street_address": f"{7103 + i} {word(3 * i + 2, 5)} Crossing",
    }


IDENTIFIERS = tuple(k for k in person(1) if k != "person_id")
QUASI = "Quillvexham"  # a city of many people: a value of a quasi-identifier, far above the limit of small cells
ALIBI = "the canary of nobody, Xylo Prandt-Quillaby"


def canaries() -> list[str]:
    """Every identifier of the marked people; names only where they are whole words of their own."""
    return [person(i)[k] for i in range(MARKED) for k in IDENTIFIERS]


def write_tables(folder: Path) -> None:
    """people.csv and visits.csv with a note that names the person."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5)
    people, visits = [], []
    for i in range(PEOPLE):
        p = person(i)
        age, sex = int(rng.integers(1, 95)), "FM"[rng.integers(2)]
        birth = f"{2025 - age}-{rng.integers(1, 13):02d}-{rng.integers(1, 29):02d}"
        ill = int(rng.random() < 0.1 + age / 150)
        city = ("Boston", "Salem", QUASI)[rng.integers(3)]
        people.append(
            {**p, "birth_date": birth, "sex": sex, "city": city, "bmi": round(rng.normal(27, 4), 1), "ill": ill}
        )
        for _ in range(1 + int(rng.integers(2))):
            note = (
                f"{p['first_name']} {p['last_name']} ({p['mrn']}) called from {p['phone']}. Reply to {p['email']}; "
                f"lives at {p['street_address']}, SSN {p['ssn']}."
            )
            kind = ("visit", "call", "letter")[rng.integers(3)]
            visits.append({"visit_id": f"V{len(visits):06d}", "person_id": p["person_id"], "kind": kind, "note": note})
    for name, rows in (("people", people), ("visits", visits)):
        with (folder / f"{name}.csv").open("w", newline="") as handle:
            writer = csv.DictWriter(handle, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


def write_config(home: Path, source: Path, *, copula: bool = True) -> None:
    """A dataset of the two tables; nothing says which columns identify."""
    synthesizers = [{"name": "dp_marginals", "epsilon": 3}] + ([{"name": "gaussian_copula"}] if copula else [])
    people = {
        "source": {"path": str(source / "people.csv")},
        "primary_key": "person_id",
        "columns": {
            "sex": {"kind": "category", "categories": ["F", "M"]},
            "bmi": {"kind": "number", "lower": 10, "upper": 60},
            "ill": {"kind": "category", "categories": ["0", "1"]},
        },
        "contract": [{"expect": "column_values_to_match_regex", "column": "email", "regex": "@"}],
    }
    visits = {
        "source": {"path": str(source / "visits.csv")},
        "primary_key": "visit_id",
        "foreign_keys": {"person_id": "people.person_id"},
        "max_per_unit": 2,
    }
    config = {
        "name": "town",
        "unit": "people.person_id",
        "holdout": 0.45,
        "tables": {"people": people, "visits": visits},
        "target": "people.ill",
        "protected": ["people.sex"],
        "synthesizers": synthesizers,
        "thresholds": {"privacy_risk": "high"},
    }
    chain.write_dataset(home, config)


def searched_files(home: Path) -> list[Path]:
    """Every file of a home; the restricted zone too, since it is encrypted where it lies."""
    return [p for p in home.rglob("*") if p.is_file()]


def leaks_in_file(file: Path, wanted: Iterable[str]) -> list[str]:
    """The canaries that stand in one file; the search is that of `synth-assets leakscan`."""
    return [leak.label for leak in scan_file(file, _needles(tuple(wanted)))]


def leaks(home: Path, wanted: Iterable[str]) -> dict[str, list[str]]:
    """Canary -> files in which it stands."""
    found: dict[str, list[str]] = {}
    for leak in scan_folder(home, _needles(tuple(wanted))):
        found.setdefault(leak.label, []).append(leak.file)
    return found


@lru_cache
def _needles(wanted: tuple[str, ...]) -> Needles:
    needles = Needles({canary: [canary] for canary in wanted})
    assert needles.count == len(set(wanted)), "a canary is too short to be looked for"
    return needles
