"""`configs/roles.yaml`: which groups may look, operate and approve. Without the file everybody who can run a command may.

What belongs here: the file, and the groups of who runs this process. What does not: which command needs what (cli/roles.py).
"""

from __future__ import annotations

import grp
import os
from enum import IntEnum
from pathlib import Path
from typing import Literal

from pydantic import field_validator

from synth_assets.config.base import Config
from synth_assets.config.load import load_model
from synth_assets.errors import ConfigError

FILE = "roles.yaml"
VARIABLE = "SYNTH_ASSETS_GROUPS"


class Role(IntEnum):
    """Each may do what those before it may."""

    VIEWER = 1
    OPERATOR = 2
    APPROVER = 3


class RolesConfig(Config):
    """The file.

    Attributes:
        viewer: Groups that may look at what holds no values of persons.
        operator: Groups that may also run, spend budget and delete.
        approver: Groups that may also hand out values of persons and change keys.
        groups_from: `system`: the kernel's groups of the process, which nobody can give himself. `environment`:
            SYNTH_ASSETS_GROUPS, for containers whose environment only the platform sets; who can set it has every role.
    """

    viewer: tuple[str, ...] = ()
    operator: tuple[str, ...] = ()
    approver: tuple[str, ...] = ()
    groups_from: Literal["system", "environment"] = "system"

    @field_validator("viewer", "operator", "approver")
    @classmethod
    def _named(cls, groups: tuple[str, ...]) -> tuple[str, ...]:
        if any(not group.strip() or "," in group for group in groups):
            raise ValueError("a group has a name, without commas")
        return groups

    def role_of(self, groups: frozenset[str]) -> Role | None:
        """The highest role of somebody in these groups; None: none."""
        held = [role for role in Role if groups & set(getattr(self, role.name.lower()))]
        return max(held, default=None)


def load_roles(configs_folder: Path) -> RolesConfig | None:
    """The roles of a home; None where it has no such file.

    Raises:
        ConfigError: it is there, and cannot be read or does not fit.
    """
    path = configs_folder / FILE
    if not os.path.lexists(path):
        return None
    if not os.access(path, os.R_OK):
        raise ConfigError("the roles of this home cannot be read.", file=str(path), remedy="Ask who keeps them.")
    return load_model(path, RolesConfig)


def own_groups(roles: RolesConfig) -> frozenset[str]:
    """The groups of who runs this process, by the source that the roles name."""
    if roles.groups_from == "environment":
        return frozenset(g.strip() for g in os.environ.get(VARIABLE, "").split(",") if g.strip())
    return frozenset(name for number in {os.getegid(), *os.getgroups()} if (name := _name(number)) is not None)


def _name(number: int) -> str | None:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return None
