"""Verdicts: the public face of the classifier, for canonical Parquet tables and for frames in memory.

What belongs here: reading samples, running evidence and context, overrides, the record. What does not: how evidence is found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from synth_assets.config.dataset import ColumnConfig, TextDetectorName
from synth_assets.errors import ConfigError, InputError
from synth_assets.pii.columns import ColumnSample
from synth_assets.pii.context import Subject, relate
from synth_assets.pii.detection import TextDetector
from synth_assets.pii.detection import text_detector as detector_of
from synth_assets.pii.evidence import Case, confidence, gather
from synth_assets.pii.headers import ORGANIZATIONS, PERSONS
from synth_assets.pii.records import ColumnVerdict
from synth_assets.pii.taxonomy import IdentifierClass, action_for, gdpr_of, level_of, taxonomy
from synth_assets.tables.engine import Engine
from synth_assets.tables.schema import TableSchema

SAMPLE_ROWS = 200_000
SAMPLE_PIECES = 8
EXACT_ROWS = 2_000_000
COUNTED = 50  # columns
_HEALTH = frozenset({"icd10", "loinc", "ndc", "procedure_code", "diagnosis_text", "free_text"})
_PLACES = frozenset({"city", "state", "county", "country", "zip", "coordinates", "language", "employer", "url"})
_REPEATED = 0.5
IDENTIFYING = 0.02  # share of texts with an identifier from which free text is sensitive
_SPELLED = {("trade", "union"): "union", ("sexual", "orientation"): "orientation", ("sex", "life"): "orientation"}
_ARTICLE_9 = frozenset({"political", "union", "orientation", "genetic"})
_OF_CARE = frozenset({"code", "description", "reason", "condition", "procedure", "test", "measure"})
_OF_BUSINESS = frozenset(
    {"type", "status", "date", "zip", "country", "currency", "language", "organization", "product", "category"}
)
_OF_ACCOUNTS = frozenset({"employer", "swift", "routing_number"})  # firms by nature: the word says nothing about whose
_CODES = frozenset({"icd10", "loinc", "ndc", "procedure_code", "diagnosis_text"})
_TIMES = frozenset({"timestamp", "event_date"})  # times of what a person did fall under (C) whatever their class
_UNTOLD = frozenset({"none", "other_id"})  # what a number that stands for a person can look like
_OF_ANIMALS = frozenset({"age", "sex", "birth_date", "death_date", "event_date"})
_FIRMS = ORGANIZATIONS | {"product", "flight", "animal", "asset"}


def classify_table(
    table: Path,
    schema: TableSchema,
    engine: Engine,
    *,
    table_name: str = "",
    description: str = "",
    overrides: Mapping[str, ColumnConfig] | None = None,
    text_detector: TextDetectorName = "builtin",
    unit: str | None = None,
) -> tuple[ColumnVerdict, ...]:
    """One verdict per column of a canonical table.

    Counts run over all rows in the engine (distinct counts are approximate beyond 2 million rows). Forms, check digits and
    dictionaries look at up to 2,000 distinct values per column from up to 200,000 rows, spread evenly over the files and chosen by a
    fixed hash: the same table gives the same verdicts.

    Args:
        table: Folder of part-*.parquet, or one file.
        schema: Its schema.
        engine: Where the counts run.
        table_name: Counts as evidence; the schema's name when empty.
        description: Counts as evidence.
        overrides: What a person says about columns; it wins and is recorded.
        text_detector: Looks for identifiers in free text.
        unit: Column that names the unit of privacy: an identifier of persons where its values alone would not show it.

    Returns:
        Verdicts in column order.

    Raises:
        ConfigError: an override names an entity type that does not exist.
        ServiceUnavailableError: the text detector is not installed.
        InputError: the folder holds no Parquet file.
    """
    samples = column_samples(table, schema, engine)
    return _verdicts(samples, table_name or schema.name, description, overrides or {}, text_detector, unit)


def column_samples(table: Path, schema: TableSchema, engine: Engine) -> list[ColumnSample]:
    """Counts over all rows and a sample of values for every column; for arguments and errors see `classify_table`."""
    files = sorted(table.glob("part-*.parquet")) if table.is_dir() else [table]
    if not files:
        raise InputError("no Parquet file in the folder.", file=str(table))
    counts = column_counts(table, schema, engine)
    values = _sample_rows(files, schema.names)
    return [
        ColumnSample(
            c.name,
            c.dtype,
            pc.unique(values[c.name]),
            rows=counts["rows"],
            missing=counts[f"m{i}"],
            distinct=counts[f"d{i}"],
        )
        for i, c in enumerate(schema.columns)
    ]


def classify_frame(
    frame: Any,
    *,
    table_name: str = "",
    description: str = "",
    overrides: Mapping[str, ColumnConfig] | None = None,
    text_detector: TextDetectorName = "builtin",
) -> tuple[ColumnVerdict, ...]:
    """One verdict per column of a frame in memory; nothing is written.

    Args:
        frame: A pandas DataFrame, a pyarrow Table, or anything with the dataframe interchange of Arrow (`__arrow_c_stream__`).
        table_name: Counts as evidence.
        description: Counts as evidence.
        overrides: What a person says about columns; it wins and is recorded.
        text_detector: Looks for identifiers in free text.

    Raises:
        ConfigError: an override names an entity type that does not exist.
        ServiceUnavailableError: the text detector is not installed.
    """
    table = _to_arrow(frame)
    samples = []
    for name in table.column_names:
        column = table[name].combine_chunks()
        distinct = pc.unique(column.drop_null())
        samples.append(
            ColumnSample(
                name, str(column.type), distinct, rows=len(column), missing=column.null_count, distinct=len(distinct)
            )
        )
    return _verdicts(samples, table_name, description, overrides or {}, text_detector)


def _to_arrow(frame: Any) -> pa.Table:
    import pandas as pd

    if isinstance(frame, pa.Table):
        return frame
    if not isinstance(frame, pd.DataFrame):
        return pa.table(frame)
    arrays = {}
    for position, name in enumerate(frame.columns):
        column = frame.iloc[:, position]
        try:
            arrays[str(name)] = pa.Array.from_pandas(column)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            arrays[str(name)] = pa.Array.from_pandas(column.astype("string"))
    return pa.table({name: a.combine_chunks() if isinstance(a, pa.ChunkedArray) else a for name, a in arrays.items()})


def column_counts(table: Path, schema: TableSchema, engine: Engine) -> dict[str, int]:
    """Rows, missing cells and distinct values of all columns, `COUNTED` columns per pass: each distinct count has a table in memory."""
    found: dict[str, int] = {}
    with engine.session() as session:
        source = session.parquet(table)
        exact = schema.row_count <= EXACT_ROWS
        for start in range(0, len(schema.names), COUNTED):
            measures = {"rows": source.count()}
            for i, name in enumerate(schema.names[start : start + COUNTED], start):
                column = source[name]
                measures[f"m{i}"] = column.isnull().sum()  # noqa: PD003  Ibis, not pandas
                measures[f"d{i}"] = column.nunique() if exact else column.approx_nunique()
            found |= source.aggregate(**measures).to_pyarrow().to_pylist()[0]
    return {key: int(value or 0) for key, value in found.items()}


def _sample_rows(files: Sequence[Path], names: Sequence[str]) -> pa.Table:
    """Rows from evenly spaced row groups, at most SAMPLE_ROWS: deterministic, and bounded at any size."""
    groups = [(f, g) for f in files for g in range(pq.ParquetFile(f).num_row_groups)]
    step = max(1, -(-len(groups) // SAMPLE_PIECES))
    chosen = groups[::step] or groups[:1]
    rows = SAMPLE_ROWS // max(1, len(chosen))
    pieces = []
    for file, group in chosen:
        batches = pq.ParquetFile(file).iter_batches(batch_size=rows, row_groups=[group], columns=list(names))
        pieces += [pa.Table.from_batches([batch]) for batch in [next(batches, None)] if batch is not None]
    return (
        pa.concat_tables(pieces) if pieces else pq.ParquetFile(files[0]).schema_arrow.empty_table().select(list(names))
    )


def _verdicts(
    samples: Sequence[ColumnSample],
    table_name: str,
    description: str,
    overrides: Mapping[str, ColumnConfig],
    detector: TextDetectorName,
    unit: str | None = None,
) -> tuple[ColumnVerdict, ...]:
    _check_overrides(overrides)
    cases, subject = weigh(samples, table_name, description, detector_of(detector))
    return tuple(
        _verdict(case, subject, overrides.get(case.sample.name), is_unit=case.sample.name == unit) for case in cases
    )


def weigh(
    samples: Sequence[ColumnSample], table_name: str, description: str, detector: TextDetector | None = None
) -> tuple[list[Case], Subject]:
    """All evidence on the columns of a table, and whom the table is about."""
    cases = [gather(sample) for sample in samples]
    return cases, relate(cases, table_name, description, detector)


def _check_overrides(overrides: Mapping[str, ColumnConfig]) -> None:
    for name, config in overrides.items():
        if config.entity_type is not None and config.entity_type not in taxonomy():
            raise ConfigError(
                f"{config.entity_type!r} is no entity type.",
                column=name,
                key="entity_type",
                remedy="Known types: " + ", ".join(taxonomy()) + ".",
            )


def _verdict(case: Case, subject: Subject, override: ColumnConfig | None, *, is_unit: bool = False) -> ColumnVerdict:
    entity_type, evidence, sure = _decide(case)
    if is_unit and entity_type in _UNTOLD:
        entity_type, evidence, sure = "customer_id", ["configuration: names the unit of privacy", *evidence], 1.0
    identifier_class, why = _class_of(entity_type, case, subject)
    evidence += [why] if why else []
    overridden = override is not None and (override.entity_type is not None or override.identifier_class is not None)
    if override is not None and overridden:
        said = []
        if override.entity_type is not None:
            said.append(f"entity_type {override.entity_type} (the classifier said {entity_type})")
            entity_type = override.entity_type
            identifier_class = _class_of(entity_type, case, subject)[0]
        if override.identifier_class is not None:
            said.append(f"identifier_class {override.identifier_class} (the classifier said {identifier_class})")
            identifier_class = override.identifier_class
        evidence, sure = [f"override: the configuration says {' and '.join(said)}", *evidence], 1.0
    entity = taxonomy()[entity_type]
    ranking = [t for t, score in case.ranking() if t != entity_type and score > 0]
    sample = case.sample
    personal = identifier_class != "none" or (entity_type in _TIMES and subject.about_persons)
    return ColumnVerdict(
        column=sample.name,
        entity_type=entity_type,
        identifier_class=identifier_class,
        confidence=sure,
        evidence=tuple(evidence),
        hipaa_identifier=entity.hipaa if personal else None,
        gdpr_category=gdpr_of(entity_type, identifier_class),
        level=level_of(entity_type, identifier_class),
        recommended_action=action_for(entity_type, identifier_class),
        overridden=overridden,
        runner_up=ranking[0] if ranking else None,
        distinct_count=sample.distinct,
        missing_fraction=sample.missing / sample.rows if sample.rows else 0.0,
    )


def _decide(case: Case) -> tuple[str, list[str], float]:
    """Entity type, evidence and confidence of one column."""
    sample = case.sample
    if not len(sample):
        named = [t for t, s in case.ranking() if t != "none" and s >= 4]
        hint = f"; by its name it could hold {named[0]}" if named else ""
        return "none", [f"values: every cell is empty{hint}"], 0.9 if not named else 0.6
    top = case.top
    evidence = list(case.reasons(top))
    if top == "none":
        against = [f"name: {case.header.text!r} names no entity" if not case.header.opaque else "name: says nothing"]
        evidence = evidence or [*against, "values: no pattern, check digit or dictionary speaks for an entity"]
    evidence.append(
        f"counts: {len(sample)} distinct values looked at, {sample.distinct_ratio:.0%} of the filled cells distinct"
    )
    return top, evidence, confidence(case)


def _class_of(entity_type: str, case: Case, subject: Subject) -> tuple[IdentifierClass, str | None]:
    """Class of a column: the type's own, or that of business data where column or table are about firms or things."""
    entity = taxonomy()[entity_type]
    told = case.header.opaque or case.header.all & {"event", "admission", "encounter"}
    if entity_type == "timestamp" and subject.about_persons and told and not case.header.all & {"created", "log"}:
        return "quasi", "context: a time in a table about persons, and no record time by its name"
    if entity_type == "none" and len(case.sample):
        return _class_of_none(case, subject)
    if subject.animals and entity_type in _OF_ANIMALS:
        return "none", "context: the table is about animals"
    if entity.business_class == entity.identifier_class or case.header.all & PERSONS:
        return entity.identifier_class, None
    if case.identifying_text > IDENTIFYING:
        return entity.identifier_class, "text: identifiers stand in it"
    reason = _impersonal(entity_type, case, subject)
    return (entity.business_class, reason) if reason else (entity.identifier_class, None)


