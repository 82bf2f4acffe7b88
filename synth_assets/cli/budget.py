"""Command about privacy budgets: what is spent, reserved and left, and whether the ledger is what was written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synth_assets.cli.options import HomeOption, JsonOption, nearest_home
from synth_assets.cli.output import emit_json, facts, line, path_line, show, table
from synth_assets.errors import ConfigError, InputError

if TYPE_CHECKING:
    from synth_assets.privacy.records import BudgetStatus, LedgerVerdict, ReleaseRecord, ReleaseVerdict

REFUSED = 3


def budget(
    population: Annotated[
        str | None, typer.Argument(metavar="POPULATION", help="One population (default: all of them).")
    ] = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Check that no row of the ledger was changed, and compute the cost of every release again by two accountants.",
        ),
    ] = False,
    head: Annotated[
        list[str] | None,
        typer.Option(metavar="HASH", help="With --verify: a head that was kept elsewhere; may be repeated."),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Show what is spent, reserved and left of each privacy budget."""
    base = nearest_home(home)
    if head and not verify:
        raise InputError("a head is compared by --verify only.", key="--head", remedy="Add --verify.")
    if verify:
        return _verify(base, head or [], as_json=as_json)
    found = _budgets(population, base)
    if as_json:
        emit_json(found[0] if population else found)
        return 0
    if not found:
        show("No budget has been declared in this home yet.", path_line("home", base))
    for status in found:
        _show(status)
    if found:
        show(path_line(f"Ledger head after {found[0].ledger_rows:,} rows", found[0].ledger_head))
    return 0


def _show(status: BudgetStatus) -> None:
    over = ", OVERSPENT" if status.overspent else ""
    title = f"Population {status.population}: unit of privacy {status.unit}, level {status.level}{over}"
    heads = ["epsilon budget", "spent", "reserved", "left", "at delta", "noisy steps"]
    show(
        table(
            title, heads, [[status.epsilon, status.spent, status.reserved, status.left, status.delta, status.events]]
        ),
        "",
    )
    limits = [(k, v) for k, v in (("one release", status.per_release), ("one dataset", status.per_dataset)) if v]
    if limits:
        show("Limits of epsilon: " + ", ".join(f"{k} {v:g}" for k, v in limits), "")
    if status.releases:
        rows = [[r.label, _state(r), r.epsilon, r.reserved_at[:19]] for r in status.releases]
        show(table("Releases", ["label", "state", "epsilon alone", "reserved at (UTC)"], rows), "")


def _state(release: ReleaseRecord) -> str:
    return release.state if release.outcome in {None, "done"} else f"{release.state}, {release.outcome}"


def _verify(home: Path, given: list[str], *, as_json: bool) -> int:
    """The verdict on the ledger and on every release; reports of releases are compared without being asked for."""
    from synth_assets.api.spending import has_ledger, open_budget, reports_of_releases

    found = reports_of_releases(home)
    kept = found.heads
    if not has_ledger(home):
        if given or kept:
            raise ConfigError(
                "releases or heads are known, and there is no ledger.", file=str(home), key="budget",
                remedy="Bring back the ledger (var/ledger or the database) from a backup.",
            )  # fmt: skip
        show("No budget has been declared in this home yet.", path_line("home", home))
        return 0
    ledger = open_budget(home)
    verdict = ledger.verify([*given, *kept])
    releases = ledger.audit(found.reports) if verdict.broken is None else ()  # rows that cannot be read say nothing
    releases += tuple(_unreadable(name) for name in found.unreadable)
    if as_json:
        emit_json({**verdict.model_dump(mode="json"), "releases": releases})
    else:
        _show_verdict(verdict, anchored=bool(given or kept))
        _show_releases(releases)
    return 0 if verdict.whole and all(r.agrees for r in releases) else REFUSED


def _show_verdict(verdict: LedgerVerdict, *, anchored: bool) -> None:
    state = "whole" if verdict.whole else "NOT what was written"
    lines: list[tuple[str, object]] = [("state", state), ("rows", verdict.rows), ("head", verdict.head)]
    if verdict.broken is not None:
        broken = verdict.broken
        what = f"{broken.step} of {broken.at}" if broken.step else "none"
        lines.append(("first broken row", f"{broken.position} ({what}): {broken.reason}"))
    lines.append(("heads kept elsewhere", f"{verdict.heads_found} found, {len(verdict.heads_missing)} missing"))
    lines += [("missing", h) for h in verdict.heads_missing]
    show(facts(f"Budget ledger {verdict.ledger}", lines))
    if not anchored:
        show(
            "No head was kept elsewhere: that rows are missing at the end, or that all was written anew, is not excluded."
        )


def _unreadable(name: str) -> ReleaseVerdict:
    from synth_assets.privacy.records import ReleaseVerdict

    why = "its privacy report is not what a release has written"
    return ReleaseVerdict(release=name, population="", state="unknown", agrees=False, reason=why)


def _show_releases(releases: tuple[ReleaseVerdict, ...]) -> None:
    """Every release with its cost today, by both accountants, and its claim."""
    rows = [
        [r.release, r.state, r.epsilon, _range(r), r.claimed, "yes" if r.agrees else "NO"] for r in releases
    ]  # fmt: skip
    heads = ["release", "state", "epsilon again", "second accountant", "claimed", "agrees"]
    if rows:
        show(table("Releases, from their recorded events", heads, rows), "")
    for release in releases:
        if release.reason:
            line("NOT borne out", f"{release.release}: {release.reason}.", style="bold red")


def _range(release: ReleaseVerdict) -> str:
    if release.second_lower is None or release.second_upper is None:
        return ""
    return f"{release.second_lower:.4g} to {release.second_upper:.4g}"


def _budgets(population: str | None, home: Path) -> list[BudgetStatus]:
    """One population or all; a home without a ledger is left as it is."""
    from synth_assets.api.spending import has_ledger, open_budget

    ledger = open_budget(home) if has_ledger(home) else None
    known = () if ledger is None else ledger.populations()
    if population is not None and population not in known:
        listed = f"Known: {', '.join(known)}." if known else f"No population has one in {home}."
        raise ConfigError(f"population {population!r} has no privacy budget.", key="POPULATION", remedy=listed)
    wanted = known if population is None else (population,)
    return [] if ledger is None else [ledger.status(name) for name in wanted]


COMMANDS = (budget,)
