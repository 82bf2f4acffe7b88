"""The data card and the masking card of a table: what the template shows of profile, classification, contract and masking.

What belongs here: choosing and wording public figures. What does not: computing them, and HTML.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from markupsafe import Markup

from synth_assets.audit.records import AuditResult, Finding
from synth_assets.pii.records import ColumnVerdict, IdentifierClass
from synth_assets.profiling.records import ColumnProfile, SinglingOut, TableProfile
from synth_assets.reports.inputs import CheckLine, MaskLine, ReportInput
from synth_assets.reports.svg import bars

WITHHELD = "withheld"
STRONG, MOST_SHOWN = 0.3, 5
COMMON_FORM = 0.9
CLASSES: dict[IdentifierClass, tuple[str, str]] = {  # one column, several columns
    "direct": ("identifies a person directly", "identify a person directly"),
    "quasi": ("identifies a person together with others", "identify a person together with others"),
    "sensitive": ("is sensitive", "are sensitive"),
    "none": ("is none of these", "are none of these"),
}
ACTIONS = {
    "keep": "kept",
    "drop": "dropped",
    "redact": "redacted",
    "partial": "shown in part",
    "pseudonym": "replaced by pseudonyms",
    "format_preserving": "replaced in the same format",
    "generalise": "generalised",
    "date_shift": "shifted in time",
    "round": "rounded",
    "truncate": "cut short",
    "perturb": "changed by bounded noise",
    "hash": "replaced by keyed hashes",
    "tokenise": "replaced by random tokens",
    "scrub": "scrubbed of identifiers in text",
    "top_code": "top-coded",
}


@dataclass(frozen=True)
class ColumnCard:
    """One column: what it is, how full, what it looks like, what masking did to it."""

    profile: ColumnProfile
    verdict: ColumnVerdict | None
    mask: MaskLine | None
    why: str
    missing: str
    distinct: str
    typical: str
    picture: Markup


@dataclass(frozen=True)
class TableCard:
    """One table."""

    name: str
    rows: str
    columns: tuple[ColumnCard, ...]
    classes: str
    contract: tuple[CheckLine, ...]
    failed: tuple[CheckLine, ...]
    singling_out: tuple[str, ...]
    searched: str
    anonymity: str
    associations: tuple[str, ...]
    actions: str
    mask_checks: tuple[CheckLine, ...]
    mask_risks: tuple[Finding, ...]
    information_loss: float


def table_card(data: ReportInput, name: str) -> TableCard:
    """What the report shows of one table."""
    profile, contract, masks = data.profiles[name], data.contracts[name], data.masks[name].columns
    verdicts = {v.column: v for v in data.verdicts[name]}
    actions = {m.column: m for m in masks}
    return TableCard(
        name=name,
        rows=count(profile.row_count),
        columns=tuple(
            _column(c, profile, verdicts.get(c.name), actions.get(c.name), data.policy) for c in profile.columns
        ),
        classes=class_words(list(verdicts.values())),
        contract=contract,
        failed=tuple(line for line in contract if not line.passed),
        singling_out=_singling_out(profile),
        searched="" if profile.uniqueness is None else profile.uniqueness.note,
        anonymity=_anonymity(profile),
        associations=_associations(profile),
        actions=action_words(masks),
        mask_checks=data.mask_checks[name],
        mask_risks=() if data.mask_audit is None else _of_table(data.mask_audit, name),
        information_loss=sum(m.information_loss for m in masks) / max(len(masks), 1),
    )


def _of_table(audit: AuditResult, name: str) -> tuple[Finding, ...]:
    """What the audit of the masked tables says of persons in one table."""
    return tuple(f for f in audit.findings("privacy") if f.table == name)


def count(value: float | None) -> str:
    """A number of rows or values; "withheld" where the public form hides it."""
    return WITHHELD if value is None else f"{value:,.0f}"


def percent(share: float) -> str:
    """A share in whole per cent, never rounded to 0 or 100 where it is neither."""
    if 0 < share < 0.01:
        return "<\u00a01\u00a0%"
    if 0.99 < share < 1:
        return ">\u00a099\u00a0%"
    return f"{share:.0%}".replace("%", "\u00a0%")


def class_words(verdicts: list[ColumnVerdict]) -> str:
    """How many columns are of which class."""
    found = Counter(v.identifier_class for v in verdicts)
    return listing([f"{found[c]} {texts[found[c] > 1]}" for c, texts in CLASSES.items() if found[c]])


def action_words(masks: tuple[MaskLine, ...]) -> str:
    """How many columns masking did what to, the commonest first."""
    counted = Counter(m.action for m in masks).most_common()
    told = [f"{n} {ACTIONS[action]}" for action, n in counted]
    if told:
        first, _, rest = told[0].partition(" ")
        told[0] = f"{first} {'column was' if first == '1' else 'columns were'} {rest}"
    return listing(told)


def listing(parts: list[str]) -> str:
    """a, b and c."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def _column(
    column: ColumnProfile, table: TableProfile, verdict: ColumnVerdict | None, mask: MaskLine | None, policy: str
) -> ColumnCard:
    rows = table.row_count
    why = "" if mask is None else mask.reason.removeprefix(f"policy {policy}: ").removesuffix(f" (policy {policy})")
    missing = WITHHELD if column.missing is None or not rows else percent(column.missing / rows)
    return ColumnCard(column, verdict, mask, why, missing, count(column.distinct), _typical(column), _picture(column))