def _impersonal(entity_type: str, case: Case, subject: Subject) -> str | None:
    """Why a column that could tell of a person does not, or None."""
    if entity_type in _CODES and case.sample.distinct_ratio < _REPEATED and case.sample.filled >= 20:
        return None  # a list of codes has each once; here they are those of cases
    if entity_type in _HEALTH or entity_type == "event_date":
        return None if subject.about_persons else "context: nothing in the table tells of a person"
    if entity_type not in _OF_ACCOUNTS and case.header.all & _FIRMS:
        return "name: of a firm or a thing, not of a person"
    if subject.about_business:
        return "context: the table is about firms or things, so contact data are theirs"
    if entity_type in _PLACES and subject.personal < 1.0 and not case.header.opaque:
        return "context: nothing in the table tells of a person"
    return None


def _class_of_none(case: Case, subject: Subject) -> tuple[IdentifierClass, str | None]:
    """Categories of Article 9 without an entity type of their own; measurements and drugs of persons tell about their health."""
    words = case.header.all
    spelled = {concept for pair, concept in _SPELLED.items() if set(pair) <= set(case.header.words)}
    special = spelled | (words & _ARTICLE_9)
    if special and subject.about_persons and not words & {"amount", "count", "id", "number", "organization"}:
        return "sensitive", f"name: reads as {' + '.join(sorted(special))}, a special category of Article 9 GDPR"
    healthy = words & {"drug"} or (words & {"measure"} and "patient" in words)
    healthy = healthy or (subject.patients and words & _OF_CARE and not words & _OF_BUSINESS)
    if healthy and subject.about_persons and not case.header.all & {"amount", "count", "id", "number"}:
        return "sensitive", "context: health data of persons"
    return "none", None
