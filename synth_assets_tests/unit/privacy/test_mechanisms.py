"""The noise: its law, its exactness, its source. Statistical tests draw fresh noise and fail wrongly with probability 1e-9 each."""

from __future__ import annotations

import inspect
import itertools
import math
import multiprocessing
from bisect import bisect_right
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.errors import InputError
from synth_assets.privacy import inversion, sampling
from synth_assets.privacy.mechanisms import InsecureNoise, NoiseSource, SystemNoise, effective_sigma

FAILURE = 1e-9


def p_value(draws: np.ndarray, support: np.ndarray, weights: np.ndarray) -> float:
    """Chi-square test of draws against probabilities proportional to weights; cells of fewer than 20 expected draws are joined."""
    from scipy.stats import chi2

    expected = weights / weights.sum() * len(draws)
    seen = np.array([(draws == value).sum() for value in support])
    assert seen.sum() == len(draws)
    small = expected < 20
    expected = np.append(expected[~small], expected[small].sum())
    seen = np.append(seen[~small], seen[small].sum())
    if expected[-1] < 20:
        expected[-2:-1] += expected[-1]
        seen[-2:-1] += seen[-1]
        expected, seen = expected[:-1], seen[:-1]
    return float(chi2.sf(((seen - expected) ** 2 / expected).sum(), len(expected) - 1))


def gaussian_p(draws: np.ndarray, sigma: float) -> float:
    reach = int(max(np.abs(draws).max(), 12 * sigma)) + 1
    support = np.arange(-reach, reach + 1)
    return p_value(draws, support, np.exp(-(support**2) / (2 * sigma**2)))


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.7, 8.0, 45.3])
def test_draws_follow_the_probabilities_of_the_discrete_gaussian(sigma: float) -> None:
    draws = SystemNoise().discrete_gaussian(sigma=sigma, size=200_000)
    assert draws.dtype == np.int64
    assert gaussian_p(draws, effective_sigma(sigma)) > FAILURE


@pytest.mark.parametrize("factor", [0.97, 1.03])
def test_noise_of_another_scale_is_caught(factor: float) -> None:
    """Negative control: three percent too little or too much noise fails the same test."""
    draws = SystemNoise().discrete_gaussian(sigma=8.0 * factor, size=200_000)
    assert gaussian_p(draws, 8.0) < FAILURE


@pytest.mark.parametrize("sigma", [300.0, 5000.0, 1e5, 1e9])
def test_large_scales_have_the_right_variance_and_no_bias(sigma: float) -> None:
    draws = SystemNoise().discrete_gaussian(sigma=sigma, size=50_000) / sigma
    assert abs(draws.mean()) < 6.2 / math.sqrt(50_000)
    assert abs((draws**2).mean() - 1) < 6.2 * math.sqrt(2 / 50_000)


def test_one_over_the_square_root_of_the_sum_is_the_share_of_zeros() -> None:
    """By hand: sigma^2 = 1 / (2 ln 2) gives weights 2^-(k^2), so P[0] = 1 / (1 + 2 (1/2 + 1/16 + 1/512 + ...)) = 0.46944."""
    sigma = math.sqrt(1 / (2 * math.log(2)))
    zeros = (SystemNoise().discrete_gaussian(sigma=sigma, size=200_000) == 0).mean()
    assert zeros == pytest.approx(0.46944, abs=6.2 * math.sqrt(0.25 / 200_000))


class FewBits:
    """Words of very few bits, so that ties are common; seeded, so that the test is exact."""

    def __init__(self, bits: int, seed: int) -> None:
        self._generator, self._bound = np.random.default_rng(seed), 1 << bits

    def words(self, size: int) -> np.ndarray:
        return self._generator.integers(0, self._bound, size, dtype=np.int64)


@pytest.fixture
def few_bits(monkeypatch: pytest.MonkeyPatch) -> FewBits:
    """Samplers that see three bits at a time."""
    monkeypatch.setattr(sampling, "WORD_BITS", 3)
    monkeypatch.setattr(sampling, "WORD", 8)
    sampling.target.cache_clear()
    yield FewBits(3, 1)
    sampling.target.cache_clear()


@pytest.mark.parametrize("sampler", [sampling.gaussian, sampling.rejection])
def test_ties_are_settled_exactly_so_that_three_bits_a_time_give_the_same_law(few_bits: FewBits, sampler) -> None:
    draws = sampler(few_bits, sampling.dyadic_sigma(2.7), 20_000)
    assert gaussian_p(draws, effective_sigma(2.7)) > 1e-4


