"""What the command line prints: tables for people on a terminal, one JSON value for machines, one line for an error."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from synth_assets.errors import SynthAssetsError

console = Console()
errors = Console(stderr=True)


def emit_json(value: Any) -> None:
    """One JSON value on stdout and nothing else."""
    sys.stdout.write(json.dumps(value, indent=1, default=str) + "\n")


def emit_error(error: SynthAssetsError, *, as_json: bool) -> None:
    """One error: JSON on stdout for machines, one line on stderr for people."""
    if as_json:
        emit_json(error.as_dict())
    else:
        errors.print(Text("error: ", style="bold red") + Text(str(error)), soft_wrap=True)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    """A table with right-aligned numbers; None is shown as a dash."""
    made = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    for i, column in enumerate(columns):
        numeric = all(isinstance(r[i], int | float) or r[i] is None for r in rows) and bool(rows)
        made.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        made.add_row(*(_cell(v) for v in row))
    return made


def _cell(value: Any) -> Text:
    if value is None:
        return Text("-", style="dim")
    if isinstance(value, bool):
        return Text("yes" if value else "")
    if isinstance(value, int):
        return Text(f"{value:,}")
    if isinstance(value, float):
        return Text(f"{value:.4g}" if abs(value) < 1e6 else f"{value:,.0f}")
    return Text(str(value))


def path_line(label: str, path: Path | str) -> Text:
    """A label and a path that can be copied whole."""
    return Text(f"{label}: ", style="bold") + Text(str(path))
