"""The audit of masked tables, in the form of every other audit: what they still tell of persons, and what they lost.

What belongs here: figures of a masked table beside its raw one, as counts of the engine. What does not: masking, and the check that
blocks (masking/anonymity/verify.py).

Sources: prosecutor, journalist and marketer risk: El Emam and Dankar, "Protecting privacy using k-anonymity", JAMIA 2008; Dankar and El
Emam, "A method for evaluating marketer re-identification risk", 2010; as ARX defines them. Entropy loss: De Waal and Willenborg,
"Information loss through global recoding and local suppression", 1999.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir

from synth_assets.audit.findings import clip, conclude, number, verdict
from synth_assets.audit.records import AuditInputs, AuditResult, Finding, Module, ModuleScores
from synth_assets.config.thresholds import AuditLevels, AuditWeights
from synth_assets.errors import InputError, withhold_values
from synth_assets.masking.anonymity.records import AnonymityMeasure, SensitiveMeasure
from synth_assets.masking.anonymity.verify import measure
from synth_assets.masking.records import ONE_TO_ONE, ColumnSummary, MaskSummary
from synth_assets.pii.records import ColumnVerdict
from synth_assets.tables.engine import Engine, Session
from synth_assets.tables.schema import ColumnSchema, TableSchema

READABLE = frozenset({"keep", "generalise", "round", "truncate", "top_code", "perturb", "date_shift", "partial"})
CODES = frozenset({"customer_id", "other_id"})
NOT_COUNTED = frozenset({"scrub"})
BINS = 20
MAX_SENSITIVE = 20
_NUMBERS = ("int64", "double", "date32[day]", "timestamp[us]")
READS = (
    "Risks hold for somebody who knows the quasi-identifiers that can still be read, and nothing else; the raw table is taken for the "
    "whole population. Shifted dates and noise count as if they could be read."
)
LEVELS, WEIGHTS = AuditLevels(), AuditWeights()


@dataclass(frozen=True)
class MaskedInput:
    """One masked table and the raw one that it was made of.

    Args:
        raw: The raw table, Parquet.
        masked: The masked one.
        schema: Schema of the raw table.
        summary: What masking did.
        verdicts: What the columns are.
        persons: Columns that name the person of a row in both tables; () counts rows.
    """

    raw: Path
    masked: Path
    schema: TableSchema
    summary: MaskSummary
    verdicts: Sequence[ColumnVerdict] = ()
    persons: tuple[str, ...] = field(default=())

    def of_class(self, identifier_class: str) -> tuple[str, ...]:
        """Columns of one identifier class, without keys and codes, which nobody knows from elsewhere, in the order of the table.

        Those that were generalised jointly are quasi-identifiers.
        """
        jointly = self.summary.anonymity.quasi if self.summary.anonymity else ()
        keys = {*self.schema.primary_key, *(c for fk in self.schema.foreign_keys for c in fk.columns)}
        found = {
            v.column for v in self.verdicts if v.identifier_class == identifier_class and v.entity_type not in CODES
        }
        found -= keys
        found = found | set(jointly) if identifier_class == "quasi" else found - set(jointly)
        return tuple(c for c in self.schema.names if c in found)

    @property
    def readable(self) -> dict[str, ColumnSummary]:
        """Columns of the masked table whose values still say what the raw ones said."""
        return {c.column: c for c in self.summary.columns if c.dtype is not None and c.action in READABLE}


def audit_masked(
    tables: Sequence[MaskedInput], *, engine: Engine, levels: AuditLevels = LEVELS, weights: AuditWeights = WEIGHTS
) -> AuditResult:
    """Audit the masked tables of one dataset.

    Args:
        tables: The tables.
        engine: Memory limit, threads and spill folder.
        levels: Cut-offs of the findings.
        weights: Weights of the overall score.

    Returns:
        The full form. Privacy is 1 - the highest prosecutor risk of any table, fidelity 1 - the mean distance of the marginals that can
        be compared, utility 1 - the mean information loss of the columns. Fairness is null: a mask decides about nobody.

    Raises:
        InputError: there is no table.
    """
    if not tables:
        raise InputError("there is no masked table to audit.")
    findings: dict[Module, list[Finding]] = {"privacy": [], "fidelity": [], "utility": [], "fairness": []}
    left_out: dict[str, str] = {}
    with withhold_values("the audit of masked tables"), engine.files_session() as session:
        for table in tables:
            audit = _Audit(session, table, levels)
            findings["privacy"] += audit.risks()
            distances, skipped = audit.distances()
            findings["fidelity"] += distances
            findings["utility"] += audit.losses()
            left_out |= {f"{table.summary.table}.{name}": why for name, why in skipped.items()}
    risks = [f.value for f in findings["privacy"] if f.decides and f.value is not None]
    tvds = [f.value for f in findings["fidelity"] if f.value is not None]
    losses = [f.value for f in findings["utility"] if f.metric == "information_loss" and f.value is not None]
    return conclude(
        findings,
        {"fairness": "A mask decides about nobody; compare the tables that are made from it."},
        inputs=_inputs(tables, left_out),
        levels=levels,
        weights=weights,
        scores=ModuleScores(
            privacy=clip(1 - max(risks)) if risks else None,
            fidelity=clip(1 - sum(tvds) / len(tvds)) if tvds else None,
            utility=clip(1 - sum(losses) / len(losses)) if losses else None,
        ),
    )


def _inputs(tables: Sequence[MaskedInput], left_out: Mapping[str, str]) -> AuditInputs:
    rows = sum(t.summary.rows for t in tables)
    return AuditInputs(
        tables=tuple(t.summary.table for t in tables),
        synthetic_rows=rows,
        train_rows=rows,
        columns=tuple(f"{t.summary.table}.{c}" for t in tables for c in t.readable),
        left_out=dict(left_out),
        notes=(
            "Rows of the masked tables stand under synthetic_rows, those of the raw ones under train_rows.",
            READS,
        ),
        versions={name: version(name) for name in ("synth-assets", "duckdb", "ibis-framework")},
    )


class _Audit:
    """The audit of one table in an open session."""

    def __init__(self, session: Session, table: MaskedInput, levels: AuditLevels) -> None:
        self.session, self.table, self.levels = session, table, levels
        self.name = table.summary.table
        self.raw, self.masked = session.parquet(table.raw), session.parquet(table.masked)

    def risks(self) -> Iterator[Finding]:
        """Re-identification risk, k, l and t, before and after."""
        quasi = self.table.of_class("quasi")
        seen = tuple(c for c in quasi if c in self.table.readable)
        if not quasi or not self.table.summary.rows:
            yield self._finding(
                "prosecutor_risk",
                "No quasi-identifier was found, so nobody is told apart by one.",
                0.0,
                None,
                decides=True,
            )
            return
        before = self._measured(self.raw, self.table.schema, quasi)
        after = self._measured(self.masked, self.table.summary.output_schema, seen) if seen else _one_class(before)
        yield from self._population(before, after, seen)
        unit = after.unit if after.k != 1 else after.unit.removesuffix("s")
        yield self._finding(
            "smallest_class",
            f"The smallest class has {after.k} {unit} in the masked table, {before.k} in the raw one.",
            after.k, before.k, figure=1 / after.k,
        )  # fmt: skip
        for one in after.sensitive:
            was = next(s for s in before.sensitive if s.column == one.column)
            yield from self._sensitive(one, was)

    def _measured(self, table: ir.Table, schema: TableSchema, quasi: Sequence[str]) -> AnonymityMeasure:
        readable = self.table.readable
        sensitive = [c for c in self.table.of_class("sensitive") if c in readable and readable[c].action == "keep"]
        return measure(self.session, table, schema, quasi, sensitive[:MAX_SENSITIVE], persons=self.table.persons)

    def _population(self, before: AnonymityMeasure, after: AnonymityMeasure, seen: Sequence[str]) -> Iterator[Finding]:
        known = (
            f"knows {', '.join(seen)}"
            if seen
            else "knows anything but its values, since no quasi-identifier can be read,"
        )
        highest, was = 1 / after.k, 1 / before.k
        yield self._finding(
            "prosecutor_risk",
            f"Somebody who {known} of a person that is in the table finds the right row with a chance of at most {number(highest)} "
            f"(raw table: {number(was)})",
            highest, was, decides=True,
        )  # fmt: skip
        journalist = 1 / max(self._population_class(seen, after), 1)
        yield self._finding(
            "journalist_risk",
            f"The same of somebody who does not know whether the person is in the table, with the raw table as the population: at most "
            f"{number(journalist)}",
            journalist, was,
        )  # fmt: skip
        marketer, of_raw = after.classes / after.rows, before.classes / before.rows
        yield self._finding(
            "marketer_risk",
            f"Whoever matches the whole table with a register is right for {number(marketer)} of the rows on average (raw table: "
            f"{number(of_raw)})",
            marketer, of_raw,
        )  # fmt: skip
        alone, were = after.unique_rows / after.rows, before.unique_rows / before.rows
        yield self._finding(
            "unique_rows",
            f"{number(alone)} of the rows are alone in their class (raw table: {number(were)})",
            alone,
            were,
        )

    def _population_class(self, seen: Sequence[str], after: AnonymityMeasure) -> int:
        """Persons in the smallest class of the population: a row whose quasi-identifiers are all missing may be anybody's."""
        if not seen:
            return after.k
        told = functools.reduce(operator.or_, (self.masked[c].notnull() for c in seen))
        rows = self.masked.filter(told)
        if not int(rows.count().to_pyarrow().as_py()):
            return self.table.summary.rows
        schema = self.table.summary.output_schema
        return measure(self.session, rows, schema, seen, persons=self.table.persons).k

    def _sensitive(self, now: SensitiveMeasure, was: SensitiveMeasure) -> Iterator[Finding]:
        yield self._finding(
            "l_diversity",
            f"Every class has at least {now.distinct} different values of this column (raw table: {was.distinct})",
            now.distinct, was.distinct, column=now.column, figure=1 / now.distinct,
        )  # fmt: skip
        yield self._finding(
            "t_closeness",
            f"The class that is furthest from the table has a distance of {number(now.t)} from it (raw table: {number(was.t)})",
            now.t, was.t, column=now.column, figure=now.t,
        )  # fmt: skip

    def distances(self) -> tuple[list[Finding], dict[str, str]]:
        """Distance of each column's distribution before and after, where values can be compared."""
        found, skipped = [], {}
        for name, done in self.table.readable.items():
            column = self.table.schema.column(name)
            if done.dtype != column.dtype:
                skipped[name] = "its values have another form than the raw ones"
                continue
            same = done.action == "keep"
            tvd = 0.0 if same else self._distance(column)
            level = self.levels.tvd.level(tvd)
            text = f"Distance of the values before and after ({done.action}): {number(tvd)}, {verdict(level, self.levels.tvd)}."
            found.append(
                Finding(
                    metric="tvd_marginal",
                    message=text,
                    risk_level=level,
                    value=round(tvd, 6),
                    sample_size=self.table.summary.rows,
                    table=self.name,
                    column=name,
                )
            )
        return found, skipped

    def _distance(self, column: ColumnSchema) -> float:
        """Total variation distance over values, of numbers and dates over twentieths of the raw column."""
        cuts: list[float] = []
        if column.dtype in _NUMBERS:
            scale = _scale(self.raw[column.name], column)
            row = (
                self.raw.aggregate(cuts=scale.quantile([i / BINS for i in range(1, BINS)])).to_pyarrow().to_pylist()[0]
            )
            cuts = sorted(set(row["cuts"] or ()))

        def counted(table: ir.Table) -> ir.Table:
            value: Any = table[column.name]
            if column.dtype in _NUMBERS:
                place = _scale(value, column)
                value = functools.reduce(
                    operator.add, ((place > c).cast("int16") for c in cuts), ibis.literal(0, "int16")
                )
                value = table[column.name].isnull().ifelse(-1, value)
            return table.group_by(v=value).aggregate(n=ibis._.count())

        one, two = counted(self.raw), counted(self.masked).rename(v2="v", n2="n")
        both = one.outer_join(two, one.v.identical_to(two.v2))
        gap = (both.n.fill_null(0) - both.n2.fill_null(0)).abs().sum()
        total = max(self.table.summary.rows, 1)
        return float(both.aggregate(gap=gap).to_pyarrow().to_pylist()[0]["gap"] or 0) / 2 / total

    def losses(self) -> Iterator[Finding]:
        """Information loss per column, and what k-anonymity cost."""
        for done in self.table.summary.columns:
            loss, way = self._loss(done)
            text = f"{done.action}: {number(loss)} of what the column told is lost ({way})."
            details = {"action": done.action, "nulls_after": done.nulls_after}
            yield Finding(
                metric="information_loss", message=text, risk_level="low", value=round(loss, 6), decides=False, table=self.name,
                column=done.column, details=details, sample_size=self.table.summary.rows,
            )  # fmt: skip
        whole = self.table.summary.anonymity
        if whole is not None:
            blank = whole.suppressed_rows / max(whole.rows, 1)
            cost = f"{number(whole.loss)} of the quasi-identifiers is lost, {number(blank)} of the rows have theirs blanked"
            further: dict[str, int | float | str | None] = {
                "discernibility": whole.discernibility,
                "average_class_size": whole.average_class_size,
                "classes": whole.classes,
            }
            yield Finding(
                metric="anonymity_loss", message=f"k-anonymity ({whole.method}): {cost}.", risk_level="low", value=whole.loss,
                decides=False, table=self.name, details=further, sample_size=self.table.summary.rows,
            )  # fmt: skip

    def _loss(self, done: ColumnSummary) -> tuple[float, str]:
        jointly = self.table.summary.anonymity
        if jointly is not None and done.column in jointly.quasi:
            return done.information_loss, "normalised certainty penalty"
        if done.dtype is None:
            return 1.0, "dropped"
        if done.action in ONE_TO_ONE:
            return 0.0, "values are told apart as before"
        if done.action in NOT_COUNTED:
            return done.information_loss, "different values before and after"
        before, after = (_entropy(t, done.column) for t in (self.raw, self.masked))
        return (clip(1 - after / before) if before > 0 else 0.0), "entropy"

    def _finding(
        self, metric: str, message: str, value: float, baseline: float | None, *, decides: bool = False,
        column: str | None = None, figure: float | None = None,
    ) -> Finding:  # fmt: skip
        """A figure whose level is that of a risk of re-identification (of a distance, for t)."""
        cutoffs = self.levels.tvd if metric == "t_closeness" else self.levels.reidentification
        level = cutoffs.level(value if figure is None else figure)
        text = message if message.endswith(".") else f"{message}: {verdict(level, cutoffs)}."
        return Finding(
            metric=metric, message=text, risk_level=level, value=round(value, 6), decides=decides, table=self.name, column=column,
            baseline=None if baseline is None else round(baseline, 6), sample_size=self.table.summary.rows,
            control_size=None if baseline is None else self.table.summary.rows,
        )  # fmt: skip


def _one_class(before: AnonymityMeasure) -> AnonymityMeasure:
    """A table without a quasi-identifier that can be read: all rows are one class."""
    return before.model_copy(update={"classes": 1, "k": before.rows, "unique_rows": 0, "unit": "rows", "sensitive": ()})


def _scale(value: ir.Value, column: ColumnSchema) -> ir.NumericValue:
    if column.dtype in {"int64", "double"}:
        return value.cast("float64")
    return value.cast("timestamp").epoch_seconds().cast("float64")


def _entropy(table: ir.Table, column: str) -> float:
    """Shannon entropy in nats of the values of a column; a missing cell tells nothing, so it is spread over all values."""
    counts = table.filter(table[column].notnull()).group_by(v=table[column]).aggregate(n=ibis._.count())
    row = counts.aggregate(rows=counts.n.sum(), weighted=(counts.n * counts.n.ln()).sum()).to_pyarrow().to_pylist()[0]
    filled = int(row["rows"] or 0)
    total = int(table.count().to_pyarrow().as_py())
    if not filled:
        return 0.0
    return (math.log(filled) - float(row["weighted"]) / filled) * filled / total
