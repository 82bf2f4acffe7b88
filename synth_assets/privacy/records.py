"""Records of the privacy package: mechanism events and what they cost. Numbers and names only, never a data value.

What belongs here: frozen pydantic models that asset code may import at load. What does not: any computation (accounting.py, budget.py).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Record(BaseModel):
    """Base: immutable, unknown fields are errors, no infinite or undefined number, no input value in an error text."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)


class GaussianEvent(Record):
    """`count` releases of integer vectors with discrete Gaussian noise.

    Attributes:
        sigma: Scale of the noise, in rows; as drawn (`mechanisms.effective_sigma`), not as asked.
        l2_sensitivity: Largest L2 norm of the change of one released vector between neighbours (1: one row moves one cell by 1).
        count: How many vectors were released with these two numbers.
    """

    kind: Literal["gaussian"] = "gaussian"
    sigma: float = Field(gt=0)
    l2_sensitivity: float = Field(default=1.0, gt=0)
    count: int = Field(default=1, ge=1)


class ExponentialEvent(Record):
    """`count` calls of the exponential mechanism, each with probability proportional to exp(epsilon * score / (2 * sensitivity)).

    Attributes:
        epsilon: Bounded range of one call: its privacy loss lies in an interval of this width.
        count: How many calls.
    """

    kind: Literal["exponential"] = "exponential"
    epsilon: float = Field(gt=0)
    count: int = Field(default=1, ge=1)


class ThresholdEvent(Record):
    """The extra delta of `count` stability-based selections (a category is shown only when its noisy count passes a threshold).

    The noisy counts themselves are a `GaussianEvent`; this event holds only the probability that a category which a single unit of
    privacy brought in passes (docs/mechanisms/threshold_selection.md).
    """

    kind: Literal["threshold"] = "threshold"
    delta: float = Field(gt=0, lt=1)
    count: int = Field(default=1, ge=1)


class SampledGaussianEvent(Record):
    """`count` steps of DP-SGD: each sums bounded vectors over a fresh Poisson sample of the units and adds Gaussian noise.

    Every unit enters a step with probability `sampling_rate`, independently of all others and of earlier steps, and moves the sum by
    at most the clipping bound in L2 norm. All rows of one unit enter together and share that bound. Whatever divides the sum afterwards
    must be public (the expected size of the sample, never the drawn one).

    Attributes:
        noise_multiplier: Standard deviation of the noise in each coordinate of the sum, divided by the clipping bound; as drawn.
        sampling_rate: Probability that a unit enters a step; 1 where every unit enters.
        count: Steps with these two numbers.
    """

    kind: Literal["sampled_gaussian"] = "sampled_gaussian"
    noise_multiplier: float = Field(ge=0.1, le=1e6)
    sampling_rate: float = Field(gt=0, le=1)
    count: int = Field(default=1, ge=1)


Event = Annotated[GaussianEvent | ExponentialEvent | ThresholdEvent | SampledGaussianEvent, Field(discriminator="kind")]


class Spent(Record):
    """What a list of events costs together.

    Attributes:
        epsilon: The claim: the smallest of the valid bounds, at `delta`.
        delta: The delta at which epsilon holds; the deltas of thresholds are part of it.
        accountant: Name of the bound that gave `epsilon`: "pld", or the simple one's, "zcdp" or "rdp".
        epsilon_simple: The simple bound, never below `epsilon`: zCDP, or Rényi DP where steps of DP-SGD are among the events, with the
            conversion of Canonne, Kamath, Steinke 2020.
        rho_zcdp: Sum of the zCDP costs, without steps of DP-SGD.
        delta_thresholds: Part of `delta` that thresholds used.
    """

    epsilon: float = Field(ge=0)
    delta: float = Field(gt=0, lt=1)
    accountant: Literal["pld", "zcdp", "rdp", "none"]
    epsilon_simple: float = Field(ge=0)
    rho_zcdp: float = Field(ge=0)
    delta_thresholds: float = Field(default=0.0, ge=0)


