"""Plans and results of masking, as frozen records. Light on purpose: asset code imports it at load.

What belongs here: what will happen to a column, what happened, what the checks found. What does not: how. No record holds a cell
value or a key.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field

from synth_assets.config.base import LocaleName
from synth_assets.config.rules import Action, Rule
from synth_assets.masking.anonymity.records import AnonymityDemand, AnonymityOutcome
from synth_assets.tables.schema import ForeignKey, Frozen, TableSchema

# actions under which different values stay different
ONE_TO_ONE = frozenset({"pseudonym", "format_preserving", "keep", "hash", "tokenise"})

LEAK_REMEDY = (
    "Give the masked column another action (scrub, drop), or declare the type of the raw one if it identifies nobody."
)


class ColumnPlan(Frozen):
    """The one action of one column.

    Attributes:
        column: Name of the column.
        dtype: Its storage type in the raw table.
        decimals: Digits after the point that its values have at most, where that is known.
        entity_type: What the classification says it is; "none" where there is no usable verdict.
        form: The entity type whose form a format-preserving pseudonym keeps; that of the topmost parent for columns of keys.
        rule: Action and parameters.
        domain: Name of the pseudonym domain; equal values in one domain get equal pseudonyms in every table.
        key: Whether the column is part of a primary or foreign key whose joins must survive.
        joins_numbers: Whether its texts join a column of numbers in another table, as the text 7 joins the number 7.
        reason: Why this action, in words, without values.
        overridden: A person's configuration decided the action.
        withheld: There was no usable verdict, so the column is not passed through.
        locale: Country of made-up names, streets and cities.
    """

    column: str
    dtype: str
    decimals: int | None = None
    entity_type: str = "none"
    form: str = "none"
    rule: Rule
    domain: str
    key: bool = False
    joins_numbers: bool = False
    reason: str
    overridden: bool = False
    withheld: bool = False
    locale: LocaleName = "en_US"

    @property
    def action(self) -> Action:
        """Name of the action."""
        return self.rule.action


class MaskingPlan(Frozen):
    """The actions of all columns of one table, in column order.

    Attributes:
        table: Name of the table.
        policy: Name of the policy.
        columns: One plan per column.
        person: Column of this table that names the person, or the columns of its primary key; dates shift by it.
        person_route: Foreign keys that lead up to the table of the person; () where `person` stands in this table.
        person_domain: Name of the key domain of date shifts; the same in all tables of one unit.
        as_of: Day on which "over 89" is judged.
        anonymity: What the columns that are generalised jointly must reach; None where there are none.
    """

    table: str
    policy: str
    columns: tuple[ColumnPlan, ...]
    anonymity: AnonymityDemand | None = None
    person: tuple[str, ...] = ()
    person_route: tuple[ForeignKey, ...] = ()
    person_domain: str = "person"
    as_of: date

    def column(self, name: str) -> ColumnPlan:
        """One column's plan by name (KeyError where there is none)."""
        for plan in self.columns:
            if plan.column == name:
                return plan
        raise KeyError(name)


class ColumnSummary(Frozen):
    """What masking did to one column. Counts only.

    Attributes:
        column: Name of the column.
        action: What was done.
        reason: Why.
        overridden: A person's configuration decided it.
        withheld: Not passed through, since there was no usable verdict.
        dtype: Storage type in the masked table; None where the column was dropped.
        nulls_before: Missing cells in the raw table.
        nulls_after: Missing cells in the masked one; None where the column was dropped.
        distinct_before: Different values in the raw table, estimated (HyperLogLog); None where the mask is one to one or the column
            was dropped: what is lost is known then.
        distinct_after: Different values in the masked table, likewise.
        information_loss: 0 (rows are told apart as before) to 1 (nothing is left), see `summary.information_loss`; the mean penalty of
            its cells where it was generalised jointly.
    """

    column: str
    action: Action
    reason: str
    overridden: bool = False
    withheld: bool = False
    dtype: str | None
    nulls_before: int
    nulls_after: int | None
    distinct_before: int | None
    distinct_after: int | None
    information_loss: float = Field(ge=0, le=1)


class MaskSummary(Frozen):
    """What masking did to one table.

    Attributes:
        table: Name of the table.
        policy: Name of the policy.
        rows: Number of rows, before and after.
        columns: One summary per raw column.
        output_schema: Schema of the masked table.
        redrawn: Format-preserving pseudonyms of this run that were drawn again, since they met another one or a real value.
        key_fingerprint: Tells keys apart and says nothing about them; it changes when the key is rotated.
        anonymity: What was done to reach k-anonymity; None where the plan asks for none.
        locale: Country of made-up names, streets and cities.
    """

    table: str
    policy: str
    rows: int
    columns: tuple[ColumnSummary, ...]
    output_schema: TableSchema
    redrawn: int = 0
    key_fingerprint: str
    anonymity: AnonymityOutcome | None = None
    locale: LocaleName = "en_US"


class LeakFinding(Frozen):
    """Raw identifiers that are still there.

    Attributes:
        kind: "identifier" (unique by nature, found anywhere) or "name" (a name or address part in its own person's row).
        raw_table: Where the raw value stands.
        raw_column: Its column; the columns of a name check are given together.
        table: Masked table in which it was found.
        column: Masked column in which it was found.
        cells: How many masked cells hold one.
    """

    kind: Literal["identifier", "name"]
    raw_table: str
    raw_column: str
    table: str
    column: str
    cells: int = Field(ge=1)


class LeakReport(Frozen):
    """Result of the leak check; it blocks where `passed` is False.

    Attributes:
        passed: Nothing was found.
        findings: What was found, counts only.
        identifiers: Different raw identifiers that were looked for.
        too_short: Different raw identifiers with fewer than five letters and digits; they cannot be looked for.
        columns_searched: Masked columns that were searched.
        names_checked: Masked columns that were compared with the names of their own person.
    """

    passed: bool
    findings: tuple[LeakFinding, ...]
    identifiers: int
    too_short: int
    columns_searched: int
    names_checked: int


class KeyFinding(Frozen):
    """One key before and after masking.

    Attributes:
        kind: "foreign_key" or "unique".
        table: Table of the key.
        columns: Its columns.
        before: Rows that find their parent, or different values.
        after: The same in the masked tables; None where a column of the key was dropped.
        passed: `after` equals `before`, or a person dropped the column on purpose.
    """

    kind: Literal["foreign_key", "unique"]
    table: str
    columns: tuple[str, ...]
    before: int
    after: int | None
    passed: bool


class KeyReport(Frozen):
    """Result of the key check; it blocks where `passed` is False."""

    passed: bool
    keys: tuple[KeyFinding, ...]
