"""What is printed: figures for people, JSON that every reader takes, tables that no pipe cuts."""

from __future__ import annotations

import io
import json
import math

import pytest

from synth_assets.cli import output
from synth_assets.errors import InputError


@pytest.fixture(autouse=True)
def streams(monkeypatch: pytest.MonkeyPatch) -> tuple[io.StringIO, io.StringIO]:
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.stderr", err)
    output.bind()
    return out, err


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (3.0, "3"),
        (0.12345, "0.1235"),
        (178356.3, "178,356"),
        (2e6, "2,000,000"),
        (1.5e20, "1.500e+20"),
        (-1234.5, "-1,234"),
    ],
)
def test_figures_are_readable(value: float, shown: str) -> None:
    assert output.figure(value) == shown


def test_json_has_null_for_what_is_not_finite(streams: tuple[io.StringIO, io.StringIO]) -> None:
    output.emit_json({"a": math.nan, "b": [math.inf, 1.5], "c": ("é", None)})
    assert json.loads(streams[0].getvalue()) == {"a": None, "b": [None, 1.5], "c": ["é", None]}


def test_without_a_terminal_no_row_is_wrapped_and_no_line_ends_in_blanks(
    streams: tuple[io.StringIO, io.StringIO],
) -> None:
    long = "x" * 500
    output.show(
        output.table("Title", ["name", "value"], [["a", long], ["bb", "y"]]), output.path_line("file", "/p" * 300)
    )
    lines = streams[0].getvalue().splitlines()
    assert lines == ["Title", "name  value", f"a     {long}", "bb    y", "file: " + "/p" * 300]


def test_missing_cells_are_dashes_and_numbers_stand_right(streams: tuple[io.StringIO, io.StringIO]) -> None:
    output.show(output.table("", ["n", "t"], [[1, None], [1000, "x"], [None, True]]))
    assert streams[0].getvalue().splitlines() == ["    n  t", "    1  -", "1,000  x", "    -  yes"]


def test_an_error_is_one_line_whatever_its_file_is_called(streams: tuple[io.StringIO, io.StringIO]) -> None:
    output.emit_error(InputError("wrong.", file="a\nb\x1b[31m.csv", remedy="Mend it."), as_json=False)
    assert streams[1].getvalue() == "error: a b?[31m.csv: wrong. Mend it.\n"


def test_steps_are_silent_without_a_terminal(streams: tuple[io.StringIO, io.StringIO]) -> None:
    with output.steps(quiet=False) as progress:
        progress("reading")
    assert (streams[0].getvalue(), streams[1].getvalue()) == ("", "")


def test_steps_on_a_terminal_show_the_running_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    output.bind()
    clock = iter(float(i) for i in range(100))
    monkeypatch.setattr("synth_assets.cli.output.time.perf_counter", lambda: next(clock))
    with output.steps(quiet=False) as progress:
        progress("reading")
        progress("auditing")
    shown = terminal.getvalue()
    assert "reading, 1.0 s" in shown
    assert "auditing, 1.0 s" in shown


def test_notes_of_our_own_readers_are_shown_once(streams: tuple[io.StringIO, io.StringIO]) -> None:
    import logging

    log = logging.getLogger("synth_assets.tables.sources")
    with output.steps(quiet=False):
        log.info("a.csv: odd")
        log.info("a.csv: odd")
    log.info("a.csv: later")
    assert streams[1].getvalue() == "note: a.csv: odd\n"
