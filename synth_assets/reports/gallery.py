"""The pictures of one synthesizer's audit: which are shown, in which order, and their words for people who do not see them.

What belongs here: choosing and wording. What does not: drawing (`plots.py`), and what may be shown at all (`audit/pictures/public.py`).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from synth_assets.audit.glossary import family, metric
from synth_assets.audit.leaderboard import Leaderboard
from synth_assets.audit.pictures.public import Box, ColumnShares, Matrix, PairShades, Pictures, Side
from synth_assets.audit.records import AuditResult, Finding
from synth_assets.config.thresholds import Cutoffs
from synth_assets.reports import plots
from synth_assets.reports.drawing import as_png, as_svg

OPEN, MOST = 12, 60
MOST_ATTACKS = 24
IN_DAGSTER = 8
SIDES: dict[Side, str] = {"real": "real", "synthetic": "synthetic", "holdout": "held out"}


@dataclass(frozen=True)
class Picture:
    """A drawing with its title and a short line below it."""

    title: str
    note: str
    svg: Markup


@dataclass(frozen=True)
class TableGallery:
    """The pictures of one table; columns are ordered by how far the synthetic rows are from the real ones."""

    table: str
    first: tuple[Picture, ...]
    rest: tuple[Picture, ...]
    not_shown: int
    associations: Picture | None
    pairs: tuple[Picture, ...]
    boxes: tuple[Picture, ...]
    outcome: str
    not_drawn: tuple[str, ...]
    has_holdout: bool


@dataclass(frozen=True)
class Evidence:
    """The attacks that decide, as a picture and as rows."""

    picture: Markup
    rows: tuple[tuple[str, Finding], ...]
    more: int


def gallery(pictures: Pictures | None, synthesizer: str) -> tuple[TableGallery, ...]:
    """The pictures of every table of a synthesizer's audit."""
    if pictures is None:
        return ()
    tables = list(dict.fromkeys([c.table for c in pictures.columns] + [m.table for m in pictures.matrices]))
    return tuple(_table(pictures, table, synthesizer) for table in tables)


def _table(pictures: Pictures, table: str, synthesizer: str) -> TableGallery:
    columns = sorted((c for c in pictures.columns if c.table == table), key=lambda c: -c.distance)
    by_name = {c.column: c for c in columns}
    drawn = [_distribution(c, synthesizer) for c in columns[:MOST]]
    matrix = next((m for m in pictures.matrices if m.table == table), None)
    boxes = [b for b in pictures.boxes if b.table == table]
    outcome = (pictures.outcome or "").partition(".")[2]
    return TableGallery(
        table=table,
        first=tuple(drawn[:OPEN]),
        rest=tuple(drawn[OPEN:]),
        not_shown=max(len(columns) - MOST, 0),
        associations=None if matrix is None else _associations(matrix, synthesizer),
        pairs=tuple(_density(p, by_name, synthesizer) for p in pictures.pairs if p.table == table),
        boxes=tuple(_boxes(name, list(g), synthesizer) for name, g in itertools.groupby(boxes, key=lambda b: b.column)),
        outcome=outcome if any(b.group is not None for b in boxes) else "",
        not_drawn=tuple(n.partition(".")[2] for n in pictures.not_drawn if n.partition(".")[0] == table),
        has_holdout=any("holdout" in c.shares for c in columns),
    )


def _share(value: float | None) -> str:
    return "fewer than 11 rows" if value is None else f"{value:.1%}".replace(".0%", "%").replace("%", "\u00a0%")


def distribution_words(column: ColumnShares) -> str:
    """Where the synthetic rows are furthest from the real ones, and every cell with its shares."""
    texts = plots.cell_texts(column)
    told = [
        f"{text}: " + ", ".join(f"{word} {_share(column.shares[side][i])}" for side, word in SIDES.items() if side in column.shares)
        for i, text in enumerate(texts)
        if any(values[i] for values in column.shares.values())
    ]  # fmt: skip
    return f"Distribution of {column.column}. {'; '.join(told)}."


def _distribution(column: ColumnShares, synthesizer: str) -> Picture:
    note = f"distance {column.distance:.2f}"
    missing = [f"{SIDES[s]} {_share(v)}" for s, v in column.missing.items() if v]
    note += f"; missing: {', '.join(missing)}" if missing else ""
    words = f"{distribution_words(column)} ({synthesizer})"
    return Picture(column.column, note, as_svg(plots.distribution(column), label=words, name="distribution"))


def _associations(matrix: Matrix, synthesizer: str) -> Picture:
    found = [
        (abs(s - r), f"{matrix.columns[i]} and {matrix.columns[j]}: real {r:.2f}, synthetic {s:.2f}")
        for i, j in itertools.combinations(range(len(matrix.columns)), 2)
        for r, s in [(matrix.real[i][j], matrix.synthetic[i][j])]
        if r is not None and s is not None
    ]
    worst = [text for _, text in sorted(found, key=lambda f: -f[0])[:3]]
    note = f"Furthest apart: {'; '.join(worst)}." if worst else ""
    words = (
        f"Associations of the columns of {matrix.table}, real, synthetic ({synthesizer}) and their difference. {note}"
    )
    return Picture("", note, as_svg(plots.association_maps(matrix), label=words, name="maps"))


