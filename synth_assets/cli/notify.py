"""`notify`: the messages on their way and those given up; a test message for a receiver. One call of the library."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from synth_assets.cli.options import HomeOption, JsonOption, nearest_home
from synth_assets.cli.output import emit_json, show
from synth_assets.config.runtime import Settings


def notify(
    test: Annotated[
        str | None, typer.Option("--test", metavar="RECEIVER", help="Send a test message to this receiver.")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Deliver messages; show which wait or were given up."""
    from synth_assets.notify.notices import Notice
    from synth_assets.notify.opening import open_notifier

    notifier, now = open_notifier(Settings.from_environment(nearest_home(home))), time.time()
    if test is not None:
        notifier.post_to(test, Notice("test", f"test {now}"), now)
    done = notifier.deliver(now)
    left = [m for m in notifier.outbox.messages() if m.state != "sent"]
    if as_json:
        messages = [{"receiver": m.receiver, "state": m.state, "attempts": m.attempts, "fault": m.fault} for m in left]
        emit_json({"sent": done.sent, "waiting": done.waiting, "failed": done.failed, "messages": messages})
    else:
        show(f"{done.sent} delivered, {done.waiting} to be tried again, {done.failed} given up")
        for message in left:
            show(f"  {message.receiver}: {message.state} after {message.attempts} attempts: {message.fault}")
    return 0 if not left else 5


COMMANDS = (notify,)
