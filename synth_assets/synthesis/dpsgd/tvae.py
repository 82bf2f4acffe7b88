"""The network of dp_tvae: a variational autoencoder of one-hot bins whose decoder is conditioned on the target.

What belongs here: layers, the loss of one row, and how they learn from it. What does not: privacy (steps.py), files (model.py), bins
drawn from the decoder (network.py). No statistic of the data or of a batch: the loss of a row depends on that row alone.

Source: Xu, Skoularidou, Cuesta-Infante, Veeramachaneni, "Modeling Tabular Data using Conditional GAN", 2019, section 4.5 (TVAE).
Changes: numbers are bins of noisy one-way tables in place of a mixture fitted to the data; the decoder starts at the noisy one-way
shares; the declared target is no output but a condition, drawn from its noisy shares.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from synth_assets.synthesis.dpsgd.layout import Layout
from synth_assets.synthesis.dpsgd.network import Network, beside

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Linear

    from synth_assets.synthesis.dpsgd.options import TrainingOptions
    from synth_assets.synthesis.dpsgd.steps import PrivateSteps

LAYERS = ("encoder_in", "encoder_out", "decoder_in", "decoder_middle", "decoder_out")
START = 0.1


class Vae(Network):
    """Encoder and decoder.

    Args:
        layout: Blocks of columns.
        hidden: Width of the hidden layers.
        latent: Width of the latent vector.
        beta: Weight of the latent term against the reconstruction.
        seed: Of the initial weights.
        device: "cpu" or "cuda".
    """

    def __init__(self, layout: Layout, *, hidden: int, latent: int, beta: float, seed: int, device: str) -> None:
        import torch
        from torch import nn

        self.layout, self.latent, self.beta, self.device = layout, latent, beta, device
        self.inside = latent
        width, classes = layout.width, layout.classes
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed % 2**63)
            self.encoder_in = nn.Linear(width + classes, hidden)
            self.encoder_out = nn.Linear(hidden, 2 * latent)
            self.decoder_in = nn.Linear(latent + classes, hidden)
            self.decoder_middle = nn.Linear(hidden, hidden)
            self.decoder_out = nn.Linear(hidden + classes, width)
        self._start(START)
        self.layers = nn.ModuleDict({name: getattr(self, name) for name in LAYERS}).to(device)
        self.private = self.layers

    @property
    def last(self) -> Linear:
        """See `Network`."""
        return self.decoder_out

    def losses(self, codes: Tensor, normal: Tensor) -> Tensor:
        """Negative evidence lower bound of each row; see `Network`."""
        import torch
        from torch.nn import functional as F  # noqa: N812  the usual name

        hot, label = self.hot(codes)
        hidden = F.elu(self.encoder_in(beside(hot, label)))
        mean, spread = self.encoder_out(hidden).chunk(2, dim=1)
        spread = 3.0 * torch.tanh(spread / 3.0)
        logits = self.logits(mean + torch.exp(spread) * normal, label)
        told = sum(b.logsumexp(1) for b in self.blocks(logits))
        missed = told - (logits * hot).sum(1)
        latent = 0.5 * (mean**2 + torch.exp(2 * spread) - 1 - 2 * spread).sum(1)
        loss: Tensor = missed + self.beta * latent
        return loss

    def logits(self, z: Tensor, label: Tensor | None) -> Tensor:
        """See `Network`."""
        from torch.nn import functional as F  # noqa: N812  the usual name

        hidden = F.elu(self.decoder_in(beside(z, label)))
        hidden = F.elu(self.decoder_middle(hidden))
        out: Tensor = self.decoder_out(beside(hidden, label))
        return out

    def warm(self, options: TrainingOptions, total: int, rng: np.random.Generator) -> Callable[[Tensor], None]:
        """Plain Adam, its step size falling to 0; see `Network`."""
        import torch

        optimiser = torch.optim.Adam(self.layers.parameters(), lr=options.warm_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, total)

        def learn(codes: Tensor) -> None:
            normal = self.put(rng.standard_normal((len(codes), self.latent), dtype=np.float32))
            loss = self.losses(codes, normal).mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()

        return learn

    def descent(self, options: TrainingOptions, rng: np.random.Generator) -> Callable[[PrivateSteps], None]:  # noqa: ARG002
        """Adam on the noisy gradient; see `Network`."""
        import torch

        optimiser = torch.optim.Adam(self.private.parameters(), lr=options.rate)

        def learn(steps: PrivateSteps) -> None:
            steps.step(self.losses)
            optimiser.step()

        return learn
