"""`configs/uploads.yaml`: how files of the inbox are taken, and what their chain does. Every key has a default; the file may be absent.

What does not belong here: where the inbox is (runtime.py, from the environment).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from synth_assets.config.base import Config, LocaleName, TimeZone
from synth_assets.config.budget import BudgetConfig
from synth_assets.config.dataset import (
    DatasetConfig,
    ExportFormat,
    Names,
    SourceConfig,
    SynthesizerConfig,
    TableConfig,
    TextDetectorName,
)
from synth_assets.config.gates import ThresholdConfig
from synth_assets.config.load import load_model
from synth_assets.config.thresholds import AuditConfig

FILE = "uploads.yaml"
TABLE = "upload"
SOURCE = "upload"  # the name under which a step finds its copy of the file; part of no identity


class UploadsConfig(Config):
    """What is taken from the inbox, and the chain that every upload runs through."""

    max_upload_mb: float = Field(
        default=100, gt=0, le=1_000_000, description="Larger files are refused (a MB is 1,000,000 bytes)."
    )
    settle_seconds: float = Field(
        default=5,
        ge=0,
        le=86_400,
        description="How long size and time of change must stay the same; two looks at least.",
    )
    marker: Literal["optional", "required"] = Field(
        default="optional",
        description="`optional`: a file `NAME.done` says that NAME is complete, at once; `required`: nothing is taken without one.",
    )
    after: Literal["keep", "delete"] = Field(
        default="keep", description="What becomes of a file whose raw table is stored: moved to `taken/`, or deleted."
    )
    spend: bool = Field(
        default=True,
        description="Go on to synthetic tables, which spends budget; else the chain ends with the masked table.",
    )
    population: str | None = Field(
        default=None,
        min_length=1,
        description="One population (and budget) for all uploads; each is its own when absent.",
    )
    budget: BudgetConfig = BudgetConfig()
    policy: str = "hipaa_safe_harbor"
    release_domain: str = Field(default="uploads", description="Recipient of the masked tables.")
    owners: Names = ()
    seed: int = Field(default=7, ge=0, lt=2**62)
    holdout: float = Field(default=0.2, gt=0, lt=0.9)
    null_values: tuple[str, ...] = ()
    text_detector: TextDetectorName = "builtin"
    locale: LocaleName = "en_US"
    timezone: TimeZone = "UTC"
    synthesizers: tuple[SynthesizerConfig, ...] = Field(default=(SynthesizerConfig(name="dp_marginals"),), min_length=1)
    audit: AuditConfig = AuditConfig()
    thresholds: ThresholdConfig = ThresholdConfig()
    exports: tuple[ExportFormat, ...] = ("parquet", "csv", "json")

    @property
    def max_bytes(self) -> int:
        """The limit in bytes."""
        return int(self.max_upload_mb * 1_000_000)

    def dataset(self, name: str) -> DatasetConfig:
        """The dataset of one upload; a file without a configuration: one table, no keys, no declared domain.

        Args:
            name: Name of the upload; also its population, unless all uploads share one.
        """
        shared = (
            "budget", "policy", "release_domain", "owners", "seed", "holdout", "null_values", "text_detector", "locale",
            "timezone", "synthesizers", "audit", "thresholds", "exports",
        )  # fmt: skip
        values: dict[str, Any] = {key: getattr(self, key) for key in shared}
        tables = {TABLE: TableConfig(source=SourceConfig(path=SOURCE))}
        return DatasetConfig(name=name, tables=tables, population=self.population or name, **values)


def load_uploads(configs_folder: Path) -> UploadsConfig:
    """The configuration of a home; the defaults where it has none.

    Raises:
        ConfigError: the file does not fit the model, or its chain no dataset.
    """
    path = configs_folder / FILE
    config = load_model(path, UploadsConfig) if path.is_file() else UploadsConfig()
    _check_chain(config, path)
    return config


def _check_chain(config: UploadsConfig, path: Path) -> None:
    from pydantic import ValidationError

    from synth_assets.errors import ConfigError

    try:
        config.dataset("uploads")
    except ValidationError as error:
        told = error.errors(include_input=False, include_url=False, include_context=False)[0]["msg"]
        raise ConfigError(f"{told.removeprefix('Value error, ').rstrip('.')}.", file=str(path)) from None
