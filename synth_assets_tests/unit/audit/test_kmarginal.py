"""NIST's k-marginal score against SDNist's own figures, and the subsample reading against draws."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest

from synth_assets.audit.fidelity.kmarginal import BEST, Curve, cliques_of, k_marginal, subsample_share
from synth_assets.audit.marginals import rank_grid
from synth_assets_tests.unit.audit.worlds import prepared

# Made with SDNist 2.4 (pandas 2.0.0, numpy 1.24.2): `Dataset(synthetic, log, test, data_root)` on the 2019 excerpt as target and the 2018
# excerpt as deidentified data, then `KMarginal(d.d_target_data, d.d_synthetic_data, groups).compute_score()`. With PUMA it is the
# group feature; without, the column was dropped from the deidentified file. INDP takes part in neither. The last line is the
# ten-column demographic subset of the national excerpt.
SDNIST = {
    ("national", True): 900.1301186643497,
    ("national", False): 970.0412064571377,
    ("ma", True): 903.9915591345975,
    ("ma", False): 946.4072611748728,
    ("tx", True): 896.0969812931866,
    ("tx", False): 946.678934755692,
}
SDNIST_DEMOGRAPHIC = 980.9088121608296
NUMBERS = {"AGEP", "PINCP", "POVPIP", "PWGTP", "WGTP", "DENSITY"}
DENSITY = np.logspace(1, math.log10(52864.7 + 500), 21)[8:-1]  # SDNist's bins of the density


def _read(path, numbers, left_out=()):
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {name: [row[name] for row in rows] for name in sorted(rows[0]) if name not in left_out}
    return {
        name: [None if v == "N" else float(v) for v in values] if name in numbers else values
        for name, values in columns.items()
    }


def _score(real, synthetic, groups=(), edges=None):
    data = prepared(train=real, synthetic=synthetic)
    grid = rank_grid(data, edges)
    codes = [grid.codes(data.parts[side]) for side in ("train", "synthetic")]
    cliques = cliques_of(data.names, groups)
    scores, curve = k_marginal(codes, grid, cliques)
    return scores[0], curve, (codes[0], grid, cliques)


@pytest.mark.shared_data
@pytest.mark.parametrize(("place", "grouped"), SDNIST)
def test_the_excerpts_have_sdnists_score(shared_data, place, grouped):
    left_out = ("INDP",) if grouped else ("INDP", "PUMA")
    real, synthetic = (
        _read(shared_data / "nist_acs" / f"{place}{year}.csv", NUMBERS, left_out) for year in (2019, 2018)
    )
    score, _, _ = _score(real, synthetic, ("PUMA",) if grouped else (), {"DENSITY": [150, *DENSITY]})
    assert score.value == pytest.approx(SDNIST[place, grouped], abs=1e-6)
    assert score.interval[0] < score.value < score.interval[1]


@pytest.mark.shared_data
def test_the_demographic_excerpt_has_sdnists_score_through_the_audit(shared_data):
    import pandas as pd

    from synth_assets.audit.tables import audit_frames
    from synth_assets.tables.schema import ColumnKind, ColumnSchema, TableSchema

    real, synthetic = (
        pd.read_csv(shared_data / "nist_demo" / f"{part}.csv", dtype=str, keep_default_na=False).astype({"AGEP": int})
        for part in ("train", "holdout")
    )
    columns = [
        ColumnSchema(name=n, kind=ColumnKind.NUMBER if n == "AGEP" else ColumnKind.CATEGORY, dtype="int64" if n == "AGEP" else "string")
        for n in real
    ]  # fmt: skip
    result = audit_frames(synthetic, real, schema=TableSchema(name="t", columns=tuple(columns)))
    score, share = result.findings("fidelity", "k_marginal")
    assert score.value == pytest.approx(SDNIST_DEMOGRAPHIC, abs=1e-6)
    assert share.interval[0] < share.value < share.interval[1]


def test_hand_made_scores():
    table = {"c": ["a", "a", "b", "b"], "d": ["p", "q", "p", "q"]}
    assert _score(table, table)[0].value == 1000
    other = {"c": ["a", "a", "a", "a"], "d": ["p", "q", "p", "q"]}
    assert _score(table, other)[0].value == 500  # half of the rows lie in cells of their own
    assert _score(table, {"c": ["z"], "d": ["z"]})[0].value == 0


def test_twentieths_of_the_rank_hold_equal_numbers_together():
    data = prepared(train={"x": [0] * 30 + list(range(1, 71))}, synthetic={"x": [-3, 0, 1, 70, 99, None]})
    grid = rank_grid(data)
    assert grid.edges["x"].tolist()[:2] == [
        0,
        4,
    ]  # zeros have the mean rank 15.5, so bin 3; 1 to 4 have ranks up to 34, so bin 6
    assert grid.codes(data.parts["synthetic"])["x"].tolist()[:2] == [0, 0]
    assert grid.codes(data.parts["synthetic"])["x"].tolist()[-1] == grid.sizes["x"] - 1


@pytest.mark.parametrize("part", [1, 2, 9, 20, 36, 37])
@pytest.mark.parametrize("held", [1, 3, 10, 36, 37])
def test_the_expected_score_of_a_part_is_that_of_the_hypergeometric_distribution(part, held):
    from scipy.stats import hypergeom

    drawn = np.arange(part + 1)
    deviation = (hypergeom.pmf(drawn, 37, held, part) * np.abs(drawn / part - held / 37)).sum()
    assert Curve(37, np.array([float(held)]), np.array([1.0])).score(part) == pytest.approx(BEST * (1 - deviation / 2))


def _world(rows, seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 12, rows)
    return {
        "x": x.astype(float).tolist(),
        "c": [f"c{v}" for v in (x + rng.integers(0, 4, rows)) % 7],
        "d": [f"d{v}" for v in rng.integers(0, 5, rows)],
    }


def test_a_random_part_of_the_real_rows_reads_as_its_own_share():
    real = _world(4000, 1)
    rows = np.random.default_rng(2).choice(4000, 400, replace=False)
    score, curve, table = _score(real, {name: [values[i] for i in rows] for name, values in real.items()})
    share, span = subsample_share(score.value, curve, *table, seed=3, draws=40)
    assert span[0] < 0.1 < span[1]
    assert share == pytest.approx(0.1, rel=0.5)
    assert span[1] - span[0] < 0.15


def test_a_fresh_sample_reads_as_a_third_a_copy_as_all_and_noise_as_next_to_nothing():
    real = _world(6000, 1)
    score, curve, _ = _score(real, _world(6000, 2))
    assert 0.2 < curve.share(score.value) < 0.5
    score, curve, table = _score(real, real)
    assert subsample_share(score.value, curve, *table, seed=1) == (1.0, (1.0, 1.0))
    noise = {"x": [float(v) for v in range(100)], "c": ["c0"] * 100, "d": ["d0"] * 100}
    score, curve, _ = _score(real, noise)
    assert curve.share(score.value) < 0.002


def test_shuffled_columns_lose_score_in_proportion_to_what_hangs_together():
    real = _world(6000, 1)
    rng = np.random.default_rng(4)
    shuffled = {name: rng.permutation(np.array(values, dtype=object)).tolist() for name, values in real.items()}
    fresh, curve, _ = _score(real, _world(6000, 2))
    broken, _, _ = _score(real, shuffled)
    assert broken.value < fresh.interval[0]
    assert curve.share(broken.value) < curve.share(fresh.value) / 5
