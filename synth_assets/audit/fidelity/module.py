"""The fidelity module of one table: which figures are measured on which tables, and why one could not be.

What does not belong here: the figures themselves (`fidelity`, `inconsistency`, `discriminator`, `validity`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from synth_assets.audit.clock import Clock
from synth_assets.audit.fidelity.discriminator import discriminator_finding
from synth_assets.audit.fidelity.inconsistency import inconsistency_findings
from synth_assets.audit.fidelity.measures import fidelity_findings
from synth_assets.audit.fidelity.sequences import sequence_findings
from synth_assets.audit.fidelity.validity import validity_findings
from synth_assets.audit.prepare import Prepared, Tables
from synth_assets.audit.records import Finding
from synth_assets.tables.schema import TableSchema

if TYPE_CHECKING:
    from synth_assets.audit.tables import Request


@dataclass
class FidelityResult:
    """Findings of the module, reasons for what could not run, and notes."""

    findings: list[Finding] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, findings: Sequence[Finding], notes: Sequence[str] = ()) -> None:
        """Take in what one part found."""
        self.findings += findings
        self.notes += notes


def table_fidelity(
    tables: Tables, schema: TableSchema, prepared: Prepared, request: Request, clock: Clock
) -> FidelityResult:
    """Everything that the given tables allow; without a real one the domain and declared rules remain.

    Args:
        tables: The tables.
        schema: Kinds and keys.
        prepared: The compared columns, none where nothing can be compared.
        request: What is to be judged, and how.
        clock: Takes the time of every part.

    Raises:
        InputError: a declared combination cannot be read.
    """
    result, levels, seed = FidelityResult(), request.levels, request.seed
    real = "train" in prepared.parts
    if prepared.columns and real:
        result.add(*fidelity_findings(prepared, levels, seed, clock))
        with clock.step("fidelity.discriminator"):
            finding, reason = discriminator_finding(prepared, levels, seed)
        result.add([finding] if finding else [])
        if reason:
            result.reasons["fidelity.discriminator"] = reason
    elif prepared.columns:
        result.reasons["fidelity"] = "No real table was given to compare with."
    if prepared.columns:
        with clock.step("fidelity.inconsistency"):
            result.add(*inconsistency_findings(prepared, request.impossible, request.contract, levels, seed))
    if prepared.columns and real and request.order is not None:
        with clock.step("fidelity.sequences"):
            found, reason = sequence_findings(tables, prepared, request.order, request.units, levels, seed)
        result.add(found)
        if reason:
            result.reasons["fidelity.sequences"] = reason
    with clock.step("fidelity.validity"):
        result.add(validity_findings(tables, schema, request.declared, request.identifiers, levels, request.units))
    return result
