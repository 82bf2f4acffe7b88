"""Records of a table's profile: plain JSON values, in a full form (restricted) and a public form.

What belongs here: the shape of the results, so that Dagster code can import it in milliseconds. What does not: computing them
(columns.py, histograms.py, associations.py, uniqueness.py) and the rules of the public form (disclosure.py).
"""

from __future__ import annotations

from typing import Literal

from synth_assets.tables.schema import ColumnKind, Frozen

Identifies = Literal["alone", "with others", "no"]
AssociationMethod = Literal["pearson", "cramers_v", "correlation_ratio"]


class ValueCount(Frozen):
    """A value (or a pattern) as text, and the rows that hold it."""

    value: str
    rows: int


class Histogram(Frozen):
    """Counts of rows from each edge up to, not including, the next one.

    Edges are round numbers, or whole days, months and years. Where extremes lie far out, the first or the last bin is open: its outer
    edge is the minimum or the maximum (which it includes), so that it may be wider than the others.

    Attributes:
        edges: One more than counts; numbers, or ISO texts for dates and times; None once suppressed.
        counts: Rows per bin; None once suppressed.
    """

    edges: tuple[int | float | str | None, ...]
    counts: tuple[int | None, ...]


class NumberStats(Frozen):
    """Statistics of a numeric column over its finite values; None where there is no value, or once suppressed.

    Attributes:
        std: Sample standard deviation (n - 1).
        outliers_iqr: Rows further than 1.5 interquartile ranges outside the quartiles.
        outliers_zscore: Rows further than 3 standard deviations from the mean.
        not_finite: Rows with NaN or an infinity, which all other figures leave out.
    """

    minimum: int | float | None
    q25: float | None
    median: float | None
    mean: float | None
    q75: float | None
    maximum: int | float | None
    std: float | None
    zeros: int | None
    negatives: int | None
    outliers_iqr: int | None
    outliers_zscore: int | None
    not_finite: int | None = 0


class TimeStats(Frozen):
    """Statistics of a date or time column as ISO texts, to the day or the second."""

    minimum: str | None
    q25: str | None
    median: str | None
    mean: str | None
    q75: str | None
    maximum: str | None


class TextStats(Frozen):
    """Lengths in characters, and the commonest shapes: A for a capital, a for a small letter, 9 for a digit, the rest as it is."""

    min_length: int | None
    mean_length: float | None
    max_length: int | None
    shapes: tuple[ValueCount, ...] = ()
    rows_of_other_shapes: int | None = 0


class ColumnProfile(Frozen):
    """One column.

    Attributes:
        identifies: Whether its values tell who somebody is: direct identifiers, record ids and free text do so alone,
            quasi-identifiers with others. What does is hidden in the public form.
        count: Rows with a value.
        missing: Rows without one.
        distinct: Distinct values.
        constant: Exactly one distinct value.
        unique: No value twice, at least two rows.
        top_values: The commonest values; none where most rows have a value of their own.
        rows_of_other_values: Rows with a value that is not among them.
    """

    name: str
    kind: ColumnKind
    dtype: str
    identifies: Identifies = "no"
    count: int | None
    missing: int | None
    distinct: int | None
    constant: bool
    unique: bool
    number: NumberStats | None = None
    time: TimeStats | None = None
    text: TextStats | None = None
    histogram: Histogram | None = None
    top_values: tuple[ValueCount, ...] = ()
    rows_of_other_values: int | None = None


