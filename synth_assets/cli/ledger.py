"""Commands about the audit ledger: check it, look into it, export it, forget a person, rotate its key."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synth_assets.cli.options import HomeOption, JsonOption, nearest_home
from synth_assets.cli.output import emit_json, facts, line, path_line, show, table
from synth_assets.config.runtime import Settings
from synth_assets.errors import InputError, MissingArtifactError
from synth_assets.ledger.actors import login_of
from synth_assets.ledger.asking import ACTOR

if TYPE_CHECKING:
    from synth_assets.api.ledgers import Filter
    from synth_assets.api.verifying import ChainVerdict, HomeVerdict
    from synth_assets.ledger.audit import AuditLedger

REFUSED = 3
SHOWN = 50


def verify(
    head: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE|HASH", help="A head of the audit ledger that was kept elsewhere; may be repeated."),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Check that the ledgers are what was written."""
    from synth_assets.api.verifying import verify_ledgers

    base = nearest_home(home)
    verdict = verify_ledgers(base, head or [])
    if as_json:
        emit_json({"whole": True, "audit": None} if verdict is None else verdict)
    elif verdict is None:
        show("Nothing has been recorded in this home yet.", path_line("home", base))
    else:
        _show_verdict(verdict)
    return 0 if verdict is None or verdict.whole else REFUSED


def _show_verdict(verdict: HomeVerdict) -> None:
    audit, budget = verdict.audit, verdict.budget
    lines: list[tuple[str, object]] = [*_lines(audit), ("signed with", audit.key or "no key")]
    lines.append(("heads", f"{audit.kept_heads} kept in the ledger, {audit.outside_heads} kept elsewhere"))
    show(facts(f"Audit ledger {audit.ledger}", lines))
    if budget is not None:
        rows: list[tuple[str, object]] = [
            ("state", _state(budget.whole and not verdict.budget_faults)),
            ("rows", budget.rows),
        ]
        rows += [("row", f"{budget.broken.position}: {budget.broken.reason}")] if budget.broken is not None else []
        rows += [("head missing", h) for h in budget.heads_missing]
        show(facts("Budget ledger", [*rows, *(("fault", f) for f in verdict.budget_faults[:SHOWN])]))
    if verdict.access is not None:
        show(facts("Record of access before the audit ledger", _lines(verdict.access)))
    for remark in audit.remarks:
        line("remark", remark)
    for name in verdict.unrecorded:
        line("remark", f"{name} is current, and no entry tells of it; the next run of its dataset records it.")
    if not audit.outside_heads:
        show("No head was kept elsewhere: that entries are missing at the end cannot be excluded.")


def _lines(verdict: ChainVerdict) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = [
        ("state", _state(verdict.whole)),
        ("entries", verdict.entries),
        ("head", verdict.head),
    ]
    found += [(f"entry {f.position}", f.reason) for f in verdict.faults]
    more = verdict.fault_count - len(verdict.faults)
    return [*found, ("more", f"{more} further faults")] if more else found


def _state(whole: bool) -> str:
    return "whole" if whole else "NOT what was written"


