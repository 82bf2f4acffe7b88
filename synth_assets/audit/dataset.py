"""The audit of a dataset of several tables: each table by itself, how they hang together, and one result over all.

Privacy is that of the worst table; fidelity is the mean over the compared columns; utility and fairness are those of the tables that
have the outcome and the protected columns.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from synth_assets.audit.clock import Clock
from synth_assets.audit.fidelity.parent_child import Related, trend_findings
from synth_assets.audit.fidelity.relations import Sides, relation_findings
from synth_assets.audit.findings import conclude
from synth_assets.audit.prepare import Tables, compared_columns
from synth_assets.audit.privacy.shadows import ShadowModels
from synth_assets.audit.records import MODULES, AuditInputs, AuditResult, Finding, Module, ModuleScores
from synth_assets.audit.tables import LEVELS, LIMITS, WEIGHTS, Request, audit_opened, opened
from synth_assets.config.dataset import ColumnConfig, ExpectationConfig
from synth_assets.config.sampling import Combination
from synth_assets.config.thresholds import AuditLevels, AuditLimits, AuditWeights
from synth_assets.errors import InputError
from synth_assets.seeds import child_seed
from synth_assets.tables.engine import Engine
from synth_assets.tables.schema import ColumnSchema, TableSchema

Column = tuple[str, str]  # (table, column)


@dataclass(frozen=True)
class TableInput:
    """One table of the dataset.

    Args:
        name: Its name.
        synthetic: Folder of the synthetic table.
        train: Folder of the real rows that the synthesizer saw, or None.
        holdout: Folder of the real rows that it did not see, or None.
        schema: Kinds and keys.
        columns: Columns that were modelled; the others are made anew and not compared.
        declared: The declared domain per column.
        quasi: Quasi-identifiers for k-anonymity.
        impossible: Combinations of values that no row can have.
        contract: Lines of the contract.
        order: Column that orders the rows of one unit or parent in time.
        units: Columns that say whose a row is, for `order`.
        shadows: How to train shadow models of the synthesizer; None: that attack is not run.
    """

    name: str
    synthetic: Path
    train: Path | None
    holdout: Path | None
    schema: TableSchema
    columns: Collection[str]
    declared: Mapping[str, ColumnConfig] = field(default_factory=dict)
    quasi: tuple[str, ...] = ()
    impossible: Sequence[Combination] = ()
    contract: Sequence[ExpectationConfig] = ()
    order: str | None = None
    units: Sequence[str] = ()
    shadows: ShadowModels | None = None

    def sides(self) -> Sides:
        """The folders that are given, without real parts that have no rows."""
        train = self.train if self.train and has_rows(self.train) else None
        holdout = self.holdout if train and self.holdout and has_rows(self.holdout) else None
        return Sides(self.synthetic, train, holdout)

    def compared(self) -> list[ColumnSchema]:
        """The columns that are compared."""
        return list(compared_columns(self.schema, {}, frozenset(self.schema.names) - frozenset(self.columns))[0])


def audit_dataset(
    tables: Sequence[TableInput],
    *,
    engine: Engine,
    target: Column | None = None,
    protected: Sequence[Column] = (),
    levels: AuditLevels = LEVELS,
    weights: AuditWeights = WEIGHTS,
    limits: AuditLimits = LIMITS,
    seed: int,
) -> AuditResult:
    """Audit every table of a dataset and put the results together.

    Args:
        tables: At least one.
        engine: The table engine.
        target: Outcome, as (table, column).
        protected: Protected columns, as (table, column).
        levels: Cut-offs.
        weights: Weights of the overall score.
        limits: Sizes of samples.
        seed: Seed of every sample.

    Returns:
        The full result over all tables.

    Raises:
        MissingArtifactError: a folder is not there.
        InputError: a named table or column does not exist.
    """
    known = {table.name: table for table in tables}
    for name, column in (*([target] if target else []), *protected):
        if name not in known:
            raise InputError(
                f"the audit has no table {name!r}.", column=column, remedy=f"Its tables: {', '.join(known)}."
            )
    results = {}
    for table in tables:
        outcome = target[1] if target and target[0] == table.name else None
        groups = tuple(column for name, column in protected if name == table.name)
        request = Request(
            outcome, groups, frozenset(table.schema.names) - frozenset(table.columns), table.declared, table.quasi, levels, weights,
            limits, child_seed(seed, table.name), impossible=tuple(table.impossible), contract=tuple(table.contract),
            order=table.order, units=tuple(table.units), shadows=table.shadows,
        )  # fmt: skip
        results[table.name] = _audit(table, request, engine)
    clock = Clock()
    with clock.step("fidelity.relations"):
        relations = _relations(known, engine, levels, limits, seed)
    return combine(results, relations, seed=seed, seconds=clock.seconds)


def _audit(table: TableInput, request: Request, engine: Engine) -> AuditResult:
    """One table; a side without rows, as a small table of a dataset may have, counts as not given."""
    schema = table.schema.model_copy(update={"name": table.name})
    if not has_rows(table.synthetic):
        reasons: dict[str, str] = dict.fromkeys(MODULES, "The synthetic table has no rows.")
        inputs = AuditInputs(
            tables=(table.name,), target=request.target, protected=request.protected, seed=request.seed
        )
        return conclude({}, reasons, inputs=inputs, levels=request.levels, weights=request.weights)
    with opened_sides(table, engine) as tables:
        return audit_opened(tables, schema, request)


@contextmanager
def opened_sides(table: TableInput, engine: Engine) -> Iterator[Tables]:
    """Open one table of the dataset; a real side without rows counts as not given."""
    sides = table.sides()
    with opened({"synthetic": sides.synthetic, "train": sides.train, "holdout": sides.holdout}, engine) as tables:
        yield tables


def has_rows(path: Path) -> bool:
    """Whether a Parquet table has rows; a path that is not there is left to the audit, which names it."""
    files = sorted(path.glob("part-*.parquet")) if path.is_dir() else [path]
    return not path.exists() or any(pq.read_metadata(file).num_rows for file in files)


def _relations(
    tables: Mapping[str, TableInput], engine: Engine, levels: AuditLevels, limits: AuditLimits, seed: int
) -> list[Finding]:
    """Findings about every foreign key between tables of the dataset."""
    found: list[Finding] = []
    for table in tables.values():
        for key in table.schema.foreign_keys:
            parent = tables.get(key.parent_table)
            if parent is None:
                continue
            sides = table.sides(), parent.sides()
            found += relation_findings(*sides, key, table=table.name, engine=engine, levels=levels)
            below, above = (Related(t.name, s, t.compared()) for t, s in zip((table, parent), sides, strict=True))
            found += trend_findings(below, above, key, engine=engine, levels=levels, limits=limits, seed=seed)
    return found


def combine(
    results: Mapping[str, AuditResult],
    relations: Sequence[Finding] = (),
    *,
    seed: int = 0,
    seconds: Mapping[str, float] | None = None,
) -> AuditResult:
    """One result over several tables.

    Args:
        results: Table to its result; at least one.
        relations: Findings about the relations between the tables; they join the fidelity module.
        seed: The seed that the result names.
        seconds: Wall time of what was done over all tables.

    Returns:
        Findings of all tables with their table's name. Privacy, fairness and utility are the lowest score of a table that has one,
        fidelity is the mean weighted by compared columns.
    """
    first = next(iter(results.values()))
    findings: dict[Module, list[Finding]] = {
        module: [
            f.model_copy(update={"table": f.table or name}) for name, r in results.items() for f in r.findings(module)
        ]
        for module in MODULES
    }
    findings["fidelity"] += relations
    scores = ModuleScores(
        privacy=_lowest(results, "privacy"),
        fairness=_lowest(results, "fairness"),
        fidelity=_mean_fidelity(results),
        utility=_lowest(results, "utility"),
    )
    reasons = first.reasons if len(results) == 1 else _reasons(results, scores)
    told = {name: text for name, text in reasons.items() if name != "overall_score"}
    inputs = _inputs(results, seed)
    return conclude(
        findings,
        told,
        inputs=inputs,
        levels=first.levels,
        weights=first.weights,
        scores=scores,
        seconds=_seconds(results, seconds or {}),
    )


def _seconds(results: Mapping[str, AuditResult], shared: Mapping[str, float]) -> dict[str, float]:
    """Time per part, summed over the tables."""
    total: dict[str, float] = {}
    for seconds in (*(r.seconds for r in results.values()), shared):
        for part, value in seconds.items():
            total[part] = total.get(part, 0.0) + value
    return total


def _lowest(results: Mapping[str, AuditResult], module: Module) -> float | None:
    values = [getattr(r.module_scores, module) for r in results.values()]
    return min((v for v in values if v is not None), default=None)


def _mean_fidelity(results: Mapping[str, AuditResult]) -> float | None:
    scored = [
        (r.module_scores.fidelity, len(r.inputs.columns))
        for r in results.values()
        if r.module_scores.fidelity is not None
    ]
    columns = sum(count for _, count in scored)
    return sum(score * count for score, count in scored) / columns if columns else None


def _reasons(results: Mapping[str, AuditResult], scores: ModuleScores) -> dict[str, str]:
    """A module without any score gets one reason; else each table says what it could not measure in privacy and fidelity."""
    told: dict[str, str] = {}
    for module in MODULES:
        each = {name: r.reasons[module] for name, r in results.items() if module in r.reasons}
        if getattr(scores, module) is None:
            told[module] = _joined(each)
        elif module in ("privacy", "fidelity"):
            told |= {f"{module}.{name}": text for name, text in each.items()}
    for name, r in results.items():
        told |= {f"{key}.{name}": text for key, text in r.reasons.items() if "." in key}
    return told


def _joined(reasons: Mapping[str, str]) -> str:
    """Equal reasons once, with the tables they speak of."""
    tables: dict[str, list[str]] = {}
    for name, text in reasons.items():
        tables.setdefault(text, []).append(name)
    if len(tables) == 1:
        return next(iter(tables))
    named = {
        text: names
        for text, names in tables.items()
        if not text.startswith("No outcome column is named") and "No protected" not in text
    }
    return " ".join(f"{', '.join(names)}: {text}" for text, names in (named or tables).items()) or "Not measured."


def _inputs(results: Mapping[str, AuditResult], seed: int) -> AuditInputs:
    if len(results) == 1:
        return next(iter(results.values())).inputs.model_copy(update={"tables": tuple(results), "seed": seed})
    parts = {name: r.inputs for name, r in results.items()}
    train, holdout = ([getattr(p, side) for p in parts.values()] for side in ("train_rows", "holdout_rows"))
    targets = [f"{name}.{p.target}" for name, p in parts.items() if p.target]
    return AuditInputs(
        tables=tuple(parts),
        synthetic_rows=sum(p.synthetic_rows for p in parts.values()),
        train_rows=None if None in train else sum(train),
        holdout_rows=None if None in holdout else sum(holdout),
        columns=tuple(f"{name}.{c}" for name, p in parts.items() for c in p.columns),
        left_out={f"{name}.{c}": reason for name, p in parts.items() for c, reason in p.left_out.items()},
        samples={f"{name}.{key}": rows for name, p in parts.items() for key, rows in p.samples.items()},
        notes=tuple(f"{name}: {note}" for name, p in parts.items() for note in p.notes),
        target=targets[0] if targets else None,
        protected=tuple(f"{name}.{c}" for name, p in parts.items() for c in p.protected),
        seed=seed,
        versions=next(iter(parts.values())).versions,
    )
