"""One step of DP-SGD: every unit's share is bounded, noise and sample are as accounted, steps are counted."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch  # noqa: TID253  a test of torch code
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats  # noqa: TID253  a test of draws

from synth_assets.errors import UnexpectedError
from synth_assets.privacy.mechanisms import SystemNoise
from synth_assets.privacy.records import SampledGaussianEvent
from synth_assets.synthesis.dpsgd.ctgan import Gan
from synth_assets.synthesis.dpsgd.layout import Layout
from synth_assets.synthesis.dpsgd.network import Network
from synth_assets.synthesis.dpsgd.options import GanOptions, TrainingOptions
from synth_assets.synthesis.dpsgd.steps import PrivateRows, PrivateSteps
from synth_assets.synthesis.dpsgd.tvae import Vae

LAYOUT = Layout(
    names=("a", "b"), sizes=(3, 4), target="y", classes=2,
    shares=(np.full(3, 1 / 3), np.full(4, 1 / 4), np.array([0.7, 0.3])),
)  # fmt: skip
LATENT = 5


class Scripted:
    """Noise for tests: no noise or that of the system, a scripted sample, and normals that depend on nothing."""

    secure = False

    def __init__(self, sample: Any = None, *, noisy: bool = False) -> None:
        self.drawn, self.noisy, self.scales = sample, noisy, []

    def gaussian(self, *, sigma: float, size: int) -> np.ndarray:
        self.scales.append(sigma)
        return SystemNoise().gaussian(sigma=sigma, size=size) if self.noisy else np.zeros(size)

    def sample(self, *, rate: float, size: int) -> np.ndarray:
        self.rate = rate
        return np.ones(size, dtype=bool) if self.drawn is None else np.asarray(self.drawn, dtype=bool)

    def normals(self, *, size: int) -> np.ndarray:
        return np.full(size, 0.3)


def network(seed: int = 1, scale: float = 1.0, kind: str = "vae") -> Network:
    made: Network = (
        Vae(LAYOUT, hidden=7, latent=LATENT, beta=1.0, seed=seed, device="cpu")
        if kind == "vae"
        else Gan(LAYOUT, hidden=7, latent=LATENT, gan=GanOptions(), seed=seed, device="cpu")
    )
    with torch.no_grad():
        for p in made.private.parameters():
            p.mul_(scale)
    return made


def rows(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(0, 3, count), rng.integers(0, 4, count), rng.integers(0, 2, count)], axis=1)


def stepper(net: Network, private: PrivateRows, noise: Any, *, clip: float = 1.0, count: int = 10) -> PrivateSteps:
    plan = SampledGaussianEvent(noise_multiplier=2.0, sampling_rate=0.25, count=count)
    return PrivateSteps(
        net.private, private, plan, clip=clip, expected=4.0, noise=noise, inside=net.inside
    )  # fmt: skip


def flat(tensors: list[torch.Tensor]) -> np.ndarray:
    return np.concatenate([t.detach().numpy().ravel() for t in tensors]).astype(np.float64)


def plain_gradient(net: Network, codes: np.ndarray) -> np.ndarray:
    """The gradient of one row by autograd alone."""
    loss = net.losses(torch.from_numpy(codes[None].astype(np.int64)), torch.full((1, net.inside), 0.3))
    return flat(list(torch.autograd.grad(loss.sum(), list(net.private.parameters()))))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    scale=st.sampled_from([0.1, 1.0, 5.0, 40.0]),
    clip=st.sampled_from([0.01, 1.0, 30.0]),
    kind=st.sampled_from(["vae", "gan"]),
)
def test_no_row_adds_more_than_the_bound_whatever_the_weights(seed: int, scale: float, clip: float, kind: str) -> None:
    net, codes = network(seed, scale, kind), rows(6, seed)
    steps = stepper(net, PrivateRows(codes), Scripted(), clip=clip)
    for i in range(len(codes)):
        own = flat(steps.clipped_sum(np.array([i]), net.losses))
        assert np.linalg.norm(own) <= clip
        whole = plain_gradient(network(seed, scale, kind), codes[i])  # a copy without hooks
        expected = whole * min(1.0, clip * (1 - 1e-4) / max(np.linalg.norm(whole), 1e-30))
        assert np.allclose(own, expected, atol=2e-4 * np.linalg.norm(expected) + 1e-9)


def test_the_sum_is_that_of_the_rows_one_by_one_also_over_several_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    net, codes = network(3), rows(11, 3)
    steps = stepper(net, PrivateRows(codes), Scripted())
    one_by_one = sum(flat(steps.clipped_sum(np.array([i]), net.losses)) for i in range(11))
    assert np.allclose(flat(steps.clipped_sum(np.arange(11), net.losses)), one_by_one, atol=1e-5)
    monkeypatch.setattr("synth_assets.synthesis.dpsgd.steps.CHUNK_ROWS", 4)
    assert np.allclose(flat(steps.clipped_sum(np.arange(11), net.losses)), one_by_one, atol=1e-5)


@pytest.mark.parametrize("scale", [0.2, 3.0])
def test_a_unit_with_several_rows_adds_no_more_than_one_bound(scale: float) -> None:
    net, codes = network(4, scale), rows(12, 4)
    units = np.array([0, 0, 0, 1, 2, 2, 2, 2, 2, 3, 3, 3])
    steps = stepper(net, PrivateRows(codes, units), Scripted())
    everyone = flat(steps.clipped_sum(np.arange(12), net.losses))
    for unit in range(4):
        without = flat(steps.clipped_sum(np.flatnonzero(units != unit), net.losses))
        assert np.linalg.norm(everyone - without) <= 1 + 1e-5


def test_a_unit_is_drawn_with_all_its_rows_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    net, units = network(), np.array([0, 0, 1, 2, 2])
    steps = stepper(net, PrivateRows(rows(5), units), Scripted([True, False, True]))
    seen: list[list[int]] = []
    real = steps.clipped_sum
    monkeypatch.setattr(
        steps, "clipped_sum", lambda picked, *rest: (seen.append(picked.tolist()), real(picked, *rest))[1]
    )
    steps.step(net.losses)
    assert seen == [[0, 1, 3, 4]]
    assert steps.noise.rate == 0.25


def test_noise_is_added_to_every_weight_with_the_planned_scale() -> None:
    net = Vae(LAYOUT, hidden=60, latent=LATENT, beta=1.0, seed=1, device="cpu")
    noise = Scripted(np.zeros(20), noisy=True)  # nobody is drawn: what is left is noise
    steps = stepper(net, PrivateRows(rows(20)), noise, clip=0.5)
    steps.step(net.losses)
    drawn = flat([p.grad for p in net.layers.parameters()]) * 4.0  # times the public divisor
    assert len(drawn) == sum(p.numel() for p in net.layers.parameters())
    assert set(noise.scales) == {2.0 * 0.5}
    spread = (drawn**2).sum() / (2.0 * 0.5) ** 2
    assert stats.chi2(len(drawn)).ppf(1e-7) < spread < stats.chi2(len(drawn)).ppf(1 - 1e-7)
    assert stats.kstest(drawn, "norm").pvalue > 1e-6


def test_the_sum_is_divided_by_a_public_number_whoever_was_drawn() -> None:
    codes = rows(8, 5)
    for drawn in ([True] * 8, [True] + [False] * 7):
        net = network(5)
        steps = stepper(net, PrivateRows(codes), Scripted(drawn))
        expected = flat(steps.clipped_sum(np.flatnonzero(drawn), net.losses)) / 4.0
        steps.step(net.losses)
        assert np.allclose(flat([p.grad for p in net.layers.parameters()]), expected, atol=1e-6)


def test_a_row_whose_gradient_is_not_finite_adds_nothing_and_harms_no_other() -> None:
    net, codes = network(6), rows(4, 6)

    def broken(some: torch.Tensor, normal: torch.Tensor) -> torch.Tensor:
        return net.losses(some, normal) * torch.where(some[:, 0] == 2, math.inf, 1.0)

    codes[:, 0] = [0, 2, 1, 2]
    steps = stepper(net, PrivateRows(codes), Scripted())
    mixed = flat(steps.clipped_sum(np.arange(4), broken))
    assert np.isfinite(mixed).all()
    assert np.allclose(mixed, flat(steps.clipped_sum(np.array([0, 2]), net.losses)), atol=1e-6)
    assert not flat(steps.clipped_sum(np.array([1, 3]), broken)).any()


def test_steps_are_counted_and_one_more_than_planned_draws_nothing() -> None:
    net = network()
    noise = Scripted()
    steps = stepper(net, PrivateRows(rows(3)), noise, count=2)
    assert steps.events == ()
    steps.step(net.losses)
    assert steps.events == (SampledGaussianEvent(noise_multiplier=2.0, sampling_rate=0.25, count=1),)
    steps.step(net.losses)
    before = len(noise.scales)
    with pytest.raises(UnexpectedError):
        steps.step(net.losses)
    assert len(noise.scales) == before
    assert steps.events[0].count == 2


def test_layers_that_are_used_beside_the_steps_change_no_step() -> None:
    """A critic also judges made-up rows: that leaves no trace in the norms of the next step."""
    net, codes = network(2, kind="gan"), rows(6, 2)
    assert isinstance(net, Gan)
    steps = stepper(net, PrivateRows(codes), Scripted())
    first = flat(steps.clipped_sum(np.arange(6), net.losses))
    made = torch.rand(40, LAYOUT.width, requires_grad=True)
    net.judge(made, torch.eye(2)[np.arange(40) % 2]).sum().backward()
    assert np.array_equal(first, flat(steps.clipped_sum(np.arange(6), net.losses)))


def test_a_generator_learns_from_noise_and_the_critic_alone() -> None:
    """With no unit drawn, what the generator becomes is fixed by the noise and the seed."""
    results = []
    for codes in (rows(6, 1), rows(9, 2)):
        net = network(5, kind="gan")
        steps = stepper(net, PrivateRows(codes), Scripted(np.zeros(len(codes))))
        learn = net.descent(TrainingOptions(gan=GanOptions(fakes=20)), np.random.default_rng(3))
        for _ in range(3):
            learn(steps)
        results.append(np.concatenate([p.detach().numpy().ravel() for p in net.layers.parameters()]))
    assert np.array_equal(*results)
    assert not np.array_equal(results[0], flat(list(network(5, kind="gan").layers.parameters())).astype(np.float32))


@pytest.mark.parametrize(("each", "moves"), [(1, 6), (2, 3), (4, 1), (7, 0)])
def test_a_generator_moves_once_in_so_many_steps_of_the_critic(each: int, moves: int) -> None:
    made = Gan(LAYOUT, hidden=7, latent=LATENT, gan=GanOptions(critic_steps=each, fakes=20), seed=1, device="cpu")
    steps = stepper(made, PrivateRows(rows(6, 1)), Scripted())
    learn = made.descent(TrainingOptions(), np.random.default_rng(3))
    for _ in range(6):
        learn(steps)
    assert made.moves == moves


def test_an_empty_table_gives_noise_alone() -> None:
    net = network()
    steps = stepper(net, PrivateRows(np.zeros((0, 3), dtype=np.int64)), Scripted(noisy=True))
    steps.step(net.losses)
    assert all(bool(p.grad.abs().sum() > 0) for p in net.layers.parameters())


@pytest.mark.parametrize("kind", ["vae", "gan"])
def test_a_rows_loss_depends_on_no_other_row(kind: str) -> None:
    net, codes = network(8, kind=kind), rows(9, 8)
    normal = torch.randn(9, net.inside, generator=torch.Generator().manual_seed(1))
    together = net.losses(torch.from_numpy(codes), normal)
    alone = torch.cat([net.losses(torch.from_numpy(codes[i : i + 1]), normal[i : i + 1]) for i in range(9)])
    assert torch.allclose(together, alone, atol=1e-5)


def test_the_randomness_inside_a_step_takes_no_seed() -> None:
    state = torch.get_rng_state()
    net, codes = network(9), rows(5, 9)
    steps = stepper(net, PrivateRows(codes), SystemNoise())
    first = flat(steps.clipped_sum(np.arange(5), net.losses))
    torch.manual_seed(0)
    np.random.default_rng(0)
    assert not np.array_equal(first, flat(steps.clipped_sum(np.arange(5), net.losses)))
    torch.set_rng_state(state)
