"""Fresh identities: people who do not exist, and the identifiers of synthetic tables. Nothing here reads real data.

What belongs here: coherence within a row (name, e-mail, sex, place, text), data types, uniqueness. What does not: the form of one
identifier (codes.py). All numbers come from the half of their space that generated tables do not use, so none repeats there.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from synth_assets.config.base import LocaleName
from synth_assets.errors import InputError
from synth_assets.generation import codes, locales, names, places
from synth_assets.generation.context import find_context
from synth_assets.generation.numbering import ranks, unique_codes
from synth_assets.generation.persons import Persons
from synth_assets.generation.residents import residents
from synth_assets.generation.values import fixed_width, joined, to_arrow, to_text
from synth_assets.seeds import child_seed
from synth_assets.tables.schema import Frozen

Dtype = Literal["int64", "double", "string", "bool", "date32[day]", "timestamp[us]"]
TODAY = dt.date(2025, 12, 31)
_ARROW: dict[str, pa.DataType] = {
    "int64": pa.int64(), "double": pa.float64(), "string": pa.string(), "bool": pa.bool_(),
    "date32[day]": pa.date32(), "timestamp[us]": pa.timestamp("us"),
}  # fmt: skip
# Types whose text is a number once its punctuation is gone, so that a column of numbers can hold it.
_NUMERIC = frozenset({
    "phone", "fax", "ssn", "itin", "tax_id", "card_number", "routing_number", "account_number", "npi", "mrn", "national_id",
    "customer_id", "other_id", "zip",
})  # fmt: skip


class IdentifierRequest(Frozen):
    """One column to fill with fresh values.

    Attributes:
        column: Its name; a column of that name is replaced, else it is added at the end.
        entity_type: From the closed list of the classifier; an unknown one gets opaque tokens.
        dtype: Type of the column, as in TableSchema.
        unique: Whether no value may repeat.
    """

    column: str
    entity_type: str
    dtype: Dtype = "string"
    unique: bool = False


def people(
    n: int,
    seed: int,
    *,
    sex: npt.NDArray[np.str_] | None = None,
    birth_date: npt.NDArray[np.datetime64] | None = None,
    locale: LocaleName = locales.DEFAULT,
) -> pa.Table:
    """Coherent identities of people who do not exist.

    Args:
        n: How many.
        seed: Same seed, same people.
        sex: Shape (n,): F, M, Female, Male ...; drawn when None.
        birth_date: Shape (n,), days; drawn when None.
        locale: Country and language, one of `locales.LOCALES`.

    Returns:
        A table with first_name, last_name, full_name, sex, birth_date, email, username, phone, street_address, city, state (or
        region), zip (or postcode), latitude, longitude, national_id (in the United States: ssn), mrn, and in en_GB and en_AU
        health_id. E-mail, user name, national number and MRN are unique; in the United States phone numbers are, up to 17 million
        people. Other countries keep so few numbers free that many people share one. There are 909,091 NHS numbers that are never
        issued; further people of en_GB have none.

    Raises:
        InputError: n is negative, an array has another length, there is no such locale, or there are more people than free
            national numbers (7 million and more).
    """
    for name, values in (("sex", sex), ("birth_date", birth_date)):
        if n < 0 or (values is not None and len(values) != n):
            raise InputError(f"`{name}` has not as many values as people are asked for.", key=name)
    generator = np.random.default_rng(child_seed(seed, "people", "basics"))
    sexes = np.where(generator.random(n) < 0.51, "F", "M") if sex is None else np.asarray(sex).astype(str)
    born = _birth_dates(generator, n) if birth_date is None else np.asarray(birth_date).astype("datetime64[D]")
    told = {"sex": pa.array(sexes, pa.string()), "birth_date": pa.array(born)}
    if locale != locales.DEFAULT:
        made = residents(locales.locale_of(locale), sexes, born, seed)
        return _ordered(pa.table(told | {c: made[c] for c in made.column_names}))
    kinds = (
        "first_name",
        "last_name",
        "person_name",
        "email",
        "username",
        "phone",
        "street_address",
        "city",
        "state",
        "zip",
    )
    requests = [IdentifierRequest(column=k, entity_type=k, unique=k in {"email", "username", "phone"}) for k in kinds]
    requests += [
        IdentifierRequest(column=k, entity_type="coordinates", dtype="double") for k in ("latitude", "longitude")
    ]
    requests += [IdentifierRequest(column=k, entity_type=k, unique=True) for k in ("ssn", "mrn")]
    table = fill_identifiers(pa.table(told), requests, seed=seed)
    return _ordered(table.rename_columns(["full_name" if c == "person_name" else c for c in table.column_names]))


def _ordered(table: pa.Table) -> pa.Table:
    first = ("first_name", "last_name", "full_name", "sex", "birth_date")
    return table.select([*first, *(c for c in table.column_names if c not in first)])


def _birth_dates(generator: np.random.Generator, n: int) -> npt.NDArray[np.datetime64]:
    """Days of birth of people from 0 to 99 years, most of them grown up; shape (n,)."""
    years = generator.normal(46, 25, n)
    years = np.where((years < 0) | (years >= 99), generator.random(n) * 99, years)
    born: npt.NDArray[np.datetime64] = np.datetime64(TODAY, "D") - np.floor(years * 365.25).astype("timedelta64[D]")
    return born


def fill_identifiers(
    table: pa.Table,
    requests: Sequence[IdentifierRequest],
    *,
    seed: int,
    context: Mapping[str, pa.Array | pa.ChunkedArray] | None = None,
) -> pa.Table:
    """Give a table new identifiers that agree with each other and with the row's other columns.

    Args:
        table: The table; columns called sex, state, birth_date, admission_date, icd10_code ... are used as evidence.
        requests: Columns to replace or to add.
        seed: Same table, requests and seed: same values.
        context: More evidence by part or entity type, one value per row: {"first_name": ..., "mrn": ...} of the parent row, so
            that a note in a child table names its own patient.

    Returns:
        The table with the columns filled, in its old order, new columns at the end, no nulls in filled columns.

    Raises:
        InputError: a column is asked for twice, a context has another length, or there are fewer values than rows where all must
            differ.
    """
    columns = [r.column for r in requests]
    if len(set(columns)) < len(columns):
        raise InputError("a column is asked for twice.", column=next(c for c in columns if columns.count(c) > 1))
    evidence = find_context(table, set(columns), context)
    short = sorted(part for part, values in evidence.items() if len(values) != table.num_rows)
    if short:
        raise InputError(f"the context {short[0]!r} has not one value per row.", key=short[0])
    persons = Persons(table.num_rows, seed, evidence, TODAY)
    made = {r.column: _fill(persons, r) for r in sorted(requests, key=_is_text)}
    for column in columns:
        place = table.schema.get_field_index(column)
        table = (
            table.append_column(column, made[column]) if place < 0 else table.set_column(place, column, made[column])
        )
    return table


def _is_text(request: IdentifierRequest) -> bool:
    """Texts are made last, since they quote the other identifiers of their row."""
    return request.entity_type in {"free_text", "diagnosis_text"}


def new_keys(n: int, dtype: str, seed: int) -> pa.Array:
    """Fresh primary keys: 1 ... n as int64 (or double), UUID-like texts from the seed as string.

    Raises:
        InputError: another dtype.
    """
    if dtype in {"int64", "double"}:
        return pa.array(np.arange(1, n + 1), pa.int64()).cast(_ARROW[dtype])
    if dtype != "string":
        raise InputError(f"a key cannot be of type {dtype!r}.", key="dtype")
    return codes.uuids(np.random.default_rng(child_seed(seed, "keys")), n)


def _fill(persons: Persons, request: IdentifierRequest) -> pa.Array:
    kind, dtype = request.entity_type, request.dtype
    if dtype in {"bool", "date32[day]", "timestamp[us]"}:
        return _opaque(persons, request)
    if kind == "coordinates":
        return _coordinates(persons, request)
    if dtype == "string":
        return _distinct(persons, request, _text(persons, request)) if request.unique else _text(persons, request)
    if kind not in _NUMERIC:
        return _opaque(persons, request)
    texts = _text(persons, request)
    texts = _distinct(persons, request, texts) if request.unique else texts
    return pc.replace_substring_regex(texts, "[^0-9]", "").cast(pa.int64()).cast(_ARROW[dtype])


def _text(persons: Persons, request: IdentifierRequest) -> pa.Array:
    """The values as texts; the first column of a type has the person's own, a second one has others."""
    kind = request.entity_type
    texts = persons.take_first(kind, unique=request.unique)
    if texts is not None:
        return texts
    return persons.others(kind, request.column, unique=request.unique)


