"""Attempts of one dataset in any order, each stopped or taken over anywhere: what the fences promise, against a model."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from synth_assets.errors import BudgetExceededError, ReleaseRefusedError, SupersededError
from synth_assets.ledger.backends import open_ledger_store
from synth_assets.privacy.budget import BudgetLedger
from synth_assets.privacy.budget_rules import together
from synth_assets.privacy.records import Event, GaussianEvent, Reservation
from synth_assets.storage.artifacts import ArtifactRef, ArtifactStore, Zone
from synth_assets.storage.lease import Hold, WriterLease
from synth_assets.storage.opening import Protection, open_store

PLANNED: tuple[Event, ...] = (GaussianEvent(sigma=20.0, count=2),)
LESS: tuple[Event, ...] = (GaussianEvent(sigma=20.0),)
MORE: tuple[Event, ...] = (GaussianEvent(sigma=20.0, count=3),)
DELTA = 1e-5
LABEL = "ds/dp_measurements"
ACTIONS = ("take", "reserve", "read", "settle", "settle less", "settle more", "fail", "give back", "point", "judge")


@dataclass
class Attempt:
    """One run's process, as far as it has come."""

    name: str
    hold: Hold | None = None
    held: Reservation | None = None
    ran: tuple[Event, ...] = ()


@dataclass
class World:
    """One dataset with its lease, ledger and store, and what really happened."""

    folder: Path
    attempts: dict[str, Attempt] = field(default_factory=dict)
    newest: str = ""
    pointed: str | None = None
    judged: str | None = None
    intruder: str | None = None  # takes over between a guard and what it guards

    def __post_init__(self) -> None:
        self.lease = WriterLease(self.folder / "leases", wait_seconds=0)
        self.ledger = BudgetLedger(open_ledger_store(f"sqlite:///{self.folder / 'budget.db'}"))
        self.ledger.declare("people", "row", 100.0, DELTA)
        self.store = open_store(Protection(self.folder / "var", encrypted=False))
        self.attempts = {name: Attempt(name) for name in "abc"}

    def take(self, who: Attempt) -> None:
        """A run begins; a run id is never used twice, so a second taking is a run of its own."""
        if who.hold is not None:
            return
        who.hold = self.lease.acquire("ds", who.name)
        self.newest = who.name

    def guard(self, who: Attempt) -> Callable[[], None]:
        """The holder's guard; right after it has passed, the intruder takes the dataset over."""

        def asked() -> None:
            assert who.hold is not None
            who.hold.require()
            if self.intruder is not None and self.intruder != who.name:
                other, self.intruder = self.attempts[self.intruder], None
                self.take(other)

        return asked

    def of(self, who: Attempt) -> tuple[BudgetLedger, ArtifactStore]:
        """Ledger and store in an attempt's name."""
        assert who.hold is not None
        return self.ledger.fenced(self.guard(who)), self.store.fenced(who.hold)

    def step(self, who: Attempt, action: str) -> None:
        """One action; only what the attempt could do next by its own lights is tried."""
        if action == "take":
            return self.take(who)
        if who.hold is None:
            return None
        ledger, store = self.of(who)
        if action in {"point", "judge"}:
            return self._publish(who, store, action)
        if action == "reserve" and who.held is None:
            ledger.supersede("people", LABEL, run_id=who.name, attempt=0)
            who.held = ledger.reserve(
                "people", events=PLANNED, label=LABEL, measurement_key="a" * 64, run_id=who.name, attempt=0
            )
        elif who.held is not None and action == "read":
            ledger.begin_reading(who.held)
            who.ran = who.ran or LESS  # from here on the noise is drawn, whatever becomes of the attempt
        elif who.held is not None and action == "give back":
            ledger.release_unread(who.held)
        elif who.held is not None and who.ran and action != "reserve":
            ran = {"settle": PLANNED, "settle less": LESS, "settle more": MORE, "fail": ()}[action]
            who.ran = max(who.ran, ran, key=lambda events: sum(e.count for e in events))
            ledger.settle(who.held, ran, "failed" if action == "fail" else "done")
        return None

    def _publish(self, who: Attempt, store: ArtifactStore, action: str) -> None:
        if action == "point":
            store.point(ArtifactRef(Zone.RELEASE, "ds", "dp_measurements", who.name))
            self.pointed = who.name
        else:
            store.write_note(Zone.RELEASE, "ds", "dp_measurements", "verdict", {"passed": True, "by": who.name})
            self.judged = who.name
        assert who.name == self.newest, "an old attempt has published"

    def check(self) -> None:
        """What must hold after every step."""
        found = self.store.find(Zone.RELEASE, "ds", "dp_measurements")
        assert (found.content_hash if found else None) == self.pointed
        note = self.store.read_note(Zone.RELEASE, "ds", "dp_measurements", "verdict")
        assert (note["by"] if note else None) == self.judged
        counted = [
            r.events for r in self.ledger.status("people").releases if r.state != "reserved"
        ]  # those may read later
        truth = [a.ran for a in self.attempts.values() if a.ran]
        assert together(counted, DELTA) >= together(truth, DELTA) * (1 - 1e-9), "spent epsilon is counted too little"


STEPS = st.tuples(st.sampled_from("abc"), st.sampled_from(ACTIONS), st.sampled_from([None, None, None, "b", "c"]))
ORPHAN = [
    ("a", "take"),
    ("a", "reserve"),
    ("a", "read"),
    ("b", "take"),
    ("b", "reserve"),
    ("a", "settle more"),
    ("a", "point"),
]
LATE = [("a", "take"), ("b", "take"), ("b", "point"), ("a", "reserve"), ("a", "point"), ("a", "judge"), ("b", "judge")]


@given(st.lists(STEPS, min_size=4, max_size=16))
@example([(who, action, None) for who, action in ORPHAN])
@example([(who, action, None) for who, action in LATE])
@example([("a", "take", None), ("a", "reserve", "b"), ("b", "reserve", None), ("a", "read", None), ("b", "read", None)])
@example(
    [("a", "take", None), ("a", "reserve", None), ("a", "read", "b"), ("b", "reserve", None), ("a", "settle", None)]
)
def test_a_superseded_attempt_publishes_and_settles_nothing_and_nothing_is_counted_too_little(
    steps: list[tuple[str, str, str | None]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        for name, action, intruder in steps:
            world.intruder = intruder
            who, was_newest = world.attempts[name], world.newest == name
            rows = world.ledger.verify().rows
            try:
                world.step(who, action)
            except SupersededError:
                assert not (was_newest and world.newest == name), "the newest attempt was refused"
            except (ReleaseRefusedError, BudgetExceededError):
                pass  # a step that its reservation does not allow, or a plan that was broken: not about fences
            else:
                changed = action != "take" and world.ledger.verify().rows > rows
                assert was_newest or action == "take" or not changed, "an old attempt has written into the ledger"
            world.check()
        verdict = world.ledger.verify()
        assert verdict.whole, verdict.broken
        world.lease.release("ds")


def test_the_model_would_notice_a_ledger_that_forgets(tmp_path: Path) -> None:
    world = World(tmp_path)
    who = world.attempts["a"]
    for action in ("take", "reserve", "read"):
        world.step(who, action)
    who.ran = MORE  # as if more had been drawn than was ever reserved
    with pytest.raises(AssertionError, match="too little"):
        world.check()
    world.lease.release("ds")
