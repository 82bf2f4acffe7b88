"""The run of a chain while it goes on: finished assets are printed once, running ones stay in the moving last line."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from synth_assets.cli.output import console

if TYPE_CHECKING:
    from synth_assets.automation.runner import AssetRun, ChainRun

MARKS = {"done": ("✓", "green"), "failed": ("✗", "red"), "skipped": ("-", "dim"), "waiting": ("·", "dim")}
FINISHED = frozenset({"done", "failed", "skipped"})


class LiveChain:
    """Shows a run on a terminal; elsewhere one line per finished asset."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.started: dict[str, float] = {}
        self.seconds: dict[str, float] = {}
        self.printed: set[str] = set()
        self.live = Live(
            console=console, refresh_per_second=8, transient=True, redirect_stdout=False, redirect_stderr=False
        )

    def __enter__(self) -> Self:
        if console.is_terminal:
            self.live.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        if console.is_terminal:
            self.live.__exit__(None, None, None)

    def show(self, run_state: ChainRun) -> None:
        """Take the new state."""
        now = time.perf_counter()
        width = max((len(a.name) for a in run_state.assets.values()), default=0)
        for asset in run_state.assets.values():
            if asset.state == "running":
                self.started.setdefault(asset.name, now)
            elif asset.name in self.started and asset.name not in self.seconds:
                self.seconds[asset.name] = now - self.started[asset.name]
            if asset.state in FINISHED and asset.name not in self.printed:
                self.printed.add(asset.name)
                console.print(_line(asset, self.seconds.get(asset.name), width), soft_wrap=True)
        if console.is_terminal:
            self.live.update(_Moving(self, run_state))


class _Moving:
    """The moving line; drawn anew at every refresh, so that its clock runs."""

    def __init__(self, chain: LiveChain, run_state: ChainRun) -> None:
        self.chain, self.run_state = chain, run_state
        self.spinner = Spinner("dots", style="cyan")

    def __rich__(self) -> Table:
        """The line of this moment."""
        now = time.perf_counter()
        assets = self.run_state.assets.values()
        done = sum(a.state in FINISHED for a in assets)
        running = [
            f"{a.name} ({now - self.chain.started.get(a.name, now):.0f} s)" for a in assets if a.state == "running"
        ]
        text = f"{done} of {len(assets)} assets, {now - self.chain.began:.0f} s" + (
            f"; now {', '.join(running)}" if running else ""
        )
        grid = Table.grid(padding=(0, 1))
        grid.add_row(self.spinner, Text(text, style="cyan"))
        return grid


def _line(asset: AssetRun, seconds: float | None, width: int) -> Text:
    mark, style = MARKS[asset.state]
    rows = "" if asset.rows is None else f"{asset.rows:,} rows"
    note = "unchanged, reused" if asset.reused else "" if seconds is None else f"{seconds:.1f} s"
    return Text(f" {mark} ", style=style) + Text(f"{asset.name:<{width}}  {rows:>15}  ") + Text(note, style="dim")
