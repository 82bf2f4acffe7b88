"""Synthesizers that are not private (SDV): how their networks are trained, and which tables each of them can take."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from synth_assets.config.base import Config

ONE_TABLE = frozenset({"ctgan", "tvae", "copulagan"})
BATCHED = ONE_TABLE
NETWORKS = ONE_TABLE


class NetworkConfig(Config):
    """Training of ctgan, tvae and copulagan, which are not private."""

    epochs: int | None = Field(default=None, ge=1, le=100_000, description="Passes over the rows: 300.")
    batch_size: int | None = Field(
        default=None, ge=10, le=100_000, multiple_of=10, description="Rows of one step, a multiple of 10: 500."
    )


def network_fault(name: str, network: NetworkConfig | None) -> str | None:
    """What is wrong with `network` for a synthesizer, or None."""
    if network is None:
        return None
    if name not in NETWORKS:
        return f"`network` is not for {name}, but for {', '.join(sorted(NETWORKS))}"
    return None


def tables_fault(name: str, parents: Mapping[str, frozenset[str]]) -> str | None:
    """Why a synthesizer cannot take the tables of a dataset, with the remedy, or None.

    Args:
        name: The synthesizer.
        parents: Per table, the other tables that it refers to.
    """
    if name in ONE_TABLE and len(parents) > 1:
        return f"{name} models one table; use gaussian_copula for related tables"
    return None
