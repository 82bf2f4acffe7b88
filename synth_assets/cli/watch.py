"""The commands for those who operate a home: health, metrics."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from synth_assets.cli.options import HomeOption, JsonOption, nearest_home
from synth_assets.cli.output import console, emit_json, path_line, show, table
from synth_assets.config.runtime import Settings
from synth_assets.errors import InputError

LOOPBACK, UNAVAILABLE = "127.0.0.1", 5


def health(
    service: Annotated[bool, typer.Option("--service", help="The daemon must be running.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Try every part of a home."""
    from synth_assets.automation.health import health as tried
    from synth_assets.definitions import build_defs

    found = tried(Settings.from_environment(_existing(home)), build_defs, service=service)
    if as_json:
        emit_json({"ok": found.ok, "parts": [asdict(part) for part in found.parts]})
    else:
        rows = [[part.name, part.state, part.message, f"{part.seconds:.2f}"] for part in found.parts]
        show(table("Health", ["part", "state", "found", "seconds"], rows))
    return 0 if found.ok else UNAVAILABLE


def metrics(
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="FILE", help="File to write, for a collector of text files.")
    ] = None,
    serve: Annotated[
        int | None,
        typer.Option("--serve", metavar="PORT", help="Serve them at /metrics (Ctrl-C ends it).", min=1, max=65535),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(
            "--host", metavar="ADDRESS", help=f"Address to serve them on (default: {LOOPBACK}, this machine only)."
        ),
    ] = None,
    home: HomeOption = None,
) -> int:
    """Print figures of a home as OpenMetrics."""
    from synth_assets.automation.metrics import metrics as told
    from synth_assets.cli.serve import serve_metrics
    from synth_assets.definitions import build_defs
    from synth_assets.storage.atomic import write_text

    settings = Settings.from_environment(_existing(home))
    if host is not None and serve is None:
        raise InputError("--host belongs to --serve.", key="--host", remedy="Add --serve PORT.")
    if serve is not None:
        if out is not None:
            raise InputError("--serve and --out exclude each other.", key="--serve")
        address = host or LOOPBACK
        show(path_line("metrics", f"http://{address}:{serve}/metrics  (home {settings.home}; Ctrl-C ends it)"))
        console.file.flush()
        serve_metrics(settings, serve, address)
        return 0
    target = None if out is None else out.absolute()
    text = told(settings, build_defs)
    if target is None:
        console.file.write(text)
    else:
        write_text(target, text, mode=0o644)
    return 0


def _existing(home: Path | None) -> Path:
    """The home folder.

    Raises:
        InputError: there is none; looking at one does not make it.
    """
    found = nearest_home(home)
    if not found.is_dir():
        raise InputError("there is no home folder here.", file=str(found), key="--home", remedy="Name one with --home.")
    return found


COMMANDS = (health, metrics)
