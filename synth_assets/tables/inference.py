"""From staged cells to typed columns: which form a column has (checked on every row), and what kind of column it is.

A sample narrows the candidates, the engine then counts over all rows: a form holds when every cell that is not missing parses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow.parquet as pq

from synth_assets.config.dataset import ColumnConfig
from synth_assets.errors import SourceError
from synth_assets.tables import forms
from synth_assets.tables.forms import DType, Form
from synth_assets.tables.readers.staging import Staged, StagedType
from synth_assets.tables.schema import ColumnKind
from synth_assets.tables.staged_rows import StagedRows, Term

SAMPLE_ROWS = 500
COUNTS_PER_QUERY = 400
MOST_CATEGORIES = 5_000
LONGEST_ID = 64
MOST_CODES = 50
_ID_NAME = re.compile(r"(?i:(^|[_ .-])(id|uuid|guid|key|pk|mrn|nr|no|number))$|[a-z0-9](Id|ID|Key|UUID|Guid)$")
_REFERENCE_NAME = re.compile(r"(?i:(^|[_ .-])(id|uuid|guid))$|[a-z0-9](Id|ID|Guid)$")
_KEPT_AS_TEXT = frozenset({"category", "text"})
_DTYPES: dict[StagedType, DType] = {
    "text": "string",
    "string": "string",
    "int64": "int64",
    "double": "double",
    "bool": "bool",
    "date": "date32[day]",
    "timestamp": "timestamp[us]",
    "timestamp_utc": "timestamp[us]",
}
_SAME_KIND: dict[StagedType, frozenset[str]] = {
    "string": frozenset({"id"}),
    "int64": frozenset({"number", "id"}),
    "double": frozenset({"number"}),
    "bool": frozenset({"boolean"}),
    "date": frozenset({"date"}),
    "timestamp": frozenset({"datetime"}),
    "timestamp_utc": frozenset({"datetime"}),
}


@dataclass
class Column:
    """One column on its way: how it is read from its staged cells.

    Attributes:
        name: Its name in the table.
        position: Staged column c<position>.
        staged: Staged type.
        cell: SQL for the staged cell, with the texts that mean missing turned to NULL.
        declared: The kind that a person declared, if any.
        form: The written form of its cells, where they are text.
        dtype: Arrow type of the column.
        value: SQL for the typed value.
        present: Cells that are not missing.
        zoned: Whether its times are in UTC already.
    """

    name: str
    position: int
    staged: StagedType
    cell: str
    declared: str | None = None
    form: Form | None = None
    dtype: DType = "string"
    value: str = ""
    present: int = 0
    zoned: bool = False


@dataclass(frozen=True)
class ColumnFacts:
    """What the kind of a column is decided on; counts over all rows, no values."""

    dtype: DType
    rows: int
    present: int
    distinct: int = 0
    longest: int = 0
    with_blanks: int = 0
    uuids: bool = False


@dataclass
class Choice:
    """Forms of one column with the number of cells each takes."""

    candidates: list[Form]
    counts: dict[str, int] = field(default_factory=dict)


def declared_kind(config: ColumnConfig | None) -> str | None:
    """The kind that a person declared, directly or by bounds or categories."""
    if config is None:
        return None
    if config.kind is not None:
        return config.kind
    if config.categories is not None:
        return "category"
    bounds = [b for b in (config.lower, config.upper) if b is not None]
    return "number" if bounds and all(isinstance(b, int | float) for b in bounds) else None


def type_columns(rows: StagedRows, staged: Staged, columns: Sequence[Column]) -> list[str]:
    """Give every column its form, dtype and value expression; sets them in place.

    Args:
        rows: The staged rows.
        staged: The staged source.
        columns: Its columns, with cell expressions and declared kinds.

    Returns:
        Notes about columns that stayed text since two readings are possible.

    Raises:
        SourceError: a cell does not have the declared kind; names row and column, never the value.
    """
    choices: dict[int, Choice] = {}
    samples = _samples(staged, [c for c in columns if _open(c)])
    for column in columns:
        if _open(column):
            choices[column.position] = Choice(_candidates(column, samples.get(column.position, ())))
        else:
            _keep(column)
    _count(rows, columns, choices, first_pass=True)
    _count(rows, columns, choices, first_pass=False)
    notes: list[str] = []
    for column in columns:
        if column.position in choices:
            notes += _settle(rows, staged, column, choices[column.position])
            notes += _words_among_values(column, choices[column.position], samples.get(column.position, ()))
    return notes


def _open(column: Column) -> bool:
    """Whether the column's form has to be found."""
    if column.declared is None:
        return column.staged in {"text", "string"}
    return column.declared not in _KEPT_AS_TEXT and column.declared not in _SAME_KIND.get(column.staged, frozenset())


