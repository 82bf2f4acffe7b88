"""The networks of dp_ctgan: a generator of one-hot bins that is conditioned on the target, and a critic, which alone sees rows.

What belongs here: layers, the critic's loss of one row, and how both learn. What does not: privacy (steps.py), files (model.py), bins
drawn from the generator (network.py). The generator learns from the critic and from noise: post-processing of the critic's steps.

Sources: Xu, Skoularidou, Cuesta-Infante, Veeramachaneni, "Modeling Tabular Data using Conditional GAN", 2019 (CTGAN); Xie, Lin, Wang,
Wang, Zhou, "Differentially Private Generative Adversarial Network", 2018 (noise on the discriminator alone); Bie, Kamath, Zhang,
"Private GANs, Revisited", 2023 (large batches, several discriminator steps for one of the generator).
Changes of CTGAN: numbers are bins of noisy one-way tables; the condition is the declared target, drawn from its noisy shares, and never
a column picked by the rows; no packs of rows (one row would be in a gradient with nine others), no batch normalisation; the slope
penalty is taken at made-up rows, which are public, and not between them and real ones.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from synth_assets.synthesis.dpsgd.layout import Layout
from synth_assets.synthesis.dpsgd.network import Network, beside

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Linear, ModuleDict
    from torch.optim import Optimizer

    from synth_assets.synthesis.dpsgd.options import GanOptions, TrainingOptions
    from synth_assets.synthesis.dpsgd.steps import PrivateSteps

START = 0.3
TEMPERATURE = 0.5  # of Gumbel noise: bins are drawn, gradients go through their soft form
BETAS = (0.5, 0.9)
SLOPE = 0.2
TINY = 1e-7


class Gan(Network):
    """Generator and critic. What is stored, and draws rows, is the running average of the generator's weights.

    Args:
        layout: Blocks of columns.
        hidden: Width of the generator's hidden layers.
        latent: Width of the generator's random input.
        gan: Numbers of the game between both.
        seed: Of the initial weights.
        device: "cpu" or "cuda".
    """

    def __init__(self, layout: Layout, *, hidden: int, latent: int, gan: GanOptions, seed: int, device: str) -> None:
        import torch
        from torch import nn

        self.layout, self.latent, self.gan, self.device = layout, latent, gan, device
        self.inside = 0
        width, classes = layout.width, layout.classes
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed % 2**63)
            self.layers: ModuleDict = nn.ModuleDict(
                {
                    "generator_in": nn.Linear(latent + classes, hidden),
                    "generator_middle": nn.Linear(hidden, hidden),
                    "generator_out": nn.Linear(hidden + classes, width),
                }
            )
            self.private: ModuleDict = nn.ModuleDict(
                {
                    "critic_in": nn.Linear(width + classes, gan.critic),
                    "critic_middle": nn.Linear(gan.critic, gan.critic),
                    "critic_out": nn.Linear(gan.critic, 1),
                }
            )
        self._start(START)
        self.layers.to(device)
        self.private.to(device)
        self.live: ModuleDict = copy.deepcopy(self.layers)
        self.moves = 0

    @property
    def last(self) -> Linear:
        """See `Network`."""
        return self.layers["generator_out"]  # type: ignore[return-value]

    def restore(self, weights: Mapping[str, Tensor]) -> None:
        """Take the weights of a stored generator; see `Network`. The critic begins anew."""
        super().restore(weights)
        self.live.load_state_dict(weights)

    def losses(self, codes: Tensor, normal: Tensor) -> Tensor:  # noqa: ARG002  the critic takes no random numbers
        """How far the critic is from calling each row real; see `Network`."""
        from torch.nn import functional as F  # noqa: N812  the usual name

        loss: Tensor = F.softplus(-self.judge(*self.hot(codes)))
        return loss

    def judge(self, hot: Tensor, label: Tensor | None) -> Tensor:
        """The critic's logit of "real" for each row, shape (rows,)."""
        from torch.nn import functional as F  # noqa: N812  the usual name

        critic = self.private
        hidden = F.leaky_relu(critic["critic_in"](beside(hot, label)), SLOPE)
        hidden = F.leaky_relu(critic["critic_middle"](hidden), SLOPE)
        out: Tensor = critic["critic_out"](hidden)
        return out[:, 0]

    def logits(self, z: Tensor, label: Tensor | None) -> Tensor:
        """See `Network`."""
        return _generated(self.layers, z, label)

    def fakes(self, rows: int, rng: np.random.Generator) -> tuple[Tensor, Tensor | None]:
        """Rows of the generator that learns, one-hot, with gradients through their soft form; and their targets."""
        import torch
        from torch.nn import functional as F  # noqa: N812  the usual name

        label = self.label(self.put(self.classes(rows, rng))) if self.layout.classes else None
        z = self.put(rng.standard_normal((rows, self.latent), dtype=np.float32))
        logits = _generated(self.live, z, label)
        gumbel = -np.log(-np.log(rng.random((rows, self.layout.width)) * (1 - 2 * TINY) + TINY))
        made = []
        for block in self.blocks((logits + self.put(gumbel)) / TEMPERATURE):
            soft = block.softmax(1)
            hard = F.one_hot(soft.argmax(1), soft.shape[1]).float()
            made.append(hard + soft - soft.detach())
        return torch.cat(made, dim=1), label

    def warm(self, options: TrainingOptions, total: int, rng: np.random.Generator) -> Callable[[Tensor], None]:
        """The plain game on made-up rows; see `Network`."""
        import torch

        critic = torch.optim.Adam(self.private.parameters(), lr=options.warm_rate, betas=BETAS)
        generator = torch.optim.Adam(self.live.parameters(), lr=options.warm_rate, betas=BETAS)
        schedules = [torch.optim.lr_scheduler.CosineAnnealingLR(o, total) for o in (critic, generator)]

        def learn(codes: Tensor) -> None:
            critic.zero_grad()
            loss = self.losses(codes, codes).mean() + self._against_fakes(len(codes), rng)
            loss.backward()  # type: ignore[no-untyped-call]
            critic.step()
            self._move(generator, len(codes), rng)
            for schedule in schedules:
                schedule.step()

        return learn

    def descent(self, options: TrainingOptions, rng: np.random.Generator) -> Callable[[PrivateSteps], None]:
        """A noisy step of the critic, and after some of them one of the generator; see `Network`."""
        import torch

        critic = torch.optim.Adam(self.private.parameters(), lr=options.rate, betas=BETAS)
        generator = torch.optim.Adam(self.live.parameters(), lr=self.gan.generator_rate, betas=BETAS)

        def learn(steps: PrivateSteps) -> None:
            steps.step(self.losses)
            self._against_fakes(self.gan.fakes, rng).backward()  # type: ignore[no-untyped-call]
            critic.step()
            if steps.taken % self.gan.critic_steps == 0:
                self._move(generator, self.gan.fakes, rng)

        return learn

    def _against_fakes(self, rows: int, rng: np.random.Generator) -> Tensor:
        """The critic's loss on made-up rows, and a penalty on its slope there."""
        import torch
        from torch.nn import functional as F  # noqa: N812  the usual name

        with torch.no_grad():
            hot, label = self.fakes(rows, rng)
        hot.requires_grad_(True)
        judged = self.judge(hot, label)
        (slope,) = torch.autograd.grad(judged.sum(), hot, create_graph=True)
        loss: Tensor = F.softplus(judged).mean() + self.gan.penalty * (slope**2).sum(1).mean()
        return loss

    def _move(self, optimiser: Optimizer, rows: int, rng: np.random.Generator) -> None:
        """One step of the generator, and of the running average that is stored."""
        import torch
        from torch.nn import functional as F  # noqa: N812  the usual name

        loss = F.softplus(-self.judge(*self.fakes(rows, rng))).mean()
        moved = list(self.live.parameters())
        for parameter, gradient in zip(moved, torch.autograd.grad(loss, moved), strict=True):
            parameter.grad = gradient
        optimiser.step()
        self.moves += 1
        kept = min(self.gan.average, self.moves / (self.moves + 10))  # no long memory of the first weights
        with torch.no_grad():
            for average, now in zip(self.layers.parameters(), moved, strict=True):
                average.lerp_(now, 1 - kept)


def _generated(layers: ModuleDict, z: Tensor, label: Tensor | None) -> Tensor:
    """Logits of a generator with one skipped layer, shape (rows, width)."""
    from torch.nn import functional as F  # noqa: N812  the usual name

    hidden = F.relu(layers["generator_in"](beside(z, label)))
    hidden = F.relu(layers["generator_middle"](hidden)) + hidden
    out: Tensor = layers["generator_out"](beside(hidden, label))
    return out
