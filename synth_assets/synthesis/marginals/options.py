"""Numbers of the method: shares of the budget, sizes of bins, effort of the fit. All public, the same for every table.

What belongs here: constants; the reasons for their values are in docs/mechanisms/dp_marginals.md. What does not: anything learned from
data.
"""

from __future__ import annotations

from pydantic import Field

from synth_assets.privacy.records import Record


class MarginalOptions(Record):
    """Defaults were tuned on public tables; they are not tuned per data set.

    Attributes:
        share_domain: Share of the budget (rho) for bounds and categories where nobody declared any; times the square root of the
            undeclared fraction of the columns else.
        share_ones: Share of the rest for one-way tables.
        share_target: Share for the tables of every column with the target.
        share_roundness: Share for how often numbers are multiples of 10, 100, ...
        share_selection: Share for choosing pairs.
        bins: Bins per number column, times (rows / sigma)^(1/4).
        significance_mass: A bin holds at least this many sigmas.
        significance_sum: A bin closes when its noisy sum exceeds this many standard deviations of its noise.
        block: Fine cells per block of the second, coarser one-way table of a wide number.
        levels: Resolutions at which pairs may be measured.
        pool: Categories with fewer than this many sigmas share a bin.
        keep_missing: Missing values are modelled where their noisy count exceeds this many sigmas.
        pairs: Tables of pairs at rho 0.02 for one row per unit; grows with sqrt(rho).
        pairs_cap: At most this many tables per pair of columns.
        stages: Rounds of selection; the model is fitted anew after each.
        noise_share: Share of the expected noise that is held against a table when it is scored.
        target_bins: Most bins of the target.
        candidates: Most pairs of columns whose tables are scored.
        components: Components of the mixture.
        spread: Standard deviation of the initial logits.
        rate: Step size of Adam.
        entropy: Weight of the entropy term.
        stage_steps: Steps of the fit after each round of selection.
        warm_steps: Steps of the fit to one-way tables, before the first round.
        final_steps: Steps of the fit from stored measurements, at the noise per row of the tuning; see `Problem.final_steps`.
        target_rows: Rows drawn from the model of the features for the fit of the target.
        interaction_scale: Prior standard deviation of what a cell of a pair of columns adds to the log odds of the target.
    """

    share_domain: float = Field(default=0.20, gt=0, lt=1)
    share_ones: float = Field(default=0.12, gt=0, lt=1)
    share_target: float = Field(default=0.15, gt=0, lt=1)
    share_roundness: float = Field(default=0.003, gt=0, lt=1)
    share_selection: float = Field(default=0.05, gt=0, lt=1)
    bins: float = 6.3
    significance_mass: float = 3.0
    significance_sum: float = 2.5
    block: int = 10
    levels: int = 3
    pool: float = 1.0
    keep_missing: float = 4.0
    pairs: float = 60.0
    pairs_cap: float = 1.5
    stages: int = 4
    noise_share: float = 0.3
    target_bins: int = 10
    candidates: int = 3000
    components: int = 1000
    spread: float = 0.5
    rate: float = 0.05
    entropy: float = 1000.0
    stage_steps: int = 200
    warm_steps: int = 60
    final_steps: int = 650
    target_rows: int = 20_000
    interaction_scale: float = Field(default=0.07, gt=0)
