"""Which columns are generalised together, and what they must reach: policy, verdicts and the table's own section put together.

What belongs here: the decision. What does not: reaching it (enforce.py).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from synth_assets.config.anonymity import AnonymityConfig, TableAnonymity
from synth_assets.config.rules import Rule
from synth_assets.errors import ConfigError
from synth_assets.masking.anonymity.records import AnonymityDemand
from synth_assets.tables.schema import TableSchema

if TYPE_CHECKING:
    from synth_assets.masking.records import ColumnPlan

JOINTLY = Rule(action="generalise", to="jointly")
_WITHOUT_VALUE = frozenset({"drop", "redact"})


def listed(
    column: str, rule: Rule, reason: str, said: TableAnonymity | None, *, withheld: bool
) -> tuple[Rule, str, bool]:
    """The rule of a column after a person has listed the quasi-identifiers of its table.

    A listed column is generalised with the others; one that the policy would generalise with them, and that is not listed, is redacted.

    Args:
        column: The column; nobody has given it an action of its own.
        rule: What the policy says.
        reason: Why.
        said: The section of the table.
        withheld: Whether the policy withholds it.
    """
    if said is None or not said.quasi_identifiers:
        return rule, reason, withheld
    if column in said.quasi_identifiers:
        return JOINTLY, "quasi-identifier: the configuration lists it", False
    if rule.to == "jointly":
        return Rule(action="redact"), f"{reason}; it is not among the quasi-identifiers listed, so it is withheld", True
    return rule, reason, withheld


def demanded(
    schema: TableSchema,
    columns: Collection[ColumnPlan],
    classes: Mapping[str, str],
    policy: AnonymityConfig | None,
    said: TableAnonymity | None,
) -> AnonymityDemand | None:
    """What the columns that are generalised jointly must reach; None where there are none.

    Args:
        schema: The table.
        columns: Its plans.
        classes: Column -> identifier class.
        policy: The section of the policy.
        said: The section of the table.

    Raises:
        ConfigError: the section names a column that is not there, or one that cannot be generalised or is not sensitive.
    """
    plans = {c.column: c for c in columns}
    place = f"tables.{schema.name}.anonymity"
    quasi = tuple(c.column for c in columns if c.rule.to == "jointly")
    if said is not None:
        _check_names(said, plans, quasi, place)
    if not quasi:
        return None
    rule = AnonymityConfig() if policy is None else policy
    rule = rule if said is None else said.over(policy)
    sensitive = said.sensitive if said is not None else ()
    if not sensitive:
        sensitive = tuple(
            c.column
            for c in columns
            if classes.get(c.column) == "sensitive" and c.column not in quasi and c.action not in _WITHOUT_VALUE
        )
    if rule.looks_at_values and not sensitive:
        raise ConfigError(
            f"table {schema.name!r} has no sensitive column, so l-diversity and t-closeness say nothing.",
            key=f"{place}.sensitive",
            remedy="List the sensitive columns of the table, or leave out l_diversity and t_closeness.",
        )
    return AnonymityDemand(
        quasi=quasi,
        sensitive=sensitive,
        rule=rule,
        hierarchies={c: h for c, h in said.hierarchies.items() if c in quasi} if said is not None else {},
        entity_types={c: plans[c].entity_type for c in quasi},
    )


def _check_names(said: TableAnonymity, plans: Mapping[str, ColumnPlan], quasi: Collection[str], place: str) -> None:
    named = {
        "quasi_identifiers": said.quasi_identifiers,
        "sensitive": said.sensitive,
        "hierarchies": tuple(said.hierarchies),
    }
    for key, names in named.items():
        for name in names:
            if name not in plans:
                raise ConfigError("the table has no such column.", column=name, key=f"{place}.{key}")
    for name in said.quasi_identifiers:
        if name not in quasi:
            why = "it is a key" if plans[name].key else f"its action is `{plans[name].action}`"
            raise ConfigError(
                f"the column cannot be generalised with others: {why}.", column=name, key=f"{place}.quasi_identifiers"
            )
    for name in said.sensitive:
        if name in quasi or plans[name].action in _WITHOUT_VALUE:
            raise ConfigError(
                "the column is no sensitive one of the masked table: it is generalised or withheld.",
                column=name,
                key=f"{place}.sensitive",
            )
    for name, hierarchy in said.hierarchies.items():
        if hierarchy.widths and plans[name].dtype not in {"int64", "double"}:
            raise ConfigError("`widths` are for columns of numbers.", column=name, key=f"{place}.hierarchies")
