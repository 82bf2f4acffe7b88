"""The people behind the rows of one table: each part of their identity is made when it is first asked for.

What belongs here: which parts follow from which. What does not: data types and requests (identities.py).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from synth_assets.generation import clinical, codes, lists, names, places, spreads, text
from synth_assets.generation.formulas import numbers
from synth_assets.generation.numbering import free_codes, unique_codes
from synth_assets.generation.values import Coded, Ints, Values, joined, to_text
from synth_assets.seeds import child_seed

_CLINICAL = frozenset({"icd10", "diagnosis", "visit_date", "department", "mrn"})


class Persons:
    """One person per row.

    Args:
        n: Number of rows.
        seed: Root seed.
        evidence: What is known of each row, by part (see context.py) or entity type.
        today: The day that ages refer to.
    """

    def __init__(self, n: int, seed: int, evidence: Mapping[str, pa.Array], today: dt.date) -> None:
        self.n, self._seed, self.evidence, self.today = n, seed, evidence, today
        self._made: dict[str, pa.Array] = {}

    def seed(self, *purpose: str) -> int:
        """A seed for one purpose."""
        return child_seed(self._seed, "identities", *purpose)

    def generator(self, *purpose: str) -> np.random.Generator:
        """Random numbers for one purpose."""
        return np.random.default_rng(self.seed(*purpose))

    def take_first(self, kind: str, *, unique: bool) -> pa.Array | None:
        """The person's own value of a type; None when it was taken already, since two columns rarely hold the same."""
        if kind in self._made:
            return None
        self._made[kind] = self._text(kind, kind, unique=unique)
        return self._made[kind]

    def others(self, kind: str, column: str, *, unique: bool) -> pa.Array:
        """Another value of a type for each row: a second telephone number, a maiden name, a relative."""
        return self._text(kind, column, unique=unique)

    def own(self, kind: str) -> pa.Array:
        """The person's value of a type for use inside texts: what is known, else what was made, else a new one."""
        if kind in self.evidence:
            return to_text(self.evidence[kind])
        if kind not in self._made:
            self._made[kind] = self._text(kind, kind, unique=False)
        return self._made[kind]

    @cached_property
    def sexes(self) -> Ints:
        """Sex codes of names.py per row."""
        return names.sex_codes(self.evidence["sex"]) if "sex" in self.evidence else np.full(self.n, names.UNKNOWN)

    @cached_property
    def cities(self) -> Ints:
        """Indices into lists.cities(): the row's city, or one in the row's state, where that is known."""
        generator = self.generator("cities")
        if "state" not in self.evidence:
            return places.draw_cities(generator, self.n)
        drawn = places.cities_in(generator, pc.fill_null(to_text(self.evidence["state"]), ""))
        return places.cities_called(to_text(self.evidence["city"]), drawn) if "city" in self.evidence else drawn

    @cached_property
    def first(self) -> Values:
        """Given names: the known ones, drawn where there is none."""
        drawn = names.draw_first_names(self.generator("first_name"), self.n, self.sexes)
        known = self.evidence.get("first_name")
        return drawn if known is None else pc.coalesce(to_text(known), to_text(drawn))

    @cached_property
    def last(self) -> Values:
        """Surnames: the known ones, drawn where there is none."""
        drawn = names.draw_last_names(self.generator("last_name"), self.n)
        known = self.evidence.get("last_name")
        return drawn if known is None else pc.coalesce(to_text(known), to_text(drawn))

    @cached_property
    def ages(self) -> Ints:
        """Ages in whole years; 40 where nothing is known."""
        born = self.evidence.get("birth_date")
        if "age" in self.evidence:
            years = _numbers(self.evidence["age"], 40.0)
        elif born is not None and not pa.types.is_string(born.type):
            seconds = _numbers(born.cast(pa.timestamp("s"), safe=False).cast(pa.int64()), np.nan)
            now = float(np.datetime64(self.today, "s").astype(np.int64))
            years = np.nan_to_num((now - seconds) / (365.25 * 86_400), nan=40.0)
        else:
            years = np.full(self.n, 40.0)
        return np.clip(np.floor(years), 0, 120).astype(np.int64)

    @cached_property
    def diagnoses(self) -> Coded:
        """ICD-10-CM codes that fit age and sex."""
        return clinical.draw_diagnoses(self.generator("icd10"), self.n, age=self.ages, sex=self.sexes, kind=None)

    def _text(self, kind: str, label: str, *, unique: bool) -> pa.Array:
        """Values of a type; `label` is the type itself for the person's own, another name for further ones."""
        own = label == kind
        generator, seed = self.generator(kind, label), self.seed(kind, label, "unique") if unique else None
        if kind in codes.FORMS:
            return self._code(kind, generator, seed)
        makers: dict[str, Callable[[], Values]] = {
            "first_name": lambda: self.first if own else names.draw_first_names(generator, self.n, self.sexes),
            "last_name": lambda: self.last if own else names.draw_last_names(generator, self.n),
            "person_name": lambda: names.full_names(*self._name(label, own)),
            "username": lambda: self._handles(label, own),
            "email": lambda: names.emails(generator, self._handles(label, own), space="fresh"),
            "url": lambda: names.urls(self._handles(label, own), space="fresh"),
            "phone": lambda: self._phones(kind, label, unique=unique),
            "fax": lambda: self._phones(kind, label, unique=unique),
            "street_address": lambda: places.streets(generator, self.n, seed=seed, space="fresh", column=label),
            "city": lambda: places.city_names(self.cities),
            "state": lambda: self.evidence.get("state", places.state_codes(self.cities)),
            "zip": lambda: places.zips(generator, self.cities),
            "county": lambda: joined([to_text(places.city_names(self.cities)), " County"]),
            "country": lambda: Coded(np.zeros(self.n, dtype=np.int64), ("United States",)),
            "occupation": lambda: Coded(spreads.weighted(generator, self.n, lists.weights("jobs")), lists.jobs()),
            "employer": lambda: Coded(generator.integers(0, len(lists.companies()), self.n), lists.companies()),
            "organization": lambda: Coded(generator.integers(0, len(lists.companies()), self.n), lists.companies()),
            "icd10": lambda: self.diagnoses,
            "diagnosis_text": self._diagnosis_text,
            "free_text": lambda: self._note(label),
        }
        maker = makers.get(kind)
        return self._code("token", generator, self.seed(kind, label, "token")) if maker is None else to_text(maker())

    def _code(self, kind: str, generator: np.random.Generator, seed: int | None) -> pa.Array:
        form = codes.FORMS[kind]
        if kind == "ip_address" and seed is not None and self.n > form.capacity // 2:
            return codes.ipv6_text(unique_codes(0, self.n, 2**32, seed, space="fresh", column=kind))
        if seed is None and self.n > form.capacity // 2:
            return form.build(free_codes(generator, self.n, form.capacity, space="fresh"))
        return form.build(
            unique_codes(0, self.n, form.capacity, seed or self.seed(kind, "numbers"), space="fresh", column=kind)
        )

    def _name(self, label: str, own: bool) -> tuple[Values, Values]:
        if own:
            return self.first, self.last
        generator = self.generator("person_name", label, "parts")
        return names.draw_first_names(generator, self.n), names.draw_last_names(generator, self.n)

    def _handles(self, label: str, own: bool) -> pa.Array:
        label = "own" if own else label
        first, last = to_text(self.first), to_text(self.last)
        seed = self.seed("handles", label)
        return names.handles(
            self.generator("handles", label), first, last, total=self.n, seed=seed, space="fresh", column=label
        )

    def _phones(self, kind: str, label: str, *, unique: bool) -> pa.Array:
        seed = self.seed(kind, label, "lines") if unique or self.n <= 5_000 else None
        return places.phones(
            self.generator(kind, label), self.cities, total=self.n, seed=seed, space="fresh", column=label
        )

    def _diagnosis_text(self) -> pa.Array:
        """Descriptions of the row's code where it is a known one, else of a code that fits age and sex."""
        known = self.evidence.get("icd10")
        drawn = to_text(clinical.look_up(self.diagnoses, "icd10", "description"))
        if known is None:
            return drawn
        table = pa.array([d.code for d in lists.diagnoses()])
        index = pc.index_in(to_text(known), table)
        return pc.coalesce(pa.array([d.description for d in lists.diagnoses()]).take(index), drawn)

    def _note(self, label: str) -> pa.Array:
        """Sentences that agree with the row, clinical ones where the table is about visits."""
        domain = "clinical_note" if _CLINICAL & (self.evidence.keys() | self._made.keys()) else "general"
        domain = "memo" if domain == "general" and "amount" in self.evidence else domain
        absent = {"visit_date", "discharge_date", "department", "days"} - set(self.evidence)
        usable = [
            t
            for t in text.domain_templates(domain)
            if not absent & set(t.columns) and (t.condition is None or "days" not in absent)
        ]
        slots = {name: self._slot(name) for t in usable for name in t.columns}
        return text.render(self.generator("note", label), self.n, usable, slots, self._holds)

    def _slot(self, name: str) -> pa.Array:
        """What a sentence says in one of its slots."""
        makers: dict[str, Callable[[], Values]] = {
            "first_name": lambda: self.first,
            "last_name": lambda: self.last,
            "age": lambda: self.ages,
            "sex": lambda: Coded(self.sexes, ("woman", "man", "person")),
            "code": lambda: self.evidence.get("icd10", self.diagnoses),
            "diagnosis": lambda: self.evidence.get("diagnosis", self._diagnosis_text()),
        }
        if name in makers:
            return to_text(makers[name]())
        known = self.evidence.get(name)
        if known is None:
            return self.own(name)
        return to_text(known.cast(pa.date32(), safe=False) if pa.types.is_timestamp(known.type) else known)

    def _holds(self, condition: str | float) -> npt.NDArray[np.bool_]:
        days = _numbers(self.evidence["days"], 0.0)
        return np.asarray(numbers(condition, lambda _: days, self.n, today=self.today, key="days") != 0)


def _numbers(values: pa.Array, missing: float) -> npt.NDArray[np.float64]:
    return np.asarray(
        pc.fill_null(values.cast(pa.float64(), safe=False), missing).to_numpy(zero_copy_only=False), dtype=np.float64
    )
