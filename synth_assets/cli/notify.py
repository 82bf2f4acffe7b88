"""`notify`: the messages on their way and those given up; a test message for a receiver. One call of the library."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from synth_assets.cli.options import HomeOption, JsonOption, nearest_home
from synth_assets.cli.output import emit_json, show
from synth_assets.config.runtime import Settings
from synth_assets.errors import InputError

if TYPE_CHECKING:
    from synth_assets.notify.notifier import Delivered
    from synth_assets.notify.outbox import Message

MISSED = 5
UNDELIVERED = frozenset({"pending", "failed"})


def notify(
    test: Annotated[
        str | None, typer.Option("--test", metavar="RECEIVER", help="Send a test message to this receiver.")
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Put away the messages that were given up.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Deliver messages; show which wait or were given up."""
    from synth_assets.notify.notices import Notice
    from synth_assets.notify.opening import open_notifier

    if test is not None and clear:
        raise InputError("--test and --clear are two commands.", key="--clear", remedy="Give one of them.")
    notifier, now = open_notifier(Settings.from_environment(nearest_home(home))), time.time()
    key = None if test is None else notifier.post_to(test, Notice("test", f"test {now}"), now)
    cleared = notifier.clear() if clear else 0
    done = notifier.deliver(now)
    left = [m for m in notifier.outbox.messages() if m.state in UNDELIVERED]
    told = [m for m in left if key in {None, m.key}]
    _say(done, told, len(left) - len(told), cleared, as_json=as_json)
    notifier.shown(told)
    return MISSED if any(m.state == "pending" or not m.shown for m in told) else 0


def _say(done: Delivered, told: list[Message], others: int, cleared: int, *, as_json: bool) -> None:
    if as_json:
        messages = [{"receiver": m.receiver, "state": m.state, "attempts": m.attempts, "fault": m.fault} for m in told]
        counts = {"sent": done.sent, "waiting": done.waiting, "failed": done.failed, "cleared": cleared}
        emit_json({**counts, "messages": messages})
        return
    show(f"{done.sent} delivered, {done.waiting} to be tried again, {done.failed} given up")
    if cleared:
        show(f"{cleared} that were given up are put away")
    for message in told:
        show(f"  {message.receiver}: {message.state} after {message.attempts} attempts: {message.fault}")
    if others:
        show(f"{others} other messages wait or were given up: `synth-assets notify` shows them.")
    if any(m.state == "failed" for m in told):
        show("`synth-assets notify --clear` puts away what was given up.")


COMMANDS = (notify,)
