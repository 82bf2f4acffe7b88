"""Figures of matplotlib as inline SVG that follows the page's colours, or as small PNGs. No state outside the figure, nothing written.

What belongs here: the palette and the two formats. What does not: what is drawn (`plots.py`) and the words beside it (`gallery.py`).
"""

from __future__ import annotations

import io
import re
import warnings
from html import escape
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# light colours of the page; in an SVG each is replaced by the variable of its name, so that dark mode and paper have their own.
# Real, synthetic and hold-out differ in form as well (filled, solid line, dashed line), for eyes that see no colours
PALETTE = {
    "ink": "#19222d",
    "muted": "#556171",
    "line": "#dde3ea",
    "real": "#aab4c0",
    "synthetic": "#0e6a65",
    "holdout": "#b5530b",
    "low": "#136c40",
    "medium": "#8a5a00",
    "high": "#a8261c",
    "band-medium": "#faecce",
    "band-high": "#fbe1dd",
}
INK, MUTED, LINE = PALETTE["ink"], PALETTE["muted"], PALETTE["line"]
REAL, SYNTHETIC, HOLDOUT = PALETTE["real"], PALETTE["synthetic"], PALETTE["holdout"]
PNG_DPI, PNG_BYTES, PNG_COLOURS = 90, 50_000, (256, 64, 16)
LARGEST = 128  # pixels of the page per inch, so that letters stay smaller than the text around them
_BLOCKS = re.compile(
    r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>|<defs>\s*(?:<style.*?</style>|<clipPath.*?</clipPath>|\s)*</defs>",
    re.DOTALL,
)
_TAG = re.compile(r"<[^>]*>")
_ATTRIBUTES = re.compile(
    r' clip-path="[^"]*"| transform="rotate\(-0 [^"]*"| xmlns(?::xlink)?="[^"]*"| version="1.1"| id="(?!m)[^"]*"'
    r'| (?:width|height)="[\d.]+pt"'
    r"|(?<=[ \"])font-family: [^;\"]+;? ?|; stroke-linejoin: miter|; stroke-linecap: square|; stroke-dashoffset: 0"
)
_FONT = re.compile(r"(?<=[ \"])font: (?:\w+ )*([\d.]+px) [^;\"]+")
_DIGITS, _SPACES, _GAPS = re.compile(r"(\d+\.\d)\d+"), re.compile(r"\s+"), re.compile(r">\s+<")
_EMPTY, _BARE = re.compile(r"<g>\s*</g>"), re.compile(r"<g>(<(?:path|image)[^<>]*/>)</g>")


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches; it belongs to no window and to no global list."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    figure.patch.set_visible(False)
    return figure


def as_svg(figure: Figure, *, label: str, name: str) -> Markup:
    """The figure as an inline SVG.

    Args:
        figure: Drawn in colours of the palette only.
        label: Read by screen readers in place of the picture.
        name: CSS class.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    FigureCanvasSVG(figure)
    out = io.StringIO()
    with (
        warnings.catch_warnings(),
        mpl.rc_context(
            {"svg.fonttype": "none", "svg.hashsalt": label, "svg.image_inline": True, "path.simplify": False}
        ),
    ):
        warnings.simplefilter("ignore")  # a glyph that the font lacks: the browser has others
        figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    text = _GAPS.sub("><", _TAG.sub(_shorter, _BLOCKS.sub("", text))).strip()
    text = _BARE.sub(r"\1", _EMPTY.sub("", text))
    words = escape(label, quote=True)
    widest = f"max-width: {figure.get_figwidth() * LARGEST:.0f}px"
    return Markup(text.replace("<svg", f'<svg class="plot {name}" style="{widest}" role="img" aria-label="{words}"', 1))  # noqa: S704  made by matplotlib, which escapes texts, and an escaped label


def _shorter(tag: re.Match[str]) -> str:
    """One tag without what a page does not need; texts between tags stay as they are."""
    text = _SPACES.sub(" ", _ATTRIBUTES.sub("", tag.group()))
    text = _DIGITS.sub(r"\1", _FONT.sub(r"font-size: \1", text))
    for variable, colour in PALETTE.items():
        text = text.replace(colour, f"var(--{variable})")
    return text


def as_png(figure: Figure) -> bytes:
    """The figure on white, in as few colours as Dagster's event log asks for: at most 50 kB."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    FigureCanvasAgg(figure)
    figure.patch.set_visible(True)
    drawn = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a glyph that the font lacks is drawn as a box
        figure.savefig(drawn, format="png", dpi=PNG_DPI, facecolor="white")
    image = Image.open(drawn).convert("RGB")
    png = b""
    for colours in PNG_COLOURS:
        out = io.BytesIO()
        image.quantize(colours, dither=Image.Dither.NONE).save(out, format="PNG", optimize=True)
        png = out.getvalue()
        if len(png) <= PNG_BYTES:
            break
    return png
