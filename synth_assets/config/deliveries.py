"""Where released tables are delivered besides the files of `exports`: a PostgreSQL database, or a prefix in S3."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Literal

from pydantic import Field, field_validator, model_validator

from synth_assets.config.base import Config
from synth_assets.storage.objects import ObjectFolder
from synth_assets.storage.s3_options import S3Options

NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
DeliveryFormat = Literal["parquet", "csv", "json"]


class DeliveryConfig(Config):
    """One target of the tables of one synthesizer."""

    database: str | None = Field(
        default=None,
        description="Environment variable that holds the URL of a PostgreSQL database; never the URL itself.",
    )
    schema_name: str = Field(
        default="public", min_length=1, max_length=63, description="Schema of the database; made where there is none."
    )
    replace: bool = Field(
        default=False,
        description="Replace tables of the same name that hold rows and were not written by this dataset.",
    )
    s3: str | None = Field(default=None, description="Prefix in S3, as s3://bucket/prefix; in place of `database`.")
    profile: str | None = Field(
        default=None, description="Profile of the AWS configuration files for `s3`; it may name a role to assume."
    )
    format: DeliveryFormat = Field(default="csv", description="File format; with `s3`.")
    synthesizer: str | None = Field(
        default=None, description="Whose tables; those of the first synthesizer of the dataset when absent."
    )

    @field_validator("database")
    @classmethod
    def _is_a_variable(cls, value: str | None) -> str | None:
        if value is not None and not VARIABLE.fullmatch(value):
            raise ValueError(
                "`database` is the NAME of an environment variable, such as WAREHOUSE_URL; a URL may hold a password"
            )
        return value

    @field_validator("s3")
    @classmethod
    def _is_a_place(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"s3://[^/\s?#@]+(/[^\s?#@]*)?", value):
            raise ValueError("`s3` has the form s3://bucket/prefix")
        return value

    @model_validator(mode="after")
    def _one_target(self) -> DeliveryConfig:
        if (self.database is None) == (self.s3 is None):
            raise ValueError("give exactly one of `database` and `s3`")
        if self.s3 is None and (self.profile is not None or "format" in self.model_fields_set):
            raise ValueError("`profile` and `format` need `s3`")
        if self.database is None and ("schema_name" in self.model_fields_set or self.replace):
            raise ValueError("`schema_name` and `replace` need `database`")
        return self

    def folder(self) -> ObjectFolder:
        """The prefix of `s3`, with the options of the environment.

        Raises:
            ConfigError: a variable about S3 is malformed.
        """
        return ObjectFolder(str(self.s3), S3Options.from_environment().of_profile(self.profile), name="`s3`")


def check_deliveries(deliveries: Mapping[str, DeliveryConfig], synthesizers: Collection[str]) -> None:
    """Judge the names and the synthesizers of a dataset's deliveries.

    Raises:
        ValueError: a name has other signs, or a synthesizer is not one of the dataset.
    """
    for name, delivery in deliveries.items():
        if not NAME.fullmatch(name):
            raise ValueError("a name under `deliveries` has lower-case letters, digits and _, and starts with a letter")
        if delivery.synthesizer is not None and delivery.synthesizer not in synthesizers:
            raise ValueError(f"`deliveries.{name}.synthesizer` is not one of the dataset's synthesizers")
