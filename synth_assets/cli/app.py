"""The commands and the one place where an error becomes an exit code.

Exit codes: 0 done; 1 unexpected; 2 usage, configuration or bad input; 3 a blocking check failed or a release was refused; 4 the
privacy budget does not suffice; 5 a needed service is not available; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from synth_assets import __version__
from synth_assets.cli import (
    backup,
    budget,
    chain,
    cleaning,
    exchange,
    files,
    history,
    home,
    judge,
    leakscan,
    ledger,
    links,
    notify,
    people,
    privacy,
    sealing,
    synthesis,
    unmask,
    watch,
)
from synth_assets.cli.output import bind, emit_error, errors
from synth_assets.cli.roles import require_role
from synth_assets.errors import InputError, SynthAssetsError, UnexpectedError, libraries_silenced, withhold_values

_UsageError: Any = typer.BadParameter.__mro__[1]  # Typer has its own copy of Click and does not export this class
STOPPED = 130
_running: list[str] = []  # the command, once its line was understood

app = typer.Typer(
    name="synth-assets",
    help="Masked and differentially private synthetic tables from personal data, as Dagster assets.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class _Command(TyperCommand):
    """A command whose body no library can disturb."""

    def invoke(self, ctx: Any) -> Any:
        """Run the body; the command line is parsed by now, and help would have been shown."""
        _running.append(ctx.command_path)
        with libraries_silenced():
            require_role(ctx.command_path.removeprefix("synth-assets").strip(), ctx.params.get("home"))
            return super().invoke(ctx)


for group in (
    chain,
    files,
    people,
    unmask,
    synthesis,
    judge,
    budget,
    backup,
    cleaning,
    ledger,
    exchange,
    links,
    notify,
    sealing,
    leakscan,
    watch,
    home,
):
    for command in group.COMMANDS:
        app.command(cls=_Command)(command)

_privacy = typer.Typer(name="privacy", help="Plan differential privacy, or try epsilons, which is charged.")
for command in privacy.COMMANDS:
    _privacy.command(cls=_Command)(command)
app.add_typer(_privacy)

for group_name, (told, group_commands) in history.GROUPS.items():
    _group = typer.Typer(name=group_name, help=told)
    for command_name, body in group_commands.items():
        _group.command(name=command_name, cls=_Command)(body)
    app.add_typer(_group)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Masked and differentially private synthetic tables from personal data, as Dagster assets."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `synth-assets`."""
    atexit.register(_hush)
    code = run(list(sys.argv[1:] if arguments is None else arguments))
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(code)


def _hush() -> None:
    """What native libraries say while the interpreter is taken down (DuckDB lists its own objects) is no message for the user."""
    sys.stderr.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    as_json = "--json" in arguments
    bind()
    _running.clear()
    try:
        with withhold_values("the command"), _dagster_withheld():
            return _run(arguments)
    except SynthAssetsError as error:
        emit_error(error, as_json=as_json)
        _tell_hooks(error)
        return error.exit_code


@contextmanager
def _dagster_withheld() -> Iterator[None]:
    """The boundary lets Dagster's own exceptions pass, since steps are steered by them; a command has no use for them."""
    try:
        yield
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in {"dagster", "dagster_shared"}:
            raise
        raise UnexpectedError(
            f"{type(error).__name__} of Dagster; its text is withheld, since it may quote data.",
            remedy="Check dagster.yaml and the datasets' YAML; `synth-assets health` tries every part.",
        ) from None


def _tell_hooks(error: SynthAssetsError) -> None:
    """Tell of a command that failed; a wrong command line is nobody's business."""
    if _running:
        from synth_assets.observing import tell_failure
        from synth_assets.observing.records import failure_of_command

        for line in tell_failure(failure_of_command(error, _running[-1])):
            if str(error) not in line:
                errors.print(line, soft_wrap=True)


def _run(arguments: list[str]) -> int:
    try:
        result = typer.main.get_command(app).main(arguments, prog_name="synth-assets", standalone_mode=False)
    except _UsageError as error:
        raise _usage(error) from None
    except (KeyboardInterrupt, typer.Abort):
        result = STOPPED
    except BrokenPipeError:
        return 0
    if result == STOPPED:
        errors.print("stopped.")
    return int(result) if isinstance(result, int) else 0


def _usage(error: Any) -> InputError:
    """A wrong command line in our own form: the option at fault as `key`, and where help is."""
    parameter = getattr(error, "param", None)
    option = getattr(error, "option_name", None) or max(getattr(parameter, "opts", ()), key=len, default=None)
    command = error.ctx.command_path if error.ctx else "synth-assets"
    message = str(error.format_message()).strip()
    stop = "" if message.endswith((".", "?", "!")) else "."
    return InputError(message + stop, key=option, remedy=f"See `{command} --help`.")
