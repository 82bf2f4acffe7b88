"""Whether a classifier tells synthetic rows from real ones: noise and shuffled columns it must, held-out rows and copies it must not."""

from __future__ import annotations

import numpy as np
import pytest

from synth_assets.audit.fidelity.discriminator import _area, discriminator_finding, tell_apart
from synth_assets.config.thresholds import AuditLevels
from synth_assets_tests.unit.audit.worlds import prepared


def _rows(rows, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    return {
        "x": x.round(2).tolist(),
        "y": [None if v < -1.5 else float(w) for v, w in zip(x, (2 * x + rng.normal(size=rows)).round(1), strict=True)],
        "c": np.where(x > 0, rng.choice(["a", "b"], rows), "c").tolist(),
    }


def _finding(synthetic, **options):
    tables = {"train": _rows(1500, 1), "holdout": _rows(800, 2), "synthetic": synthetic} | options
    finding, reason = discriminator_finding(prepared(**tables), AuditLevels(), 1)
    assert reason is None
    return finding


def test_a_fresh_sample_cannot_be_told_from_real_rows():
    finding = _finding(_rows(1500, 3))
    assert finding.risk_level == "low"
    assert finding.value == pytest.approx(0.5, abs=0.05)
    assert finding.baseline == pytest.approx(0.5, abs=0.05)
    assert finding.excess_interval[0] < 0 < finding.excess_interval[1]
    assert (finding.sample_size, finding.control_size) == (800, 800)
    assert not finding.decides


def test_shuffled_columns_and_noise_give_themselves_away():
    rng = np.random.default_rng(1)
    shuffled = {n: rng.permutation(np.array(v, dtype=object)).tolist() for n, v in _rows(1500, 3).items()}
    noise = {"x": rng.uniform(-9, 9, 900).tolist(), "y": [1.0] * 900, "c": ["c"] * 900}
    for synthetic, least in ((shuffled, 0.75), (noise, 0.95)):
        finding = _finding(synthetic)
        assert finding.value > least
        assert finding.interval[0] > 0.7
        assert finding.excess_interval[0] > 0.2
    assert finding.risk_level == "high"


def test_copied_rows_are_not_told_by_their_twins():
    """Without equal rows in one fold, a copy's label would be the opposite of what the model learned: an area far below 0.5."""
    finding = _finding(_rows(1500, 1))
    assert 0.44 < finding.value < 0.56


def test_without_a_holdout_there_is_no_baseline_and_few_rows_give_a_reason():
    finding, _ = discriminator_finding(prepared(train=_rows(300, 1), synthetic=_rows(300, 2)), AuditLevels(), 1)
    assert finding.baseline is finding.excess is finding.control_size is None
    finding, reason = discriminator_finding(prepared(train=_rows(300, 1), synthetic=_rows(99, 2)), AuditLevels(), 1)
    assert finding is None
    assert "too few" in reason


def test_tables_of_one_row_repeated_have_an_even_area():
    table = {"x": [1.0] * 200, "c": ["a"] * 200}
    area = tell_apart(prepared(train=table, synthetic=table), "synthetic", 200, 1)
    assert (area.value, area.interval) == (0.5, (0.0, 1.0))


@pytest.mark.parametrize("column", [None, 1.0])
def test_a_column_that_is_missing_everywhere_or_nearly_does_no_harm(column):
    table = _rows(300, 1) | {"gone": [column] + [None] * 299}
    area = tell_apart(prepared(train=table, synthetic=_rows(300, 2) | {"gone": [None] * 300}), "synthetic", 300, 1)
    assert 0.4 < area.value < 0.6
    nothing = {"gone": [None] * 200}
    assert tell_apart(prepared(train=nothing, synthetic=nothing), "synthetic", 200, 1).value == 0.5


def test_the_area_and_its_variance_match_hand_calculation():
    # pairs: 3 beats 1, 2, 2 -> 1; 2 beats 1, ties 2, 2 -> 2/3. Low side: 1 loses to both -> 1; 2 loses to one, ties one -> 0.75 twice
    value, variance = _area(np.array([3.0, 2.0]), np.array([1.0, 2.0, 2.0]))
    assert value == pytest.approx(5 / 6)
    assert variance == pytest.approx(np.var([1, 2 / 3], ddof=1) / 2 + np.var([1, 0.75, 0.75], ddof=1) / 3)


def test_the_area_is_sklearns():
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(1)
    high, low = rng.integers(0, 9, 80).astype(float), rng.integers(0, 7, 60).astype(float)
    expected = roc_auc_score([1] * 80 + [0] * 60, np.concatenate([high, low]))
    assert _area(high, low)[0] == pytest.approx(expected)


def test_the_same_seed_gives_the_same_area():
    assert _finding(_rows(400, 3)) == _finding(_rows(400, 3))
