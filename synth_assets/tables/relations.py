"""How the tables of a dataset hang together: parents before children, and the way from a row to its unit of privacy."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from synth_assets.errors import ConfigError
from synth_assets.tables.schema import ForeignKey, TableSchema


def parents_first(schemas: Mapping[str, TableSchema]) -> tuple[str, ...]:
    """Table names so that every parent stands before its children; references of a table to itself do not count.

    Raises:
        ConfigError: the references form a cycle over several tables.
    """
    waiting = {name: {fk.parent_table for fk in s.foreign_keys} - {name} for name, s in schemas.items()}
    ordered: list[str] = []
    while waiting:
        ready = [name for name, parents in waiting.items() if parents <= set(ordered)]
        if not ready:
            raise ConfigError(
                f"the foreign keys of the tables {', '.join(sorted(waiting))} form a cycle.",
                key="foreign_keys",
                remedy="Leave one of them out of the YAML; its column is then treated as data.",
            )
        for name in ready:
            ordered.append(name)
            del waiting[name]
    return tuple(ordered)


def route(schemas: Mapping[str, TableSchema], start: str, goal: str) -> tuple[ForeignKey, ...] | None:
    """The shortest chain of foreign keys from one table up to another; () where they are the same, None where there is none."""
    queue: deque[tuple[str, tuple[ForeignKey, ...]]] = deque([(start, ())])
    seen = {start}
    while queue:
        table, way = queue.popleft()
        if table == goal:
            return way
        for key in schemas[table].foreign_keys:
            if key.parent_table not in seen and key.parent_table in schemas:
                seen.add(key.parent_table)
                queue.append((key.parent_table, (*way, key)))
    return None
