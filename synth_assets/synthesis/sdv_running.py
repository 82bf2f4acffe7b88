"""SDV at work: alone, seeded, silent and heard. Everything that calls SDV stands inside `at_work`.

SDV's libraries draw from the random states of the whole process, print, warn and raise with values of the data, keep a log of their
use in the home folder, and start processes. What belongs here: the one place that prevents all of that, and the count of epochs.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from synth_assets.errors import ServiceUnavailableError, withhold_values
from synth_assets.threads import one_thread

Report = Callable[[str, float], None]
"""Called with what is being done and the fraction done. It never hears a loss: that would be a figure about rows of persons."""

REPORTS = 20  # per training
LOGGERS = (
    "sdv", "rdt", "ctgan", "copulas", "deepecho",
    "SingleTableSynthesizer", "MultiTableSynthesizer", "Metadata", "SingleTableMetadata",
)  # fmt: skip
COUNTED = {  # what each library counts with tqdm
    "ctgan.synthesizers.ctgan": "epoch",
    "ctgan.synthesizers.tvae": "epoch",
    "deepecho.models.par": "epoch",
    "sdv.multi_table.hma": "part",
}
_ALONE = threading.RLock()


def silent(_what: str, _fraction: float) -> None:
    """The report of people who want none."""


def require_sdv(name: str) -> None:
    """Raise where the optional package is absent.

    Raises:
        ServiceUnavailableError: SDV is not installed.
    """
    if importlib.util.find_spec("sdv") is None:
        raise ServiceUnavailableError(
            f"the synthesizer {name} needs SDV, which is not installed.",
            remedy="Run: pip install 'synth-assets[sdv]'",
        )


@contextmanager
def at_work(step: str, *, seed: int, report: Report = silent) -> Iterator[None]:
    """Run SDV: one caller at a time, on one thread (a seed then says the same on any machine), with its own random states, no output,
    no log file, no further process, no foreign text in errors.

    Args:
        step: What it does, such as "training of ctgan".
        seed: Of all random states that the libraries use; those of the process are as before afterwards.
        report: Hears the epochs of a network.

    Raises:
        SynthAssetsError: our own error.
        UnexpectedError: in place of any other exception.
    """
    with _ALONE, withhold_values(step), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _import_sdv()
        import joblib

        with (
            one_thread(),
            _muted() as aloud,
            _seeded(seed),
            joblib.parallel_config(backend="sequential"),
            _counted(step, lambda what, fraction: aloud(report, what, fraction)),
        ):
            yield


def _import_sdv() -> None:
    """Import it with a data folder that cannot be, so that it neither makes one in the home folder nor logs into one."""
    before = os.environ.get("XDG_DATA_HOME")
    os.environ["XDG_DATA_HOME"] = os.devnull
    try:
        import sdv.multi_table
        import sdv.sequential
        import sdv.single_table  # noqa: F401
    finally:
        if before is None:
            del os.environ["XDG_DATA_HOME"]
        else:
            os.environ["XDG_DATA_HOME"] = before


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Another value for an attribute, for a while."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def _muted() -> Iterator[Callable[[Report, str, float], None]]:
    """Drop what is printed and logged. Yields what calls a report with the streams as they were."""
    with ExitStack() as stack:
        out, err = contextlib.redirect_stdout, contextlib.redirect_stderr
        streams, sink = (sys.stdout, sys.stderr), io.StringIO()
        stack.enter_context(out(sink))
        stack.enter_context(err(sink))
        for name in LOGGERS:
            logger = logging.getLogger(name)
            stack.enter_context(_replaced(logger, "handlers", [logging.NullHandler()]))
            stack.enter_context(_replaced(logger, "propagate", False))

        def aloud(report: Report, what: str, fraction: float) -> None:
            with out(streams[0]), err(streams[1]):
                report(what, fraction)

        yield aloud


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """All random states that SDV uses, from one seed; the constant seed that it samples with is switched off."""
    import sdv.single_table.base
    import torch

    kept = np.random.get_state()  # noqa: NPY002  SDV draws from the state of the process
    with torch.random.fork_rng(), _replaced(sdv.single_table.base, "FIXED_RNG_SEED", None):
        np.random.set_state(np.random.RandomState(seed % 2**32).get_state())  # noqa: NPY002
        torch.manual_seed(seed % 2**63)
        try:
            yield
        finally:
            np.random.set_state(kept)  # noqa: NPY002


@contextmanager
def _counted(step: str, report: Report) -> Iterator[None]:
    """Hear the epochs: the networks count them with tqdm, for which our own counter stands in."""

    def counter_of(noun: str) -> Callable[..., Iterator[Any]]:
        def counter(items: Iterable[Any], **_: Any) -> Iterator[Any]:
            return _count(f"{step}: {noun}", list(items), report)

        return counter

    with ExitStack() as stack:
        for module, noun in COUNTED.items():
            stack.enter_context(_replaced(importlib.import_module(module), "tqdm", counter_of(noun)))
        yield


def _count(what: str, items: list[Any], report: Report) -> Iterator[Any]:
    started, every = time.monotonic(), max(1, len(items) // REPORTS)
    for done, item in enumerate(items, start=1):
        yield item
        if done % every == 0 or done in {1, len(items)}:
            left = (time.monotonic() - started) / done * (len(items) - done)
            report(f"{what} {done} of {len(items)}, {left:.0f} s left", done / len(items))
