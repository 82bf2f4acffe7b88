"""What a table holds: `profile` and `classify`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from synth_assets.api.reading import Progress, engine_of, ingested, silent, verdicts_of
from synth_assets.config.dataset import ColumnConfig, TextDetectorName
from synth_assets.errors import withhold_values

if TYPE_CHECKING:
    from synth_assets.api.reading import Table
    from synth_assets.pii.records import ColumnVerdict
    from synth_assets.profiling.records import TableProfile


def profile(table: Table, *, name: str | None = None, progress: Progress = silent) -> TableProfile:
    """Statistics of every column.

    Args:
        table: File or frame.
        name: Name of the table (default: the file's stem).
        progress: Called with the name of each step as it begins.

    Returns:
        For the owner of the table: columns that identify people have counts only, all others their values and extremes.
        `.public()` is the form to share: no extreme, nothing of fewer than 11 rows, no value of a quasi-identifier, rounded counts.

    Raises:
        SourceError: the file is no table.
    """
    from synth_assets.pii.roles import identifying_columns
    from synth_assets.profiling.disclosure import without_identifying_values
    from synth_assets.profiling.profile import profile_table

    progress("reading")
    with ingested(table, name) as data:
        progress("classifying columns")
        verdicts = verdicts_of(data)
        quasi = tuple(v.column for v in verdicts if v.identifier_class == "quasi")
        sensitive = tuple(v.column for v in verdicts if v.identifier_class == "sensitive")
        progress("computing statistics")
        with withhold_values("the profile"):
            full = profile_table(
                data.folder,
                data.schema,
                engine_of(),
                identifying=identifying_columns(verdicts),
                quasi=quasi,
                sensitive=sensitive,
            )
        return without_identifying_values(full)


def classify(
    table: Table,
    *,
    name: str | None = None,
    columns: Mapping[str, ColumnConfig] | None = None,
    text_detector: TextDetectorName = "builtin",
    progress: Progress = silent,
) -> tuple[ColumnVerdict, ...]:
    """One verdict per column: entity type, identifier class, confidence, evidence, recommended action.

    Args:
        table: File or frame.
        name: Name of the table; counts as evidence (default: the file's stem).
        columns: What is known about columns; it wins and is recorded as an override.
        text_detector: Looks for identifiers in free text: "builtin", or "presidio" (its extra).
        progress: Called with the name of each step as it begins.

    Raises:
        SourceError: the file is no table.
    """
    progress("reading")
    with ingested(table, name, columns) as data:
        progress("classifying columns")
        return verdicts_of(data, columns, text_detector)
