"""Which marginals the audit compares: all columns, all pairs, and a fixed choice of triples. Names only, no data."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from synth_assets.audit.marginals import Clique
from synth_assets.seeds import child_seed

TRIPLES = 50
PAIR_LIMIT = 2_000


def workload(names: Sequence[str], seed: int) -> tuple[dict[int, list[Clique]], tuple[str, ...]]:
    """All 1-way and 2-way marginals and 50 fixed 3-way ones; of a wide table's pairs a seeded subset.

    Returns:
        Size of the marginal to its cliques, and notes about what was left out.
    """
    notes = []
    pairs: list[Clique] = list(itertools.combinations(names, 2))
    if len(pairs) > PAIR_LIMIT:
        notes.append(f"{PAIR_LIMIT} of the {len(pairs)} pairs of columns were drawn at random and compared.")
        pick = np.random.default_rng(child_seed(seed, "pairs")).choice(len(pairs), PAIR_LIMIT, replace=False)
        pairs = [pairs[i] for i in sorted(pick)]
    return {1: [(name,) for name in names], 2: pairs, 3: _triples(names)}, tuple(notes)


def _triples(names: Sequence[str]) -> list[Clique]:
    """50 triples, the same for every table with as many columns (legacy generator: the draw of the public benchmark harness)."""
    total = math.comb(len(names), 3)
    if total > 200_000:  # too many to list: draw columns
        rng = np.random.default_rng(0)
        drawn = {tuple(sorted(rng.choice(len(names), 3, replace=False).tolist())) for _ in range(TRIPLES)}
        return [(names[i], names[j], names[k]) for i, j, k in sorted(drawn)]
    triples = list(itertools.combinations(names, 3))
    return [triples[i] for i in np.random.RandomState(0).permutation(total)[:TRIPLES]]
