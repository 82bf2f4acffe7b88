"""How the interval of each metric of the audit is made, and why a metric has none, or has no figure to stand beside. Texts only.

Keys are families of metrics, as in `glossary.py`.
"""

from __future__ import annotations

_WILSON = "Wilson's interval of a rate"
_NEWCOMBE = "Newcombe's interval of a difference of two rates"
_DELTA = "delta method over rows, whole units where several rows belong to one"
_MODELS = "percentiles over resamples of the rows that the models are tested on, whole units together; both models meet the same ones"
_PARITY = "Newcombe's, at a confidence that Bonferroni's inequality raises by the number of pairs of groups"
_HALVES = "spread over halves of the rows, whole units together, since bins and counted pairs move with the rows"
_COUNTED = "counted on the whole table: it says what this very table holds"
_RAW = "the raw table is what the figure is a distance or a loss from"

INTERVALS: dict[str, str] = {
    "exact_copies": _WILSON,
    "near_copies": _WILSON,
    "membership_inference": _NEWCOMBE,
    "membership_low_false_alarms": _WILSON,
    "exposed_rows": f"{_NEWCOMBE} for the attack, Wilson's for near copies",
    "singling_out": _WILSON,
    "linkability": _WILSON,
    "attribute_inference": _WILSON,
    "closest_record": _WILSON,
    "tvd_1way": _DELTA,
    "tvd_2way": _DELTA,
    "tvd_3way": _DELTA,
    "column_tvd": _DELTA,
    "k_marginal": _DELTA,
    "k_marginal.subsample_share": "the shares of which 95 of 100 random parts score so",
    "column_shapes": _DELTA,
    "column_pair_trends": _HALVES,
    "quality_report": "the mean of the half widths of column shapes and pair trends, which is never too narrow",
    "correlation_difference": _DELTA,
    "association_difference": _DELTA,
    "column_chi_square": "inversion of the noncentral chi-square distribution, on as many rows as the units are worth (Rao, Scott)",
    "column_ks": f"{_NEWCOMBE}, where the shares differ most, on as many rows as the units are worth",
    "inconsistency": _WILSON,
    "inconsistency.declared": _WILSON,
    "discriminator": "DeLong's interval of an area under a ROC curve",
    "sequence.autocorrelation": "delta method over units",
    "sequence.transitions": "delta method over units",
    "sequence.gaps": f"{_NEWCOMBE}, where the shares differ most, on as many rows as the units are worth",
    "domain_validity": _WILSON,
    "column_validity": _WILSON,
    "primary_key_unique": _WILSON,
    "relations.integrity": _WILSON,
    "relations.children": "delta method over parents",
    "relations.cardinality": f"{_NEWCOMBE} of parents, where they differ most",
    "relations.trends": "spread over halves of the parents, with all their children",
    "predictive_score": _MODELS,
    "gradient_boosting": _MODELS,
    "linear": _MODELS,
    "random_forest": _MODELS,
    "train_real_test_synthetic": _MODELS,
    "feature_importance": _MODELS,
    "query_error": "percentiles over resamples of the queries",
    "group_shares": _PARITY,
    "demographic_parity": _PARITY,
    "equalised_odds": _PARITY,
    "predictive_parity": _PARITY,
}

WITHOUT_INTERVAL: dict[str, str] = {
    "k_anonymity": _COUNTED,
    "prosecutor_risk": _COUNTED,
    "journalist_risk": _COUNTED,
    "marketer_risk": _COUNTED,
    "unique_rows": _COUNTED,
    "smallest_class": _COUNTED,
    "l_diversity": _COUNTED,
    "t_closeness": _COUNTED,
    "information_loss": _COUNTED,
    "anonymity_loss": _COUNTED,
    "tvd_marginal": _COUNTED,
}

WITHOUT_BASELINE: dict[str, str] = {
    "information_loss": _RAW,
    "anonymity_loss": _RAW,
    "tvd_marginal": _RAW,
}


def method(name: str) -> str:
    """How the interval of a family of metrics is made, or why there is none, and why there is no baseline, as sentences."""
    told = []
    if name in INTERVALS:
        told.append(f"95 % interval: {INTERVALS[name]}.")
    if name in WITHOUT_INTERVAL:
        told.append(f"No interval: {WITHOUT_INTERVAL[name]}.")
    if name in WITHOUT_BASELINE:
        told.append(f"No baseline: {WITHOUT_BASELINE[name]}.")
    return " ".join(told)
