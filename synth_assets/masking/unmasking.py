"""From tokens back to values, for people who may: recorded before a value is shown.

What belongs here: the record, and the order of things. What does not: the vault (vault.py), and reading or writing files (api).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from synth_assets.errors import InputError, SynthAssetsError
from synth_assets.ledger.audit import Action, AuditEvent, AuditLedger, Head, Outcome
from synth_assets.ledger.events import MOST_NAMED, Detail
from synth_assets.masking.vault import TOKEN_FORM, TokenVault
from synth_assets.storage.secrets import SecretKey

_TEXT = re.compile(r"[^\x00-\x1f\x7f]{3,500}")


@dataclass(frozen=True)
class Revealed:
    """What tokens stand for. No repr shows a value.

    Args:
        texts: Token -> value.
        actor: Who asked.
        reason: Why.
        head: The head of the audit ledger behind the entry that was written before.
    """

    texts: dict[str, str] = field(repr=False)
    actor: str
    reason: str
    head: Head


def reveal(
    tokens: Iterable[str], *, reason: str, actor: str, vault: TokenVault, master: SecretKey, ledger: AuditLedger
) -> Revealed:
    """What tokens stand for; who asked, when and why is on record before this returns.

    A refusal is recorded as well. The audit ledger holds tokens, never values, a name for the person and a salted hash of the reason;
    person and reason are kept apart.

    Args:
        tokens: Tokens.
        reason: Why, 3 to 500 characters; part of the record, so it should name nobody.
        actor: Who asks.
        vault: The vault.
        master: The master key.
        ledger: The audit ledger.

    Raises:
        InputError: no token, a text that is no token, one that is not in this vault, or no reason.
        ConfigError: the tokens were made with another key.
        ServiceUnavailableError: vault or ledger do not answer; nothing is shown then.
    """
    asked = list(dict.fromkeys(tokens))
    _refuse_malformed(asked, reason, actor)
    who = ledger.actors.id_of(actor)
    details: dict[str, Detail] = {**_digest(asked), "reason_sha256": ledger.actors.keep_text(who, reason)}
    try:
        found = vault.values(asked, master)
        if len(found) < len(asked):
            raise InputError(
                f"{len(asked) - len(found)} of {len(asked)} tokens are not in this vault.",
                remedy="They were made with another vault, or it was deleted; then nothing leads back.",
            )
    except SynthAssetsError as error:
        refused = {**details, "error": error.code}
        ledger.record(AuditEvent(Action.DETOKENISED, "vault", Outcome.DENIED, actor=who, details=refused))
        raise
    head = ledger.record(AuditEvent(Action.DETOKENISED, "vault", actor=who, details=details))
    return Revealed(found, actor, reason, head)


def _refuse_malformed(asked: list[str], reason: str, actor: str) -> None:
    if not asked:
        raise InputError("no token was given.")
    wrong = sum(not re.fullmatch(TOKEN_FORM, token) for token in asked)
    if wrong:
        raise InputError(f"{wrong} of {len(asked)} are no tokens.", remedy="A token is tok_ and 32 hex digits.")
    for name, said in (("reason", reason), ("actor", actor)):
        if not _TEXT.fullmatch(said.strip()):
            raise InputError(
                f"the {name} must have 3 to 500 characters and no control characters.",
                key=name,
                remedy="The record keeps it: say what for, and name no person.",
            )


def _digest(asked: list[str]) -> dict[str, Detail]:
    """Number and hash of the tokens, and the tokens where they are few."""
    ordered = sorted(asked)
    whole = hashlib.sha256("\n".join(ordered).encode()).hexdigest()
    return {
        "tokens": len(ordered),
        "tokens_sha256": whole,
        "named": tuple(ordered) if len(ordered) <= MOST_NAMED else (),
    }
