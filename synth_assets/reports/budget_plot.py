"""A small picture of a privacy budget over time. Bytes of a PNG, nothing written.

What belongs here: drawing records of the ledger. What does not: composing them.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from synth_assets.privacy.records import BudgetPoint, BudgetStatus

SETTLED, OPEN, LIMIT = "#1f5f8b", "#c77700", "#9a1f1f"


def budget_over_time(status: BudgetStatus, history: Sequence[BudgetPoint]) -> bytes:
    """What is counted of a population's budget, as steps over time, below the line of the budget.

    Args:
        status: Where the population stands.
        history: Oldest first.

    Returns:
        A PNG of about 10 kB.
    """
    from matplotlib import dates
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    calendar: Any = dates  # its functions have no types
    figure = Figure(figsize=(6.4, 2.6), dpi=90, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    times = [float(calendar.date2num(datetime.fromisoformat(p.at))) for p in history]
    if times:
        margin = max((times[-1] - times[0]) * 0.05, 0.02)  # days
        x = [times[0] - margin, *times, times[-1] + margin]
        y = [0.0, *(p.counted for p in history), history[-1].counted]
        axes.step(x, y, where="post", color=SETTLED, linewidth=1.5)
        axes.fill_between(x, y, step="post", color=SETTLED, alpha=0.15, linewidth=0)
        for point, time in zip(history, times, strict=True):
            axes.plot([time], [point.counted], "o", markersize=4, color=SETTLED if point.state == "settled" else OPEN)
        axes.set_xlim(x[0], x[-1])
        locator = calendar.AutoDateLocator(minticks=3, maxticks=6)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(calendar.ConciseDateFormatter(locator))
    else:
        axes.set_xticks([])
        axes.text(0.5, 0.4, "no release yet", ha="center", transform=axes.transAxes, color="#555555")
    axes.axhline(status.epsilon, color=LIMIT, linewidth=1, linestyle="--")
    axes.annotate(
        f"budget {status.epsilon:g}", (0.01, status.epsilon), xycoords=("axes fraction", "data"), xytext=(0, -10),
        textcoords="offset points", color=LIMIT, fontsize=8,
    )  # fmt: skip
    axes.set_ylim(0, 1.08 * max([status.epsilon, *(p.counted for p in history)]))
    axes.set_ylabel(f"epsilon at delta {status.delta:g}", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    opened = " (orange: reserved, not settled)" if any(p.state != "settled" for p in history) else ""
    axes.set_title(f"Privacy budget of population {status.population}{opened}", fontsize=9, loc="left")
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()
