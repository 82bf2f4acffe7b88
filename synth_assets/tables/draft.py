"""A first YAML for `synth-assets init FILE`: names, kinds, a key, and a domain that a person must review.

What it takes from the data is marked `inferred`. It writes no value of a column that may identify people: categories only where each is
frequent, bounds only rounded outward.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import yaml

from synth_assets.config.dataset import DATASET_NAME, SourceConfig
from synth_assets.errors import ConfigError, withhold_values
from synth_assets.storage.rooms import temporary
from synth_assets.tables.canonical import PART, read_notes
from synth_assets.tables.engine import Engine, Session
from synth_assets.tables.readers.naming import shown
from synth_assets.tables.schema import ColumnKind, ColumnSchema, TableSchema
from synth_assets.tables.sources import ingest

MOST_CATEGORIES = 50
FEWEST_ROWS = 11
_MOST_TARGET_VALUES = 10
_COLUMNS_PER_QUERY = 50
_NO_KEY_NAME = re.compile(r"(?i)zip|postal|postcode|phone|fax|mail|ssn|name|addr|(^|_)ip$|password|token")
_IDENTIFYING_NAME = re.compile(
    r"(?i)name|mail|phone|fax|mobile|addr|street|city|town|zip|postal|postcode|ssn|passport|licen[cs]e|account|card|iban|swift|"
    r"birth|dob|born|user|login|password|token|patient|customer|member|\bip\b|(^|[_ .-])(id|no|nr|key)$|[a-z](Id|ID|Key)$"
)
_HEADER = """\
# Draft of a dataset, made by `synth-assets init` from {source}.
#
# Everything marked `inferred: true`, and the primary key, was taken from the data and needs your review. An inferred kind, bound or
# category is not public knowledge: privacy reports list it until you have confirmed it. To confirm a column, correct its entry by a
# codebook and delete `inferred`. To have bounds or categories measured under differential privacy (it costs budget), delete them.
"""


@dataclass
class _Seen:
    """What a column shows that may be written down."""

    lower: Any = None
    upper: Any = None
    distinct: int = 0
    categories: tuple[str, ...] = field(default_factory=tuple)


class _Flow(dict[str, Any]):
    """A mapping that is written on one line."""


class _Dumper(yaml.SafeDumper):
    """Safe YAML with one line per column."""


_Dumper.add_representer(
    _Flow, lambda dumper, data: dumper.represent_mapping("tag:yaml.org,2002:map", data.items(), flow_style=True)
)


def draft_config(
    path: Path, *, name: str | None = None, yaml_folder: Path | None = None, engine: Engine | None = None
) -> str:
    """The text of a dataset's YAML, as a first draft.

    Args:
        path: Data file, or a folder of files of one table.
        name: Name of the dataset; made from the file's name when absent.
        yaml_folder: Folder where the YAML will lie; the path in it is relative to that. The file's own folder when absent.
        engine: Where expressions run.

    Returns:
        YAML that `load_dataset` accepts.

    Raises:
        SourceError: the file is no table.
        ConfigError: the name is no dataset name.
    """
    path = path.absolute()
    dataset = _checked(name) if name is not None else slug(path.name)
    with temporary() as private:
        out = private / "table"
        runner = engine or Engine()
        schema = ingest(SourceConfig(path=str(path)), name=dataset, base_dir=path.parent, out=out, engine=runner)
        with withhold_values("drafting of a configuration"), runner.files_session() as session:
            seen = _look(session, out / PART, schema)
        notes = read_notes(out)
    return _text(path, yaml_folder or path.parent, schema, seen, notes)


def slug(text: str) -> str:
    """A dataset name from a file name."""
    stem = text.split(".", 1)[0] or text
    plain = re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_")
    return plain if plain[:1].isalpha() else f"t_{plain}".rstrip("_")


def guess_key(schema: TableSchema, distinct: Mapping[str, int]) -> str | None:
    """The likeliest primary key: unique in every row, by name, then by position; None where no identifier is unique.

    Args:
        schema: Schema of the table.
        distinct: Distinct values per column, missing ones not counted.
    """
    unique = [c for c in schema.columns if distinct.get(c.name) == schema.row_count]
    ids = [c.name for c in unique if c.kind is ColumnKind.ID and not _NO_KEY_NAME.search(c.name)]
    table = schema.name.rstrip("s")

    def rank(column: str) -> tuple[int, int]:
        plain = re.sub(r"[^a-z0-9]", "", column.lower())
        own = plain in {"id", f"{table}id".replace("_", ""), f"{schema.name}id".replace("_", "")}
        return (0 if own else 1 if plain.endswith("id") else 2, schema.names.index(column))

    return min(ids, key=rank, default=None)


def round_outward(lower: float, upper: float) -> tuple[float, float]:
    """Round bounds that hold both figures: to the power of ten of their span; 0 where the smaller figure is close to it."""
    span = upper - lower
    step = 10.0 ** math.floor(math.log10(span if span > 0 else max(abs(upper), 1.0)))
    low, high = math.floor(lower / step) * step, math.ceil(upper / step) * step
    if 0 <= lower <= span:
        low = 0.0
    if high <= low:
        high = low + step
    digits = max(0, -math.floor(math.log10(step)))
    return round(low, digits), round(high, digits)


def _checked(name: str) -> str:
    if not DATASET_NAME.fullmatch(name):
        raise ConfigError(
            "this is no dataset name.",
            key="name",
            remedy="Use lower-case letters, digits and _, and start with a letter.",
        )
    return name


def _look(session: Session, part: Path, schema: TableSchema) -> dict[str, _Seen]:
    """Bounds, numbers of values, and frequent categories per column."""
    table = session.parquet(part)
    seen: dict[str, _Seen] = {}
    for start in range(0, len(schema.columns), _COLUMNS_PER_QUERY):
        some = schema.columns[start : start + _COLUMNS_PER_QUERY]
        terms = {f"{what}{i}": term for i, c in enumerate(some) for what, term in _terms(table, c).items()}
        row = table.aggregate(**terms).to_pyarrow().to_pylist()[0]
        for i, column in enumerate(some):
            found = _Seen(distinct=int(row[f"distinct{i}"]), lower=row.get(f"lower{i}"), upper=row.get(f"upper{i}"))
            if _may_list(column, found):
                found.categories = _frequent(table, column.name)
            seen[column.name] = found
    return seen


def _terms(table: Any, column: ColumnSchema) -> dict[str, Any]:
    cell = table[column.name]
    ordered = column.kind in {ColumnKind.NUMBER, ColumnKind.DATE, ColumnKind.DATETIME}
    return {"distinct": cell.nunique(), **({"lower": cell.min(), "upper": cell.max()} if ordered else {})}


def _may_list(column: ColumnSchema, found: _Seen) -> bool:
    """Whether the values of a column may be written: few, of a category (or a whole number with two values), under a harmless name."""
    if _IDENTIFYING_NAME.search(column.name) or not 0 < found.distinct <= MOST_CATEGORIES:
        return False
    binary = column.kind is ColumnKind.NUMBER and column.dtype == "int64" and found.distinct == 2
    return column.kind is ColumnKind.CATEGORY or binary


def _frequent(table: Any, column: str) -> tuple[str, ...]:
    """All values of a column, in order, where each stands in at least 11 rows; else none."""
    present = table.filter(table[column].notnull())
    counts = present.group_by(value=present[column].cast("string")).aggregate(n=present.count()).order_by("value")
    rows = counts.to_pyarrow().to_pylist()
    return tuple(r["value"] for r in rows) if all(r["n"] >= FEWEST_ROWS for r in rows) else ()


def _entry(column: ColumnSchema, seen: _Seen) -> _Flow:
    """What the draft says about one column."""
    entry = _Flow(kind=column.kind.value)
    if seen.categories:
        entry["kind"] = "category"
        entry["categories"] = list(seen.categories)
    elif column.kind is ColumnKind.NUMBER and seen.lower is not None and not _IDENTIFYING_NAME.search(column.name):
        low, high = round_outward(float(seen.lower), float(seen.upper))
        entry["lower"], entry["upper"] = _number(low), _number(high)
    elif column.kind in {ColumnKind.DATE, ColumnKind.DATETIME} and seen.lower is not None:
        entry["lower"], entry["upper"] = _years(seen.lower, seen.upper)
    entry["inferred"] = True
    return entry


def _number(value: float) -> int | float:
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _years(lower: date | datetime, upper: date | datetime) -> tuple[str, str]:
    """Bounds of dates: whole years, or decades where they span more than ten years."""
    first, last = lower.year, upper.year
    if last - first > 10:
        first, last = first // 10 * 10, (last // 10 + 1) * 10 - 1
    return f"{max(first, 1):04d}-01-01", f"{min(last, 9999):04d}-12-31"


def _text(path: Path, yaml_folder: Path, schema: TableSchema, seen: Mapping[str, _Seen], notes: Sequence[str]) -> str:
    near = os.path.commonpath((path, yaml_folder.absolute())) != path.anchor
    relative = os.path.relpath(path, yaml_folder) if near else str(path)
    key = guess_key(schema, {n: s.distinct for n, s in seen.items()})
    lines = [_HEADER.format(source=_comment(path.name)).rstrip()]
    lines += [f"# Note on the file: {_comment(note)}" for note in notes]
    lines += [_dump({"name": schema.name}), _dump({"source": _Flow(path=relative)})]
    if key is None:
        lines.append(
            "# primary_key: name the column or columns that are unique in every row; no identifier in the data is"
        )
    else:
        lines.append(_dump({"primary_key": key}) + "  # inferred: unique in every row")
    candidates = _targets(schema, seen)
    lines.append(
        f"# target: the column that a model would predict{'; it could be ' + shown(candidates) if candidates else ''}"
    )
    lines.append("# protected: [columns such as sex or race, for the fairness audit]")
    lines.append("# null_values: [texts that mean missing, such as NA; without it only the empty cell does]")
    columns = {c.name: _entry(c, seen[c.name]) for c in schema.columns}
    return "\n".join(lines) + "\n" + _dump({"columns": columns}) + "\n"


def _targets(schema: TableSchema, seen: Mapping[str, _Seen]) -> list[str]:
    """Columns with few values, the last ones first."""
    few = [c.name for c in schema.columns if _few_values(c, seen[c.name])]
    return few[::-1][:8]


def _few_values(column: ColumnSchema, seen: _Seen) -> bool:
    if _IDENTIFYING_NAME.search(column.name):
        return False
    kinds = {ColumnKind.CATEGORY, ColumnKind.BOOLEAN}
    return 2 <= seen.distinct <= _MOST_TARGET_VALUES and (column.kind in kinds or seen.distinct == 2)


def _comment(text: str) -> str:
    """Text for a comment: printable, on one line."""
    return "".join(c if c.isprintable() else " " for c in text)


def _dump(data: Mapping[str, Any]) -> str:
    text = yaml.dump(
        dict(data), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100_000, default_flow_style=False
    )
    return str(text).rstrip("\n")
