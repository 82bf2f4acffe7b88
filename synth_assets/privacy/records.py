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


Event = Annotated[GaussianEvent | ExponentialEvent | ThresholdEvent, Field(discriminator="kind")]


class Spent(Record):
    """What a list of events costs together.

    Attributes:
        epsilon: The claim: the smallest of the valid bounds, at `delta`.
        delta: The delta at which epsilon holds; the deltas of thresholds are part of it.
        accountant: Name of the bound that gave `epsilon`: "pld" or "zcdp".
        epsilon_simple: The simple bound (zCDP with the conversion of Canonne, Kamath, Steinke 2020), never below `epsilon`.
        rho_zcdp: Sum of the zCDP costs.
        delta_thresholds: Part of `delta` that thresholds used.
    """

    epsilon: float = Field(ge=0)
    delta: float = Field(gt=0, lt=1)
    accountant: Literal["pld", "zcdp", "none"]
    epsilon_simple: float = Field(ge=0)
    rho_zcdp: float = Field(ge=0)
    delta_thresholds: float = Field(default=0.0, ge=0)


class CrossCheck(Record):
    """What the second accountant says about a claim that it accepted.

    Attributes:
        accountant: Name of the second accountant.
        epsilon_upper: Its simple upper bound, never below the claim.
        epsilon_lower: What the Gaussian noise alone costs by the closed curve, never above the claim.
        epsilon_claimed: The claim.
        delta: Of all three.
    """

    accountant: str
    epsilon_upper: float = Field(ge=0)
    epsilon_lower: float = Field(ge=0)
    epsilon_claimed: float = Field(ge=0)
    delta: float = Field(gt=0, lt=1)
