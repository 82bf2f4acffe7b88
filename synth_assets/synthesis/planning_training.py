"""What a training under DP-SGD would cost, from the configuration alone: the part of planning.py for networks.

What belongs here: the plan of a training as records for people and machines. What does not: data.
"""

from __future__ import annotations

from synth_assets.config.dataset import DatasetConfig, SynthesizerConfig
from synth_assets.privacy.accounting import spent
from synth_assets.privacy.crosscheck import verify
from synth_assets.privacy.records import Validation
from synth_assets.privacy.training import validate_training
from synth_assets.privacy.validate import validate
from synth_assets.synthesis.dpsgd.options import method_of, training_options
from synth_assets.synthesis.dpsgd.plan import TrainingPlan, plan_training
from synth_assets.synthesis.planning import NoisyStep, ReleaseForecast, domain_findings, errors_of, noise_of
from synth_assets.synthesis.protocol import ReleaseSpec


def forecast_training(
    config: DatasetConfig, synthesizer: SynthesizerConfig, spec: ReleaseSpec, *, units: int | None = None
) -> ReleaseForecast:
    """What a network of a dataset would do and cost. Nothing is read, trained or spent.

    Args:
        config: The dataset.
        synthesizer: One of its networks.
        spec: The release, without data.
        units: Public number of units of privacy, where it is known.

    Raises:
        ConfigError: several tables, or the configuration contradicts itself.
    """
    method = method_of(synthesizer.name)
    plan = plan_training(
        spec,
        method=method,
        epsilon=synthesizer.epsilon,
        delta=synthesizer.delta,
        options=training_options(method, synthesizer.training),
    )
    cost = spent(plan.events, plan.delta)
    judged = _judged(plan, units)
    findings = domain_findings(plan.tables, config)
    return ReleaseForecast(
        synthesizer=synthesizer.name,
        epsilon=plan.epsilon,
        delta=plan.delta,
        spent=cost,
        crosscheck=verify(plan.events, cost),
        noise=(*noise_of(plan.table), _step(plan)),
        errors=tuple(errors_of(plan.table, plan.tables, units)),
        steps=sum(e.count for e in plan.events),
        sampling_rate=plan.steps.sampling_rate,
        contribution_bounds=plan.tables.contribution_bounds,
        non_dp_inputs=plan.tables.non_dp_inputs,
        notes=plan.notes,
        validation=judged.model_copy(update={"warnings": (*judged.warnings, *findings)}),
        events=plan.events,
    )


def _step(plan: TrainingPlan) -> NoisyStep:
    return NoisyStep(
        table=plan.table.name,
        what="steps of DP-SGD",
        mechanism="Gaussian on a Poisson sample",
        scale=plan.steps.noise_multiplier,
        unit="clipping bounds",
        count=plan.steps.count,
    )


def _judged(plan: TrainingPlan, units: int | None) -> Validation:
    """Epsilon, delta and, where the number of units is known, the numbers of the training."""
    steps = plan.steps
    judged = validate(epsilon=plan.epsilon, delta=plan.delta, rows=units, plan=plan.events)
    if units is None:
        return judged
    training = validate_training(
        units=units,
        batch=max(1, round(steps.sampling_rate * units)),
        epochs=steps.sampling_rate * steps.count,
        epsilon=plan.epsilon,
        delta=plan.delta,
        clipping=plan.options.clip,
        beside=plan.tables.events,
    )
    warnings = (*judged.warnings, *(w for w in training.warnings if w not in judged.warnings))
    errors = (*judged.errors, *(e for e in training.errors if e not in judged.errors))
    return judged.model_copy(update={"warnings": warnings, "errors": errors, "valid": not errors})
