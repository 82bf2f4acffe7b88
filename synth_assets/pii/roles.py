"""From verdicts to roles: what a model may learn, what is made anew, what is a key. Decided once, used by split and synthesis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from synth_assets.config.dataset import ColumnConfig
from synth_assets.pii.records import ColumnVerdict
from synth_assets.tables.schema import ColumnKind, Frozen, TableSchema

OPAQUE_KINDS = frozenset({ColumnKind.TEXT, ColumnKind.ID})
RECORD_IDS = frozenset({"customer_id", "other_id"})


class ColumnRoles(Frozen):
    """The columns of one table by role; every column has exactly one.

    Attributes:
        table: Name of the table.
        keys: Primary and foreign keys: made anew, so that they join.
        identifiers: Direct identifiers, record ids and free text with their entity type: never modelled, made anew by the generator.
        modelled: What a synthesizer learns, in source order.
    """

    table: str
    keys: tuple[str, ...]
    identifiers: Mapping[str, str]
    modelled: tuple[str, ...]


def column_roles(
    schema: TableSchema,
    verdicts: Sequence[ColumnVerdict],
    configs: Mapping[str, ColumnConfig],
    *,
    links: Sequence[str] = (),
    unit: str | None = None,
) -> ColumnRoles:
    """Sort the columns of a table by role.

    A column without a verdict is made anew, never modelled. A domain that a person declared (categories or bounds) makes a column
    modelled, unless it is a direct identifier.

    Args:
        schema: The table.
        verdicts: What its columns hold about people.
        configs: What a person declared.
        links: Columns that are keys besides those of the schema: what links the rows of one person in a sequence.
        unit: The column of this table that names the unit of privacy: it says whose a row is, so it is made anew, unless a person
            gave the list of its values.
    """
    keys = tuple(dict.fromkeys([*schema.primary_key, *(c for key in schema.foreign_keys for c in key.columns), *links]))
    found = {v.column: v for v in verdicts}
    identifiers, modelled = {}, []
    for column in schema.columns:
        if column.name in keys:
            continue
        verdict, config = found.get(column.name), configs.get(column.name, ColumnConfig())
        if verdict is None:
            identifiers[column.name] = "free_text"
        elif verdict.identifier_class == "direct":
            identifiers[column.name] = verdict.entity_type
        elif column.name == unit and not config.has_public_values:
            identifiers[column.name] = verdict.entity_type if verdict.entity_type != "none" else "customer_id"
        elif config.has_domain:
            modelled.append(column.name)
        elif column.kind in OPAQUE_KINDS or (verdict.entity_type in RECORD_IDS and column.dtype == "string"):
            identifiers[column.name] = verdict.entity_type if verdict.entity_type != "none" else "free_text"
        else:
            modelled.append(column.name)
    return ColumnRoles(table=schema.name, keys=keys, identifiers=identifiers, modelled=tuple(modelled))


def identifying_columns(verdicts: Sequence[ColumnVerdict]) -> frozenset[str]:
    """Columns whose values no profile may show: direct identifiers, record ids and free text."""
    texts = RECORD_IDS | {"free_text", "diagnosis_text"}
    return frozenset(v.column for v in verdicts if v.identifier_class == "direct" or v.entity_type in texts)
