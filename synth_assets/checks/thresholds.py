"""The gates of a release as asset checks."""

from __future__ import annotations

from synth_assets.assets.stage import CheckOutcome
from synth_assets.audit.gates import gate_outcomes
from synth_assets.audit.records import AuditResult
from synth_assets.config.gates import ThresholdConfig


def threshold_outcomes(thresholds: ThresholdConfig, audit: AuditResult) -> tuple[CheckOutcome, ...]:
    """The outcome of every gate as an asset check: one of severity `warn` shows and does not block."""
    return tuple(
        CheckOutcome(
            gate.name,
            gate.passed,
            gate.message,
            blocking=gate.severity == "error",
            metadata={} if gate.value is None else {"value": round(gate.value, 2)},
        )
        for gate in gate_outcomes(thresholds, audit)
    )
