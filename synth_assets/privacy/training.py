"""Plans of DP-SGD from numbers that are public, and judgements of them: batch, epochs, sampling rate, steps, clipping, noise.

What belongs here: arithmetic before a training. What does not: the training, data (the number of units is declared or measured under
DP, never counted here), and judgements of epsilon and delta (validate.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from synth_assets.errors import InputError
from synth_assets.privacy.accounting import epsilon_spent
from synth_assets.privacy.calibration import calibrate_noise
from synth_assets.privacy.records import BudgetStatus, Event, Finding, Record, SampledGaussianEvent, Validation
from synth_assets.privacy.validate import validate

CLIPPING = (0.01, 10.0)
EPOCHS = (1, 300)
RATES = (0.001, 0.25)
RECOMMENDED_RATE = 0.02
RECOMMENDED_EPOCHS = 30
SMALL_BATCH = 64
MANY_STEPS = 100_000
NOISE = (0.5, 10.0)


class TrainingPlan(Record):
    """What a training with DP-SGD will do; all of it is public.

    Attributes:
        units: Units of privacy, as declared or as measured under DP.
        batch: Expected units per step; what a step's sum is divided by.
        epochs: Expected passes over the units.
        clipping: Largest L2 norm of one unit's gradient.
        sampling_rate: Probability that a unit enters a step.
        steps: Number of steps.
        noise_multiplier: Standard deviation of the noise, divided by `clipping`.
        epsilon: Of the training and what runs beside it, at `delta`.
        delta: Of the whole.
    """

    units: int
    batch: int
    epochs: float
    clipping: float
    sampling_rate: float
    steps: int
    noise_multiplier: float
    epsilon: float
    delta: float

    @property
    def event(self) -> SampledGaussianEvent:
        """What the training is to the accountant."""
        return SampledGaussianEvent(
            noise_multiplier=self.noise_multiplier, sampling_rate=self.sampling_rate, count=self.steps
        )


def plan_training(
    *,
    units: int,
    batch: int,
    epochs: float,
    epsilon: float,
    delta: float,
    clipping: float = 1.0,
    beside: Iterable[Event] = (),
) -> TrainingPlan:
    """Steps, sampling rate and the least noise that a target allows.

    Args:
        units: Units of privacy, as declared or as measured under DP.
        batch: Expected units per step.
        epochs: Expected passes over the units.
        epsilon: Target of the whole.
        delta: Likewise.
        clipping: Largest L2 norm of one unit's gradient; the noise grows with it, the cost does not depend on it.
        beside: What else the same run does, such as a warm start's measurements; its noise is fixed before the run, too.

    Raises:
        InputError: a number is out of range, or no noise meets the target.
    """
    if units < 1 or not 1 <= batch <= units or not epochs > 0 or not clipping > 0:
        raise InputError("a training needs 1 <= batch <= units, and epochs and clipping above 0.", key="batch")
    rate = batch / units
    steps = max(1, math.ceil(epochs / rate))
    others = tuple(beside)

    def events(noise: float) -> tuple[Event, ...]:
        return (*others, SampledGaussianEvent(noise_multiplier=noise, sampling_rate=rate, count=steps))

    noise = calibrate_noise(events, epsilon=epsilon, delta=delta)
    return TrainingPlan(
        units=units,
        batch=batch,
        epochs=epochs,
        clipping=clipping,
        sampling_rate=rate,
        steps=steps,
        noise_multiplier=noise,
        epsilon=epsilon_spent(events(noise), delta),
        delta=delta,
    )


def validate_training(
    *,
    units: int,
    batch: int,
    epochs: float,
    epsilon: float,
    delta: float,
    clipping: float = 1.0,
    beside: Iterable[Event] = (),
    budget: BudgetStatus | None = None,
) -> Validation:
    """Judge a training with DP-SGD. Nothing is read, trained or spent.

    Args:
        units: As for `plan_training`, like all that follow.
        batch: Expected units per step.
        epochs: Expected passes.
        epsilon: Target.
        delta: Target.
        clipping: Largest norm of one unit's gradient.
        beside: What else the same run does.
        budget: Where the population stands.

    Returns:
        Errors, warnings with reasons, recommended values, and the epsilon that the plan would cost.
    """
    others = tuple(beside)
    found = [*_number_findings(units, batch, epochs, clipping)]
    sound = not any(f.severity == "error" for f in found)
    judged = validate(epsilon=epsilon, delta=delta, rows=units if units >= 1 else None, budget=budget)
    predicted = None
    if sound and judged.valid:
        try:
            plan = plan_training(
                units=units, batch=batch, epochs=epochs, epsilon=epsilon, delta=delta, clipping=clipping, beside=others
            )
        except InputError as error:
            found.append(Finding(severity="error", key=error.key or "epsilon", message=error.message))
        else:
            predicted = plan.epsilon
            found += _plan_findings(plan)
    errors = tuple(f for f in found if f.severity == "error")
    return judged.model_copy(
        update={
            "valid": judged.valid and not errors,
            "errors": (*judged.errors, *errors),
            "warnings": (*judged.warnings, *(f for f in found if f.severity == "warning")),
            "recommended": {**judged.recommended, **_recommended(units, batch, epochs, clipping)},
            "predicted_epsilon": predicted,
        }
    )


def _error(key: str, message: str) -> Finding:
    return Finding(severity="error", key=key, message=message)


def _warning(key: str, message: str) -> Finding:
    return Finding(severity="warning", key=key, message=message)


def _number_findings(units: int, batch: int, epochs: float, clipping: float) -> list[Finding]:
    found = []
    if units < 1:
        found.append(_error("units", "the number of units of privacy must be at least 1."))
    if batch < 1 or (units >= 1 and batch > units):
        found.append(_error("batch", f"the batch must lie between 1 and the {max(units, 1):,} units of privacy."))
    elif batch < SMALL_BATCH <= units:
        found.append(
            _warning(
                "batch", f"a batch of {batch} is small: the noise of a step does not shrink with it, the signal does."
            )
        )
    if not (math.isfinite(epochs) and epochs > 0):
        found.append(_error("epochs", "epochs must be greater than 0."))
    elif epochs < EPOCHS[0]:
        found.append(_warning("epochs", f"{epochs:g} epochs: most units are never seen."))
    elif epochs > EPOCHS[1]:
        found.append(
            _warning(
                "epochs", f"{epochs:g} epochs: every further pass needs more noise in all steps for the same epsilon."
            )
        )
    if not (math.isfinite(clipping) and clipping > 0):
        found.append(_error("clipping", "the clipping bound must be a number greater than 0."))
    elif not CLIPPING[0] <= clipping <= CLIPPING[1]:
        found.append(
            _warning(
                "clipping",
                f"a clipping bound of {clipping:g} is unusual: noise grows with it, and below the usual norm of a gradient it "
                "turns every step into its direction alone.",
            )
        )
    return found


def _plan_findings(plan: TrainingPlan) -> list[Finding]:
    found = []
    if plan.sampling_rate > RATES[1]:
        found.append(
            _warning("batch", f"a sampling rate of {plan.sampling_rate:.3g}: hardly any privacy is gained by sampling.")
        )
    if plan.sampling_rate < RATES[0]:
        found.append(
            _warning(
                "batch",
                f"a sampling rate of {plan.sampling_rate:.3g}: a larger batch gives a better model at the same epsilon.",
            )
        )
    if plan.steps > MANY_STEPS:
        found.append(_warning("epochs", f"{plan.steps:,} steps take long; a larger batch needs fewer of them."))
    if plan.noise_multiplier < NOISE[0]:
        message = f"a noise multiplier of {plan.noise_multiplier:.3g} hardly hides one unit in one step."
        found.append(_warning("epsilon", message))
    if plan.noise_multiplier > NOISE[1]:
        message = (
            f"a noise multiplier of {plan.noise_multiplier:.3g}: noise of {plan.noise_multiplier * plan.clipping:.3g} per "
            f"coordinate stands against a sum of about {plan.batch:,} gradients."
        )
        found.append(_warning("epochs", message))
    return found


def _recommended(units: int, batch: int, epochs: float, clipping: float) -> dict[str, float]:
    """What was asked for where it is within the usual ranges, else the usual value."""
    within = units >= 1 and 1 <= batch <= units and RATES[0] <= batch / units <= RATES[1]
    usual = max(min(SMALL_BATCH, units), round(RECOMMENDED_RATE * units))
    return {
        "batch": batch if within and batch >= min(SMALL_BATCH, units) else max(1, usual),
        "epochs": epochs if EPOCHS[0] <= epochs <= EPOCHS[1] else RECOMMENDED_EPOCHS,
        "clipping": clipping if CLIPPING[0] <= clipping <= CLIPPING[1] else 1.0,
    }
