"""`synth-assets`: parse, one call, exit code. Nothing heavy is imported before a command is known."""

from synth_assets.cli.app import main

__all__ = ["main"]
