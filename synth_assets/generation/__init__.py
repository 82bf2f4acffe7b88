"""Tables from a schema alone, and fresh identities. The face of the package: names are imported when they are first used.

from synth_assets.generation import generate, load_schema
generate(load_schema(Path("configs/schemas/clinic.yaml")), Path("out"), seed=7, rows=1000, fmt="csv")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synth_assets.generation.identities import IdentifierRequest, fill_identifiers, new_keys, people
    from synth_assets.generation.stream import generate, load_schema, make_tables

__all__ = ["IdentifierRequest", "fill_identifiers", "generate", "load_schema", "make_tables", "new_keys", "people"]
_STREAM = frozenset({"generate", "load_schema", "make_tables"})


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{'stream' if name in _STREAM else 'identities'}"), name)
