"""What every asset body runs inside: foreign texts are withheld, our errors become `dagster.Failure` without a cause.

Dagster stores exceptions, warnings and prints; libraries quote cell values in all three (docs/adr/0005).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar

import dagster as dg

from synth_assets.errors import SynthAssetsError, libraries_silenced, withhold_values
from synth_assets.ledger import asking

_told: ContextVar[Callable[[SynthAssetsError], None] | None] = ContextVar("told", default=None)


def tell_failures(told: Callable[[SynthAssetsError], None]) -> None:
    """Have the error that ends the step of this boundary told as well, such as to the audit ledger."""
    _told.set(told)


@contextmanager
def stage_boundary(step: str) -> Iterator[None]:
    """Run a step's body: no foreign text leaves it, and a person's error is shown once, in words, without a traceback.

    Raises:
        dg.Failure: in place of every exception; it is never retried, since a retry cannot help against bad input, a failed check
            or a spent budget.
    """
    with asking.for_somebody():
        _told.set(None)
        try:
            with withhold_values(step), libraries_silenced():
                yield
        except SynthAssetsError as error:
            told = _told.get()
            if told is not None:
                with (
                    suppress(SynthAssetsError),
                    withhold_values(step),
                    libraries_silenced(),
                ):  # the step's own error is the news
                    told(error)
            raise failure_of(error) from None
        finally:
            _told.set(None)


def failure_of(error: SynthAssetsError) -> dg.Failure:
    """Our error as Dagster shows it; the fields go along as metadata for the command line."""
    return dg.Failure(
        description=str(error),
        metadata={"error": dg.MetadataValue.json(error.as_dict()["error"]), "exit_code": error.exit_code},
        allow_retries=False,
    )
