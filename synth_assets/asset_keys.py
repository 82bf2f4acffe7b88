"""The only place that spells an asset key: `<dataset>/<stage and what sets it apart>`.

Dagster's graph shows the last part of a key alone, so that part names the stage.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import dagster as dg

from synth_assets.config.dataset import DatasetConfig
from synth_assets.errors import ConfigError

STAGES = (
    "raw",
    "profile",
    "pii_classification",
    "masked",
    "split",
    "dp_measurements",
    "privacy_sweep",
    "privacy_budget",
    "model",
    "synthetic",
    "variant",
    "audit",
    "leaderboard",
    "report",
    "export",
    "delivery",
)


def slug(name: str) -> str:
    """A table name as part of a key: letters, digits and _."""
    return re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_") or "table"


@dataclass(frozen=True)
class DatasetKeys:
    """Asset names of one dataset. `key(name)` makes the Dagster key.

    Attributes:
        config: The dataset.
        chain: First part of the keys where it is not the dataset's name: all uploads share one chain.

    Raises:
        ConfigError: two table names have the same slug.
    """

    config: DatasetConfig
    chain: str = ""

    def __post_init__(self) -> None:
        seen: dict[str, str] = {}
        for table in self.config.tables:
            other = seen.setdefault(slug(table), table)
            if other != table:
                raise ConfigError(
                    f"the tables {other!r} and {table!r} get the same asset name {slug(table)!r}.", key="tables"
                )
        names = [self.variant(v, t) for v in self.config.variants for t in self.config.tables]
        if len(set(names)) < len(names):
            twice = next(n for n in names if names.count(n) > 1)
            raise ConfigError(f"two variants get the same asset name {twice!r}.", key="variants")

    def key(self, name: str) -> dg.AssetKey:
        """The Dagster key of an asset name of this dataset."""
        return dg.AssetKey([self.chain or self.config.name, name])

    def raw(self, table: str) -> str:
        """The canonical table."""
        return f"raw_{slug(table)}"

    def masked(self, table: str) -> str:
        """The masked table."""
        return f"masked_{slug(table)}"

    def model(self, synthesizer: str) -> str:
        """The trained model."""
        return f"model_{synthesizer}"

    @property
    def charged(self) -> tuple[str, ...]:
        """The assets whose steps spend budget, in the order of the synthesizers; each holds the privacy report of its release."""
        return tuple(
            self.model(s.name) if s.trained_on_rows else self.measurements
            for s in self.config.synthesizers
            if s.differentially_private
        )

    def synthetic(self, synthesizer: str, table: str) -> str:
        """One synthetic table."""
        return f"synthetic_{synthesizer}_{slug(table)}"

    def variant(self, name: str, table: str) -> str:
        """One table of a variant: sampled from the dp_marginals model under conditions."""
        return f"variant_{name}_{slug(table)}"

    def audit(self, synthesizer: str) -> str:
        """The audit of one synthesizer's tables."""
        return f"audit_{synthesizer}"

    def export(self, fmt: str) -> str:
        """The release in one file format."""
        return f"export_{fmt}"

    def delivery(self, name: str) -> str:
        """The release in a database or at a place in S3."""
        return f"delivery_{name}"

    profile = "profile"
    classification = "pii_classification"
    split = "split"
    measurements = "dp_measurements"
    sweep = "privacy_sweep"
    budget = "privacy_budget"
    masked_audit = "audit_masked"
    leaderboard = "leaderboard"
    report = "report"
