"""What the words of a report mean, for readers who do not do this every day. Texts only; metrics stand in `audit/glossary.py`."""

from __future__ import annotations

GLOSSARY: dict[str, str] = {
    "Differential privacy": (
        "A promise about the method, not about one table: whether or not one unit of privacy (such as one patient) was in the data, "
        "every outcome is almost equally likely. Epsilon bounds the factor between the two probabilities, smaller is stronger; delta "
        "is a small probability that is left over beside that factor."
    ),
    "Unit of privacy": (
        "Whose presence is hidden. Two datasets are neighbours if all rows of one unit were added or removed. Where no unit is "
        "declared it is one row, so that a person with several rows is protected less."
    ),
    "Privacy budget": (
        "The total epsilon that may ever be spent on one population. Every release is charged before it reads any data; a release "
        "that does not fit is refused."
    ),
    "Non-DP inputs": (
        "Facts that were taken from the data without noise, such as the kind of a column that nobody declared. They are listed so "
        "that a person can confirm them."
    ),
    "Accountant": (
        "The calculation that turns the noise that was really added into an epsilon. Two independent ones are run; the release is "
        "stopped where they contradict each other."
    ),
    "Direct identifier": "A value that names a person by itself, such as a name, an e-mail address or a record number.",
    "Quasi-identifier": "A value that names a person together with others, such as birth date, sex and ZIP code.",
    "Holdout": (
        "Real rows that no synthesizer saw. They are the control group: what an attack achieves on them comes from general patterns "
        "of the data, not from a leak."
    ),
    "Confidence interval": (
        "The range in which a figure lies with 95 % confidence. Levels of risk are drawn from its upper end, so that a small audit "
        "looks worse and not better."
    ),
    "TVD": "Total variation distance: the share of rows that would have to change for one distribution to become the other.",
    "Public form": (
        "What a report may hold: levels, scores rounded to 0.01, no value of an identifying column, no extreme, no group of fewer than "
        "11 rows. Bins below that are left out of the pictures."
    ),
}
