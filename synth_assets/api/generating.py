"""`generate`: tables from a schema alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from synth_assets.api.reading import Progress, silent
from synth_assets.errors import InputError

if TYPE_CHECKING:
    from synth_assets.generation.stream import Format


def generate(
    schema: Path | str,
    out: Path | str,
    *,
    rows: int | Mapping[str, int] | None = None,
    seed: int = 7,
    fmt: str = "csv",
    progress: Progress = silent,
) -> dict[str, Path]:
    """Make the tables of a generator schema: same schema, seed and rows, same bytes.

    Args:
        schema: YAML of the schema.
        out: Folder to write.
        rows: Rows of the first root table, or rows by root table (default: as the schema says).
        seed: Seed, 0 or more.
        fmt: csv, parquet or jsonl.
        progress: Called with the name of each step as it begins.

    Returns:
        The file of each table.

    Raises:
        ConfigError: the schema has a mistake; the message names line and key.
        InputError: an unknown format, a number out of range, or a place that cannot be written.
    """
    from synth_assets.exports.destination import check_folder
    from synth_assets.generation import generate as generate_tables
    from synth_assets.generation import load_schema
    from synth_assets.generation.files import FORMATS

    folder = Path(os.path.abspath(out))  # noqa: PTH100  keeps symbolic links
    check_folder(folder)
    if fmt not in FORMATS:
        raise InputError(f"{fmt!r} is no format of the generator.", key="--format", remedy=f"Use {', '.join(FORMATS)}.")
    loaded = load_schema(Path(schema))
    progress(f"making {len(loaded.tables)} tables")
    return generate_tables(loaded, folder, seed=seed, rows=rows, fmt=cast("Format", fmt))
