"""What the pictures of a report look like: distributions, associations, densities, boxes, attack rates, the leaderboard.

What belongs here: drawing public records on axes. What does not: choosing them and their words (`gallery.py`), formats (`drawing.py`).
Axes carry no ticks of matplotlib: a few texts in place of them keep each picture at some kilobytes and some milliseconds.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from synth_assets.audit.leaderboard import LeaderboardRow
from synth_assets.audit.pictures.public import SHADES, Box, ColumnShares, Matrix, PairShades, Side
from synth_assets.config.thresholds import Cutoffs
from synth_assets.reports.drawing import HOLDOUT, INK, LINE, MUTED, PALETTE, REAL, SYNTHETIC, new_figure

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMALL = 8.0
POSITIVE, NEGATIVE, DENSE = (51, 136, 204), (213, 94, 0), (16, 145, 137)
FAINTEST = 0.18
IN_GRID = 6
OTHERS = "all others"
MEMBERSHIP_SCALE = 0.5


class Rate(NamedTuple):
    """One attack: its success with its interval, that on people who were not in the data, and that of a guess; all in [0, 1]."""

    name: str
    value: float
    interval: tuple[float, float] | None
    control: float | None
    naive: float | None


def edge_text(value: float, kind: str) -> str:
    """An edge as short as it can be told."""
    if kind in ("date", "datetime"):
        moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=value)
        if (moment.hour, moment.minute) != (0, 0):
            return moment.strftime("%Y-%m-%d %H:%M")
        return moment.strftime("%Y-%m-%d" if moment.day != 1 else "%Y-%m" if moment.month != 1 else "%Y")
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if sign == 'k' else size):.4g}{sign}"
    return f"{value:.4g}"


def cell_texts(column: ColumnShares) -> tuple[str, ...]:
    """Every cell in words: a name, or a range."""
    if column.kind == "category":
        return tuple(OTHERS if name is None else name for name in column.names)
    edges = [edge_text(e, column.kind) for e in column.edges]
    inner = [f"{a} to {b}" for a, b in itertools.pairwise(edges)]
    return (f"below {edges[0]}", *inner, f"{edges[-1]} or more")


def distribution(column: ColumnShares) -> Figure:
    """Shares of one column: real filled, synthetic as a line, held-out rows dashed."""
    if column.kind != "category":
        figure = new_figure(2.7, 1.35)
        _steps(_axes(figure, (0.02, 0.17, 0.96, 0.8)), column)
    else:
        figure = new_figure(2.7, 0.17 * len(_shown_cells(column)) + 0.12)
        _bars(_axes(figure, (0.43, 0.02, 0.41, 0.96)), column)
    return figure


def distribution_grid(columns: Sequence[ColumnShares]) -> Figure:
    """Some columns in one small picture, four in a row, each below its name."""
    across, down = 4, max(-(-len(columns) // 4), 1)
    figure = new_figure(across * 2.2, down * 1.5)
    if not columns:
        figure.text(0.01, 0.5, "No column has two cells of enough real rows to draw.", fontsize=9, color=INK)
    for number, column in enumerate(columns):
        x, y = (number % across) / across, 1 - (number // across + 1) / down
        figure.text(
            x + 0.01, y + 0.985 / down, _cut(column.column, 30), va="top", fontsize=9, color=INK, parse_math=False
        )
        left, width = (0.09, 0.105) if column.kind == "category" else (0.01, 0.225)
        axes = _axes(figure, (x + left, y + 0.16 / down, width, 0.68 / down))
        _bars(axes, column, most=IN_GRID) if column.kind == "category" else _steps(axes, column)
    return figure


def _steps(axes: Axes, column: ColumnShares) -> None:
    shares = _known(column)
    size, top = len(shares["real"]), max(max(s) for s in shares.values()) or 1.0
    edges = list(range(size + 1))
    axes.stairs(shares["real"], edges, fill=True, color=REAL, linewidth=0)
    if "holdout" in shares:
        axes.stairs(shares["holdout"], edges, color=HOLDOUT, linewidth=1.0, linestyle=(0, (3, 2)), baseline=None)
    axes.stairs(shares["synthetic"], edges, color=SYNTHETIC, linewidth=1.5, baseline=None)
    axes.plot([0, size], [0, 0], color=MUTED, linewidth=0.7)
    known = len(column.edges)
    for place in sorted({1, (known + 1) // 2, known}):
        axes.plot([place, place], [0, -0.03 * top], color=MUTED, linewidth=0.7)
        _text(axes, place, -0.06 * top, edge_text(column.edges[place - 1], column.kind), ha="center", va="top")
    axes.set_xlim(-0.1, size + 0.1)
    axes.set_ylim(-0.03 * top, top * 1.04)


def _shown_cells(column: ColumnShares) -> tuple[int, ...]:
    """The cells with a share on any side: nobody may have one of "all others"."""
    return tuple(i for i in range(len(column.names)) if any(values[i] for values in column.shares.values()))


def _bars(axes: Axes, column: ColumnShares, *, most: int | None = None) -> None:
    shares, texts = _known(column), cell_texts(column)
    cells = _shown_cells(column)[:most]
    top = max(max(s) for s in shares.values()) or 1.0
    for place, cell in enumerate(cells):
        made = shares["synthetic"][cell]
        axes.barh(place - 0.2, shares["real"][cell], height=0.38, color=REAL, linewidth=0)
        axes.barh(place + 0.2, made, height=0.38, color=SYNTHETIC, linewidth=0)
        if "holdout" in shares:
            held = shares["holdout"][cell]
            axes.plot([held, held], [place - 0.42, place + 0.02], color=HOLDOUT, linewidth=1.2)
        _text(axes, -0.03 * top, place, _cut(texts[cell], 20 if most is None else 14), ha="right", va="center")
        _text(axes, top * 1.04, place, f"{made:.1%}".replace(".0%", "%"), va="center")
    axes.set_ylim(len(cells) - 0.45, -0.55)
    axes.set_xlim(0, top)


def _known(column: ColumnShares) -> dict[Side, list[float]]:
    """Shares with 0 for a synthetic cell of fewer than 11 rows."""
    return {side: [v or 0.0 for v in values] for side, values in column.shares.items()}


def association_maps(matrix: Matrix) -> Figure:
    """Real, synthetic and their difference; blue goes together, orange against each other, the stronger the fuller."""
    import numpy as np

    real, synthetic = (
        np.array([[np.nan if v is None else v for v in row] for row in side], dtype=float)
        for side in (matrix.real, matrix.synthetic)
    )
    size = len(matrix.columns)
    side = max(1.6, min(0.15 * size, 3.0))
    left, top, gap = 1.35, 0.3, 0.16
    width, height = left + 3 * side + 2 * gap + 0.05, side + top + 0.22
    figure = new_figure(width, height)
    font = SMALL if size <= 20 else 6.0
    panels = {"real": real, "synthetic": synthetic, "synthetic less real": synthetic - real}
    for number, (title, values) in enumerate(panels.items()):
        place = ((left + number * (side + gap)) / width, 0.2 / height, side / width, side / height)
        axes = _axes(figure, place)
        axes.imshow(_shaded(values), interpolation="none", aspect="auto", extent=(0, size, size, 0), clip_on=False)
        axes.plot([0, size, size, 0, 0], [0, 0, size, size, 0], color=LINE, linewidth=0.8)
        _text(axes, 0, -0.03 * size, title, va="bottom", size=9, colour=INK)
        for i, name in enumerate(matrix.columns):
            if number == 0:
                _text(
                    axes, -0.15 * size / 10, i + 0.5, f"{_cut(name, 18)}  {i + 1}", ha="right", va="center", size=font
                )
            if size <= 20 or i % 5 == 4:
                _text(axes, i + 0.5, size * 1.015, str(i + 1), ha="center", va="top", size=6.5, colour=MUTED)
        axes.set_xlim(0, size)
        axes.set_ylim(size, 0)
    return figure


def _shaded(values: Any) -> npt.NDArray[np.uint8]:
    """Colours whose opacity is the strength, so that they stand on light and dark paper."""
    import numpy as np

    strength = np.clip(np.abs(np.nan_to_num(values)), 0, 1)
    colours = np.where((np.nan_to_num(values) < 0)[..., None], NEGATIVE, POSITIVE)
    return np.concatenate([colours, np.round(255 * strength)[..., None]], axis=-1).astype(np.uint8)


def densities(pair: PairShades, columns: Mapping[str, ColumnShares]) -> Figure:
    """Real and synthetic rows of two columns, the more rows in a cell the fuller its colour."""
    import numpy as np

    width, height, left, gap = 5.2, 2.05, 0.85, 0.12
    side = (width - left - gap - 0.05) / 2
    figure = new_figure(width, height)
    across, up = columns[pair.first], columns[pair.second]
    sides: tuple[Side, ...] = ("real", "synthetic")
    for number, name in enumerate(sides):
        axes = _axes(figure, ((left + number * (side + gap)) / width, 0.36 / height, side / width, 1.46 / height))
        shades: npt.NDArray[np.float64] = np.asarray(pair.shades[name], dtype=np.float64).T[::-1]
        rows, cells = shades.shape
        opacity = np.where(shades > 0, FAINTEST + (1 - FAINTEST) * shades / SHADES, 0)
        coloured = np.concatenate(
            [np.broadcast_to(DENSE, (rows, cells, 3)), np.round(255 * opacity)[..., None]], axis=-1
        )
        extent = (0, cells, 0, rows)
        axes.imshow(coloured.astype(np.uint8), interpolation="none", aspect="auto", extent=extent, clip_on=False)
        axes.plot([0, cells, cells, 0, 0], [0, 0, rows, rows, 0], color=LINE, linewidth=0.8)
        _text(axes, 0, rows * 1.02, name, va="bottom", size=9, colour=INK)
        _marks(axes, across, cells, rows, upright=False)
        if number == 0:
            _marks(axes, up, cells, rows, upright=True)
        _text(axes, cells / 2, -0.13 * rows, _cut(pair.first, 26), ha="center", va="top", colour=INK)
        axes.set_xlim(0, cells)
        axes.set_ylim(0, rows)
    figure.text(
        0.012, 0.55, _cut(pair.second, 26), rotation=90, va="center", ha="left", fontsize=SMALL, color=INK, parse_math=False
    )  # fmt: skip
    return figure


def _marks(axes: Axes, column: ColumnShares, cells: int, rows: int, *, upright: bool) -> None:
    """First, middle and last edge, or the outer names, along an axis."""
    if column.kind == "category":
        names = cell_texts(column)
        texts = {0.5: _cut(names[0], 9), len(names) - 0.5: _cut(names[-1], 9)}
    else:
        known = len(column.edges)
        texts = {p: edge_text(column.edges[p - 1], column.kind) for p in sorted({1, (known + 1) // 2, known})}
    for place, text in texts.items():
        outer = "center" if column.kind != "category" else "left" if place < 1 else "right"
        if upright:
            _text(axes, -0.02 * cells, place, text, ha="right", va="center", size=7)
        else:
            shift = {"left": -0.5, "right": 0.5}.get(outer, 0.0)
            _text(axes, place + shift, -0.02 * rows, text, ha=outer, va="top", size=7)


def boxes(found: Sequence[Box], kind: str) -> Figure:
    """Quartiles with the median, whiskers from the 5th to the 95th percentile: real filled, synthetic as a line."""
    size = len(found)
    figure = new_figure(2.7, 0.36 * size + 0.26)
    axes = _axes(
        figure,
        (
            0.3 if size > 1 else 0.03,
            0.2 / (0.36 * size + 0.26),
            0.67 if size > 1 else 0.94,
            0.98 - 0.2 / (0.36 * size + 0.26),
        ),
    )
    values = [v for box in found for side in box.quantiles.values() for v in side if v is not None]
    low, high = min(values), max(values)
    reach = (high - low) or 1.0
    for place, box in enumerate(found):
        _box(axes, place - 0.2, box.quantiles["real"], REAL, filled=True)
        _box(axes, place + 0.2, box.quantiles["synthetic"], SYNTHETIC, filled=False)
        if box.group is not None:
            _text(axes, low - 0.05 * reach, place, _cut(box.group, 14), ha="right", va="center")
    axes.plot([low, high], [size - 0.45, size - 0.45], color=MUTED, linewidth=0.7)
    for end, side in ((low, "left"), (high, "right")):
        _text(axes, end, size - 0.38, edge_text(end, kind), ha=side, va="top")
    axes.set_xlim(low - 0.03 * reach, high + 0.03 * reach)
    axes.set_ylim(size - 0.42, -0.5)
    return figure


def _box(axes: Axes, y: float, quantiles: Sequence[float | None], colour: str, *, filled: bool) -> None:
    p5, q25, median, q75, p95 = quantiles
    edge = INK if filled else colour
    for inner, outer in ((q25, p5), (q75, p95)):
        if inner is not None and outer is not None:
            axes.plot([inner, outer], [y, y], color=edge, linewidth=0.9)
    if q25 is not None and q75 is not None:
        axes.barh(y, q75 - q25, left=q25, height=0.3, color=colour if filled else "none", edgecolor=edge, linewidth=0.9)
    if median is not None:
        axes.plot([median, median], [y - 0.15, y + 0.15], color=edge, linewidth=1.8)


def attack_rates(rates: Sequence[Rate]) -> Figure:
    """Per attack: its rate with the interval (dot), that on people who were not in the data (ring), that of a guess (cross)."""
    height = 0.26 * len(rates) + 0.34
    figure = new_figure(7.0, height)
    axes = _axes(figure, (0.45, 0.22 / height, 0.53, 1 - 0.3 / height))
    for place, rate in enumerate(rates):
        axes.plot([0, 1], [place, place], color=LINE, linewidth=0.8)
        if rate.interval is not None:
            axes.plot(rate.interval, [place, place], color=SYNTHETIC, linewidth=2.4, solid_capstyle="butt")
        if rate.naive is not None:
            axes.plot([rate.naive], [place], "x", color=MUTED, markersize=5, markeredgewidth=1.2)
        if rate.control is not None:
            axes.plot(
                [rate.control], [place], "o", color=HOLDOUT, markersize=6.5, markerfacecolor="none", markeredgewidth=1.3
            )
        axes.plot([rate.value], [place], "o", color=SYNTHETIC, markersize=4)
        _text(axes, -0.02, place, _cut(rate.name, 52), ha="right", va="center")
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        _text(axes, share, len(rates) - 0.4, f"{share:g}", ha="center", va="top")
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(len(rates) - 0.45, -0.6)
    return figure


def utility_and_risk(rows: Sequence[LeaderboardRow], cutoffs: Cutoffs) -> Figure:
    """Synthesizers by privacy risk (across, with its interval; right is worse) and utility (up, with its interval)."""
    figure = new_figure(6.4, 3.1)
    axes = _axes(figure, (0.09, 0.16, 0.88, 0.76))
    shown = [r for r in rows if r.risk_interval is not None and r.utility is not None]
    right = max([MEMBERSHIP_SCALE, *(r.risk_interval[1] * 1.12 for r in shown if r.risk_interval)])
    left = min([-0.05, *(r.risk_interval[0] for r in shown if r.risk_interval)])
    axes.axvspan(cutoffs.medium, min(cutoffs.high, right), color=PALETTE["band-medium"], linewidth=0)
    axes.axvspan(min(cutoffs.high, right), right, color=PALETTE["band-high"], linewidth=0)
    for start, word in ((left, "low"), (cutoffs.medium, "medium"), (cutoffs.high, "high")):
        if start < right:
            _text(axes, start + 0.01 * (right - left), 1.06, f"{word} risk", va="top", colour=MUTED)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        axes.plot([left, right], [share, share], color=LINE, linewidth=0.7)
        _text(axes, left - 0.012 * (right - left), share, f"{share:g}", ha="right", va="center")
    for tenth in range(0, int(right * 10) + 1, 1 if right <= 0.6 else 2):
        _text(axes, tenth / 10, -0.05, f"{tenth / 10:g}", ha="center", va="top")
    taken: list[tuple[float, float]] = []
    for row in shown:
        _synthesizer(axes, row, taken, right - left)
    _text(
        axes,
        right,
        -0.13,
        "advantage of the worst membership attack, 95 % interval (0 is chance)",
        ha="right",
        va="top",
        colour=INK,
    )
    _text(axes, left, 1.13, "utility score, 95 % interval (1: as good as real rows)", va="bottom", colour=INK)
    axes.set_xlim(left, right)
    axes.set_ylim(-0.04, 1.1)
    return figure


def _synthesizer(axes: Axes, row: LeaderboardRow, taken: list[tuple[float, float]], reach: float) -> None:
    """One point with its intervals and its name; a cross where a gate blocks it."""
    if row.risk_interval is None or row.utility is None:
        return
    x, y = row.risk_interval[1], row.utility
    colour = PALETTE["high"] if row.failed_gates else SYNTHETIC
    axes.plot(row.risk_interval, [y, y], color=colour, linewidth=1.2)
    if row.utility_interval is not None:
        axes.plot([x, x], row.utility_interval, color=colour, linewidth=1.2)
    axes.plot([x], [y], "X" if row.failed_gates else "o", color=colour, markersize=7)
    height = y + 0.04
    while any(abs(x - other) < 0.35 * reach and abs(height - at) < 0.075 for other, at in taken):
        height -= 0.08
    taken.append((x, height))
    private = f"epsilon {row.epsilon:.3g}" if row.epsilon is not None else "not private"
    blocked = ", BLOCKED" if row.failed_gates else ""
    _text(axes, x + 0.014 * reach, height, f"{row.synthesizer} ({private}{blocked})", va="center", colour=INK)


def _axes(figure: Figure, place: tuple[float, float, float, float]) -> Axes:
    axes = figure.add_axes(place)
    axes.set_axis_off()
    return axes


def _text(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    *,
    ha: str = "left",
    va: str = "baseline",
    size: float = SMALL,
    colour: str = MUTED,
) -> None:
    axes.text(x, y, text, ha=ha, va=va, fontsize=size, color=colour, parse_math=False, clip_on=False)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}\u2026"
