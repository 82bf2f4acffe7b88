"""What the networks of DP-SGD share: a decoder of one-hot bins that is given the target, and bins drawn from it.

What belongs here: the face that training, storage and sampling see. What does not: layers and losses (tvae.py, ctgan.py), privacy
(steps.py). Arrays go to the network's device through `put` and come back through `numpy`, nowhere else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from synth_assets.synthesis.dpsgd.layout import Layout

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Linear, ModuleDict

    from synth_assets.synthesis.dpsgd.options import TrainingOptions
    from synth_assets.synthesis.dpsgd.steps import PrivateSteps

CHUNK_ROWS = 16_384


class Network(ABC):
    """A network for one table.

    Attributes:
        layout: Blocks of columns.
        latent: Width of the random input of the decoder.
        device: "cpu" or "cuda".
        layers: What is stored; all that `draw` needs.
        private: What steps of DP-SGD train; every layer is linear and used once per row.
        inside: Standard normal numbers that the private loss of one row takes.
    """

    layout: Layout
    latent: int
    device: str
    layers: ModuleDict
    private: ModuleDict
    inside: int

    @abstractmethod
    def losses(self, codes: Tensor, normal: Tensor) -> Tensor:
        """The private loss of each row, which depends on that row alone.

        Args:
            codes: Bins, int64, shape (rows, columns): the features, then the target.
            normal: Standard normal numbers, shape (rows, `inside`).

        Returns:
            Shape (rows,).
        """

    @abstractmethod
    def logits(self, z: Tensor, label: Tensor | None) -> Tensor:
        """Unnormalised logarithms of all bins, shape (rows, width), from the stored layers."""

    @property
    @abstractmethod
    def last(self) -> Linear:
        """The decoder's last layer, whose offsets `tilt` moves."""

    @abstractmethod
    def warm(self, options: TrainingOptions, total: int, rng: np.random.Generator) -> Callable[[Tensor], None]:
        """What learns from one batch of made-up rows (bins, as for `losses`) in each of `total` calls."""

    @abstractmethod
    def descent(self, options: TrainingOptions, rng: np.random.Generator) -> Callable[[PrivateSteps], None]:
        """What takes one noisy step in each call, and learns from it: all but the step is post-processing."""

    def restore(self, weights: Mapping[str, Tensor]) -> None:
        """Take the weights of stored layers."""
        self.layers.load_state_dict(weights)

    def put(self, array: np.ndarray) -> Tensor:
        """An array on the network's device: numbers in single precision, bins as int64."""
        import torch

        kind = np.int64 if array.dtype.kind in "iu" else np.float32
        return torch.from_numpy(np.ascontiguousarray(array, dtype=kind)).to(self.device)

    def _start(self, scale: float) -> None:
        """The decoder starts at the noisy shares, nearly whatever it is given."""
        import torch

        shares = np.concatenate([np.log(s) for s in self.layout.shares[: len(self.layout.names)]])
        with torch.no_grad():
            self.last.weight.mul_(scale)
            self.last.bias.copy_(torch.from_numpy(shares.astype(np.float32)))

    def hot(self, codes: Tensor) -> tuple[Tensor, Tensor | None]:
        """One-hot features, shape (rows, width), and the one-hot target, or None where there is none."""
        import torch

        d = len(self.layout.names)
        hot = torch.zeros(len(codes), self.layout.width, device=self.device)
        hot.scatter_(1, codes[:, :d] + self.put(self.layout.offsets[:-1]), 1.0)
        return hot, self.label(codes[:, d]) if self.layout.classes else None

    def blocks(self, logits: Tensor) -> tuple[Tensor, ...]:
        """One block per column."""
        import torch

        return torch.split(logits, list(self.layout.sizes), dim=1)

    def label(self, classes: Tensor) -> Tensor:
        """One-hot classes, shape (rows, classes)."""
        from torch.nn import functional as F  # noqa: N812  the usual name

        label: Tensor = F.one_hot(classes, self.layout.classes).float()
        return label

    def draw(self, rows: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Bins of every column for `rows` new rows; same generator state, same bins on one device."""
        out = {name: np.empty(rows, dtype=np.int64) for name in self.layout.order}
        if self.layout.target:
            out[self.layout.target] = self.classes(rows, rng)
        for start in range(0, rows, CHUNK_ROWS):
            piece = slice(start, min(start + CHUNK_ROWS, rows))
            for name, bins in self._piece(out, piece, rng):
                out[name][piece] = bins
        return out

    def classes(self, rows: int, rng: np.random.Generator) -> np.ndarray:
        """Bins of the target by its noisy shares, stratified, int64, shape (rows,)."""
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
                label = self.label(self.put(out[self.layout.target][piece]))
            z = self.put(rng.standard_normal((rows, self.latent), dtype=np.float32))
            for name, block in zip(self.layout.names, self.blocks(self.logits(z, label)), strict=True):
                cumulative = block.softmax(1).cumsum(1)
                u = self.put(rng.random((rows, 1), dtype=np.float32)) * cumulative[:, -1:]
                yield name, (cumulative <= u).sum(1).clamp(max=block.shape[1] - 1).cpu().numpy()

    def tilt(self, rounds: int, rows: int, rng: np.random.Generator) -> None:
        """Bring the shares of single bins, over many rows, to the noisy ones: the decoder's last offsets move, nothing else."""
        import torch

        bias = self.last.bias
        for _ in range(rounds):
            drawn = self.draw(rows, rng)
            for i, (name, size) in enumerate(zip(self.layout.names, self.layout.sizes, strict=True)):
                found = (np.bincount(drawn[name], minlength=size) + 1) / (rows + size)
                move = np.clip(np.log(self.layout.shares[i] / found), -1, 1)
                first = int(self.layout.offsets[i])
                with torch.no_grad():
                    bias[first : first + size] += self.put(move)


def beside(x: Tensor, label: Tensor | None) -> Tensor:
    """Two inputs of a layer as one."""
    import torch

    return x if label is None else torch.cat([x, label], dim=1)
