"""What the words and figures of a report mean, for readers who do not do this every day."""

from __future__ import annotations

GLOSSARY: dict[str, str] = {
    "Differential privacy": (
        "A promise about the method, not about one table: whether or not one unit of privacy (such as one patient) was in the data, every "
        "outcome is almost equally likely. Epsilon bounds the difference, smaller is stronger; delta is the probability that the bound fails."
    ),
    "Unit of privacy": "Whose presence is hidden. Two datasets are neighbours if all rows of one unit were added or removed.",
    "Privacy budget": (
        "The total epsilon that may ever be spent on one population. Every release is charged before it reads any data; a release that "
        "does not fit is refused."
    ),
    "Non-DP inputs": (
        "Facts that were taken from the data without noise, such as the kind of a column that nobody declared. They are listed so that a "
        "person can confirm them."
    ),
    "Direct identifier": "A value that names a person by itself, such as a name, an e-mail address or a record number.",
    "Quasi-identifier": "A value that names a person together with others, such as birth date, sex and ZIP code.",
    "Holdout": "Real rows that no synthesizer saw. They are the control group: what an attack achieves on them is not the synthesizer's fault.",
    "Public form": (
        "What a report may hold: levels, scores rounded to 0.01, no value of a person, no extreme, no group of fewer than 11 rows. Bins below "
        "that are left out of the pictures."
    ),
}

METRICS: dict[str, str] = {
    "privacy": (
        "Attacks on the synthetic table, each compared with the same attack on the holdout: can one tell who was in the training data "
        "(membership), single somebody out, link two parts of a record, or guess an attribute better than for people who were not in it? "
        "Score = 1 - the largest upper bound above its baseline."
    ),
    "fidelity": (
        "How close the synthetic table's distributions are to the real ones, over single columns, pairs and triples. TVD is the share of "
        "rows that would have to change. Score = 1 - mean TVD."
    ),
    "utility": (
        "A model is trained on synthetic rows and tested on real held-out rows, beside one trained on real rows. Score 1: as good as the "
        "real one; 0: no better than chance."
    ),
    "fairness": (
        "Differences between groups of a protected attribute in the synthetic table, compared with those in the real one. Score = 1 - the "
        "largest gap beyond the real one."
    ),
}
