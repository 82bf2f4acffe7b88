"""Records of the empirical check. Numbers and names of mechanisms only; never a data value. Light: asset code imports them at load."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from synth_assets.privacy.records import Record

NeighbourKind = Literal["extreme", "missing"]


class StepAttack(Record):
    """The attack on all draws of one mechanism with one scale.

    Attributes:
        kind: Which mechanism.
        scale: Sigma in rows, or the epsilon of one choice.
        calls: How many tables or choices.
        mu_claimed: What they cost together, as a Gaussian shift.
        mu_lower: Lower bound that was measured.
        passed: The lower bound is not above the claim.
    """

    kind: Literal["gaussian", "exponential"]
    scale: float = Field(gt=0)
    calls: int = Field(ge=1)
    mu_claimed: float = Field(ge=0)
    mu_lower: float = Field(ge=0)
    passed: bool


class NoiseAttack(Record):
    """The white-box attack on choosing and measuring, without data and without a model.

    Attributes:
        repetitions: Releases that were attacked; one of two neighbours each, by a fair coin.
        correct: How many neighbours were told right.
        confidence: Of `mu_lower`.
        mu_claimed: The release is claimed to be mu-GDP for this mu.
        mu_lower: It is not for any smaller one, at this confidence.
        mu_ceiling: The largest lower bound that so many repetitions could have given.
        least_fault: Noise that is smaller by this factor is caught in 95 of 100 attacks; None where none of up to 100 would be.
        steps: The same attack on each mechanism alone.
        passed: No lower bound is above its claim.
    """

    repetitions: int = Field(ge=1)
    correct: int = Field(ge=0)
    confidence: float = Field(gt=0, lt=1)
    mu_claimed: float = Field(ge=0)
    mu_lower: float = Field(ge=0)
    mu_ceiling: float = Field(ge=0)
    least_fault: float | None
    steps: tuple[StepAttack, ...]
    passed: bool


class DomainAttack(Record):
    """The attack on the public domain: does a new category, a new extreme or a missing value of one unit change the cells?

    Attributes:
        neighbour: What sets the unit apart that one of the neighbours has more.
        repetitions: Domains that were made of one of two neighbours, by a fair coin.
        correct: How many neighbours were told right.
        confidence: Of `mu_lower`.
        mu_claimed: As in `NoiseAttack`.
        mu_lower: Likewise.
        passed: The lower bound is not above the claim.
    """

    neighbour: NeighbourKind
    repetitions: int = Field(ge=1)
    correct: int = Field(ge=0)
    confidence: float = Field(gt=0, lt=1)
    mu_claimed: float = Field(ge=0)
    mu_lower: float = Field(ge=0)
    passed: bool


class CanaryAttack(Record):
    """One training run with many canaries, each in or out by a fair coin (Steinke, Nasr, Jagielski 2023).

    Attributes:
        scored_on: "noisy tables", "noisy gradients" or "sample".
        canaries: How many.
        guesses: How many the attack guessed; it abstains on the others.
        correct: How many guesses were right.
        confidence: Of `epsilon_lower`.
        epsilon_claimed: The claim.
        delta: Of both.
        epsilon_lower: The run is not (epsilon, delta)-DP for any smaller epsilon, at this confidence.
        epsilon_ceiling: What that bound would have been had all guesses been right.
        gates: A white-box attack gates; an attack on the sample alone never does.
        mu_claimed: The claim for one canary as a Gaussian shift; only where canaries are independent in an honest run.
        mu_lower: Lower bound of it from guesses on all canaries, likewise.
        least_fault: Noise that is smaller by this factor is caught in 95 of 100 runs; None where none of up to 100 would be, and where
            there is no bound of mu.
        passed: No lower bound is above its claim.
    """

    scored_on: Literal["noisy tables", "noisy gradients", "sample"]
    canaries: int = Field(ge=1)
    guesses: int = Field(ge=0)
    correct: int = Field(ge=0)
    confidence: float = Field(gt=0, lt=1)
    epsilon_claimed: float = Field(ge=0)
    delta: float = Field(ge=0, lt=1)
    epsilon_lower: float = Field(ge=0)
    epsilon_ceiling: float = Field(ge=0)
    gates: bool
    mu_claimed: float | None = None
    mu_lower: float | None = None
    least_fault: float | None = None
    passed: bool


class EmpiricalCheck(Record):
    """The verdict that stands in the privacy report, beside the claim.

    Attributes:
        epsilon_claimed: The claim, at `delta`.
        epsilon_lower: Epsilon at `delta` of the Gaussian shift `mu_lower`.
        delta: Of both.
        mu_claimed: The claim as a Gaussian shift, of the group of tables with the largest lower bound.
        mu_lower: Its lower bound.
        false_alarm: The chance, at most, that an honest release fails any part of this check.
        repetitions: Of the attack on the noise.
        noise: One attack per group of tables; no unit of privacy is in two groups.
        domain: Likewise, on the public cells, one per group and kind of neighbour.
        seconds: CPU time of all attacks.
        passed: No attack gave a lower bound above its claim.
    """

    epsilon_claimed: float = Field(ge=0)
    epsilon_lower: float = Field(ge=0)
    delta: float = Field(gt=0, lt=1)
    mu_claimed: float = Field(ge=0)
    mu_lower: float = Field(ge=0)
    false_alarm: float = Field(gt=0, lt=1)
    repetitions: int = Field(ge=1)
    noise: tuple[NoiseAttack, ...]
    domain: tuple[DomainAttack, ...]
    seconds: float = Field(ge=0)
    passed: bool
