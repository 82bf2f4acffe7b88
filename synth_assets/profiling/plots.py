"""Small pictures of a profile: histograms, missing values, associations. Bytes of a PNG, nothing written.

What belongs here: drawing records. What does not: computing them. A picture of a full profile is as sensitive as the profile; draw
`profile.public()` for anything that leaves the restricted zone. matplotlib is imported inside and its global state is not used.
"""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Sequence
from typing import Any

from synth_assets.profiling.records import ColumnProfile, TableProfile

ACCENT = "#1f6f8b"
TINT = "#94c0cd"
PALE = "#e4edf0"
INK = "#222b31"
FAINT = "#8a969c"
DPI = 100
MAX_BYTES = 50_000
MAX_PANELS = 40
MAX_BARS = 30
_PANELS_PER_ROW = 4
_CATEGORIES = 6
_PALETTES = (256, 64, 16, 4)
_NAMED = 6


def histogram_grid(profile: TableProfile) -> bytes:
    """One small panel per column: bins of numbers and times, bars of the commonest values with their share of the rows.

    Args:
        profile: Full or public form; hidden bins are drawn as pale stubs, open ones in a lighter tone.

    Returns:
        A PNG of at most 50 kB with up to 40 panels; a line below names columns that are not shown.
    """
    columns = [c for c in profile.columns if c.histogram is not None or c.top_values]
    shown = columns[:MAX_PANELS]
    rows = max(1, math.ceil(len(shown) / _PANELS_PER_ROW))
    figure = _figure(2.4 * _PANELS_PER_ROW, 1.55 * rows + 0.5)
    grid = figure.subplots(rows, _PANELS_PER_ROW, squeeze=False)
    for axes, column in zip(grid.flat, shown, strict=False):
        _title(axes, column.name)
        _bins(axes, column) if column.histogram is not None else _bars(axes, column)
    for axes in list(grid.flat)[len(shown) :]:
        axes.set_axis_off()
    _note(figure, _left_out([c.name for c in profile.columns if c not in shown], len(profile.columns)))
    return _png(figure)


def _left_out(names: Sequence[str], columns: int) -> str:
    if not names:
        return ""
    told = ", ".join(_short(n, 20) for n in names[:_NAMED]) + (" \u2026" if len(names) > _NAMED else "")
    return f"{len(names)} of {columns} columns are not shown: {told}"


def missing_values(profile: TableProfile) -> bytes:
    """One bar per column with missing values, the emptiest first (at most 30)."""
    rows = profile.row_count or 0
    shares = sorted(
        ((c.missing / rows, c.name) for c in profile.columns if c.missing and rows), key=lambda s: (-s[0], s[1])
    )
    shown = shares[:MAX_BARS]
    figure = _figure(6.0, 0.6 + 0.24 * max(2, len(shown)))
    axes = figure.subplots()
    if not shown:
        axes.set_axis_off()
        hidden = any(c.missing is None for c in profile.columns)
        text = (
            "No column has 11 or more missing values."
            if hidden
            else f"No missing value in {len(profile.columns)} columns."
        )
        axes.text(0, 0.5, text, color=INK, fontsize=10, va="center")
        return _png(figure)
    places = range(len(shown))
    axes.barh(places, [1.0] * len(shown), color=PALE, height=0.62)
    axes.barh(places, [s for s, _ in shown], color=ACCENT, height=0.62)
    axes.set_yticks(places, [_short(name, 28) for _, name in shown], fontsize=8, color=INK, parse_math=False)
    for place, (share, _) in zip(places, shown, strict=True):
        axes.text(1.015, place, f"{share:.1%}", va="center", fontsize=8, color=INK)
    axes.set_xlim(0, 1)
    axes.set_xticks([])
    axes.invert_yaxis()
    _bare(axes)
    axes.set_title("Missing values", loc="left", fontsize=9, color=INK)
    return _png(figure)


def association_map(profile: TableProfile) -> bytes:
    """The association matrix: the stronger, the darker; a minus marks a negative correlation."""
    found = profile.associations
    size = len(found.columns) if found is not None else 0
    cell = 0.36 if size <= 16 else 0.2 if size <= 34 else 0.13
    figure = _figure(max(3.4, 1.6 + cell * size), max(1.2, 1.3 + cell * size))
    axes = figure.subplots()
    if found is None:
        axes.set_axis_off()
        axes.text(0, 0.5, "Fewer than two columns to compare.", color=INK, fontsize=10, va="center")
        return _png(figure)
    strengths = [[abs(v) if v is not None else math.nan for v in row] for row in found.matrix]
    axes.imshow(strengths, cmap=_map(), vmin=0, vmax=1)
    labels = [_short(name, 18) for name in found.columns]
    small = 7.5 if size <= 16 else 6 if size <= 34 else 4.5
    axes.set_xticks(range(size), labels, rotation=90, fontsize=small, color=INK, parse_math=False)
    axes.set_yticks(range(size), labels, fontsize=small, color=INK, parse_math=False)
    for i, row in enumerate(found.matrix if size <= 16 else ()):
        for j, value in enumerate(row):
            if value is not None and i != j and abs(value) >= 0.05:
                axes.text(
                    j,
                    i,
                    f"{value:.1f}".replace("0.", "."),
                    ha="center",
                    va="center",
                    fontsize=6,
                    color="white" if abs(value) > 0.65 else INK,
                )
    _bare(axes)
    axes.set_title("Associations (darker is stronger)", loc="left", fontsize=9, color=INK)
    return _png(figure)


