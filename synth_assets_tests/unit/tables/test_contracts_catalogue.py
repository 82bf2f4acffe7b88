"""The catalogue of expectations against the installed Great Expectations."""

from __future__ import annotations

import warnings

from synth_assets.tables.expectation_names import NOT_IN_ENGINE, RUNNABLE
from synth_assets.tables.gx_engine import _quiet


def test_the_catalogue_names_every_expectation_of_the_installed_version() -> None:
    with _quiet(), warnings.catch_warnings():
        import great_expectations  # noqa: F401
        from great_expectations.expectations.registry import list_registered_expectation_implementations

        registered = {n for n in list_registered_expectation_implementations() if n.startswith("expect_")}
    assert registered == RUNNABLE | NOT_IN_ENGINE
    assert not RUNNABLE & NOT_IN_ENGINE