class Associations(Frozen):
    """How strongly columns go together: a symmetric matrix with 1 on the diagonal.

    Attributes:
        columns: Names, in the order of the matrix.
        numeric: Per column, whether it is a number (or a time) here.
        matrix: Pearson's r between numbers (-1 to 1), bias-corrected Cramer's V between categories, the correlation ratio between
            a category and a number (0 to 1); None where it is not defined.
        rows_used: Rows behind it.
        left_out: Columns that have no place in it (constant, free text, nearly unique), or beyond the cap.
        note: What was capped or sampled; empty when nothing was.
    """

    columns: tuple[str, ...]
    numeric: tuple[bool, ...]
    matrix: tuple[tuple[float | None, ...], ...]
    rows_used: int | None
    left_out: tuple[str, ...] = ()
    note: str = ""

    def method(self, first: int, second: int) -> AssociationMethod:
        """What the entry of two columns (by position) is."""
        numbers = self.numeric[first] + self.numeric[second]
        return "pearson" if numbers == 2 else "cramers_v" if numbers == 0 else "correlation_ratio"


class SinglingOut(Frozen):
    """A set of columns and the rows that are alone with their combination of values in it."""

    columns: tuple[str, ...]
    unique_rows: int | None
    unique_fraction: float | None


class Uniqueness(Frozen):
    """The smallest sets of columns that single people out.

    Attributes:
        candidates: Columns that were combined.
        threshold: Share of unique rows from which a set counts.
        sets: Minimal sets at or above the threshold (no smaller set in them reaches it), smallest first, then by share.
        strongest: The strongest set of each size that was looked at, whatever its share.
        estimated: Whether shares are estimated from a sample of combinations (tables of more than 250,000 rows).
        note: What was capped; empty when nothing was.
    """

    candidates: tuple[str, ...]
    threshold: float
    sets: tuple[SinglingOut, ...]
    strongest: tuple[SinglingOut, ...]
    estimated: bool = False
    note: str = ""


class SensitiveDisclosure(Frozen):
    """How much the classes give away about one sensitive column.

    Attributes:
        l_diversity: Fewest distinct values in any class (Machanavajjhala et al. 2007); a missing value counts as a value.
        t_closeness: Largest distance between a class and the whole table, equal ground distance (Li et al. 2007), 0 to 1.
        binned: Whether numbers were put into tenths of the table first.
    """

    column: str
    l_diversity: int | None
    t_closeness: float | None
    binned: bool = False


class Anonymity(Frozen):
    """k-anonymity, l-diversity and t-closeness of a table for given quasi-identifiers.

    Attributes:
        quasi: The quasi-identifiers; rows that agree in all of them form a class, a missing value being a value.
        classes: Number of classes.
        k: Rows in the smallest class (Sweeney 2002); None in the public form where it is below 11, as are the risk of that class
            and l and t, which small classes decide.
        unique_rows: Rows that are alone in their class.
        rows_below_5: Rows in classes of fewer than 5.
        highest_risk: 1 / k, the prosecutor's chance with the most exposed person.
        mean_risk: classes / rows, the prosecutor's mean chance.
    """

    quasi: tuple[str, ...]
    classes: int | None
    k: int | None
    unique_rows: int | None
    rows_below_5: int | None
    highest_risk: float | None
    mean_risk: float
    sensitive: tuple[SensitiveDisclosure, ...] = ()


class TableProfile(Frozen):
    """The profile of one table.

    Attributes:
        row_count: Rows of the table; None once suppressed.
        duplicates: Rows that repeat an earlier row in all columns.
        associations: None where the table has fewer than two columns to compare.
        uniqueness: None where no column can single anybody out.
        anonymity: None unless quasi-identifiers were given.
        form: "full" holds values and extremes and is as sensitive as the table; "public" is `public()`.
    """

    name: str
    row_count: int | None
    columns: tuple[ColumnProfile, ...]
    duplicates: int | None
    associations: Associations | None = None
    uniqueness: Uniqueness | None = None
    anonymity: Anonymity | None = None
    form: Literal["full", "public"] = "full"

    def public(self) -> TableProfile:
        """The form that may leave the restricted zone: no extreme, no identifying value, no group below 11 rows, counts rounded."""
        from synth_assets.profiling.disclosure import public_profile

        return self if self.form == "public" else public_profile(self)

    def column(self, name: str) -> ColumnProfile:
        """One column by name (KeyError where there is none)."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)
