"""What a budget allows: how releases add up, what is refused, and reservations as records. Rows in, a verdict out.

What belongs here: the decisions. What does not: the ledger that takes them under its lock (budget.py), and the mathematics
(accounting.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from synth_assets.errors import BudgetExceededError, InputError
from synth_assets.privacy import budget_rows as rows
from synth_assets.privacy.accounting import adaptive_epsilon, compose, epsilon_spent
from synth_assets.privacy.levels import level_of
from synth_assets.privacy.records import BudgetPreview, BudgetStatus, Event, ReleaseRecord, Reservation, Settlement

ROUNDING = 1e-9
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,200}")


def check_budget(said: rows.Declaration) -> None:
    """Refuse numbers that are no budget.

    Raises:
        InputError: a number is out of range.
    """
    if not (0 < said.epsilon <= 1000 and 0 < said.delta < 1e-2):
        raise InputError("a budget needs 0 < epsilon <= 1000 and 0 < delta < 0.01.", key="budget")
    for key, limit in (("per_release", said.per_release), ("per_dataset", said.per_dataset)):
        if limit is not None and not 0 < limit <= said.epsilon:
            raise InputError(
                f"{key} must be greater than 0 and not above the budget {said.epsilon:g}.", key=f"budget.{key}"
            )


def check_names(**names: str) -> None:
    """Refuse names that are empty, long, or have control characters.

    Raises:
        InputError: by the name's key.
    """
    for key, value in names.items():
        if not _NAME.fullmatch(value):
            raise InputError(
                f"the {key.replace('_', ' ')} must have 1 to 200 characters and no control characters.", key=key
            )


def counted(found: Iterable[rows.Held]) -> list[tuple[Event, ...]]:
    """What each reservation counts, without those that count nothing."""
    return [events for events in map(rows.counted_events, found) if events]


def together(groups: Sequence[tuple[Event, ...]], delta: float) -> float:
    """Epsilon of several runs. The noise of a run is fixed before it starts, but may be chosen after seeing the results of others."""
    if len(groups) < 2:
        return epsilon_spent(groups[0], delta) if groups else 0.0
    return adaptive_epsilon(groups, delta)


def refuse_if_over(
    population: str,
    budget: rows.Declaration,
    found: Sequence[rows.Held],
    label: str,
    plans: Sequence[tuple[Event, ...]],
) -> None:
    """Refuse releases that do not fit, all of them or none.

    Args:
        population: Whose budget.
        budget: What holds.
        found: Every reservation of the population.
        label: `dataset/asset` of the new releases.
        plans: Events of each new release.

    Raises:
        BudgetExceededError: a release is above the limit of one; the dataset's releases are above theirs; or everything together costs
            more than the budget. The thresholds' deltas count against the delta of the budget.
    """
    same = counted(h for h in found if h.dataset == rows.dataset_of(label))
    before = counted(found)
    try:
        largest = max(epsilon_spent(plan, budget.delta) for plan in plans)
        of_dataset = together([*same, *plans], budget.delta) if budget.per_dataset is not None else 0.0
        total = together([*before, *plans], budget.delta)
        asked, spent = together(plans, budget.delta), together(before, budget.delta)
    except InputError as error:
        raise BudgetExceededError(
            f"population {population!r}: {error.message} No data was read.", key="budget.delta", remedy=error.remedy
        ) from None
    if _above(largest, budget.per_release):
        raise _refused(
            population, f"one release would cost epsilon {largest:.4g}; the limit of one release is {budget.per_release:g}",
            "budget.per_release",
        )  # fmt: skip
    if _above(of_dataset, budget.per_dataset):
        raise _refused(
            population, f"the releases of dataset {rows.dataset_of(label)!r} would cost epsilon {of_dataset:.4g} together; "
            f"the limit of one dataset is {budget.per_dataset:g}", "budget.per_dataset",
        )  # fmt: skip
    if _above(total, budget.epsilon):
        what = "the run asks" if len(plans) == 1 else f"the {len(plans)} runs ask"
        left = max(0.0, budget.epsilon - spent)
        raise _refused(
            population, f"{what} for epsilon {asked:.4g}, {left:.4g} of {budget.epsilon:g} is left "
            f"(at delta {budget.delta:g}; together it would be {total:.4g})", "budget.epsilon",
        )  # fmt: skip


def _above(value: float, limit: float | None) -> bool:
    return limit is not None and value > limit * (1 + ROUNDING)


def _refused(population: str, reason: str, key: str) -> BudgetExceededError:
    return BudgetExceededError(
        f"population {population!r}: {reason}. No data was read.",
        key=key,
        remedy=f"Lower the epsilon of the synthesizer, or have the owner of the data raise `{key}`.",
    )


def reservation_of(held: rows.Held, delta: float) -> Reservation:
    """A reservation as its holder gets it."""
    events = rows.load(held.planned)
    names = ("reservation_id", "population", "unit", "label", "measurement_key", "run_id", "attempt", "fence", "state")
    return Reservation(
        **{n: getattr(held, n) for n in names}, events=events, delta=delta, epsilon=epsilon_spent(events, delta)
    )


def settlement_of(held: rows.Held) -> Settlement:
    """A settled reservation."""
    names = ("reservation_id", "population", "label", "measurement_key", "run_id", "outcome", "reference")
    return Settlement(
        **{n: getattr(held, n) for n in names}, events=rows.load(held.actual or "[]"), settled_at=held.changed_at
    )


def release_of(held: rows.Held, delta: float) -> ReleaseRecord:
    """A reservation as a line of the budget."""
    events = rows.counted_events(held)
    names = ("reservation_id", "label", "run_id", "attempt", "state", "outcome", "reserved_at")
    return ReleaseRecord(**{n: getattr(held, n) for n in names}, events=events, epsilon=epsilon_spent(events, delta))


def status_of(population: str, budget: rows.Declaration, found: Sequence[rows.Held], head: rows.Head) -> BudgetStatus:
    """Where a population stands."""
    delta = budget.delta
    spent = together(counted(h for h in found if h.state == "settled"), delta)
    total = max(spent, together(counted(found), delta))
    return BudgetStatus(
        population=population,
        unit=budget.unit,
        epsilon=budget.epsilon,
        delta=delta,
        per_release=budget.per_release,
        per_dataset=budget.per_dataset,
        spent=spent,
        reserved=total - spent,
        left=max(0.0, budget.epsilon - total),
        overspent=total > budget.epsilon * (1 + ROUNDING),
        level=level_of(total).name,
        events=sum(e.count for events in counted(found) for e in events),
        ledger_rows=head.position,
        ledger_head=head.hash,
        releases=tuple(release_of(h, delta) for h in found),
    )


def preview(
    population: str,
    budget: rows.Declaration,
    found: Sequence[rows.Held],
    releases: Mapping[str, tuple[Event, ...]],
) -> BudgetPreview:
    """What releases would do to a budget if they were made now, all of them; nothing is reserved.

    Args:
        population: Whose budget.
        budget: As the configuration declares it.
        found: Every reservation of the population so far.
        releases: Label -> events.
    """
    before, plans = counted(found), list(releases.values())
    refusal = None
    planned = list(found)
    for label, events in releases.items():
        try:
            refuse_if_over(population, budget, planned, label, [events])
        except BudgetExceededError as error:
            refusal = refusal or f"{label}: {error.message}"
        at = rows.now()
        planned.append(rows.Held("", population, budget.unit, label, "", "", 0, rows.dump(compose(events)), at, at))
    counts = _or_none(before, budget.delta)
    after = _or_none([*before, *plans], budget.delta)
    return BudgetPreview(
        population=population,
        unit=budget.unit,
        epsilon=budget.epsilon,
        delta=budget.delta,
        counted=counts or 0.0,
        chain=_or_none(plans, budget.delta),
        after=after,
        left=max(0.0, budget.epsilon - (counts or 0.0)),
        left_after=None if after is None else max(0.0, budget.epsilon - after),
        fits=refusal is None,
        refusal=refusal,
    )


def _or_none(groups: Sequence[tuple[Event, ...]], delta: float) -> float | None:
    """Epsilon of several runs; None where what costs delta alone does not fit."""
    try:
        return together(groups, delta)
    except InputError:
        return None
