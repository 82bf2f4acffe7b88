"""Small pictures as inline SVG: they print well, follow the page's colours, and need no library. Returned text is safe to embed."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from markupsafe import Markup

WIDTH, HEIGHT = 120, 26


def bars(counts: Sequence[float], *, label: str) -> Markup:
    """A bar chart without axes; suppressed bins are given as 0."""
    if not counts or max(counts) <= 0:
        return Markup("")
    top, step = max(counts), WIDTH / len(counts)
    parts = []
    for i, count in enumerate(counts):
        height = max(HEIGHT * count / top, 0.8 if count else 0)
        parts.append(
            f'<rect x="{i * step:.2f}" y="{HEIGHT - height:.2f}" width="{max(step - 1, 0.6):.2f}" height="{height:.2f}"/>'
        )
    return _svg("".join(parts), WIDTH, HEIGHT, "bars", label)


def score_bar(value: float | None, *, label: str) -> Markup:
    """A score in [0, 1] as a horizontal bar."""
    if value is None:
        return Markup('<span class="muted">not computed</span>')
    filled = max(min(value, 1.0), 0.0) * 100
    body = f'<rect class="track" width="100" height="8" rx="4"/><rect class="fill" width="{filled:.1f}" height="8" rx="4"/>'
    return _svg(body, 100, 8, "score", f"{label}: {value:.2f}")


def gauge(part: float, whole: float, *, label: str) -> Markup:
    """How much of a budget is used."""
    used = 0.0 if whole <= 0 else max(min(part / whole, 1.0), 0.0) * 300
    body = f'<rect class="track" width="300" height="14" rx="7"/><rect class="fill" width="{used:.1f}" height="14" rx="7"/>'
    return _svg(body, 300, 14, "gauge", label)


def _svg(body: str, width: float, height: float, name: str, label: str) -> Markup:
    text = escape(label, quote=True)
    return Markup(  # noqa: S704  numbers and an escaped label only
        f'<svg class="{name}" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{text}" preserveAspectRatio="none">{body}</svg>'
    )
