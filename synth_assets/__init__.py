"""synth_assets: software-defined assets from a personal-data table to masked and private synthetic tables.

The library in one line: `from synth_assets import audit, classify, generate, mask, mask_record, people, profile, sample, synthesize`.
Nothing heavy is imported here: `import synth_assets` must stay cheap, since Dagster imports it in every process.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synth_assets.api import classify, generate, mask, mask_record, people, profile, sample, synthesize

__version__ = "0.1.0"
__all__ = ["audit", "classify", "generate", "mask", "mask_record", "people", "profile", "sample", "synthesize"]


def __getattr__(name: str) -> Any:
    """The public functions, loaded when they are first asked for."""
    if name == "audit":
        return import_module("synth_assets.audit")  # callable, see `_Package`
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("synth_assets.api"), name)


class _Audit(ModuleType):
    """The package `synth_assets.audit`, which can be called: it shares its name with the function `audit`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """See `synth_assets.api.audit`."""
        return import_module("synth_assets.api").audit(*args, **kwargs)


class _Package(ModuleType):
    """This package. Importing a subpackage sets it as an attribute here, and `audit` must stay callable then."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "audit" and type(value) is ModuleType:
            value.__class__ = _Audit
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