def ledger(
    actor: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Of this actor: the name in the ledger, or who is behind it, with or without the machine.",
        ),
    ] = None,
    action: Annotated[
        str | None, typer.Option(metavar="ACTION", help="Of this action, such as release, or budget for all of them.")
    ] = None,
    resource: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of this resource, such as clinic, or clinic/report.")
    ] = None,
    outcome: Annotated[
        str | None, typer.Option(metavar="WORD", help="With this outcome: ok, failed or denied.")
    ] = None,
    project: Annotated[str | None, typer.Option(metavar="NAME", help="Of this project.")] = None,
    dataset: Annotated[str | None, typer.Option(metavar="NAME", help="Of this dataset.")] = None,
    since: Annotated[str | None, typer.Option(metavar="DATE", help="From this day or moment on, in UTC.")] = None,
    until: Annotated[
        str | None, typer.Option(metavar="DATE", help="Up to the end of this day or moment, in UTC.")
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", help="Newest entries to show; an export has all.", min=1)] = SHOWN,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="OUT", help="File to write: .csv, or .json for verify.py.")
    ] = None,
    names: Annotated[bool, typer.Option("--names", help="Show who is behind the actors; recorded.")] = False,
    head: Annotated[bool, typer.Option("--head", help="Show the signed head only, to be kept elsewhere.")] = False,
    forget: Annotated[
        str | None, typer.Option(metavar="ACTOR", help="Delete who is behind an actor, and the reasons they gave.")
    ] = None,
    rotate_key: Annotated[bool, typer.Option("--rotate-key", help="Sign with a new key from here on.")] = False,
    lost_key: Annotated[bool, typer.Option("--lost-key", help="With --rotate-key: the earlier key is gone.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Show or export the record of what was done."""
    from synth_assets.api.ledgers import Filter

    base = nearest_home(home)
    opened = _opened(base)
    if lost_key and not rotate_key:
        raise InputError("--lost-key needs --rotate-key.", key="--lost-key")
    if rotate_key or forget is not None or head:
        return _kept(base, opened, forget, rotate=rotate_key, lost=lost_key, as_json=as_json)
    asked = Filter(_actor(opened, actor), action, resource, outcome, project, dataset, since, until)
    if out is not None:
        return _export(opened, asked, out.absolute(), as_json=as_json)
    return _list(opened, asked, limit, names=names, as_json=as_json)


def _opened(home: Path) -> AuditLedger:
    from synth_assets.api.spending import has_ledger
    from synth_assets.ledger.opening import open_audit_ledger

    if not has_ledger(home):
        raise MissingArtifactError(
            "nothing has been recorded in this home yet.", file=str(home), remedy="Name the home folder with --home."
        )
    return open_audit_ledger(Settings.from_environment(home))


def _kept(home: Path, opened: AuditLedger, actor: str | None, *, rotate: bool, lost: bool, as_json: bool) -> int:
    """Forget a person or rotate the key; then the head."""
    from synth_assets.api.ledgers import forget
    from synth_assets.ledger.opening import rotate_key

    if actor is not None and not forget(opened, actor):
        raise InputError("nobody is known behind this actor.", key="--forget", remedy="See --names.")
    if rotate:
        rotate_key(Settings.from_environment(home), lost=lost)
    head = opened.head()
    if head is None:
        raise MissingArtifactError("nothing has been recorded in this home yet.", file=str(home))
    if as_json:
        emit_json(json.loads(head.text()))
    else:
        show(head.text())
    return 0


def _actor(opened: AuditLedger, given: str | None) -> str | None:
    """The name in the ledger of a person, who may be given without the machine where that is unique.

    Raises:
        InputError: nobody is known by this name, or several are; their machines and other names are not told.
    """
    if given is None or ACTOR.fullmatch(given):
        return given
    known = opened.actors.known()
    found = [k.actor for k in known if k.identity == given] or [k.actor for k in known if login_of(k.identity) == given]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(
            f"{len(found)} actors have this name.",
            key="--actor",
            remedy=f"Give the machine too, as in 'NAME on MACHINE', or one of {', '.join(found)}.",
        )
    raise InputError(
        "nobody is known by this name.",
        key="--actor",
        remedy="`synth-assets ledger --names` shows who is behind the actors, which is recorded.",
    )


def _export(opened: AuditLedger, asked: Filter, out: Path, *, as_json: bool) -> int:
    from synth_assets.api.ledgers import export
    from synth_assets.exports.destination import check_folder

    check_folder(out.parent)
    count = export(opened, asked, out)
    if as_json:
        emit_json({"out": str(out), "entries": count})
    else:
        show(path_line(f"{count:,} entries", out))
    return 0


def _list(opened: AuditLedger, asked: Filter, limit: int, *, names: bool, as_json: bool) -> int:
    from synth_assets.api.ledgers import entries
    from synth_assets.ledger.audit import Action, AuditEvent

    found = list(islice(entries(opened, asked, newest_first=True), limit))[::-1]
    known: dict[str, str] = {}
    if names:
        opened.record(AuditEvent(Action.READ, "actors"))
        known = {k.actor: k.identity for k in opened.actors.known()}
    if as_json:
        emit_json([{k: v for k, v in e.items() if k != "record"} | _name(e, known) for e in found])
        return 0
    rows = [
        [e["position"], e["at"][:23], known.get(e["actor"], e["actor"]), e["action"], e["resource"], e["outcome"]] for e in found
    ]  # fmt: skip
    show(table("Audit ledger (UTC)", ["entry", "at", "actor", "action", "resource", "outcome"], rows))
    return 0


def _name(entry: dict[str, Any], known: dict[str, str]) -> dict[str, str]:
    return {"identity": known[entry["actor"]]} if entry["actor"] in known else {}


COMMANDS = (verify, ledger)
