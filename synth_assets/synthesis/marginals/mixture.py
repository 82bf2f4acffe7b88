"""The model: a mixture of product distributions, each component tied to one class of the target, fitted to noisy tables.

What belongs here: torch arithmetic on dense arrays. What does not: bins, noise, files. The loss is the squared distance to every noisy
table, weighted by the inverse of its variance, plus an entropy term; its gradient is written by hand and Adam takes the steps. Rows of
the parameters are bins, columns are components, so every step is a few dense products.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

BETA = (0.9, 0.99)
GRADIENT_SCALE = 1e3
CONSTANT_PART = 0.6
FLOOR = 1e-9


@dataclass(frozen=True)
class PairTable:
    """A noisy table of two columns, as shares: values of shape (classes or 1, bins of a, bins of b)."""

    a: int
    b: int
    level: int
    with_target: bool
    values: np.ndarray


@dataclass(frozen=True)
class Hub:
    """Chosen tables of one level that share a column: its bins against those of all its partners."""

    hub: slice
    partners: Tensor
    target: Tensor
    per_class: bool


class Mixture:
    """The parameters and how they are fitted.

    Args:
        sizes: Bins of each column.
        levels: Per column, the bin at each resolution of each bin, shape (levels, bins).
        base: Initial distribution of each column.
        class_mass: Weight of each class of the target; one class where there is none.
        components: Number of components.
        spread: Standard deviation of the initial logits.
        rate: Step size.
        seed: Of the initial logits.
        device: "cpu" or "cuda".
    """

    def __init__(
        self,
        sizes: Sequence[int],
        levels: Sequence[np.ndarray],
        base: Sequence[np.ndarray],
        class_mass: np.ndarray,
        *,
        components: int,
        spread: float,
        rate: float,
        seed: int,
        device: str = "cpu",
    ) -> None:
        import torch

        self.torch, self.device, self.rate = torch, device, rate
        self.sizes, self.levels = list(sizes), list(levels)
        self.offsets = np.concatenate([[0], np.cumsum(self.sizes)])
        classes = len(class_mass)
        share = 0.5 * class_mass / class_mass.sum() + 0.5 / classes if classes > 1 else np.ones(1)
        per_class = np.maximum(2, np.rint(share * components)).astype(int)
        self.classes = np.repeat(np.arange(classes), per_class)
        self.cut = np.concatenate([[0], np.cumsum(per_class)])
        self.weights = self._tensor((class_mass / class_mass.sum() / per_class)[self.classes])
        self.segment = torch.tensor(np.repeat(np.arange(len(self.sizes)), self.sizes), device=device)
        generator = torch.Generator().manual_seed(seed % 2**63)
        noise = torch.randn(int(self.offsets[-1]), len(self.classes), generator=generator)
        self.logits = (self._tensor(np.log(np.concatenate(base)))[:, None] + spread * noise.to(device)).contiguous()
        self.first, self.second, self.steps = torch.zeros_like(self.logits), torch.zeros_like(self.logits), 0
        self.hubs: list[Hub] = []

    def _tensor(self, values: np.ndarray) -> Tensor:
        return self.torch.tensor(np.asarray(values, dtype=np.float32), device=self.device)

    @property
    def class_slices(self) -> list[slice]:
        """Components of each class."""
        return [slice(int(i), int(j)) for i, j in itertools.pairwise(self.cut)]

    def probabilities(self) -> Tensor:
        """Distribution of every column in every component, shape (bins of all columns, components)."""
        e = self.logits.clamp(-30, 30).exp_()
        return e.mul_((1 / self._column_sums(e))[self.segment])

    def _column_sums(self, values: Tensor) -> Tensor:
        return self.torch.zeros(len(self.sizes), values.shape[1], device=self.device).index_add_(
            0, self.segment, values
        )

    def tables(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Model tables of all pairs at every level: [classes, bins, bins] and the offsets of the columns."""
        p, out = self.probabilities(), []
        for level in range(len(self.levels[0]) if self.levels else 0):
            rows, index, offsets = self._coarse_index(level, range(len(self.sizes)))
            coarse = self._gather(p, rows, index, int(offsets[-1]))
            full = [(coarse[:, s] * self.weights[s]) @ coarse[:, s].T for s in self.class_slices]
            out.append((self.torch.stack(full).cpu().numpy(), offsets))
        return out

    def _coarse_index(self, level: int, columns: Sequence[int] | range) -> tuple[Tensor, Tensor, np.ndarray]:
        """Rows of these columns, the coarse row of each, and the coarse offsets of all columns (empty where a column is left out)."""
        chosen, offsets, rows, index = set(columns), [0], [], []
        for c in range(len(self.sizes)):
            bins = self.levels[c][level]
            if c in chosen:
                rows.append(np.arange(self.offsets[c], self.offsets[c + 1]))
                index.append(bins + offsets[-1])
            offsets.append(offsets[-1] + (int(bins.max()) + 1 if c in chosen else 0))
        torch, device = self.torch, self.device
        return (
            torch.tensor(np.concatenate(rows), device=device),
            torch.tensor(np.concatenate(index), device=device),
            np.array(offsets),
        )

    def _gather(self, p: Tensor, rows: Tensor, index: Tensor, size: int) -> Tensor:
        return self.torch.zeros(size, p.shape[1], device=self.device).index_add_(0, index, p[rows])

    def set_targets(
        self,
        pairs: Sequence[PairTable],
        with_target: Sequence[np.ndarray],
        target_weight: float,
        ones: np.ndarray,
        one_weights: np.ndarray,
    ) -> None:
        """The noisy tables to fit, as shares of the rows.

        Args:
            pairs: Weight 1 each.
            with_target: Tables [classes, bins] of each column, or empty.
            target_weight: Their weight.
            ones: One-way tables of all columns, one after the other.
            one_weights: Their weights.
        """
        self.ones, self.one_weights = self._tensor(ones), self._tensor(one_weights)
        self.by_class = self._tensor(np.concatenate([t.T for t in with_target])) if len(with_target) else None
        self.target_weight = target_weight
        self.plans: list[tuple[Tensor, Tensor, int, list[Hub]]] = []
        for level in sorted({q.level for q in pairs}):
            use = [q for q in pairs if q.level == level]
            rows, index, offsets = self._coarse_index(level, sorted({c for q in use for c in (q.a, q.b)}))
            hubs = [self._hub(group, hub, offsets) for hub, group in _hubs(use)]
            self.plans.append((rows, index, int(offsets[-1]), hubs))

    def _hub(self, group: list[PairTable], hub: int, offsets: np.ndarray) -> Hub:
        """One hub column and its partners as one block."""
        blocks, partners = [], []
        for q in group:
            other = q.b if q.a == hub else q.a
            blocks.append(q.values if q.a == hub else q.values.transpose(0, 2, 1))
            partners.append(np.arange(offsets[other], offsets[other + 1]))
        return Hub(
            hub=slice(int(offsets[hub]), int(offsets[hub + 1])),
            partners=self.torch.tensor(np.concatenate(partners), device=self.device),
            target=self._tensor(np.concatenate(blocks, axis=2)),
            per_class=group[0].with_target,
        )

    def gradient(self, p: Tensor, entropy: float) -> Tensor:
        """Derivative of the loss by p, divided by the component's weight (Adam does not see such a factor)."""
        slices = self.class_slices
        means = self.torch.stack([p[:, s] @ self.weights[s] for s in slices], 1)
        residual = (self.one_weights * (means.sum(1) - self.ones))[:, None]
        if self.by_class is not None:
            residual = residual + self.target_weight * (means - self.by_class)
        gradient = (p + FLOOR).log_().mul_(entropy)
        for c, s in enumerate(slices):
            gradient[:, s] += 2 * residual[:, min(c, residual.shape[1] - 1)][:, None]
        for rows, index, size, hubs in self.plans:
            coarse = self._gather(p, rows, index, size)
            out = self.torch.zeros_like(coarse)
            for hub in hubs:
                self._add_hub(hub, coarse, out)
            gradient.index_add_(0, rows, out[index])
        return gradient

    def _add_hub(self, hub: Hub, coarse: Tensor, out: Tensor) -> None:
        left, right = coarse[hub.hub], coarse[hub.partners]
        weighted = left * self.weights
        add = self.torch.empty_like(right)
        for c, s in enumerate(self.class_slices if hub.per_class else [slice(None)]):
            rest = weighted[:, s] @ right[:, s].T - hub.target[c]
            out[hub.hub, s].addmm_(rest, right[:, s], alpha=2)
            add[:, s] = 2 * (rest.T @ left[:, s])
        out.index_add_(0, hub.partners, add)

    def optimise(self, steps: int, entropy: float, start: float = 0.0, end: float = 1.0) -> None:
        """Adam; the rate is constant for 60 % of the steps, then falls along a cosine.

        Args:
            steps: Of the whole run.
            entropy: Weight of the entropy term.
            start: Fraction of the run that was done before.
            end: Fraction to go to.
        """
        with _one_thread(self.torch):
            for i in range(round(start * steps), round(end * steps)):
                fraction = i / steps
                rate = self.rate
                if fraction > CONSTANT_PART:
                    rate *= 0.5 * (1 + math.cos(math.pi * (fraction - CONSTANT_PART) / (1 - CONSTANT_PART))) + 0.02
                self._step(rate, entropy)

    def _step(self, rate: float, entropy: float) -> None:
        p = self.probabilities()
        g = self.gradient(p, entropy).mul_(p)
        g.sub_(p.mul_(self._column_sums(g)[self.segment])).mul_(GRADIENT_SCALE)
        self.steps += 1
        self.first.lerp_(g, 1 - BETA[0])
        self.second.mul_(BETA[1]).addcmul_(g, g, value=1 - BETA[1])
        denominator = (self.second / (1 - BETA[1] ** self.steps)).sqrt_().add_(1e-8)
        self.logits.addcdiv_(self.first, denominator, value=-rate / (1 - BETA[0] ** self.steps))


@contextmanager
def _one_thread(torch: Any) -> Iterator[None]:
    """One thread while the block runs.

    The matrices are small: more threads gain little on an idle machine, cost twenty times the CPU time on a busy one (they spin while
    they wait for each other), and make the last digits depend on the number of cores.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _hubs(pairs: Sequence[PairTable]) -> list[tuple[int, list[PairTable]]]:
    """Group tables by a common column, the most frequent first; tables with and without the target apart."""
    out = []
    for with_target in (False, True):
        left = [q for q in pairs if q.with_target == with_target]
        while left:
            counts = np.bincount([c for q in left for c in (q.a, q.b)])
            hub = int(counts.argmax())
            out.append((hub, [q for q in left if hub in (q.a, q.b)]))
            left = [q for q in left if hub not in (q.a, q.b)]
    return out


def choose_device(device: str) -> str:
    """The device to use: a GPU for "auto" where torch sees one, else the CPU."""
    import torch

    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"
