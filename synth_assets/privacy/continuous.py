"""Continuous normal draws and Bernoulli draws for steps of DP-SGD, over secret random words.

What belongs here: the draws. What does not: clipping, steps, their cost. Noise is the sum of four normal draws, halved: who sees one
noisy number cannot undo the floating-point arithmetic of four (Holohan, Braghin, "Secure Random Sampling in Differential Privacy",
2021; Opacus' secure mode does the same). Derivation and limits: docs/mechanisms/dp_sgd.md.
"""

from __future__ import annotations

import math

import numpy as np

from synth_assets.errors import InputError
from synth_assets.privacy.sampling import WORD, WORD_BITS, Bits

DRAWS = 4
MANTISSA = 53
CHUNK = 1 << 16


def normals(bits: Bits, size: int) -> np.ndarray:
    """Standard normal draws by Box and Muller from 53-bit uniforms, float64, shape (size,); the largest is 8.6."""
    half = (size + 1) // 2
    words = bits.words(2 * half) >> (WORD_BITS - MANTISSA)
    radius = np.sqrt(-2.0 * np.log((words[:half] + 1) * 2.0**-MANTISSA))
    angle = words[half:] * (2.0 * math.pi * 2.0**-MANTISSA)
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:size]


def summed_normals(bits: Bits, sigma: float, size: int) -> np.ndarray:
    """Normal noise of scale sigma as half the sum of four draws, float64, shape (size,).

    Raises:
        InputError: sigma is not positive and finite, or size is negative.
    """
    if not (math.isfinite(sigma) and sigma > 0) or size < 0:
        raise InputError(f"noise needs a positive, finite scale and a size from 0, not {sigma!r} and {size!r}.")
    out = np.empty(size)
    for start in range(0, size, CHUNK):
        some = min(CHUNK, size - start)
        out[start : start + some] = normals(bits, DRAWS * some).reshape(DRAWS, some).sum(axis=0)
    return out * (sigma / math.sqrt(DRAWS))


def bernoulli(bits: Bits, probability: float, size: int) -> np.ndarray:
    """Independent draws that are true with probability floor(p * 2**62) / 2**62, never above p; bool, shape (size,).

    Raises:
        InputError: the probability is not in (0, 1].
    """
    if not 0 < probability <= 1:
        raise InputError(f"a sampling rate must lie in (0, 1], it is {probability!r}.")
    drawn: np.ndarray = bits.words(size) < math.floor(probability * WORD)
    return drawn
