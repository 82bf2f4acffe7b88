"""One step of DP-SGD: Poisson sample of units, gradients clipped per unit, noise, division by a public number. Counted by itself.

What belongs here: the only code that turns private rows into a gradient. What does not: losses (tvae.py, ctgan.py) and what a gradient
is for. Norms of per-row gradients by Opacus' ghost clipping. Derivation and limits: docs/mechanisms/dp_sgd.md.

Source: Abadi et al., "Deep Learning with Differential Privacy", 2016, algorithm 1.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from synth_assets.errors import UnexpectedError
from synth_assets.privacy.empirical.step_canaries import StepCanaries
from synth_assets.privacy.mechanisms import StepNoise
from synth_assets.privacy.records import SampledGaussianEvent

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Linear, ModuleDict, Parameter

    Loss = Callable[[Tensor, Tensor], Tensor]

ROUNDING = 1 - 1e-4  # norms are computed in single precision: what is clipped stays below the bound by this factor
CHUNK_ROWS = 4096
LOUD = 100.0  # a canary's gradient before clipping, in clipping bounds
NO_MARK = -1
NOBODY = np.zeros(0, dtype=np.int64)


class _Batch(NamedTuple):
    """Rows and canaries on the device: bins, random numbers of the loss, and the number of the canary or NO_MARK."""

    codes: Tensor
    inside: Tensor
    mark: Tensor


class PrivateRows:
    """Encoded rows with the unit of privacy of each. Held by a step, never by a model.

    Args:
        codes: Bin of each column in each row, shape (rows, columns), any integer type.
        units: Number of the unit of each row from 0, shape (rows,), ascending; None: each row is its own unit.
    """

    def __init__(self, codes: np.ndarray, units: np.ndarray | None = None) -> None:
        self.codes = codes
        self.units = np.arange(len(codes)) if units is None else units
        self.count = int(self.units[-1]) + 1 if len(codes) else 0
        self.rows_of = np.bincount(self.units, minlength=self.count)


class PrivateSteps:
    """Gradients for DP-SGD over private rows.

    Args:
        layers: The trained parameters; every layer is linear and used once per row.
        rows: The private rows.
        plan: Noise multiplier, sampling rate and the number of steps that is paid for.
        clip: Bound of a unit's contribution in L2 norm.
        expected: Public number that the noisy sum is divided by: about sampling rate * units.
        noise: Source of noise, samples and the randomness within the loss.
        inside: Normal numbers that the loss of one row takes.
        canaries: Made-up units beside the real ones, each with a weight of its own that no row and no network uses. Those whose coin
            says so are drawn, clipped and covered by noise in the same calls as the rows, and what a step shows of them is observed.
    """

    def __init__(
        self,
        layers: ModuleDict,
        rows: PrivateRows,
        plan: SampledGaussianEvent,
        *,
        clip: float,
        expected: float,
        noise: StepNoise,
        inside: int,
        canaries: StepCanaries | None = None,
    ) -> None:
        self.rows, self.plan, self.clip, self.expected, self.noise = rows, plan, clip, expected, noise
        self.inside, self.taken, self.canaries = inside, 0, canaries
        own: list[Parameter] = [p for p in layers.parameters() if p.requires_grad]
        self.device = own[0].device
        self._marks = None if canaries is None else _marks(canaries.weights).to(self.device)
        self._inside = NOBODY if canaries is None else np.flatnonzero(canaries.included)
        self.parameters = own if self._marks is None else [*own, self._marks.weight]
        self._hooked = _hooked(layers, self._marks, clip)
        self._hooked.disable_hooks()  # the same layers may be used beside the steps

    @property
    def events(self) -> tuple[SampledGaussianEvent, ...]:
        """The steps that were begun."""
        return (self.plan.model_copy(update={"count": self.taken}),) if self.taken else ()

    def step(self, loss: Loss) -> None:
        """Set `grad` of every parameter to the noisy mean gradient of one Poisson sample.

        Args:
            loss: From codes (rows, columns) and normal numbers (rows, inside) to one number per row. The number of a row must depend on
                that row and its normal numbers alone.

        Raises:
            UnexpectedError: all steps that were planned are taken; nothing was drawn or read.
        """
        if self.taken >= self.plan.count:
            raise UnexpectedError("the training asks for more steps than were planned.")
        self.taken += 1
        drawn = drawn_units(self.noise, self.plan, self.rows.count + len(self._inside))
        rows = np.flatnonzero(drawn[: self.rows.count][self.rows.units])
        totals = self.clipped_sum(rows, loss, self._inside[drawn[self.rows.count :]])
        noisy = [total + noise for total, noise in zip(totals, self._noise(), strict=True)]
        if self.canaries is not None:
            self.canaries.observe(noisy.pop().double().cpu().numpy().ravel() / self.clip)
        for parameter, total in zip(self.parameters, noisy, strict=False):
            parameter.grad = total / self.expected

    def _noise(self) -> Iterator[Tensor]:
        """The noise of a step on every weight, drawn at once."""
        import torch

        drawn = step_noise(self.noise, self.plan, self.clip, sum(p.numel() for p in self.parameters))
        whole = torch.from_numpy(drawn.astype(np.float32)).to(self.device)
        parts = torch.split(whole, [p.numel() for p in self.parameters])
        return (part.reshape(p.shape) for part, p in zip(parts, self.parameters, strict=True))

    def clipped_sum(self, picked: np.ndarray, loss: Loss, marked: np.ndarray = NOBODY) -> list[Tensor]:
        """Sum over rows and canaries of their clipped gradients; private. A unit's rows share its bound equally, a canary has one."""
        import torch

        totals = [torch.zeros_like(p) for p in self.parameters]
        of_rows = self.rows.codes[picked].astype(np.int64)
        codes = np.concatenate([of_rows, np.zeros((len(marked), of_rows.shape[1]), dtype=np.int64)])
        mark = np.concatenate([np.full(len(picked), NO_MARK), marked])
        parts = np.concatenate([self.rows.rows_of[self.rows.units[picked]], np.ones(len(marked), dtype=np.int64)])
        for start in range(0, len(codes), CHUNK_ROWS):
            some = slice(start, start + CHUNK_ROWS)
            normal = self.noise.normals(size=len(codes[some]) * self.inside).reshape(len(codes[some]), self.inside)
            bound = torch.from_numpy((ROUNDING * self.clip / parts[some]).astype(np.float32)).to(self.device)
            batch = _Batch(
                *(torch.from_numpy(a).to(self.device) for a in (codes[some], normal.astype(np.float32), mark[some]))
            )
            with (
                warnings.catch_warnings()
            ):  # the first layer's input has no gradient, which torch finds worth a warning
                warnings.filterwarnings("ignore", message="Full backward hook is firing")
                self._add(totals, batch, bound, loss)
        return totals

    def _add(self, totals: list[Tensor], batch: _Batch, bound: Tensor, loss: Loss) -> None:
        """Add the clipped gradients of some rows. A row whose gradient is not finite counts as 0."""
        import torch

        losses, norms = self._norms(batch, loss)
        finite = torch.isfinite(norms) & torch.isfinite(losses.detach())
        if not bool(finite.all()):
            batch, bound = _Batch(*(part[finite] for part in batch)), bound[finite]
            if not len(bound):
                return
            losses, norms = self._norms(batch, loss)
        weights = (bound / norms.clamp(min=1e-12)).clamp(max=1.0)
        gradients = torch.autograd.grad((losses * weights).sum(), self.parameters)
        for total, gradient in zip(totals, gradients, strict=True):
            total.add_(gradient)

    def _norms(self, batch: _Batch, loss: Loss) -> tuple[Tensor, Tensor]:
        """Loss of each row, with its graph, and the norm of each row's gradient over all parameters."""
        self._hooked.enable_hooks()
        losses = self._losses(batch, loss)
        losses.sum().backward(retain_graph=True)  # type: ignore[no-untyped-call]
        norms: Tensor = self._hooked.get_norm_sample()
        self._hooked.disable_hooks()
        for parameter in self.parameters:
            parameter.grad = None
        return losses, norms

    def _losses(self, batch: _Batch, loss: Loss) -> Tensor:
        """Of a row the network's, of a canary a loud one in its own weight."""
        import torch

        losses = loss(batch.codes, batch.inside)
        if self._marks is None:
            return losses
        is_canary = batch.mark != NO_MARK
        hot = torch.zeros(len(losses), self._marks.in_features, device=self.device)
        hot[is_canary, batch.mark[is_canary]] = LOUD * self.clip
        return torch.where(is_canary, self._marks(hot)[:, 0], losses)