def _typical(column: ColumnProfile) -> str:
    """What most rows look like: quartiles, the weight of the commonest value, or the form of a text. Never a value."""
    spread = column.number or column.time
    if spread is not None and spread.q25 is not None and spread.q75 is not None:
        return f"half of them from {_quartile(spread.q25)} to {_quartile(spread.q75)}"
    filled = column.count or 0
    if column.top_values and filled:
        return f"commonest value: {percent(column.top_values[0].rows / filled)}"
    shapes = column.text.shapes if column.text is not None else ()
    if shapes and filled and shapes[0].rows >= COMMON_FORM * filled and len(shapes[0].value) <= 24:
        return f"form {shapes[0].value}"
    return ""


def _quartile(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:,.10g}"


def _picture(column: ColumnProfile) -> Markup:
    """A small picture of the public distribution, or nothing."""
    if column.histogram is not None:
        return bars(column.histogram.counts, label=f"distribution of {column.name}")
    if len(column.top_values) < 2:
        return Markup("")  # one bar alone would say nothing
    return bars([v.rows for v in column.top_values], label=f"weights of the commonest values of {column.name}")


def _singling_out(profile: TableProfile) -> tuple[str, ...]:
    """The smallest sets of columns that single people out, by the share of rows that are alone with their values."""
    found = profile.uniqueness
    if found is None:
        return ()
    return tuple(_alone(s) for s in found.sets[:MOST_SHOWN])


def _anonymity(profile: TableProfile) -> str:
    """The smallest class of the raw table in words; a small one is a small group of rows and is not told."""
    found = profile.anonymity
    if found is None:
        return ""
    size = "fewer than 11 rows" if found.k is None else f"{found.k:,} rows"
    columns = "the quasi-identifier" if len(found.quasi) == 1 else f"all {len(found.quasi)} quasi-identifiers together"
    return f"By {columns} the rows fall into {count(found.classes)} classes; the smallest has {size}."


def _alone(found: SinglingOut) -> str:
    share = "most" if found.unique_fraction is None else percent(found.unique_fraction)
    return f"{' + '.join(found.columns)}: {share} of the rows"


def _associations(profile: TableProfile) -> tuple[str, ...]:
    """The strongest associations between two columns."""
    found = profile.associations
    if found is None:
        return ()
    pairs = [
        (value, found.columns[i], found.columns[j])
        for i, row in enumerate(found.matrix)
        for j, value in enumerate(row[:i])
        if value is not None and abs(value) >= STRONG
    ]
    strongest = sorted(pairs, key=lambda p: -abs(p[0]))[:MOST_SHOWN]
    return tuple(f"{first} and {second}: {value:.2f}" for value, first, second in strongest)
