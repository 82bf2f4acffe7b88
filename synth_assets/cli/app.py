"""The commands and the one place where an error becomes an exit code.

Exit codes: 0 done; 1 unexpected; 2 usage, configuration or bad input; 3 a blocking check failed or a release was refused; 4 the
privacy budget does not suffice; 5 a needed service is not available.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
import typer

from synth_assets import __version__
from synth_assets.cli import chain, files
from synth_assets.cli.output import emit_error
from synth_assets.errors import InputError, SynthAssetsError, withhold_values

app = typer.Typer(
    name="synth-assets",
    help="Masked and differentially private synthetic tables from personal data, as Dagster assets.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
chain.register(app)
files.register(app)


@app.command()
def version() -> None:
    """Show the version."""
    typer.echo(__version__)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `synth-assets`."""
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    as_json = "--json" in arguments
    try:
        with withhold_values("the command"):
            return _run(arguments)
    except SynthAssetsError as error:
        emit_error(error, as_json=as_json)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


def _run(arguments: list[str]) -> int:
    try:
        result = typer.main.get_command(app).main(arguments, prog_name="synth-assets", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "")
        return 2
    except click.UsageError as error:
        hint = f"See `{error.ctx.command_path} --help`." if error.ctx else None
        raise InputError(error.format_message(), remedy=hint) from None
    except click.Abort:
        return 130
    return int(result) if isinstance(result, int) else 0