def test_ties_that_are_settled_wrongly_are_seen(few_bits: FewBits, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: always accepting on a tie is a visible bias at three bits."""
    monkeypatch.setattr(sampling, "refine", lambda *_: True)
    draws = sampling.rejection(few_bits, sampling.dyadic_sigma(2.7), 20_000)
    assert gaussian_p(draws, effective_sigma(2.7)) < FAILURE


def test_a_number_on_a_boundary_that_is_not_refined_is_seen(few_bits: FewBits, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control of the inversion: to stay above the boundary on every tie is a visible bias at three bits."""
    sigma = sampling.dyadic_sigma(2.7)

    def careless(self: inversion.Inversion, bits: FewBits, head: int) -> int:
        first, floors = inversion.boundaries(sigma, 3)
        return first - 1 + max(1, bisect_right(floors, head))

    monkeypatch.setattr(inversion.Inversion, "_refine", careless)
    assert gaussian_p(sampling.gaussian(few_bits, sigma, 20_000), effective_sigma(2.7)) < FAILURE


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.7, 39.33])
def test_the_boundaries_of_the_inversion_are_those_of_an_independent_computation(sigma: float) -> None:
    """Floors of P[Y < k] * 2^62, against sums of 200-bit decimals."""
    exact = effective_sigma(sigma)
    with localcontext() as context:
        context.prec = 90
        square = 2 * Decimal(exact) ** 2
        reach = math.ceil(18 * exact)
        weights = [(-Decimal(k * k) / square).exp() for k in range(-reach, reach + 1)]
        total = sum(weights)
        sums = list(itertools.accumulate(weights, initial=Decimal(0)))
        expected = {k: int(s / total * 2**62) for k, s in zip(range(-reach, reach + 2), sums, strict=True)}
    first, floors = inversion.boundaries(sampling.dyadic_sigma(sigma), 62)
    assert floors[0] == 0
    assert floors[-1] == 2**62 - 1
    assert [min(expected[first + i], 2**62 - 1) for i in range(len(floors))] == list(floors)


@pytest.mark.parametrize(("numerator", "denominator"), [(1, 2), (1, 10**9), (8, 1), (7919, 1024)])
@pytest.mark.parametrize("bits", [70, 190, 700])
def test_the_integer_exponential_is_never_too_large_and_hardly_too_small(
    numerator: int, denominator: int, bits: int
) -> None:
    with localcontext() as context:
        context.prec = 300
        exact = (-Decimal(numerator) / Decimal(denominator)).exp() * 2**bits
        assert exact - 4 < inversion.exp_minus(numerator, denominator, bits) <= exact


@pytest.mark.parametrize("sampler", [sampling.gaussian, sampling.rejection])
@pytest.mark.parametrize("sigma", [0.25, 0.7, 3.3, 39.3, 1024.0])
def test_both_samplers_draw_the_same_law(sampler, sigma: float) -> None:
    draws = sampler(sampling.SystemBits(), sampling.dyadic_sigma(sigma), 60_000)
    assert gaussian_p(draws, effective_sigma(sigma)) > FAILURE


def test_selections_are_exact_with_three_bits_as_well(few_bits: FewBits) -> None:
    scores = np.array([0.0, 1.5, 2.0, -3.0])
    draws = sampling.choose(few_bits, scores, epsilon=1.3, sensitivity=1.0, size=1500)
    assert p_value(draws, np.arange(4), np.exp(1.3 * scores / 2)) > 1e-4


@given(st.fractions(0, 1), st.integers(0, 2**32))
def test_a_tie_goes_on_with_the_next_bits_of_the_probability(p: Fraction, seed: int) -> None:
    """refine(p) is Bernoulli of what is left of p after 62 bits: 0 for a p that ends there."""
    bits = sampling.SeededBits(seed)
    if p * sampling.WORD % 1 == 0:
        assert not sampling.refine(bits, p)
    else:
        rest = p * sampling.WORD % 1
        word = int(sampling.SeededBits(seed).words(1)[0])
        assert sampling.refine(bits, p) == (Fraction(word, sampling.WORD) < rest)


@given(st.floats(2**-21, 2**32))
def test_the_scale_is_rounded_up_by_less_than_a_millionth_of_a_row(sigma: float) -> None:
    effective = effective_sigma(sigma)
    assert sigma <= effective < sigma + 2**-20 + 1e-6 * 2**-20 * sigma
    assert effective_sigma(effective) == effective


@pytest.mark.parametrize("sigma", [0, -1.0, math.inf, math.nan, 2.0**33, "1"])
def test_a_scale_out_of_range_is_refused(sigma: float) -> None:
    with pytest.raises(InputError, match="sigma"):
        SystemNoise().discrete_gaussian(sigma=sigma, size=1)


def test_the_smallest_and_the_largest_scale_and_no_draw_at_all_work() -> None:
    noise = SystemNoise()
    assert not noise.discrete_gaussian(sigma=2**-20, size=1000).any()
    assert 0.8 < noise.discrete_gaussian(sigma=2.0**32, size=1000).std() / 2**32 < 1.2
    assert noise.discrete_gaussian(sigma=3.0, size=0).shape == (0,)
    with pytest.raises(InputError, match="negative"):
        noise.discrete_gaussian(sigma=3.0, size=-1)


