"""Stage 6: noisy counts, the only asset between the data and the marginal model."""

from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from synth_assets.assets.charged import ChargedStep, Reading, build_charged, read_privacy, refused
from synth_assets.assets.stage import CheckOutcome
from synth_assets.assets.wiring import Wiring
from synth_assets.checks.budget import budget_outcomes, refused_outcomes, scan_outcome
from synth_assets.config.dataset import SynthesizerConfig
from synth_assets.privacy.empirical.records import EmpiricalCheck
from synth_assets.privacy.report import PrivacyReport
from synth_assets.resources import EngineResource

if TYPE_CHECKING:
    from synth_assets.privacy.budget import BudgetLedger


def build_measurements(wiring: Wiring, synthesizer: SynthesizerConfig) -> dg.AssetsDefinition:
    """The asset `<dataset>/dp_measurements`."""
    step = ChargedStep(
        asset=wiring.keys.measurements,
        stage="dp_measurements",
        version="1",
        kinds=frozenset({"duckdb", "python"}),
        description=(
            f"Noisy marginal counts under differential privacy: epsilon {synthesizer.epsilon:g}, delta {synthesizer.delta:g}, charged "
            f"to population `{wiring.config.population}`. The only asset between the data and the model."
        ),
        checks={"scan": "What is stored is the public domain, the plan and noisy counts, and nothing else."},
        gates="empirical",
        release=_measure,
        outcomes=_outcomes,
    )
    return build_charged(wiring, synthesizer, step)


def _outcomes(reading: Reading, folder: Path) -> tuple[CheckOutcome, ...]:
    from synth_assets.synthesis.release import plan_release
    from synth_assets.synthesis.scan import scan_measurements

    if (check := refused(folder)) is not None:
        return refused_outcomes(check)
    plan = plan_release(reading.spec(), epsilon=reading.synthesizer.epsilon, delta=reading.synthesizer.delta)
    holds = "every byte is accounted for: public domain, plan and noisy counts"
    return (*budget_outcomes(read_privacy(folder)), scan_outcome(scan_measurements(folder, plan), holds))


def _measure(
    reading: Reading, budget: "BudgetLedger", engine: EngineResource, folder: Path
) -> PrivacyReport | EmpiricalCheck:
    from synth_assets.synthesis.charged import measure_charged, prepare

    spec, epsilon, delta = reading.spec(), reading.synthesizer.epsilon, reading.synthesizer.delta
    prepared = prepare(spec, epsilon=epsilon, delta=delta, repetitions=engine.settings().audit_repetitions)
    if not prepared.empirical.passed:
        return prepared.empirical
    return measure_charged(
        spec, epsilon=epsilon, delta=delta, charge=reading.charge(), ledger=budget, engine=engine.open(), out=folder,
        prepared=prepared,
    )  # fmt: skip
