"""Distances between rows: by hand, against a slow reference, and in blocks."""

from __future__ import annotations

import numpy as np
import pytest

from synth_assets.audit.privacy import neighbours
from synth_assets.audit.privacy.neighbours import Encoder, nearest_distances, nearest_sets, nearest_without
from synth_assets_tests.unit.audit.worlds import prepared


def _slow(data, query, base):
    """Gower distances by two loops."""
    synthetic = data.parts["synthetic"]
    result = np.zeros((query.held, base.held))
    for name in data.names:
        for i, a in enumerate(query.values[name]):
            for j, b in enumerate(base.values[name]):
                if not data.numeric(name):
                    result[i, j] += a != b
                elif np.isnan(a) or np.isnan(b):
                    result[i, j] += np.isnan(a) != np.isnan(b)
                else:
                    known = np.sort(synthetic.values[name][~np.isnan(synthetic.values[name])])
                    rank = lambda v, k=known: (np.sum(k < v) + np.sum(k <= v)) / 2 / len(k)  # noqa: E731
                    result[i, j] += abs(rank(a) - rank(b))
    return result


def _world(rows=40, seed=0):
    rng = np.random.default_rng(seed)
    table = lambda: {  # noqa: E731
        "x": [None if rng.random() < 0.1 else float(v) for v in rng.normal(size=rows)],
        "c": rng.choice(["a", "b", "c"], rows).tolist(),
        "z": rng.integers(0, 4, rows).tolist(),
    }
    return prepared(synthetic=table(), train=table())


@pytest.mark.parametrize("cells", [1, 100, 10**6])
def test_distances_match_a_slow_reference_whatever_the_block_size(monkeypatch, cells):
    monkeypatch.setattr(neighbours, "_BLOCK_CELLS", cells)
    data = _world()
    encoder = Encoder(data)
    query, base = (encoder.encode(data.parts[side]) for side in ("train", "synthetic"))
    slow = _slow(data, data.parts["train"], data.parts["synthetic"])
    assert nearest_distances(query, base, k=3) == pytest.approx(np.sort(slow, axis=1)[:, :3], abs=1e-5)
    found = nearest_without(query, base, [1])[0]
    without = slow - (data.parts["train"].values["c"][:, None] != data.parts["synthetic"].values["c"][None, :])
    assert without[np.arange(40), found] == pytest.approx(without.min(axis=1), abs=1e-5)
    half = nearest_sets(query, base, [1], k=1)[:, 0]
    assert (data.parts["synthetic"].values["c"][half] == data.parts["train"].values["c"]).all()


def test_figures_do_not_depend_on_the_number_of_cores(monkeypatch):
    monkeypatch.setattr(neighbours, "_BLOCK_CELLS", 200)
    data = _world(rows=90)
    encoder = Encoder(data)
    query, base = (encoder.encode(data.parts[side]) for side in ("train", "synthetic"))
    found = []
    for cores in (1, 2, 7):
        monkeypatch.setattr(neighbours, "_cores", lambda cores=cores: cores)
        made = (
            nearest_distances(query, base, k=4),
            nearest_without(query, base, [0, 2]),
            nearest_sets(query, base, [0, 1], k=3),
        )
        found.append([np.sort(m, axis=-1) if i == 2 else m for i, m in enumerate(made)])
    for other in found[1:]:
        assert all((a == b).all() for a, b in zip(found[0], other, strict=True))


def test_an_equal_row_is_at_distance_zero_exactly():
    data = _world()
    encoder = Encoder(data)
    base = encoder.encode(data.parts["synthetic"])
    assert (nearest_distances(base, base, k=1) == 0).all()


def test_as_many_neighbours_as_rows_are_all_of_them():
    data = prepared(synthetic={"c": ["a", "b"]}, train={"c": ["a"]})
    encoder = Encoder(data)
    base, query = encoder.encode(data.parts["synthetic"]), encoder.encode(data.parts["train"])
    assert nearest_distances(query, base, k=2).tolist() == [[0.0, 1.0]]
    assert sorted(nearest_sets(query, base, [0], k=5)[0]) == [0, 1]


def test_the_scale_of_a_number_does_not_matter():
    first = prepared(synthetic={"x": [1, 2, 3, 4]}, train={"x": [1.4, 3.9]})
    second = prepared(synthetic={"x": [100, 200, 300, 400]}, train={"x": [140, 390]})
    distances = []
    for data in (first, second):
        encoder = Encoder(data)
        distances.append(
            nearest_distances(encoder.encode(data.parts["train"]), encoder.encode(data.parts["synthetic"]), k=2)
        )
    assert distances[0] == pytest.approx(distances[1])
