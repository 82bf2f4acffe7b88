"""What each module and each metric of the audit is called and what it means, for readers who do not do this every day. Texts only.

Every metric that an audit emits has an entry, by its full name or by its family (the part before the dot).
"""

from __future__ import annotations

from typing import NamedTuple

from synth_assets.audit.methods import method


class Metric(NamedTuple):
    """What one figure of the audit is called, and what it means."""

    title: str
    text: str


MODULES: dict[str, Metric] = {
    "privacy": Metric(
        "Privacy",
        "Attacks on the synthetic tables, each compared with the same attack on rows that no synthesizer saw: can one tell who was in "
        "the training data, single somebody out, link two parts of a record, or guess an attribute better than for people who were "
        "not in it? Score = 1 - the largest upper bound above its baseline.",
    ),
    "fidelity": Metric(
        "Fidelity",
        "How close the synthetic tables are to the real ones, over single columns, pairs and triples of columns, and whether values, "
        "keys and references are sound. Score = 1 - mean TVD over all pairs of columns.",
    ),
    "utility": Metric(
        "Utility",
        "A model that predicts the target is trained on synthetic rows and tested on real rows it has not seen, beside one that is "
        "trained on real rows. Score 1: as good as the real one; 0: no better than chance. It has no weight in the overall score.",
    ),
    "fairness": Metric(
        "Fairness",
        "Differences between groups of a protected column in the synthetic table, compared with those in the real one. Score = 1 - "
        "the largest gap that it adds to the real one beyond chance.",
    ),
}

