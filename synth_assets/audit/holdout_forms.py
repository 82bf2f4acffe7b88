"""How often a hold-out was looked at, in a result: the number of its public form, and what repeated looks mean, in a sentence.

What belongs here: the words, and which form is which. What does not: counting (the caller is handed numbers by `privacy.public_forms`).
"""

from __future__ import annotations

import json

from synth_assets.audit.records import AuditResult
from synth_assets.storage.hashing import hash_json

NOT_COUNTED = "Public forms made against this hold-out are not counted here, since there is no home folder that could remember them."


def form_of(result: AuditResult) -> str:
    """A hash of what the public form tells; times and versions tell nothing of the data."""
    told = json.loads(result.public().model_dump_json(exclude={"seconds": True, "inputs": {"versions"}}))
    return hash_json(told)


def looks_words(number: int) -> str:
    """What a number of public forms against one hold-out means."""
    told = "1 public form has" if number == 1 else f"{number:,} public forms have"
    return (
        f"{told} been made against this hold-out, this one included. Each tells a little more about the held-out people, and whoever "
        "chooses among many by these figures fits the hold-out: those of the chosen one then look better than they are."
    )


def numbered(result: AuditResult, number: int | None) -> AuditResult:
    """The result with the number of its public form; None: it is not counted, which is said where there is a hold-out."""
    if number is None and result.inputs.holdout_rows is None:
        return result
    note = NOT_COUNTED if number is None else looks_words(number)
    inputs = result.inputs.model_copy(update={"holdout_forms": number, "notes": (*result.inputs.notes, note)})
    return result.model_copy(update={"inputs": inputs})
