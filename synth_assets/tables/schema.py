"""The one internal description of a table: columns, kinds, keys. It holds no value of the data."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class ColumnKind(StrEnum):
    """What a column means to the chain, beyond its storage type."""

    NUMBER = "number"
    CATEGORY = "category"
    DATE = "date"
    DATETIME = "datetime"
    BOOLEAN = "boolean"
    TEXT = "text"
    ID = "id"


class Frozen(BaseModel):
    """Base of all records: immutable, unknown fields are errors, no input value in an error text."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ColumnSchema(Frozen):
    """One column of a canonical table.

    Attributes:
        name: As in the source.
        kind: Declared, else inferred.
        dtype: Arrow type of the Parquet file, as text: "int64", "double", "string", "bool", "date32[day]", "timestamp[us]".
        inferred: True where nobody declared the kind; such kinds are listed as non-DP inputs in privacy reports.
        decimals: Digits after the decimal point that the source shows, for numbers; None for whole numbers and other kinds.
        date_form: How the source writes its days, as a pattern of strftime; None for ISO 8601 and other kinds.
    """

    name: str
    kind: ColumnKind
    dtype: str
    inferred: bool = True
    decimals: int | None = None
    date_form: str | None = None


class ForeignKey(Frozen):
    """A reference from columns of this table to the key of a parent table."""

    columns: tuple[str, ...]
    parent_table: str
    parent_columns: tuple[str, ...]


class TableSchema(Frozen):
    """Columns in source order, keys and size of one canonical table."""

    name: str
    columns: tuple[ColumnSchema, ...]
    primary_key: tuple[str, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    row_count: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(c.name for c in self.columns)

    def column(self, name: str) -> ColumnSchema:
        """One column by name (KeyError where there is none)."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)
