"""Options that several commands share, and the home folder that they name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from synth_assets.cli.output import note
from synth_assets.config.base import LocaleName
from synth_assets.config.dataset import SourceConfig, TableConfig
from synth_assets.config.runtime import PRIVATE_HOME, Settings, find_home
from synth_assets.errors import InputError

HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="DIR",
        help="Folder that holds var/ (default: the nearest one with dagster.yaml, else ./.synth_assets).",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON value and nothing else.")]
FileArgument = Annotated[
    str,
    typer.Argument(
        metavar="FILE", help="CSV, TSV, Parquet, JSON, JSONL, Excel or Avro file, folder, pattern, or address."
    ),
]
EncodingOption = Annotated[str | None, typer.Option(metavar="NAME", help="Encoding of the text (default: found out).")]
DelimiterOption = Annotated[str | None, typer.Option(metavar="SIGN", help="Sign between cells (default: found out).")]
NullValueOption = Annotated[
    list[str] | None, typer.Option(metavar="TEXT", help="A text that means missing, such as NA; may be repeated.")
]
SheetOption = Annotated[str | None, typer.Option(metavar="NAME", help="Sheet of a workbook (default: the first).")]


def known_locale(name: str) -> LocaleName:
    """A locale by its name.

    Raises:
        InputError: there is no such locale.
    """
    if name not in get_args(LocaleName):
        known = ", ".join(get_args(LocaleName))
        raise InputError(f"there are no people of {name!r}.", key="--locale", remedy=f"Use one of {known}.")
    return cast("LocaleName", name)


TextDetectorOption = Annotated[
    str, typer.Option(metavar="NAME", help="Looks for identifiers in free text: builtin, or presidio (an extra).")
]
OutOption = Annotated[
    Path, typer.Option("-o", "--out", metavar="OUT", help="File to write: .csv, .tsv, .json, .jsonl or .parquet.")
]


def table_of(
    file: str, encoding: str | None, delimiter: str | None, null_value: list[str] | None, sheet: str | None
) -> str | TableConfig:
    """The file, with what the command line says about how to read it.

    Raises:
        InputError: the delimiter is more than one sign.
    """
    if not (encoding or delimiter or null_value or sheet):
        return file
    sign = {"\\t": "\t", "tab": "\t"}.get(delimiter or "", delimiter)
    if sign is not None and len(sign) != 1:
        raise InputError("a delimiter is one sign.", key="--delimiter", remedy="Write tab for a tabulator.")
    path = file if "://" in file else str(Path(file).absolute())
    source = SourceConfig(path=path, encoding=encoding, delimiter=sign, sheet=sheet)
    return TableConfig(source=source, null_values=tuple(null_value or ()))


def home_of(home: Path | None) -> Path:
    """The home folder, absolute; the private one is made when it is first used.

    Raises:
        InputError: it cannot be a folder.
    """
    found = nearest_home(home)
    private = home is None and found.name == PRIVATE_HOME and not found.exists()
    try:
        found.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise InputError(
            f"the home folder cannot be made ({type(error).__name__}).", file=str(found), key="--home",
            remedy="Name a folder that you may write with --home.",
        ) from None  # fmt: skip
    if private:
        from synth_assets.storage.atomic import write_text

        write_text(found / ".gitignore", "*\n")  # keys, ledgers and raw tables belong in no repository
    return found


def nearest_home(home: Path | None) -> Path:
    """The home folder, absolute, whether or not it exists."""
    return (home or find_home(Path.cwd())).resolve()


@contextmanager
def telling_of_first_key(home: Path) -> Iterator[None]:
    """Say so in one line where the block makes the home's key."""
    key = Settings(home=home).keys_folder / "master.key"
    before = key.exists()
    try:
        yield
    finally:
        if not before and key.exists():
            note(f"made a development key for pseudonyms in {key}; keep it: without it they cannot be made again.")