METRICS: dict[str, Metric] = {
    "exact_copies": Metric(
        "Exact copies",
        "Synthetic rows that equal a training row in every column, compared with how many unseen rows do so by chance.",
    ),
    "near_copies": Metric(
        "Near copies",
        "People of whom a synthetic row equals all columns but one, or all categories with every number close by, and points at nobody "
        "else; compared with how often that happens to unseen people. A copy harms the person it is of, however few there are, so the "
        "level also goes by the share of people who are shown to be copied.",
    ),
    "membership_inference": Metric(
        "Membership inference",
        "An attacker who knows a person's whole row guesses whether it was in the training data. The figure is the true less the false "
        "positive rate: 0 is chance, 1 is certainty. Several attacks are tried; the worst decides.",
    ),
    "membership_low_false_alarms": Metric(
        "Membership at few false alarms",
        "The share of training rows that an attacker finds while calling at most one unseen row in a hundred a training row. An "
        "average hides a few people who are exposed with certainty, this does not (Carlini et al., Membership inference attacks from "
        "first principles, 2022).",
    ),
    "exposed_rows": Metric(
        "Most exposed rows",
        "The same attacks on the rows that stand farthest from all others, beside unseen rows that stand as far: a model that keeps "
        "only its rare records leaks nothing about most people and everything about these.",
    ),
    "singling_out": Metric(
        "Singling out",
        "An attacker writes descriptions that fit exactly one synthetic row. The figure is the share of them that fit exactly one real "
        "row; the baseline is what chance gives.",
    ),
    "linkability": Metric(
        "Linkability",
        "An attacker has two halves of a record from different places and uses the synthetic table to find out that they belong "
        "together.",
    ),
    "attribute_inference": Metric(
        "Attribute inference",
        "An attacker knows all columns of a person but one and reads the missing one off the closest synthetic row. The baseline is "
        "the success with people who were not in the training data.",
    ),
    "closest_record": Metric(
        "Distance to the closest record",
        "Whether synthetic rows lie closer to training rows than to unseen ones (0.5 is even). For information: distances say little "
        "about leaks, and a table can pass this test and leak.",
    ),
    "k_anonymity": Metric(
        "k-anonymity of synthetic rows",
        "Synthetic rows in groups of fewer than 5 over the quasi-identifiers. For information: a synthetic row is no person.",
    ),
    "prosecutor_risk": Metric(
        "Prosecutor risk",
        "The chance to find the row of the most exposed person in a masked table, for somebody who knows that the person is in it, and "
        "the quasi-identifiers that can still be read. It makes the module's score.",
    ),
    "journalist_risk": Metric(
        "Journalist risk", "The same for somebody who does not know whether the person is in the table."
    ),
    "marketer_risk": Metric(
        "Marketer risk", "The share of a masked table's rows that are matched rightly with a register, on average."
    ),
    "unique_rows": Metric("Unique rows", "Rows of a masked table that nobody else shares the quasi-identifiers with."),
    "smallest_class": Metric("k", "Persons (or rows) in the smallest group that shares all quasi-identifiers."),
    "l_diversity": Metric("l", "Fewest different values of a sensitive column in such a group."),
    "t_closeness": Metric("t", "Largest distance between the values in such a group and those of the table."),
    "information_loss": Metric("Information loss", "Share of what a column told that masking took away."),
    "anonymity_loss": Metric("Loss by k-anonymity", "Share of the quasi-identifiers' detail that was given up for k."),
    "tvd_marginal": Metric(
        "Column before and after", "Total variation distance of a column of a masked table from the raw one."
    ),
    "tvd_1way": Metric("Single columns", "Mean total variation distance over all columns."),
    "tvd_2way": Metric(
        "Pairs of columns", "Mean total variation distance over all pairs of columns. It makes the module's score."
    ),
    "tvd_3way": Metric("Triples of columns", "Mean total variation distance over a sample of triples of columns."),
    "k_marginal": Metric(
        "k-marginal score",
        "1000 x (1 - mean TVD) over all pairs of columns, numbers in twentieths of their rank; 1000 is best. As in NIST's SDNist 2.4.",
    ),
    "k_marginal.subsample_share": Metric(
        "Subsample equivalent",
        "The share of the real rows that, drawn at random, would have the same k-marginal score, with the range in which 95 of 100 "
        "draws lie. A fresh sample of the same size as the real table reads as about one third.",
    ),
    "column_shapes": Metric(
        "Column shapes",
        "Mean of 1 - KS distance (numbers, dates) and 1 - TVD (categories) over all columns, missing values left out; 1 is best. "
        "Equal to SDMetrics' figure of that name.",
    ),
    "column_pair_trends": Metric(
        "Column pair trends",
        "Mean similarity of correlations and of two-way tables, over pairs that are correlated or associated in the real table; 1 is "
        "best. Equal to SDMetrics' figure of that name.",
    ),
    "quality_report": Metric(
        "Overall quality score", "Mean of column shapes and column pair trends: the score of SDMetrics' quality report."
    ),
    "correlation_difference": Metric(
        "Correlations of numbers",
        "Mean absolute difference of Pearson correlations over all pairs of numbers; 0 is best.",
    ),
    "association_difference": Metric(
        "Associations of columns", "Mean absolute difference of Cramer's V over all pairs of binned columns; 0 is best."
    ),
    "inconsistency": Metric(
        "Rows that contradict themselves",
        "Share of synthetic rows that break a rule which the real rows keep: one column is never above another, columns are a sum, a "
        "value follows from another column's, values never occur together. Rules are found in the training rows and confirmed by half "
        "of the held-out rows; the other half is the baseline.",
    ),
    "inconsistency.declared": Metric(
        "Declared rules", "Share of synthetic rows that break a rule which a person declared (`impossible`, contract)."
    ),
    "discriminator": Metric(
        "Discriminator",
        "Cross-validated ROC AUC of a classifier that tells synthetic rows from training rows; 0.5 is best. The baseline is the same "
        "with held-out rows. (Lopez-Paz and Oquab 2017)",
    ),
    "sequence.autocorrelation": Metric(
        "Autocorrelation",
        "Mean absolute difference of the correlations of a number with itself one to three rows of the same unit earlier; 0 is best.",
    ),
    "sequence.transitions": Metric(
        "Transitions",
        "Total variation distance of the tables of a state and the next state of the same unit; numbers in fifths.",
    ),
    "sequence.gaps": Metric(
        "Time between rows", "Kolmogorov-Smirnov distance of the time from one row of a unit to the next."
    ),
    "column_tvd": Metric("TVD", "Total variation distance of one column."),
    "column_chi_square": Metric(
        "Chi-square effect",
        "Cramer's V between table (real, synthetic) and category; independent of the sample's size.",
    ),
    "column_ks": Metric(
        "KS distance", "Kolmogorov-Smirnov: the largest difference between the two cumulative distributions."
    ),
    "domain_validity": Metric(
        "Domain validity", "Share of synthetic values with the right type, range, category or format."
    ),
    "column_validity": Metric(
        "Valid values of a column", "Share of the column's synthetic values that pass the checks of its domain."
    ),
    "primary_key_unique": Metric("Primary keys", "Share of synthetic rows with a key of their own."),
    "relations.integrity": Metric(
        "References between tables", "Share of foreign keys that point at a synthetic parent."
    ),
    "relations.children": Metric(
        "Rows per parent", "Total variation distance between the numbers of child rows per parent row; 0 is best."
    ),
    "relations.cardinality": Metric(
        "Cardinality",
        "1 - Kolmogorov-Smirnov distance between the numbers of child rows per parent row. Equal to SDMetrics' figure of that name.",
    ),
    "relations.trends": Metric(
        "Parents and children",
        "Mean similarity of pairs of a parent's and a child's column that hang together in the real tables; 1 is best. Equal to "
        "SDMetrics' intertable trends.",
    ),
    "predictive_score": Metric(
        "Prediction of the target",
        "A gradient boosting model trained on synthetic rows, and one trained on equally many real rows, both tested on the same "
        "unseen real rows (after Esteban, Hyland, Raetsch 2017, TSTR). It makes the module's score.",
    ),
    "gradient_boosting": Metric("Gradient boosting", "Further measures of the same two models."),
    "linear": Metric("Linear model", "The same comparison with a linear model (logistic or ridge regression)."),
    "random_forest": Metric("Random forest", "The same comparison with a random forest."),
    "train_real_test_synthetic": Metric(
        "Trained on real, tested on synthetic",
        "The model of the real rows, tested on synthetic rows, beside the same model on unseen real rows. Far above: the synthetic "
        "rows are too easy. Far below: they break what holds among real rows.",
    ),
    "feature_importance": Metric(
        "Feature importance",
        "Whether both models lean on the same columns: Spearman correlation of the losses when a column is shuffled (Breiman 2001), 1 "
        "is full agreement. The baseline is the agreement of models of two real halves.",
    ),
    "query_error": Metric(
        "Query accuracy",
        "Relative error of random queries (counts, sums, means and group-bys under one to three filters) on the synthetic rows, beside "
        "the same queries on equally many unseen real rows; a sanity bound of 0.1 % of the rows (Xiao, Wang, Gehrke 2011).",
    ),
    "group_shares": Metric("Group shares", "Largest difference between the synthetic and the real share of a group."),
    "demographic_parity": Metric(
        "Demographic parity",
        "Largest difference between groups in how often the outcome occurs, in the table or in a model's predictions. It does not ask "
        "who deserves it. The level goes by what is added to the gap of the real table beyond chance.",
    ),
    "equalised_odds": Metric(
        "Equalised odds",
        "Largest difference between groups in true or false positive rates of a model trained on the table (Hardt et al. 2016).",
    ),
    "predictive_parity": Metric(
        "Predictive parity",
        "Largest difference between groups in how often such a model is right when it predicts the outcome (Chouldechova 2017).",
    ),
}


def metric(name: str) -> Metric:
    """The explanation of a metric by its full name, else by its family (the part before the dot)."""
    known = METRICS.get(name) or METRICS.get(name.partition(".")[0])
    return known or Metric(name.replace("_", " ").replace(".", ": ").capitalize(), "")


def family(name: str) -> str:
    """What metrics are grouped by: the name itself where it has a text of its own, else the part before the dot."""
    return name if name in METRICS else name.partition(".")[0]


def definition(name: str) -> str:
    """Title, text and the way of the interval of a metric in one line, for the `definitions` of a result."""
    known, how = metric(name), method(family(name))
    return " ".join(part for part in (f"{known.title}: {known.text}" if known.text else known.title, how) if part)
