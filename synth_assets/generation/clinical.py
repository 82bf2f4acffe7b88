"""Diagnoses and procedures drawn from the code lists, so that they fit the age, the sex and the kind of the visit.

What belongs here: draws from and look-ups in icd10.csv and procedures.csv. What does not: other code-like identifiers (codes.py).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from synth_assets.generation import lists
from synth_assets.generation.names import FEMALE, MALE, UNKNOWN
from synth_assets.generation.spreads import weighted
from synth_assets.generation.values import Coded, Ints

KINDS = ("routine", "chronic", "acute")
SETTINGS = ("wellness", "outpatient", "emergency", "inpatient", "telehealth")
LOOKUP_FIELDS = {"icd10": ("description", "kind", "department"), "procedure": ("description", "setting", "price")}


@cache
def _diagnosis_arrays() -> dict[str, npt.NDArray[Any]]:
    rows = lists.diagnoses()
    sexes = {"F": FEMALE, "M": MALE, "": UNKNOWN}
    low, high = np.array([d.min_age for d in rows]), np.array([d.max_age for d in rows])
    return {
        "weight": np.array([d.weight for d in rows]),
        "kind": np.array([KINDS.index(d.kind) for d in rows]),
        "sex": np.array([sexes[d.sex] for d in rows]),
        "low": low,
        "high": high,
        "edges": np.unique(np.concatenate([low, high + 1])),
    }


def draw_diagnoses(
    generator: np.random.Generator, n: int, *, age: npt.NDArray[Any] | None, sex: Ints | None, kind: Coded | None
) -> Coded:
    """ICD-10-CM codes.

    Args:
        generator: Where the draws come from.
        n: Number of rows.
        age: Years, shape (n,), or None for any age.
        sex: FEMALE, MALE or UNKNOWN per row, or None.
        kind: Texts routine, chronic or acute per row; other texts, and None, mean any kind.

    Returns:
        Codes that fit age and sex. Where no code of that kind fits, one of another kind.
    """
    arrays = _diagnosis_arrays()
    edges = arrays["edges"]
    band = (
        np.zeros(n, dtype=np.int64)
        if age is None
        else np.clip(np.searchsorted(edges, np.floor(age), side="right") - 1, 0, None)
    )
    sexes = np.full(n, UNKNOWN) if sex is None else sex
    kinds = np.full(n, len(KINDS)) if kind is None else _positions(kind, KINDS)
    group = (band * 3 + sexes) * (len(KINDS) + 1) + kinds
    out = np.zeros(n, dtype=np.int64)
    for value in np.unique(group):
        rows = np.flatnonzero(group == value)
        fits = np.isin(arrays["sex"], [UNKNOWN, sexes[rows[0]]])
        if age is not None:
            years = edges[band[rows[0]]]
            fits &= (arrays["low"] <= years) & (years <= arrays["high"])
        of_kind = fits & (arrays["kind"] == kinds[rows[0]])
        out[rows] = weighted(generator, rows.size, arrays["weight"] * (of_kind if of_kind.any() else fits))
    return Coded(out, tuple(d.code for d in lists.diagnoses()))


def draw_procedures(generator: np.random.Generator, n: int, setting: Coded | None) -> Coded:
    """HCPCS codes that fit the setting of each row; any code where the setting is not a known one."""
    rows = lists.procedures()
    weights, where = np.array([p.weight for p in rows]), np.array([SETTINGS.index(p.setting) for p in rows])
    settings = np.full(n, len(SETTINGS)) if setting is None else _positions(setting, SETTINGS)
    out = np.zeros(n, dtype=np.int64)
    for value in np.unique(settings):
        here = np.flatnonzero(settings == value)
        fits = where == value
        out[here] = weighted(generator, here.size, weights * (fits if fits.any() else 1))
    return Coded(out, tuple(p.code for p in rows))


def look_up(codes: Coded, source: str, field: str) -> Coded | npt.NDArray[Any]:
    """A property of each code; `source` is icd10 or procedure, `field` one of `LOOKUP_FIELDS[source]`."""
    entries: tuple[Any, ...] = lists.diagnoses() if source == "icd10" else lists.procedures()
    values = [getattr(e, field) for e in entries]
    if not isinstance(values[0], str):
        return np.asarray(np.array(values)[codes.codes])
    distinct = tuple(dict.fromkeys(values))
    place = {v: i for i, v in enumerate(distinct)}
    return Coded(np.array([place[v] for v in values])[codes.codes], distinct)


def _positions(values: Coded, names: tuple[str, ...]) -> Ints:
    """The place of each text in `names`, and len(names) for others."""
    return np.array([names.index(v) if v in names else len(names) for v in values.values])[values.codes]
