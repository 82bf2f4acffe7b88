"""Small pictures as inline SVG: they print well, follow the page's colours, and need no library. Returned text is safe to embed."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from markupsafe import Markup

WIDTH, HEIGHT = 120, 26
STRIP_FROM, STRIP_TO = -0.1, 0.5


def bars(counts: Sequence[float | None], *, label: str) -> Markup:
    """A bar chart without axes; a suppressed bin (None) is a pale stub."""
    known = [n for n in counts if n is not None]
    if not known or max(known) <= 0:
        return Markup("")
    top, step = max(known), WIDTH / len(counts)
    width, parts = max(step - 1, 0.6), []
    for i, count in enumerate(counts):
        height = 2.0 if count is None else max(HEIGHT * count / top, 0.8 if count else 0)
        style = ' class="hidden-bin"' if count is None else ""
        parts.append(
            f'<rect{style} x="{i * step:.1f}" y="{HEIGHT - height:.1f}" width="{width:.1f}" height="{height:.1f}"/>'
        )
    return _svg("".join(parts), WIDTH, HEIGHT, "bars", label)


def score_bar(value: float | None, *, label: str) -> Markup:
    """A score in [0, 1] as a horizontal bar; nothing without a score."""
    if value is None:
        return Markup("")
    filled = _share(value) * 100
    body = f'<rect class="track" width="100" height="8" rx="4"/><rect class="fill" width="{filled:.1f}" height="8" rx="4"/>'
    return _svg(body, 100, 8, "score", f"{label}: {value:.2f} of 1")


def gauge(used: float, whole: float, mine: float, *, label: str) -> Markup:
    """A budget: what was used before, what this release used, what is left.

    Args:
        used: Everything that is counted, this release included.
        whole: The budget.
        mine: This release alone; at most `used` is drawn of it.
        label: Read by screen readers.
    """
    total = _share(used / whole) * 400 if whole > 0 else 0.0
    share = min(_share(mine / whole) * 400, total) if whole > 0 else 0.0
    body = (
        f'<rect class="track" width="400" height="14" rx="7"/><rect class="earlier" width="{total:.1f}" height="14" rx="7"/>'
        f'<rect class="fill" x="{total - share:.1f}" width="{share:.1f}" height="14" rx="7"/>'
    )
    return _svg(body, 400, 14, "gauge", label)


def interval_strip(low: float, high: float, *, medium: float, worst: float, label: str) -> Markup:
    """A confidence interval on the scale of a risk: pale bands from `medium` and from `worst` on, 0 marked.

    Args:
        low: Lower end.
        high: Upper end, which decides the level.
        medium: Where the level "medium" starts.
        worst: Where the level "high" starts.
        label: Read by screen readers.
    """
    first, second, zero = (_place(v) for v in (medium, worst, 0.0))
    left, right = _place(low), _place(high)
    body = (
        f'<rect class="band-low" width="{first:.1f}" height="12"/>'
        f'<rect class="band-medium" x="{first:.1f}" width="{second - first:.1f}" height="12"/>'
        f'<rect class="band-high" x="{second:.1f}" width="{WIDTH - second:.1f}" height="12"/>'
        f'<rect class="zero" x="{zero - 0.5:.1f}" width="1" height="12"/>'
        f'<rect class="ink" x="{left:.1f}" y="4.5" width="{max(right - left, 1.5):.1f}" height="3" rx="1.5"/>'
    )
    return _svg(body, WIDTH, 12, "strip", label)


def _place(value: float) -> float:
    return _share((value - STRIP_FROM) / (STRIP_TO - STRIP_FROM)) * WIDTH


def _share(value: float) -> float:
    return max(min(value, 1.0), 0.0)


def _svg(body: str, width: float, height: float, name: str, label: str) -> Markup:
    text = escape(label, quote=True)
    return Markup(  # noqa: S704  numbers and an escaped label only
        f'<svg class="{name}" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{text}" preserveAspectRatio="none">{body}</svg>'
    )
