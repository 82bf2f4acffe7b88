"""The privacy report of one DP release, as a record: what was claimed, what ran, what a second accountant says, what is left.

Light: asset code and reports import it. The counting is in `accounting`, `crosscheck` and `budget`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from synth_assets.privacy.empirical.records import CanaryAttack, EmpiricalCheck
from synth_assets.privacy.records import CrossCheck, Event, Record, Spent


class PrivacyReport(Record):
    """One release under differential privacy.

    Attributes:
        mechanism: Name of the method.
        population: Whose budget was charged.
        unit: Unit of privacy; neighbours differ by all rows of one unit, added or removed.
        unit_is_declared: False where nobody declared a unit, so that one row is protected and not one person.
        contribution_bounds: Rows of one unit that are read, per table.
        target_epsilon: What the configuration asked for.
        target_delta: Likewise.
        spent: What ran, by the primary accountant.
        crosscheck: What the second accountant says.
        events: The mechanisms that ran, with their noise.
        level: Privacy level in words.
        use_case: What releases at this level are commonly used for.
        budget_epsilon: Budget of the population.
        budget_left: What remains of it after this release.
        reservation_id: Of the budget ledger: which release paid; None in reports of older versions.
        ledger_head: Hash of the budget ledger's last row after this release; `synth-assets budget --verify` looks for it.
        neighbours: What two neighbouring datasets differ by.
        clipping: Largest L2 norm of one unit's gradient; None where nothing is trained on gradients.
        sampling_rate: Share of units per step; None where every row is counted.
        steps: Calls of noisy mechanisms.
        epsilon_lower_bound: Empirical lower bound; None where it was not measured.
        lower_bound_reason: Why it is None.
        empirical: The attacks that gave it.
        canaries: Attacks on a twin of the model; empty where the model was not trained in the same step.
        non_dp_inputs: What was taken from the data without noise and not confirmed by a person.
        notes: Choices of the method in words.
        seconds: Wall time of planning and measuring.
    """

    mechanism: str
    population: str
    unit: str
    unit_is_declared: bool
    contribution_bounds: dict[str, int] = Field(default_factory=dict)
    target_epsilon: float
    target_delta: float
    spent: Spent
    crosscheck: CrossCheck
    events: tuple[Event, ...]
    level: str
    use_case: str
    budget_epsilon: float
    budget_left: float
    reservation_id: str | None = None
    ledger_head: str | None = None
    neighbours: Literal["all rows of one unit, added or removed"] = "all rows of one unit, added or removed"
    clipping: float | None = None
    sampling_rate: float | None = None
    steps: int
    epsilon_lower_bound: float | None = None
    lower_bound_reason: str | None = None
    empirical: EmpiricalCheck | None = None
    canaries: tuple[CanaryAttack, ...] = ()
    non_dp_inputs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float
