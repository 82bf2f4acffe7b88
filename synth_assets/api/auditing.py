"""`audit`: any synthetic table, with or without the real ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from synth_assets.api.reading import Ingested, Progress, engine_of, ingested, silent, verdicts_of
from synth_assets.config.thresholds import AuditConfig
from synth_assets.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.api.reading import Table
    from synth_assets.audit.records import AuditResult


def audit(
    synthetic: Table,
    real: Table | None = None,
    holdout: Table | None = None,
    *,
    protected: Sequence[str] = (),
    target: str | None = None,
    settings: AuditConfig | None = None,
    shadow: Callable[[pd.DataFrame, int], pd.DataFrame] | None = None,
    shadow_models: int = 4,
    seed: int = 7,
    progress: Progress = silent,
) -> AuditResult:
    """Audit a synthetic table, with or without the real ones: fidelity, utility, privacy with a control group, fairness.

    A part that needs a table that is not given has no score, and the result says why. Real rows are never split here to make a control
    group: the synthesizer saw all of them.

    Args:
        synthetic: The table to judge: file, frame, or https://, s3://, gs:// or abfss:// address.
        real: What the synthesizer was trained on.
        holdout: Real rows that it never saw: the control group of every attack, and the test rows of utility.
        protected: Columns whose groups are compared.
        target: Outcome column.
        settings: Cut-offs, weights and sample sizes; the defaults when None.
        shadow: Trains the synthesizer under attack on given real rows, with a seed, and returns synthetic rows: an attacker who can do
            so learns from models of his own. It gets held-out rows only, never those of `real`. It is slow, so off when None. Where
            it trains under differential privacy, it spends what it declares on the people of the held-out rows.
        shadow_models: How many such models are trained.
        seed: Seed of samples and models.
        progress: Called with the name of each step as it begins.

    Returns:
        The full result; it belongs in the restricted zone. `.public()` is the form to share.

    Raises:
        SourceError: a file is no table, or its address is refused, expired or private.
        InputError: a table has no such column, the tables have none in common, or held-out rows come without the real ones.
    """
    from synth_assets.audit.privacy.shadows import ShadowModels
    from synth_assets.audit.tables import audit_tables

    if holdout is not None and real is None:
        raise InputError(
            "held-out rows are the control group of the real rows, and those are not given.",
            key="holdout",
            remedy="Give the rows that the synthesizer was trained on as the real table.",
        )
    judge = settings or AuditConfig()
    with ExitStack() as stack:
        progress("reading")
        made = stack.enter_context(ingested(synthetic))
        train, control = (None if t is None else stack.enter_context(ingested(t)) for t in (real, holdout))
        _check_columns(made, {"real": train, "held-out": control}, [*protected, *([target] if target else [])])
        reference = train or control or made
        progress("classifying columns")
        identifiers = [v.column for v in verdicts_of(reference) if v.identifier_class == "direct"]
        progress("auditing")
        return audit_tables(
            made.folder,
            None if train is None else train.folder,
            None if control is None else control.folder,
            schema=reference.schema,
            engine=engine_of(),
            target=target,
            protected=tuple(dict.fromkeys(protected)),
            identifiers=identifiers,
            levels=judge.levels,
            weights=judge.weights,
            limits=judge.limits,
            shadows=None if shadow is None else ShadowModels(shadow, shadow_models),
            seed=seed,
        )


def _check_columns(made: Ingested, others: dict[str, Ingested | None], names: Sequence[str]) -> None:
    """Target and protected columns must be in every table."""
    present = {"synthetic": made, **{side: table for side, table in others.items() if table is not None}}
    for name in names:
        for side, table in present.items():
            if name not in table.schema.names:
                known = ", ".join(table.schema.names)
                raise InputError(f"the {side} table has no such column.", column=name, remedy=f"Its columns: {known}.")
