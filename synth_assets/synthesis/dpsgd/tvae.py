"""The networks of dp_tvae: a variational autoencoder of one-hot bins whose decoder is conditioned on the target.

What belongs here: layers, the loss of one row, and bins drawn from the decoder. What does not: privacy (steps.py), files (model.py).
No normalisation over a batch, no statistic of the data: the loss of a row depends on that row alone.

Source: Xu, Skoularidou, Cuesta-Infante, Veeramachaneni, "Modeling Tabular Data using Conditional GAN", 2019, section 4.5 (TVAE).
Changes: numbers are bins of noisy one-way tables in place of a mixture fitted to the data; the decoder starts at the noisy one-way
shares; the declared target is no output but a condition, drawn from its noisy shares.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from synth_assets.synthesis.dpsgd.layout import Layout

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import ModuleDict

CHUNK_ROWS = 16_384
LAYERS = ("encoder_in", "encoder_out", "decoder_in", "decoder_middle", "decoder_out")


class Vae:
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
        width, classes = layout.width, layout.classes
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed % 2**63)
            self.encoder_in = nn.Linear(width + classes, hidden)
            self.encoder_out = nn.Linear(hidden, 2 * latent)
            self.decoder_in = nn.Linear(latent + classes, hidden)
            self.decoder_middle = nn.Linear(hidden, hidden)
            self.decoder_out = nn.Linear(hidden + classes, width)
        self.layers: ModuleDict = nn.ModuleDict({name: getattr(self, name) for name in LAYERS})
        self._start()
        self.layers.to(device)
        self._offsets = torch.from_numpy(layout.offsets[:-1]).to(device)

    def _start(self) -> None:
        """The decoder starts at the noisy shares, whatever it is given."""
        import torch

        shares = np.concatenate([np.log(s) for s in self.layout.shares[: len(self.layout.names)]])
        with torch.no_grad():
            self.decoder_out.weight.mul_(0.1)
            self.decoder_out.bias.copy_(torch.from_numpy(shares.astype(np.float32)))

    def losses(self, codes: Tensor, normal: Tensor) -> Tensor:
        """Negative evidence lower bound of each row.

        Args:
            codes: Bins, int64, shape (rows, columns): the features, then the target.
            normal: Standard normal numbers, shape (rows, latent).

        Returns:
            Shape (rows,).
        """
        import torch
        from torch.nn import functional as F  # noqa: N812  the usual name

        d = len(self.layout.names)
        label = self._label(codes[:, d]) if self.layout.classes else None
        hot = torch.zeros(len(codes), self.layout.width, device=self.device)
        at = codes[:, :d] + self._offsets
        hot.scatter_(1, at, 1.0)
        hidden = F.elu(self.encoder_in(_beside(hot, label)))
        mean, spread = self.encoder_out(hidden).chunk(2, dim=1)
        spread = 3.0 * torch.tanh(spread / 3.0)
        logits = self.logits(mean + torch.exp(spread) * normal, label)
        told = torch.stack([b.logsumexp(1) for b in self._blocks(logits)], 1)
        missed = (told - logits.gather(1, at)).sum(1)
        latent = 0.5 * (mean**2 + torch.exp(2 * spread) - 1 - 2 * spread).sum(1)
        loss: Tensor = missed + self.beta * latent
        return loss

    def logits(self, z: Tensor, label: Tensor | None) -> Tensor:
        """Unnormalised logarithms of all bins, shape (rows, width)."""
        from torch.nn import functional as F  # noqa: N812  the usual name

        hidden = F.elu(self.decoder_in(_beside(z, label)))
        hidden = F.elu(self.decoder_middle(hidden))
        out: Tensor = self.decoder_out(_beside(hidden, label))
        return out

    def _blocks(self, logits: Tensor) -> tuple[Tensor, ...]:
        """One block per column."""
        import torch

        return torch.split(logits, list(self.layout.sizes), dim=1)

    def _label(self, classes: Tensor) -> Tensor:
        from torch.nn import functional as F  # noqa: N812  the usual name

        label: Tensor = F.one_hot(classes, self.layout.classes).float()
        return label

    def draw(self, rows: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Bins of every column for `rows` new rows; same generator state, same bins on one device."""
        out = {name: np.empty(rows, dtype=np.int64) for name in self.layout.order}
        if self.layout.target:
            out[self.layout.target] = self._classes(rows, rng)
        for start in range(0, rows, CHUNK_ROWS):
            piece = slice(start, min(start + CHUNK_ROWS, rows))
            for name, bins in self._piece(out, piece, rng):
                out[name][piece] = bins
        return out

    def _classes(self, rows: int, rng: np.random.Generator) -> np.ndarray:
        """Bins of the target by its noisy shares, stratified."""
        share = np.cumsum(self.layout.shares[-1])
        u = rng.permutation((np.arange(rows) + rng.random()) / max(rows, 1))
        found = np.searchsorted(share, u * share[-1], side="right")
        return np.asarray(np.minimum(found, self.layout.classes - 1))

    def _piece(
        self, out: dict[str, np.ndarray], piece: slice, rng: np.random.Generator
    ) -> Iterator[tuple[str, np.ndarray]]:
        """Bins of the features of some rows, for the classes that these have."""
        import torch

        rows, label = piece.stop - piece.start, None
        with torch.no_grad():
            if self.layout.target:
                label = self._label(torch.from_numpy(out[self.layout.target][piece]).to(self.device))
            z = torch.from_numpy(rng.standard_normal((rows, self.latent), dtype=np.float32)).to(self.device)
            for name, block in zip(self.layout.names, self._blocks(self.logits(z, label)), strict=True):
                cumulative = block.softmax(1).cumsum(1)
                u = torch.from_numpy(rng.random((rows, 1), dtype=np.float32)).to(self.device) * cumulative[:, -1:]
                yield name, (cumulative <= u).sum(1).clamp(max=block.shape[1] - 1).cpu().numpy()

    def tilt(self, rounds: int, rows: int, rng: np.random.Generator) -> None:
        """Bring the shares of single bins, over many rows, to the noisy ones: the decoder's last offsets move, nothing else."""
        import torch

        bias = self.decoder_out.bias
        for _ in range(rounds):
            drawn = self.draw(rows, rng)
            for i, (name, size) in enumerate(zip(self.layout.names, self.layout.sizes, strict=True)):
                found = (np.bincount(drawn[name], minlength=size) + 1) / (rows + size)
                move = np.clip(np.log(self.layout.shares[i] / found), -1, 1)
                first = int(self.layout.offsets[i])
                with torch.no_grad():
                    bias[first : first + size] += torch.from_numpy(move.astype(np.float32)).to(self.device)


def _beside(x: Tensor, label: Tensor | None) -> Tensor:
    import torch

    return x if label is None else torch.cat([x, label], dim=1)
