"""What a person asks of a sample: conditions on columns, shares of classes, and further tables of a dataset that are made so.

What belongs here: the keys `where`, `balance` and `variants` as they are written. What does not: what they mean for a model
(synthesis/marginals/terms.py, strata.py), since only the model knows its columns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from synth_assets.config.base import Config
from synth_assets.errors import InputError

VARIANT_NAME = re.compile(r"[a-z][a-z0-9_]*")
SEPARATOR = ","


def _term(value: Any) -> Any:
    """One value as text: booleans, numbers and days as a table spells them; the empty text means missing."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value) if isinstance(value, int | float) else value


def _terms(value: Any) -> Any:
    return tuple(_term(v) for v in value) if isinstance(value, list | tuple) else (_term(value),)


Cell = str | float | bool | None
Terms = Annotated[
    tuple[str | None, ...],
    BeforeValidator(_terms, json_schema_input_type=Cell | Annotated[list[Cell], Field(min_length=1)]),
    Field(min_length=1),
]


def _two_columns(value: dict[str, Any]) -> dict[str, Any]:
    if len(value) < 2:
        raise ValueError(
            "a combination names at least two columns; what one column may hold is said by its categories or bounds"
        )
    return value


Combination = Annotated[dict[str, Terms], AfterValidator(_two_columns), Field(json_schema_extra={"minProperties": 2})]


class BalanceConfig(Config):
    """Classes of one column and the share of each: equal ones, or as given."""

    column: str
    shares: dict[str, float] | None = Field(
        default=None, description="Class to share, together 1; equal shares of all classes when absent."
    )

    @model_validator(mode="before")
    @classmethod
    def _column_alone(cls, data: Any) -> Any:
        return {"column": data} if isinstance(data, str) else data

    @field_validator("shares", mode="before")
    @classmethod
    def _spelled(cls, value: Any) -> Any:
        return {_term(k) or "": v for k, v in value.items()} if isinstance(value, dict) else value

    @field_validator("shares")
    @classmethod
    def _whole(cls, value: dict[str, float] | None) -> dict[str, float] | None:
        if value is not None and (not value or min(value.values()) < 0 or abs(sum(value.values()) - 1) > 1e-6):
            raise ValueError("the shares must not be negative, and add up to 1")
        return value


class Asked(Config):
    """Conditions and class shares of one sample."""

    where: dict[str, Terms] = Field(
        default_factory=dict,
        description="Column to a value, a range such as 40..60, a list of them, or nothing for missing.",
    )
    balance: BalanceConfig | None = Field(
        default=None, description="Column whose classes get equal shares, or `{column, shares}`."
    )

    @property
    def asks(self) -> bool:
        """Whether there is any condition."""
        return bool(self.where) or self.balance is not None


class VariantConfig(Asked):
    """One further synthetic table of a dataset, sampled from its dp_marginals model; costs no budget."""

    rows: int | None = Field(default=None, ge=1, description="Rows of the root table; as many as the main table has.")
    augment: bool = Field(
        default=False,
        description="Keep the real rows and add synthetic ones of the classes that are rare; never leaves the restricted zone.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> VariantConfig:
        if self.augment and (self.balance is None or self.where or self.rows is not None):
            raise ValueError("`augment` needs `balance`, and takes neither `where` nor `rows`")
        if not self.asks and self.rows is None:
            raise ValueError("a variant needs `where`, `balance` or `rows`")
        return self


def check_variants(variants: Mapping[str, VariantConfig], synthesizers: Sequence[str], tables: int) -> None:
    """Whether the variants of a dataset can be made.

    Args:
        variants: By name, which becomes part of asset keys.
        synthesizers: Of the dataset.
        tables: How many it has.

    Raises:
        ValueError: one of them cannot.
    """
    if not all(VARIANT_NAME.fullmatch(name) for name in variants):
        raise ValueError("a variant's name has lower-case letters, digits and _, and starts with a letter")
    if variants and "dp_marginals" not in synthesizers:
        raise ValueError("`variants` are sampled from dp_marginals; name it under `synthesizers`")
    for name, variant in variants.items():
        if variant.augment and tables > 1:
            raise ValueError(f"`variants`: {name} augments one table; a dataset of related tables has no single one")


def asked_of(where: Sequence[str], balance: str | None) -> Asked:
    """Conditions as the command line has them: `COLUMN=VALUE`, `=40..60`, `=A,B`, `=` for missing; `COLUMN` or `COLUMN=A:0.7,B:0.3`.

    The column ends at the first equals sign, so a column whose name holds one can be asked for by the library or a YAML only.

    Raises:
        InputError: not of that form, or a column is named twice.
    """
    found: dict[str, tuple[str | None, ...]] = {}
    for text in where:
        column, sign, value = text.partition("=")
        if not sign or not column:
            raise InputError(
                "a condition is not of the form COLUMN=VALUE.", key="--where",
                remedy="Write sex=F, age=40..60, race=Black,White, or occupation= for missing.",
            )  # fmt: skip
        if column in found:
            raise InputError(
                "two conditions name the same column.", column=column, key="--where",
                remedy="Write all its values in one: COLUMN=A,B.",
            )  # fmt: skip
        found[column] = (value,)
    return _checked({"where": found, "balance": None if balance is None else _balance(balance)})


def checked_asked(where: Any, balance: Any) -> Asked:
    """Conditions as the library is given them, checked.

    Raises:
        InputError: not of the form that a YAML has.
    """
    return _checked({"where": where or {}, "balance": balance})


def _checked(given: dict[str, Any]) -> Asked:
    from pydantic import ValidationError

    try:
        return Asked.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        words = str(first["msg"]).removeprefix("Value error, ")
        raise InputError(f"{words}.", key=str(first["loc"][0]) if first["loc"] else "where") from None


def _balance(text: str) -> dict[str, Any]:
    column, sign, classes = text.partition("=")
    if not sign:
        return {"column": column}
    shares = {}
    for part in classes.split(SEPARATOR):
        name, _, share = part.rpartition(":")
        try:
            shares[name] = float(share)
        except ValueError:
            name = ""
        if not name:
            raise InputError("a class has no share.", key="--balance", remedy="Write COLUMN, or COLUMN=A:0.7,B:0.3.")
    return {"column": column, "shares": shares}
