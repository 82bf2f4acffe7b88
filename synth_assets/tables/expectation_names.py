"""Names of expectations: the catalogue that the engine can run, and the stable slugs of asset checks.

What belongs here: everything about a contract that is known from the configuration alone, so that Dagster can declare one check
per expectation at load. What does not: running a contract (contracts.py) and Great Expectations itself, whose import takes seconds.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from synth_assets.config.dataset import ExpectationConfig
from synth_assets.errors import ConfigError

MAX_SLUG_LENGTH = 120

RUNNABLE = frozenset(
    f"expect_{name}"
    for name in (
        "column_distinct_values_to_be_in_set",
        "column_distinct_values_to_contain_set",
        "column_distinct_values_to_equal_set",
        "column_kl_divergence_to_be_less_than",
        "column_max_to_be_between",
        "column_mean_to_be_between",
        "column_median_to_be_between",
        "column_min_to_be_between",
        "column_most_common_value_to_be_in_set",
        "column_pair_values_a_to_be_greater_than_b",
        "column_pair_values_to_be_equal",
        "column_pair_values_to_be_in_set",
        "column_proportion_of_non_null_values_to_be_between",
        "column_proportion_of_unique_values_to_be_between",
        "column_quantile_values_to_be_between",
        "column_stdev_to_be_between",
        "column_sum_to_be_between",
        "column_to_exist",
        "column_type_to_be",
        "column_unique_value_count_to_be_between",
        "column_value_lengths_to_be_between",
        "column_value_lengths_to_equal",
        "column_value_z_scores_to_be_less_than",
        "column_values_to_be_between",
        "column_values_to_be_in_set",
        "column_values_to_be_in_type_list",
        "column_values_to_be_null",
        "column_values_to_be_of_type",
        "column_values_to_be_unique",
        "column_values_to_match_like_pattern",
        "column_values_to_match_like_pattern_list",
        "column_values_to_match_regex",
        "column_values_to_match_regex_list",
        "column_values_to_not_be_in_set",
        "column_values_to_not_be_null",
        "column_values_to_not_match_like_pattern",
        "column_values_to_not_match_like_pattern_list",
        "column_values_to_not_match_regex",
        "column_values_to_not_match_regex_list",
        "compound_columns_to_be_unique",
        "multicolumn_sum_to_equal",
        "multicolumn_values_to_be_equal",
        "select_column_values_to_be_unique_within_record",
        "table_column_count_to_be_between",
        "table_column_count_to_equal",
        "table_columns_to_match_ordered_list",
        "table_columns_to_match_set",
        "table_row_count_to_be_between",
        "table_row_count_to_equal",
    )
)
NOT_IN_ENGINE = frozenset(
    f"expect_{name}"
    for name in (
        "column_values_to_be_dateutil_parseable",
        "column_values_to_be_decreasing",
        "column_values_to_be_increasing",
        "column_values_to_be_json_parseable",
        "column_values_to_match_json_schema",
        "column_values_to_match_strftime_format",
        "column_values_to_not_be_outliers",
        "query_results_to_match_comparison",
        "table_row_count_to_equal_other_table",
    )
)


def full_name(expect: str) -> str:
    """The name with its leading `expect_`."""
    return expect if expect.startswith("expect_") else f"expect_{expect}"


def known_name(expect: str, *, key: str) -> str:
    """The full name of an expectation that the engine can run.

    Args:
        expect: Name as in the YAML, with or without the leading `expect_`.
        key: Configuration key for the error.

    Raises:
        ConfigError: nobody knows the name (near matches are listed), or it has no form that runs inside the engine.
    """
    name = full_name(expect)
    if name in RUNNABLE:
        return name
    if name in NOT_IN_ENGINE:
        raise ConfigError(
            f"the expectation {name!r} cannot run inside the engine.",
            key=key,
            remedy="Use a regular expression, a declared kind or a range in its place.",
        )
    near = difflib.get_close_matches(name, sorted(RUNNABLE), n=3, cutoff=0.5)
    remedy = (
        f"Did you mean {', '.join(n.removeprefix('expect_') for n in near)}?"
        if near
        else "See docs/configuration.md for the list."
    )
    raise ConfigError(f"no expectation has the name {expect!r}.", key=key, remedy=remedy)


def columns_of(expectation: ExpectationConfig) -> tuple[str, ...]:
    """The columns that an expectation is about, in the order of its arguments; empty for one about the table."""
    if expectation.column is not None:
        return (expectation.column,)
    arguments = expectation.arguments
    pair = [arguments[k] for k in ("column_A", "column_B") if isinstance(arguments.get(k), str)]
    return tuple(pair) if pair else _texts(arguments.get("column_list"))


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(v for v in value if isinstance(v, str)) if isinstance(value, list | tuple) else ()


def check_names(expectations: Sequence[ExpectationConfig]) -> tuple[str, ...]:
    """One stable, unique slug per expectation, such as `patient_id_not_null`; from the configuration alone.

    Letters, digits and `_` only, so that each can be the name of a Dagster asset check. The second expectation with the same slug
    gets `_2`, the third `_3`.
    """
    names: list[str] = []
    taken: set[str] = set()
    for expectation in expectations:
        base = _slug(expectation)
        name, number = base, 1
        while name.lower() in taken:
            number += 1
            name = f"{base}_{number}"
        taken.add(name.lower())
        names.append(name)
    return tuple(names)


def _slug(expectation: ExpectationConfig) -> str:
    name = full_name(expectation.expect)
    columns = columns_of(expectation)
    if name == "expect_column_pair_values_a_to_be_greater_than_b" and len(columns) == 2:
        parts = [columns[0], "greater_than", columns[1]]
    elif name == "expect_table_columns_to_match_ordered_list":
        parts = [_short(name)]
    else:
        parts = [*columns, _short(name)]
    return _plain("_".join(parts))[:MAX_SLUG_LENGTH].strip("_") or "expectation"


def _short(name: str) -> str:
    """`expect_column_values_to_not_be_null` -> `not_null`; `expect_table_row_count_to_equal` -> `row_count_equal`."""
    short = name.removeprefix("expect_")
    for prefix in (
        "column_values_to_",
        "column_pair_values_to_",
        "compound_columns_to_",
        "select_column_values_to_",
        "column_",
        "table_",
    ):
        if short.startswith(prefix):
            short = ("to_" if prefix.endswith("_to_") else "") + short.removeprefix(prefix)
            break
    for before, after in (("to_not_be_", "not_"), ("to_be_", ""), ("to_not_", "not_"), ("to_", "")):
        short = re.sub(rf"(^|_){before}", rf"\g<1>{after}", short, count=1)
    return short.removesuffix("_be")


def _plain(text: str) -> str:
    """ASCII letters, digits and single underscores."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9]+", "_", ascii_text).strip("_")
