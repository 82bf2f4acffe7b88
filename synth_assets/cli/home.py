"""Commands about a home folder and its datasets: init, ui, reports."""

from __future__ import annotations

import os
import socket
import sys
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from synth_assets.cli.options import HomeOption, JsonOption, home_of, nearest_home
from synth_assets.cli.output import console, emit_json, path_line, show
from synth_assets.config.runtime import Settings
from synth_assets.errors import InputError

LOOPBACK = "127.0.0.1"


def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A data file, or a folder of files of one table.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="YAML", help="YAML to write (default: FILE with .yaml).")
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the dataset (default: from the file's name).")
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Draft a dataset's YAML from a file, for a person to review."""
    from synth_assets.exports.destination import check_folder
    from synth_assets.storage.atomic import write_text
    from synth_assets.tables.draft import draft_config

    source = file.absolute()
    if not source.exists():
        raise InputError("the file does not exist.", file=str(source), remedy="Check its name.")
    target = (out or source.with_suffix(".yaml")).absolute()
    if target.exists():
        raise InputError(
            "this exists already; a draft never replaces a file.", file=str(target), remedy="Name another file with -o."
        )
    check_folder(target.parent)
    write_text(target, draft_config(source, name=name, yaml_folder=target.parent), mode=0o644)
    if as_json:
        emit_json({"draft": str(target)})
        return 0
    show(path_line("draft", target), f"Review what is marked `inferred`, then: synth-assets run {target}")
    return 0


def ui(
    port: Annotated[int, typer.Option(metavar="PORT", help=f"Port on {LOOPBACK}.", min=1, max=65535)] = 3000,
    home: HomeOption = None,
) -> int:
    """Open the Dagster UI on the same history (Ctrl-C ends it)."""
    from synth_assets.automation.opening import open_instance
    from synth_assets.automation.runner import prepare_home
    from synth_assets.cli.serve import require_free

    base = home_of(home)
    require_free(LOOPBACK, port)
    prepare_home(base)
    with open_instance():
        pass  # dagster itself would say a fault in its own words, once per process
    _claim(port)
    show(path_line("Dagster UI", f"http://{LOOPBACK}:{port}  (home {base}; Ctrl-C ends it)"))
    console.file.flush()
    workspace = str(
        files("synth_assets") / "data" / "workspace.yaml"
    )  # it names the location as the command line's runs do
    where = ["-w", workspace, "-h", LOOPBACK, "-p", str(port)]
    os.execv(sys.executable, [sys.executable, "-m", "dagster", "dev", *where])  # noqa: S606  our own interpreter, no shell


def _claim(port: int) -> None:
    """Keep a second `ui` off this port while Dagster has not opened it yet: its webserver would find it taken, and live on without it.

    The name is of this machine (or container), as the port is; it is given up when the process that this one becomes ends.

    Raises:
        InputError: another one has claimed it.
    """
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0synth_assets/ui/{port}")
    except OSError:
        claim.close()
        raise InputError(
            f"another `synth-assets ui` starts on port {port}.",
            key="--port",
            remedy="End it, or name another port with --port.",
        ) from None
    claim.set_inheritable(True)
    claim.detach()


def reports(
    port: Annotated[int, typer.Option(metavar="PORT", help=f"Port on {LOOPBACK}.", min=1, max=65535)] = 3001,
    home: HomeOption = None,
) -> int:
    """Serve the HTML reports on this machine only (Ctrl-C ends it)."""
    from synth_assets.cli.serve import require_free, serve_reports

    settings = Settings.from_environment(nearest_home(home))
    require_free(LOOPBACK, port)
    show(path_line("Reports", f"http://{LOOPBACK}:{port}  (Ctrl-C ends it)"))
    console.file.flush()
    serve_reports(settings, port)
    return 0


COMMANDS = (init, ui, reports)
