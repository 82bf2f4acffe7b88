"""Fidelity, utility and attack over epsilon: a picture, the same in words, and a page with both. Bytes and text, nothing written.

What belongs here: drawing and wording the trials of a sweep. What does not: making them. The page holds figures that were computed on
real rows without noise: it stays in the restricted zone.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from html import escape

from synth_assets.audit.sweep import SCORES, SweepResult

# colours of Okabe, Ito 2008, which people with any colour vision can tell apart; marker and line differ as well
STYLES = {
    "fidelity": ("#0072B2", "o", "-", "fidelity (1 is best)"),
    "utility": ("#009E73", "s", "--", "utility (1 is best)"),
    "attack": ("#D55E00", "^", ":", "worst attack, at most (0 is best)"),
}
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b}"
    "figure{margin:1rem 0}img{max-width:100%}table{border-collapse:collapse;width:100%}caption{text-align:left}"
    "th,td{text-align:right;padding:.25rem .5rem;border-bottom:1px solid #ddd}.note{color:#555}"
)
MEANING = (
    "Fidelity: 1 less the mean distance of marginals. Utility: of a model trained on synthetic rows and tested on held-out real "
    "ones, relative to one trained on real rows. Worst attack: upper end of the 95 % interval of the advantage of the worst "
    "membership attack."
)


def sweep_over_epsilon(result: SweepResult) -> bytes:
    """Mean of each score over epsilon, with the range of the trials where there are several.

    Args:
        result: All trials.

    Returns:
        A PNG of about 20 kB.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, NullLocator

    figure = Figure(figsize=(6.4, 3.4), dpi=90, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_xscale("log")
    epsilons = sorted({t.epsilon for t in result.trials})
    for score, (colour, marker, line, label) in STYLES.items():
        points = result.means(score)
        if not points:
            continue
        x, means = list(points), [m for m, _, _ in points.values()]
        spans = [[m - low for m, low, _ in points.values()], [high - m for m, _, high in points.values()]]
        axes.errorbar(
            x,
            means,
            yerr=spans,
            color=colour,
            marker=marker,
            linestyle=line,
            markersize=5,
            linewidth=1.5,
            capsize=3,
            label=label,
        )
    axes.xaxis.set_major_locator(FixedLocator(epsilons))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"{e:g}" for e in epsilons])
    axes.set_xlim(epsilons[0] / 1.3, epsilons[-1] * 1.3)
    lowest = min((low for s in SCORES for _, low, _ in result.means(s).values()), default=0.0)
    axes.set_ylim(min(0.0, lowest - 0.03), 1.03)
    axes.set_xlabel(f"epsilon of one release, at delta {result.delta:g}", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    if any(result.means(s) for s in SCORES):
        figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    axes.set_title(f"{result.dataset}: what epsilon buys", fontsize=9, loc="left")
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()


def sweep_words(result: SweepResult) -> str:
    """The picture in words, for people who do not see it."""
    parts = []
    for epsilon in sorted({t.epsilon for t in result.trials}):
        told = [f"{name} {result.means(name)[epsilon][0]:.2f}" for name in SCORES if epsilon in result.means(name)]
        parts.append(f"epsilon {epsilon:g}: {', '.join(told) or 'no score'}")
    return f"Fidelity, utility and worst attack of {result.dataset} over epsilon. {'; '.join(parts)}."


def sweep_page(result: SweepResult, picture: bytes) -> str:
    """One HTML file that opens offline: the picture with its words, and every trial in a table."""
    source = base64.b64encode(picture).decode()
    heads = "".join(
        f'<th scope="col">{name}</th>'
        for name in ("epsilon", "trial", "spent", "fidelity", "utility", "worst attack, at most")
    )
    alt = escape(sweep_words(result), quote=True)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{escape(result.dataset)}: sweep over epsilon</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>{STYLE}</style></head>
<body><h1>{escape(result.dataset)}: sweep over epsilon</h1>
<p class="note">Restricted: these figures were computed on real rows without noise. {len(result.trials)} trials, charged to
population {escape(result.population)}: epsilon {result.charged:.4g} together, whichever of them is used.</p>
<figure><img src="data:image/png;base64,{source}" alt="{alt}"></figure>
<table><caption>Every trial at delta {result.delta:g}</caption>
<thead><tr>{heads}</tr></thead><tbody>{"".join(_rows(result))}</tbody></table>
<p class="note">{MEANING}</p>
</body></html>
"""


def _rows(result: SweepResult) -> Iterator[str]:
    for trial in result.trials:
        cells = [f"{trial.epsilon:g}", str(trial.release), f"{trial.spent:.4f}"]
        cells += ["" if v is None else f"{v:.3f}" for v in (trial.fidelity, trial.utility, trial.attack)]
        yield f"<tr>{''.join(f'<td>{c}</td>' for c in cells)}</tr>"
