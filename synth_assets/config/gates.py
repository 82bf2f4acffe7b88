"""Gates of a release: which figure of the audit may go how far, and whether beyond it the release stops or a person is warned.

Written as a value (`fidelity: 0.8`) or with its severity (`fidelity: {limit: 0.8, severity: warn}`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from synth_assets.config.base import Config
from synth_assets.config.thresholds import AuditConfig, Level

Severity = Literal["error", "warn"]


def _in_full(value: Any) -> Any:
    """The short form, a value alone, becomes the full form."""
    return {"limit": value} if isinstance(value, str | int | float) and not isinstance(value, bool) else value


class LevelGate(Config):
    """The highest accepted level."""

    limit: Level
    severity: Severity = "error"


class ShareGate(Config):
    """The largest, or the smallest, accepted figure."""

    limit: float = Field(ge=0, le=1)
    severity: Severity = "error"


class CountGate(Config):
    """The largest accepted number."""

    limit: int = Field(ge=1)
    severity: Severity = "warn"


OptionalCount = Annotated[CountGate | None, BeforeValidator(_in_full)]
OptionalLevel = Annotated[LevelGate | None, BeforeValidator(_in_full)]
OptionalShare = Annotated[ShareGate | None, BeforeValidator(_in_full)]


class ThresholdConfig(Config):
    """Gates of a release; a value that is None does not gate."""

    privacy_risk: OptionalLevel = Field(
        default=LevelGate(limit="medium"),
        description="Highest accepted level of membership attacks, copies and attacks on the most exposed rows.",
    )
    disclosure_risk: OptionalLevel = Field(
        default=LevelGate(limit="medium", severity="warn"),
        description="Highest accepted level of singling out, linkability and attribute inference.",
    )
    utility_gap: OptionalShare = Field(
        default=None, description="Largest accepted loss of score of models trained on synthetic rows."
    )
    fairness_gap: OptionalShare = Field(
        default=None, description="Largest accepted growth of a difference between groups."
    )
    fidelity: OptionalShare = Field(default=None, description="Lowest accepted fidelity score.")
    domain_validity: OptionalShare = Field(
        default=None, description="Lowest accepted share of synthetic values inside the domain."
    )
    discriminator: OptionalShare = Field(
        default=None, description="Highest accepted ROC AUC of a classifier that tells synthetic from real rows."
    )
    holdout_forms: OptionalCount = Field(
        default=CountGate(limit=20), description="Most public forms of audits that may be made against one hold-out."
    )


class AuditFile(AuditConfig):
    """A file for `synth-assets audit --config`: how to judge, and the gates that set the exit code."""

    thresholds: ThresholdConfig | None = Field(default=None, description="Gates; none when absent.")
