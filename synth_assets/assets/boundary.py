"""What every asset body runs inside: foreign texts are withheld, our errors become `dagster.Failure` without a cause.

Dagster stores exceptions, warnings and prints; libraries quote cell values in all three (docs/adr/0005).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar

import dagster as dg

from synth_assets.assets.observed import tell_hooks
from synth_assets.errors import SynthAssetsError, libraries_silenced, withhold_values
from synth_assets.ledger import asking

_told: ContextVar[Callable[[SynthAssetsError], None] | None] = ContextVar("told", default=None)
_blocked: ContextVar[tuple[str, ...]] = ContextVar("blocked", default=())


def tell_blocked(checks: Iterable[str]) -> None:
    """Note that blocking checks of the step of this boundary did not pass: its body ends well, and Dagster fails it afterwards."""
    _blocked.set((*_blocked.get(), *checks))


def tell_failures(told: Callable[[SynthAssetsError], None]) -> None:
    """Have the error that ends the step of this boundary told as well, such as to the audit ledger."""
    _told.set(told)


@contextmanager
def stage_boundary(step: str) -> Iterator[None]:
    """Run a step's body: no foreign text leaves it, and a person's error is shown once, in words, without a traceback.

    How it ended is told to the hooks, where there are any.

    Raises:
        dg.Failure: in place of every exception; it is never retried, since a retry cannot help against bad input, a failed check
            or a spent budget.
    """
    with asking.for_somebody():
        _told.set(None)
        _blocked.set(())
        began = time.time_ns()
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
            tell_hooks(step, began, error)
            raise failure_of(error) from None
        else:
            tell_hooks(step, began, None, _blocked.get())
        finally:
            _told.set(None)


def failure_of(error: SynthAssetsError) -> dg.Failure:
    """Our error as Dagster shows it; the fields go along as metadata for the command line."""
    return dg.Failure(
        description=str(error),
        metadata={"error": dg.MetadataValue.json(error.as_dict()["error"]), "exit_code": error.exit_code},
        allow_retries=False,
    )
