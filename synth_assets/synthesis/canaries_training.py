"""Canaries of a training under DP-SGD: those in the run itself, seen in its noisy gradients, and those of a twin, seen in a sample.

The canaries of the run have weights of their own, so that they change no row's gradient and no weight of the network (steps.py). The
twin goes on from the released network, on rows drawn from it: public, so it reads nothing and costs no budget. What belongs here: the
claims, and the twin. What does not: scores of steps and bounds (privacy/empirical).
"""

from __future__ import annotations

import numpy as np

from synth_assets.privacy.accounting import epsilon_spent
from synth_assets.privacy.empirical.canaries import flip_coins, judge_canaries
from synth_assets.privacy.empirical.records import CanaryAttack
from synth_assets.privacy.empirical.step_canaries import StepCanaries
from synth_assets.privacy.mechanisms import StepNoise
from synth_assets.privacy.sampled import delta_at_zero
from synth_assets.seeds import child_seed
from synth_assets.synthesis.canaries import MOST_DELTA, SAMPLED_ROWS, nearness
from synth_assets.synthesis.dpsgd.model import TrainedModel, make_network
from synth_assets.synthesis.dpsgd.network import Network
from synth_assets.synthesis.dpsgd.plan import TrainingPlan
from synth_assets.synthesis.dpsgd.steps import PrivateRows, PrivateSteps

TWIN_ROWS = 2000
TWIN_CANARIES = 400


def judge_run(canaries: StepCanaries, plan: TrainingPlan) -> CanaryAttack:
    """The verdict on the noisy gradients of a run; it gates.

    The claim is that of the steps alone, at the plan's delta or at 1e-7 where that is larger: with so many guesses the delta of a
    release would swallow what they can show.
    """
    delta = min(plan.delta, MOST_DELTA)
    steps = (plan.steps,)
    return canaries.verdict(epsilon=epsilon_spent(steps, delta), delta=delta, delta_at_zero=delta_at_zero(steps))


def attack_sample(model: TrainedModel, plan: TrainingPlan, *, seed: int, noise: StepNoise) -> CanaryAttack:
    """Train a twin with canaries by the steps of the release, and guess the canaries from a sample of it; for information.

    Args:
        model: The released network.
        plan: Of its training.
        seed: Of rows, cells and sampling; coins, noise and samples of the steps take none.
        noise: That of the release.
    """
    rng = np.random.default_rng(child_seed(seed, "canaries"))
    order = model.network.layout.order
    drawn = model.network.draw(TWIN_ROWS, rng)
    cells = [len(share) for share in model.network.layout.shares]
    canaries = np.stack([rng.integers(0, size, TWIN_CANARIES) for size in cells], axis=1)
    included = flip_coins(TWIN_CANARIES)
    rows = np.concatenate([np.stack([drawn[name] for name in order], axis=1), canaries[included]])
    twin = _copy(model)
    steps = PrivateSteps(
        twin.private,
        PrivateRows(rows),
        plan.steps,
        clip=plan.options.clip,
        expected=max(1.0, plan.steps.sampling_rate * TWIN_ROWS),
        noise=noise,
        inside=twin.inside,
    )
    learn = twin.descent(plan.options, rng)
    for _ in range(plan.steps.count):
        learn(steps)
    made = twin.draw(SAMPLED_ROWS, rng)
    scores = nearness([(canaries[:, i], made[name]) for i, name in enumerate(order)])
    delta = min(plan.delta, MOST_DELTA)
    return judge_canaries(
        included, scores, epsilon=epsilon_spent((plan.steps,), delta), delta=delta, scored_on="sample"
    )


def _copy(model: TrainedModel) -> Network:
    """A network with the weights of a stored one."""
    twin = make_network(model.values, model.target, model.options, seed=0, device=model.network.device)
    twin.restore(model.network.layers.state_dict())
    return twin
