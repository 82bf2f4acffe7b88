"""Rows that contradict themselves: rules that a person declared, and rules that the real rows keep, counted on the synthetic rows.

Half of the held-out rows confirm the rules that are found; the other half is their control group. What does not belong here: how rules
are found (`rule_search.py`) and declared (`declared.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from synth_assets.audit.fidelity.declared import Combinations, declared_rules
from synth_assets.audit.fidelity.rule_search import find_rules
from synth_assets.audit.fidelity.rules import Rule
from synth_assets.audit.findings import capital, share, verdict
from synth_assets.audit.intervals import newcombe, wilson
from synth_assets.audit.marginals import quantile_grid
from synth_assets.audit.prepare import Part, Prepared
from synth_assets.audit.records import Finding
from synth_assets.audit.workload import workload
from synth_assets.config.dataset import ExpectationConfig
from synth_assets.config.thresholds import AuditLevels
from synth_assets.seeds import child_seed

BROKEN = "inconsistency"
SHOWN = 20  # found rules with a finding of their own, the most broken first


@dataclass(frozen=True)
class Count:
    """Rows of a table that a rule (or several) applies to, and those that break it."""

    rows: int
    broken: int

    @property
    def share(self) -> float:
        """Share of rows that break it; 0 where it applies to none."""
        return self.broken / self.rows if self.rows else 0.0


def inconsistency_findings(
    prepared: Prepared,
    impossible: Combinations,
    contract: Sequence[ExpectationConfig],
    levels: AuditLevels,
    seed: int,
) -> tuple[list[Finding], list[str]]:
    """Declared rules first, then found ones, each kind with the share of rows that break any; and notes.

    Args:
        prepared: The compared columns; without a train table only declared rules are counted.
        impossible: Combinations that a person declared.
        contract: Lines of the contract.
        levels: Cut-offs.
        seed: Seed of the halves of the holdout and of samples.

    Raises:
        InputError: a declared range cannot be read.
    """
    declared, notes = declared_rules(prepared, impossible, contract)
    synthetic, holdout = prepared.parts["synthetic"], prepared.parts.get("holdout")
    found = _findings(declared, f"{BROKEN}.declared", "declared", synthetic, holdout, levels, decides=True)
    if "train" not in prepared.parts or len(prepared.names) < 2:
        return found, notes
    confirming, control = _halves(holdout, child_seed(seed, "halves")) if holdout is not None else (None, None)
    parts = {"synthetic": synthetic, "train": prepared.parts["train"]}
    real = replace(prepared, parts=parts if confirming is None else {**parts, "holdout": confirming})
    grid, pairs = quantile_grid(prepared), workload(prepared.names, seed)[0][2]
    bins = [grid.codes(part) for name, part in real.parts.items() if name != "synthetic"]
    rules = find_rules(real, grid, bins, pairs, seed)
    if confirming is None and rules:
        notes.append("Rules were found in the train table alone; no held-out rows confirm them.")
    return found + _findings(
        rules, BROKEN, "found in the real tables", synthetic, control, levels, decides=False
    ), notes


def _halves(part: Part, seed: int) -> tuple[Part, Part] | tuple[None, None]:
    """Two halves of the rows, units kept together; nothing for a single row."""
    rng = np.random.default_rng(seed)
    if part.units is None:
        first = rng.permutation(part.held) < part.held // 2
    else:
        units, place = np.unique(part.units, return_inverse=True)
        first = (rng.permutation(len(units)) < len(units) // 2)[place]
    if first.all() or not first.any():
        return None, None
    return part.take(np.flatnonzero(first)), part.take(np.flatnonzero(~first))


def _findings(
    rules: Sequence[Rule],
    metric: str,
    origin: str,
    synthetic: Part,
    control: Part | None,
    levels: AuditLevels,
    *,
    decides: bool,
) -> list[Finding]:
    """One finding over all rules, and one per rule (of many found ones, per rule that is broken most)."""
    if not rules:
        return []
    whole, each = _counts(rules, synthetic)
    controls, apart = _counts(rules, control) if control is not None else (None, [None] * len(rules))
    title = f"{len(rules)} rule{'s' if len(rules) > 1 else ''} {origin}: {share(whole.share)} of the synthetic rows break one"
    found = [_finding(metric, title, whole, controls, levels, decides=decides)]
    worst = sorted(range(len(rules)), key=lambda i: -each[i].share)
    for i in worst if decides else worst[:SHOWN]:
        rule, count = rules[i], each[i]
        if count.rows:
            text = f"Rule: {rule.words}. {capital(share(count.share))} of the synthetic rows that it speaks of break it"
            found.append(_finding(f"{BROKEN}.{rule.kind}", text, count, apart[i], levels, decides=False))
    return found


def _counts(rules: Sequence[Rule], part: Part) -> tuple[Count, list[Count]]:
    """Rows that break any rule, and rows that break each."""
    broken, each = np.zeros(part.held, dtype=bool), []
    for rule in rules:
        outcome = rule.check(part)
        broken |= outcome.broken
        each.append(Count(int(outcome.applies.sum()), int(outcome.broken.sum())))
    return Count(part.held, int(broken.sum())), each


def _finding(
    metric: str, title: str, count: Count, control: Count | None, levels: AuditLevels, *, decides: bool
) -> Finding:
    level = levels.inconsistency.level(count.share)
    text = f"{title}, {verdict(level, levels.inconsistency)}."
    if control is not None and control.rows:
        text += f" Of unseen real rows {share(control.share)} do."
    both = control if control is not None and control.rows else None
    return Finding(
        metric=metric,
        message=text,
        risk_level=level,
        value=count.share,
        interval=wilson(count.broken, count.rows),
        baseline=both.share if both else None,
        excess=count.share - both.share if both else None,
        excess_interval=newcombe((count.broken, count.rows), (both.broken, both.rows)) if both else None,
        sample_size=count.rows,
        control_size=both.rows if both else None,
        decides=decides,
    )
