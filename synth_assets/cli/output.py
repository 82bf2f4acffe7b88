"""What the command line prints: tables for people, one JSON value for machines, one line for an error, progress on stderr.

What belongs here: everything that reaches the terminal. Libraries never do: what they print, warn and log is dropped while a command
runs (`libraries_silenced` of `errors.py`).
"""

from __future__ import annotations

import io
import json
import logging
import math
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from pydantic import BaseModel
from rich.console import Console, RenderableType
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from synth_assets.errors import SynthAssetsError

console = Console(highlight=False, markup=False, emoji=False)
errors = Console(highlight=False, markup=False, emoji=False, stderr=True)
ONE_LINE = 10_000  # columns where nobody reads on a terminal: every row of a table is one line, no path is cut


def bind() -> None:
    """Send our own output to the streams of now, whatever they become while a command runs."""
    for out, stream in ((console, sys.stdout), (errors, sys.stderr)):
        _bind(out, stream)


def _bind(out: Console, stream: TextIO) -> None:
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")  # a terminal that cannot show a sign shows "?"
    out.file = stream
    out.is_interactive = out.is_terminal and not out.is_dumb_terminal
    out._width = None if out.is_terminal else ONE_LINE  # noqa: SLF001  the setter takes no None, and None is what follows the window


def show(*parts: RenderableType) -> None:
    """Print tables and lines; without a terminal no line ends in blanks."""
    if console.is_terminal:
        for part in parts:
            console.print(part, soft_wrap=not isinstance(part, Table))
        return
    with console.capture() as caught:
        for part in parts:
            console.print(part, soft_wrap=not isinstance(part, Table))
    console.file.write("".join(f"{line.rstrip()}\n" for line in caught.get().splitlines()))


def narrow() -> bool:
    """Whether a table has little room."""
    return console.width < 120


def emit_json(value: Any) -> None:
    """One JSON value on stdout and nothing else; a record as its fields, what is not finite as null."""
    console.file.write(json.dumps(_plain(value), indent=1, default=str, ensure_ascii=False, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return json.loads(value.model_dump_json())
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def emit_error(error: SynthAssetsError, *, as_json: bool) -> None:
    """One error: JSON on stdout for machines, one line on stderr for people."""
    if as_json:
        emit_json(error.as_dict())
    else:
        line("error", str(error), style="bold red")


def line(word: str, text: str, *, style: str = "yellow") -> None:
    """One line on stderr."""
    errors.print(Text(f"{word}: ", style=style) + Text(visible(text)), soft_wrap=True)


def note(text: str) -> None:
    """One line on stderr that is no error."""
    line("note", text)


def visible(text: str) -> str:
    """Text on one line, without signs that steer a terminal: names of files and columns come from elsewhere."""
    return " ".join("".join(c if c.isprintable() or c.isspace() else "?" for c in text).split())


@contextmanager
def steps(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    """What a person sees on stderr while work goes on: notes on the file, and on a terminal the running step with its time.

    Args:
        quiet: Say nothing.

    Yields:
        What to call with the name of each step as it begins.
    """
    if quiet:
        yield lambda _: None
        return
    shown = _Steps()
    log, notes = logging.getLogger("synth_assets"), _Notes()
    level = log.level
    log.addHandler(notes)
    log.setLevel(logging.INFO)
    try:
        yield shown.begin if errors.is_terminal else lambda _: None
        shown.end()
    finally:
        shown.stop()
        log.removeHandler(notes)
        log.setLevel(level)


class _Notes(logging.Handler):
    """What our own readers say about a file, on stderr; the same line once."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """One line."""
        text = record.getMessage()
        if text not in self.said:
            self.said.add(text)
            note(text)


class _Steps:
    """A spinner with the running step; finished steps stay as lines."""

    def __init__(self) -> None:
        self.name: str | None = None
        self.started = time.perf_counter()
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self.bar = Progress(*columns, console=errors, transient=True, redirect_stdout=False, redirect_stderr=False)
        self.task: TaskID | None = None  # None while nothing moves

    def begin(self, name: str) -> None:
        self.end()
        self.name, self.started = name, time.perf_counter()
        self.bar.start()
        self.task = self.bar.add_task(name, total=None)

    def end(self) -> None:
        if self.name is None:
            return
        seconds, name = time.perf_counter() - self.started, self.name
        self.name = None
        self.stop()
        if seconds >= 1:
            errors.print(Text(f"  {name}, {seconds:.1f} s", style="dim"), soft_wrap=True)

    def stop(self) -> None:
        if self.task is not None:
            self.bar.remove_task(self.task)
            self.bar.stop()
            self.task = None


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, right: Collection[str] = ()) -> Table:
    """A table; None is shown as a dash.

    Args:
        title: Line above it; none where it is empty.
        columns: Heads.
        rows: Cells.
        right: Heads of columns to align at the right, besides those that hold numbers only.
    """
    made = Table(
        title=title or None, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False
    )
    for i, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(r[i], int | float | None) for r in rows)
        made.add_column(column, justify="right" if numeric or column in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(_cell(v) for v in row))
    return made


def facts(title: str, rows: Sequence[tuple[str, Any]]) -> Table:
    """A table of two columns without a head: what, and its value."""
    made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, show_header=False)
    made.add_column(style="dim")
    made.add_column(overflow="fold")
    for name, value in rows:
        made.add_row(name, _cell(value))
    return made


def _cell(value: Any) -> Text:
    if value is None:
        return Text("-", style="dim")
    if isinstance(value, bool):
        return Text("yes" if value else "")
    if isinstance(value, int):
        return Text(f"{value:,}")
    if isinstance(value, float) and math.isfinite(value):
        return Text(figure(value))
    return Text(visible(str(value)))


def figure(value: float) -> str:
    """A number for people: no exponent where it can be read without, four digits that tell."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}" if abs(value) < 1e15 else f"{value:.3e}"
    return f"{value:.4g}"


def path_line(label: str, path: Path | str) -> Text:
    """A label and a path that can be copied whole."""
    return Text(f"{label}: ", style="bold") + Text(visible(str(path)))
