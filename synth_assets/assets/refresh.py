"""Declarative automation: under which conditions Dagster may make an asset of a dataset anew, where its YAML says `refresh:`.

What belongs here: the conditions. What does not: the sensor that looks at them (automation/refreshing.py), which a person switches on.
An asset whose step can spend budget has a condition only where the YAML says `all`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import dagster as dg

from synth_assets.config.dataset import Refresh

LEDGER = "ledger"  # the resource without which no step can spend
LEAVES = "delivery"  # the stage that hands tables to other systems


def refreshed(assets: Sequence[dg.AssetsDefinition], refresh: Refresh | None) -> list[dg.AssetsDefinition]:
    """The assets of a dataset with the conditions that its YAML asks for.

    With `free` no asset whose step spends has one, nor a delivery. What stands below such a step is made anew after it, and not because
    the data changed: tables of an old model are not judged again by newer data.

    Args:
        assets: The whole chain.
        refresh: What the YAML says; None: no asset has a condition.
    """
    if refresh is None:
        return list(assets)
    spending = {key for asset in assets if LEDGER in asset.required_resource_keys for key in asset.keys}
    before = _ancestors(assets, spending) if refresh == "free" else frozenset()
    below = _descendants(assets, spending)

    def conditioned(spec: dg.AssetSpec) -> dg.AssetSpec:
        held = spec.key in spending or spec.tags["stage"] == LEAVES
        if held and refresh == "free":
            return spec
        ignored = before if spec.key in below else frozenset()
        return spec.replace_attributes(automation_condition=_condition(ignored))

    return [asset.map_asset_specs(conditioned) for asset in assets]


def _condition(ignored: Collection[dg.AssetKey]) -> dg.AutomationCondition[dg.AssetKey | dg.AssetCheckKey]:
    """Missing, or below changed data: once, when all that it reads is there and has passed its blocking checks."""
    on = dg.AutomationCondition
    # a run that is to make both makes both: its parents are no reason to ask again
    changed = (on.data_version_changed() & ~on.executed_with_root_target()) | on.will_be_requested()
    above = on.any_deps_match(changed)
    if ignored:
        above = above.ignore(dg.AssetSelection.assets(*sorted(ignored)))
    handled = on.newly_requested() | on.newly_updated()
    return (
        (on.newly_missing() | above).since(handled)
        & ~on.any_deps_missing()
        & ~on.any_deps_in_progress()
        & ~on.in_progress()
        & on.all_deps_blocking_checks_passed()
    ).with_label("refresh")


def _ancestors(assets: Sequence[dg.AssetsDefinition], of: Collection[dg.AssetKey]) -> frozenset[dg.AssetKey]:
    """All that stands above some assets, without themselves."""
    parents = {spec.key: {dep.asset_key for dep in spec.deps} for asset in assets for spec in asset.specs}
    return frozenset(_reached(of, parents) - set(of))


def _descendants(assets: Sequence[dg.AssetsDefinition], of: Collection[dg.AssetKey]) -> frozenset[dg.AssetKey]:
    """All that stands below some assets, without themselves."""
    children: dict[dg.AssetKey, set[dg.AssetKey]] = {}
    for asset in assets:
        for spec in asset.specs:
            for dep in spec.deps:
                children.setdefault(dep.asset_key, set()).add(spec.key)
    return frozenset(_reached(of, children) - set(of))


def _reached(start: Collection[dg.AssetKey], steps: dict[dg.AssetKey, set[dg.AssetKey]]) -> set[dg.AssetKey]:
    seen: set[dg.AssetKey] = set()
    todo = list(start)
    while todo:
        key = todo.pop()
        if key not in seen:
            seen.add(key)
            todo += steps.get(key, ())
    return seen
