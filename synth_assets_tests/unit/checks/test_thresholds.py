"""Gates in words: both numbers, and the side of the limit where two digits hide it."""

from __future__ import annotations

import pytest

from synth_assets.audit.findings import judged
from synth_assets.audit.records import MODULES, AuditFigures, AuditResult, ModuleScores
from synth_assets.checks.thresholds import threshold_outcomes
from synth_assets.config.dataset import ThresholdConfig


def audit(fairness_gap: float, fidelity: float) -> AuditResult:
    return AuditResult.model_construct(
        figures=AuditFigures.model_construct(fairness_gap=fairness_gap),
        module_scores=ModuleScores.model_construct(fidelity=fidelity),
        reasons={},
        detailed_findings={m: judged(()) for m in MODULES},
    )


@pytest.mark.parametrize(
    ("gap", "score", "passed", "words"),
    [
        (
            0.004,
            0.896,
            (False, False),
            ("0.00 (rounded, just above), configured", "0.90 (rounded, just below), configured"),
        ),
        (0.2, 0.5, (False, False), ("gap 0.20, configured maximum 0.00", "fidelity 0.50, configured minimum 0.90")),
        (0.0, 0.9, (True, True), ("gap 0.00, configured maximum 0.00", "fidelity 0.90, configured minimum 0.90")),
    ],
)
def test_a_figure_that_rounds_to_its_limit_says_on_which_side_it_is(
    gap: float, score: float, passed: tuple[bool, bool], words: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AuditResult, "findings", lambda *_: ())
    gates = ThresholdConfig(privacy_risk=None, fairness_gap=0.0, fidelity=0.9)
    found = {o.name: o for o in threshold_outcomes(gates, audit(gap, score))}
    assert (found["fairness_gap"].passed, found["fidelity"].passed) == passed
    assert words[0] in found["fairness_gap"].description
    assert words[1] in found["fidelity"].description
