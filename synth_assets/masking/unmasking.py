"""From tokens back to values, for people who may: recorded before a value is shown.

What belongs here: the record, and the order of things. What does not: the vault (vault.py), and reading or writing files (api).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from synth_assets.errors import InputError, SynthAssetsError
from synth_assets.ledger.backends import LedgerStore
from synth_assets.ledger.chain import Entry, HashChain
from synth_assets.masking.vault import TOKEN_FORM, TokenVault
from synth_assets.storage.secrets import SecretKey

LOG = "detokenise"
_TEXT = re.compile(r"[^\x00-\x1f\x7f]{3,500}")
_NAMED = 1_000  # tokens that a record names one by one


@dataclass(frozen=True)
class Revealed:
    """What tokens stand for. No repr shows a value.

    Args:
        texts: Token -> value.
        actor: Who asked.
        reason: Why.
        entry: The record that was written before.
    """

    texts: dict[str, str] = field(repr=False)
    actor: str
    reason: str
    entry: Entry


def reveal(
    tokens: Iterable[str], *, reason: str, actor: str, vault: TokenVault, master: SecretKey, log: LedgerStore
) -> Revealed:
    """What tokens stand for; who asked, when and why is on record before this returns.

    A refusal is recorded as well. A record holds tokens, never values.

    Args:
        tokens: Tokens.
        reason: Why, 3 to 500 characters; part of the record, so it should name nobody.
        actor: Who asks.
        vault: The vault.
        master: The master key.
        log: Store of the record.

    Raises:
        InputError: no token, a text that is no token, one that is not in this vault, or no reason.
        ConfigError: the tokens were made with another key.
        ServiceUnavailableError: vault or log do not answer; nothing is shown then.
    """
    asked = list(dict.fromkeys(tokens))
    _refuse_malformed(asked, reason, actor)
    chain = HashChain(log, LOG)
    about = {"action": LOG, "actor": actor, "reason": reason, **_digest(asked)}
    try:
        found = vault.values(asked, master)
        if len(found) < len(asked):
            raise InputError(
                f"{len(asked) - len(found)} of {len(asked)} tokens are not in this vault.",
                remedy="They were made with another vault, or it was deleted; then nothing leads back.",
            )
    except SynthAssetsError as error:
        chain.append({**about, "outcome": f"refused: {error.code}"})
        raise
    return Revealed(found, actor, reason, chain.append({**about, "outcome": "shown"}))


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


def _digest(asked: list[str]) -> dict[str, object]:
    """Number and hash of the tokens, and the tokens where they are few."""
    ordered = sorted(asked)
    whole = hashlib.sha256("\n".join(ordered).encode()).hexdigest()
    return {"tokens": len(ordered), "tokens_sha256": whole, "named": ordered if len(ordered) <= _NAMED else []}
