"""What every asset body runs inside: foreign texts are withheld, our errors become `dagster.Failure` without a cause.

Dagster stores exceptions, warnings and prints; libraries quote cell values in all three (docs/adr/0005).
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from synth_assets.errors import SynthAssetsError, withhold_values


@contextmanager
def silence_libraries() -> Iterator[None]:
    """Drop what libraries print, warn and log while the block runs; Dagster's own log is not touched."""
    sink = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    with warnings.catch_warnings(), contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
        warnings.simplefilter("ignore")
        root.handlers = [logging.NullHandler()]
        try:
            yield
        finally:
            root.handlers, root.level = handlers, level


@contextmanager
def stage_boundary(step: str) -> Iterator[None]:
    """Run a step's body: no foreign text leaves it, and a person's error is shown once, in words, without a traceback.

    Raises:
        dg.Failure: in place of every exception; it is never retried, since a retry cannot help against bad input, a failed check
            or a spent budget.
    """
    try:
        with withhold_values(step), silence_libraries():
            yield
    except SynthAssetsError as error:
        raise failure_of(error) from None


def failure_of(error: SynthAssetsError) -> dg.Failure:
    """Our error as Dagster shows it; the fields go along as metadata for the command line."""
    return dg.Failure(
        description=str(error),
        metadata={"error": dg.MetadataValue.json(error.as_dict()["error"]), "exit_code": error.exit_code},
        allow_retries=False,
    )
