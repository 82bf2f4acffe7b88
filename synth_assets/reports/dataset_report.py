"""The report of a dataset: data card, masking, privacy, model cards, audit and leaderboard in one HTML file that opens offline.

What belongs here: putting the cards into the template. What does not: computing any figure. Words such as "compliant" or "anonymous"
are not ours to say; a test rejects them.
"""

from __future__ import annotations

import datetime as dt
from functools import cache
from typing import Any

from synth_assets import __version__
from synth_assets.audit.glossary import MODULES
from synth_assets.reports.data_card import percent, table_card
from synth_assets.reports.gallery import board_picture, evidence, gallery
from synth_assets.reports.glossary import GLOSSARY
from synth_assets.reports.inputs import ReportInput
from synth_assets.reports.model_card import ORDER, model_card
from synth_assets.reports.narrative import delta_text, epsilon_text, left_text, points, summary
from synth_assets.reports.privacy_card import level_rows, privacy_card
from synth_assets.reports.svg import score_bar
from synth_assets.reports.verdict import verdict

__all__ = ["ReportInput", "render"]

WEIGHTS = {"stop": "Before any release", "check": "Check by hand", "know": "Know"}


def render(data: ReportInput, *, today: dt.date | None = None) -> str:
    """The report as one HTML document.

    Args:
        data: Public forms only.
        today: Date on the report; today (UTC) when None.
    """
    shown = (today or dt.datetime.now(dt.UTC).date()).isoformat()
    text: str = (
        _environment()
        .get_template("report.html.j2")
        .render(
            data=data,
            version=__version__,
            today=shown,
            verdict=verdict(data),
            summary=summary(data),
            points=points(data),
            weights=WEIGHTS,
            tiles=_tiles(data),
            tables=[table_card(data, name) for name in data.profiles],
            releases=[privacy_card(p) for p in data.privacy],
            levels=level_rows({p.level for p in data.privacy}),
            models=[model_card(data, row.synthesizer) for row in data.leaderboard.rows],
            galleries={name: gallery(data.pictures.get(name), name) for name in data.audits},
            evidence={name: evidence(audit, name) for name, audit in data.audits.items()},
            board=board_picture(data.leaderboard, data.audits),
            modules=MODULES,
            order=ORDER,
            glossary=GLOSSARY,
            cutoffs=_cutoffs(data),
        )
    )
    return text


@cache
def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("synth_assets.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"score": _score, "percent": percent, "epsilon": epsilon_text, "megabytes": _megabytes}
    environment.globals |= {"score_bar": score_bar}
    return environment


def _score(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _megabytes(value: int) -> str:
    return f"{value / 2**20:,.0f} MB"


def _tiles(data: ReportInput) -> list[tuple[str, str, str]]:
    """Label, figure, note: what a person reads first."""
    best = data.leaderboard.recommended
    tiles = [("Recommended", best or "none", f"of {len(data.audits)} audited, see the leaderboard")]
    if best is not None:
        audit = data.audits[best]
        risk = audit.figures
        note = (
            "no membership attack ran"
            if risk.privacy_risk is None
            else f"membership advantage at most {risk.privacy_risk:.2f}"
        )
        tiles.append(("Privacy risk", risk.privacy_risk_level or "not measured", note))
        tiles.append(("Overall score", _score(audit.overall_score), "privacy, fairness, fidelity; no gate"))
    return tiles + _privacy_tiles(data)


def _privacy_tiles(data: ReportInput) -> list[tuple[str, str, str]]:
    """Epsilon of each release, and what is left of the budget after the last one."""
    if not data.privacy:
        return [("Epsilon", "none", "nothing here is differentially private")]
    several = len(data.privacy) > 1
    tiles = [
        (
            f"Epsilon of {p.mechanism}" if several else "Epsilon",
            epsilon_text(p.spent.epsilon),
            f"{p.level}, delta {delta_text(p.spent.delta)}, per {p.unit}",
        )
        for p in data.privacy
    ]
    last = min(data.privacy, key=lambda p: p.budget_left)
    note = f"of {last.budget_epsilon:g} for population {last.population}"
    return [*tiles, ("Budget left", left_text(last.budget_left), note)]


def _cutoffs(data: ReportInput) -> list[tuple[str, str]]:
    """The cut-offs that the audits used, in words."""
    audit = next(iter(data.audits.values()), None)
    if audit is None:
        return []
    names = {
        "membership": "Advantage of a membership attack (upper bound)",
        "disclosure": "Other attacks, above their baseline (upper bound)",
        "tvd": "Total variation distance, and 1 - similarity",
        "invalid": "Share of values outside the domain",
        "utility_gap": "Score lost by training on synthetic rows",
        "fairness": "Difference between groups",
    }
    return [(text, getattr(audit.levels, name).text()) for name, text in names.items()]
