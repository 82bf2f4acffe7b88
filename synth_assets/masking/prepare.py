"""What must stand beside a row before it can be masked: its number, its person, the values of its parents.

What belongs here: inputs of a masking run and these columns. What does not: the masks (run.py puts them together).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import ibis.expr.types as ir

from synth_assets.masking.dates import PERSON, is_dated
from synth_assets.masking.kin import MARK, Kin, join_kin
from synth_assets.masking.perturb import ROW_ROLE
from synth_assets.masking.recipes import as_text
from synth_assets.masking.records import MaskingPlan
from synth_assets.masking.scrub import is_told
from synth_assets.tables.engine import Session
from synth_assets.tables.schema import TableSchema

ROW, PERSON_COLUMN, OWN_COLUMN = f"{MARK}row", f"{MARK}person", f"{MARK}own"
SEX = "sex"


@dataclass(frozen=True)
class MaskInput:
    """One raw table and what happens to it.

    Args:
        path: Canonical Parquet: a folder of part-*.parquet, or a file.
        schema: Its schema, with keys; parents are found by its foreign keys among the other inputs.
        plan: Its plan, made together with the plans of the other tables (`plan.plan_tables`).
    """

    path: Path
    schema: TableSchema
    plan: MaskingPlan


@dataclass(frozen=True)
class Prepared:
    """A raw table ready to be masked.

    Args:
        table: Its own columns, and `ROW`, `PERSON_COLUMN`, `OWN_COLUMN` and columns of its kin where they are needed.
        kin: The ancestors whose columns were joined; the order of rows may have changed where there are any.
        sex: Column with the person's sex, or None.
    """

    table: ir.Table
    kin: tuple[Kin, ...]
    sex: str | None

    def companions(self) -> dict[str, str]:
        """Columns by role, for recipes."""
        made = {PERSON: PERSON_COLUMN, ROW_ROLE: OWN_COLUMN}
        roles = {role: column for role, column in made.items() if column in self.table.columns}
        return roles | ({SEX: self.sex} if self.sex else {})


def prepare(session: Session, tables: Mapping[str, MaskInput], name: str, *, numbered: bool) -> Prepared:
    """Read a table and put beside it what its plan needs.

    Args:
        session: The open session.
        tables: All tables of the dataset.
        name: The one to prepare.
        numbered: Whether `ROW` is needed in any case.
    """
    own = tables[name]
    texts = any(c.action == "scrub" for c in own.plan.columns)
    named = any(
        c.entity_type in {"person_name", "first_name"} and c.action == "format_preserving" for c in own.plan.columns
    )
    dated = any(is_dated(c) for c in own.plan.columns) or own.plan.anonymity is not None
    noisy = any(c.action == "perturb" for c in own.plan.columns)
    sex = sexes(own.plan).get(SEX)
    goal = own.plan.person_route[-1].parent_table if own.plan.person_route else None

    def wanted(table: str) -> frozenset[str]:
        plan = tables[table].plan
        columns = {c.column for c in plan.columns if texts and is_told(c.entity_type)}
        columns |= set(sexes(plan).values()) if texts or (named and sex is None) else set()
        columns |= set(own.plan.person) if dated and table == goal else set()
        return frozenset(columns)

    alone = (dated and not own.plan.person) or (noisy and not own.schema.primary_key)
    counted = numbered or bool(own.schema.foreign_keys) or alone
    base = session.numbered(own.path, ROW) if counted else session.parquet(own.path)
    table, kin = join_kin(
        session,
        base,
        name,
        paths={n: t.path for n, t in tables.items()},
        schemas={n: t.schema for n, t in tables.items()},
        wanted=wanted,
    )
    if dated:
        table = table.mutate(**{PERSON_COLUMN: _person(table, own, kin, tables)})
    if noisy:
        table = table.mutate(**{OWN_COLUMN: _own_name(table, own.schema)})
    above = [k.columns[s] for k in kin for s in sexes(tables[k.table].plan).values() if s in k.columns]
    return Prepared(table, kin, sex or next(iter(above), None))


def sexes(plan: MaskingPlan) -> dict[str, str]:
    """The role of the sex -> the first column of a table that holds it; empty where there is none."""
    found = next((c.column for c in plan.columns if c.entity_type == SEX), None)
    return {} if found is None else {SEX: found}


def _person(table: ir.Table, own: MaskInput, kin: tuple[Kin, ...], tables: Mapping[str, MaskInput]) -> ir.StringValue:
    """Text that names the person of a row; the row's number where nothing does."""
    names, schema = own.plan.person, own.schema
    if own.plan.person_route:
        goal = own.plan.person_route[-1].parent_table
        found = next((k for k in kin if k.table == goal and set(names) <= set(k.columns)), None)
        if found is None:
            return table[ROW].cast("string")
        schema = tables[goal].schema
        parts = [as_text(table[found.columns[c]], schema.column(c).dtype).fill_null("") for c in names]
    elif names:
        parts = [as_text(table[c], schema.column(c).dtype).fill_null("") for c in names]
    else:
        return table[ROW].cast("string")
    return _joined(parts)


def _own_name(table: ir.Table, schema: TableSchema) -> ir.StringValue:
    """Text that names a row: its primary key, else its number."""
    if not schema.primary_key:
        return table[ROW].cast("string")
    return _joined([as_text(table[c], schema.column(c).dtype).fill_null("") for c in schema.primary_key])


def _joined(parts: list[ir.StringValue]) -> ir.StringValue:
    text = parts[0]
    for part in parts[1:]:
        text = text + "\x1f" + part
    return text
