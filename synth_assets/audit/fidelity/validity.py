"""Domain validity: the share of synthetic values that could stand in the real table (type, range, known category, format).

Counted inside the engine over whole tables. Keys have a form of the synthesizer's own: they are checked to be unique, not to look
like the real ones. A declared domain wins over what the real table shows. What does not belong here: the contract of the dataset,
which runs as checks of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc

from synth_assets.audit.findings import VALIDITY, added_level, added_words, number, told_apart
from synth_assets.audit.intervals import newcombe, wilson
from synth_assets.audit.prepare import NUMERIC_KINDS, Tables, comparable
from synth_assets.audit.records import Finding
from synth_assets.config.dataset import ColumnConfig
from synth_assets.config.thresholds import AuditLevels
from synth_assets.tables.schema import ColumnKind, ColumnSchema, TableSchema

CATEGORY_LIMIT = 10_000
FORMAT_LIMIT = 20  # more shapes of text than this are no format


@dataclass(frozen=True)
class Valid:
    """What was checked in one column and how many non-missing values passed."""

    column: str
    check: str
    values: int
    passed: int


def validity_findings(
    tables: Tables,
    schema: TableSchema,
    declared: Mapping[str, ColumnConfig],
    identifiers: Collection[str],
    levels: AuditLevels,
    units: Collection[str] = (),
) -> list[Finding]:
    """The share over all checked columns, one finding per column below 1, and the uniqueness of the primary key.

    Args:
        tables: The synthetic table, and the real one where there is one.
        schema: Columns; those that the synthetic table lacks are skipped.
        declared: The declared domain per column.
        identifiers: Columns whose values are made anew: only their format is checked.
        levels: Cut-offs.
        units: Columns that say whose a row is; they are made anew as keys are.
    """
    keys = {
        *units,
        *schema.primary_key,
        *(c for k in schema.foreign_keys for c in k.columns),
    }  # made anew in a form of their own
    present = [c for c in schema.columns if c.name in tables.synthetic.columns and c.name not in keys]

    def checks(side: Tables) -> list[Valid]:
        made = [_check(side, c, declared.get(c.name), c.name in identifiers) for c in present]
        return [check for check in made if check is not None]

    checked = checks(tables)
    control = _control(tables, present)
    controls = {c.column: c for c in checks(control)} if control is not None else {}
    found = [f for f in (_key(tables, schema, levels),) if f is not None]
    if not checked:
        return found
    whole = _finding(
        (
            "Domain validity",
            f"of the synthetic values in {len(checked)} columns have the right type, range, category or format",
        ),
        _sum(checked),
        _sum([controls[c.column] for c in checked]) if controls else None,
        levels,
        metric=VALIDITY,
        decides=True,
    )
    each = [
        _finding(
            (f"Column {c.column!r}", f"of the values pass ({c.check})"),
            c,
            controls.get(c.column),
            levels,
            metric="column_validity",
        )
        for c in checked
        if c.passed < c.values
    ]
    return [whole, *each, *found]


def _control(tables: Tables, columns: Sequence[ColumnSchema]) -> Tables | None:
    """The held-out rows in the place of the synthetic ones, where they have all columns."""
    if tables.train is None or tables.holdout is None or not {c.name for c in columns} <= set(tables.holdout.columns):
        return None
    return replace(tables, synthetic=tables.holdout)


def _sum(checks: Sequence[Valid]) -> Valid:
    return Valid("", "", sum(c.values for c in checks), sum(c.passed for c in checks))


def _finding(
    words: tuple[str, str],
    valid: Valid,
    control: Valid | None,
    levels: AuditLevels,
    *,
    metric: str,
    decides: bool = False,
) -> Finding:
    """A share of values that pass, beside that of held-out rows; the words stand before and after the share."""
    share = valid.passed / valid.values if valid.values else 1.0
    baseline = control.passed / control.values if control and control.values else None
    excess, above = None, None
    if control and baseline is not None:
        excess, above = baseline - share, newcombe((control.passed, control.values), (valid.passed, valid.values))
    rows = min(valid.values, control.values) if control else 0
    added = None if excess is None or above is None else told_apart(excess, above, rows)
    level = added_level(levels.invalid, 1 - share, added)
    told = f"; of unseen real ones {number(baseline)}" if baseline is not None else ""
    text = f"{words[0]}: {number(share)} {words[1]}{told}. {added_words(level, levels.invalid, added, 'The rest')}"
    return Finding(
        metric=metric,
        message=text,
        risk_level=level,
        value=share,
        interval=wilson(valid.passed, valid.values),
        baseline=baseline,
        excess=excess,
        excess_interval=above,
        sample_size=valid.values,
        control_size=control.values if control and baseline is not None else None,
        decides=decides,
        column=valid.column or None,
        details={"values": valid.values, "invalid": valid.values - valid.passed},
    )


def _check(tables: Tables, column: ColumnSchema, declared: ColumnConfig | None, identifier: bool) -> Valid | None:
    """The check that fits the column; None where nothing is known about it."""
    declared = declared or ColumnConfig()
    real = tables.train if tables.train is not None and column.name in tables.train.columns else None
    if declared.categories is not None:
        return _in_list(tables, column, pa.array(declared.categories, pa.string()), "declared categories")
    if column.kind in NUMERIC_KINDS:
        return _range(tables, column, declared, None if identifier else real)
    if real is None:
        return None
    if identifier or column.kind in (ColumnKind.TEXT, ColumnKind.ID):
        return _format(tables, column, real)
    known = tables.fetch(real.select(value=comparable(real, column)).distinct().limit(CATEGORY_LIMIT + 1))["value"]
    if len(known) > CATEGORY_LIMIT:
        return None
    return _in_list(tables, column, known.combine_chunks().drop_null(), "categories of the real table")


def _in_list(tables: Tables, column: ColumnSchema, known: pa.Array, check: str) -> Valid:
    value = comparable(tables.synthetic, column)
    counts = tables.fetch(
        tables.synthetic.select(value=value).filter(ibis._.value.notnull()).value.value_counts(name="rows")
    )
    inside = pc.is_in(counts["value"].cast(pa.string()), value_set=known)
    return Valid(column.name, check, _total(counts["rows"]), _total(pc.filter(counts["rows"], inside)))


def _total(column: Any) -> int:
    return int(pc.sum(column).as_py() or 0)


def _range(tables: Tables, column: ColumnSchema, declared: ColumnConfig, real: ir.Table | None) -> Valid:
    """Type, and the declared range, else the one of the real table."""
    lower, upper = declared.lower, declared.upper
    check = "type"
    if real is not None and (lower is None or upper is None):
        value = comparable(real, column)
        seen = tables.fetch(real.aggregate(lower=value.min(), upper=value.max()))
        lower = seen["lower"][0].as_py() if lower is None else lower
        upper = seen["upper"][0].as_py() if upper is None else upper
    value, raw = comparable(tables.synthetic, column), tables.synthetic[column.name]
    good = value.notnull()
    if lower is not None and upper is not None:
        check = "type and range"
        good = good & value.between(_bound(lower, column), _bound(upper, column))
    return _counted(tables, column, check, raw.notnull(), good)


def _bound(value: Any, column: ColumnSchema) -> Any:
    if column.kind is ColumnKind.NUMBER:
        return ibis.literal(float(value))
    return ibis.literal(str(value)).cast("date" if column.kind is ColumnKind.DATE else "timestamp")


def _counted(tables: Tables, column: ColumnSchema, check: str, known: Any, good: Any) -> Valid:
    row = tables.fetch(tables.synthetic.aggregate(rows=known.sum(), passed=(known & good).sum()))
    return Valid(column.name, check, int(row["rows"][0].as_py() or 0), int(row["passed"][0].as_py() or 0))


def _shape(value: Any) -> Any:
    """The shape of a text: digits to 9, letters to A and a."""
    return value.cast("string").re_replace("[0-9]", "9").re_replace("[A-Z]", "A").re_replace("[a-z]", "a")


def _format(tables: Tables, column: ColumnSchema, real: ir.Table) -> Valid | None:
    """Format: where the real values have at most 20 shapes, synthetic values must have one of them."""
    shapes = tables.fetch(real.select(value=_shape(real[column.name])).distinct().limit(FORMAT_LIMIT + 2))["value"]
    known = [shape for shape in shapes.to_pylist() if shape is not None]
    if not known or len(known) > FORMAT_LIMIT:
        return None
    value = tables.synthetic[column.name]
    return _counted(tables, column, "format", value.notnull(), _shape(value).isin(known))


def _key(tables: Tables, schema: TableSchema, levels: AuditLevels) -> Finding | None:
    """Share of synthetic rows whose primary key is complete and stands once, beside that of the real rows."""
    key = list(schema.primary_key)
    if not key or not set(key) <= set(tables.synthetic.columns):
        return None
    made = _unique(tables, tables.synthetic, key)
    real = tables.holdout if tables.holdout is not None else tables.train
    known = real is not None and set(key) <= set(real.columns)
    words = "Primary key", "of the synthetic rows have a key of their own"
    control = _unique(tables, real, key) if real is not None and known else None
    return _finding(words, made, control, levels, metric="primary_key_unique", decides=True)


def _unique(tables: Tables, table: ir.Table, key: Sequence[str]) -> Valid:
    """All rows, and those whose key is complete and stands once."""
    complete = table
    for name in key:
        complete = complete.filter(complete[name].notnull())
    groups = complete.group_by(list(key)).aggregate(rows=ibis._.count())
    once = groups.aggregate(once=(groups.rows == 1).sum())
    rows = int(tables.fetch(table.count()).as_py())
    return Valid("", "", rows, int(tables.fetch(once)["once"][0].as_py() or 0))