def _opaque(persons: Persons, request: IdentifierRequest) -> pa.Array:
    """Values without meaning in a type that the identifier's text does not fit."""
    n, generator = persons.n, persons.generator(request.column, "opaque")
    if request.dtype == "bool":
        return pa.array(generator.random(n) < 0.5)
    capacity = {"date32[day]": 50_000, "timestamp[us]": 2**32}.get(request.dtype, 10**12)
    if request.unique or request.dtype in {"int64", "double"}:
        drawn = unique_codes(
            0, n, capacity, persons.seed(request.column, "opaque"), space="fresh", column=request.column
        )
    else:
        drawn = generator.integers(0, capacity, n, dtype=np.uint64)
    whole = drawn.astype(np.int64)
    if request.dtype == "date32[day]":
        return pa.array((whole - 30_000).astype("datetime64[D]"))
    if request.dtype == "timestamp[us]":
        return pa.array((whole - 2**31).astype("datetime64[s]").astype("datetime64[us]"))
    return pa.array(whole + 10**12).cast(_ARROW[request.dtype])


def _coordinates(persons: Persons, request: IdentifierRequest) -> pa.Array:
    latitude, longitude = places.coordinates(persons.generator("coordinates"), persons.cities)
    name = request.column.lower()
    is_longitude = "lon" in name or "lng" in name or name in {"x", "long"}
    if request.dtype == "string" and not ("lat" in name or is_longitude):
        return joined([to_text(latitude), ", ", to_text(longitude)])
    return to_arrow(longitude if is_longitude else latitude).cast(_ARROW[request.dtype], safe=False)


def _distinct(persons: Persons, request: IdentifierRequest, texts: pa.Array) -> pa.Array:
    """Texts made different where they repeat: a middle initial, a ZIP+4, a number."""
    encoded = texts.dictionary_encode()
    if len(encoded.dictionary) == len(texts):
        return texts
    rank = ranks(encoded.indices.to_numpy(zero_copy_only=False))
    repeats = pa.array(rank > 0)
    if request.entity_type == "person_name":
        letters = names.initials(rank)
        first, last = pc.extract_regex(texts, "(?P<first>.*) (?P<last>[^ ]*)").flatten()
        changed = joined([first, " ", letters, " ", last])
    elif request.entity_type == "zip":
        changed = joined([texts, "-", fixed_width(persons.n, [(rank, 4)])])
    else:
        changed = joined([texts, " ", to_text(rank + 1)])
    out = pc.if_else(repeats, changed, texts)
    if len(pc.unique(out)) < len(out):
        raise InputError("there are fewer different values of this type than rows.", column=request.column)
    return out
