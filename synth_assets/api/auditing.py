"""`audit`: any synthetic table, with or without the real ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from synth_assets.api.reading import Ingested, Progress, engine_of, ingested, settings_of, silent, verdicts_of
from synth_assets.config.audited import AuditedTable, AuditPlan, plan_of
from synth_assets.config.dataset import DatasetConfig, SynthesizerConfig
from synth_assets.config.gates import AuditFile
from synth_assets.config.load import load_dataset
from synth_assets.config.plain import shadow_fault
from synth_assets.config.thresholds import AuditConfig
from synth_assets.errors import InputError
from synth_assets.storage.hashing import hash_file, hash_parts
from synth_assets.tables.schema import TableSchema

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.api.reading import Table
    from synth_assets.audit.privacy.shadows import ShadowModels
    from synth_assets.audit.records import AuditResult

SHADOW_MODELS = 4
READ_AS_TEXT = frozenset({"category", "text", "id"})


def audit(
    synthetic: Table,
    real: Table | None = None,
    holdout: Table | None = None,
    *,
    dataset: DatasetConfig | AuditPlan | Path | str | None = None,
    table: str | None = None,
    declared: AuditedTable | None = None,
    protected: Sequence[str] | None = None,
    target: str | None = None,
    settings: AuditConfig | None = None,
    shadow: Callable[[pd.DataFrame, int], pd.DataFrame] | SynthesizerConfig | None = None,
    shadow_models: int | None = None,
    seed: int = 7,
    home: Path | None = None,
    progress: Progress = silent,
) -> AuditResult:
    """Audit a synthetic table, with or without the real ones: fidelity, utility, privacy with a control group, fairness.

    A part that needs a table that is not given has no score, and the result says why. Real rows are never split here to make a control
    group: the synthesizer saw all of them.

    Args:
        synthetic: The table to judge: file, frame, or https://, s3://, gs:// or abfss:// address.
        real: What the synthesizer was trained on.
        holdout: Real rows that it never saw: the control group of every attack, and the test rows of utility.
        dataset: A dataset, its YAML, or what was read from it: keys, unit of privacy, kinds, domain, rules, contract, sequence,
            outcome, protected columns, cut-offs, weights and limits are taken from it. What is given besides wins.
        table: Which table of the dataset this is; needed where it has several.
        declared: What is known about the table, where there is no YAML.
        protected: Columns whose groups are compared.
        target: Outcome column.
        settings: Cut-offs, weights and sample sizes; those of the dataset, or the defaults, when None.
        shadow: Trains the synthesizer under attack on given real rows, with a seed, and returns synthetic rows: an attacker who can do
            so learns from models of his own. It gets held-out rows only, never those of `real`. It is slow, so off when None. Or one of
            our synthesizers that is not private. A function of yours that trains under differential privacy spends what it declares
            on the people of the held-out rows.
        shadow_models: How many such models are trained: what the dataset says, else 4, when None.
        seed: Seed of samples and models.
        home: Home folder that counts how many public forms were made against a hold-out; they are not counted when None.
        progress: Called with the name of each step as it begins.

    Returns:
        The full result; it belongs in the restricted zone. `.public()` is the form to share.

    Raises:
        SourceError: a file is no table, or its address is refused, expired or private.
        ConfigError: the dataset's YAML has a mistake.
        ServiceUnavailableError: the database of the home does not answer.
        InputError: a table has no such column, the tables have none in common, the dataset has no such table, or held-out rows come
            without the real ones.
    """
    if holdout is not None and real is None:
        raise InputError(
            "held-out rows are the control group of the real rows, and those are not given.",
            key="holdout",
            remedy="Give the rows that the synthesizer was trained on as the real table.",
        )
    plan = _plan(dataset, table)
    asked = AuditPlan(
        judge=plan.judge if settings is None else AuditFile(**dict(settings)),
        table=declared or plan.table,
        target=target or plan.target,
        protected=tuple(dict.fromkeys(plan.protected if protected is None else protected)),
    )
    number = shadow_models if shadow_models is not None else plan.judge.shadow_models or SHADOW_MODELS
    run = _Run(asked, _shadows(shadow, number), seed, home, strict=declared is not None)
    return _audited(synthetic, real, holdout, run, progress)


@dataclass(frozen=True)
class _Run:
    """How one audit is made; `strict` refuses a declared column that no table has."""

    plan: AuditPlan
    shadows: Callable[[TableSchema], ShadowModels] | None
    seed: int
    home: Path | None
    strict: bool


def _shadows(
    shadow: Callable[[pd.DataFrame, int], pd.DataFrame] | SynthesizerConfig | None, number: int
) -> Callable[[TableSchema], ShadowModels] | None:
    """What makes the shadow models of a table, refused before anything is read.

    Raises:
        InputError: fewer than one, or a synthesizer that cannot be trained for an attack.
    """
    from synth_assets.audit.privacy.shadows import ShadowModels

    if shadow is None:
        return None
    if not isinstance(shadow, SynthesizerConfig):
        given = ShadowModels(shadow, number)
        return lambda _: given
    fault = shadow_fault(shadow.name)
    if fault is not None:
        raise InputError(fault, key="shadow", remedy="Leave shadow models out for it.")
    from synth_assets.synthesis.shadowing import resynthesizer

    return lambda schema: ShadowModels(resynthesizer(shadow, schema), number)


def _plan(dataset: DatasetConfig | AuditPlan | Path | str | None, table: str | None) -> AuditPlan:
    """What the dataset says; nothing where there is none.

    Raises:
        ConfigError: its YAML has a mistake.
        InputError: it has no such table, several and none is named, or a table is named without a dataset.
    """
    if dataset is None:
        if table is not None:
            raise InputError("a table is named, and no dataset.", key="table", remedy="Give the dataset that has it.")
        return AuditPlan()
    if isinstance(dataset, AuditPlan):
        return dataset
    return plan_of(dataset if isinstance(dataset, DatasetConfig) else load_dataset(Path(dataset)), table)


def _audited(synthetic: Table, real: Table | None, holdout: Table | None, run: _Run, progress: Progress) -> AuditResult:
    """Read the tables and audit them."""
    from synth_assets.audit.tables import Request, audit_tables

    plan, known, judge = run.plan, run.plan.table, run.plan.judge
    with ExitStack() as stack:
        progress("reading")
        texts = {
            n: c for n, c in known.columns.items() if c.kind in READ_AS_TEXT
        }  # any cell is one: nothing is refused
        made = stack.enter_context(ingested(synthetic, columns=texts, declared=known, lenient=True))
        train, control = (
            None if t is None else stack.enter_context(ingested(t, columns=known.columns, declared=known, lenient=True))
            for t in (real, holdout)
        )
        _check_columns(made, {"real": train, "held-out": control}, plan, strict=run.strict)
        reference = train or control or made
        progress("classifying columns")
        verdicts = verdicts_of(reference, known.columns)
        progress("auditing")
        request = Request(
            target=plan.target,
            protected=plan.protected,
            identifiers=frozenset(v.column for v in verdicts if v.identifier_class == "direct"),
            declared=known.columns,
            levels=judge.levels,
            weights=judge.weights,
            limits=judge.limits,
            seed=run.seed,
            shadows=None if run.shadows is None else run.shadows(reference.schema),
            impossible=known.impossible,
            contract=known.contract,
            order=known.sequence_order,
            units=known.whose if known.sequence_order else (),
            unit=known.unit,
        )
        result = audit_tables(
            made.folder,
            None if train is None else train.folder,
            None if control is None else control.folder,
            schema=reference.schema,
            engine=engine_of(),
            request=request,
        )
        return result if control is None else _counted(result, control.folder, run.home)


def _counted(result: AuditResult, holdout: Path, home: Path | None) -> AuditResult:
    """The result with the number of its public form, where a home counts them; held-out rows are known by their content."""
    from synth_assets.audit.holdout_forms import form_of, numbered

    if home is None:
        return numbered(result, None)
    from synth_assets.privacy.public_forms import PublicForm, open_public_forms

    content = hash_parts("rows", *(hash_file(part) for part in sorted(holdout.glob("part-*.parquet"))))[:32]
    form = PublicForm(content, form_of(result), f"holdout/{content}")
    return numbered(result, open_public_forms(settings_of(home)).issue(form))


def _check_columns(made: Ingested, others: dict[str, Ingested | None], plan: AuditPlan, *, strict: bool) -> None:
    """Outcome and protected columns must be in every table; unit and order, and what a caller declares, in the real ones.

    A dataset's YAML may speak of columns that these tables are without, such as names that were taken out.
    """
    real = {side: table for side, table in others.items() if table is not None}
    everywhere, known = {"synthetic": made, **real}, plan.table
    named = [known.unit, known.sequence_order, *known.whose]
    named += [*known.primary_key, *known.foreign_keys, *known.columns] if strict else []
    for names, tables in (([*plan.protected, plan.target], everywhere), (named, real or everywhere)):
        for name in names:
            for side, table in tables.items():
                if name is not None and name not in table.schema.names:
                    columns = ", ".join(table.schema.names)
                    raise InputError(
                        f"the {side} table has no such column.", column=name, remedy=f"Its columns: {columns}."
                    )
