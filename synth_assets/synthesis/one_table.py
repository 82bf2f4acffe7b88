"""One table in one call, for people who import the package: plan, measure, fit, sample over a known domain.

What belongs here: the shortest road for a table without relations. What does not: the ledger (charged.py), undeclared domains
(release.py).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from synth_assets.privacy.calibration import calibrate, total_rho
from synth_assets.privacy.mechanisms import NoiseSource, SystemNoise
from synth_assets.seeds import child_seed
from synth_assets.synthesis.marginals.budget import TableBudget, TableShape, pair_count, plan_table
from synth_assets.synthesis.marginals.fit import fit
from synth_assets.synthesis.marginals.measurements import NARROW_CELLS, Measurements
from synth_assets.synthesis.marginals.options import MarginalOptions
from synth_assets.synthesis.marginals.sample import sample_table
from synth_assets.synthesis.marginals.select_measure import measure
from synth_assets.tables.cells import TableDomain
from synth_assets.tables.marginals import PrivateTable


def plan_single(
    domain: TableDomain,
    *,
    epsilon: float,
    delta: float,
    max_per_unit: int = 1,
    target: str | None = None,
    options: MarginalOptions | None = None,
) -> TableBudget:
    """The noise of every step for one table over a public domain; its `events()` cost at most epsilon at delta.

    Raises:
        InputError: epsilon or delta is out of range.
    """
    options = options or MarginalOptions()
    numeric = [c for c in domain.columns if c.kind != "category"]
    shape = TableShape(
        columns=len(domain.columns),
        wide=sum(c.value_cells > NARROW_CELLS for c in numeric),
        round=sum(bool(c.steps) for c in numeric),
        has_target=target in domain.names and len(domain.columns) > 1,
        max_per_unit=max_per_unit,
    )
    pairs = pair_count(shape, total_rho(epsilon, delta), options)
    rho = calibrate(lambda scale: plan_table(shape, scale, options, pairs=pairs).events(), epsilon=epsilon, delta=delta)
    return plan_table(shape, rho, options, pairs=pairs)


def synthesize_table(
    table: PrivateTable,
    domain: TableDomain,
    *,
    epsilon: float,
    delta: float,
    rows: int | None = None,
    seed: int = 0,
    target: str | None = None,
    noise: NoiseSource | None = None,
    options: MarginalOptions | None = None,
) -> tuple[pa.Table, Measurements]:
    """Synthesize one table under differential privacy.

    Args:
        table: The private rows; its gate must have an open reservation for `plan_single(...).events()`.
        domain: Public cells of every column.
        epsilon: Total epsilon, > 0.
        delta: In (0, 1).
        rows: Rows to make; the noisy number of rows when None.
        seed: Of the model and the sample; never of the noise.
        target: Column to serve first.
        noise: The operating system's when None.
        options: Numbers of the method.

    Returns:
        The synthetic rows, and the measurements, whose `events` are what was spent.
    """
    options = options or MarginalOptions()
    budget = plan_single(
        domain, epsilon=epsilon, delta=delta, max_per_unit=table.max_per_unit, target=target, options=options
    )
    measured = measure(
        table.marginals(domain),
        budget,
        noise or SystemNoise(),
        target=target,
        options=options,
        seed=child_seed(seed, "measure"),
    )
    model = fit(measured, seed=child_seed(seed, "fit"))
    rng = np.random.default_rng(child_seed(seed, "sample"))
    return sample_table(model, model.rows if rows is None else rows, rng), measured
