"""The command line itself: help, version, wrong usage; one JSON value or one line, never a traceback."""

from __future__ import annotations

import subprocess
import sys

import pytest

from synth_assets import __version__
from synth_assets.cli.app import app, run
from synth_assets_tests.unit.cli.conftest import Command

COMMANDS = {
    "demo", "run", "privacy", "profile", "classify", "mask", "people", "generate", "synthesize", "audit", "init", "budget", "ui", "reports",
    "detokenise", "sample", "schema", "recommend", "exchange", "verify", "ledger", "datasets", "models", "runs", "links",
    "backup", "restore", "notify", "clean",
    "encrypt", "decrypt", "leakscan", "health", "metrics",
}  # fmt: skip


def test_help_lists_every_command_with_a_whole_sentence(cli: Command) -> None:
    answer = cli("--help")
    lines = {line.split()[0]: line for line in answer.out.partition("Commands:")[2].splitlines() if line.strip()}
    assert answer.code == 0
    assert set(lines) == COMMANDS
    assert all(line.endswith(".") and not line.endswith("...") for line in lines.values())


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_each_command_explains_itself(cli: Command, command: str) -> None:
    for option in ("--help", "-h"):
        answer = cli(command, option)
        assert (answer.code, answer.err) == (0, "")
        assert "Usage: synth-assets" in answer.out


def test_version_is_one_line(cli: Command) -> None:
    assert cli("--version").out == f"{__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "words", "key"),
    [
        ([], "Missing command", None),
        (["profil"], "Did you mean 'profile'", None),
        (["profile"], "Missing argument", "file"),
        (["profile", "a.csv", "b.csv"], "unexpected extra argument", None),
        (["profile", "--nope"], "No such option", "--nope"),
        (["audit"], "Missing option", "--synthetic"),
        (["synthesize", "a.csv", "-o", "b.csv", "--rows", "0"], "greater than or equal to 1", "--rows"),
        (["synthesize", "a.csv", "-o", "b.csv", "--epsilon", "much"], "valid number", "--epsilon"),
        (["mask", "a.csv"], "Missing option", "--out"),
        (["run"], "Missing argument", "config"),
        (["ui", "--port", "99999"], "65535", "--port"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(cli: Command, arguments: list[str], words: str, key: str | None) -> None:
    answer = cli(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("error: ")
    assert len(answer.err.splitlines()) == 1
    assert words in answer.err
    assert "--help`" in answer.err

    told = cli(*arguments, "--json")
    assert told.code == 2
    assert told.err == ""
    assert set(told.error) == {"code", "message", "file", "row", "column", "key", "remedy"}
    if arguments and "--nope" not in arguments and arguments[0] != "ui":
        assert told.error["key"] == key


def test_a_fault_that_nobody_foresaw_is_exit_1_without_its_text(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("jane.canary@secret.org")

    monkeypatch.setattr("synth_assets.api.describing.ingested", broken)
    answer = cli("profile", "a.csv")
    assert answer.code == 1
    assert "RuntimeError" in answer.err
    assert "canary" not in answer.err + answer.out
    assert cli("profile", "a.csv", "--json").error["code"] == "unexpected"


def test_control_c_is_exit_130_without_a_traceback(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("synth_assets.api.describing.ingested", stopped)
    answer = cli("profile", "a.csv")
    assert (answer.code, answer.out, answer.err) == (130, "", "stopped.\n")


def test_what_libraries_print_warn_and_log_does_not_show(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def noisy(*_: object, **__: object) -> list[object]:
        import logging
        import sys
        import warnings

        print("noise")  # noqa: T201  the point of the test
        sys.stderr.write("noise\n")
        warnings.warn("noise", stacklevel=1)
        logging.getLogger("library").error("noise")
        return []

    monkeypatch.setattr("synth_assets.api.classify", noisy)
    for arguments in (["classify", "a.csv"], ["classify", "a.csv", "--json"]):
        answer = cli(*arguments)
        assert answer.code == 0
        assert "noise" not in answer.out + answer.err
    assert answer.json == []


def test_every_option_has_help() -> None:
    import typer

    for command in typer.main.get_command(app).commands.values():  # type: ignore[attr-defined]
        for parameter in command.params:
            assert getattr(parameter, "help", None), (command.name, parameter.name)


def test_the_exit_code_is_returned() -> None:
    assert run(["--version"]) == 0


def test_what_libraries_say_while_the_process_ends_is_hushed() -> None:
    """Functions that were registered before the command ran come last, as the libraries' own teardown does."""
    probe = """
import atexit, os, sys
from synth_assets.cli.app import main
atexit.register(os.write, 2, b"teardown\\n")
try:
    main(["--version"])
finally:
    atexit.register(os.write, 2, b"of the command\\n")
"""
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stderr == "of the command\n"
    assert __version__ in done.stdout
