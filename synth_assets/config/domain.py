"""A public domain in a file of its own: bounds and categories from a codebook, in either of two forms. It reads no data.

The forms are the `columns:` mapping of a dataset's YAML, and JSON as `{"target": ..., "columns": {name: {"kind": "cat", "categories":
[...]} or {"kind": "num", "lower": .., "upper": ..}}}`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from synth_assets.config.base import Config
from synth_assets.config.dataset import ColumnConfig, Names
from synth_assets.config.load import load_model
from synth_assets.config.sampling import Combination
from synth_assets.errors import ConfigError

_KINDS = {"cat": "category", "num": "number"}


def _spelled_out(value: Any) -> Any:
    """The short kinds `cat` and `num` in full."""
    if isinstance(value, dict) and isinstance(value.get("kind"), str):
        return {**value, "kind": _KINDS.get(value["kind"], value["kind"])}
    return value


class Domain(Config):
    """Public bounds and categories per column, combinations that cannot be, and the target that the file names."""

    columns: dict[str, Annotated[ColumnConfig, BeforeValidator(_spelled_out)]] = Field(min_length=1)
    target: str | None = None
    protected: Names = ()
    impossible: tuple[Combination, ...] = Field(
        default=(), description="Combinations of values that no row can have, each as column: value, range or list."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Domain:
        for name, column in self.columns.items():
            if column.categories is not None and (
                not column.categories or len(set(column.categories)) < len(column.categories)
            ):
                raise ValueError(f"the categories of column {name!r} are empty or hold one twice")
            lower, upper = column.lower, column.upper
            if isinstance(lower, int | float) and isinstance(upper, int | float) and not lower < upper:
                raise ValueError(f"`lower` of column {name!r} is not below `upper`")
        if self.target is not None and self.target not in self.columns:
            raise ValueError("`target` is not one of the columns")
        return self


def load_domain(path: Path) -> Domain:
    """Load a domain file (YAML or JSON, either form).

    Raises:
        ConfigError: the file is missing, is neither YAML nor JSON, or is no domain; names file, line and key.
    """
    try:
        return load_model(path, Domain)
    except ConfigError as error:
        if error.key is None and not path.exists():
            raise ConfigError("the domain file does not exist.", file=str(path)) from None
        raise


def domain_from_schema_json(path: Path) -> dict[str, ColumnConfig]:
    """The columns of a domain file.

    Raises:
        ConfigError: as `load_domain`.
    """
    return dict(load_domain(path).columns)