def _keep(column: Column) -> None:
    """The staged type is the type, or text where a person says so."""
    column.zoned = column.staged == "timestamp_utc"
    if column.declared in _KEPT_AS_TEXT:
        column.dtype, column.value = "string", _as_text(column)
    else:
        column.dtype, column.value = _DTYPES[column.staged], column.cell
    if column.dtype == "double":
        column.value = f"CASE WHEN isnan({column.cell}) THEN NULL ELSE {column.cell} END"


def _as_text(column: Column) -> str:
    return column.cell if column.staged in {"text", "string"} else f"CAST({column.cell} AS VARCHAR)"


def _samples(staged: Staged, columns: Sequence[Column]) -> dict[int, tuple[str, ...]]:
    """Distinct texts among the first rows of each column."""
    wanted = [c.position for c in columns if c.staged in {"text", "string"}]
    if not wanted:
        return {}
    with pq.ParquetFile(staged.parts[0].path) as source:
        batch = next(source.iter_batches(batch_size=SAMPLE_ROWS, columns=[f"c{i}" for i in wanted]))
    return {i: tuple(v for v in batch.column(f"c{i}").unique().to_pylist() if v is not None) for i in wanted}


def _words_among_values(column: Column, choice: Choice, sample: Sequence[str]) -> list[str]:
    """Say where a column is text only because a few words stand among its numbers or dates."""
    if column.form is not None or column.declared is not None or len(sample) < 10:
        return []
    words = [cell for cell in sample if not any(c.isdigit() for c in cell)]
    if len(words) > 5:
        return []
    for form in (forms.DECIMAL, *forms.MOMENTS):
        nearly = choice.counts.get(form.key, 0) >= 0.9 * column.present
        if nearly or (words and all(form.fits(cell) for cell in sample if cell not in words)):
            what = {"number": "numbers", "date": "dates", "datetime": "times"}[form.family]
            return [
                f"column {column.name!r} holds {what} and a few words, so it stays text; words that mean missing go into `null_values`."
            ]
    return []


def _candidates(column: Column, sample: Sequence[str]) -> list[Form]:
    """Forms that most of the sample may have; all of them for a declared kind, whose faults have to be found."""
    if column.declared is not None:
        return list(forms.DECLARED[column.declared])
    possible = forms.INFERRED_IN_TEXT if column.staged == "text" else forms.INFERRED_IN_STRINGS
    if column.cell != f"c{column.position}":
        return list(possible)  # texts that mean missing are still in the sample
    return [form for form in possible if all(form.fits(cell) for cell in sample)]


def _count(rows: StagedRows, columns: Sequence[Column], choices: Mapping[int, Choice], *, first_pass: bool) -> None:
    """Count the cells that each candidate takes: first the likeliest and its rival, then the others where that failed."""
    wanted: list[tuple[Column, Form | None]] = []
    for column in columns:
        choice = choices.get(column.position)
        if choice is None:
            continue
        if first_pass:
            wanted.append((column, None))
            wanted += [(column, f) for f in _likeliest(column, choice)]
        elif not _holding(column, choice):
            wanted += [(column, f) for f in choice.candidates if f.key not in choice.counts]
    for start in range(0, len(wanted), COUNTS_PER_QUERY):
        some = wanted[start : start + COUNTS_PER_QUERY]
        row = rows.one([Term(f"count({_as_text(c) if f is None else f.expression(_as_text(c))})") for c, f in some])
        for (column, form), count in zip(some, row, strict=True):
            if form is None:
                column.present = count
            else:
                choices[column.position].counts[form.key] = count


def _likeliest(column: Column, choice: Choice) -> list[Form]:
    if column.declared is not None:
        return choice.candidates
    first = choice.candidates[:1]
    return first + [f for f in choice.candidates[1:] if first and f.key == first[0].rival]


def _holding(column: Column, choice: Choice) -> list[Form]:
    """Candidates that take every cell."""
    if not column.present:
        return []
    return [f for f in choice.candidates if choice.counts.get(f.key) == column.present]


