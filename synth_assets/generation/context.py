"""What the columns of a table mean to a fresh identity beside them: sex, state, dates, diagnosis; found by name, or told.

What belongs here: which column plays which part. What does not: making values (identities.py).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import pyarrow as pa

_NAMES: dict[str, tuple[str, ...]] = {
    "sex": ("sex", "gender"),
    "first_name": ("first_name", "firstname", "given_name", "fname"),
    "last_name": ("last_name", "lastname", "surname", "family_name", "lname"),
    "state": ("state", "state_code", "st", "province"),
    "city": ("city", "town", "city_name"),
    "birth_date": ("birth_date", "birthdate", "date_of_birth", "dob", "birthday"),
    "age": ("age", "age_years", "age_at_visit"),
    "visit_date": (
        "visit_date",
        "admission_date",
        "encounter_date",
        "service_date",
        "admit_date",
        "start_date",
        "date",
        "start",
    ),
    "discharge_date": ("discharge_date", "end_date", "stop"),
    "days": ("length_of_stay", "los", "days", "inpatient_days"),
    "department": ("department", "specialty", "speciality", "unit", "ward"),
    "icd10": ("icd10_code", "icd10", "icd_code", "icd", "diagnosis_code", "dx_code", "dx"),
    "diagnosis": ("diagnosis", "diagnosis_description", "condition", "reason"),
    "amount": ("amount", "transaction_amount", "balance", "payment", "total"),
}
_TEXT_KINDS = ("sex", "first_name", "last_name", "state", "city", "department", "icd10", "diagnosis")
_DATE_KINDS = ("birth_date", "visit_date", "discharge_date")


def find_context(
    table: pa.Table, replaced: Collection[str], told: Mapping[str, pa.Array | pa.ChunkedArray] | None = None
) -> dict[str, pa.Array]:
    """The parts that columns play, by part: sex, state, birth_date, age, visit_date ... and what the caller tells.

    Args:
        table: The table that identities are made for.
        replaced: Columns that are about to be replaced; they are no evidence.
        told: Values by part or entity type, one per row; they win over what names suggest.

    Returns:
        Arrow arrays of the table's length.
    """
    by_name = {
        re.sub(r"[^a-z0-9]+", "_", c.lower()).strip("_"): c for c in reversed(table.column_names) if c not in replaced
    }
    found: dict[str, pa.Array] = {}
    for part, names in _NAMES.items():
        column = next((by_name[n] for n in names if n in by_name), None)
        if column is not None and _fits(part, table.schema.field(column).type):
            found[part] = _flat(table.column(column))
    return {**found, **{part: _flat(values) for part, values in (told or {}).items()}}


def _fits(part: str, kind: pa.DataType) -> bool:
    if part in _DATE_KINDS:
        return bool(pa.types.is_date(kind) or pa.types.is_timestamp(kind) or pa.types.is_string(kind))
    if part in _TEXT_KINDS:
        return bool(
            pa.types.is_string(kind) or pa.types.is_dictionary(kind) or (part == "sex" and pa.types.is_integer(kind))
        )
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _flat(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if isinstance(array, pa.ChunkedArray):  # pyarrow keeps an empty one chunked
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    return array.cast(array.type.value_type) if pa.types.is_dictionary(array.type) else array