def test_selections_follow_the_exponential_mechanism() -> None:
    scores = np.array([0.0, 0.25, 2.0, -1.0, 2.0, 7.0])
    noise = SystemNoise()
    draws = np.array([noise.exponential(scores, epsilon=0.8, sensitivity=1.0) for _ in range(4000)])
    assert p_value(draws, np.arange(6), np.exp(0.8 * scores / 2)) > FAILURE


def test_a_selection_scales_with_its_sensitivity() -> None:
    scores = np.array([0.0, 30.0, 60.0])
    noise = SystemNoise()
    draws = np.array([noise.exponential(scores, epsilon=0.8, sensitivity=30.0) for _ in range(8000)])
    assert p_value(draws, np.arange(3), np.exp(0.8 * scores / 60)) > FAILURE
    assert p_value(draws, np.arange(3), np.exp(1.4 * scores / 60)) < FAILURE  # negative control: a larger epsilon


def test_a_candidate_far_below_the_best_is_practically_never_chosen() -> None:
    scores = np.append(np.full(2000, -1e8), 0.0)
    assert SystemNoise().exponential(scores, epsilon=1.0, sensitivity=1.0) == 2000


@given(
    st.floats(1e-3, 1e3),
    st.lists(st.tuples(st.floats(-1e5, 1e5), st.floats(-1, 1)), min_size=1, max_size=20),
)
def test_rounding_of_scores_keeps_the_sensitivity_that_is_paid_for(
    sensitivity: float, moves: list[tuple[float, float]]
) -> None:
    before = np.array([score for score, _ in moves])
    after = before + sensitivity * np.array([move for _, move in moves])
    steps, width = sampling.score_grid(before, sensitivity)
    moved, same = sampling.score_grid(after, sensitivity)
    assert width == same <= 2**20 + 1
    assert np.abs(moved - steps).max() <= width
    in_steps = math.ldexp(sensitivity, 20 - math.frexp(sensitivity)[1])
    assert 2**19 <= in_steps <= width - 1 < in_steps + 1  # one step in at least half a million is added


@pytest.mark.parametrize(
    ("scores", "epsilon", "sensitivity"),
    [
        ([], 1.0, 1.0),
        ([[1.0]], 1.0, 1.0),
        ([math.nan], 1.0, 1.0),
        ([math.inf], 1.0, 1.0),
        ([1.0], 0.0, 1.0),
        ([1.0], -1.0, 1.0),
        ([1.0], math.inf, 1.0),
        ([1.0], 1e-12, 1.0),
        ([1.0], 1.0, 0.0),
        ([1.0], 1.0, math.nan),
        ([1e12], 1.0, 1.0),
    ],
)
def test_a_selection_that_cannot_be_exact_is_refused(scores: list[float], epsilon: float, sensitivity: float) -> None:
    with pytest.raises(InputError):
        SystemNoise().exponential(np.array(scores), epsilon=epsilon, sensitivity=sensitivity)


def test_system_noise_takes_no_seed_and_never_repeats_itself() -> None:
    assert SystemNoise.secure
    assert not inspect.signature(SystemNoise).parameters
    noise = SystemNoise()
    draws = [noise.discrete_gaussian(sigma=1e6, size=8).tolist() for _ in range(3)]
    draws.append(SystemNoise().discrete_gaussian(sigma=1e6, size=8).tolist())
    assert len({tuple(d) for d in draws}) == 4


def _draw(_: int) -> tuple[int, ...]:
    return tuple(_FORKED.discrete_gaussian(sigma=1e6, size=8).tolist())


_FORKED = SystemNoise()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_processes_do_not_share_a_stream() -> None:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        draws = pool.map(_draw, range(6), chunksize=1)
    assert len({*draws, _draw(0)}) == 7


def test_insecure_noise_repeats_itself_and_says_so() -> None:
    first, second, other = (InsecureNoise(seed) for seed in (5, 5, 6))
    draws = [n.discrete_gaussian(sigma=40.0, size=100) for n in (first, second, other)]
    assert (draws[0] == draws[1]).all()
    assert (draws[0] != draws[2]).any()
    assert not first.secure
    scores = np.arange(10.0)
    chosen = [[n.exponential(scores, epsilon=1.0, sensitivity=1.0) for _ in range(20)] for n in (first, second)]
    assert chosen[0] == chosen[1]


def test_both_sources_fit_the_protocol() -> None:
    sources: list[NoiseSource] = [SystemNoise(), InsecureNoise(1)]
    assert [source.secure for source in sources] == [True, False]