def _settle(rows: StagedRows, staged: Staged, column: Column, choice: Choice) -> list[str]:
    """Take the first form that holds; where its rival holds too, take none (or say so where a kind is declared)."""
    holding = _holding(column, choice)
    text = _as_text(column)
    form = holding[0] if holding else None
    ambiguous = form is not None and form.rival in {f.key for f in holding}
    if ambiguous and form is not None and form.family == "number" and staged.facts.get("delimiter") == ",":
        ambiguous = False  # in a comma-separated file a comma inside a number separates thousands
    if column.declared not in {None, "id"} and (form is None or ambiguous):
        return _declared_failed(rows, staged, column, choice, ambiguous=ambiguous)
    if form is None or ambiguous:
        column.dtype, column.value = "string", text
        if form is None:
            return []
        what = "decimal sign" if form.family == "number" else "order of day and month"
        return [f"column {column.name!r} stays text: its {what} cannot be told."]
    column.form, column.zoned = form, form.zoned
    column.dtype, column.value = form.dtype, form.sql.format(x=text)  # every cell was seen to match the pattern
    if column.declared == "date" and form.dtype != "date32[day]":
        column.dtype, column.value = "date32[day]", f"CAST({column.value} AS DATE)"
    elif column.declared == "datetime" and form.dtype != "timestamp[us]":
        column.dtype, column.value = "timestamp[us]", f"CAST({column.value} AS TIMESTAMP)"
    return []


def _declared_failed(rows: StagedRows, staged: Staged, column: Column, choice: Choice, *, ambiguous: bool) -> list[str]:
    """A declared kind that the cells do not have: an error at the first such cell; a column without any value is fine."""
    kind = str(column.declared)
    if not column.present:
        dtypes: dict[str, DType] = {
            "number": "double",
            "boolean": "bool",
            "date": "date32[day]",
            "datetime": "timestamp[us]",
        }
        sql = {"number": "DOUBLE", "boolean": "BOOLEAN", "date": "DATE", "datetime": "TIMESTAMP"}
        column.dtype, column.value = dtypes[kind], f"CAST(NULL AS {sql[kind]})"
        return []
    if ambiguous:
        raise SourceError(
            f"the column is declared as {kind}, and its cells can be read in two ways (day or month first, decimal or thousands).",
            file=staged.parts[0].origin,
            column=column.name,
            remedy="Write dates as YYYY-MM-DD and numbers with a decimal point, or declare the column as text.",
        )
    best = max(choice.candidates, key=lambda f: choice.counts.get(f.key, 0))
    raise _first_misfit(rows, staged, column, best, kind)


def _first_misfit(rows: StagedRows, staged: Staged, column: Column, form: Form, kind: str) -> SourceError:
    text = _as_text(column)
    for part in staged.parts:
        path = str(part.path).replace("'", "''")
        row = rows.tasks.session.backend.raw_sql(
            f"SELECT min(file_row_number) FROM read_parquet('{path}', file_row_number=true) "
            f"WHERE {text} IS NOT NULL AND {form.expression(text)} IS NULL"
        ).fetchone()[0]
        if row is not None:
            return SourceError(
                f"the cell is no {kind}, as the column is declared.",
                file=part.origin,
                row=part.line_of(int(row)),
                column=column.name,
                remedy="Correct the cell, name the texts that mean missing in `null_values`, or declare another kind.",
            )
    return SourceError(
        f"a cell is no {kind}, as the column is declared.", file=staged.parts[0].origin, column=column.name
    )


def infer_kind(name: str, facts: ColumnFacts, *, is_key: bool) -> ColumnKind:
    """The kind of a column that nobody declared.

    Args:
        name: Its name; only names such as `id` or `CustomerId` make whole numbers an identifier.
        facts: Counts over all rows.
        is_key: Whether it is the declared primary key or a declared reference.
    """
    if is_key:
        return ColumnKind.ID
    if facts.dtype == "int64":
        unique = facts.present == facts.rows == facts.distinct and facts.rows > 1
        refers = _REFERENCE_NAME.search(name) and facts.distinct > MOST_CODES
        return ColumnKind.ID if (unique and _ID_NAME.search(name)) or refers else ColumnKind.NUMBER
    if facts.dtype != "string":
        kinds = {
            "double": ColumnKind.NUMBER,
            "bool": ColumnKind.BOOLEAN,
            "date32[day]": ColumnKind.DATE,
            "timestamp[us]": ColumnKind.DATETIME,
        }
        return kinds[facts.dtype]
    return _text_kind(facts)


def _text_kind(facts: ColumnFacts) -> ColumnKind:
    """Text columns: identifier, category or free text, by how often values repeat."""
    present, distinct = facts.present, facts.distinct
    if not present:
        return ColumnKind.TEXT
    if facts.uuids:
        return ColumnKind.ID
    if present > 1 and distinct == present:
        plain = not facts.with_blanks and facts.longest <= LONGEST_ID
        return ColumnKind.ID if plain else ColumnKind.TEXT
    repeated = distinct <= max(0.1 * present, 1) or (distinct <= 50 and distinct <= 0.5 * present)
    small = present < 50 and distinct <= min(10, max(2, 0.6 * present))
    return ColumnKind.CATEGORY if distinct <= MOST_CATEGORIES and (repeated or small) else ColumnKind.TEXT
