"""Canaries in the noisy gradients of a run: they change nothing, an honest run passes, and broken ones do not."""

from __future__ import annotations

import numpy as np
import pytest
import torch  # noqa: TID253  a test of torch code

from synth_assets.privacy.accounting import epsilon_spent
from synth_assets.privacy.empirical.records import CanaryAttack
from synth_assets.privacy.empirical.step_canaries import StepCanaries
from synth_assets.privacy.empirical.words import canary_words
from synth_assets.privacy.mechanisms import StepNoise, SystemNoise
from synth_assets.privacy.records import SampledGaussianEvent
from synth_assets.privacy.sampled import delta_at_zero
from synth_assets.synthesis.dpsgd.layout import Layout
from synth_assets.synthesis.dpsgd.steps import PrivateRows, PrivateSteps
from synth_assets.synthesis.dpsgd.tvae import Vae

LAYOUT = Layout(
    names=("a", "b"), sizes=(3, 4), target="y", classes=2,
    shares=(np.full(3, 1 / 3), np.full(4, 1 / 4), np.array([0.7, 0.3])),
)  # fmt: skip
PLAN = SampledGaussianEvent(noise_multiplier=1.0, sampling_rate=0.2, count=15)
ROWS = np.stack([np.arange(40) % 3, np.arange(40) % 4, np.arange(40) % 2], axis=1)


class Scripted(SystemNoise):
    """No noise, everybody is drawn, and the same random numbers inside a loss."""

    def gaussian(self, *, sigma: float, size: int) -> np.ndarray:
        self.drawn = (sigma, size)
        return np.zeros(size)

    def sample(self, *, rate: float, size: int) -> np.ndarray:
        self.asked = (rate, size)
        return np.ones(size, dtype=bool)

    def normals(self, *, size: int) -> np.ndarray:
        return np.full(size, 0.3)


class Less(SystemNoise):
    """Noise that is smaller than asked for."""

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def gaussian(self, *, sigma: float, size: int) -> np.ndarray:
        return super().gaussian(sigma=sigma, size=size) * self.scale


class Frequent(SystemNoise):
    """Units are drawn more often than the accountant was told."""

    def sample(self, *, rate: float, size: int) -> np.ndarray:
        return super().sample(rate=min(1.0, 3 * rate), size=size)


class Redrawn(SystemNoise):
    """A step that is retried draws fresh noise and charges once; who sees all three answers sees their mean."""

    def gaussian(self, *, sigma: float, size: int) -> np.ndarray:
        return sum(super(Redrawn, self).gaussian(sigma=sigma, size=size) for _ in range(3)) / 3


class Unclipped(PrivateSteps):
    """Gradients are not clipped."""

    def _add(self, totals, batch, bound, loss):  # type: ignore[no-untyped-def]
        super()._add(totals, batch, bound * 1e6, loss)


BROKEN = {
    "no noise": Less(1e-6),
    "sigma divided by 2": Less(0.5),
    "a smaller sampling rate told": Frequent(),
    "noise drawn again on a retry": Redrawn(),
}


def stepper(
    noise: StepNoise, canaries: StepCanaries | None, kind: type[PrivateSteps] = PrivateSteps, clip: float = 0.7
) -> tuple[Vae, PrivateSteps]:
    net = Vae(LAYOUT, hidden=6, latent=2, beta=1.0, seed=1, device="cpu")
    steps = kind(
        net.private, PrivateRows(ROWS), PLAN, clip=clip, expected=8.0, noise=noise, inside=net.inside, canaries=canaries
    )
    return net, steps


def verdict(noise: StepNoise, kind: type[PrivateSteps] = PrivateSteps, alpha: float = 1e-6) -> CanaryAttack:
    """One run of all its steps, judged by the accountant's claim for what was planned."""
    canaries = StepCanaries(PLAN)
    net, steps = stepper(noise, canaries, kind)
    for _ in range(PLAN.count):
        steps.step(net.losses)
    return canaries.verdict(
        epsilon=epsilon_spent((PLAN,), 1e-7), delta=1e-7, delta_at_zero=delta_at_zero((PLAN,)), alpha=alpha
    )


def test_a_canary_adds_the_bound_in_its_own_weight_and_rows_add_nothing_there() -> None:
    net, steps = stepper(Scripted(), StepCanaries(PLAN, 9))
    *network, marks = steps.clipped_sum(np.arange(5), net.losses, np.array([2, 7]))
    alone = stepper(Scripted(), None)
    for with_canaries, without in zip(network, alone[1].clipped_sum(np.arange(5), alone[0].losses), strict=True):
        assert torch.allclose(with_canaries, without, atol=1e-6)
    expected = np.zeros(18)
    expected[[2, 7]] = 0.7 * (1 - 1e-4)
    np.testing.assert_allclose(marks.numpy().ravel(), expected, rtol=1e-5)


def test_canaries_are_drawn_and_hidden_in_the_same_calls_as_the_rows_and_trained_by_nothing() -> None:
    noise, canaries = Scripted(), StepCanaries(PLAN, 50)
    net, steps = stepper(noise, canaries)
    steps.step(net.losses)
    inside = int(canaries.included.sum())
    weights = sum(p.numel() for p in net.private.parameters())
    assert noise.asked == (0.2, len(ROWS) + inside)
    assert noise.drawn == (0.7, weights + 100)
    plain, without = stepper(Scripted(), None)
    without.step(plain.losses)
    for ours, theirs in zip(net.private.parameters(), plain.private.parameters(), strict=True):
        assert torch.allclose(ours.grad, theirs.grad, atol=1e-6)


def test_canaries_of_an_empty_table_show_the_same() -> None:
    canaries = StepCanaries(PLAN, 50)
    net = Vae(LAYOUT, hidden=6, latent=2, beta=1.0, seed=1, device="cpu")
    empty = PrivateRows(np.zeros((0, 3), dtype=np.int64))
    steps = PrivateSteps(
        net.private, empty, PLAN, clip=1.0, expected=1.0, noise=Scripted(), inside=2, canaries=canaries
    )
    steps.step(net.losses)
    found = canaries.verdict(epsilon=1.0, delta=1e-7, delta_at_zero=0.2)
    assert found.correct == found.guesses


def test_an_honest_run_passes_and_says_what_it_could_have_seen() -> None:
    found = verdict(SystemNoise())
    assert found.passed
    assert found.gates
    assert (found.scored_on, found.canaries) == ("noisy gradients", 1000)
    assert found.mu_lower is not None
    assert found.mu_claimed is not None
    assert 0.3 * found.mu_claimed < found.mu_lower <= found.mu_claimed
    assert found.least_fault is not None
    assert 1.1 < found.least_fault < 2
    assert "caught in 95 of 100" in canary_words((found,))


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_run_is_rejected(fault: str) -> None:
    found = verdict(BROKEN[fault])
    assert not found.passed


def test_gradients_that_are_not_clipped_are_rejected() -> None:
    assert not verdict(SystemNoise(), Unclipped).passed
