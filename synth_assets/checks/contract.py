"""The contract as asset checks: what each expectation says, in words without a value (declared sets and bounds may come from data)."""

from __future__ import annotations

from synth_assets.config.dataset import ExpectationConfig

_WORDS = {
    "column_values_to_not_be_null": "{column} is never missing.",
    "column_values_to_be_null": "{column} is always missing.",
    "column_values_to_be_unique": "{column} holds no value twice.",
    "compound_columns_to_be_unique": "{columns} together are never the same twice.",
    "column_values_to_be_in_set": "{column} holds declared values only.",
    "column_values_to_not_be_in_set": "{column} holds no forbidden value.",
    "column_values_to_be_in_type_list": "{column} has the type of its declared kind.",
    "column_values_to_be_between": "{column} lies within its declared bounds.",
    "column_values_to_match_regex": "{column} has the declared form.",
    "column_value_lengths_to_be_between": "{column} has the declared length.",
    "column_value_lengths_to_equal": "{column} has the declared length.",
    "column_pair_values_a_to_be_greater_than_b": "{first} is never below {second}.",
    "column_pair_values_to_be_equal": "{first} equals {second}.",
    "table_row_count_to_be_between": "The number of rows lies within its declared bounds.",
}


def contract_words(expectation: ExpectationConfig) -> str:
    """One sentence for a person: what the expectation asks for, and whether it only warns."""
    arguments = expectation.arguments
    name = expectation.expect.removeprefix("expect_")
    words = _WORDS.get(name)
    if words is None:
        subject = f" of `{expectation.column}`" if expectation.column else ""
        text = f"Expectation `{name}`{subject}."
    else:
        text = words.format(
            column=f"`{expectation.column}`",
            columns=", ".join(f"`{c}`" for c in arguments.get("column_list", ())),
            first=f"`{arguments.get('column_A')}`",
            second=f"`{arguments.get('column_B')}`",
        )
    return text if expectation.severity == "error" else f"{text} A breach is a warning."
