"""Which role a command needs, asked before its body runs. A command that is in no list needs the highest.

The walls are the modes of the files: whoever can read and write `var/` can do without this command line.
"""

from __future__ import annotations

from pathlib import Path

from synth_assets.cli.options import nearest_home
from synth_assets.config.roles import Role, load_roles, own_groups
from synth_assets.errors import RoleRefusedError

VIEWERS = frozenset({
    "budget", "datasets list", "datasets show", "health", "init", "metrics", "models list", "models show", "people", "privacy levels",
    "privacy plan", "recommend", "reports", "runs list", "runs show", "schema", "verify",
})  # fmt: skip
OPERATORS = frozenset({
    "audit", "backup", "classify", "clean", "demo", "exchange", "generate", "leakscan", "mask", "notify", "privacy sweep", "profile",
    "run", "sample", "synthesize", "ui",
})  # fmt: skip
APPROVERS = frozenset({"decrypt", "detokenise", "encrypt", "ledger", "links", "restore"})


def needed(command: str) -> Role:
    """The least role of a command, named without the program: `run`, `models list`."""
    if command in VIEWERS:
        return Role.VIEWER
    return Role.OPERATOR if command in OPERATORS else Role.APPROVER


def require_role(command: str, home: Path | None) -> None:
    """Refuse a command to somebody without its role, where the home has roles; the refusal is recorded.

    Raises:
        RoleRefusedError: none of the caller's groups has the role.
        ConfigError: the file with the roles cannot be read.
    """
    base = nearest_home(home)
    roles = load_roles(base / "configs")
    if roles is None:
        return
    held, wanted = roles.role_of(own_groups(roles)), needed(command)
    if held is not None and held >= wanted:
        return
    _record(base, command)
    has = "no role here" if held is None else f"the role {held.name.lower()}"
    raise RoleRefusedError(
        f"`{command}` needs the role {wanted.name.lower()}; you have {has}.",
        remedy="Ask an administrator for a group that configs/roles.yaml names.",
    )


def _record(home: Path, command: str) -> None:
    """In the audit ledger, where there is one; a ledger that cannot be written does not open the door."""
    from contextlib import suppress

    from synth_assets.api.spending import has_ledger
    from synth_assets.config.runtime import Settings
    from synth_assets.errors import SynthAssetsError, withhold_values
    from synth_assets.ledger.events import Action, AuditEvent, Outcome
    from synth_assets.ledger.opening import open_audit_ledger

    with suppress(SynthAssetsError), withhold_values("the record of a refusal"):
        if has_ledger(home):
            event = AuditEvent(Action.COMMAND, f"command/{command.replace(' ', '_')}", Outcome.DENIED)
            open_audit_ledger(Settings.from_environment(home)).record(event)
