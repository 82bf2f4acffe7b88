"""Normal and Bernoulli draws of DP-SGD: their law, their scale, their source."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats  # noqa: TID253  a test of draws

from synth_assets.errors import InputError
from synth_assets.privacy.continuous import bernoulli, normals, summed_normals
from synth_assets.privacy.mechanisms import InsecureNoise, SystemNoise
from synth_assets.privacy.sampling import WORD, SeededBits

SIZE = 200_000


class Words:
    """A stream that gives these words, and counts how many were asked for."""

    def __init__(self, *words: int) -> None:
        self.left, self.asked = list(words), 0

    def words(self, size: int) -> np.ndarray:
        self.asked += size
        return np.array([self.left.pop(0) if self.left else 1 << 60 for _ in range(size)], dtype=np.int64)


@pytest.mark.parametrize("draw", [lambda n: n.normals(size=SIZE), lambda n: n.gaussian(sigma=3.5, size=SIZE) / 3.5])
def test_draws_are_normal_with_the_scale_that_was_asked_for(draw) -> None:
    drawn = draw(SystemNoise())
    assert stats.kstest(drawn, "norm").pvalue > 1e-6
    spread = drawn.var() * SIZE  # chi square with SIZE degrees of freedom
    assert stats.chi2(SIZE).ppf(1e-7) < spread < stats.chi2(SIZE).ppf(1 - 1e-7)
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 5.5 / math.sqrt(SIZE)


def test_one_noisy_number_is_half_the_sum_of_four_draws() -> None:
    four = normals(SeededBits(5), 4)
    assert summed_normals(SeededBits(5), 2.0, 1)[0] == pytest.approx(2.0 * four.sum() / 2, rel=1e-12)
    stream = Words()
    summed_normals(stream, 1.0, 10)
    assert stream.asked == 40


def test_the_ends_of_the_words_give_finite_normals() -> None:
    drawn = normals(Words(0, WORD - 1, 0, WORD - 1), 4)
    assert np.isfinite(drawn).all()
    assert np.abs(drawn).max() == pytest.approx(math.sqrt(2 * 53 * math.log(2)), rel=1e-9)


@pytest.mark.parametrize("rate", [1e-3, 0.1, 0.5, 0.999])
def test_units_are_drawn_at_the_rate_that_is_accounted(rate: float) -> None:
    hits = int(SystemNoise().sample(rate=rate, size=SIZE).sum())
    assert stats.binom(SIZE, rate).ppf(1e-7) <= hits <= stats.binom(SIZE, rate).ppf(1 - 1e-7)


def test_a_rate_is_never_exceeded_by_rounding() -> None:
    last = math.floor(0.3 * WORD)
    assert bernoulli(Words(last - 1, last), 0.3, 2).tolist() == [True, False]
    assert bernoulli(Words(WORD - 1), 1.0, 1).tolist() == [True]


def test_draws_of_the_system_never_repeat_and_those_for_plumbing_do() -> None:
    assert not np.array_equal(SystemNoise().normals(size=8), SystemNoise().normals(size=8))
    assert np.array_equal(InsecureNoise(1).gaussian(sigma=1, size=8), InsecureNoise(1).gaussian(sigma=1, size=8))


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_noise_without_a_scale_is_refused(bad: float) -> None:
    with pytest.raises(InputError):
        SystemNoise().gaussian(sigma=bad, size=1)


@pytest.mark.parametrize("bad", [0.0, -0.1, 1.1, math.nan])
def test_a_sampling_rate_out_of_range_is_refused(bad: float) -> None:
    with pytest.raises(InputError):
        SystemNoise().sample(rate=bad, size=1)
