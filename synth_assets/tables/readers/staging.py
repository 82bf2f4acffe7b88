"""What every reader gives: rows staged as Parquet with columns c0, c1, ..., their names, and what to say about the reading.

Staged columns keep what the source says: `text` for cells that have no type yet (CSV), else an Arrow type. Nothing is inferred here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

StagedType = Literal["text", "string", "int64", "double", "bool", "date", "timestamp", "timestamp_utc"]

ARROW: dict[StagedType, pa.DataType] = {
    "text": pa.string(),
    "string": pa.string(),
    "int64": pa.int64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamp_utc": pa.timestamp("us"),
}


def same_row(row: int) -> int:
    """Place of a 0-based staged row in a source without lines: its 1-based row number."""
    return row + 1


@dataclass(frozen=True)
class Part:
    """One staged Parquet file and where its rows came from.

    Attributes:
        path: The Parquet file.
        origin: Name of the source file or query, for messages.
        line_of: Maps a 0-based row of this part to the 1-based line or row of its origin; may be slow, errors only.
    """

    path: Path
    origin: str
    line_of: Callable[[int], int] = same_row


@dataclass
class Staged:
    """A source, read but not yet typed.

    Attributes:
        names: Column names as the source spells them.
        types: Type of each staged column.
        parts: The staged files, in row order.
        facts: What the reader found out (format, delimiter, encoding), shown to people; no cell values.
        notes: Sentences about what is odd in the source; no cell values.
        decimals: Digits after the decimal point of a column, by position, where the source declares them.
        header_found: False where the names were made up.
    """

    names: tuple[str, ...]
    types: tuple[StagedType, ...]
    parts: tuple[Part, ...]
    facts: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    decimals: dict[int, int] = field(default_factory=dict)
    header_found: bool = True

    @property
    def row_count(self) -> int:
        """Rows over all parts, from the Parquet footers."""
        return sum(pq.read_metadata(part.path).num_rows for part in self.parts)


def positions(count: int) -> list[str]:
    """Names of the staged columns: c0, c1, ..."""
    return [f"c{i}" for i in range(count)]


def staged_schema(types: Sequence[StagedType]) -> pa.Schema:
    """Arrow schema of a staged file."""
    return pa.schema([pa.field(f"c{i}", ARROW[t]) for i, t in enumerate(types)])


def staged_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """A writer of a staged file: read a few times and thrown away, so plain pages cost less than dictionaries and statistics."""
    return pq.ParquetWriter(path, schema, compression="lz4", use_dictionary=False, write_statistics=False)