def _density(pair: PairShades, columns: dict[str, ColumnShares], synthesizer: str) -> Picture:
    lines = zip(pair.shades["real"], pair.shades["synthetic"], strict=True)
    cells = [cell for one, two in lines for cell in zip(one, two, strict=True)]
    both, only_real = sum(bool(r and s) for r, s in cells), sum(bool(r and not s) for r, s in cells)
    only_made = sum(bool(s and not r) for r, s in cells)
    note = f"{both} cells are filled on both sides, {only_real} by real rows alone, {only_made} by synthetic rows alone"
    words = f"Density of {pair.first} and {pair.second}, real beside synthetic ({synthesizer}): {note}."
    title = f"{pair.first} and {pair.second}"
    return Picture(title, note, as_svg(plots.densities(pair, columns), label=words, name="density"))


def _boxes(name: str, found: Sequence[Box], synthesizer: str) -> Picture:
    told = []
    for box in found:
        medians = [
            f"{side} {plots.edge_text(v, 'number')}"
            for side, values in box.quantiles.items()
            if (v := values[2]) is not None
        ]
        told.append((f"{box.group}: " if box.group else "") + "median " + ", ".join(medians))
    words = f"Box plot of {name} ({synthesizer}). {'; '.join(told)}."
    return Picture(name, "", as_svg(plots.boxes(found, "number"), label=words, name="boxes"))


def evidence(audit: AuditResult, synthesizer: str) -> Evidence | None:
    """The attacks that decide, the most successful above their control first; None where none ran."""
    found = [
        f for f in audit.findings("privacy") if f.decides and f.value is not None and f.excess_interval is not None
    ]
    if not found:
        return None
    ordered = sorted(found, key=lambda f: -(f.excess_interval or (0.0, 0.0))[1])
    shown = ordered[:MOST_ATTACKS]
    several = len({f.table for f in found}) > 1
    named = tuple((attack_name(f, several=several), f) for f in shown)
    rates = [
        plots.Rate(
            name,
            _unit(f.value or 0.0),
            None if f.interval is None else (_unit(f.interval[0]), _unit(f.interval[1])),
            None if f.baseline is None else _unit(f.baseline),
            None if f.naive is None else _unit(f.naive),
        )
        for name, f in named
    ]
    words = "; ".join(
        f"{r.name}: {r.value:.2f}" + ("" if r.control is None else f", control {r.control:.2f}") for r in rates
    )
    label = f"Success of the attacks on {synthesizer}. {words}."
    return Evidence(as_svg(plots.attack_rates(rates), label=label, name="rates"), named, len(ordered) - len(shown))


def board_words(board: Leaderboard) -> str:
    """The leaderboard's picture in words."""
    told = []
    for row in board.rows:
        risk = "risk not measured" if row.risk_interval is None else f"risk at most {row.risk_interval[1]:.2f}"
        utility = "utility not measured" if row.utility is None else f"utility {row.utility:.2f}"
        private = "not differentially private" if row.epsilon is None else f"epsilon {row.epsilon:.3g}"
        told.append(f"{row.synthesizer}: {risk}, {utility}, {private}" + (", blocked" if row.failed_gates else ""))
    return f"Utility against privacy risk of {len(board.rows)} compared synthesizers. {'; '.join(told)}."


def board_picture(board: Leaderboard, audits: Mapping[str, AuditResult]) -> Markup:
    """Utility against privacy risk; nothing where no synthesizer has both."""
    if not any(r.risk_interval is not None and r.utility is not None for r in board.rows):
        return Markup("")
    cutoffs = next(iter(audits.values())).levels.membership
    return as_svg(plots.utility_and_risk(board.rows, cutoffs), label=board_words(board), name="board")


def board_png(board: Leaderboard, cutoffs: Cutoffs) -> bytes:
    """The same for Dagster."""
    return as_png(plots.utility_and_risk(board.rows, cutoffs))


def small_picture(pictures: Pictures) -> bytes:
    """The eight columns that are least alike, for Dagster."""
    return as_png(plots.distribution_grid(_least_alike(pictures)))


def small_picture_words(pictures: Pictures) -> str:
    """The same in words."""
    told = ", ".join(f"{c.column} {c.distance:.2f}" for c in _least_alike(pictures))
    return f"Real rows filled, synthetic ones as a line, held-out ones dashed, the least alike first; distances: {told or 'none'}"


def _least_alike(pictures: Pictures) -> list[ColumnShares]:
    return sorted(pictures.columns, key=lambda c: -c.distance)[:IN_DAGSTER]


def _unit(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def attack_name(finding: Finding, *, several: bool) -> str:
    """The attack with its variant, table and column."""
    name = family(finding.metric)
    variant = finding.metric.removeprefix(name).strip(".").replace("_", " ")
    parts = [metric(name).title, variant, finding.table if several else None, finding.column]
    return " \u00b7 ".join(p for p in parts if p)