def _bins(axes: Any, column: ColumnProfile) -> None:
    histogram = column.histogram
    if histogram is None:
        return
    counts, edges = histogram.counts, histogram.edges
    top = max([*(n for n in counts if n is not None), 1])
    open_ends = {p for p, e in ((0, edges[0]), (len(counts) - 1, edges[-1])) if e is None and _known(edges)}
    for place, count in enumerate(counts):
        colour = PALE if count is None else TINT if place in open_ends else ACCENT
        height = 0.06 * top if count is None else max(count, 0.012 * top if count else 0)
        axes.bar(place, height, width=0.9, color=colour, linewidth=0, snap=False)
    marks = _marks(column)
    axes.set_xticks([p for p, _ in marks], [t for _, t in marks], fontsize=7, color=FAINT, parse_math=False)
    if not _known(edges):
        axes.set_xlabel("values withheld", fontsize=7, color=FAINT, labelpad=2, loc="left")
    axes.set_xlim(-0.6, len(counts) - 0.4)
    axes.set_ylim(0, top * 1.05)
    axes.set_yticks([])
    _bare(axes)


def _known(edges: Sequence[Any]) -> list[tuple[int, Any]]:
    return [(place, edge) for place, edge in enumerate(edges) if edge is not None]


def _marks(column: ColumnProfile) -> list[tuple[float, str]]:
    """Where the axis has a label, and the label: the ends and the middle; single whole numbers below the middle of their bar."""
    edges = column.histogram.edges if column.histogram is not None else ()
    known = _known(edges)
    steps = {later - edge for (_, edge), (_, later) in itertools.pairwise(known) if isinstance(edge, int)}
    if steps == {1}:
        known = [(place, edge) for place, edge in known if place < len(edges) - 1]
    shift = 0.0 if steps == {1} else -0.5
    chosen = sorted({0, len(known) // 2, len(known) - 1} if len(known) > 7 else {0, len(known) - 1}) if known else []
    texts = _edge_texts([known[i][1] for i in chosen], [edge for _, edge in known])
    return [(known[i][0] + shift, text) for i, text in zip(chosen, texts, strict=True)]


def _bars(axes: Any, column: ColumnProfile) -> None:
    values = column.top_values[:_CATEGORIES]
    top = max(v.rows for v in values)
    for place, value in enumerate(values):
        axes.barh(place, top, color=PALE, height=0.8)
        axes.barh(place, value.rows, color=TINT, height=0.8)
        axes.text(top * 0.02, place, _short(value.value, 22), va="center", fontsize=6.5, color=INK, parse_math=False)
        if column.count:
            share = f"{min(1.0, value.rows / column.count):.0%}"
            axes.text(top * 0.985, place, share, va="center", ha="right", fontsize=6.5, color=INK)
    axes.set_ylim(_CATEGORIES - 0.4, -0.6)
    axes.set_xlim(0, top)
    axes.set_xticks([])
    axes.set_yticks([])
    _bare(axes)


def _edge_texts(chosen: Sequence[Any], edges: Sequence[Any]) -> list[str]:
    """Labels as short as all edges of the column allow: years, months or days; thousands and millions."""
    if all(isinstance(edge, str) for edge in edges):
        inner = [edge[:10] for edge in edges[1:-1]] or [edge[:10] for edge in edges]
        length = 4 if all(e.endswith("-01-01") for e in inner) else 7 if all(e.endswith("-01") for e in inner) else 10
        return [edge[:length] for edge in chosen]
    return [_number_text(float(edge)) for edge in chosen]


def _number_text(number: float) -> str:
    for size, sign in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(number) >= size:
            return f"{number / (1e3 if sign == 'k' else size):.4g}{sign}" if abs(number) < 1e16 else f"{number:.2g}"
    return f"{number:.4g}"


def _short(text: str, length: int) -> str:
    """One line of printable characters."""
    line = "".join(c if c.isprintable() else " " for c in text)
    return line if len(line) <= length else line[: length - 1] + "\u2026"


def _figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _map() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("accent", ["#ffffff", ACCENT]).with_extremes(bad="#f1f1f1")


def _title(axes: Any, name: str) -> None:
    axes.set_title(_short(name, 26), loc="left", fontsize=8.5, color=INK, pad=3, parse_math=False)


def _note(figure: Any, text: str) -> None:
    if text:
        figure.supxlabel(text, fontsize=7.5, color=FAINT, x=0.01, ha="left")


def _bare(axes: Any) -> None:
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0, pad=2)


def _png(figure: Any) -> bytes:
    """A palette PNG: few colours are enough for one accent, and keep a picture small."""
    import warnings

    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a glyph that the font lacks is drawn as a box
        figure.canvas.draw()
    image = Image.frombuffer("RGBA", figure.canvas.get_width_height(), figure.canvas.buffer_rgba()).convert("RGB")
    for colours in _PALETTES:
        buffer = io.BytesIO()
        image.quantize(colours).save(buffer, format="PNG", optimize=True)
        if buffer.tell() <= MAX_BYTES:
            break
    return buffer.getvalue()
