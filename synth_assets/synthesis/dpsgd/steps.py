"""One step of DP-SGD: Poisson sample of units, gradients clipped per unit, noise, division by a public number. Counted by itself.

What belongs here: the only code that turns private rows into a gradient. What does not: losses (tvae.py, ctgan.py) and what a gradient
is for. Norms of per-row gradients by Opacus' ghost clipping. Derivation and limits: docs/mechanisms/dp_sgd.md.

Source: Abadi et al., "Deep Learning with Differential Privacy", 2016, algorithm 1.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from synth_assets.errors import UnexpectedError
from synth_assets.privacy.mechanisms import StepNoise
from synth_assets.privacy.records import SampledGaussianEvent

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import ModuleDict, Parameter

    Loss = Callable[[Tensor, Tensor], Tensor]

ROUNDING = 1 - 1e-4  # norms are computed in single precision: what is clipped stays below the bound by this factor
CHUNK_ROWS = 4096


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
    ) -> None:
        self.rows, self.plan, self.clip, self.expected, self.noise = rows, plan, clip, expected, noise
        self.inside, self.taken = inside, 0
        self.parameters: list[Parameter] = [p for p in layers.parameters() if p.requires_grad]
        self.device = self.parameters[0].device
        self._hooked = _hooked(layers, clip)
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
        drawn = drawn_units(self.noise, self.plan, self.rows.count)
        totals = self.clipped_sum(np.flatnonzero(drawn[self.rows.units]), loss)
        for parameter, total in zip(self.parameters, totals, strict=True):
            parameter.grad = (total + self._noise(parameter)) / self.expected

    def _noise(self, parameter: Parameter) -> Tensor:
        import torch

        drawn = step_noise(self.noise, self.plan, self.clip, parameter.numel())
        return torch.from_numpy(drawn.astype(np.float32)).reshape(parameter.shape).to(self.device)

    def clipped_sum(self, picked: np.ndarray, loss: Loss) -> list[Tensor]:
        """Sum over rows of their clipped gradients; private. A unit's rows share its bound equally."""
        import torch

        totals = [torch.zeros_like(p) for p in self.parameters]
        for start in range(0, len(picked), CHUNK_ROWS):
            some = picked[start : start + CHUNK_ROWS]
            codes = torch.from_numpy(self.rows.codes[some].astype(np.int64)).to(self.device)
            normal = self.noise.normals(size=len(some) * self.inside).reshape(len(some), self.inside)
            inside = torch.from_numpy(normal.astype(np.float32)).to(self.device)
            bound = torch.from_numpy(ROUNDING * self.clip / self.rows.rows_of[self.rows.units[some]]).to(codes.device)
            with (
                warnings.catch_warnings()
            ):  # the first layer's input has no gradient, which torch finds worth a warning
                warnings.filterwarnings("ignore", message="Full backward hook is firing")
                self._add(totals, codes, inside, bound.float(), loss)
        return totals

    def _add(self, totals: list[Tensor], codes: Tensor, inside: Tensor, bound: Tensor, loss: Loss) -> None:
        """Add the clipped gradients of some rows. A row whose gradient is not finite counts as 0."""
        import torch

        losses, norms = self._norms(codes, inside, loss)
        finite = torch.isfinite(norms) & torch.isfinite(losses.detach())
        if not bool(finite.all()):
            codes, inside, bound = codes[finite], inside[finite], bound[finite]
            if not len(codes):
                return
            losses, norms = self._norms(codes, inside, loss)
        weights = (bound / norms.clamp(min=1e-12)).clamp(max=1.0)
        gradients = torch.autograd.grad((losses * weights).sum(), self.parameters)
        for total, gradient in zip(totals, gradients, strict=True):
            total.add_(gradient)

    def _norms(self, codes: Tensor, inside: Tensor, loss: Loss) -> tuple[Tensor, Tensor]:
        """Loss of each row, with its graph, and the norm of each row's gradient over all parameters."""
        self._hooked.enable_hooks()
        losses = loss(codes, inside)
        losses.sum().backward(retain_graph=True)  # type: ignore[no-untyped-call]
        norms: Tensor = self._hooked.get_norm_sample()
        self._hooked.disable_hooks()
        for parameter in self.parameters:
            parameter.grad = None
        return losses, norms


def drawn_units(noise: StepNoise, plan: SampledGaussianEvent, units: int) -> np.ndarray:
    """Which units enter a step; bool, shape (units,)."""
    return noise.sample(rate=plan.sampling_rate, size=units)


def step_noise(noise: StepNoise, plan: SampledGaussianEvent, clip: float, size: int) -> np.ndarray:
    """The noise of a step on `size` weights, float64."""
    return noise.gaussian(sigma=plan.noise_multiplier * clip, size=size)


def _hooked(layers: ModuleDict, clip: float) -> Any:
    """The layers with Opacus' hooks, which find the norm of each row's gradient."""
    with warnings.catch_warnings():  # loading Opacus meets deprecations of torch
        warnings.simplefilter("ignore")
        from opacus.grad_sample import GradSampleModuleFastGradientClipping

        return GradSampleModuleFastGradientClipping(
            layers, max_grad_norm=clip, loss_reduction="sum", use_ghost_clipping=True
        )
