"""The privacy module of the audit: which attacks run on which rows, and why one could not run.

What does not belong here: the attacks themselves (`membership`, `singling_out`, `disclosure`, `distances`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from synth_assets.audit.clock import Clock
from synth_assets.audit.findings import MEMBERSHIP
from synth_assets.audit.prepare import Part, Prepared, Tables
from synth_assets.audit.privacy.copies import (
    LEAST_COLUMNS,
    copies_finding,
    count_copies,
    near_copies_findings,
    row_hashes,
)
from synth_assets.audit.privacy.disclosure import inference_findings, linkability_finding
from synth_assets.audit.privacy.distances import anonymity_finding, closest_record_finding
from synth_assets.audit.privacy.exposure import LEAST_HELD_OUT, draw_pool, exposed_findings
from synth_assets.audit.privacy.membership import MINIMUM_ROWS, Targets, draw_targets, membership_findings
from synth_assets.audit.privacy.neighbours import Encoded, Encoder
from synth_assets.audit.privacy.shadows import ShadowModels, shadow_finding
from synth_assets.audit.privacy.singling_out import singling_out_findings
from synth_assets.audit.records import Finding
from synth_assets.config.thresholds import AuditLevels, AuditLimits
from synth_assets.seeds import child_seed
from synth_assets.tables.schema import ColumnKind, ColumnSchema

CLOSEST_ROWS = 20_000
QUASI_LIMIT = 6
FEW_ROWS = 100  # below this, a level above low must be shown, not only impossible to exclude
_QUASI_KINDS = (ColumnKind.CATEGORY, ColumnKind.BOOLEAN, ColumnKind.DATE)


@dataclass
class PrivacyResult:
    """Findings of the module, reasons for what could not run, samples and notes; the clock of its parts."""

    clock: Clock
    findings: list[Finding] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    samples: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def privacy_findings(
    tables: Tables,
    prepared: Prepared,
    *,
    quasi: Sequence[str],
    secrets: Sequence[str],
    limits: AuditLimits,
    levels: AuditLevels,
    seed: int,
    clock: Clock,
    shadows: ShadowModels | None = None,
) -> PrivacyResult:
    """Run every attack that the given tables allow.

    Args:
        tables: The tables.
        prepared: Their compared columns, at least one.
        quasi: Quasi-identifiers for k-anonymity; () picks categories and dates.
        secrets: Columns that attribute inference guesses first, where there are too many.
        limits: Sizes of samples.
        levels: Cut-offs.
        seed: Seed of every sample.
        clock: Takes the time of every part.
        shadows: How to train shadow models; None: that attack is not run.
    """
    result = PrivacyResult(clock)
    targets = _targets(prepared, limits, seed, result)
    if "train" in prepared.parts:
        with clock.step("privacy.exact_copies"):
            result.findings.append(_copies(tables, prepared, levels, seed, controlled=targets is not None))
    if targets is not None:
        _attacks(prepared, targets, secrets, limits, levels, seed, result, shadows)
        _weigh_few_rows(result, targets, levels)
    columns = _quasi(prepared, quasi)
    if columns:
        with clock.step("privacy.k_anonymity"):
            result.findings.append(anonymity_finding(tables, columns))
    return result


def _targets(prepared: Prepared, limits: AuditLimits, seed: int, result: PrivacyResult) -> Targets | None:
    """Rows to attack, or the reason why there are none."""
    parts = prepared.parts
    if "train" not in parts:
        result.reasons["privacy"] = "No real table was given, so there is nobody to attack."
        return None
    if "holdout" not in parts:
        result.reasons["privacy"] = (
            "No held-out rows were given: without a control group no leak can be told from chance."
        )
        return None
    targets = draw_targets(
        parts["train"], parts["holdout"], rows=limits.attack_rows, reference_rows=limits.reference_rows, seed=seed
    )
    if targets is None:
        result.reasons["privacy"] = (
            f"Fewer than {MINIMUM_ROWS} training or held-out rows: too few to measure an attack."
        )
    return targets


def _copies(tables: Tables, prepared: Prepared, levels: AuditLevels, seed: int, *, controlled: bool) -> Finding:
    hashes = {side: row_hashes(tables, table, prepared.columns) for side, table in tables.present().items()}
    control = hashes["holdout"] if controlled else None
    return copies_finding(count_copies(hashes["synthetic"].hashes, hashes["train"], control, seed), levels)


def _weigh_few_rows(result: PrivacyResult, targets: Targets, levels: AuditLevels) -> None:
    """Below 100 rows a side: a leak that is shown decides; a wide interval does not, and then nothing is called low either."""
    few = f"Too few rows to show a low risk: {targets.each} training and as many held-out rows can be attacked."
    if targets.each >= FEW_ROWS:
        return
    weighed = [_weighed(finding, few, levels) for finding in result.findings]
    undecided = any(
        before.decides and not after.decides for before, after in zip(result.findings, weighed, strict=True)
    )
    shown = any(finding.decides and finding.risk_level != "low" for finding in weighed)
    if undecided and not shown:
        weighed = [finding.model_copy(update={"decides": False}) for finding in weighed]
        result.reasons["privacy"] = f"{few} No leak was shown."
    result.findings = weighed


def _weighed(finding: Finding, few: str, levels: AuditLevels) -> Finding:
    """The finding, or its undecided form: not low by its upper bound, and not above low by its lower one."""
    if not finding.decides or finding.risk_level == "low" or finding.excess_interval is None:
        return finding
    cutoffs = levels.membership if finding.metric.startswith(MEMBERSHIP) else levels.disclosure
    people = finding.details.get("people_shown")
    copied = isinstance(people, float) and levels.copied.level(people) != "low"
    if copied or cutoffs.level(finding.excess_interval[0]) != "low":
        return finding
    return finding.model_copy(update={"decides": False, "message": f"{finding.message} {few}"})


def _attacks(
    prepared: Prepared,
    targets: Targets,
    secrets: Sequence[str],
    limits: AuditLimits,
    levels: AuditLevels,
    seed: int,
    result: PrivacyResult,
    shadows: ShadowModels | None,
) -> None:
    synthetic = _some(prepared.parts["synthetic"], limits.synthetic_rows, child_seed(seed, "synthetic for distances"))
    encoder = Encoder(prepared)
    base, members, others = (encoder.encode(part) for part in (synthetic, targets.members, targets.others))
    result.samples |= {
        "rows_under_attack": 2 * targets.each,
        "synthetic_rows_for_distances": synthetic.held,
        "reference_rows": targets.reference.held,
        "predicates": limits.predicates,
    }
    with result.clock.step("privacy.membership_inference"):
        result.findings += membership_findings(prepared, targets, encoder, base, levels)
    if shadows is not None:
        with result.clock.step("privacy.shadow_models"):
            made = shadow_finding(prepared, targets, (encoder, base), shadows, levels, seed)
        if made is None:
            result.reasons["privacy.shadow_models"] = (
                "Too few held-out rows that are no target to train shadow models on."
            )
        else:
            result.findings.append(made)
            result.notes.append(
                f"{shadows.number} shadow models of the synthesizer were trained on held-out rows that are no target; what they cost "
                "stands among the seconds (privacy.shadow_models)."
            )
    _rare_people(prepared, encoder, base, limits, levels, seed, result)
    train = _some(prepared.parts["train"], limits.singling_out_rows, child_seed(seed, "train for singling out"))
    parts = (synthetic, train, prepared.parts["holdout"])
    with result.clock.step("privacy.singling_out"):
        found, reasons = singling_out_findings(prepared, parts, limits.predicates, levels, seed)
    result.findings += found
    result.reasons |= reasons
    if len(prepared.names) > 1:
        with result.clock.step("privacy.linkability"):
            result.findings.append(
                linkability_finding(members, others, base, levels, neighbours=limits.link_neighbours)
            )
        chosen = _secrets(prepared, secrets, limits.secrets, seed, result)
        three = (synthetic, targets.members, targets.others)
        with result.clock.step("privacy.attribute_inference"):
            result.findings += inference_findings(prepared, three, (base, members, others), chosen, levels)
    else:
        result.reasons["privacy.linkability"] = result.reasons["privacy.attribute_inference"] = (
            "Needs two columns or more."
        )
    rows = min(prepared.parts["train"].held, prepared.parts["holdout"].held, CLOSEST_ROWS)
    sides = [_some(prepared.parts[side], rows, child_seed(seed, "closest", side)) for side in ("train", "holdout")]
    sample = _some(synthetic, limits.attack_rows, child_seed(seed, "closest", "synthetic"))
    with result.clock.step("privacy.closest_record"):
        queries, *bases = (encoder.encode(part) for part in (sample, *sides))
        result.findings.append(closest_record_finding(queries, *bases))


def _rare_people(
    prepared: Prepared,
    encoder: Encoder,
    base: Encoded,
    limits: AuditLimits,
    levels: AuditLevels,
    seed: int,
    result: PrivacyResult,
) -> None:
    """Near copies over all rows, and the most exposed rows by themselves."""
    sides = {side: prepared.parts[side] for side in ("train", "holdout")}
    if len(prepared.names) >= LEAST_COLUMNS:
        with result.clock.step("privacy.near_copies"):
            train, holdout = (_some(p, limits.near_copy_rows, child_seed(seed, "near", n)) for n, p in sides.items())
            three = (prepared.parts["synthetic"], train, holdout)
            result.findings += near_copies_findings(prepared, three, levels, seed)
    else:
        result.reasons["privacy.near_copies"] = f"Needs {LEAST_COLUMNS} columns or more."
    with result.clock.step("privacy.exposed_rows"):
        pool = draw_pool(*sides.values(), rows=limits.exposed_rows, reference_rows=limits.reference_rows, seed=seed)
        if pool is None:
            result.reasons["privacy.exposed_rows"] = (
                "Too few rows to attack the most exposed ones by themselves: it takes "
                f"{LEAST_HELD_OUT} units of privacy that were held out (`holdout`), and as many to train on."
            )
        else:
            result.samples["exposed_rows_screened"] = 2 * pool.members.held
            result.findings += exposed_findings(pool, encoder, base, levels)


def _some(part: Part, rows: int, seed: int) -> Part:
    """A seeded sample of `rows` rows; of whole units where there are any, so that the last one may go beyond."""
    if part.held <= rows:
        return part
    rng = np.random.default_rng(seed)
    if part.units is None:
        return part.take(np.sort(rng.choice(part.held, rows, replace=False)))
    _, unit, sizes = np.unique(part.units, return_inverse=True, return_counts=True)
    order = rng.permutation(len(sizes))
    return part.take(np.flatnonzero(np.isin(unit, order[np.cumsum(sizes[order]) - sizes[order] < rows])))


def _secrets(prepared: Prepared, first: Sequence[str], limit: int, seed: int, result: PrivacyResult) -> list[str]:
    """Columns to guess: the named ones first, then a seeded choice of the rest."""
    names = list(prepared.names)
    if len(names) <= limit:
        return names
    result.notes.append(f"Attribute inference guesses {limit} of the {len(names)} columns.")
    named = [name for name in first if name in names]
    rest = [name for name in names if name not in named]
    drawn = [rest[i] for i in np.random.default_rng(child_seed(seed, "secrets")).permutation(len(rest))]
    kept = {*named, *drawn[: max(limit - len(named), 0)]}
    return [name for name in names if name in kept]


def _quasi(prepared: Prepared, named: Sequence[str]) -> list[ColumnSchema]:
    """The named quasi-identifiers, else the first categories and dates."""
    if named:
        return [c for c in prepared.columns if c.name in named]
    return [c for c in prepared.columns if c.kind in _QUASI_KINDS][:QUASI_LIMIT]
