"""What a request for an audit holds, wherever it comes from: a Dagster run, a container, a function in the cloud.

What does not belong here: how it arrives and how the answer leaves (`handler.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from synth_assets.config.audited import AuditedTable
from synth_assets.config.dataset import ColumnConfig, ExpectationConfig, Kind
from synth_assets.config.sampling import Combination
from synth_assets.config.thresholds import AuditConfig, AuditLevels, AuditWeights
from synth_assets.errors import InputError

TABLES = ("synthetic_data_url", "real_data_url", "holdout_data_url")
Place = Annotated[str, StringConstraints(min_length=1, max_length=8_192)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=512)]
_ADDRESS = re.compile(r"(https?|s3|gs|gcs|abfss?)://")


class DeclaredColumn(BaseModel):
    """What is public about one column."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    kind: Kind | None = Field(default=None, description="Meaning of the column.")
    categories: tuple[str, ...] | None = Field(default=None, max_length=10_000, description="Public list of values.")
    lower: float | str | None = Field(default=None, description="Public lower bound; a number, or an ISO date.")
    upper: float | str | None = Field(default=None, description="Public upper bound.")


class AuditRequest(BaseModel):
    """One audit to make; unknown keys are errors, and no error quotes a value."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    synthetic_data_url: Place = Field(description="The table to judge.")
    real_data_url: Place | None = Field(default=None, description="The real rows that the synthesizer was trained on.")
    holdout_data_url: Place | None = Field(
        default=None,
        description="Real rows that it never saw: the control group of every attack, and the test rows of utility.",
    )
    protected_attributes: tuple[Name, ...] = Field(
        default=(), max_length=50, description="Columns whose groups are compared."
    )
    target: Name | None = Field(default=None, description="Outcome column.")
    unit: Name | None = Field(
        default=None, description="Column that says whose a row is: attacks then count people, not rows."
    )
    primary_key: tuple[Name, ...] = Field(
        default=(), max_length=50, description="Columns that number the rows; never compared."
    )
    foreign_keys: dict[Name, Name] = Field(
        default_factory=dict, max_length=50, description="column: parent_table.column; such columns are never compared."
    )
    sequence_order: Name | None = Field(
        default=None, description="Column that orders the rows of one unit in time; needs `unit`."
    )
    impossible: tuple[Combination, ...] = Field(
        default=(),
        max_length=500,
        description="Combinations of values that no row can have, each as column: value, range or list.",
    )
    contract: tuple[ExpectationConfig, ...] = Field(
        default=(),
        max_length=500,
        description="Lines of a contract; those about several columns of one row are counted as rules.",
    )
    columns: dict[Name, DeclaredColumn] = Field(
        default_factory=dict,
        max_length=5_000,
        description="Kinds, categories and bounds of columns, which win over what is inferred.",
    )
    levels: AuditLevels = Field(default=AuditLevels(), description="Cut-offs of the levels, per kind of figure.")
    weights: AuditWeights = Field(default=AuditWeights(), description="Weights of the overall score.")
    seed: int = Field(default=7, ge=0, lt=2**62, description="Seed of samples and models.")

    @property
    def settings(self) -> AuditConfig:
        """How to judge; sizes of samples are not the caller's to choose."""
        return AuditConfig(levels=self.levels, weights=self.weights)

    @property
    def declared(self) -> AuditedTable:
        """What the request says about the table."""
        return AuditedTable(
            primary_key=self.primary_key,
            foreign_keys=self.foreign_keys,
            unit=self.unit,
            sequence_order=self.sequence_order,
            impossible=self.impossible,
            contract=self.contract,
            columns={name: ColumnConfig(**dict(column)) for name, column in self.columns.items()},
        )

    @property
    def places(self) -> dict[str, str]:
        """The tables that are given, by key."""
        return {key: value for key in TABLES if (value := getattr(self, key)) is not None}

    @property
    def signed(self) -> tuple[str, ...]:
        """Keys of addresses with a query, which may sign them."""
        return tuple(key for key, value in self.places.items() if _ADDRESS.match(value) and "?" in value)


def read_request(given: Mapping[str, Any]) -> AuditRequest:
    """Validate a request.

    Raises:
        InputError: a key is missing, unknown or of the wrong form; names the key, never a value.
    """
    try:
        return AuditRequest.model_validate(dict(given))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or None
        known = ", ".join(AuditRequest.model_fields)
        message = {"extra_forbidden": "this key is not known", "missing": "this key is missing"}.get(
            str(first["type"]), str(first["msg"])
        )
        raise InputError(f"{message.rstrip('.')}.", key=key, remedy=f"Keys of a request: {known}.") from None


def require_addresses(request: AuditRequest) -> None:
    """Refuse paths: a request from elsewhere must not read this machine's files.

    Raises:
        InputError: names the key.
    """
    for key, place in request.places.items():
        if _ADDRESS.match(place) is None:
            raise InputError(
                "this is no address.",
                key=key,
                remedy="Give an address that starts with https://, s3://, gs:// or abfss://.",
            )