class CrossCheck(Record):
    """What the second accountant says about a claim that it accepted.

    Attributes:
        accountant: Name of the second accountant.
        epsilon_upper: Its upper bound, never below the claim; with steps of DP-SGD 1 % above what it computes.
        epsilon_lower: What the Gaussian noise alone costs, never above the claim.
        epsilon_claimed: The claim.
        delta: Of all three.
    """

    accountant: str
    epsilon_upper: float = Field(ge=0)
    epsilon_lower: float = Field(ge=0)
    epsilon_claimed: float = Field(ge=0)
    delta: float = Field(gt=0, lt=1)


class Reservation(Record):
    """Budget that is set aside for one run, before it reads anything.

    Attributes:
        reservation_id: Of the ledger.
        population: Whose budget.
        unit: Unit of privacy of the population.
        label: Dataset and asset that asked.
        measurement_key: Hash of what is measured, on what, and how.
        run_id: Run that holds the reservation.
        attempt: Attempt of that run.
        fence: Grows with every take-over; a holder with an older number is refused.
        state: "reserved" before the first read, "reading" after it, then "settled" or "released".
        events: What was planned.
        delta: Of the population's budget.
        epsilon: What the plan costs alone at that delta.
    """

    reservation_id: str
    population: str
    unit: str
    label: str
    measurement_key: str
    run_id: str
    attempt: int = Field(ge=0)
    fence: int = Field(ge=0)
    state: Literal["reserved", "reading", "settled", "released"]
    events: tuple[Event, ...]
    delta: float = Field(gt=0, lt=1)
    epsilon: float = Field(ge=0)


class Settlement(Record):
    """A finished measurement, found again by its key.

    Attributes:
        reservation_id: Of the ledger.
        population: Whose budget.
        label: Dataset and asset that asked.
        measurement_key: Hash of what was measured, on what, and how.
        run_id: Run that measured.
        events: What really ran.
        outcome: "done"; "failed" and "overspent" are never found.
        reference: Content hash of the stored measurement, as the holder gave it.
        settled_at: UTC, ISO 8601.
    """

    reservation_id: str
    population: str
    label: str
    measurement_key: str
    run_id: str
    events: tuple[Event, ...]
    outcome: Literal["done", "failed", "overspent"]
    reference: str | None
    settled_at: str


class ReleaseRecord(Record):
    """One line of a population's budget.

    Attributes:
        reservation_id: Of the ledger.
        label: Dataset and asset.
        run_id: Run that holds it.
        attempt: Attempt of that run.
        state: Of the reservation.
        outcome: Of the settlement; None while it is open.
        epsilon: What it costs alone at the budget's delta; 0 where it was released unread.
        events: What is counted: the real events where the run finished, the planned ones otherwise.
        reserved_at: UTC, ISO 8601.
    """

    reservation_id: str
    label: str
    run_id: str
    attempt: int
    state: Literal["reserved", "reading", "settled", "released"]
    outcome: Literal["done", "failed", "overspent"] | None
    epsilon: float = Field(ge=0)
    events: tuple[Event, ...]
    reserved_at: str


class BudgetStatus(Record):
    """Where a population stands.

    Attributes:
        population: Name in the contract.
        unit: Unit of privacy.
        epsilon: Budget.
        delta: Delta of the budget; everything below is composed at it.
        per_release: Largest epsilon of one release; None for no limit of its own.
        per_dataset: Largest epsilon of all releases of one dataset; None for no limit of its own.
        spent: Epsilon of all settled releases together.
        reserved: What open reservations add to it; they count in full until they are settled.
        left: What is not spent and not reserved, never negative.
        overspent: True where a later, lower declaration lies below what is already counted.
        level: Privacy level of what is counted.
        events: Noisy steps that are counted.
        ledger_rows: Rows of the whole ledger, all populations together.
        ledger_head: Hash of its last row; kept elsewhere, it shows later that no row before it was changed or lost.
        releases: Every reservation, in order of time.
    """

    population: str
    unit: str
    epsilon: float = Field(gt=0)
    delta: float = Field(gt=0, lt=1)
    per_release: float | None = None
    per_dataset: float | None = None
    spent: float = Field(ge=0)
    reserved: float = Field(ge=0)
    left: float = Field(ge=0)
    overspent: bool
    level: str
    events: int = Field(ge=0)
    ledger_rows: int = Field(ge=0)
    ledger_head: str
    releases: tuple[ReleaseRecord, ...]