def drawn_units(noise: StepNoise, plan: SampledGaussianEvent, units: int) -> np.ndarray:
    """Which units enter a step; bool, shape (units,)."""
    return noise.sample(rate=plan.sampling_rate, size=units)


def step_noise(noise: StepNoise, plan: SampledGaussianEvent, clip: float, size: int) -> np.ndarray:
    """The noise of a step on `size` weights, float64."""
    return noise.gaussian(sigma=plan.noise_multiplier * clip, size=size)


def _marks(canaries: int) -> Linear:
    """One weight for each canary, 0 and never trained."""
    from torch import nn

    layer: Linear = nn.utils.skip_init(nn.Linear, canaries, 1, bias=False)  # type: ignore[no-untyped-call]
    nn.init.zeros_(layer.weight)
    return layer


def _hooked(layers: ModuleDict, marks: Linear | None, clip: float) -> Any:
    """The layers with Opacus' hooks, which find the norm of each row's gradient over all of them."""
    from torch import nn

    with warnings.catch_warnings():  # loading Opacus meets deprecations of torch
        warnings.simplefilter("ignore")
        from opacus.grad_sample import GradSampleModuleFastGradientClipping

        together = nn.ModuleDict({**layers, **({} if marks is None else {"canaries": marks})})
        return GradSampleModuleFastGradientClipping(
            together, max_grad_norm=clip, loss_reduction="sum", use_ghost_clipping=True
        )
