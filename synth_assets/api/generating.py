"""`generate`: tables from a schema alone. `people`: identities of people who do not exist."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from synth_assets.api.reading import Progress, destination, engine_of, silent
from synth_assets.config.base import LocaleName
from synth_assets.errors import InputError
from synth_assets.storage.rooms import temporary

if TYPE_CHECKING:
    import pandas as pd

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


def people(
    n: int, out: Path | str | None = None, *, locale: LocaleName = "en_US", seed: int = 7, progress: Progress = silent
) -> Path | pd.DataFrame:
    """Coherent identities of people who do not exist: name, sex, birth date, e-mail, phone, address, national number, MRN.

    Args:
        n: How many.
        out: File to write, its suffix sets the format; a frame is returned when None.
        locale: Country and language, such as de_DE; `synth_assets.generation.locales.LOCALES` lists them.
        seed: Same seed, number and locale: same people. 0 or more.
        progress: Called with the name of each step as it begins.

    Returns:
        The file, or the frame, with the columns of `synth_assets.generation.people`.

    Raises:
        InputError: there is no such locale, a number out of range, more people than national numbers that nobody has, or a file
            that cannot be written.
    """
    from synth_assets.generation import people as make_people

    target = destination(out)
    if n < 1 or seed < 0:
        raise InputError("this is a whole number from 1 (the seed: from 0).", key="n" if n < 1 else "seed")
    progress(f"making {n:,} people")
    made = make_people(n, seed, locale=locale)
    if target is None:
        return cast("pd.DataFrame", made.to_pandas())
    from pyarrow import parquet

    from synth_assets.exports.formats import write_table
    from synth_assets.tables.schema import ColumnSchema, TableSchema

    kinds: dict[str, Literal["number", "date"]] = {"double": "number", "date32[day]": "date"}
    columns = [ColumnSchema(name=f.name, kind=kinds.get(str(f.type), "text"), dtype=str(f.type)) for f in made.schema]
    schema = TableSchema(name="people", columns=tuple(columns), row_count=n)
    progress(f"writing {target.name}")
    with temporary() as scratch:
        file = scratch / "people.parquet"
        parquet.write_table(made, file)
        write_table(
            file,
            target,
            schema=schema,
            engine=engine_of(),
            provenance={"made_up": True, "locale": locale, "seed": seed},
        )
    return target
