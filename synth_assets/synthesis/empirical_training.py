"""The attacks on a planned training under DP-SGD, before anything is read: on its noisy tables, and on its noisy steps.

What belongs here: the draws of a step on a worst-case unit, and the verdict of both. What does not: the attacks themselves
(empirical.py, privacy/empirical). Derivation: docs/mechanisms/empirical_audit.md.
"""

from __future__ import annotations

import time

import numpy as np

from synth_assets.privacy.accounting import epsilon_spent
from synth_assets.privacy.empirical.bounds import epsilon_of_mu
from synth_assets.privacy.empirical.noise import REPETITIONS
from synth_assets.privacy.empirical.records import EmpiricalCheck, NoiseAttack
from synth_assets.privacy.empirical.sgd import attack_steps
from synth_assets.privacy.mechanisms import StepNoise
from synth_assets.privacy.sampled import delta_at_zero
from synth_assets.synthesis.dpsgd.plan import TrainingPlan
from synth_assets.synthesis.dpsgd.steps import drawn_units, step_noise
from synth_assets.synthesis.empirical import attack_plan

STEP_DRAWS = 4_000_000
LEAST_RUNS = 1_000
STEP_ALARM = 1e-3


def attack_training(plan: TrainingPlan, noise: StepNoise, *, repetitions: int = REPETITIONS) -> EmpiricalCheck:
    """Attack all that a training may draw, with the noise that it will use; twice where the first attack on the steps alarms.

    Args:
        plan: From `plan_training`.
        noise: The source of the release.
        repetitions: Of the attack on the tables, at least 10,000. The steps are attacked in fewer runs, with 4 million steps at most.

    Raises:
        InputError: fewer than 10,000 repetitions.
    """
    tables = attack_plan(plan.tables, noise, repetitions=repetitions)
    started = time.process_time()
    runs = max(LEAST_RUNS, min(repetitions, STEP_DRAWS // plan.steps.count))
    steps = _attack(plan, noise, runs)
    if not steps.passed:
        steps = _attack(plan, noise, runs)
    strongest = max((*tables.noise, steps), key=lambda a: a.mu_lower)
    return tables.model_copy(
        update={
            "epsilon_claimed": epsilon_spent(plan.events, plan.delta),
            "epsilon_lower": epsilon_of_mu(strongest.mu_lower, plan.delta),
            "mu_claimed": strongest.mu_claimed,
            "mu_lower": strongest.mu_lower,
            "false_alarm": tables.false_alarm + STEP_ALARM**2,
            "noise": (*tables.noise, steps),
            "seconds": round(tables.seconds + time.process_time() - started, 3),
            "passed": tables.passed and steps.passed,
        }
    )


def _attack(plan: TrainingPlan, noise: StepNoise, runs: int) -> NoiseAttack:
    """A unit whose clipped gradient is the bound in a coordinate of its own, in data or not: samples and noise as in the training."""
    steps = plan.steps

    def step(present: np.ndarray) -> np.ndarray:
        drawn = present & drawn_units(noise, steps, len(present))
        seen: np.ndarray = drawn + step_noise(noise, steps, plan.options.clip, len(present)) / plan.options.clip
        return seen

    return attack_steps(
        step,
        steps,
        delta_at_zero=delta_at_zero((steps,)),
        repetitions=runs,
        alpha=STEP_ALARM,
    )
