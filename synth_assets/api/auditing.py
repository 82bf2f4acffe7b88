"""`audit`: any synthetic table, with or without the real ones."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from synth_assets.api.reading import Ingested, Progress, engine_of, ingested, silent, verdicts_of
from synth_assets.errors import InputError

if TYPE_CHECKING:
    from synth_assets.api.reading import Table
    from synth_assets.audit.records import AuditResult


def audit(
    synthetic: Table,
    real: Table | None = None,
    holdout: Table | None = None,
    *,
    protected: Sequence[str] = (),
    target: str | None = None,
    seed: int = 7,
    progress: Progress = silent,
) -> AuditResult:
    """Audit a synthetic table, with or without the real ones: fidelity, utility, privacy with a control group, fairness.

    Args:
        synthetic: The table to judge: file, https:// address or frame.
        real: What the synthesizer was trained on.
        holdout: Real rows that it never saw: the control group of every attack.
        protected: Columns whose groups are compared.
        target: Outcome column.
        seed: Seed of samples and models.
        progress: Called with the name of each step as it begins.

    Returns:
        The full result; it belongs in the restricted zone. `.public()` is the form to share.

    Raises:
        SourceError: a file is no table.
        InputError: a table has no such column, or the tables have none in common.
    """
    from synth_assets.audit.tables import audit_tables

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
