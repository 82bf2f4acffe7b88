"""The audit of one table: `audit_tables` for Parquet folders of the chain, `audit_frames` for people who hold data frames.

What belongs here: which module runs on what, and why one could not run. What does not: any figure, level or score.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from synth_assets.audit.clock import Clock
from synth_assets.audit.fairness.module import fairness_findings
from synth_assets.audit.fidelity.module import table_fidelity
from synth_assets.audit.findings import conclude
from synth_assets.audit.prepare import UNIT_COLUMN, Prepared, Tables, compared_columns, prepare
from synth_assets.audit.privacy.module import privacy_findings
from synth_assets.audit.privacy.shadows import ShadowModels
from synth_assets.audit.records import AuditInputs, AuditResult, Finding, Module, coarse
from synth_assets.audit.utility.module import UtilityResult, utility_findings
from synth_assets.audit.utility.queries import query_findings
from synth_assets.config.dataset import ColumnConfig, ExpectationConfig
from synth_assets.config.sampling import Combination
from synth_assets.config.thresholds import AuditLevels, AuditLimits, AuditWeights
from synth_assets.errors import InputError, MissingArtifactError
from synth_assets.seeds import child_seed
from synth_assets.tables.engine import Engine
from synth_assets.tables.schema import ColumnKind, ColumnSchema, TableSchema
from synth_assets.threads import one_thread

if TYPE_CHECKING:
    import pandas as pd

LEVELS, WEIGHTS, LIMITS = AuditLevels(), AuditWeights(), AuditLimits()
_LIBRARIES = ("numpy", "scipy", "scikit-learn", "duckdb", "ibis-framework")
_MOST_CATEGORIES = 1_000


@dataclass(frozen=True)
class Request:
    """What is to be judged, and how.

    Args:
        target: Outcome column.
        protected: Columns whose groups are compared.
        identifiers: Columns that are made anew: not compared, only their format is checked.
        declared: The declared domain per column; wins over what the real table shows.
        quasi: Quasi-identifiers for k-anonymity.
        levels: Cut-offs.
        weights: Weights of the overall score.
        limits: Sizes of samples.
        seed: Seed of every sample.
        shadows: How to train shadow models of the synthesizer; None: that attack is not run.
        impossible: Combinations of values that no row can have.
        contract: Lines of the contract; those about several columns of one row are counted as rules.
        order: Column that orders the rows of one unit in time, where the table is a sequence.
        units: Columns that say whose a row is, for `order` and intervals; the token of the unit of privacy where a table lacks them.
        unit: Column of the real tables that says whose a row is, where they do not have the token of the unit of privacy.
    """

    target: str | None = None
    protected: tuple[str, ...] = ()
    identifiers: frozenset[str] = frozenset()
    declared: Mapping[str, ColumnConfig] = field(default_factory=dict)
    quasi: tuple[str, ...] = ()
    levels: AuditLevels = LEVELS
    weights: AuditWeights = WEIGHTS
    limits: AuditLimits = LIMITS
    seed: int = 0
    shadows: ShadowModels | None = None
    impossible: tuple[Combination, ...] = ()
    contract: tuple[ExpectationConfig, ...] = ()
    order: str | None = None
    units: tuple[str, ...] = ()
    unit: str | None = None


def audit_tables(
    synthetic: Path,
    train: Path | None,
    holdout: Path | None,
    *,
    schema: TableSchema | None,
    engine: Engine,
    request: Request | None = None,
    **settings: Any,
) -> AuditResult:
    """Audit one synthetic table, with or without the real one.

    Args:
        synthetic: Folder with part-*.parquet, or a Parquet file.
        train: The real rows that the synthesizer saw; None: only what the synthetic table shows by itself is judged.
        holdout: Real rows that it did not see: the control group of privacy, the test rows of utility.
        schema: Kinds and keys; None: taken from the Parquet types.
        engine: The table engine.
        request: What to judge and how.
        **settings: Fields of `Request`, in place of those of `request`.

    Returns:
        The full result, for the restricted zone; `.public()` is the form that may leave it.

    Raises:
        MissingArtifactError: a folder is not there.
        InputError: a table is empty, a named column does not exist, or the tables have no column in common.
    """
    asked = replace(request or Request(), **settings)
    with opened({"synthetic": synthetic, "train": train, "holdout": holdout}, engine) as tables:
        return audit_opened(tables, schema or infer_schema(tables), asked)


def audit_frames(
    synthetic: pd.DataFrame,
    train: pd.DataFrame | None = None,
    holdout: pd.DataFrame | None = None,
    *,
    schema: TableSchema | None = None,
    engine: Engine | None = None,
    request: Request | None = None,
    **settings: Any,
) -> AuditResult:
    """The same audit for data frames.

    Args:
        synthetic: The synthetic table.
        train: The real rows that the synthesizer saw.
        holdout: Real rows that it did not see.
        schema: Kinds and keys; None: taken from the frames' types.
        engine: The table engine; a default one when None.
        request: What to judge and how.
        **settings: Fields of `Request`, in place of those of `request`.

    Raises:
        InputError: a frame is empty or cannot be read as a table, or a named column does not exist.
    """
    frames = {"synthetic": synthetic, "train": train, "holdout": holdout}
    asked = replace(request or Request(), **settings)
    with (engine or Engine()).files_session() as session:
        made = {side: None if frame is None else ibis.memtable(_arrow(frame, side)) for side, frame in frames.items()}
        tables = Tables(session, **made)
        return audit_opened(tables, schema or infer_schema(tables), asked)


@contextmanager
def opened(paths: Mapping[str, Path | None], engine: Engine) -> Iterator[Tables]:
    """Open the tables of one audit by path; None is a table that was not given.

    Raises:
        MissingArtifactError: a path is not there.
    """
    for side, path in paths.items():
        if path is not None and not path.exists():
            raise MissingArtifactError(f"the {side} table of the audit is not there.", file=str(path))
    with engine.files_session() as session:
        yield Tables(session, **{side: None if path is None else session.parquet(path) for side, path in paths.items()})


def _arrow(frame: pd.DataFrame, side: str) -> pa.Table:
    try:
        table = pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, ValueError, TypeError):
        raise InputError(
            f"the {side} frame has a column of mixed types.", remedy="Give every column one type."
        ) from None
    plain = [f.with_type(f.type.value_type) if pa.types.is_dictionary(f.type) else f for f in table.schema]
    return table.cast(pa.schema(plain))


def infer_schema(tables: Tables) -> TableSchema:
    """Kinds from storage types: numbers, dates, times, booleans; texts are categories while they repeat, else free text."""
    source = tables.synthetic if tables.train is None else tables.train
    rows = int(tables.fetch(source.count()).as_py())
    columns = []
    for name, dtype in source.schema().items():
        if name == UNIT_COLUMN:
            continue
        kind, stored = _kind(dtype)
        if kind is ColumnKind.CATEGORY:
            distinct = int(tables.fetch(source[name].nunique()).as_py())
            if distinct > min(_MOST_CATEGORIES, max(50, rows // 2)):
                kind = ColumnKind.TEXT
        columns.append(ColumnSchema(name=name, kind=kind, dtype=stored))
    return TableSchema(name="table", columns=tuple(columns), row_count=rows)


def _kind(dtype: Any) -> tuple[ColumnKind, str]:
    if dtype.is_boolean():
        return ColumnKind.BOOLEAN, "bool"
    if dtype.is_numeric():
        return ColumnKind.NUMBER, "int64" if dtype.is_integer() else "double"
    if dtype.is_date():
        return ColumnKind.DATE, "date32[day]"
    if dtype.is_timestamp():
        return ColumnKind.DATETIME, "timestamp[us]"
    return ColumnKind.CATEGORY, "string"


@dataclass
class _Report:
    """What the modules add to, one after another."""

    findings: dict[Module, list[Finding]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    samples: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    clock: Clock = field(default_factory=Clock)


def audit_opened(tables: Tables, schema: TableSchema, request: Request) -> AuditResult:
    """Audit tables that are open already.

    Args:
        tables: The tables.
        schema: Kinds and keys.
        request: What to judge and how.

    Raises:
        InputError: a table is empty, a named column does not exist, or the tables have no column in common.
    """
    _check_names(tables, schema, request)
    if request.unit is not None:
        tables = _by_unit(tables, request.unit)
        request = replace(request, identifiers=request.identifiers | {request.unit})
    columns, left_out = compared_columns(schema, tables.present(), request.identifiers)
    report = _Report()
    with report.clock.step("reading"):
        limit = request.limits.compare_rows
        prepared = prepare(tables, columns, left_out, limit=limit, seed=request.seed, owners=request.units)
    with one_thread():
        fidelity = table_fidelity(tables, schema, prepared, request, report.clock)
        report.findings["fidelity"] = fidelity.findings
        report.reasons |= fidelity.reasons
        report.notes += fidelity.notes
        if prepared.columns:
            _compare(tables, prepared, request, report)
    if not prepared.columns:
        report.reasons |= dict.fromkeys(
            ("fidelity", "utility", "privacy", "fairness"),
            "Every column is a key, an identifier or free text: nothing to compare.",
        )
    inputs = _inputs(schema, prepared, request, report)
    return conclude(
        report.findings,
        report.reasons,
        inputs=inputs,
        levels=request.levels,
        weights=request.weights,
        seconds=report.clock.seconds,
    )


def _by_unit(tables: Tables, unit: str) -> Tables:
    """The real tables with the token of the unit of privacy; a row that names no unit is one by itself."""

    def marked(table: ir.Table | None) -> ir.Table | None:
        if table is None or UNIT_COLUMN in table.columns:
            return table
        alone = ibis.literal("\x1f") + ibis.row_number().cast("string")
        return table.mutate(**{UNIT_COLUMN: ibis.coalesce(table[unit].cast("string"), alone)})

    return replace(tables, train=marked(tables.train), holdout=marked(tables.holdout))


def _check_names(tables: Tables, schema: TableSchema, request: Request) -> None:
    for name in (*((request.target,) if request.target else ()), *request.protected, *request.quasi):
        if name not in schema.names:
            raise InputError(
                "the table has no such column.", column=name, remedy=f"Its columns: {', '.join(schema.names)}."
            )
    for side, table in (("real", tables.train), ("held-out", tables.holdout)):
        if request.unit is not None and table is not None and not {request.unit, UNIT_COLUMN} & set(table.columns):
            raise InputError(f"the {side} table lacks the column of the unit of privacy.", column=request.unit)
    shared = set(tables.synthetic.columns)
    for side, table in tables.present().items():
        shared &= set(table.columns)
        if not shared:
            raise InputError(
                f"the synthetic table and the {side} table have no column in common.", remedy="Check the files."
            )


def _compare(tables: Tables, prepared: Prepared, request: Request, report: _Report) -> None:
    """Privacy, utility and fairness, as far as the given tables allow."""
    levels, seed = request.levels, request.seed
    first = [name for name in (request.target, *request.protected) if name]
    privacy = privacy_findings(
        tables,
        prepared,
        quasi=request.quasi,
        secrets=first,
        limits=request.limits,
        levels=levels,
        seed=seed,
        shadows=request.shadows,
        clock=report.clock,
    )
    report.findings["privacy"] = privacy.findings
    report.reasons |= privacy.reasons
    report.samples |= privacy.samples
    report.notes += privacy.notes
    utility = _utility(prepared, request, report.clock)
    report.findings["utility"] = list(utility.findings)
    if "train" in prepared.parts:
        with report.clock.step("utility.queries"):
            report.findings["utility"] += query_findings(
                prepared, limits=request.limits, levels=levels, seed=child_seed(seed, "utility")
            )
    if utility.reason:
        report.reasons["utility"] = utility.reason
    if utility.fitted:
        report.samples |= {"model_rows": utility.fitted.trained, "model_test_rows": utility.fitted.test.held}
    protected = [name for name in request.protected if name in prepared.names and name != request.target]
    target = request.target if request.target in prepared.names else None
    with report.clock.step("fairness"):
        found, reasons = fairness_findings(
            prepared, protected, target, utility.fitted, minimum=request.limits.group_rows, levels=levels
        )
    report.findings["fairness"] = found
    report.reasons |= reasons
    for name in {*request.protected, *first} - set(prepared.names):
        report.notes.append(f"Column {name!r} is not compared: {prepared.left_out.get(name, 'absent')}.")


def _utility(prepared: Prepared, request: Request, clock: Clock) -> UtilityResult:
    """Utility, or the reason why it could not run."""
    if request.target is None:
        return UtilityResult((), reason="No outcome column is named.")
    if request.target not in prepared.names:
        return UtilityResult((), reason=f"The outcome column is not compared: {prepared.left_out[request.target]}.")
    if not {"train", "holdout"} <= set(prepared.parts):
        return UtilityResult((), reason="Needs real rows to train on and held-out real rows to test on.")
    return utility_findings(
        prepared,
        request.target,
        limits=request.limits,
        levels=request.levels,
        seed=child_seed(request.seed, "utility"),
        clock=clock,
    )


def _inputs(schema: TableSchema, prepared: Prepared, request: Request, report: _Report) -> AuditInputs:
    rows = {side: part.rows for side, part in prepared.parts.items()}
    for side, part in prepared.parts.items():
        if prepared.columns and part.held < part.rows:
            report.notes.append(
                f"Marginals and models use about {coarse(part.held)} of the {side} rows, drawn at random."
            )
    return AuditInputs(
        tables=(schema.name,),
        synthetic_rows=rows["synthetic"],
        train_rows=rows.get("train"),
        holdout_rows=rows.get("holdout"),
        columns=prepared.names,
        left_out=prepared.left_out,
        samples=report.samples,
        notes=tuple(report.notes),
        target=request.target,
        protected=request.protected,
        seed=request.seed,
        versions=_versions(),
    )


def _versions() -> dict[str, str]:
    found = {}
    for name in ("synth-assets", *_LIBRARIES):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