class BudgetPoint(Record):
    """One step of a population's history.

    Attributes:
        at: When it was reserved, UTC, ISO 8601.
        label: Dataset and asset.
        state: Of the reservation now.
        counted: Epsilon of this and everything before it together.
    """

    at: str
    label: str
    state: str
    counted: float = Field(ge=0)


class BudgetPreview(Record):
    """What releases would do to a budget if all of them were made now.

    Attributes:
        population: Whose budget.
        unit: Unit of privacy.
        epsilon: Budget.
        delta: Delta of the budget; everything below is composed at it.
        counted: Epsilon of what is spent and reserved so far.
        chain: Epsilon of the new releases together; None where what costs delta alone does not fit.
        after: Epsilon of everything together; None likewise.
        left: What is left now.
        left_after: What would be left; None where it cannot be said.
        fits: Whether every release would be granted.
        refusal: Why the first one that would not be granted is refused.
    """

    population: str
    unit: str
    epsilon: float = Field(gt=0)
    delta: float = Field(gt=0, lt=1)
    counted: float = Field(ge=0)
    chain: float | None
    after: float | None
    left: float = Field(ge=0)
    left_after: float | None
    fits: bool
    refusal: str | None


class BrokenRow(Record):
    """The first row of the ledger that is not what was written.

    Attributes:
        position: Number of the row, from 1.
        at: When it says it was written; empty where that cannot be shown.
        step: What it says it is; empty likewise.
        reason: What is wrong with it.
    """

    position: int = Field(ge=1)
    at: str = ""
    step: str = ""
    reason: str


class LedgerVerdict(Record):
    """Whether the ledger is what was written.

    Attributes:
        ledger: Where it is, without a password.
        whole: No row is broken, and every given head is known.
        rows: How many rows it has.
        head: Hash of the last one.
        broken: The first broken row.
        heads_found: Given heads that are hashes of rows.
        heads_missing: Given heads that are not: rows were lost, or written anew.
    """

    ledger: str
    whole: bool
    rows: int = Field(ge=0)
    head: str
    broken: BrokenRow | None
    heads_found: int = Field(ge=0)
    heads_missing: tuple[str, ...]


class ReleaseVerdict(Record):
    """What both accountants say today of one release, from its recorded events.

    Attributes:
        release: Its report's place, or the label in the ledger.
        population: Whose budget.
        reservation_id: Of the ledger; None where the ledger does not know the release.
        state: Of the reservation, or its outcome.
        at: When it last changed, UTC.
        delta: Of all numbers: the report's, else the budget's; None where the report cannot be read.
        epsilon: What its events cost by the primary accountant; None where that cannot be said.
        second_lower: Lower bound of the second accountant.
        second_upper: Its upper bound.
        accountant: Name of the second accountant.
        claimed: What its privacy report claims; None where no report was found.
        agrees: Whether all of it agrees.
        reason: What does not.
    """

    release: str
    population: str
    reservation_id: str | None = None
    state: str
    at: str = ""
    delta: float | None = Field(default=None, gt=0, lt=1)
    epsilon: float | None = None
    second_lower: float | None = None
    second_upper: float | None = None
    accountant: str | None = None
    claimed: float | None = None
    agrees: bool
    reason: str | None = None


class Finding(Record):
    """One judgement of a configuration: which key, how bad, and why."""

    severity: Literal["error", "warning"]
    key: str
    message: str


class Validation(Record):
    """The verdict on a configuration.

    Attributes:
        valid: No error.
        errors: What makes it unusable.
        warnings: What a person should know.
        recommended: Values by key.
        predicted_epsilon: What the plan costs; None without a plan.
        level: Privacy level of the target; None where the target is no epsilon.
    """

    valid: bool
    errors: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    recommended: dict[str, float]
    predicted_epsilon: float | None
    level: str | None
