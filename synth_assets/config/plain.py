"""Synthesizers that are not private (SDV): how their networks are trained, and which tables each of them can take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field

from synth_assets.config.base import Config

ONE_TABLE = frozenset({"ctgan", "tvae", "copulagan"})
NETWORKS = ONE_TABLE | {"par"}
RELATED = frozenset({"hma", "par"})
HMA_TABLES, HMA_LEVELS = 5, 2  # of SDV's community edition, for tables that hang together


class NetworkConfig(Config):
    """Training of ctgan, tvae, copulagan and par, which are not private."""

    epochs: int | None = Field(default=None, ge=1, le=100_000, description="Passes over the rows: 300; 128 of par.")
    batch_size: int | None = Field(
        default=None,
        ge=10,
        le=100_000,
        multiple_of=10,
        description="Rows of one step, a multiple of 10: 500; not of par.",
    )


def shadow_fault(name: str, tables: int = 1) -> str | None:
    """Why shadow models of a synthesizer cannot be trained for an audit, or None.

    Args:
        name: The synthesizer.
        tables: Tables of the dataset.
    """
    if name.startswith("dp_"):
        return (
            f"{name} is differentially private: to train it for an attack would read the held-out people outside every budget. "
            "Its privacy report states a bound on every attack."
        )
    if name in RELATED or tables > 1:
        return f"shadow models of {name} are trained on one table, and this is about related ones."
    return None


def network_fault(name: str, network: NetworkConfig | None) -> str | None:
    """What is wrong with `network` for a synthesizer, or None."""
    if network is None:
        return None
    if name not in NETWORKS:
        return f"`network` is not for {name}, but for {', '.join(sorted(NETWORKS))}"
    if name == "par" and network.batch_size is not None:
        return "par learns from all sequences in every step; leave `batch_size` out"
    return None


def tables_fault(
    name: str, parents: Mapping[str, Sequence[str]], *, sequences: Sequence[str] = (), unit_table: str | None = None
) -> str | None:
    """Why a synthesizer cannot take the tables of a dataset, with the remedy, or None.

    Args:
        name: The synthesizer.
        parents: Per table, the other tables that it refers to, in the order in which they are declared.
        sequences: Tables with a `sequence_order`.
        unit_table: Table of the unit of privacy.
    """
    if name in ONE_TABLE and len(parents) > 1:
        return f"{name} models one table; use gaussian_copula or hma for related tables"
    if name == "par":
        return _par_fault(parents, sequences, unit_table)
    return _hma_fault(parents) if name == "hma" else None


def families(parents: Mapping[str, Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    """Tables that hang together by their first reference: per root a family, parents before children.

    A table whose references run in a circle is in no family.
    """
    found: dict[str, list[str]] = {}
    for table in sorted(parents, key=lambda t: len(_way_up(t, parents))):
        root = _way_up(table, parents)[-1]
        if not parents[root]:
            found.setdefault(root, []).append(table)
    return tuple(tuple(family) for family in found.values())


def _way_up(table: str, parents: Mapping[str, Sequence[str]]) -> list[str]:
    """A table, its first parent, and so on to the root."""
    way = [table]
    while parents[way[-1]] and parents[way[-1]][0] not in way:
        way.append(parents[way[-1]][0])
    return way


def _hma_fault(parents: Mapping[str, Sequence[str]]) -> str | None:
    remedy = "use gaussian_copula or dp_marginals"
    if not any(parents.values()):
        return f"hma models related tables, and no table here refers to another; {remedy}"
    deep = next((t for t in parents if len(_way_up(t, parents)) > HMA_LEVELS), None)
    if deep is not None:
        return (
            f"SDV's community edition limits hma to {HMA_LEVELS} levels, parents and children, and {deep!r} is a child of a child; "
            f"{remedy}, or leave its foreign key out"
        )
    if max(len(family) for family in families(parents)) > HMA_TABLES:
        return f"SDV's community edition limits hma to {HMA_TABLES} tables that hang together; {remedy}, or name fewer tables"
    return None


def _par_fault(parents: Mapping[str, Sequence[str]], sequences: Sequence[str], unit_table: str | None) -> str | None:
    if len(sequences) != 1:
        return (
            "par learns the rows of one table in time; name the column that orders them as `sequence_order` of exactly one table, "
            "or use gaussian_copula or dp_marginals"
        )
    table = sequences[0]
    needed = {table, *parents[table][:1]}
    if set(parents) != needed or any(parents[parent] for parent in parents[table][:1]):
        return "par takes one table, or one table and its parent; use gaussian_copula or dp_marginals for more"
    if not parents[table] and unit_table != table:
        return f"par must know whose rows form a sequence; name the column as `unit: {table}.COLUMN`, or a parent by a foreign key"
    return None
